package graph

import (
	"context"
	"errors"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// loadFile loads a built snapshot.
func loadFile(t testing.TB, f *heaptest.File) *Graph {
	t.Helper()
	g, err := Load(t.Context(), openFile(t, f.Data), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// typeOf returns the name of an object's type and how sure it is.
func typeOf(g *Graph, id snapshot.ObjectID) (string, Certainty) {
	typ, certainty := g.Type(uint32(id))
	return g.TypeName(typ), certainty
}

// wantType checks the type of an object.
func wantType(t *testing.T, g *Graph, f *heaptest.File, o heaptest.Object, name string, certainty Certainty) {
	t.Helper()
	if got, sure := typeOf(g, f.ID(o)); got != name || sure != certainty {
		t.Errorf("object %d is %q, %v, want %q, %v", f.ID(o), got, sure, name, certainty)
	}
}

func TestNodes(t *testing.T) {
	b := heaptest.New()
	node := b.Struct("main.Node", heaptest.F("Next", b.Ptr("main.Node")), heaptest.F("Name", b.String()), heaptest.F("N", b.Array(70, b.Int())))
	first, second, lost, local := b.Object(node), b.Object(node), b.Object(node), b.Object(node)
	text := b.Bytes(300)
	b.Field(first, "Next", second)
	b.Field(first, "Name", text.Text(100, 20))
	b.Field(lost, "Next", first)
	b.Global("main.first", b.Ptr("main.Node")).Set("", first)
	worker := b.Goroutine("select", 0, b.Frame("main.work", 3))
	worker.Local(0, "local", b.Ptr("main.Node")).Set("", local)
	b.Goroutine("running", 0, b.Frame("main.main", 9))
	f := b.Build()
	g := loadFile(t, f)

	if g.Objects() != 5 || g.Nodes() != 5+2+2+1 || g.Super() != 9 {
		t.Fatalf("%d objects, %d nodes, super root %d, want 5, 10, 9", g.Objects(), g.Nodes(), g.Super())
	}
	successors := func(node uint32) []uint32 { return g.Targets[g.Starts[node]:g.Starts[node+1]] }
	id := func(o heaptest.Object) uint32 { return uint32(f.ID(o)) }
	for _, want := range []struct {
		node uint32
		to   []uint32
	}{
		{g.Super(), []uint32{g.RootNode(0), g.GoroutineNode(0), g.GoroutineNode(1)}},
		{g.GoroutineNode(0), []uint32{g.RootNode(1)}},
		{g.GoroutineNode(1), nil},
		{g.RootNode(0), []uint32{id(first)}},
		{g.RootNode(1), []uint32{id(local)}},
		{id(first), []uint32{id(second), id(text)}},
		{id(second), nil},
		{id(lost), []uint32{id(first)}},
		{id(text), nil},
	} {
		if got := successors(want.node); !slices.Equal(got, want.to) {
			t.Errorf("node %d points to %v, want %v", want.node, got, want.to)
		}
	}
	// The object has a header of eight bytes, from behind which slots count.
	if e := g.Edge(id(first), g.Starts[id(first)]+1); e != (Edge{Target: id(text), Slot: 1, Offset: 100}) {
		t.Errorf("edge to the text is %+v", e)
	}
	if g.Size(id(first)) != 640 || g.Size(id(text)) != 320 || g.Size(g.Super()) != 0 {
		t.Errorf("sizes %d, %d, %d, want 640, 320, 0", g.Size(id(first)), g.Size(id(text)), g.Size(g.Super()))
	}
	if g.NoScan(id(first)) || !g.NoScan(id(text)) {
		t.Error("what may hold pointers is confused")
	}
	if g.Reached(id(lost)) || !g.Reached(id(second)) || !g.Reached(id(local)) || g.ReachedObjects() != 4 || g.ReachedBytes() != 3*640+320 {
		t.Errorf("reached %d objects, %d bytes, want 4, %d", g.ReachedObjects(), g.ReachedBytes(), 3*640+320)
	}
	for node, want := range map[uint32]NodeKind{0: ObjectNode, g.RootNode(1): RootNode, g.GoroutineNode(1): GoroutineNode, g.Super(): SuperNode} {
		if kind, _ := g.Kind(node); kind != want {
			t.Errorf("node %d is of kind %v, want %v", node, kind, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	f := heaptest.Random(3, 2000)
	r := openFile(t, f.Data)
	g := loadFile(t, f)
	for object := range g.Objects() {
		want, err := r.Address(snapshot.ObjectID(object))
		if err != nil {
			t.Fatal(err)
		}
		span := g.Span(object)
		if got := g.Addr(object); got != want || got < span.Start || got >= span.Start+span.Pages*pageBytes || g.Size(object) != span.ElemSize {
			t.Fatalf("object %d lies at %#x, want %#x, in the span at %#x", object, got, want, span.Start)
		}
	}
}

// TestObjectAt finds every object by its bytes, and none in slots that are free and between spans.
func TestObjectAt(t *testing.T) {
	g := loadFile(t, heaptest.Random(4, 2000))
	live := map[uint64]bool{}
	for object := range g.Objects() {
		first, size := g.Addr(object), g.Size(object)
		live[first] = true
		header := uint64(0)
		if g.Span(object).Header {
			header = headerBytes
		}
		for _, at := range []uint64{0, header, size / 2, size - 1} {
			got, offset, ok := g.ObjectAt(first + at)
			if want := max(at, header) - header; !ok || got != object || offset != want {
				t.Fatalf("%d bytes into object %d of %d lies %d, %d, %v, want an offset of %d", at, object, size, got, offset, ok, want)
			}
		}
	}
	var free, end uint64
	for object := range g.Objects() {
		span := g.Span(object)
		if end != 0 && span.Start > end {
			if got, _, ok := g.ObjectAt(end); ok {
				t.Fatalf("object %d lies between spans", got)
			}
		}
		end = span.Start + span.Pages*pageBytes
		for slot := range uint64(span.Slots) {
			if address := span.Start + slot*span.ElemSize; !live[address] {
				free++
				if got, _, ok := g.ObjectAt(address); ok {
					t.Fatalf("object %d lies in a slot that is free", got)
				}
			}
		}
	}
	if free == 0 {
		t.Error("no slot is free")
	}
	for _, address := range []uint64{0, 1, end, 1<<64 - 1} {
		if got, _, ok := g.ObjectAt(address); ok {
			t.Errorf("object %d lies at %#x", got, address)
		}
	}
}

func TestFinalizerKeepsWhatItsObjectReaches(t *testing.T) {
	b := heaptest.New()
	file := b.Struct("main.File", heaptest.F("Name", b.String()), heaptest.F("Peer", b.Ptr("main.File")))
	dead, peer, name, run := b.Object(file), b.Object(file), b.Bytes(20), b.Closure(b.Function("main.close", "main.go", 1), heaptest.F("X0", b.Ptr("main.File")))
	b.Field(dead, "Name", name.Text(0, 20))
	b.Field(dead, "Peer", peer)
	b.Field(peer, "Peer", dead)
	b.Finalizer(peer) // keeps dead: two finalizers in a cycle
	b.Finalizer(dead, run)
	alone := b.Object(file)
	b.Finalizer(alone)
	weakly := b.Object(file)
	b.Weak(weakly)
	f := b.Build()
	g := loadFile(t, f)
	for o, want := range map[heaptest.Object]bool{dead: true, peer: true, name: true, run: true, alone: false, weakly: false} {
		if got := g.Reached(uint32(f.ID(o))); got != want {
			t.Errorf("object %d reached %v, want %v", f.ID(o), got, want)
		}
	}
}

// TestManyFinalizers needs more room for edges than is set aside.
func TestManyFinalizers(t *testing.T) {
	b := heaptest.New()
	wide := b.Array(64, b.PtrTo(b.Int()))
	number := b.Object(b.Int())
	for range 200 {
		o := b.Object(wide)
		for i := range 64 {
			b.Field(o, string(rune('['))+itoa(i)+"]", number)
		}
		b.Finalizer(o)
	}
	f := b.Build()
	g := loadFile(t, f)
	for i := range g.Roots {
		if node := g.RootNode(i); g.Starts[node+1]-g.Starts[node] != 64 {
			t.Fatalf("finalizer %d keeps %d pointers, want 64", i, g.Starts[node+1]-g.Starts[node])
		}
	}
	if got := g.Starts[g.Super()+1] - g.Starts[g.Super()]; got != 200 || int(g.Starts[g.Super()+1]) != len(g.Targets) {
		t.Errorf("the super root points to %d roots, want 200", got)
	}
}

func itoa(i int) string {
	if i < 10 {
		return string(rune('0' + i))
	}
	return itoa(i/10) + itoa(i%10)
}

// TestWideObjects has slots beyond 16 bits, in blocks that continue a record.
func TestWideObjects(t *testing.T) {
	b := heaptest.New()
	cell := b.Struct("main.Cell", heaptest.F("A", b.Int()), heaptest.F("B", b.Int()))
	const n = 300_000
	wide, other := b.Values(b.PtrTo(cell), n), b.Values(b.PtrTo(cell), n)
	slots := []int{0, 1, 65535, 65536, 65537, 131072, 200000, 299999}
	targets := make(map[uint64]heaptest.Object)
	for _, s := range slots {
		o := b.Object(cell)
		targets[uint64(s)] = o
		b.Field(wide, "["+itoa(s)+"]", o)
	}
	b.Field(other, "[250000]", targets[0])
	b.Global("main.wide", b.Slice(b.PtrTo(cell))).Set("", wide.Slice(0, n, n))
	b.Global("main.other", b.Slice(b.PtrTo(cell))).Set("", other.Slice(0, n, n))
	f := b.Build()
	g := loadFile(t, f)
	node := uint32(f.ID(wide))
	for i, e := 0, g.Starts[node]; e < g.Starts[node+1]; i, e = i+1, e+1 {
		edge := g.Edge(node, e)
		if edge.Slot != uint64(slots[i]) || edge.Target != uint32(f.ID(targets[edge.Slot])) {
			t.Errorf("edge %d is %+v, want slot %d", i, edge, slots[i])
		}
	}
	node = uint32(f.ID(other))
	if e := g.Edge(node, g.Starts[node]); e.Slot != 250000 {
		t.Errorf("slot %d, want 250000", e.Slot)
	}
	wantType(t, g, f, targets[0], "main.Cell", Exact)
	wantType(t, g, f, targets[299999], "main.Cell", Exact)
	wantType(t, g, f, wide, "[]*main.Cell", Exact)
}

func TestTooLarge(t *testing.T) {
	for _, total := range []snapshot.Totals{
		{Objects: math.MaxUint32 - 10, Roots: 20}, {Edges: math.MaxUint32}, {Objects: 5, Edges: math.MaxUint32 - 20, RootEdges: 30},
	} {
		l := &loader{g: new(Graph), total: total}
		if err := l.allocate(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%+v: %v, want ErrTooLarge", total, err)
		}
	}
	l := &loader{g: &Graph{Targets: make([]uint32, 10)}}
	if err := l.reserve(maxNumber); !errors.Is(err, ErrTooLarge) {
		t.Errorf("reserve: %v, want ErrTooLarge", err)
	}
}

func TestLoadIsCancelled(t *testing.T) {
	r := openFile(t, heaptest.Random(1, 5000).Data)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, r, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	// Whenever it is cancelled, it says so or has finished.
	for _, stage := range []string{"load", "reach", "type", "infer"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Load(ctx, r, Options{Workers: 1, Progress: func(s string, _, _ uint64) {
			if s == stage {
				cancel()
			}
		}})
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled in %s: %v, want context.Canceled", stage, err)
		}
		cancel()
	}
}

func TestProgress(t *testing.T) {
	var stages []string
	_, err := Load(t.Context(), openFile(t, heaptest.Random(1, 5000).Data), Options{Progress: func(stage string, done, total uint64) {
		if done > total {
			t.Errorf("%s: %d of %d", stage, done, total)
		}
		if len(stages) == 0 || stages[len(stages)-1] != stage {
			stages = append(stages, stage)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"load", "reach", "type", "infer"}; !slices.Equal(slices.Compact(stages), want) {
		t.Errorf("stages %v, want %v", stages, want)
	}
}

func TestDamagedBlock(t *testing.T) {
	f := heaptest.Random(2, 3000)
	failed := 0
	for at := len(f.Data) / 4; at < len(f.Data); at += len(f.Data)/50 + 1 {
		data := slices.Clone(f.Data)
		data[at] ^= 0x40
		r, err := snapshot.Open(bytesReader(data), int64(len(data)))
		if err != nil {
			continue
		}
		if _, err := Load(t.Context(), r, Options{}); err != nil {
			failed++
			if !errors.Is(err, snapshot.ErrDamaged) {
				t.Errorf("byte %d: %v, want ErrDamaged", at, err)
			}
		}
	}
	if failed == 0 {
		t.Error("no damage was noticed")
	}
}

func TestWithoutTypes(t *testing.T) {
	g, err := Load(t.Context(), openFile(t, heaptest.Random(1, 500).Data), Options{WithoutTypes: true})
	if err != nil {
		t.Fatal(err)
	}
	if id, c := g.Type(0); id != 0 || c != Unknown || g.Types() != 0 || g.Step(0, 0) != "" || g.TypedRatio() != 0 {
		t.Error("there are types")
	}
	if _, err := g.CheckInference(t.Context(), 10); !errors.Is(err, ErrReleased) {
		t.Errorf("%v, want ErrReleased", err)
	}
}

func TestEmptySnapshot(t *testing.T) {
	g := loadFile(t, heaptest.New().Build())
	if g.Objects() != 0 || g.Nodes() != 1 || g.Super() != 0 || g.ReachedBytes() != 0 || g.TypedRatio() != 0 {
		t.Errorf("%d objects, %d nodes", g.Objects(), g.Nodes())
	}
}

// TestReachTwin compares reachability with a plain search on random snapshots.
func TestReachTwin(t *testing.T) {
	for seed := range uint64(30) {
		g := loadFile(t, heaptest.Random(seed, 300+int(seed)*40))
		seen := map[uint32]bool{g.Super(): true}
		for open := []uint32{g.Super()}; len(open) > 0; {
			node := open[len(open)-1]
			open = open[:len(open)-1]
			for e := g.Starts[node]; e < g.Starts[node+1]; e++ {
				if target := g.Targets[e]; !seen[target] {
					seen[target] = true
					open = append(open, target)
				}
			}
		}
		objects, bytes := uint64(0), uint64(0)
		for node := range g.Nodes() {
			if g.Reached(node) != seen[node] {
				t.Fatalf("seed %d: node %d reached %v, want %v", seed, node, g.Reached(node), seen[node])
			}
			if node < g.Objects() && seen[node] {
				objects++
				bytes += g.Size(node)
			}
		}
		if objects != g.ReachedObjects() || bytes != g.ReachedBytes() {
			t.Errorf("seed %d: %d objects, %d bytes, want %d, %d", seed, g.ReachedObjects(), g.ReachedBytes(), objects, bytes)
		}
	}
}

// TestWorkersAgree: the graph is the same however many goroutines decode it.
func TestWorkersAgree(t *testing.T) {
	r := sessionsFile(t, 20_000)
	var graphs []*Graph
	for _, workers := range []int{1, 4} {
		g, err := Load(t.Context(), r, Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		graphs = append(graphs, g)
	}
	a, b := graphs[0], graphs[1]
	if !slices.Equal(a.Starts, b.Starts) || !slices.Equal(a.Targets, b.Targets) || !slices.Equal(a.slots, b.slots) ||
		!slices.Equal(a.typing, b.typing) {
		t.Error("the graphs differ")
	}
}

func TestRanked(t *testing.T) {
	r := newRanked(1000)
	places := []uint32{0, 1, 63, 64, 127, 500, 999}
	for i, at := range places {
		r.set(at)
		r.values = append(r.values, uint32(i)*10)
	}
	r.index()
	for at := range uint32(1100) {
		i := slices.Index(places, at)
		if v, ok := r.get(at); ok != (i >= 0) || ok && v != uint32(i)*10 {
			t.Errorf("place %d has %d, %v", at, v, ok)
		}
	}
	for from := uint32(0); from < 1050; from += 7 {
		for to := from; to < 1050; to += 13 {
			want := slices.ContainsFunc(places, func(at uint32) bool { return at >= from && at < to })
			if got := r.any(from, to); got != want {
				t.Errorf("any of [%d, %d) is %v, want %v", from, to, got, want)
			}
		}
	}
	var none ranked
	if _, ok := none.get(5); ok || none.any(0, math.MaxUint32) {
		t.Error("the empty map has values")
	}
}

// TestPending: every node that was added is taken, once, in order from where the last was on.
func TestPending(t *testing.T) {
	for _, n := range []uint32{1, 63, 64, 65, 4096, 4097, 300_000} {
		p := newPending(n)
		r := rand.New(rand.NewPCG(uint64(n), 5))
		in := make(map[uint32]bool)
		last := uint32(0)
		for range 3000 {
			for range r.IntN(4) {
				v := r.Uint32N(n)
				p.add(v)
				in[v] = true
			}
			v, ok := p.take()
			if ok != (len(in) > 0) || ok && !in[v] {
				t.Fatalf("of %d: took %d, %v, of %d", n, v, ok, len(in))
			}
			if !ok {
				continue
			}
			for w := range in {
				if w >= last && (v < last || w < v) {
					t.Fatalf("of %d: took %d from %d on, and there is %d", n, v, last, w)
				}
			}
			delete(in, v)
			last = v + 1
		}
	}
}

// TestClassSizes: the table is the runtime's, in order, and so is what forms make of it.
func TestClassSizes(t *testing.T) {
	if !slices.IsSorted(classSizes) || len(classSizes) != 67 || classSizes[66] != classBytes {
		t.Errorf("%d classes up to %d", len(classSizes), classSizes[len(classSizes)-1])
	}
	f := newForms(nil)
	for _, want := range []struct {
		key   formKey
		above uint64
	}{
		{formKey{size: 8}, 0}, {formKey{size: 48}, 32}, {formKey{size: 576, header: true}, 512},
		{formKey{size: 32768, header: true}, 28672}, {formKey{size: 32768, noscan: true}, 24576},
		{formKey{size: 40960}, 32768}, {formKey{size: 50}, 0},
	} {
		if got := f.make(want.key).above; got != want.above {
			t.Errorf("%+v: above %d, want %d", want.key, got, want.above)
		}
	}
}

// TestCrowd: sizes stay right when there are more forms than numbers.
func TestCrowd(t *testing.T) {
	f := newForms(nil)
	for i := range uint64(math.MaxUint16) {
		if id := f.id(formKey{size: (i + 5) * pageBytes, noscan: true}); id == crowd {
			t.Fatalf("form %d has no number", i)
		}
	}
	if id := f.id(formKey{size: 1 << 40, noscan: true}); id != crowd {
		t.Errorf("one form too many has number %d", id)
	}
	g := &Graph{objects: 1, formOf: []uint16{crowd}, forms: f.list}
	g.spans = newSpans([]snapshot.Span{{Start: pageBytes, Pages: 1 << 20, ElemSize: 1 << 33, Slots: 1, Live: []uint64{1}}}, []snapshot.ObjectID{0, 1})
	if got := g.Size(0); got != 1<<33 || bits.Len64(got) != 34 {
		t.Errorf("size %d, want %d", got, uint64(1)<<33)
	}
}
