package dominator

import (
	"context"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
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

// sparse builds the sparse rows from edges as pairs, in the order of their sources.
func sparse(nodes int, edges [][2]uint32) (starts, targets []uint32) {
	starts = make([]uint32, nodes+1)
	for _, e := range edges {
		starts[e[0]+1]++
	}
	for i := range nodes {
		starts[i+1] += starts[i]
	}
	targets = make([]uint32, len(edges))
	next := append([]uint32(nil), starts...)
	for _, e := range edges {
		targets[next[e[0]]] = e[1]
		next[e[0]]++
	}
	return starts, targets
}

func compute(t *testing.T, starts, targets []uint32, root uint32) *Tree {
	t.Helper()
	tree, err := Compute(t.Context(), starts, targets, root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// dominators returns node -> immediate dominator of a tree; of nodes that are not reached, and of the root, noNode.
func dominators(tree *Tree, nodes int) []int {
	list := make([]int, nodes)
	for i := range list {
		list[i] = noNode
	}
	for place, node := range tree.Order[1:] {
		list[node] = int(tree.Order[tree.Parent[place+1]])
	}
	return list
}

const noNode = -1

// naive is the twin: sets of dominators, shrunk until they are at rest (Allen and Cocke 1972).
func naive(starts, targets []uint32, root uint32) []int {
	nodes := len(starts) - 1
	words := (nodes + 63) / 64
	sets := make([][]uint64, nodes) // nil: not reached
	sets[root] = make([]uint64, words)
	sets[root][root/64] |= 1 << (root % 64)
	for changed := true; changed; {
		changed = false
		for from := range nodes {
			if sets[from] == nil {
				continue
			}
			for _, to := range targets[starts[from]:starts[from+1]] {
				if sets[to] == nil {
					sets[to] = append([]uint64(nil), sets[from]...)
					sets[to][to/64] |= 1 << (to % 64)
					changed = true
					continue
				}
				for i := range words {
					keep := sets[from][i]
					if i == int(to/64) {
						keep |= 1 << (to % 64)
					}
					if rest := sets[to][i] & keep; rest != sets[to][i] {
						sets[to][i] = rest
						changed = true
					}
				}
			}
		}
	}
	list := make([]int, nodes)
	for node, set := range sets {
		// The immediate dominator is the strict one that has all the others: one member less than the node's own set.
		list[node] = noNode
		for other := range nodes {
			if set != nil && other != node && set[other/64]&(1<<(other%64)) != 0 && members(sets[other]) == members(set)-1 {
				list[node] = other
			}
		}
	}
	return list
}

func members(set []uint64) (count int) {
	for _, word := range set {
		for ; word != 0; word &= word - 1 {
			count++
		}
	}
	return count
}

// verify compares a tree with the twin's and checks what Tree promises.
func verify(t *testing.T, starts, targets []uint32, root uint32) {
	t.Helper()
	tree := compute(t, starts, targets, root)
	want := naive(starts, targets, root)
	for node, got := range dominators(tree, len(starts)-1) {
		if got != want[node] {
			t.Errorf("immediate dominator of %d is %d, want %d", node, got, want[node])
		}
	}
	if tree.Order[0] != root || tree.Parent[0] != 0 || len(tree.Order) != len(tree.Parent) {
		t.Errorf("the tree begins with node %d and parent %d, of %d and %d", tree.Order[0], tree.Parent[0], len(tree.Order),
			len(tree.Parent))
	}
	for place := 1; place < len(tree.Parent); place++ {
		if tree.Parent[place] >= uint32(place) {
			t.Errorf("place %d has the dominator %d, which is not before it", place, tree.Parent[place])
		}
	}
}

func TestSmallGraphs(t *testing.T) {
	for _, test := range []struct {
		name  string
		nodes int
		edges [][2]uint32
		want  []int
	}{
		{"one node", 1, nil, []int{noNode}},
		{"self-loop", 1, [][2]uint32{{0, 0}}, []int{noNode}},
		{"unreachable", 3, [][2]uint32{{1, 2}, {2, 1}, {1, 0}}, []int{noNode, noNode, noNode}},
		{"duplicate edges", 2, [][2]uint32{{0, 1}, {0, 1}, {1, 1}, {1, 1}, {1, 0}}, []int{noNode, 0}},
		{"diamond", 4, [][2]uint32{{0, 1}, {0, 2}, {1, 3}, {2, 3}}, []int{noNode, 0, 0, 0}},
		{"cycle", 4, [][2]uint32{{0, 1}, {1, 2}, {2, 3}, {3, 1}}, []int{noNode, 0, 1, 2}},
		{"irreducible", 3, [][2]uint32{{0, 1}, {0, 2}, {1, 2}, {2, 1}}, []int{noNode, 0, 0}},
		{"forward", 4, [][2]uint32{{0, 1}, {1, 2}, {2, 3}, {1, 3}}, []int{noNode, 0, 1, 1}},
		{
			// The graph of Lengauer and Tarjan 1979, figure 1: R A B C D E F G H I J K L.
			"Lengauer and Tarjan", 13,
			[][2]uint32{
				{0, 1}, {0, 2}, {0, 3}, {1, 4}, {2, 1}, {2, 4}, {2, 5}, {3, 6}, {3, 7}, {4, 12}, {5, 8}, {6, 9}, {7, 9}, {7, 10},
				{8, 5}, {8, 11}, {9, 11}, {10, 9}, {11, 9}, {11, 0}, {12, 8},
			},
			[]int{noNode, 0, 0, 0, 0, 0, 3, 3, 0, 0, 7, 0, 4},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			starts, targets := sparse(test.nodes, test.edges)
			for node, got := range dominators(compute(t, starts, targets, 0), test.nodes) {
				if got != test.want[node] {
					t.Errorf("immediate dominator of %d is %d, want %d", node, got, test.want[node])
				}
			}
			verify(t, starts, targets, 0)
		})
	}
}

func TestRandomGraphs(t *testing.T) {
	for _, seed := range seeds(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		nodes := 1 + random.IntN(90)
		edges := make([][2]uint32, random.IntN(1+nodes*(1+random.IntN(4))))
		local := random.IntN(2) == 0 // edges to near nodes make deep trees
		for i := range edges {
			from, to := random.IntN(nodes), random.IntN(nodes)
			if local {
				to = min(nodes-1, max(0, from+random.IntN(7)-3))
			}
			edges[i] = [2]uint32{uint32(from), uint32(to)}
		}
		starts, targets := sparse(nodes, edges)
		verify(t, starts, targets, uint32(random.IntN(nodes)))
		if t.Failed() {
			t.Fatalf("to repeat: go test ./heap/dominator -run %s -seed %d", t.Name(), seed)
		}
	}
}

// TestIgnoredEdges compares with the twin on a graph without the ignored edges.
func TestIgnoredEdges(t *testing.T) {
	for _, seed := range seeds(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		nodes := 2 + random.IntN(80)
		ignorable, alone := make([]uint64, 2), 0
		o := Options{
			IgnoreFrom: make([]uint64, 2), IgnoreTo: func() ([]uint64, error) { return ignorable, nil }, Alone: func() { alone++ },
		}
		for node := range nodes {
			o.IgnoreFrom[node/64] |= uint64(random.IntN(4)/3) << (node % 64)
			ignorable[node/64] |= uint64(random.IntN(2)) << (node % 64)
		}
		var all, kept [][2]uint32
		for range nodes * 3 {
			edge := [2]uint32{random.Uint32N(uint32(nodes)), random.Uint32N(uint32(nodes))}
			all = append(all, edge)
			if !has(o.IgnoreFrom, edge[0]) || !has(ignorable, edge[1]) {
				kept = append(kept, edge)
			}
		}
		starts, targets := sparse(nodes, all)
		tree, err := Compute(t.Context(), starts, targets, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		if alone != 1 {
			t.Fatalf("it was told %d times that one goroutine goes on alone", alone)
		}
		starts, targets = sparse(nodes, kept)
		want := naive(starts, targets, 0)
		for node, got := range dominators(tree, nodes) {
			if got != want[node] {
				t.Fatalf("immediate dominator of %d is %d, want %d; to repeat: go test ./heap/dominator -run %s -seed %d", node, got,
					want[node], t.Name(), seed)
			}
		}
	}
}

func TestIgnoredEdgesThatAreNotKnown(t *testing.T) {
	unknown := errors.New("unknown")
	for name, o := range map[string]Options{
		"from too few":   {IgnoreFrom: []uint64{}, IgnoreTo: func() ([]uint64, error) { return []uint64{0}, nil }},
		"to too few":     {IgnoreFrom: []uint64{1}, IgnoreTo: func() ([]uint64, error) { return nil, nil }},
		"it has no idea": {IgnoreFrom: []uint64{1}, IgnoreTo: func() ([]uint64, error) { return nil, unknown }},
	} {
		_, err := Compute(t.Context(), []uint32{0, 0}, nil, 0, o)
		if err == nil || errors.Is(err, unknown) != (name == "it has no idea") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCompute(f *testing.F) {
	f.Add([]byte{3, 0, 0, 1, 0, 2, 1, 2, 2, 1})
	f.Add([]byte{13, 4, 0, 1, 1, 2, 2, 3, 3, 0, 4, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 || len(data) > 200 {
			return
		}
		nodes := 1 + int(data[0])%64
		var edges [][2]uint32
		for pair := data[2:]; len(pair) >= 2; pair = pair[2:] {
			edges = append(edges, [2]uint32{uint32(int(pair[0]) % nodes), uint32(int(pair[1]) % nodes)})
		}
		starts, targets := sparse(nodes, edges)
		verify(t, starts, targets, uint32(int(data[1])%nodes))
	})
}

func FuzzMalformed(f *testing.F) {
	f.Add([]byte{0, 1, 2}, []byte{1, 0}, uint8(0))
	f.Add([]byte{0, 2, 1}, []byte{1, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, starts, targets []byte, root uint8) {
		tree, err := Compute(t.Context(), widen(starts), widen(targets), uint32(root), Options{})
		if (tree == nil) != (err != nil) {
			t.Errorf("tree %v with error %v", tree, err)
		}
	})
}

func widen(bytes []byte) []uint32 {
	list := make([]uint32, len(bytes))
	for i, b := range bytes {
		list[i] = uint32(b)
	}
	return list
}

// large is long enough for many looks at the context; with -long it is too deep for a stack.
func large(t *testing.T) uint32 {
	t.Helper()
	if *long {
		return 10_000_000
	}
	return 250_000
}

func TestList(t *testing.T) {
	nodes := large(t)
	starts, targets := list(nodes, true)
	tree := compute(t, starts, targets, 0)
	for place, node := range tree.Order {
		if want := uint32(max(place-1, 0)); node != uint32(place) || tree.Parent[place] != want {
			t.Fatalf("place %d has node %d and parent %d, want %d and %d", place, node, tree.Parent[place], place, want)
		}
	}
}

// list is a chain, with an edge from its end to its beginning and to its middle if it is closed.
func list(nodes uint32, closed bool) (starts, targets []uint32) {
	starts, targets = make([]uint32, nodes+1), make([]uint32, nodes-1, nodes+1)
	for i := range nodes {
		starts[i] = i
	}
	starts[nodes] = nodes - 1
	for i := range targets {
		targets[i] = uint32(i) + 1
	}
	if closed {
		targets = append(targets, 1, nodes/2)
		starts[nodes] = nodes + 1
	}
	return starts, targets
}

// doublyLinked is a list in which each node leads to the next and back to the one before.
func doublyLinked(nodes uint32) (starts, targets []uint32) {
	starts, targets = make([]uint32, nodes+1), make([]uint32, 0, 2*nodes)
	for node := range nodes {
		starts[node] = uint32(len(targets))
		if node+1 < nodes {
			targets = append(targets, node+1)
		}
		if node > 0 {
			targets = append(targets, node-1)
		}
	}
	starts[nodes] = uint32(len(targets))
	return starts, targets
}

// TestDoublyLinkedList compresses the longest paths: each node leads back to the one before, and the last to all.
func TestDoublyLinkedList(t *testing.T) {
	nodes := large(t)
	starts, targets := doublyLinked(nodes)
	tree := compute(t, starts, targets, 0)
	for place := range tree.Order {
		if want := uint32(max(place-1, 0)); tree.Parent[place] != want {
			t.Fatalf("place %d has parent %d, want %d", place, tree.Parent[place], want)
		}
	}
}

func TestStar(t *testing.T) {
	nodes := large(t)
	starts, targets := make([]uint32, nodes+1), make([]uint32, nodes-1)
	for i := range targets {
		targets[i] = uint32(i) + 1
	}
	for i := range starts[1:] {
		starts[i+1] = nodes - 1
	}
	tree := compute(t, starts, targets, 0)
	if uint32(len(tree.Order)) != nodes {
		t.Errorf("%d nodes reached, want %d", len(tree.Order), nodes)
	}
	for place, parent := range tree.Parent {
		if parent != 0 {
			t.Fatalf("place %d has parent %d, want the root", place, parent)
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, test := range []struct {
		name            string
		starts, targets []uint32
		root            uint32
		want            string
	}{
		{"no node", nil, nil, 0, "dominator: root 0 is not among the nodes: starts has 0 elements"},
		{"root", []uint32{0, 0}, nil, 1, "dominator: root 1 is not among the nodes: starts has 2 elements"},
		{"end", []uint32{0, 2}, []uint32{0}, 0, "dominator: starts leads from 0 to 2: want 0 to 1, the number of edges"},
		{"order", []uint32{0, 2, 1}, []uint32{0}, 0, "dominator: the edges of node 2 begin at 1, before those of the node before it at 2"},
		{"target", []uint32{0, 1}, []uint32{1}, 0, "dominator: edge 0 leads to node 1 of 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Compute(t.Context(), test.starts, test.targets, test.root, Options{})
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func TestLentArrays(t *testing.T) {
	starts, targets := list(1000, true)
	arrays := NewArrays(len(starts))
	for range 3 {
		tree, err := Compute(t.Context(), starts, targets, 0, Options{Arrays: arrays})
		if err != nil {
			t.Fatal(err)
		}
		if len(arrays.free) != 2 {
			t.Errorf("%d arrays came back, want 2 of 4: the tree has the others", len(arrays.free))
		}
		for place := 1; place < len(tree.Parent); place++ {
			if tree.Parent[place] != uint32(place)-1 {
				t.Fatalf("place %d has parent %d", place, tree.Parent[place])
			}
		}
		arrays.Put(tree.Order)
		arrays.Put(tree.Parent)
	}
	arrays.Put(make([]uint32, 10))
	if len(arrays.free) != 4 {
		t.Errorf("%d arrays are free, want 4: one was too short", len(arrays.free))
	}
	_, err := Compute(t.Context(), starts, targets, 0, Options{Arrays: NewArrays(10)})
	if err == nil || !strings.Contains(err.Error(), "arrays of 10 elements lent for 1000 nodes") {
		t.Errorf("too short arrays: %v", err)
	}
}

// endingContext ends when it is asked for the nth time whether it has ended.
type endingContext struct {
	context.Context
	end   context.CancelCauseFunc
	asked atomic.Int64
	last  int64
}

var errEnough = errors.New("enough")

func newEndingContext(t *testing.T, last int64) *endingContext {
	c := &endingContext{last: last}
	c.Context, c.end = context.WithCancelCause(t.Context())
	t.Cleanup(func() { c.end(nil) })
	return c
}

func (c *endingContext) Err() error {
	if c.asked.Add(1) > c.last {
		c.end(errEnough)
	}
	return c.Context.Err()
}

// TestCancelled stops in each phase: the context ends when it has been asked so many times of those of a whole run.
func TestCancelled(t *testing.T) {
	starts, targets := doublyLinked(large(t))
	whole := newEndingContext(t, math.MaxInt64)
	if _, err := Compute(whole, starts, targets, 0, Options{}); err != nil {
		t.Fatal(err)
	}
	asked := whole.asked.Load()
	if asked < 10 {
		t.Errorf("the context was asked %d times", asked)
	}
	for _, at := range []float64{0, 0.2, 0.45, 0.7} {
		tree, err := Compute(newEndingContext(t, int64(at*float64(asked))), starts, targets, 0, Options{})
		if !errors.Is(err, errEnough) || tree != nil {
			t.Errorf("cancelled at %v: tree %v, error %v", at, tree != nil, err)
		}
	}
}

// TestProgress is told of every million steps, so there must be some millions.
func TestProgress(t *testing.T) {
	const nodes = 1 << 20
	starts, targets := doublyLinked(nodes)
	var last, calls uint64
	tell := func(done, total uint64) {
		if done < last || done > total {
			t.Errorf("progress went from %d to %d of %d", last, done, total)
		}
		if last = done; done == total {
			last = total
		}
		calls++
	}
	if _, err := Compute(t.Context(), starts, targets, 0, Options{Progress: tell}); err != nil {
		t.Fatal(err)
	}
	if want := uint64(len(targets) + 2*nodes - 2); last != want || calls < 4 || calls > 500 {
		t.Errorf("progress ended at %d of %d after %d calls", last, want, calls)
	}
}
