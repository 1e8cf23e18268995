package heaptest

import (
	"slices"
	"testing"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// loaded is what a file holds, for tests.
type loaded struct {
	*snapshot.Reader
	types []snapshot.Type
	shape []snapshot.ShapeID
	funcs []snapshot.FuncID
	size  []uint64
	edges [][]snapshot.Edge
	roots []snapshot.Root
}

// load decodes all sections of a file.
func load(t *testing.T, data *File) *loaded {
	t.Helper()
	r, err := data.Reader()
	if err != nil {
		t.Fatal(err)
	}
	return loadReader(t, r)
}

func loadReader(t *testing.T, r *snapshot.Reader) *loaded {
	t.Helper()
	n := r.Totals().Objects
	l := &loaded{
		Reader: r, shape: make([]snapshot.ShapeID, n), funcs: make([]snapshot.FuncID, n), size: make([]uint64, n),
		edges: make([][]snapshot.Edge, n),
	}
	var err error
	if l.types, err = r.Types(); err != nil {
		t.Fatal(err)
	}
	if l.roots, err = r.Roots(); err != nil {
		t.Fatal(err)
	}
	spans, err := r.Spans()
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.FirstObjects()
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range spans {
		for id := first[i]; id < first[i+1]; id++ {
			l.size[id] = s.ElemSize
		}
	}
	for i := range r.Totals().Blocks {
		c, err := r.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		for shape, function, ok := c.Object(); ok; shape, function, ok = c.Object() {
			if !c.Continued() {
				l.shape[c.ID()], l.funcs[c.ID()] = shape, function
			}
			if c.Size() != l.size[c.ID()] {
				t.Errorf("object %d has %d bytes, want %d", c.ID(), c.Size(), l.size[c.ID()])
			}
			var e snapshot.Edge
			for c.Edge(&e) {
				l.edges[c.ID()] = append(l.edges[c.ID()], e)
			}
		}
		if c.Err() != nil {
			t.Fatal(c.Err())
		}
	}
	return l
}

func TestDocExample(t *testing.T) {
	b := New()
	user := b.Struct("main.User", F("Name", b.String()), F("Next", b.Ptr("main.User")))
	first, second := b.Object(user), b.Object(user)
	b.Field(first, "Next", second)
	name := b.Bytes(300)
	b.Field(first, "Name", name.Text(0, 12))
	b.Global("main.users", b.Ptr("main.User")).Set("", first)
	file := b.Build()

	l := load(t, file)
	want := []snapshot.Edge{
		{Slot: 0, Target: file.ID(name), Evidence: snapshot.Length, Len: 12},
		{Slot: 2, Target: file.ID(second)},
	}
	if got := l.edges[file.ID(first)]; !slices.Equal(got, want) {
		t.Errorf("edges %+v, want %+v", got, want)
	}
	if got := l.types[user]; got.Name != "main.User" || got.Size != 24 || got.PtrBytes != 24 || len(got.Fields) != 2 {
		t.Errorf("type %+v", got)
	}
	root := l.roots[0]
	if root.Name != "main.users" || l.types[root.Type].Name != "*main.User" || len(root.Edges) != 1 || root.Edges[0].Target != file.ID(first) {
		t.Errorf("root %+v", root)
	}
	if size := file.Size(name); size != 320 || l.size[file.ID(name)] != 320 {
		t.Errorf("300 bytes take %d", size)
	}
}

// checkShapes holds edges against what the shapes say: only words that hold pointers have one.
func checkShapes(t *testing.T, l *loaded) {
	t.Helper()
	shapes, err := l.Shapes()
	if err != nil {
		t.Fatal(err)
	}
	spans, _ := l.Spans()
	first, _ := l.FirstObjects()
	b := New()
	b.types = l.types
	for i, s := range spans {
		base := uint64(0)
		if s.Header {
			base = typeHeader
		}
		for id := first[i]; id < first[i+1]; id++ {
			shape := shapes[l.shape[id]]
			if s.NoScan && (len(l.edges[id]) > 0 || l.shape[id] != 0) {
				t.Fatalf("object %d of a span without pointers has %d", id, len(l.edges[id]))
			}
			words := make(map[uint64]bool)
			if shape.Type != 0 {
				for _, word := range b.pointers(nil, shape.Type, 0) {
					words[word] = true
				}
			}
			for _, e := range l.edges[id] {
				ok := false
				if shape.Type == 0 {
					ok = shape.Mask[e.Slot/64]>>(e.Slot%64)&1 != 0
				} else {
					ok = words[(e.Slot-base/8)%(l.types[shape.Type].Size/8)]
				}
				if !ok {
					t.Fatalf("object %d: slot %d is no pointer in its shape %+v", id, e.Slot, shape)
				}
			}
		}
	}
}

func TestRandom(t *testing.T) {
	continued := 0
	for seed := range uint64(8) {
		file := Random(seed, 300)
		if again := Random(seed, 300); !slices.Equal(file.Data, again.Data) {
			t.Fatalf("seed %d gives two snapshots", seed)
		}
		l := load(t, file)
		checkShapes(t, l)
		for i := range l.Totals().Blocks {
			if l.BlockInfo(i).Continued {
				continued++
			}
		}
		if got := l.Totals(); got.Objects < 300 || got.Weak == 0 || got.Sampled == 0 || got.Goroutines == 0 {
			t.Errorf("seed %d: totals %+v", seed, got)
		}
	}
	if continued == 0 {
		t.Error("no record goes on in another block")
	}
	load(t, Random(1, 0))
}
