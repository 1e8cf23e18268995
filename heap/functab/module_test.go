package functab

import (
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
)

func TestFind(t *testing.T) {
	p := newProgram()
	table := p.open(t)
	for i := range specs() {
		for _, pc := range []uint64{entry(i), entry(i) + 1, entry(i) + codeSize - 1} {
			f, ok := table.Find(pc)
			if !ok || f.Entry != entry(i) || f.End != entry(i)+codeSize || f.StartLine != 10 || f.File != "file.go" {
				t.Fatalf("%#x is in %+v, %v", pc, f, ok)
			}
			if table.IsEntry(pc) != (pc == entry(i)) {
				t.Errorf("IsEntry(%#x) = %v", pc, !table.IsEntry(pc))
			}
		}
	}
	for _, pc := range []uint64{0, textAt - 1, entry(len(specs())), ^uint64(0), heapAt} {
		if f, ok := table.Find(pc); ok || table.IsEntry(pc) {
			t.Errorf("%#x is in %v", pc, f)
		}
		table.Frames(pc, func(string, string, uint32, uint32) { t.Errorf("frames at %#x", pc) })
	}
	if f, _ := table.Find(at(fnCallee)); f.Name != "main.Set[...].callee" || f.Wrapper {
		t.Errorf("%+v", f)
	}
}

func TestPrintable(t *testing.T) {
	for _, test := range []struct{ name, old, new string }{
		{"main.f", "main.f", "main.f"},
		{"main.f[int]", "main.f[...]", "main.f[...]"},
		{"main.(*T[go.shape.string]).get.func1", "main.(*T[...]).get.func1", "main.(*T[...]).get.func1"},
		{"main.f[map[int]string].func1", "main.f[...].func1", "main.f[...].func1"},
		{"main.T[int].get[[]string].func1", "main.T[...].func1", "main.T[...].get[...].func1"},
		{"main.[", "main.[", "main.["},
		{"main.]f[", "main.]f[", "main.]f["},
		{"main.f[a]]", "main.f[...]", "main.f[...]"},
	} {
		if got := printable(test.name, 26); got != test.old {
			t.Errorf("%s: %s, want %s", test.name, got, test.old)
		}
		if got := printable(test.name, 27); got != test.new {
			t.Errorf("%s in Go 1.27: %s, want %s", test.name, got, test.new)
		}
	}
}

type place struct {
	name, file  string
	start, line uint32
}

func places(table *Table, pc uint64) []place {
	var all []place
	table.Frames(pc, func(name, file string, start, line uint32) { all = append(all, place{name, file, start, line}) })
	return all
}

func inliner(parent uint32) spec {
	return spec{
		name: "main.outer", frame: whole(0),
		lines:    []step{{11, 64}, {31, 16}, {22, 16}, {12, codeSize - 96}},
		inlining: []step{{-1, 64}, {1, 16}, {0, 16}, {-1, codeSize - 96}},
		inlined:  []inlinedSpec{{"main.middle[int]", parent, 20}, {"main.inner", 80, 30}},
	}
}

func TestFramesInlined(t *testing.T) {
	table := make1(elf.EM_X86_64, 26, inliner(10)).open(t)
	got := places(table, textAt+70)
	want := []place{{"main.inner", "file.go", 30, 31}, {"main.middle[...]", "file.go", 20, 22}, {"main.outer", "file.go", 10, 11}}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%v, want %v", got, want)
	}
	if got := places(table, textAt+200); len(got) != 1 || got[0] != (place{"main.outer", "file.go", 10, 12}) {
		t.Errorf("%v", got)
	}
	f, _ := table.Find(textAt)
	if file, line := table.Line(f, textAt+70); file != "file.go" || line != 31 {
		t.Errorf("%s:%d", file, line)
	}
	if file, line := table.Line(f, textAt-1); file != "" || line != 0 {
		t.Errorf("%s:%d", file, line)
	}
	if file, line := table.Line(Func{}, textAt); file != "" || line != 0 {
		t.Errorf("%s:%d", file, line)
	}
	// A call that is in itself, and one outside the function.
	for _, parent := range []uint32{80, 1 << 20} {
		if got := places(make1(elf.EM_X86_64, 26, inliner(parent)).open(t), textAt+80); len(got) < 1 || got[len(got)-1].name != "main.outer" {
			t.Errorf("%d frames, parent %d", len(got), parent)
		}
	}
}

func TestWrapper(t *testing.T) {
	for minor, id := range map[int]byte{24: 22, 25: 23, 27: 23} {
		table := make1(elf.EM_X86_64, minor, spec{name: "main.wrapper", id: id}).open(t)
		if f, ok := table.Find(textAt); !ok || !f.Wrapper {
			t.Errorf("1.%d: %+v", minor, f)
		}
	}
}

func TestSections(t *testing.T) {
	p := newProgram()
	n := uint64(len(specs()))
	// The functions from the fourth on lie 64 KiB behind.
	const gap = 64 << 10
	var sections []byte
	for _, v := range []uint64{0, 4 * codeSize, textAt, 4 * codeSize, n * codeSize, entry(4) + gap} {
		sections = binary.LittleEndian.AppendUint64(sections, v)
	}
	p.memory[0x700000] = sections
	m := &p.rt.Modules[0]
	m.TextSectMap = layout.Slice{Data: 0x700000, Len: 2}
	m.Text.End += gap
	table := p.open(t)
	for i := range specs() {
		pc := entry(i)
		if i >= 4 {
			pc += gap
		}
		if f, ok := table.Find(pc + 9); !ok || f.Entry != pc || !table.IsEntry(pc) {
			t.Errorf("function %d: %+v, %v", i, f, ok)
		}
	}
	if f, ok := table.Find(entry(4) + 5); ok || table.IsEntry(entry(4)) {
		t.Errorf("between the sections is %v", f)
	}
	for name, test := range map[string]struct {
		at    int
		value uint64
		want  string
	}{"outside": {5, textAt - 16, "outside"}, "order": {3, 1, "outside"}, "overlap": {1, 5 * codeSize, "not in order"}, "negative": {4, 1, "outside"}} {
		before := binary.LittleEndian.Uint64(sections[test.at*8:])
		binary.LittleEndian.PutUint64(sections[test.at*8:], test.value)
		if _, err := New(p.rt); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		binary.LittleEndian.PutUint64(sections[test.at*8:], before)
	}
}

func TestUnaligned(t *testing.T) {
	p := newProgram()
	p.rt.Modules[0].Text.Start -= 8
	p.rt.Modules[0].Text.End -= 8
	table := p.open(t)
	for i := range specs() {
		if !table.IsEntry(entry(i)-8) || table.IsEntry(entry(i)) || table.IsEntry(entry(i)-7) {
			// Entries are multiples of 16 from the beginning of the text.
			t.Errorf("function %d", i)
		}
	}
	// The linker can be told to align by less.
	p = newProgram()
	ftab := p.rt.Modules[0].FTab.Data
	p.memory.put(ftab+8, (codeSize+4)|p.uint64(ftab+8)&^0xffffffff)
	table = p.open(t)
	if !table.IsEntry(entry(1)+4) || table.IsEntry(entry(1)) || table.IsEntry(entry(1)+3) || !table.IsEntry(entry(2)) {
		t.Error("the entry of an unaligned function is not known")
	}
}

func (p *program) uint64(addr uint64) uint64 {
	var b [8]byte
	if _, err := p.memory.ReadAt(b[:], int64(addr)); err != nil {
		panic(err)
	}
	return binary.LittleEndian.Uint64(b[:])
}

func TestNewRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(p *program, m *layout.Module)
		want   string
	}{
		"machine":   {func(p *program, _ *layout.Module) { p.rt.ELF.Machine = elf.EM_386 }, "machine EM_386"},
		"no binary": {func(p *program, _ *layout.Module) { p.rt.ELF = nil }, "machine EM_NONE"},
		"modules":   {func(p *program, _ *layout.Module) { p.rt.Modules = nil }, "no module"},
		"text":      {func(_ *program, m *layout.Module) { m.Text.End = m.Text.Start }, "want more than nothing"},
		"header":    {func(_ *program, m *layout.Module) { m.PCHeader = 5 }, "header: read at 0x5"},
		"magic":     {func(p *program, m *layout.Module) { p.memory.put(m.PCHeader, 0) }, "not a table of Go 1.20"},
		"quantum":   {func(p *program, m *layout.Module) { p.memory.put(m.PCHeader, magic|8<<56|4<<48) }, "instructions of 4"},
		"functions": {func(p *program, m *layout.Module) { p.memory.put(m.PCHeader+8, 1<<40) }, "1099511627776 functions"},
		"length":    {func(_ *program, m *layout.Module) { m.FTab.Len++ }, "the table has"},
		"order":     {func(p *program, m *layout.Module) { p.memory.put(m.FTab.Data+8, 1<<20) }, "not in order at function 2"},
		"end": {func(p *program, m *layout.Module) {
			p.memory.put(m.FTab.Data+m.FTab.Len*8-8, 1<<20)
		}, "the text ends at"},
		"entries":  {func(_ *program, m *layout.Module) { m.FTab.Data = 8 }, "entries: read"},
		"overflow": {func(_ *program, m *layout.Module) { m.FTab.Data = 1<<63 + 8 }, "not a program's"},
		"sections": {func(_ *program, m *layout.Module) { m.TextSectMap = layout.Slice{Data: 8, Len: 2} }, "sections of text: read"},
		"too many": {func(_ *program, m *layout.Module) { m.TextSectMap = layout.Slice{Data: 8, Len: 1 << 40} }, "sections of text"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram()
			test.change(p, &p.rt.Modules[0])
			if _, err := New(p.rt); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestDamagedFunctions has records that cannot be read: the functions have no name, and stacks are not unwound past
// them.
func TestDamagedFunctions(t *testing.T) {
	const second = 44 + 3*4 + 4*4 // bytes into the records
	for name, test := range map[string]struct {
		change func(p *program, m *layout.Module)
		want   string
	}{
		"offset": {func(_ *program, m *layout.Module) { m.PCLNTable.Len = second }, "offset outside"},
		"entry":  {func(p *program, m *layout.Module) { p.memory.put(m.PCLNTable.Data+second, 7) }, "of another"},
		"name":   {func(_ *program, m *layout.Module) { m.FuncNameTab.Len = 2 }, "name: offset outside"},
		"names":  {func(_ *program, m *layout.Module) { m.FuncNameTab.Data = 16 }, "name: read"},
		"args":   {func(p *program, m *layout.Module) { p.memory.put(m.PCLNTable.Data+second+8, 3) }, "arguments of 3 bytes"},
		"tables": {func(p *program, m *layout.Module) { p.memory.put(m.PCLNTable.Data+second+28, 1<<30) }, "tables by program counter"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram()
			test.change(p, &p.rt.Modules[0])
			table := p.open(t)
			if f, ok := table.Find(at(1)); ok {
				t.Errorf("found %+v", f)
			}
			if w := table.Warnings(); len(w) != 1 || !strings.Contains(w[0], test.want) {
				t.Errorf("warnings %q, want %q", w, test.want)
			}
		})
	}
	// Without the name of its file there is a line, and without lines there is nothing.
	p := newProgram()
	p.rt.Modules[0].CuTab.Len = 0
	if got := places(p.open(t), at(1)); len(got) != 1 || got[0] != (place{"main.caller", "", 10, 12}) {
		t.Errorf("%v", got)
	}
	p.rt.Modules[0].CuTab.Len, p.rt.Modules[0].FileTab.Len = 1, 0
	if got := places(p.open(t), at(1)); len(got) != 1 || got[0] != (place{"main.caller", "", 10, 12}) {
		t.Errorf("%v", got)
	}
	p.rt.Modules[0].PCTab.Len = 0
	if got := places(p.open(t), at(1)); len(got) != 1 || got[0] != (place{"main.caller", "", 10, 0}) {
		t.Errorf("%v", got)
	}
}

func TestKinds(t *testing.T) {
	for k := range FrameKind(6) {
		if (k.String() == "unknown") != (k > Deferred) {
			t.Errorf("kind %d is %q", k, k)
		}
	}
}

func TestWarningsAreBounded(t *testing.T) {
	var w warnings
	for i := range 1000 {
		w.add(strings.Repeat("x", i/2))
	}
	if n := len(w.list()); n != maxWarnings {
		t.Errorf("%d warnings", n)
	}
}

// BenchmarkIsEntry asks of words as they are on a heap: hardly any is in a text.
func BenchmarkIsEntry(b *testing.B) {
	table := newProgram().open(b)
	for name, step := range map[string]uint64{"heap": 1 << 20, "text": 16} {
		b.Run(name, func(b *testing.B) {
			found := 0
			word := uint64(textAt)
			for b.Loop() {
				if table.IsEntry(word) {
					found++
				}
				if word += step; step == 16 && word > entry(12) {
					word = textAt
				}
			}
			_ = found
		})
	}
}

func BenchmarkFind(b *testing.B) {
	table := newProgram().open(b)
	pc := uint64(textAt)
	for b.Loop() {
		table.Find(pc)
		if pc += 48; pc >= entry(12) {
			pc = textAt
		}
	}
}
