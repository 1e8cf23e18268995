package retain

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/memwarden/memwarden/internal/sorting"
)

const (
	// dropRatio is the share of what an object retains that one of its children must retain for the search of the
	// accumulation point to go on to it. Eclipse MAT uses the same.
	dropRatio = 0.7
	// chainLength is how often the same type must come on the way down to be taken for a list, which is held as a whole
	// by what its first element hangs from. Its elements retain nearly as much as the one before.
	chainLength = 16
	// maxDepth bounds the way down.
	maxDepth = 4096
	// fanOut is how many objects must hang from each of a group on average for the search to go on to them: then the
	// group is made of containers.
	fanOut = 32
	// maxApart is up to how many members of a group are told apart by their paths.
	maxApart = 64
	// maxNesting bounds how many containers in containers are gone through.
	maxNesting = 8
)

// group is many objects of one type that are held in the same way: what a suspect is about.
type group struct {
	members  func() iter.Seq[place] // ascending, none of them dominating another
	count    uint64                 // of members
	retained uint64
	number   typeNumber
	// above is the accumulation point, place 0 for what no single root holds.
	above place
	// label names the goroutines, if the members are such.
	label *label
	// shared tells that each member is held by several roots.
	shared bool
	// chain tells that the members are the beginning of a list or the like.
	chain  bool
	places []place // the members, if they were collected
}

func one(p place) func() iter.Seq[place] {
	return func() iter.Seq[place] { return func(yield func(place) bool) { yield(p) } }
}

// finder looks for suspects.
type finder struct {
	h     *heap
	least uint64 // bytes
	tally tally
	queue []place // retain much and are to be explored
	found []group
}

// findGroups returns the groups that retain at least some bytes, those that retain most first.
func findGroups(h *heap, least uint64) []group {
	f := finder{h: h, least: max(least, 1), tally: newTally(len(h.types.names))}
	f.top()
	// What is explored lies below what it was found in, and retains less than dropRatio of it.
	for ; len(f.queue) > 0; f.queue = f.queue[1:] {
		f.explore(f.queue[0])
	}
	sorting.StableBy(f.found, func(a, b group) int { return cmp.Compare(b.retained, a.retained) })
	return f.found
}

// top looks at what the super root dominates: roots, goroutines, and objects that several of them hold.
func (f *finder) top() {
	h := f.h
	byLabel := make(map[uint32]*group)
	var labels []uint32
	for p := range h.children(0) {
		if h.object(p) {
			f.tally.add(h, p)
			continue
		}
		id, ok := h.labels.of(h.node[p])
		if !ok {
			continue
		}
		if byLabel[id] == nil {
			labels = append(labels, id)
			byLabel[id] = &group{label: &h.labels.list[id], number: noType, members: where(h.children(0), func(p place) bool {
				other, ok := h.labels.of(h.node[p])
				return ok && other == id
			})}
		}
		byLabel[id].count++
		byLabel[id].retained += h.retained.at(p)
	}
	for _, id := range labels {
		f.add(*byLabel[id])
	}
	for _, g := range f.tally.take(h) {
		number := g.number
		g.shared = true
		g.members = where(h.children(0), func(p place) bool { return h.object(p) && h.typ(p) == number })
		f.add(g)
	}
}

// where yields the places that are wanted.
func where(places iter.Seq[place], wanted func(place) bool) func() iter.Seq[place] {
	return func() iter.Seq[place] {
		return func(yield func(place) bool) {
			for p := range places {
				if wanted(p) && !yield(p) {
					return
				}
			}
		}
	}
}

// add takes a group for a suspect, or what makes it one: a member that retains nearly all of it, or a part of it that
// is held in another way than the rest.
func (f *finder) add(g group) {
	if g.retained < f.least {
		return
	}
	if g.chain {
		f.found = append(f.found, g)
		return
	}
	if g.count > maxApart || g.label != nil {
		f.addAlike(g)
		return
	}
	parts := make(map[string]*group)
	var paths []string
	members := slices.Collect(g.members())
	for i, steps := range f.h.paths(members) {
		p, path := members[i], strings.Join(steps, "")
		if parts[path] == nil {
			parts[path] = &group{number: g.number, above: g.above, shared: g.shared}
			paths = append(paths, path)
		}
		part := parts[path]
		part.count++
		part.retained += f.h.retained.at(p)
		part.places = append(part.places, p)
	}
	slices.Sort(paths)
	for _, path := range paths {
		part := parts[path]
		part.members = func() iter.Seq[place] { return slices.Values(part.places) }
		f.addAlike(*part)
	}
}

// addAlike is add for members that are held in the same way.
func (f *finder) addAlike(g group) {
	h := f.h
	if g.retained < f.least {
		return
	}
	largest, most := place(0), uint64(0)
	for p := range g.members() {
		if r := h.retained.at(p); r > most {
			largest, most = p, r
		}
	}
	if float64(most) < dropRatio*float64(g.retained) {
		f.found = append(f.found, f.whole(f.descend(g)))
		return
	}
	f.queue = append(f.queue, largest)
	if g.retained-most >= f.least {
		g.members = where(g.members(), func(p place) bool { return p != largest })
		g.count--
		g.retained -= most
		f.found = append(f.found, f.whole(f.descend(g)))
	}
}

// explore goes from a place that retains much down to its accumulation point, and finds what accumulates there.
func (f *finder) explore(from place) {
	h := f.h
	top, chain := f.accumulation(from)
	rest := h.retained.at(top)
	for p := range h.frontier(top) {
		f.tally.add(h, p)
	}
	own := noType
	if h.object(top) {
		own = h.typ(top)
	}
	for _, g := range f.tally.take(h) {
		if g.retained < f.least || g.number == own && h.types.role[own] == content {
			// Too little, or more of the same: a tree of which the accumulation point is the root.
			continue
		}
		number := g.number
		g.members = where(h.frontier(top), func(p place) bool { return h.typ(p) == number })
		g.above, g.chain = top, chain
		f.add(g)
		rest -= g.retained
	}
	if rest >= f.least && 2*rest > h.retained.at(top) {
		f.found = append(f.found, f.whole(group{
			members: one(top), count: 1, retained: h.retained.at(top), number: own, above: h.parent[top],
		}))
	}
}

// accumulation walks down while one child retains most of what its parent does. chain tells that what hangs from there
// is a list.
func (f *finder) accumulation(from place) (top place, chain bool) {
	h := f.h
	came := make(map[typeNumber]int)
	first := make(map[typeNumber]place)
	p := from
	for range maxDepth {
		if t := h.typ(p); t != noType {
			if came[t]++; came[t] == 1 {
				first[t] = p
			}
			if came[t] == chainLength {
				if start := first[t]; start != from {
					return h.parent[start], true
				}
				return from, true
			}
		}
		next, most := p, uint64(0)
		for child := range h.children(p) {
			if r := h.retained.at(child); r > most {
				next, most = child, r
			}
		}
		if most < f.least || float64(most) < dropRatio*float64(h.retained.at(p)) {
			return p, false
		}
		p = next
	}
	return from, true // a list of objects whose type is not known
}

// descend goes on to what most members of a group contain very many of: from tenants to the sessions of each.
func (f *finder) descend(g group) group {
	h := f.h
	for range maxNesting {
		if g.chain || g.count*fanOut > uint64(h.len()) {
			return g
		}
		members := g.members
		for p := range members() {
			for q := range h.frontier(p) {
				f.tally.add(h, q)
			}
		}
		inner := f.tally.take(h)
		if len(inner) == 0 || inner[0].count < g.count*fanOut || float64(inner[0].retained) < dropRatio*float64(g.retained) {
			return g
		}
		number := inner[0].number
		g.count, g.retained, g.number = inner[0].count, inner[0].retained, number
		g.members = func() iter.Seq[place] {
			return func(yield func(place) bool) {
				for p := range members() {
					for q := range h.frontier(p) {
						if h.typ(q) == number && !yield(q) {
							return
						}
					}
				}
			}
		}
	}
	return g
}

// whole takes maps for a suspect rather than what the runtime makes them of.
func (f *finder) whole(g group) group {
	h := f.h
	if role := h.types.role[g.number]; role != innards && role != slotted {
		return g
	}
	innards := g.members
	maps := func() iter.Seq[place] {
		return func(yield func(place) bool) {
			last := place(0)
			for p := range innards() {
				for p != 0 && h.types.role[h.typ(p)] != mapTable {
					p = h.parent[p]
				}
				if p > last && !yield(p) {
					return
				}
				last = max(last, p)
			}
		}
	}
	whole := group{members: maps, shared: g.shared, label: g.label, above: g.above}
	for p := range maps() {
		if whole.count++; whole.count == 1 {
			whole.number = h.typ(p)
		}
		whole.retained += h.retained.at(p)
	}
	if whole.retained < g.retained {
		return g // some belong to no map that we know of
	}
	return whole
}

// tally sums up places by type.
type tally struct {
	count, retained []uint64
	first           []place
	seen            []typeNumber
}

func newTally(types int) tally {
	numbers := make([]uint64, 2*types)
	return tally{count: numbers[:types], retained: numbers[types:], first: make([]place, types)}
}

func (t *tally) add(h *heap, p place) {
	number := h.typ(p)
	if t.count[number] == 0 {
		t.seen = append(t.seen, number)
		t.first[number] = p
	}
	t.count[number]++
	t.retained[number] += h.retained.at(p)
}

// take returns the sums, the largest first, and empties the tally. A group's place above is its first place.
func (t *tally) take(h *heap) []group {
	list := make([]group, len(t.seen))
	for i, number := range t.seen {
		list[i] = group{number: number, count: t.count[number], retained: t.retained[number], above: t.first[number]}
		t.count[number], t.retained[number] = 0, 0
	}
	t.seen = t.seen[:0]
	sorting.By(list, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.retained, a.retained), cmp.Compare(h.types.names[a.number], h.types.names[b.number]))
	})
	return list
}
