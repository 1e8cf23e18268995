package retain

import (
	"context"

	"github.com/memwarden/memwarden/heap/graph"
)

// pathSearch is a breadth-first search: the first path found to a node is a shortest one.
type pathSearch struct {
	g       *graph.Graph
	parents []uint32 // see heap
	keepers []uint64
	seen    []uint64 // small enough to stay in the processor's cache
	inner   []uint64 // has edges
	// queue holds nodes with edges, and roots. Those before head have been followed, those before tail are in it.
	queue      []uint32
	head, tail int
	read       uint32 // keeps the reads of look from being optimized away
}

// newPathSearch prepares a search, which fills in parents.
func newPathSearch(g *graph.Graph, keepers []uint64, parents []uint32) *pathSearch {
	s := &pathSearch{g: g, keepers: keepers, parents: parents, seen: make([]uint64, len(keepers)), inner: make([]uint64, len(keepers))}
	count := len(g.Roots)
	for node := range g.Nodes() {
		if g.Starts[node] != g.Starts[node+1] {
			s.inner[node>>6] |= 1 << (node & 63)
			count++
		}
	}
	s.queue = make([]uint32, count)
	return s
}

// run searches from one class of roots after the other, so that an object which a better class reaches has its path
// from there however long that is. Keepers are followed last.
func (s *pathSearch) run(ctx context.Context, classes [][]uint32) error {
	for i := range s.parents {
		s.parents[i] = nowhere
	}
	super := s.g.Super()
	for class, roots := range classes {
		if class == keeping { // those that were met begin anew
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
				s.seen[root>>6] |= 1 << (root & 63)
				s.parents[root] = super
				s.queue[s.tail] = root
				s.tail++
			}
		}
		if err := s.follow(ctx, class == keeping); err != nil {
			return err
		}
	}
	return nil
}

// follow goes on until nothing is left in the queue.
func (s *pathSearch) follow(ctx context.Context, keepers bool) error {
	starts, targets, queue, parents, seen := s.g.Starts, s.g.Targets, s.queue, s.parents, s.seen
	head, tail := s.head, s.tail
	for ; head < tail; head++ {
		if head%(1<<16) == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if head%lookahead == 0 {
			s.look(queue[min(head+lookahead, tail):min(head+2*lookahead, tail)])
		}
		node := queue[head]
		if !keepers && has(s.keepers, node) {
			continue
		}
		for _, target := range targets[starts[node]:starts[node+1]] {
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

// lookahead is how many nodes of the queue are looked at before they are followed.
const lookahead = 16

// look reads the rows of nodes that are followed next. Following them would read one after the other, each a miss of the
// processor's caches; here the misses overlap.
func (s *pathSearch) look(nodes []uint32) {
	var rows [lookahead]uint32
	read := uint32(0)
	for i, node := range nodes {
		rows[i] = s.g.Starts[node]
	}
	for _, row := range rows[:len(nodes)] {
		if row < uint32(len(s.g.Targets)) { // a root may have no edges
			read += s.g.Targets[row]
		}
	}
	s.read += read
}
