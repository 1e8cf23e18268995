package dominator

// search is a depth-first search. Places are numbers in its preorder.
type search struct {
	starts, targets []uint32
	from, to        []uint64 // sets of nodes: edges from the one to the other are ignored

	marks   []uint64 // four bits for each node, of which few enough to stay in the processor's cache
	number  []uint32 // node -> place, of seen nodes
	order   []uint32 // place -> node
	parent  []uint32 // place -> place from which it was reached
	cursor  []uint32 // place -> next edge to follow, of places on the way to where the search is
	semi    []uint32 // place -> lowest place known to have an edge to it
	head    []uint32 // place -> first of the edges in back that lead to it, or 0
	back    edges
	reached uint32

	at, next, end uint32 // the place where the search is, and the edges it has yet to follow
}

func newSearch(starts, targets []uint32, root uint32, o Options) *search {
	arrays := o.Arrays
	s := &search{
		starts: starts, targets: targets, from: o.IgnoreFrom, to: o.IgnoreTo, marks: newMarks(starts, targets),
		number: arrays.Get(), order: arrays.Get(), parent: arrays.Get(), cursor: arrays.Get(), semi: arrays.Get(), head: arrays.Get(),
		reached: 1, next: starts[root], end: starts[root+1],
	}
	s.marks[root>>4] |= seen << (root & 15 * 4)
	s.number[root], s.order[0], s.parent[0], s.semi[0], s.head[0] = 0, root, 0, 0, 0
	return s
}

// What is marked of a node: that it was seen, that it has edges, that edges lead to it, and that more than one does. A
// heap's nodes are mostly leaves, or have one edge that leads to them: of these the search need not look at the rows
// and numbers, which lie all over the memory.
const (
	seen = 1 << iota
	inner
	met
	shared
)

func newMarks(starts, targets []uint32) []uint64 {
	marks := make([]uint64, (len(starts)+15)/16)
	for node := range len(starts) - 1 {
		if starts[node] != starts[node+1] {
			marks[node>>4] |= inner << (node & 15 * 4)
		}
	}
	for _, target := range targets {
		word := &marks[target>>4]
		at := target & 15 * 4
		*word |= met<<at | *word&(met<<at)<<1
	}
	return marks
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
	starts, targets, marks := s.starts, s.targets, s.marks
	number, order, parent, cursor, semi, head := s.number, s.order, s.parent, s.cursor, s.semi, s.head
	at, next, end, reached := s.at, s.next, s.end, s.reached
	ignoring := s.from != nil && has(s.from, order[at])
	for ; steps > 0; steps-- {
		if next == end {
			if at == 0 {
				s.reached = reached
				return true
			}
			at = parent[at]
			next, end = cursor[at], starts[order[at]+1]
			ignoring = s.from != nil && has(s.from, order[at])
			continue
		}
		node := targets[next]
		next++
		if ignoring && has(s.to, node) {
			continue
		}
		at4 := node & 15 * 4
		word := marks[node>>4]
		if mark := word >> at4; mark&seen == 0 {
			marks[node>>4] = word | seen<<at4
			place := reached
			reached++
			if mark&shared != 0 {
				number[node] = place
			}
			order[place], parent[place], semi[place], head[place] = node, at, at, 0
			if mark&inner != 0 {
				cursor[at] = next
				at, next, end = place, starts[node], starts[node+1]
				ignoring = s.from != nil && has(s.from, node)
			}
			continue
		}
		switch place := number[node]; {
		case place > at: // forward, to what was reached through another child: at itself is a candidate
			semi[place] = min(semi[place], at)
		case place < at && place > 0: // back or across: its candidate is known only later; nothing dominates the root
			head[place] = s.back.add(at, head[place])
		}
	}
	s.at, s.next, s.end, s.reached = at, next, end, reached
	return false
}

func has(set []uint64, node uint32) bool { return set[node>>6]>>(node&63)&1 != 0 }

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
