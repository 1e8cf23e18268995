package gotype

import (
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// report is what testdata/target says of itself, as package reflect has it.
type report struct {
	Types []struct {
		Name, PkgPath string
		Kind          snapshot.Kind
		Size, Word    uint64
		Elem, Key     string
		Len           uint64
		Fields        []struct {
			Name, Type string
			Offset     uint64
			Embedded   bool
		}
	}
	Ifaces []struct {
		Word uint64
		Name string
	}
	Parked, In, Next uint64
}

func checkTypes(t *testing.T, table *Table, r *report) {
	t.Helper()
	for _, want := range r.Types {
		id, err := table.ByAddress(want.Word)
		if err != nil {
			t.Errorf("%s: %v", want.Name, err)
			continue
		}
		types := table.Types()
		got := types[id]
		if got.Name != want.Name || got.Kind != want.Kind || got.Size != want.Size || types[got.Elem].Name != want.Elem ||
			types[got.Key].Name != want.Key || got.Len != want.Len || got.DebugOnly {
			t.Errorf("%s: got %+v, element %s, key %s; want %+v", want.Name, got, types[got.Elem].Name,
				types[got.Key].Name, want)
		}
		if got.PkgPath != want.PkgPath {
			t.Errorf("%s: package %q, want %q", want.Name, got.PkgPath, want.PkgPath)
		}
		if !table.IsTypeWord(want.Word) {
			t.Errorf("%s: the address of its descriptor is no type word", want.Name)
		}
		if table.IsTypeWord(want.Word+1) || table.IsTypeWord(want.Word+8) || table.IsTypeWord(want.Word-8) {
			t.Errorf("%s: words beside its descriptor's address are type words", want.Name)
		}
		made := table.regionOf(want.Word) == nil
		if (got.Kind == snapshot.Map) != (got.Group != 0) && !(table.oldMaps && made) {
			t.Errorf("%s: group %d", want.Name, got.Group)
		} else if group := types[got.Group]; got.Group != 0 && !strings.HasPrefix(group.Name, "map.group[") &&
			!strings.HasPrefix(group.Name, "map.bucket[") && !strings.HasPrefix(group.Name, "struct {") {
			t.Errorf("%s: group %s", want.Name, group.Name)
		}
		if len(got.Fields) != len(want.Fields) {
			t.Errorf("%s: %d fields, want %d", want.Name, len(got.Fields), len(want.Fields))
			continue
		}
		for i, f := range want.Fields {
			g := got.Fields[i]
			if g.Name != f.Name || types[g.Type].Name != f.Type || g.Offset != f.Offset || g.Embedded != f.Embedded {
				t.Errorf("%s: field %+v of type %s, want %+v", want.Name, g, types[g.Type].Name, f)
			}
		}
	}
}

func checkInterfaces(t *testing.T, table *Table, r *report) {
	t.Helper()
	for _, want := range r.Ifaces {
		id, ok := table.Dynamic(want.Word)
		if made := table.regionOf(want.Word) == nil && table.itabs.find(want.Word) == unknown; !ok && made {
			continue // package reflect made the type, and nobody has asked for it yet
		}
		if name := table.Types()[id].Name; !ok || name != want.Name {
			t.Errorf("interface word %#x: %q, %v, want %s", want.Word, name, ok, want.Name)
		}
	}
	for _, word := range []uint64{
		0, 1, 7, 8, r.In, r.Parked, r.Next, ^uint64(0), table.regions[0].base, table.modules[0].text.Start,
	} {
		if id, ok := table.Dynamic(word); ok {
			t.Errorf("%#x is a type word, of %s", word, table.Types()[id].Name)
		}
	}
}

// checkConsistent checks what holds for every table.
func checkConsistent(t *testing.T, table *Table) {
	t.Helper()
	types := table.Types()
	if types[0].Name != "" || types[0].Kind != snapshot.Invalid {
		t.Errorf("the unknown type is %+v", types[0])
	}
	for i, typ := range types[1:] {
		if typ.Kind == snapshot.Invalid || typ.Kind > snapshot.UnsafePointer || typ.Name == "" || typ.PtrBytes > typ.Size {
			t.Errorf("type %d: %+v", i+1, typ)
		}
		for _, id := range []snapshot.TypeID{typ.Elem, typ.Key, typ.Group} {
			if int(id) >= len(types) {
				t.Errorf("type %d: %+v refers to types that are not there", i+1, typ)
			}
		}
		if typ.DirectIface != table.directIface(&typ) {
			t.Errorf("%s: direct: %v, with %d bytes, pointers in %d", typ.Name, typ.DirectIface, typ.Size, typ.PtrBytes)
		}
		for _, f := range typ.Fields {
			if f.Offset > typ.Size || int(f.Type) >= len(types) {
				t.Errorf("type %s: field %+v", typ.Name, f)
			}
		}
	}
}

func checkGlobals(t *testing.T, table *Table, debug, symbols bool) {
	t.Helper()
	globals, err := table.Globals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !debug && !symbols {
		if len(globals) != 0 {
			t.Errorf("a stripped program has the variable %s", globals[0].Name)
		}
		return
	}
	types, found, end := table.Types(), make(map[string][]string), uint64(0)
	for _, v := range globals {
		if v.Addr < end || v.Size == 0 || !table.inData(v.Addr) {
			t.Errorf("variable %+v", v)
		}
		end = v.Addr + v.Size
		found[v.Name] = append(found[v.Name], types[v.Type].Name)
		if size := types[v.Type].Size; v.Type != 0 && size != v.Size {
			t.Errorf("variable %s has %d bytes and a type of %d", v.Name, v.Size, size)
		}
	}
	for name, want := range map[string][]string{
		"main.globalCache":                     {"*main.Cache[string,*main.User]", "main.Cache[string,*main.User]"},
		"main.globalItems":                     {"main.Cache[example.com/target/inner%2ev2.Item,int]"},
		"main.globalSession":                   {"*main.Session"},
		"main.globalDebug":                     {"main.debugOnly"},
		"main.globalHeader":                    {"main.Header"},
		"main.globalAnything":                  {"[]interface {}"},
		"main.globalNext":                      {"func() string"},
		"main.globalPoint":                     {"*struct { Inner *main.debugOnly }", "struct { Inner *main.debugOnly }"},
		"main.globalPoint.Inner":               {"main.debugOnly"},
		"main.globalRows":                      {"[]*main.User", "[2]*main.User"},
		"main.globalRows[…]":                   {"main.User"},
		"main.globalBoxed":                     {"interface {}", "main.Session"},
		"main.globalCount":                     {"int"},
		"net/http.nothing":                     nil,
		"example.com/target/inner.v2.Registry": {"map[string]*inner.Item"},
	} {
		got := found[name]
		if !debug { // the symbol table knows neither types nor what variables point to
			if strings.Contains(strings.TrimPrefix(name, "main.global"), ".") || strings.Contains(name, "[") {
				continue
			}
			for i := range want {
				want[i] = ""
			}
			want = want[:min(1, len(want))]
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("variable %s has types %q, want %q", name, got, want)
			}
		}
	}
}

func checkClosure(t *testing.T, table *Table, r *report) {
	t.Helper()
	entry, err := table.mem.word(r.Next)
	if err != nil {
		t.Fatal(err)
	}
	captured, err := table.Captured(entry)
	if err != nil {
		t.Fatal(err)
	}
	type variable struct {
		name, typ   string
		offset      int64
		start, size uint64
	}
	want := []variable{{"n", "*int", 8, 0, 8}, {"prefix", "string", 16, 0, 16}, {"users", "[]*main.User", 32, 0, 24}}
	var got []variable
	for _, l := range captured {
		got = append(got, variable{l.Name, table.Types()[l.Type].Name, l.Offset, l.Start, l.Size})
	}
	if len(got) != len(want) {
		t.Fatalf("the closure holds %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("the closure holds %v, want %v", got[i], want[i])
		}
	}
	length, err := table.mem.word(r.Next + uint64(got[2].offset) + 8)
	if err != nil || length != 2 {
		t.Errorf("captured users have the length %d, %v, want 2", length, err)
	}
}
