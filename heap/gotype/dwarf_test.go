package gotype

import (
	"debug/dwarf"
	"debug/elf"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// checkDWARF reads the debug information with the standard library, and holds each type that the runtime knows, too,
// against its descriptor, and every other against what is converted.
func checkDWARF(t *testing.T, file *elf.File, table *Table) {
	t.Helper()
	data, err := file.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	compared, converted := 0, 0
	isGo := false
	for reader := data.Reader(); ; {
		e, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			break
		}
		if e.Tag == dwarf.TagCompileUnit {
			language, _ := e.Val(dwarf.AttrLanguage).(int64)
			isGo = language == languageGo
			continue
		}
		if e.Children {
			reader.SkipChildren()
		}
		kind, ok := e.Val(dwarf.Attr(attrGoKind)).(int64)
		if !isGo || !ok || kind == 0 {
			continue
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		table.mu.Lock()
		id, err := table.debugType(table.dwarf, uint64(e.Offset))
		table.mu.Unlock()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		typ := table.Types()[id]
		if int64(typ.Kind) != kind {
			t.Errorf("%s: %s has kind %d, want %d", name, typ.Name, typ.Kind, kind)
		}
		if size, ok := e.Val(dwarf.AttrByteSize).(int64); ok && uint64(size) != typ.Size {
			t.Errorf("%s: %s has %d bytes, want %d", name, typ.Name, typ.Size, size)
		}
		if address, _ := e.Val(dwarf.Attr(attrGoRuntimeType)).(uint64); address != 0 {
			if typ.DebugOnly {
				t.Errorf("%s: the runtime's type is not used", name)
			}
			if got := table.reflectName(name); !strings.Contains(name, "go.shape.") && (got.name != typ.Name ||
				got.path != typ.PkgPath) {
				t.Errorf("%s is %+v, want %s in %s", name, got, typ.Name, typ.PkgPath)
			}
			compareFields(t, data, e, table, typ)
			compared++
		} else {
			converted++
		}
	}
	if compared < 500 || converted < 50 {
		t.Errorf("%d types compared, %d converted", compared, converted)
	}
	checkApart(t, table)
}

// checkApart checks that no descriptor overlaps another: none was seen in the middle of something else.
func checkApart(t *testing.T, table *Table) {
	t.Helper()
	for i := range table.regions {
		r := &table.regions[i]
		end, before := uint64(0), ""
		for offset := uint64(0); offset < r.size; offset += 8 {
			e := r.at(offset)
			if !e.isDynamic() {
				continue
			}
			name, size := "itab", uint64(itabHead)
			if e.isType() {
				typ := table.Types()[e.id()]
				name, size = typ.Name, table.descriptorSize(typ.Kind)
			}
			if offset < end {
				t.Errorf("%s at %#x overlaps %s", name, r.base+offset, before)
			}
			end, before = offset+size, name
		}
	}
}

func compareFields(t *testing.T, data *dwarf.Data, e *dwarf.Entry, table *Table, typ snapshot.Type) {
	t.Helper()
	if typ.Kind != snapshot.Struct {
		return
	}
	reader := data.Reader()
	reader.Seek(e.Offset)
	if _, err := reader.Next(); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		f, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if f == nil || f.Tag == 0 {
			if i != len(typ.Fields) {
				t.Errorf("%s: %d fields, want %d", typ.Name, len(typ.Fields), i)
			}
			return
		}
		name, _ := f.Val(dwarf.AttrName).(string)
		offset, _ := f.Val(dwarf.AttrDataMemberLoc).(int64)
		embedded, _ := f.Val(dwarf.Attr(attrGoEmbedded)).(bool)
		if i >= len(typ.Fields) {
			continue
		}
		got := typ.Fields[i]
		if embedded {
			name = embeddedName(name)
		}
		if got.Name != name || got.Offset != uint64(offset) || got.Embedded != embedded {
			t.Errorf("%s: field %+v, want %s at %d, embedded: %v", typ.Name, got, name, offset, embedded)
		}
		typ, _ := f.Val(dwarf.AttrType).(dwarf.Offset)
		table.mu.Lock()
		id, err := table.debugType(table.dwarf, uint64(typ))
		table.mu.Unlock()
		if err != nil || id != got.Type {
			types := table.Types()
			t.Errorf("field %s is a %s (%d), want %s (%d), %v", name, types[got.Type].Name, got.Type, types[id].Name, id, err)
		}
	}
}
