package dominator

// search is a depth-first search. Places are numbers in its preorder. Leaves have no part in that, because nothing is to be
// found out about them: they are put down from the arrays' end.
type search struct {
	*rows

	by      []uint32 // place -> edge by which it was reached; the root's is of no meaning
	parent  []uint32 // place -> place from which it was reached
	found   []uint32 // the places in nodes of shared ones, in the order in which they were found; first that of the root
	back    edges
	reached uint32
	leaves  uint32 // where the leaves begin; the place after the last as long as there are none

	at, next uint32 // the place where the search is, and the edge it follows next
	open     stack  // the same of places that it will return to
	read     uint32 // keeps the reads of look from being optimized away
}

func newSearch(r *rows, first uint32, arrays *Arrays) *search {
	s := &search{
		rows: r, by: arrays.Get(), parent: arrays.Get(), found: make([]uint32, 1, len(r.nodes)),
		reached: 1, leaves: uint32(arrays.length), next: first,
	}
	s.by[0], s.parent[0], s.found[0] = 0, 0, r.root
	return s
}

func (s *search) run(p *pace) error {
	for !s.advance(stride) {
		if err := p.step(stride); err != nil {
			return err
		}
	}
	return nil
}

// advance takes as many steps and reports whether the search has come to its end.
func (s *search) advance(steps int) bool {
	to, by, parent := s.to, s.by, s.parent
	at, edge, reached, leaves := s.at, s.next, s.reached, s.leaves
	for ; steps > 0; steps-- {
		if edge%lookahead == 0 {
			s.look(edge)
		}
		kind := s.kind(edge)
		row := uint32(none)
		fresh := false
		switch kind & kindMask {
		case leaf:
			leaves--
			by[leaves], parent[leaves] = edge, at
		case single:
			row, fresh = to[edge], true
		case shared:
			switch node := &s.nodes[to[edge]]; {
			case node.place == none:
				node.place, node.semi, row, fresh = reached, at, node.first, true
				s.found = append(s.found, to[edge])
			case node.place > at: // forward, to what was reached through another child: at itself is a candidate
				node.semi = min(node.semi, at)
			case node.place < at && node.place > 0: // back or across: its candidate is known only later; nothing dominates the root
				node.head = s.back.add(at, node.head)
			}
		}
		if fresh {
			by[reached], parent[reached] = edge, at
			reached++
		}
		if row != none {
			if kind&last == 0 { // else nothing is left to return for: a list needs no stack
				s.open.push(at, edge+1)
			}
			at, edge = reached-1, row
			if edge%lookahead != 0 {
				s.look(edge)
			}
			continue
		}
		edge++
		if kind&last != 0 {
			if s.open.used == 0 {
				s.reached, s.leaves = reached, leaves
				return true
			}
			at, edge = s.open.pop()
		}
	}
	s.at, s.next, s.reached, s.leaves = at, edge, reached, leaves
	return false
}

// lookahead is how many edges are looked along before they are followed.
const lookahead = 8

// look reads what the next edges of a node lead to, and what is reached from there. Following them would read one after the
// other, each a miss of the processor's caches; here the misses overlap.
func (s *search) look(edge uint32) {
	read := s.glance(edge)
	for end := edge/lookahead*lookahead + lookahead; edge < end; edge++ {
		kind := s.kind(edge)
		switch kind & kindMask {
		case single:
			read += s.glance(s.to[edge])
		case shared:
			if node := &s.nodes[s.to[edge]]; node.place == none && node.first != none {
				read += s.glance(node.first)
			}
		}
		if kind&last != 0 {
			break
		}
	}
	s.read += read
}

// glance reads what the next edges of a node lead to.
func (s *search) glance(edge uint32) (read uint32) {
	for end := edge/lookahead*lookahead + lookahead; edge < end; edge++ {
		kind := s.kind(edge)
		switch kind & kindMask {
		case single:
			read += s.to[s.to[edge]]
		case shared:
			read += s.nodes[s.to[edge]].place
		}
		if kind&last != 0 {
			break
		}
	}
	return read
}

// edges are linked lists of the places from which edges lead to one place. Link 0 ends a list.
type edges struct {
	blocks [][]edge
	used   uint32
}

type edge struct{ from, next uint32 }

const (
	blockBits = 14
	blockMask = 1<<blockBits - 1
)

// add puts an edge before those of a list and returns the new list.
func (e *edges) add(from, next uint32) uint32 {
	e.used++ // from 1
	if e.used>>blockBits >= uint32(len(e.blocks)) {
		e.blocks = append(e.blocks, make([]edge, 1<<blockBits))
	}
	e.blocks[e.used>>blockBits][e.used&blockMask] = edge{from, next}
	return e.used
}

func (e *edges) get(link uint32) edge { return e.blocks[link>>blockBits][link&blockMask] }

// stack grows by blocks: one that moves as it grows would need more than twice its size.
type stack struct {
	blocks [][]frame
	used   int
}

type frame struct{ at, next uint32 }

func (s *stack) push(at, next uint32) {
	if s.used>>blockBits == len(s.blocks) {
		s.blocks = append(s.blocks, make([]frame, 1<<blockBits))
	}
	s.blocks[s.used>>blockBits][s.used&blockMask] = frame{at, next}
	s.used++
}

func (s *stack) pop() (at, next uint32) {
	s.used--
	f := s.blocks[s.used>>blockBits][s.used&blockMask]
	return f.at, f.next
}
