package dominator

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// rows are the edges once more, in the form in which a depth-first search goes along them. The search waits for memory
// more than it computes: in a graph of ten million nodes each look at an array in another place misses the processor's
// caches, and the next look depends on it. So an edge leads at once to the row of its target, and says of the target
// what the search would have to look up: whether it has edges, and whether it can have been seen before, which is so
// only if several edges lead to it. Looking that up beforehand, in the order of the edges, costs a tenth: many misses
// overlap, and two processors share them.
type rows struct {
	// to has, for each edge, by the kind of its target: the first edge of a single one; the place in nodes of a shared
	// one.
	to    []uint32
	kinds []uint64 // of edges, four bits each
	nodes []sharedNode
	root  uint32 // its place in nodes: the root counts as shared
}

// sharedNode is what the search and the forest know of a node to which several edges may lead. To any other leads the
// edge from its parent alone.
type sharedNode struct {
	first uint32 // its first edge, or none
	place uint32 // none as long as it has not been seen
	semi  uint32 // lowest place known to have an edge to it
	head  uint32 // the first of the edges in back that lead to it, or 0
}

// none is no edge and no place: there are always fewer.
const none = math.MaxUint32

// What there is to know of an edge, in two bits, and a third for the last edge of a node.
const (
	leaf    = iota // its target has no edges, and no other leads to it
	single         // no other edge leads to its target
	shared         // others do
	ignored        // it does not count

	kindMask = 3
	last     = 4
)

const (
	kindBits     = 4
	kindsPerWord = 64 / kindBits
)

func (r *rows) kind(edge uint32) uint64 {
	return r.kinds[edge/kindsPerWord] >> (edge % kindsPerWord * kindBits)
}

// newRows prepares the search from a root.
func newRows(ctx context.Context, starts, targets []uint32, root uint32, o Options) (*rows, error) {
	b := newRowBuilder(starts, targets, root)
	if err := b.survey(o); err != nil {
		return nil, err
	}
	b.rows = rows{to: o.Arrays.getLong(len(targets)), kinds: make([]uint64, (len(targets)+kindsPerWord-1)/kindsPerWord)}
	b.numberShared()
	b.root = b.rank(root)
	b.nodes[b.root].place = 0
	const part = 1 << 16 // a multiple of kindsPerWord: no two workers write to one word
	var workers sync.WaitGroup
	var next atomic.Int64
	for range 2 {
		workers.Go(func() {
			for from := int(next.Add(part) - part); from < len(targets) && ctx.Err() == nil; from = int(next.Add(part) - part) {
				b.build(uint32(from), uint32(min(from+part, len(targets))))
			}
		})
	}
	workers.Wait()
	return &b.rows, context.Cause(ctx)
}

// rowBuilder has sets of nodes, with a bit for each.
type rowBuilder struct {
	rows

	starts, targets []uint32
	from, ignorable []uint64 // edges from the one to the other are ignored
	inner           []uint64 // have edges
	met             []uint64 // an edge leads to them
	several         []uint64 // several do; the root, which nothing leads to in the search, counts among these
	before          []uint32 // how many of several are in the words before each
}

func newRowBuilder(starts, targets []uint32, root uint32) *rowBuilder {
	words := len(starts)/64 + 1
	b := &rowBuilder{
		starts: starts, targets: targets, inner: make([]uint64, words), met: make([]uint64, words), several: make([]uint64, words),
	}
	b.met[root>>6] |= 1 << (root & 63)
	b.several[root>>6] |= 1 << (root & 63)
	return b
}

// survey goes along all edges and finds which nodes have edges, and to which several lead. What is to be ignored is not known
// before the edges of most nodes, which are not concerned, have been gone along.
func (b *rowBuilder) survey(o Options) (err error) {
	if o.IgnoreFrom == nil || o.IgnoreTo == nil {
		b.surveyWithout(nil)
		return nil
	}
	words := (len(b.starts) - 1 + 63) / 64
	if len(o.IgnoreFrom) < words {
		return fmt.Errorf("a set of %d words for %d nodes", len(o.IgnoreFrom), len(b.starts)-1)
	}
	b.from = o.IgnoreFrom
	var surveying sync.WaitGroup
	surveying.Go(func() { b.surveyWithout(b.from) })
	b.ignorable, err = o.IgnoreTo()
	surveying.Wait()
	if err != nil {
		return err
	}
	if len(b.ignorable) < words {
		return fmt.Errorf("a set of %d words for %d nodes", len(b.ignorable), len(b.starts)-1)
	}
	for i, word := range b.from[:words] {
		for ; word != 0; word &= word - 1 {
			node := uint32(i*64 + bits.TrailingZeros64(word))
			b.meet(node, true)
		}
	}
	return nil
}

// surveyWithout goes along the edges of all nodes that are not in a set.
func (b *rowBuilder) surveyWithout(set []uint64) {
	for node := range uint32(len(b.starts) - 1) {
		if set == nil || !has(set, node) {
			b.meet(node, false)
		}
	}
}

// meet goes along the edges of a node, and passes by those that are to be ignored.
func (b *rowBuilder) meet(node uint32, ignoring bool) {
	row := b.targets[b.starts[node]:b.starts[node+1]]
	if len(row) == 0 {
		return
	}
	b.inner[node>>6] |= 1 << (node & 63)
	for _, target := range row {
		if ignoring && has(b.ignorable, target) {
			continue
		}
		word, bit := target>>6, uint64(1)<<(target&63)
		b.several[word] |= b.met[word] & bit
		b.met[word] |= bit
	}
}

// numberShared gives the nodes to which several edges lead numbers.
func (b *rowBuilder) numberShared() {
	b.before = make([]uint32, len(b.several))
	count := uint32(0)
	for i, word := range b.several {
		b.before[i] = count
		count += uint32(bits.OnesCount64(word))
	}
	b.nodes = make([]sharedNode, 0, count)
	for i, word := range b.several {
		for ; word != 0; word &= word - 1 {
			node := uint32(i*64 + bits.TrailingZeros64(word))
			first := uint32(none)
			if has(b.inner, node) {
				first = b.starts[node]
			}
			b.nodes = append(b.nodes, sharedNode{first: first, place: none})
		}
	}
}

// rank is the number of a node to which several edges lead.
func (b *rowBuilder) rank(node uint32) uint32 {
	return b.before[node>>6] + uint32(bits.OnesCount64(b.several[node>>6]&(1<<(node&63)-1)))
}

// build fills in what there is to know of the edges in [edge, end).
func (b *rowBuilder) build(edge, end uint32) {
	node, _ := slices.BinarySearch(b.starts, edge+1)
	for node--; edge < end; node++ { // from the node that the edge is of
		rowEnd := b.starts[node+1]
		ignoring := b.from != nil && has(b.from, uint32(node))
		for ; edge < min(rowEnd, end); edge++ {
			kind := b.edge(edge, ignoring)
			if edge+1 == rowEnd {
				kind |= last
			}
			b.kinds[edge/kindsPerWord] |= kind << (edge % kindsPerWord * kindBits)
		}
	}
}

// edge fills in where an edge leads and returns its kind.
func (b *rowBuilder) edge(edge uint32, ignoring bool) (kind uint64) {
	switch node := b.targets[edge]; {
	case ignoring && has(b.ignorable, node):
		return ignored
	case has(b.several, node):
		b.to[edge] = b.rank(node)
		return shared
	case has(b.inner, node):
		b.to[edge] = b.starts[node]
		return single
	default:
		return leaf
	}
}

func has(set []uint64, node uint32) bool { return set[node>>6]>>(node&63)&1 != 0 }
