package retain

import (
	"context"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

var seed = flag.Uint64("seed", 0, "repeat a randomized test with the seed that its failure printed")

// seeds are what randomized tests run over: a fixed run, or the one that failed.
func seeds(count uint64) []uint64 {
	if *seed != 0 {
		return []uint64{*seed}
	}
	list := make([]uint64, count)
	for i := range list {
		list[i] = uint64(i) + 1
	}
	return list
}

func load(t testing.TB, file *heaptest.File) *graph.Graph {
	t.Helper()
	reader, err := file.Reader()
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.Load(t.Context(), reader, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func analyze(t testing.TB, file *heaptest.File, o Options) *Analysis {
	t.Helper()
	a, err := Analyze(t.Context(), load(t, file), o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// unbounded has all of every list.
var unbounded = Options{MaxSuspects: -1, MaxTypes: -1, MaxRoots: -1, MaxShared: -1, MaxGoroutines: -1, MaxPins: -1}

// reachedWithout sums up what is reached from the super root without a node: the twin of retained sizes.
func reachedWithout(h *heap, without uint32) (bytes uint64, reached []bool) {
	g := h.g
	reached = make([]bool, g.Nodes())
	queue := []uint32{g.Super()}
	reached[g.Super()] = true
	for ; len(queue) > 0; queue = queue[1:] {
		node := queue[0]
		bytes += g.Size(node)
		for _, target := range g.Targets[g.Starts[node]:g.Starts[node+1]] {
			if !reached[target] && target != without && !h.ignored(node, target) {
				reached[target] = true
				queue = append(queue, target)
			}
		}
	}
	return bytes, reached
}

// TestRetainedSizes compares retained sizes, of nodes and of types, with what is no more reached when a node is taken
// away, and shortest paths with their definition.
func TestRetainedSizes(t *testing.T) {
	for _, seed := range seeds(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		g := load(t, heaptest.Random(seed, random.IntN(120)))
		a, err := Analyze(t.Context(), g, unbounded)
		if err != nil {
			t.Fatal(err)
		}
		verifyRetained(t, g, a)
		verifyPaths(t, g, a.heap)
		if t.Failed() {
			t.Fatalf("to repeat: go test ./heap/retain -run %s -seed %d", t.Name(), seed)
		}
	}
}

func verifyRetained(t *testing.T, g *graph.Graph, a *Analysis) {
	t.Helper()
	h := a.heap
	all, reached := reachedWithout(h, nowhere)
	if a.ReachedBytes != all {
		t.Errorf("%d bytes reached, want %d", a.ReachedBytes, all)
	}
	retained := make(map[string]uint64)
	counts := make(map[string]uint64)
	covered := make(map[uint32]map[string]bool) // node -> types of which a dominator is
	sizes := make(map[uint32]uint64)
	for node := range g.Nodes() {
		if !reached[node] {
			if h.places[node] != nowhere {
				t.Errorf("node %d is not reached and has place %d", node, h.places[node])
			}
			continue
		}
		rest, still := reachedWithout(h, node)
		sizes[node] = all - rest
		if node == g.Super() {
			sizes[node] = all
		}
		if got := h.retained.at(h.places[node]); got != sizes[node] {
			t.Errorf("node %d retains %d bytes, want %d", node, got, sizes[node])
		}
		for other := range g.Nodes() {
			if node < g.Objects() && reached[other] && !still[other] && other != node {
				if covered[other] == nil {
					covered[other] = make(map[string]bool)
				}
				covered[other][nameOf(g, node)] = true
			}
		}
	}
	for node := range g.Objects() {
		if name := nameOf(g, node); reached[node] {
			counts[name]++
			if !covered[node][name] {
				retained[name] += sizes[node]
			}
		}
	}
	if len(a.Types) != len(counts) || a.TypeCount != len(counts) {
		t.Errorf("%d types of %d, want %d", len(a.Types), a.TypeCount, len(counts))
	}
	for _, of := range a.Types {
		if of.Count != counts[of.Name] || of.RetainedBytes != retained[of.Name] {
			t.Errorf("%d %s retain %d bytes, want %d and %d", of.Count, of.Name, of.RetainedBytes, counts[of.Name], retained[of.Name])
		}
	}
}

func nameOf(g *graph.Graph, object uint32) string {
	id, _ := g.Type(object)
	if name := g.TypeName(id); name != "" {
		return name
	}
	return unknownType
}

// verifyPaths checks that each reached object has a path along edges from a root.
func verifyPaths(t *testing.T, g *graph.Graph, h *heap) {
	t.Helper()
	for node := range g.Objects() {
		if h.places[node] == nowhere {
			continue
		}
		route := h.route(node)
		if len(route) < 2 || route[len(route)-1] != node {
			t.Fatalf("route of %d: %v", node, route)
		}
		if kind, _ := g.Kind(route[0]); kind != graph.RootNode {
			t.Errorf("route of %d begins with node %d, which is no root", node, route[0])
		}
		for i := 1; i < len(route); i++ {
			if _, ok := h.find(route[i-1], route[i]); !ok {
				t.Errorf("route of %d: no edge from %d to %d", node, route[i-1], route[i])
			}
		}
	}
}

// TestReachedRatio: of four blocks of one size one is held.
func TestReachedRatio(t *testing.T) {
	b := heaptest.New()
	block := b.Array(8, b.Int())
	b.Global("main.block", b.PtrTo(block)).Set("", b.Object(block))
	for range 3 {
		b.Object(block)
	}
	a := analyze(t, b.Build(), Options{})
	if a.ReachedRatio != 0.25 || a.ReachedBytes*4 != a.Bytes {
		t.Errorf("ratio %v, %d of %d bytes: want a quarter", a.ReachedRatio, a.ReachedBytes, a.Bytes)
	}
	if back := decoded(t, a); back.ReachedRatio != 0.25 {
		t.Errorf("read back from JSON it is %v", back.ReachedRatio)
	}
}

// TestHeapOfNothing: no objects, no roots.
func TestHeapOfNothing(t *testing.T) {
	a := analyze(t, heaptest.New().Build(), Options{})
	if len(a.Suspects)+len(a.Types)+len(a.Roots) != 0 || a.LiveRatio != 0 || a.ReachedRatio != 0 || a.Suspects == nil || a.Warnings == nil {
		t.Errorf("analysis of nothing: %+v", a)
	}
}

func TestOptions(t *testing.T) {
	g := load(t, heaptest.New().Build())
	for _, share := range []float64{-0.1, 1.1, math.NaN()} {
		if _, err := Analyze(t.Context(), g, Options{SuspectShare: share}); err == nil {
			t.Errorf("a suspect's share of %v was accepted", share)
		}
	}
	list := []int{1, 2, 3}
	if got := cut(list, 2); len(got) != 2 {
		t.Errorf("cut to 2: %v", got)
	}
	if got := cut(list, -1); len(got) != 3 {
		t.Errorf("not cut: %v", got)
	}
}

// TestCancelled ends the context at each stage.
func TestCancelled(t *testing.T) {
	g := load(t, heaptest.Random(1, 100))
	reason := errors.New("enough")
	for _, at := range []string{"", "dominators", "retained", "suspects"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		if at == "" {
			cancel(reason)
		}
		_, err := Analyze(ctx, g, Options{Progress: func(stage string, _, _ uint64) {
			if stage == at {
				cancel(reason)
			}
		}})
		if at != "suspects" && !errors.Is(err, reason) {
			t.Errorf("cancelled at %q: %v", at, err)
		}
		cancel(nil)
	}
}

// TestWideSizes: sums of more than 32 GiB, and sizes that are no multiples of a word, take eight bytes a node.
func TestWideSizes(t *testing.T) {
	h := analyze(t, heaptest.Random(3, 100), Options{}).heap
	if h.retained.words == nil {
		t.Fatal("a small heap has wide sizes")
	}
	narrow := h.retained
	for _, c := range []struct {
		words []uint32
		own   func(place) uint64
	}{
		{make([]uint32, h.len()), func(p place) uint64 { return h.g.Size(h.node[p]) * (8 << 30) }},
		{nil, func(p place) uint64 { return h.g.Size(h.node[p]) + 1 }},
	} {
		wide := tree{node: h.node, parent: h.parent, end: make([]place, h.len())}
		total := uint64(0)
		for p := range wide.node {
			total += c.own(place(p))
		}
		wide.sum(total, c.words, c.own)
		if wide.retained.bytes == nil || wide.retained.at(0) != total || !slices.Equal(wide.end, h.end) {
			t.Errorf("the root retains %d bytes, want %d; subtrees end at %v, want %v", wide.retained.at(0), total, wide.end, h.end)
		}
	}
	if narrow.at(0) != h.reached {
		t.Errorf("the root retains %d bytes, want %d", narrow.at(0), h.reached)
	}
}

func TestPathsOfSameLength(t *testing.T) {
	// Of several shortest paths the one by the root that comes first by its name is taken, whichever was added first.
	for _, names := range [][]string{{"main.a", "main.b"}, {"main.b", "main.a"}} {
		b := heaptest.New()
		object := b.Object(b.Struct("main.T", heaptest.F("N", b.Int())))
		for _, name := range names {
			b.Global(name, b.Ptr("main.T")).Set("", object)
		}
		b.Root(snapshot.Register, "rax", 0).Word(0, object)
		file := b.Build()
		h := analyze(t, file, Options{}).heap
		if got := h.path(uint32(file.ID(object))); len(got) != 1 || got[0] != "main.a" {
			t.Errorf("path %q, want main.a", got)
		}
	}
}

// TestACycleWithAFinalizer is never freed: what has the finalizer is what is told.
func TestACycleWithAFinalizer(t *testing.T) {
	b := heaptest.New()
	owner := b.Struct("main.owner", heaptest.F("handle", b.Basic(snapshot.UnsafePointer)))
	handle := b.Struct("main.handle", heaptest.F("owner", b.PtrTo(owner)), heaptest.F("buffer", b.Array(100, b.Int())))
	for range 100 {
		h, o := b.Object(handle), b.Object(owner)
		b.Field(h, "owner", o)
		b.Field(o, "handle", h)
		b.Finalizer(h)
	}
	a := analyze(t, b.Build(), Options{})
	if len(a.Suspects) == 0 {
		t.Fatal("there is no suspect")
	}
	if s := a.Suspects[0]; s.Type != "main.handle" || s.Count != 100 || strings.Join(s.Path, "") != "finalizer of main.handle" {
		t.Errorf("%+v", s)
	}
}
