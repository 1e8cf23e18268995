// Package dominator computes the dominator tree of a directed graph of tens of millions of nodes.
//
// It knows numbers: nodes, edges and a root. It does not know what a node is; heap/retain stands above it and makes
// objects and retained sizes of its answers.
//
// The algorithm is Semi-NCA from Georgiadis, "Linear-Time Algorithms for Dominators and Related Problems" (2005),
// chapter 2: a depth-first search numbers the nodes, semidominators are found in reverse preorder by path compression
// (Lengauer and Tarjan, TOPLAS 1979), and the immediate dominator of a node is the nearest common ancestor, in the tree
// built so far, of its parent and its semidominator. Of the edges that the search did not follow only those are kept
// that lead back in preorder; the others have said all when they are met.
package dominator

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
)

// Options are optional: the zero value computes in silence.
type Options struct {
	// Arrays lends the arrays that the computation needs, and has them back afterwards, but for those of the Tree. Nil:
	// they are allocated, and left to the garbage collector.
	Arrays *Arrays
	// Edges from a node of IgnoreFrom to one of IgnoreTo are ignored. Both are sets with a bit for each node, least
	// significant first. IgnoreTo is called once, by the computing goroutine while another one works, as it may take time
	// to say. Either may be nil.
	IgnoreFrom []uint64
	IgnoreTo   func() ([]uint64, error)
	// Alone, if it is set, is called from the computing goroutine when it goes on alone, after the first fifth of the time:
	// until then there was work for two, from then on there is a processor for something else.
	Alone func()
	// Named, if it is set, is called from a goroutine of its own with the Tree's Order, which is known before its Parent is:
	// there is a processor for something else once more. The array must not be changed. Compute waits until it returns.
	Named func(order []uint32)
	// Progress, if it is set, is called from the computing goroutine a few hundred times: done of total steps.
	Progress func(done, total uint64)
}

// Tree is the dominator tree of the nodes that the root reaches. Its arrays are its own.
type Tree struct {
	// Order holds the reached nodes: Order[0] is the root. Those that have no edges, and to which only one leads, come last;
	// the others are in the preorder of a depth-first search.
	Order []uint32
	// Parent has, for each place in Order, the place in Order of the immediate dominator. A dominator comes before all
	// that it dominates, Parent[i] < i, so that a sweep from the last place to the first sums up whole subtrees. The
	// root's own is 0.
	Parent []uint32
}

// Compute returns the dominator tree of a graph in compressed sparse rows: the edges of node v lead to
// targets[starts[v]:starts[v+1]]. Self-loops, duplicate edges, cycles and nodes that cannot be reached are fine. Neither
// array is changed or kept.
//
// The time is O((nodes + edges) log nodes) but for contrived graphs, in which it is quadratic; a graph of a program's
// heap, 10 million nodes and 12.5 million edges, takes one to two seconds. Memory: 12 bytes for each node, 20 more for
// each to which several edges lead, 4.5 for each edge, 8 more for each that leads back in preorder. Nothing recurses,
// however deep the graph. Parts of it run in two goroutines.
//
// It returns an error if the graph is malformed, that of IgnoreTo, and the context's cause soon after the context is done.
func Compute(ctx context.Context, starts, targets []uint32, root uint32, o Options) (*Tree, error) {
	if err := check(starts, targets, root); err != nil {
		return nil, err
	}
	nodes := len(starts) - 1
	if o.Arrays == nil {
		o.Arrays = NewArrays(nodes)
	}
	if o.Arrays.length < nodes {
		return nil, fmt.Errorf("dominator: arrays of %d elements lent for %d nodes", o.Arrays.length, nodes)
	}
	r, err := newRows(ctx, starts, targets, root, o)
	if err != nil {
		return nil, fmt.Errorf("dominator: %w", err)
	}
	if o.Alone != nil {
		o.Alone()
	}
	s := newSearch(r, starts[root], o.Arrays)
	p := &pace{ctx: ctx, tell: o.Progress, total: uint64(len(targets)) + 2*uint64(len(r.nodes))}
	if starts[root] != starts[root+1] {
		if err := s.run(p); err != nil {
			return nil, err
		}
	}
	o.Arrays.Put(s.to)
	tree := s.tree()
	var naming sync.WaitGroup
	naming.Go(func() {
		tree.name(targets, root)
		if o.Named != nil {
			o.Named(tree.Order)
		}
	})
	defer naming.Wait()
	f := forest{search: s, label: o.Arrays.Get()[:s.reached], ancestor: o.Arrays.Get()[:s.reached]}
	var copying sync.WaitGroup
	copying.Go(func() { copy(f.label, s.parent[:s.reached]) })
	copy(f.ancestor, s.parent[:s.reached])
	copying.Wait()
	if err := f.semidominators(p); err != nil {
		return nil, err
	}
	if err := s.nearestCommonAncestors(p); err != nil {
		return nil, err
	}
	o.Arrays.Put(f.label)
	o.Arrays.Put(f.ancestor)
	p.finish()
	return tree, nil
}

// tree is what was reached, and from where: edges in the place of nodes, and parents of the search in that of dominators.
func (s *search) tree() *Tree {
	end := int(s.reached) + copy(s.by[s.reached:], s.by[s.leaves:])
	copy(s.parent[s.reached:], s.parent[s.leaves:])
	return &Tree{Order: s.by[:end], Parent: s.parent[:end]}
}

// name replaces, in Order, the edges by which nodes were reached by the nodes.
func (t *Tree) name(targets []uint32, root uint32) {
	t.Order[0] = root
	order := t.Order[1:]
	for place, edge := range order {
		order[place] = targets[edge]
	}
}

// check refuses what would make the computation panic.
func check(starts, targets []uint32, root uint32) error {
	nodes := uint64(len(starts)) - 1
	switch {
	case len(starts) == 0 || uint64(root) >= nodes:
		return fmt.Errorf("dominator: root %d is not among the nodes: starts has %d elements", root, len(starts))
	case nodes >= math.MaxUint32 || uint64(len(targets)) >= math.MaxUint32:
		return fmt.Errorf("dominator: %d nodes and %d edges: want less than %d of each", nodes, len(targets), uint32(math.MaxUint32))
	case starts[0] != 0 || uint64(starts[nodes]) != uint64(len(targets)):
		return fmt.Errorf("dominator: starts leads from %d to %d: want 0 to %d, the number of edges", starts[0], starts[nodes],
			len(targets))
	}
	last := uint32(0)
	for node, start := range starts {
		if start < last {
			return fmt.Errorf("dominator: the edges of node %d begin at %d, before those of the node before it at %d", node, start,
				last)
		}
		last = start
	}
	for edge, target := range targets {
		if uint64(target) >= nodes {
			return fmt.Errorf("dominator: edge %d leads to node %d of %d", edge, target, nodes)
		}
	}
	return nil
}

// Arrays lends arrays of one length to computations that need many of them one after the other, so that a peak is not
// the sum of all. It is for one goroutine at a time.
type Arrays struct {
	length int
	free   [][]uint32
}

// NewArrays returns a lender of arrays of the length, which it allocates as they are asked for.
func NewArrays(length int) *Arrays { return &Arrays{length: length} }

// Get returns an array of whatever contents.
func (a *Arrays) Get() []uint32 {
	if last := len(a.free) - 1; last >= 0 {
		array := a.free[last]
		a.free = a.free[:last]
		return array[:a.length]
	}
	return make([]uint32, a.length)
}

// getLong returns an array of another length.
func (a *Arrays) getLong(length int) []uint32 {
	for i, array := range a.free {
		if cap(array) >= length {
			a.free = slices.Delete(a.free, i, i+1)
			return array[:length]
		}
	}
	return make([]uint32, length, max(length, a.length))
}

// Put takes an array back, whole or cut short at its end. It forgets arrays that did not come from it by their length.
func (a *Arrays) Put(array []uint32) {
	if cap(array) >= a.length {
		a.free = append(a.free, array)
	}
}

// pace looks at the context and tells the progress every so many steps.
type pace struct {
	ctx         context.Context
	tell        func(done, total uint64)
	done, total uint64
}

// stride is how many steps of a few nanoseconds are taken between two looks at the context.
const stride = 1 << 16

// step counts steps that were taken.
func (p *pace) step(steps uint64) error {
	before := p.done
	p.done += steps
	if p.tell != nil && before/(16*stride) != p.done/(16*stride) {
		p.tell(min(p.done, p.total), p.total)
	}
	if p.ctx.Err() != nil {
		return fmt.Errorf("dominator: %w", context.Cause(p.ctx))
	}
	return nil
}

func (p *pace) finish() {
	if p.tell != nil {
		p.tell(p.total, p.total)
	}
}
