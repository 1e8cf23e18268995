package retain

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/memwarden/memwarden/heap/dominator"
	"github.com/memwarden/memwarden/heap/graph"
)

// nowhere is the place or the parent of nodes that are not reached.
const nowhere = math.MaxUint32

// heap is all that questions are answered from: the graph, its dominator tree, and shortest paths. It takes 24 bytes a
// node beside the graph, and 28 while it is built. It is read-only once built.
type heap struct {
	g *graph.Graph
	tree
	labels *labels
	// parents has, for each node, the one before it on a shortest path from a root; nowhere for the super root.
	parents       []uint32
	keeping, firm []uint64
	// places has the place of each node, or nowhere.
	places  []place
	kinds   []typeNumber // by place
	samples []sample
	types   *typeNames
	reached uint64
}

// newHeap builds it, which is the costly part of an analysis.
func newHeap(ctx context.Context, g *graph.Graph, o Options) (*heap, error) {
	h := &heap{g: g, labels: newLabels(g), types: newTypeNames(g), reached: g.ReachedBytes()}
	arrays := dominator.NewArrays(int(g.Nodes()))
	o.Progress("paths", 0, 1)
	search := pathSearch{g: g, queue: arrays.Get(), parents: arrays.Get(), keepers: h.keepers()}
	if err := search.run(ctx, h.labels.seeds()); err != nil {
		return nil, fmt.Errorf("retain: %w", err)
	}
	h.parents = search.parents
	arrays.Put(search.queue)
	tree, err := dominator.Compute(ctx, g.Starts, g.Targets, g.Super(), dominator.Options{
		Arrays: arrays, IgnoreFrom: search.keepers, IgnoreTo: search.firm,
		Progress: func(done, total uint64) { o.Progress("dominators", done, total) },
	})
	if err != nil {
		return nil, fmt.Errorf("retain: %w", err)
	}
	h.keeping, h.firm = search.keepers, search.firm
	h.tree = newTree(tree, arrays)
	h.sum(h.reached, g.Size, arrays)
	h.places = arrays.Get()
	for node := range h.places {
		h.places[node] = nowhere
	}
	h.kinds = arrays.Get()[:h.len()]
	var filling sync.WaitGroup
	const part = 1 << 18
	var nextPart atomic.Int64
	for range 2 {
		filling.Go(func() {
			for {
				from := int(nextPart.Add(part) - part)
				if from >= h.len() {
					return
				}
				h.fill(from, min(from+part, h.len()))
			}
		})
	}
	filling.Wait()
	h.samples = newSamples(h)
	return h, nil
}

// fill notes what is looked up by place, or by node, later.
func (h *heap) fill(from, to int) {
	g := h.g
	for p := from; p < to; p++ {
		node := h.node[p]
		h.places[node] = place(p)
		kind := typeNumber(noType)
		if node < g.Objects() {
			id, _ := g.Type(node)
			kind = h.types.of[id]
		}
		h.kinds[p] = kind
	}
}

// keepers is the set of nodes that hold others for the runtime's sake: its own objects, such as what it knows of
// goroutines and who waits for what, and roots that are no variables. What they hold counts as theirs only if nothing
// else holds it: a channel belongs to those who use it, and not to the runtime's list of who waits on it.
func (h *heap) keepers() []uint64 {
	g := h.g
	set := make([]uint64, (g.Nodes()+63)/64)
	for object := range g.Objects() {
		if id, _ := g.Type(object); h.types.keeper[h.types.of[id]] {
			set[object>>6] |= 1 << (object & 63)
		}
	}
	for i := range g.Roots {
		if h.labels.class(&g.Roots[i]) == keeping {
			node := g.RootNode(i)
			set[node>>6] |= 1 << (node & 63)
		}
	}
	return set
}

// ignored reports whether an edge does not count, because its target is held by more than a keeper.
func (h *heap) ignored(from, to uint32) bool { return has(h.keeping, from) && has(h.firm, to) }

func has(set []uint64, node uint32) bool { return set[node>>6]>>(node&63)&1 != 0 }

// object reports whether a place is that of an object, and no root, goroutine or the super root.
func (h *heap) object(p place) bool { return h.node[p] < h.g.Objects() }

// share is a part of all reached bytes.
func (h *heap) share(bytes uint64) float64 { return ratio(bytes, h.reached) }

func ratio(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// pathSearch is a breadth-first search: the first path found to a node is a shortest one.
type pathSearch struct {
	g              *graph.Graph
	queue, parents []uint32
	keepers        []uint64
	inner          []uint64 // has edges
	seen           []uint64 // small enough to stay in the processor's cache
	firm           []uint64 // what was seen before keepers were followed
	head, tail     int
}

// run searches from one class of roots after the other, so that an object which a better class reaches has its path
// from there however long that is. Keepers are followed last.
func (s *pathSearch) run(ctx context.Context, classes [][]uint32) error {
	s.seen, s.inner = make([]uint64, len(s.keepers)), make([]uint64, len(s.keepers))
	for node := range s.g.Nodes() {
		if s.g.Starts[node] != s.g.Starts[node+1] {
			s.inner[node>>6] |= 1 << (node & 63)
		}
	}
	for i := range s.parents {
		s.parents[i] = nowhere
	}
	super := s.g.Super()
	for class, roots := range classes {
		if class == keeping {
			s.firm = slices.Clone(s.seen)
			// Those that were met begin anew.
			met := s.head
			s.head = 0
			for _, node := range s.queue[:met] {
				if has(s.keepers, node) {
					s.queue[s.head] = node
					s.head++
				}
			}
			s.tail, s.head = s.head, 0
		}
		for _, root := range roots {
			if !has(s.seen, root) {
				s.add(root, super)
			}
		}
		if err := s.follow(ctx, class == keeping); err != nil {
			return err
		}
	}
	return nil
}

func (s *pathSearch) add(node, parent uint32) {
	s.seen[node>>6] |= 1 << (node & 63)
	s.parents[node] = parent
	s.queue[s.tail] = node
	s.tail++
}

// follow goes on until nothing is left in the queue.
func (s *pathSearch) follow(ctx context.Context, keepers bool) error {
	starts, targets, queue, parents, seen := s.g.Starts, s.g.Targets, s.queue, s.parents, s.seen
	head, tail := s.head, s.tail
	for ; head < tail; head++ {
		if head%(1<<16) == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		node := queue[head]
		from, to := starts[node], starts[node+1]
		if !keepers && has(s.keepers, node) {
			continue
		}
		for _, target := range targets[from:to] {
			if bit := uint64(1) << (target & 63); seen[target>>6]&bit == 0 {
				seen[target>>6] |= bit
				parents[target] = node
				if s.inner[target>>6]&bit != 0 {
					queue[tail] = target
					tail++
				}
			}
		}
	}
	s.head, s.tail = head, tail
	return nil
}
