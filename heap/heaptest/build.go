package heaptest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	// heapStart is the address of the first span.
	heapStart = 0xc000000000
	// blockBytes is the size from which on a block is written.
	blockBytes = 64 << 10
	// partEdges is how many edges of one object stand in a block at most: what is more continues in the next. Large
	// objects continue earlier, so that readers of small snapshots meet it.
	partEdges = 16 << 10
)

// Builder collects types, objects and roots. It is not safe for concurrent use.
type Builder struct {
	// Header and Summary are written as they are, but for what is counted. New fills in plausible values.
	Header  snapshot.Header
	Summary snapshot.Summary

	types      []snapshot.Type
	names      []string // of types, with the whole path
	byName     map[string]snapshot.TypeID
	objects    []object
	roots      []*Root
	goroutines []snapshot.Goroutine
	functions  []snapshot.Function // from FuncID 1 on
	byFunction map[string]snapshot.FuncID
	weak       []Object
	sampled    []sampled
	stacks     []snapshot.Stack
}

// New returns a Builder of a snapshot without objects.
func New() *Builder {
	return &Builder{
		Header: snapshot.Header{
			GoVersion: "go1.26.8", OS: "linux", Arch: "amd64", Executable: "synthetic", PID: 1,
			TakenAt: 1_767_225_600_000_000_000, Method: snapshot.Synthetic, RSSBytes: -1,
			ContainsDWARF: true,
		},
		types: make([]snapshot.Type, 1), names: make([]string, 1),
		byName: make(map[string]snapshot.TypeID), byFunction: make(map[string]snapshot.FuncID),
	}
}

// File is a snapshot as bytes, and where the objects are in it.
type File struct {
	Data    []byte
	objects []object
}

// ID returns the number of an object in the file.
func (f *File) ID(o Object) snapshot.ObjectID { return f.objects[o.n].id }

// Size returns the bytes of an object's slot: its shallow size.
func (f *File) Size(o Object) uint64 { return f.objects[o.n].place.size }

// Reader opens the file.
func (f *File) Reader() (*snapshot.Reader, error) {
	r, err := snapshot.Open(bytes.NewReader(f.Data), int64(len(f.Data)))
	if err != nil {
		return nil, fmt.Errorf("heaptest: %w", err)
	}
	return r, nil
}

// span is a span with the objects in it, in the order of their slots.
type span struct {
	snapshot.Span
	objects []int
}

// Build writes the snapshot. The Builder may be changed and built again.
func (b *Builder) Build() *File {
	spans := b.place()
	var out bytes.Buffer
	w, err := snapshot.NewWriter(&out, b.Header)
	if err == nil {
		err = b.write(w, spans)
	}
	if err != nil {
		panic(fmt.Sprintf("heaptest: %v", err))
	}
	return &File{Data: out.Bytes(), objects: slices.Clone(b.objects)}
}

// place gives each object a slot, and each span an address.
func (b *Builder) place() []*span {
	var spans []*span
	current := make(map[place]*span)
	next := uint64(heapStart)
	for i := range b.objects {
		p := b.objects[i].place
		s := current[p]
		if s == nil || uint64(len(s.objects)) == p.slots() {
			s = &span{Span: snapshot.Span{
				Start: next, Pages: p.pages, ElemSize: p.size, Slots: uint32(p.slots()), NoScan: p.noscan, Header: p.header,
				Live: make([]uint64, (p.slots()+63)/64),
			}}
			next += p.pages * pageBytes
			current[p] = s
			spans = append(spans, s)
		}
		slot := len(s.objects)
		s.objects = append(s.objects, i)
		if !b.objects[i].hole {
			s.Live[slot/64] |= 1 << (slot % 64)
		}
	}
	id := snapshot.ObjectID(0)
	for _, s := range spans {
		for _, i := range s.objects {
			b.objects[i].id = id
			if !b.objects[i].hole {
				id++
			}
		}
	}
	return spans
}

// write writes all sections.
func (b *Builder) write(w *snapshot.Writer, spans []*span) error {
	for _, s := range spans {
		if err := w.Spans([]snapshot.Span{s.Span}); err != nil {
			return err
		}
	}
	shapes := shapeTable{ids: make(map[string]snapshot.ShapeID)}
	if err := b.writeObjects(w, spans, &shapes); err != nil {
		return err
	}
	weak := make([]snapshot.Weak, len(b.weak))
	for i, o := range b.weak {
		weak[i].Object = b.objects[o.n].id
	}
	samples := make([]snapshot.Sampled, len(b.sampled))
	for i, s := range b.sampled {
		samples[i] = snapshot.Sampled{Object: b.objects[s.object.n].id, Stack: s.stack, Type: s.typ}
	}
	for _, write := range []func() error{
		func() error { return w.Types(b.types[1:]) },
		func() error { return w.Functions(b.functions) },
		func() error { return w.Shapes(shapes.all) },
		func() error { return w.Stacks(b.stacks) },
		func() error { return w.Goroutines(b.goroutines) },
		func() error { return w.Roots(b.rootsOf()) },
		func() error { return w.Weak(weak) },
		func() error { return w.Sampled(samples) },
		func() error { return w.Close(b.Summary) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// rootsOf returns the roots with their edges.
func (b *Builder) rootsOf() []snapshot.Root {
	roots := make([]snapshot.Root, len(b.roots))
	for i, r := range b.roots {
		roots[i] = r.root
		if r.attached {
			roots[i].Object = b.objects[r.object.n].id
		}
		words := b.pointers(nil, r.root.Type, 0)
		if r.root.Type == 0 {
			words = slices.Sorted(maps.Keys(r.memory.pointers))
		}
		roots[i].Edges = b.edges(&r.memory, words, b.types[r.root.Type].Size/wordBytes)
	}
	return roots
}

// writeObjects writes the records, in blocks of some size. An object with very many edges goes on in further blocks.
func (b *Builder) writeObjects(w *snapshot.Writer, spans []*span, shapes *shapeTable) error {
	var block snapshot.Block
	record := uint64(0)
	for _, s := range spans {
		for _, i := range s.objects {
			x := &b.objects[i]
			if s.NoScan || x.hole {
				continue
			}
			words := b.words(x)
			block.Object(shapes.of(b, x, words), x.closure)
			edges := b.edges(&x.memory, words, s.ElemSize/wordBytes)
			part := partEdges
			if x.place.large {
				part = min(part, max(8, (len(edges)+2)/3))
			}
			for n, e := range edges {
				if n > 0 && n%part == 0 {
					if err := w.Objects(&block); err != nil {
						return err
					}
					block.Reset(record)
					block.Continue(e.Slot)
				}
				block.Edge(e)
			}
			block.End()
			record++
			if block.Size() >= blockBytes {
				if err := w.Objects(&block); err != nil {
					return err
				}
				block.Reset(record)
			}
		}
	}
	return w.Objects(&block)
}

// words returns the words of an object that hold pointers.
func (b *Builder) words(x *object) []uint64 {
	base := uint64(0)
	if x.place.header {
		base = typeHeader
	}
	var words []uint64
	for i := range x.count {
		words = b.pointers(words, x.typ, base+i*b.types[x.typ].Size)
	}
	return words
}

// edges returns what a scan finds in the words of an object or a variable of a size in words.
func (b *Builder) edges(m *memory, words []uint64, size uint64) []snapshot.Edge {
	var edges []snapshot.Edge
	for i, word := range words {
		r, set := m.pointers[word]
		if !set {
			continue
		}
		target := &b.objects[r.object.n]
		if target.hole {
			panic("heaptest: a pointer to a hole")
		}
		e := snapshot.Edge{Slot: word, Target: target.id, Offset: r.offset}
		if target.place.header {
			e.Offset += typeHeader
		}
		after := uint64(2)
		if i+1 < len(words) {
			after = min(after, words[i+1]-word-1)
		}
		if size > 0 {
			after = min(after, size-word-1)
		}
		b.evidence(&e, m, after, target.place.size)
		edges = append(edges, e)
	}
	return edges
}

// evidence notes what the words beside a pointer say. after is how many words behind it are none.
func (b *Builder) evidence(e *snapshot.Edge, m *memory, after, size uint64) {
	if dynamic := m.types[e.Slot-1]; e.Slot > 0 && dynamic != 0 {
		e.Evidence, e.Type = snapshot.DynamicType, dynamic
		return
	}
	length := m.numbers[e.Slot+1]
	if size < snapshot.PinBytes || after == 0 || length > size {
		return
	}
	e.Evidence, e.Len = snapshot.Length, length
	if capacity := m.numbers[e.Slot+2]; after > 1 && capacity >= length && capacity <= size {
		e.Cap = capacity
	}
}

// shapeTable numbers shapes.
type shapeTable struct {
	ids map[string]snapshot.ShapeID
	all []snapshot.Shape
}

// of returns the shape of an object.
func (t *shapeTable) of(b *Builder, x *object, words []uint64) snapshot.ShapeID {
	var shape snapshot.Shape
	if x.place.header || x.place.large {
		shape.Type = x.typ
	} else {
		shape.Mask = make([]uint64, (x.place.size/wordBytes+63)/64)
		for _, word := range words {
			shape.Mask[word/64] |= 1 << (word % 64)
		}
	}
	key := fmt.Sprint(shape)
	if t.ids[key] == 0 {
		t.all = append(t.all, shape)
		t.ids[key] = snapshot.ShapeID(len(t.all))
	}
	return t.ids[key]
}
