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

// newTree numbers the places of a depth-first search anew, and takes its arrays to pieces.
func newTree(d *dominator.Tree, arrays *dominator.Arrays) tree {
	count := len(d.Parent)
	subtree := arrays.Get()[:count] // places in the subtree of each; then the number that its next child gets
	for i := range subtree {
		subtree[i] = 1
	}
	for i := count - 1; i > 0; i-- {
		subtree[d.Parent[i]] += subtree[i]
	}
	at, end := arrays.Get()[:count], arrays.Get()[:count]
	at[0], end[0], subtree[0] = 0, uint32(count), 1
	for i := 1; i < count; i++ {
		above := d.Parent[i]
		number, size := subtree[above], subtree[i]
		subtree[above] = number + size
		at[i], end[number], subtree[i] = number, number+size, number+1
	}
	node, parent := arrays.Get()[:count], subtree
	inParts(count, func(from, to int) {
		for i := from; i < to; i++ {
			node[at[i]] = d.Order[i]
		}
	})
	inParts(count, func(from, to int) {
		for i := from; i < to; i++ {
			parent[at[i]] = at[d.Parent[i]]
		}
	})
	arrays.Put(d.Order)
	arrays.Put(d.Parent)
	arrays.Put(at)
	return tree{node: node, parent: parent, end: end}
}

// inParts has two goroutines work on so many places, a part at a time.
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

// sum fills in retained sizes: each place's own size and those of its subtree. own returns the size of what is at a place;
// it is called for each, from several goroutines, and may be called once more.
func (t *tree) sum(total uint64, own func(p place) uint64, arrays *dominator.Arrays) {
	if total/wordBytes < maxWordsTotal {
		words := arrays.Get()[:t.len()]
		var odd atomic.Bool
		inParts(t.len(), func(from, to int) {
			rest := uint64(0)
			for p := from; p < to; p++ {
				size := own(place(p))
				rest |= size
				words[p] = uint32(size / wordBytes)
			}
			if rest%wordBytes != 0 {
				odd.Store(true)
			}
		})
		if !odd.Load() {
			sweep(words, t.parent)
			t.retained.words = words
			return
		}
		arrays.Put(words)
	}
	t.retained.bytes = make([]uint64, t.len())
	inParts(t.len(), func(from, to int) {
		for p := from; p < to; p++ {
			t.retained.bytes[p] = own(place(p))
		}
	})
	sweep(t.retained.bytes, t.parent)
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
