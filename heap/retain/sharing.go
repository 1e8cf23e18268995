package retain

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/memwarden/memwarden/internal/sorting"
)

// objectKind is the kind of holders that are objects, shared themselves.
const objectKind = "object"

// maxHolders bounds the holders that are told of a group.
const maxHolders = 10

// sharing tells who holds the objects that no single root or goroutine retains: the super root's children in the
// dominator tree that are objects.
type sharing struct {
	h *heap
	// member has a bit for each node that is one of them, and rank how many there are before each word of bits.
	member []uint64
	rank   []uint32
	group  []uint32 // of each, by rank: its type, or a group of its own beyond those for a large one
	own    map[place]uint32
	// holding has for each group of interest how many pointers come from each owner.
	holding map[uint32]map[owner]uint64
	// direct is, by label, what roots and goroutines hold directly of it.
	direct []uint64
}

// owner holds a shared object: a root or goroutine by its label, or an object that is shared itself, by its type.
type owner struct {
	number uint32
	object bool
}

// newSharing goes once through the edges of the heap. Of what is shared, objects that retain at least some bytes are
// groups of their own; the others are grouped by type, and holders are looked for of the most types given.
func newSharing(h *heap, least uint64, most int) (*sharing, []Shared) {
	s := &sharing{
		h: h, member: make([]uint64, (int(h.g.Nodes())+63)/64), own: make(map[place]uint32),
		holding: make(map[uint32]map[owner]uint64), direct: make([]uint64, len(h.labels.list)),
	}
	sums := newTally(len(h.types.names))
	for p := range h.children(0) {
		if h.object(p) {
			node := h.node[p]
			s.member[node>>6] |= 1 << (node & 63)
			sums.add(h, p)
		}
	}
	s.rank = make([]uint32, len(s.member)+1)
	for i, word := range s.member {
		s.rank[i+1] = s.rank[i] + uint32(bits.OnesCount64(word))
	}
	s.group = make([]uint32, s.rank[len(s.member)])
	groups := sums.take(h)
	for _, g := range groups[:min(most, len(groups))] {
		s.holding[g.number] = make(map[owner]uint64)
	}
	for p := range h.children(0) {
		if !h.object(p) {
			continue
		}
		number := h.typ(p)
		if h.retained.at(p) >= least {
			number = uint32(len(h.types.names) + len(s.own))
			s.own[p] = number
			s.holding[number] = make(map[owner]uint64)
		}
		s.group[s.of(h.node[p])] = number
	}
	s.count()
	return s, s.list(groups[:min(most, len(groups))])
}

// of is the rank of a member.
func (s *sharing) of(node uint32) uint32 {
	return s.rank[node>>6] + uint32(bits.OnesCount64(s.member[node>>6]&(1<<(node&63)-1)))
}

// holdingNodes are the nodes with an edge to a member. To find them node by node, in the order of the rows, is much cheaper
// than owner by owner.
func (s *sharing) holdingNodes() []uint64 {
	g := s.h.g
	set := make([]uint64, len(s.member))
	for node := range g.Nodes() {
		for _, target := range g.Targets[g.Starts[node]:g.Starts[node+1]] {
			if has(s.member, target) {
				set[node>>6] |= 1 << (node & 63)
				break
			}
		}
	}
	return set
}

// count goes through the edges, owner after owner: what an owner retains are the places up to its end.
func (s *sharing) count() {
	h := s.h
	if len(s.group) == 0 {
		return
	}
	holders := s.holdingNodes()
	last := make([]place, len(s.group)) // the owner that was seen last to hold each
	pointers := make(map[uint32]uint64) // of the owner, by group
	for top := range h.children(0) {
		label, isRoot := h.labels.of(h.node[top])
		clear(pointers)
		for p := top; p < h.end[top]; p++ {
			node := h.node[p]
			if !has(holders, node) {
				continue
			}
			for _, target := range h.g.Targets[h.g.Starts[node]:h.g.Starts[node+1]] {
				if !has(s.member, target) || target == h.node[top] || h.ignored(node, target) {
					continue
				}
				i := s.of(target)
				group := s.group[i]
				pointers[group]++
				if isRoot && last[i] != top {
					last[i] = top
					s.direct[label] += h.retained.at(h.places[target])
				}
				if root, ok := h.labels.of(node); ok && p != top {
					s.direct[root] += h.retained.at(h.places[target])
				}
			}
		}
		from := owner{number: label}
		if !isRoot {
			from = owner{number: h.typ(top), object: true}
		}
		for group, count := range pointers {
			if held := s.holding[group]; held != nil {
				held[from] += count
			}
		}
	}
}

// list puts the groups into words.
func (s *sharing) list(groups []group) []Shared {
	list := make([]Shared, 0, len(groups))
	for _, g := range groups {
		held := make(map[owner]uint64)
		for from, count := range s.holding[g.number] {
			held[from] += count
		}
		for p, number := range s.own {
			if s.h.typ(p) == g.number {
				for from, count := range s.holding[number] {
					held[from] += count
				}
			}
		}
		list = append(list, Shared{
			Type: s.h.types.names[g.number], Count: g.count, RetainedBytes: g.retained, HolderCount: len(held), Holders: s.name(held),
		})
	}
	return list
}

func (s *sharing) name(held map[owner]uint64) []Holder {
	list := make([]Holder, 0, len(held))
	for from, count := range held {
		holder := Holder{Count: count}
		if from.object {
			holder.Kind, holder.Name = objectKind, s.h.types.names[from.number]
		} else {
			holder.Kind, holder.Name = s.h.labels.list[from.number].kind, s.h.labels.list[from.number].short()
		}
		list = append(list, holder)
	}
	sorting.By(list, func(a, b Holder) int {
		return cmp.Or(aside(a)-aside(b), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	// The same function in several states is one holder to a reader.
	unique := list[:0]
	for _, holder := range list {
		if i := slices.IndexFunc(unique, func(h Holder) bool { return h.Kind == holder.Kind && h.Name == holder.Name }); i >= 0 {
			unique[i].Count += holder.Count
		} else if len(unique) < maxHolders {
			unique = append(unique, holder)
		}
	}
	return unique
}

// aside puts holders that explain little behind the others: objects, and those of unknown type last.
func aside(h Holder) int {
	switch {
	case h.Kind != objectKind:
		return 0
	case h.Name != unknownType:
		return 1
	default:
		return 2
	}
}

// holders are those of a group, if it is, or lies below, what is shared. of is the type of what is shared, if the group
// lies below it.
func (s *sharing) holders(g group) (list []Holder, of string) {
	h := s.h
	for p := range g.members() {
		top := p
		for h.parent[top] != 0 {
			top = h.parent[top]
		}
		if !h.object(top) {
			return nil, ""
		}
		number, large := s.own[top]
		if !large && !g.shared {
			return nil, "" // many small ones: there is no telling which
		}
		if !large {
			number = h.typ(top)
		}
		if top != p {
			of = h.types.names[h.typ(top)]
		}
		return s.name(s.holding[number]), of
	}
	return nil, ""
}
