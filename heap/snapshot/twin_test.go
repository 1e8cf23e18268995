package snapshot

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"testing"
)

// twin is a second reader, written after docs/format/snapshot.md alone and as simply as can be: it believes its file.
// It shares the model with the Reader, and nothing else.
type twin struct {
	in      []byte
	texts   []string
	out     *contents
	end     uint64 // of the last span
	object  ObjectID
	scanned []ObjectID // object of each record
}

func (t *twin) bytes(n int) []byte {
	b := t.in[:n]
	t.in = t.in[n:]
	return b
}

func (t *twin) u32() uint32   { return binary.LittleEndian.Uint32(t.bytes(4)) }
func (t *twin) u64() uint64   { return binary.LittleEndian.Uint64(t.bytes(8)) }
func (t *twin) f64() float64  { return math.Float64frombits(t.u64()) }
func (t *twin) oneByte() byte { return t.bytes(1)[0] }
func (t *twin) id() uint32    { return uint32(t.uint()) }

func (t *twin) uint() (v uint64) {
	for shift := 0; ; shift += 7 {
		b := t.oneByte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
}

func (t *twin) int() int64 {
	v := t.uint()
	if v%2 == 0 {
		return int64(v / 2)
	}
	return -int64(v/2) - 1
}

func (t *twin) text() string {
	n := t.uint()
	if n%2 == 1 {
		return t.texts[(n-1)/2]
	}
	s := string(t.bytes(int(n / 2)))
	if s != "" {
		t.texts = append(t.texts, s)
	}
	return s
}

// readTwin reads a whole file.
func readTwin(file []byte) (*contents, error) {
	t := &twin{out: new(contents)}
	t.out.Types, t.out.Functions, t.out.Shapes, t.out.Stacks = make([]Type, 1), make([]Function, 1), make([]Shape, 1), make([]Stack, 1)
	rest, found := bytes.CutPrefix(file, []byte("memwarden heap snapshot 1\n"))
	if !found {
		return nil, fmt.Errorf("no first line")
	}
	for number := uint32(0); len(rest) > 0; number++ {
		t.in = rest[:48]
		sum := crc32.Checksum(rest[:44], crc32.MakeTable(crc32.Castagnoli))
		kind, flags, count, _, stored, raw := t.u32(), t.u32(), t.u64(), t.u64(), t.u64(), t.u32()
		if n := t.u32(); n != number {
			return nil, fmt.Errorf("chunk %d calls itself %d", number, n)
		}
		payload := rest[48 : 48+stored]
		if crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)) != t.u32() || sum != t.u32() {
			return nil, fmt.Errorf("chunk %d: checksums", number)
		}
		rest = rest[48+stored:]
		if flags&2 != 0 {
			payload, _ = io.ReadAll(flate.NewReader(bytes.NewReader(payload)))
			if len(payload) != int(raw) {
				return nil, fmt.Errorf("chunk %d: %d bytes unfolded, not %d", number, len(payload), raw)
			}
		}
		t.in, t.texts = payload, nil
		t.chunk(kind, flags, int(count))
		if len(t.in) > 0 {
			return nil, fmt.Errorf("chunk %d of kind %d: %d bytes left", number, kind, len(t.in))
		}
	}
	return t.out, nil
}

func (t *twin) chunk(kind, flags uint32, count int) {
	switch kind {
	case 1:
		t.header()
		return
	case 3:
		t.block(flags, count)
		return
	case 12:
		t.summary()
		return
	}
	last := int64(0)
	object := func() ObjectID {
		last += t.int()
		return ObjectID(last)
	}
	c := t.out
	for range count {
		switch kind {
		case 2:
			t.span()
		case 4:
			c.Types = append(c.Types, t.typ())
		case 5:
			c.Functions = append(c.Functions, Function{Name: t.text(), File: t.text(), Line: t.id(), Closure: TypeID(t.id())})
		case 6:
			c.Shapes = append(c.Shapes, t.shape())
		case 7:
			c.Roots = append(c.Roots, t.root())
		case 8:
			c.Goroutines = append(c.Goroutines, Goroutine{ID: t.uint(), State: t.text(), CreatedBy: FuncID(t.id()), Frames: t.frames()})
		case 9:
			c.Weak = append(c.Weak, Weak{object()})
		case 10:
			c.Sampled = append(c.Sampled, Sampled{object(), StackID(t.id()), TypeID(t.id())})
		case 11:
			c.Stacks = append(c.Stacks, Stack{t.frames()})
		}
	}
}

func (t *twin) header() {
	t.out.Header = Header{
		GoVersion: t.text(), OS: t.text(), Arch: t.text(), Executable: t.text(), BuildID: t.text(), PID: t.int(),
		TakenAt: t.int(), Method: Method(t.text()), RSSBytes: t.int(), ContainsDWARF: t.oneByte() == 1,
	}
}

func (t *twin) summary() {
	t.out.Summary = Summary{
		Objects: t.uint(), Edges: t.uint(), AllocatedBytes: t.uint(), RuntimeLiveBytes: t.uint(), StackBytes: t.uint(),
		GCCycles: t.uint(), PauseSeconds: t.f64(), ReadSeconds: t.f64(),
	}
	for range t.uint() {
		t.out.Summary.Warnings = append(t.out.Summary.Warnings, t.text())
	}
}

func (t *twin) span() {
	s := Span{Start: t.end + t.uint()*8192, Pages: t.uint(), ElemSize: t.uint() * 8}
	slots := t.uint()
	s.NoScan, s.Header, s.Slots = slots&1 != 0, slots&2 != 0, uint32(slots/4)
	s.Live = make([]uint64, (s.Slots+63)/64)
	bits := t.bytes(int(s.Slots+7) / 8)
	for slot := range s.Slots {
		if bits[slot/8]>>(slot%8)&1 != 0 {
			s.Live[slot/64] |= 1 << (slot % 64)
			if !s.NoScan {
				t.scanned = append(t.scanned, t.object)
			}
			t.object++
		}
	}
	t.end = s.Start + s.Pages*8192
	t.out.Spans = append(t.out.Spans, s)
}

func (t *twin) block(flags uint32, count int) {
	target, slot := int64(0), uint64(0)
	edges := func(r *record, open bool) {
		for !open || len(t.in) > 0 {
			head := t.uint()
			if head == 0 {
				return
			}
			head--
			target += t.int()
			e := Edge{Slot: slot + head/4, Target: ObjectID(target)}
			slot = e.Slot + 1
			t.beside(&e, head&1 != 0, head&2 != 0)
			r.Edges = append(r.Edges, e)
		}
	}
	c := t.out
	if flags&4 != 0 {
		slot = t.uint()
		edges(&c.Records[len(c.Records)-1], flags&8 != 0 && count == 0)
	}
	for i := range count {
		head := t.uint()
		r := record{Object: t.scanned[len(c.Records)], Shape: ShapeID(head / 2)}
		if head&1 != 0 {
			r.Closure = FuncID(t.id())
		}
		slot = 0
		edges(&r, flags&8 != 0 && i == count-1)
		c.Records = append(c.Records, r)
	}
}

// beside reads what few edges have.
func (t *twin) beside(e *Edge, offset, evidence bool) {
	if offset {
		e.Offset = t.uint()
	}
	if !evidence {
		return
	}
	if v := t.uint(); v&1 == 0 {
		e.Evidence, e.Type = DynamicType, TypeID(v/2)
	} else {
		e.Evidence, e.Len, e.Cap = Length, v/2, t.uint()
	}
}

func (t *twin) typ() Type {
	typ := Type{Name: t.text(), PkgPath: t.text(), Kind: Kind(t.oneByte())}
	flags := t.oneByte()
	typ.DirectIface, typ.DebugOnly = flags&1 != 0, flags&2 != 0
	typ.Size, typ.PtrBytes = t.uint(), t.uint()
	if flags&4 != 0 {
		typ.Elem = TypeID(t.id())
	}
	if flags&8 != 0 {
		typ.Key = TypeID(t.id())
	}
	if flags&16 != 0 {
		typ.Len = t.uint()
	}
	if flags&32 != 0 {
		typ.Group = TypeID(t.id())
	}
	if flags&64 != 0 {
		for range t.uint() {
			f := Field{Name: t.text(), Type: TypeID(t.id())}
			offset := t.uint()
			f.Offset, f.Embedded = offset/2, offset&1 != 0
			typ.Fields = append(typ.Fields, f)
		}
	}
	return typ
}

func (t *twin) shape() (s Shape) {
	n := t.uint()
	if n == 0 {
		s.Type = TypeID(t.id())
	}
	for range n {
		s.Mask = append(s.Mask, t.uint())
	}
	return s
}

func (t *twin) frames() (frames []Frame) {
	for range t.uint() {
		frames = append(frames, Frame{Func: FuncID(t.id()), Line: t.id()})
	}
	return frames
}

func (t *twin) root() Root {
	r := Root{Kind: RootKind(t.oneByte())}
	flags := t.oneByte()
	r.Conservative = flags&1 != 0
	r.Name, r.Type = t.text(), TypeID(t.id())
	if flags&2 != 0 {
		r.Goroutine, r.Frame = t.id(), t.id()
	}
	if flags&4 != 0 {
		r.Object = ObjectID(t.id())
	}
	slot, target := uint64(0), int64(0)
	for range t.uint() {
		flags := t.oneByte()
		slot += uint64(t.int())
		target += t.int()
		e := Edge{Slot: slot, Target: ObjectID(target)}
		slot++
		t.beside(&e, flags&1 != 0, flags&2 != 0)
		r.Edges = append(r.Edges, e)
	}
	return r
}

func TestTwin(t *testing.T) {
	for seed := range uint64(60) {
		c, random := randomContents(1000+seed, 8)
		data := c.write(t, random)
		want, err := readTwin(data)
		if err != nil {
			t.Fatalf("seed %d: the twin: %v", seed, err)
		}
		got, err := read(data)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := difference(want, got); d != "" {
			t.Fatalf("seed %d: the twin's and the reader's %s", seed, d)
		}
	}
}
