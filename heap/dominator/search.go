package dominator

// search is a depth-first search. Places are numbers in its preorder.
type search struct {
	starts, targets []uint32
	from, to        []uint64 // sets of nodes: edges from the one to the other are ignored

	seen    []uint64 // a bit for each node: few enough to stay in the processor's cache
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
		starts: starts, targets: targets, from: o.IgnoreFrom, to: o.IgnoreTo, seen: make([]uint64, (len(starts)+63)/64),
		number: arrays.Get(), order: arrays.Get(), parent: arrays.Get(), cursor: arrays.Get(), semi: arrays.Get(), head: arrays.Get(),
		reached: 1, next: starts[root], end: starts[root+1],
	}
	s.seen[root>>6] |= 1 << (root & 63)
	s.number[root], s.order[0], s.parent[0], s.semi[0], s.head[0] = 0, root, 0, 0, 0
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
	starts, targets, seen := s.starts, s.targets, s.seen
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
		if bit := uint64(1) << (node & 63); seen[node>>6]&bit == 0 {
			seen[node>>6] |= bit
			place := reached
			reached++
			number[node] = place
			order[place], parent[place], semi[place], head[place] = node, at, at, 0
			if from, to := starts[node], starts[node+1]; from != to {
				cursor[at] = next
				at, next, end = place, from, to
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
