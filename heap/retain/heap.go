package retain

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/memwarden/memwarden/heap/dominator"
	"github.com/memwarden/memwarden/heap/graph"
)

// nowhere is the place or the parent of nodes that are not reached.
const nowhere = math.MaxUint32

// heap is all that questions are answered from: the graph, its dominator tree, and shortest paths. It takes 24 bytes a
// node beside the graph, and some 30 while it is built. It is read-only once built.
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

// newHeap builds it, which is the costly part of an analysis. The tree and the shortest paths, which wait for memory more
// than they compute, are found at the same time.
func newHeap(ctx context.Context, g *graph.Graph, o Options) (*heap, error) {
	h := &heap{g: g, labels: newLabels(g), types: newTypeNames(g), reached: g.ReachedBytes()}
	h.keeping = h.keepers()
	o.Progress("dominators", 0, 1)
	arrays := dominator.NewArrays(int(g.Nodes()))
	seeds := h.labels.seeds()
	h.parents = arrays.Get()
	var searching sync.WaitGroup
	var searched error
	err := h.dominate(ctx, seeds, arrays, o, func() {
		searching.Go(func() { searched = newPathSearch(g, h.keeping, h.parents).run(ctx, seeds) })
	})
	searching.Wait()
	if err = cmp.Or(err, searched); err != nil {
		return nil, fmt.Errorf("retain: %w", err)
	}
	h.samples = newSamples(h)
	return h, nil
}

// dominate computes the dominator tree and what it retains, and calls alone when there is a processor for something else.
func (h *heap) dominate(ctx context.Context, seeds [][]uint32, arrays *dominator.Arrays, o Options, alone func()) error {
	var noted notes
	var noting sync.WaitGroup
	defer noting.Wait()
	sizes, kinds := arrays.Get(), arrays.Get()
	tree, err := dominator.Compute(ctx, h.g.Starts, h.g.Targets, h.g.Super(), dominator.Options{
		Arrays: arrays, IgnoreFrom: h.keeping, Alone: alone,
		IgnoreTo: func() (firm []uint64, err error) {
			if h.firm, err = h.g.Reachable(ctx, slices.Concat(seeds[lasting], seeds[passing]), h.keeping); err != nil {
				return nil, context.Cause(ctx) // it fails of nothing else
			}
			return h.firm, nil
		},
		Named: func(order []uint32) {
			noting.Go(func() { noted = h.note(order, sizes, kinds) })
		},
		Progress: func(done, total uint64) { o.Progress("dominators", done, total) },
	})
	if err != nil {
		return err
	}
	t := renumber(tree, arrays)
	noting.Wait()
	h.kinds = t.move(noted.kinds, arrays)
	words := t.move(noted.words, arrays)
	h.tree = t.finish(arrays)
	h.places = arrays.Get()
	h.place()
	if noted.odd {
		words = nil
	}
	h.sum(h.reached, words, func(p place) uint64 { return h.g.Size(h.node[p]) })
	return nil
}

// notes are what is looked up by place later.
type notes struct {
	words []uint32 // sizes of objects
	kinds []typeNumber
	odd   bool // some size is no multiple of a word
}

// note notes sizes and types of nodes in an order, which lie far from those of the one before: here the misses of the
// processor's caches are its own, while the dominators of the nodes are still being found.
func (h *heap) note(order, words []uint32, kinds []typeNumber) notes {
	rest := uint64(0)
	words, kinds = words[:len(order)], kinds[:len(order)]
	for i, node := range order {
		size, kind := uint64(0), noType
		if node < h.g.Objects() {
			id, _ := h.g.Type(node)
			size, kind = h.g.Size(node), h.types.of[id]
		}
		rest |= size
		words[i], kinds[i] = uint32(size/wordBytes), kind
	}
	return notes{words: words, kinds: kinds, odd: rest%wordBytes != 0}
}

// place fills in the places of nodes.
func (h *heap) place() {
	inParts(len(h.places), func(from, to int) {
		for node := from; node < to; node++ {
			h.places[node] = nowhere
		}
	})
	inParts(h.len(), func(from, to int) {
		for p := from; p < to; p++ {
			h.places[h.node[p]] = place(p)
		}
	})
}

// keepers is the set of nodes that hold others for the runtime's sake: its own objects, such as what it knows of
// goroutines and who waits for what, and roots that are no variables. What they hold counts as theirs only if nothing
// else holds it: a channel belongs to those who use it, and not to the runtime's list of who waits on it.
func (h *heap) keepers() []uint64 {
	g := h.g
	set := make([]uint64, (g.Nodes()+63)/64)
	inParts(int(g.Objects()), func(from, to int) { // of whole words
		for object := uint32(from); object < uint32(to); object++ {
			if id, _ := g.Type(object); h.types.keeper[h.types.of[id]] {
				set[object>>6] |= 1 << (object & 63)
			}
		}
	})
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
