package gotype

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// checkBounded checks what must hold whatever the process's memory says.
func checkBounded(t *testing.T, table *Table) {
	t.Helper()
	types := table.Types()
	for i, typ := range types {
		if typ.PtrBytes > typ.Size || len(typ.Name) > maxNameLen || len(typ.Fields) > maxPerStruct || typ.Size > maxSize {
			t.Fatalf("type %d: %+v", i, typ)
		}
		for _, id := range []snapshot.TypeID{typ.Elem, typ.Key, typ.Group} {
			if int(id) >= len(types) {
				t.Fatalf("type %d: %+v", i, typ)
			}
		}
		for _, f := range typ.Fields {
			if int(f.Type) >= len(types) {
				t.Fatalf("type %d: %+v", i, typ)
			}
		}
	}
}

// testDamagedMemory changes bytes of the descriptors of a program.
func testDamagedMemory(t *testing.T, s source) {
	whole, _ := s.process.Memory.(image)
	for seed := range damages(10) {
		r := rand.New(rand.NewPCG(seed, seed))
		m := image{whole.base, bytes.Clone(whole.bytes)}
		types := s.modules[0].types
		for range 1 << r.Uint64N(16) {
			m.bytes[types.Start-m.base+r.Uint64N(types.Size())] = byte(r.Uint32())
		}
		s.process.Memory = m
		table, err := newTable(s)
		if err != nil {
			continue // an interface table of the linker's is damaged: refused
		}
		if err := table.LoadAll(t.Context()); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if _, err := table.Globals(t.Context()); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		checkBounded(t, table)
	}
}

// damages is how many damaged programs are read: with -long so many, else a few.
func damages(all uint64) uint64 {
	if *long {
		return all
	}
	return (all + 3) / 4
}

// testDamagedDWARF changes bytes of the debug information of a program.
func testDamagedDWARF(t *testing.T, s source) {
	whole, err := openDWARF(s.binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := whole.readLists(); err != nil {
		t.Fatal(err)
	}
	for seed := range damages(100) {
		r := rand.New(rand.NewPCG(seed, seed))
		d := newDWARF(s.binary)
		sections := []struct{ from, to *[]byte }{
			{&whole.info, &d.info}, {&whole.abbrev, &d.abbrev}, {&whole.addr, &d.addr}, {&whole.rngLists, &d.rngLists},
			{&whole.locLists, &d.locLists},
		}
		for _, section := range sections {
			*section.to = bytes.Clone(*section.from)
		}
		d.listsRead = true
		if seed%2 == 0 { // else the damage is seen only when something is asked for
			if err := d.indexAll(); err != nil {
				t.Fatal(err)
			}
		}
		for _, section := range sections {
			for range r.Uint64N(1 << r.Uint64N(16)) {
				(*section.to)[r.IntN(len(*section.to))] = byte(r.Uint32())
			}
		}
		exerciseDWARF(t, s, d)
	}
}

// exerciseDWARF asks for all that debug information is there for; errors are as good as answers.
func exerciseDWARF(t *testing.T, s source, d *dwarfData) {
	t.Helper()
	table, err := newTable(s)
	if err != nil {
		t.Fatal(err)
	}
	table.dwarf = d
	if d.units == nil {
		if err := d.indexAll(); err != nil && !errors.Is(err, errDWARF) {
			t.Errorf("index: %v", err)
		}
	}
	if _, err := table.Globals(t.Context()); err != nil && !errors.Is(err, errDWARF) && !errors.Is(err, errBounds) {
		t.Errorf("globals: %v", err)
	}
	for i, f := range d.functions {
		if i%16 != 0 {
			continue
		}
		if _, err := table.Locals(f.entry, f.entry+40); err != nil && !errors.Is(err, errDWARF) {
			t.Errorf("locals: %v", err)
		}
		if _, err := table.Captured(f.entry); err != nil && !errors.Is(err, errDWARF) {
			t.Errorf("captured: %v", err)
		}
	}
	checkBounded(t, table)
}

// memoryAt is a few bytes of memory at an address.
const memoryAt = 0x10000

func smallTable(t testing.TB, memory []byte, minor int) *Table {
	t.Helper()
	table, err := newTable(source{
		process: layout.Process{Memory: image{memoryAt, memory}},
		minor:   minor,
		modules: []module{{
			text:  layout.Range{Start: 0x8000, End: 0x9000},
			types: layout.Range{Start: memoryAt, End: memoryAt + uint64(len(memory))},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// descriptor writes an abi.Type whose name is at an offset, and what follows it.
func descriptor(size, ptrBytes uint64, flags, align, kind byte, str int32, parts ...uint64) []byte {
	b := u64(size, ptrBytes, 0)
	b[20], b[21], b[22], b[23] = flags, align, align, kind
	b = append(b, u64(0)...)
	mask := uint64(0)
	if ptrBytes > 0 {
		mask = memoryAt
	}
	b = append(b, u64(mask)...)
	b = binary.LittleEndian.AppendUint32(b, uint32(str))
	b = append(b, 0, 0, 0, 0)
	return append(b, u64(parts...)...)
}

// TestDescriptors decodes descriptors that are wrong in one respect each.
func TestDescriptors(t *testing.T) {
	const names, at, other = 8, 0x100, 0x200
	lay := func(first, second []byte) []byte {
		b := make([]byte, 0x400)
		copy(b[names:], "\x00\x04*int\x00\x07[]int64\x00\x0bstruct { a }\x00\x01a\x00\x80\x80\x80\x80\x80\x01")
		copy(b[at:], first)
		copy(b[other:], second)
		return b
	}
	number := descriptor(8, 0, flagExtraStar, 8, byte(snapshot.Int), names)
	pointer := func(to uint64) []byte {
		return descriptor(8, 8, flagDirect, 8, byte(snapshot.Pointer), names, to)
	}
	structOf := func(size, pointers, data, length, capacity uint64) []byte {
		return descriptor(size, pointers, 0, 8, byte(snapshot.Struct), 23, 0, data, length, capacity)
	}
	field := func(name, typ, offset uint64) []byte {
		return append(number, u64(0, 0, name, typ, offset)...) // behind the second descriptor, at other + 64
	}
	const fieldAt, nameA = memoryAt + other + 64, memoryAt + 37
	for _, c := range []struct {
		name          string
		first, second []byte
		want          string // its name if it is right
	}{
		{"number", number, nil, "int"},
		{"pointer", pointer(memoryAt + other), number, "*int"},
		{"pointer to itself", pointer(memoryAt + at), nil, "*int"},
		{"pointer to nothing", pointer(0), nil, ""},
		{"pointer to no descriptor", pointer(memoryAt + other), nil, ""},
		{"pointer out of memory", pointer(0x7fffffff0000), nil, ""},
		{"pointer beside", pointer(memoryAt + other + 1), number, ""},
		{"kind 0", descriptor(8, 0, 0, 8, 0, names), nil, ""},
		{"kind 27", descriptor(8, 0, 0, 8, 27, names), nil, ""},
		{"flags", descriptor(8, 0, 0x80, 8, 2, names), nil, ""},
		{"alignment", descriptor(8, 0, flagExtraStar, 3, 2, names), nil, ""},
		{"size", descriptor(7, 0, flagExtraStar, 1, 2, names), nil, ""},
		{"huge", descriptor(1<<60, 0, 0, 8, 25, 23, 0, 0, 0, 0), nil, ""},
		{"name outside", descriptor(8, 0, 0, 8, 2, 0x7fffffff), nil, ""},
		{"no name", descriptor(8, 0, 0, 8, 2, 0), nil, ""},
		{"no star", descriptor(24, 8, flagExtraStar, 8, 23, 14, memoryAt+other), number, ""},
		{"long name", descriptor(8, 0, 0, 8, 2, 40), nil, ""},
		{"name of another kind", descriptor(24, 8, 0, 8, 23, names, memoryAt+other), number, ""},
		{"slice", descriptor(24, 8, 0, 8, 23, 14, memoryAt+other), number, "[]int64"},
		{"pointers in too much", descriptor(24, 16, 0, 8, 23, 14, memoryAt+other), number, ""},
		{"empty struct", structOf(0, 0, 0, 0, 0), nil, "struct { a "},
		{"struct", structOf(8, 0, fieldAt, 1, 1), field(nameA, memoryAt+other, 0), "struct { a "},
		{"field behind the end", structOf(8, 0, fieldAt, 1, 1), field(nameA, memoryAt+other, 8), ""},
		{"field without a name", structOf(8, 0, fieldAt, 1, 1), field(0, memoryAt+other, 0), ""},
		{"field without a type", structOf(8, 0, fieldAt, 1, 1), field(nameA, 0, 0), ""},
		{"more pointers than fields", structOf(8, 8, fieldAt, 1, 1), field(nameA, memoryAt+other, 0), ""},
		{"many fields", structOf(8, 0, fieldAt, 1<<40, 1<<40), field(nameA, memoryAt+other, 0), ""},
		{"more fields than room", structOf(8, 0, fieldAt, 2, 1), field(nameA, memoryAt+other, 0), ""},
		{"fields out of memory", structOf(8, 0, 0x7fff0000, 1, 1), number, ""},
		{"array", descriptor(16, 0, 0, 8, 17, 14, memoryAt+other, 0, 2), number, "[]int64"},
		{"array of another size", descriptor(16, 0, 0, 8, 17, 14, memoryAt+other, 0, 3), number, ""},
		{"array of a huge length", descriptor(16, 0, 0, 8, 17, 14, memoryAt+other, 0, 1<<61+2), number, ""},
		{"array with pointers", descriptor(16, 8, 0, 8, 17, 14, memoryAt+other, 0, 2), number, ""},
	} {
		table := smallTable(t, lay(c.first, c.second), 26)
		id, err := table.ByAddress(memoryAt + at)
		if (err == nil) != (c.want != "") || table.Types()[id].Name != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, table.Types()[id].Name, err, c.want)
		}
		if got := table.IsTypeWord(memoryAt + at); got != (c.want != "") {
			t.Errorf("%s: a type word: %v", c.name, got)
		}
		if err != nil && table.Len() != 1 {
			t.Errorf("%s: %d types are left behind", c.name, table.Len()-1)
		}
		if _, again := table.ByAddress(memoryAt + at); (again == nil) != (err == nil) {
			t.Errorf("%s: %v, and then %v", c.name, err, again)
		}
	}
}

// TestBudget checks that hostile memory cannot make the table grow without end.
func TestBudget(t *testing.T) {
	b := budget{types: 2, fields: 1, nameBytes: 3}
	if err := b.take(&b.types, 2, "types"); err != nil {
		t.Error(err)
	}
	if err := b.take(&b.types, 1, "types"); !errors.Is(err, errBounds) {
		t.Error(err)
	}
}

// testRefusal uses up the bounds, cancels, and leaves out modules.
func testRefusal(t *testing.T, s source) {
	table, err := newTable(s)
	if err != nil {
		t.Fatal(err)
	}
	table.spent.types = 50
	if err := table.LoadAll(t.Context()); !errors.Is(err, errBounds) {
		t.Errorf("50 types left: %v", err)
	}
	if _, err := table.Globals(t.Context()); !errors.Is(err, errBounds) {
		t.Errorf("no types left: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if table, err = newTable(s); err != nil {
		t.Fatal(err)
	}
	if err := table.LoadAll(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := table.Globals(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := newTable(source{}); err == nil {
		t.Error("no module is no error")
	}
	if _, err := newTable(source{modules: []module{{}}}); err == nil {
		t.Error("a module without types is no error")
	}
}

// FuzzDescriptors takes bytes for the descriptors of a module.
func FuzzDescriptors(f *testing.F) {
	f.Add(concat(make([]byte, 8), []byte("\x00\x04*int\x00\x00"), descriptor(8, 0, flagExtraStar, 8, 2, 8)), uint8(26))
	f.Add(concat([]byte("\x00\x01*\x00\x04*int"), descriptor(8, 8, 0, 8, 22|flagDirect, 4, memoryAt+16)), uint8(24))
	f.Fuzz(func(t *testing.T, memory []byte, minor uint8) {
		if len(memory) == 0 || len(memory) > 1<<16 {
			return
		}
		table := smallTable(t, memory, 24+int(minor%4))
		for at := uint64(0); at < uint64(len(memory)); at += 8 {
			word := memoryAt + at
			id, ok := table.Dynamic(word)
			if again, err := table.ByAddress(word); ok != (err == nil) || again != id {
				t.Fatalf("%#x: %d, %v, then %d, %v", word, id, ok, again, err)
			}
		}
		if err := table.LoadAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkBounded(t, table)
	})
}

// FuzzDWARF takes bytes for the entries and abbreviations of debug information.
func FuzzDWARF(f *testing.F) {
	s := openImage(f, build(f, "", nil), localMinor(f))
	whole, err := openDWARF(s.binary)
	if err != nil {
		f.Fatal(err)
	}
	if err := whole.readLists(); err != nil {
		f.Fatal(err)
	}
	for _, u := range whole.units[:min(4, len(whole.units))] {
		f.Add(whole.info[u.start:u.end], whole.abbrev, whole.locLists[:1<<10])
	}
	f.Fuzz(func(t *testing.T, info, abbrev, lists []byte) {
		d := newDWARF(s.binary)
		d.info, d.abbrev, d.locLists, d.rngLists, d.addr, d.str = info, abbrev, lists, lists, lists, lists
		d.listsRead = true
		exerciseDWARF(t, s, d)
	})
}

// FuzzReflectName rewrites any name.
func FuzzReflectName(f *testing.F) {
	for _, name := range []string{"*x/y.T", "struct { x/y.a int \"t\" }", "main.G[x/y.T]·1", "func(...) [", "%2e·"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		table := new(Table)
		if got := table.reflectName(name); len(got.name) > len(name) {
			t.Errorf("%q became %q", name, got.name)
		}
		embeddedName(name)
	})
}

// TestMemory reads across blocks and behind the end.
func TestMemory(t *testing.T) {
	content := make([]byte, 3*blockSize+100)
	for i := range content {
		content[i] = byte(i * 7)
	}
	m := memory{r: image{memoryAt, content}}
	for _, c := range []struct {
		at uint64
		n  int
	}{{0, 1}, {blockSize - 1, 2}, {blockSize, blockSize}, {3*blockSize + 50, 50}, {5, 2 * blockSize}} {
		got, err := m.bytes(memoryAt+c.at, c.n)
		if err != nil || !slices.Equal(got, content[c.at:][:c.n]) {
			t.Errorf("%d bytes at %d: %v", c.n, c.at, err)
		}
	}
	for _, addr := range []uint64{0, ^uint64(0), maxAddress, memoryAt - 1, memoryAt + uint64(len(content)) - 7} {
		if _, err := m.word(addr); err == nil {
			t.Errorf("a word at %#x", addr)
		}
	}
	for number := range uint64(maxBlocks + 10) {
		m.block(number)
	}
	if len(m.blocks) > maxBlocks {
		t.Errorf("%d blocks are kept", len(m.blocks))
	}
	table := smallTable(t, []byte("\x00\xff\xff\xff\xff\xff\x01\x00"), 26)
	if _, err := table.name(memoryAt); err == nil || !strings.Contains(err.Error(), "length") {
		t.Errorf("an endless length: %v", err)
	}
}
