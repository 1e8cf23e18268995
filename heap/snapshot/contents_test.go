package snapshot

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// contents is all that a file holds.
type contents struct {
	Header     Header
	Spans      []Span
	Records    []record
	Types      []Type
	Functions  []Function
	Shapes     []Shape
	Stacks     []Stack
	Roots      []Root
	Goroutines []Goroutine
	Weak       []Weak
	Sampled    []Sampled
	Summary    Summary
}

// record is an object with its edges.
type record struct {
	Object  ObjectID
	Shape   ShapeID
	Closure FuncID
	Edges   []Edge
}

// read decodes all of a file.
func read(data []byte) (*contents, error) { return readFrom(bytes.NewReader(data), int64(len(data))) }

func readFrom(in io.ReaderAt, size int64) (*contents, error) {
	r, err := Open(in, size)
	if err != nil {
		return nil, err
	}
	c := &contents{Header: r.Header(), Summary: r.Summary()}
	if c.Spans, err = r.Spans(); err != nil {
		return nil, err
	}
	for i := range r.Totals().Blocks {
		if err := c.readBlock(r, i); err != nil {
			return nil, err
		}
	}
	for _, table := range []func() error{
		func() error { c.Types, err = r.Types(); return err },
		func() error { c.Functions, err = r.Functions(); return err },
		func() error { c.Shapes, err = r.Shapes(); return err },
		func() error { c.Stacks, err = r.Stacks(); return err },
		func() error { c.Goroutines, err = r.Goroutines(); return err },
		func() error { c.Roots, err = r.Roots(); return err },
		func() error { c.Weak, err = r.Weak(); return err },
		func() error { c.Sampled, err = r.Sampled(); return err },
	} {
		if err := table(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// readBlock decodes a block and holds its counts against what BlockInfo says.
func (c *contents) readBlock(r *Reader, i int) error {
	info := r.BlockInfo(i)
	cursor, err := r.Block(i)
	if err != nil {
		return err
	}
	records, edges := uint64(0), uint64(0)
	for shape, closure, ok := cursor.Object(); ok; shape, closure, ok = cursor.Object() {
		if !cursor.Continued() {
			records++
			c.Records = append(c.Records, record{Object: cursor.ID(), Shape: shape, Closure: closure})
		}
		into := &c.Records[len(c.Records)-1]
		if into.Object != cursor.ID() {
			return fmt.Errorf("block %d goes on with object %d behind object %d", i, cursor.ID(), into.Object)
		}
		var e Edge
		for cursor.Edge(&e) {
			into.Edges = append(into.Edges, e)
			edges++
		}
	}
	if cursor.Err() == nil && (records != info.Records || edges != info.Edges) {
		return fmt.Errorf("block %d yields %d records and %d edges, and says %d and %d", i, records, edges, info.Records, info.Edges)
	}
	return cursor.Err()
}

// write writes a file, with blocks of a few records, and breaks records up now and then.
func (c *contents) write(tb testing.TB, random *rand.Rand) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, c.Header)
	if err != nil {
		tb.Fatal(err)
	}
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	must(w.Types(c.Types[1:]))
	must(w.Spans(c.Spans))
	var b Block
	for i, r := range c.Records {
		b.Object(r.Shape, r.Closure)
		for _, e := range r.Edges {
			if random.IntN(10) == 0 {
				must(w.Objects(&b))
				b.Reset(uint64(i))
				b.Continue(e.Slot - random.Uint64N(e.Slot-b.expectedBefore(e.Slot, r)+1))
			}
			b.Edge(e)
		}
		b.End()
		if random.IntN(5) == 0 {
			must(w.Objects(&b))
			b.Reset(uint64(i + 1))
		}
	}
	must(w.Objects(&b))
	half := len(c.Roots) / 2
	must(w.Roots(c.Roots[:half]))
	must(w.Functions(c.Functions[1:]))
	must(w.Shapes(c.Shapes[1:]))
	must(w.Stacks(c.Stacks[1:]))
	must(w.Roots(c.Roots[half:]))
	must(w.Goroutines(c.Goroutines))
	must(w.Weak(c.Weak))
	must(w.Sampled(c.Sampled))
	must(w.Close(c.Summary))
	return out.Bytes()
}

// expectedBefore returns the first slot that may follow the edges of a record before a slot.
func (b *Block) expectedBefore(slot uint64, r record) uint64 {
	for _, e := range slices.Backward(r.Edges) {
		if e.Slot < slot {
			return e.Slot + 1
		}
	}
	return 0
}

// generator makes random contents.
type generator struct {
	*rand.Rand
	c       *contents
	objects uint64
	sizes   []uint64 // of objects
}

// randomContents makes what a file may hold, with n spans at most.
func randomContents(seed uint64, n int) (*contents, *rand.Rand) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 7)), c: new(contents)}
	c := g.c
	c.Header = Header{
		GoVersion: "go1.26.8", OS: "linux", Arch: "amd64", Executable: "prog", BuildID: g.word(), PID: g.Int64N(1 << 22),
		TakenAt: g.Int64(), Method: Fork, RSSBytes: g.Int64N(1<<40) - 1, ContainsDWARF: g.IntN(2) == 0,
	}
	g.tables()
	g.spans(g.IntN(n + 1))
	if g.objects > 0 {
		g.records()
		g.roots()
	}
	c.Summary.GCCycles, c.Summary.PauseSeconds, c.Summary.ReadSeconds = g.Uint64N(100), g.Float64(), g.Float64()
	c.Summary.RuntimeLiveBytes, c.Summary.StackBytes = g.Uint64N(1<<40), g.Uint64N(1<<30)
	if g.IntN(2) == 0 {
		c.Summary.Warnings = []string{g.word(), "", "a sentence"}
	}
	return c, g.Rand
}

// word is a text: often one that was there before, sometimes none.
func (g *generator) word() string {
	switch g.IntN(4) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("main.Größe%d", g.IntN(1000))
	}
	return fmt.Sprintf("name%d", g.IntN(10))
}

// below is a number of an entry of a table.
func (g *generator) below(n int) uint32 { return uint32(g.IntN(n)) }

func (g *generator) tables() {
	c := g.c
	c.Types = make([]Type, 1+g.IntN(20))
	for i := 1; i < len(c.Types); i++ {
		g.typ(&c.Types[i], i)
	}
	c.Functions = make([]Function, 1+g.IntN(10))
	for i := 1; i < len(c.Functions); i++ {
		c.Functions[i] = Function{Name: g.word(), File: g.word(), Line: g.Uint32(), Closure: TypeID(g.below(len(g.c.Types)))}
	}
	c.Shapes = make([]Shape, 1+g.IntN(5))
	for i := 1; i < len(c.Shapes); i++ {
		if g.IntN(2) == 0 {
			c.Shapes[i].Type = TypeID(g.below(len(c.Types)))
		} else {
			c.Shapes[i].Mask = []uint64{g.Uint64(), g.Uint64()}
		}
	}
	c.Stacks = make([]Stack, 1+g.IntN(5))
	for i := 1; i < len(c.Stacks); i++ {
		c.Stacks[i].Frames = g.frames()
	}
	for range g.IntN(5) {
		c.Goroutines = append(c.Goroutines, Goroutine{
			ID: g.Uint64(), State: g.word(), CreatedBy: FuncID(g.below(len(c.Functions))), Frames: g.frames(),
		})
	}
}

func (g *generator) frames() []Frame {
	var frames []Frame
	for range g.IntN(4) {
		frames = append(frames, Frame{Func: FuncID(g.below(len(g.c.Functions))), Line: g.Uint32()})
	}
	return frames
}

// typ makes type i, whose parts are types before it.
func (g *generator) typ(t *Type, i int) {
	types := g.c.Types
	*t = Type{
		Name: g.word(), PkgPath: g.word(), Kind: Kind(g.IntN(int(UnsafePointer) + 1)), Size: g.Uint64N(1 << 20),
		DirectIface: g.IntN(2) == 0, DebugOnly: g.IntN(2) == 0,
	}
	switch t.Kind {
	case Array:
		t.Elem, t.Len = TypeID(g.IntN(i)), g.Uint64N(100)
		t.Size = t.Len * types[t.Elem].Size
	case Struct:
		t.Size = 0
		for range g.IntN(4) {
			f := Field{Name: g.word(), Type: TypeID(g.IntN(i)), Offset: t.Size, Embedded: g.IntN(2) == 0}
			t.Size += types[f.Type].Size
			t.Fields = append(t.Fields, f)
		}
	case Map:
		t.Elem, t.Key, t.Group = TypeID(g.below(len(types))), TypeID(g.below(len(types))), TypeID(g.below(len(types)))
	case Pointer:
		t.Elem = TypeID(g.below(len(types)))
	}
	t.PtrBytes = g.Uint64N(t.Size + 1)
}

func (g *generator) spans(n int) {
	end := uint64(0)
	for range n {
		s := Span{Start: end + g.Uint64N(3)*g.Uint64N(1<<20)*pageBytes, Pages: 1 + g.Uint64N(3), NoScan: g.IntN(3) == 0, Header: g.IntN(3) == 0}
		s.ElemSize = wordBytes * (1 + g.Uint64N(s.Pages*pageBytes/wordBytes/uint64(1+g.IntN(50))))
		s.Slots = uint32(g.Uint64N(s.Pages*pageBytes/s.ElemSize + 1))
		s.Live = make([]uint64, (s.Slots+63)/64)
		for slot := range s.Slots {
			if g.IntN(3) > 0 {
				s.Live[slot/64] |= 1 << (slot % 64)
				g.sizes = append(g.sizes, s.ElemSize)
			}
		}
		end = s.Start + s.Pages*pageBytes
		g.c.Spans = append(g.c.Spans, s)
	}
	g.objects = uint64(len(g.sizes))
}

// records makes the records of the objects that have one.
func (g *generator) records() {
	id := ObjectID(0)
	for _, s := range g.c.Spans {
		for range liveObjects(&s) {
			if !s.NoScan {
				r := record{Object: id, Shape: ShapeID(g.below(len(g.c.Shapes)))}
				if g.IntN(5) == 0 {
					r.Closure = FuncID(g.below(len(g.c.Functions)))
				}
				slots := s.ElemSize / wordBytes
				for slot := g.Uint64N(4); slot < slots && len(r.Edges) < 20; slot += 1 + g.Uint64N(3)*g.Uint64N(slots) {
					r.Edges = append(r.Edges, g.edge(slot))
				}
				g.c.Records = append(g.c.Records, r)
			}
			id++
		}
	}
}

func (g *generator) edge(slot uint64) Edge {
	e := Edge{Slot: slot, Target: ObjectID(g.Uint64N(g.objects))}
	size := g.sizes[e.Target]
	if g.IntN(4) == 0 {
		e.Offset = g.Uint64N(size)
	}
	switch g.IntN(4) {
	case 0:
		e.Evidence, e.Type = DynamicType, TypeID(g.below(len(g.c.Types)))
	case 1:
		e.Evidence, e.Len, e.Cap = Length, g.Uint64N(size+1), g.Uint64N(size+1)
	}
	return e
}

func (g *generator) roots() {
	c := g.c
	for range g.IntN(20) {
		r := Root{Kind: RootKind(g.IntN(int(Deferred) + 1)), Name: g.word(), Type: TypeID(g.below(len(c.Types))), Conservative: g.IntN(2) == 0}
		if len(c.Goroutines) > 0 && g.IntN(2) == 0 {
			n := g.IntN(len(c.Goroutines))
			if frames := len(c.Goroutines[n].Frames); frames > 0 {
				r.Goroutine, r.Frame = uint32(n+1), g.below(frames)
			}
		}
		if g.IntN(3) == 0 {
			r.Object = ObjectID(g.Uint64N(g.objects))
		}
		for range g.IntN(4) {
			r.Edges = append(r.Edges, g.edge(g.Uint64N(1<<g.IntN(62))))
		}
		c.Roots = append(c.Roots, r)
	}
	for range g.IntN(5) {
		c.Weak = append(c.Weak, Weak{ObjectID(g.Uint64N(g.objects))})
		c.Sampled = append(c.Sampled, Sampled{ObjectID(g.Uint64N(g.objects)), StackID(g.below(len(c.Stacks))), TypeID(g.below(len(c.Types)))})
	}
}
