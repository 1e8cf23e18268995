package retain

import (
	"iter"
	"sync"
	"sync/atomic"

	"github.com/memwarden/memwarden/heap/dominator"
)

// place is a number in the preorder of the dominator tree: place 0 is the super root, and what a place dominates are the
// places from it up to its end.
type place = uint32

// tree is the dominator tree, numbered anew so that a subtree is a range. The children of p are p+1, then the end of
// each before p's own end.
type tree struct {
	node     []uint32 // place -> node of the graph
	parent   []place
	end      []place
	retained sizes
}

// numbering numbers the places of a depth-first search anew.
type numbering struct {
	order  []uint32 // nodes, by the places of the search
	at     []place  // the new places, by those of the search
	parent []place
}

// renumber finds the new places, and takes a tree's arrays to pieces.
func renumber(d *dominator.Tree, arrays *dominator.Arrays) numbering {
	count := len(d.Parent)
	subtree := arrays.Get()[:count] // places in the subtree of each; then the number that its next child gets
	for i := range subtree {
		subtree[i] = 1
	}
	for i := count - 1; i > 0; i-- {
		subtree[d.Parent[i]] += subtree[i]
	}
	at := arrays.Get()[:count]
	at[0], subtree[0] = 0, 1
	for i := 1; i < count; i++ {
		above := d.Parent[i]
		number, size := subtree[above], subtree[i]
		subtree[above] = number + size
		at[i], subtree[i] = number, number+1
	}
	parent := subtree
	inParts(count, func(from, to int) {
		for i := from; i < to; i++ {
			parent[at[i]] = at[d.Parent[i]]
		}
	})
	arrays.Put(d.Parent)
	return numbering{order: d.Order, at: at, parent: parent}
}

// move returns what is at the places of the search by the new ones, in another array.
func (n *numbering) move(values []uint32, arrays *dominator.Arrays) []uint32 {
	moved := arrays.Get()[:len(n.at)]
	inParts(len(n.at), func(from, to int) {
		for i := from; i < to; i++ {
			moved[n.at[i]] = values[i]
		}
	})
	arrays.Put(values)
	return moved
}

// finish returns the tree, without sizes.
func (n *numbering) finish(arrays *dominator.Arrays) tree {
	t := tree{node: n.move(n.order, arrays), parent: n.parent}
	arrays.Put(n.at)
	t.end = arrays.Get()[:t.len()]
	return t
}

// inParts has two goroutines work on so many places or nodes, a part of 2^18 at a time.
func inParts(count int, work func(from, to int)) {
	const part = 1 << 18
	var workers sync.WaitGroup
	var next atomic.Int64
	for range 2 {
		workers.Go(func() {
			for from := int(next.Add(part) - part); from < count; from = int(next.Add(part) - part) {
				work(from, min(from+part, count))
			}
		})
	}
	workers.Wait()
}

func (t *tree) len() int { return len(t.node) }

// sizes are numbers of bytes, one for each place. Those of objects are multiples of words: up to 32 GiB in all they fit
// four bytes each.
type sizes struct {
	words []uint32
	bytes []uint64 // instead of words, for more
}

const (
	wordBytes     = 8
	maxWordsTotal = 1 << 32
)

func (s *sizes) at(p place) uint64 {
	if s.bytes != nil {
		return s.bytes[p]
	}
	return uint64(s.words[p]) * wordBytes
}

// sum fills in the ends of subtrees and retained sizes: each place's own size and those of its subtree, total in all. words
// are the sizes, if all of them are multiples of words, else nil, and they are asked for; own is called from several
// goroutines.
func (t *tree) sum(total uint64, words []uint32, own func(p place) uint64) {
	var closing sync.WaitGroup
	closing.Go(t.close)
	defer closing.Wait()
	if words != nil && total/wordBytes < maxWordsTotal {
		sweep(words, t.parent)
		t.retained.words = words
		return
	}
	t.retained.bytes = make([]uint64, t.len())
	inParts(t.len(), func(from, to int) {
		for p := from; p < to; p++ {
			t.retained.bytes[p] = own(place(p))
		}
	})
	sweep(t.retained.bytes, t.parent)
}

// close fills in the ends of subtrees: that of a place's last child is its own.
func (t *tree) close() {
	for p := range t.end {
		t.end[p] = place(p) + 1
	}
	for p := t.len() - 1; p > 0; p-- {
		t.end[t.parent[p]] = max(t.end[t.parent[p]], t.end[p])
	}
}

// sweep adds each subtree to its parent, the last ones first.
func sweep[size uint32 | uint64](sums []size, parent []place) {
	for p := len(sums) - 1; p > 0; p-- {
		sums[parent[p]] += sums[p]
	}
}

// children yields the places that p dominates immediately, in ascending order.
func (t *tree) children(p place) iter.Seq[place] {
	return func(yield func(place) bool) {
		for child := p + 1; child < t.end[p]; child = t.end[child] {
			if !yield(child) {
				return
			}
		}
	}
}
