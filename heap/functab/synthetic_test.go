package functab

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
)

// Addresses of a made process.
const (
	textAt   = 0x400000
	tablesAt = 0x800000
	goAt     = 0xa00000
	stackAt  = 0xc000100000
	stackTop = stackAt + 0x8000
	heapAt   = 0xc000800000
)

// image is the memory of a made process.
type image map[uint64][]byte

func (m image) ReadAt(p []byte, off int64) (int, error) {
	for at, data := range m {
		if o := uint64(off) - at; o < uint64(len(data)) {
			n := copy(p, data[o:])
			if n < len(p) {
				return n, io.EOF
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("%#x is not mapped", off)
}

func (m image) put(addr, value uint64) {
	for at, data := range m {
		if o := addr - at; o < uint64(len(data)) {
			binary.LittleEndian.PutUint64(data[o:], value)
			return
		}
	}
	panic(fmt.Sprintf("%#x is not mapped", addr))
}

// step is a value that holds for so many bytes of code.
type step struct {
	value int32
	bytes uint32
}

// spec is a made function of 256 bytes of code.
type spec struct {
	name        string
	args        int32
	deferReturn uint32
	id, flags   byte
	frame       []step // nil: no table
	maps        []step // numbers of stack maps; nil: no table
	locals      [][]byte
	localWords  int
	argMaps     [][]byte
	argWords    int
	objects     []objectSpec
	inlined     []inlinedSpec
	inlining    []step
	lines       []step
}

type objectSpec struct {
	offset, size int32
	mask         []byte
	words        int32
}

type inlinedSpec struct {
	name   string
	parent uint32
	start  uint32
}

const codeSize = 256

// program makes a process of functions, the i-th at entry(i).
type program struct {
	rt                       *layout.Runtime
	memory                   image
	names, pcs, records, gof []byte
	quantum                  uint32
}

func entry(i int) uint64 { return textAt + uint64(i)*codeSize }

func (p *program) name(s string) uint32 {
	at := len(p.names)
	p.names = append(append(p.names, s...), 0)
	return uint32(at)
}

// table encodes steps; 0 is no table.
func (p *program) table(steps []step) uint32 {
	if steps == nil {
		return 0
	}
	at := uint32(len(p.pcs))
	last := int32(-1)
	for _, s := range steps {
		d := s.value - last
		p.pcs = binary.AppendUvarint(p.pcs, uint64(uint32(d<<1^d>>31)))
		p.pcs = binary.AppendUvarint(p.pcs, uint64(s.bytes/p.quantum))
		last = s.value
	}
	p.pcs = append(p.pcs, 0)
	return at
}

// stackMaps writes a runtime.stackmap and returns its offset.
func (p *program) stackMaps(maps [][]byte, words int) uint32 {
	if maps == nil {
		return ^uint32(0)
	}
	at := uint32(len(p.gof))
	p.gof = binary.LittleEndian.AppendUint32(p.gof, uint32(len(maps)))
	p.gof = binary.LittleEndian.AppendUint32(p.gof, uint32(words))
	for _, m := range maps {
		p.gof = append(p.gof, m...)
	}
	p.align()
	return at
}

func (p *program) align() {
	for len(p.gof)%8 != 0 {
		p.gof = append(p.gof, 0)
	}
}

func (p *program) objects(specs []objectSpec) uint32 {
	if specs == nil {
		return ^uint32(0)
	}
	var masks []uint32
	for _, o := range specs {
		masks = append(masks, uint32(len(p.gof)))
		p.gof = append(p.gof, o.mask...)
	}
	p.align()
	at := uint32(len(p.gof))
	p.gof = binary.LittleEndian.AppendUint64(p.gof, uint64(len(specs)))
	for i, o := range specs {
		for _, v := range []uint32{uint32(o.offset), uint32(o.size), uint32(o.words * 8), masks[i]} {
			p.gof = binary.LittleEndian.AppendUint32(p.gof, v)
		}
	}
	return at
}

func (p *program) inlined(specs []inlinedSpec) uint32 {
	if specs == nil {
		return ^uint32(0)
	}
	at := uint32(len(p.gof))
	for _, s := range specs {
		p.gof = append(p.gof, 0, 0, 0, 0)
		for _, v := range []uint32{p.name(s.name), s.parent, s.start} {
			p.gof = binary.LittleEndian.AppendUint32(p.gof, v)
		}
	}
	p.align()
	return at
}

// make1 makes a process with one file, file.go, in which each function begins at line 10.
func make1(machine elf.Machine, minor int, specs ...spec) *program {
	p := &program{names: []byte{0}, pcs: []byte{0}, quantum: 1}
	if machine == elf.EM_AARCH64 {
		p.quantum = 4
	}
	var offsets []uint32
	for i, s := range specs {
		offsets = append(offsets, uint32(len(p.records)))
		r := p.records
		pcdata := []uint32{0, p.table(s.maps), p.table(s.inlining)}
		funcdata := []uint32{
			p.stackMaps(s.argMaps, s.argWords), p.stackMaps(s.locals, s.localWords), p.objects(s.objects), p.inlined(s.inlined),
		}
		lines := s.lines
		if lines == nil {
			lines = []step{{12, codeSize}}
		}
		for _, v := range []uint32{
			uint32(i) * codeSize, p.name(s.name), uint32(s.args), s.deferReturn, p.table(s.frame),
			p.table([]step{{0, codeSize}}), p.table(lines), uint32(len(pcdata)), 0, 10,
		} {
			r = binary.LittleEndian.AppendUint32(r, v)
		}
		r = append(r, s.id, s.flags, 0, byte(len(funcdata)))
		for _, v := range slices.Concat(pcdata, funcdata) {
			r = binary.LittleEndian.AppendUint32(r, v)
		}
		p.records = r
	}
	p.assemble(machine, minor, offsets)
	return p
}

func (p *program) assemble(machine elf.Machine, minor int, offsets []uint32) {
	var tables []byte
	part := func(b []byte, size uint64) layout.Slice {
		for len(tables)%8 != 0 {
			tables = append(tables, 0)
		}
		at := uint64(tablesAt + len(tables))
		tables = append(tables, b...)
		return layout.Slice{Data: at, Len: uint64(len(b)) / size}
	}
	var ftab []byte
	for i, o := range append(offsets, 0) {
		ftab = binary.LittleEndian.AppendUint32(ftab, uint32(i)*codeSize)
		ftab = binary.LittleEndian.AppendUint32(ftab, o)
	}
	header := binary.LittleEndian.AppendUint32(nil, magic)
	header = append(header, 0, 0, byte(p.quantum), 8)
	header = binary.LittleEndian.AppendUint64(header, uint64(len(offsets)))
	m := layout.Module{
		Text:     layout.Range{Start: textAt, End: entry(len(offsets))},
		PCHeader: part(header, 1).Data, FuncNameTab: part(p.names, 1), CuTab: part(make([]byte, 4), 4),
		FileTab: part([]byte("file.go\x00"), 1), PCTab: part(p.pcs, 1), PCLNTable: part(p.records, 1), FTab: part(ftab, 8),
		GoFunc: goAt, Rodata: goAt,
	}
	p.memory = image{
		tablesAt: tables, goAt: append(p.gof, make([]byte, 64)...), stackAt: make([]byte, stackTop-stackAt), heapAt: make([]byte, 4096),
	}
	p.rt = &layout.Runtime{
		Process: layout.Process{Memory: p.memory}, Minor: minor, ELF: &elf.File{FileHeader: elf.FileHeader{Machine: machine}},
		Modules: []layout.Module{m},
	}
}

func (p *program) open(t testing.TB) *Table {
	t.Helper()
	table, err := New(p.rt)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// frames unwinds a stack of the made process.
func frames(t testing.TB, table *Table, g layout.G) []Frame {
	t.Helper()
	g.StackLo, g.StackHi = stackAt, stackTop
	var all []Frame
	err := table.Unwind(g, func(f Frame) error {
		f.Words = slices.Clone(f.Words)
		all = append(all, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// describe writes frames as "name[!]: offset from the top=value …"; ! is conservative.
func describeFrames(all []Frame) []string {
	var lines []string
	for _, f := range all {
		line := f.Kind.String()
		if f.Kind == Call {
			line = f.Func.Name
		}
		if f.PC == 0 && f.Kind == Call {
			line += "+"
		}
		if f.Conservative {
			line += "!"
		}
		for _, w := range f.Words {
			if w.Addr >= stackAt && w.Addr < stackTop {
				line += fmt.Sprintf(" %d=%x", int64(w.Addr-stackTop), w.Value)
			} else {
				line += fmt.Sprintf(" =%x", w.Value)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func expect(t testing.TB, all []Frame, want ...string) {
	t.Helper()
	if got := describeFrames(all); !slices.Equal(got, want) {
		t.Errorf("frames\n%q\nwant\n%q", got, want)
	}
}
