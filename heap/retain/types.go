package retain

import (
	"cmp"
	"iter"
	"strings"

	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/sorting"
)

// typeNumber numbers names of types: types of one name are one to a reader.
type typeNumber = uint32

const (
	unknownType = "(unknown type)"
	noType      = typeNumber(0) // of what is no object, or whose type is unknown
)

// typeNames numbers the names of a graph's types.
type typeNames struct {
	of    []typeNumber // TypeID ->
	names []string
	ids   map[string]typeNumber
	role  []role
	// keeper tells that objects of the type hold others for the runtime's sake: see heap.keepers.
	keeper []bool
}

// role is what objects of a type are for.
type role uint8

const (
	content  role = iota // what a program's author gave a name, or bytes
	carrier              // slices, channels, the library's containers and what is unknown: they matter for what they carry
	mapTable             // a map's header, which stands for all of the map
	innards              // what the runtime makes a map of, of no interest in a path
	slotted              // those with a map's keys and elements
)

func newTypeNames(g *graph.Graph) *typeNames {
	t := &typeNames{
		of: make([]typeNumber, g.Types()), names: []string{unknownType}, ids: map[string]typeNumber{unknownType: noType},
		role: []role{carrier}, keeper: []bool{false},
	}
	for id := 1; id < len(t.of); id++ {
		name := g.TypeName(snapshot.TypeID(id))
		if name == "" {
			continue
		}
		number, known := t.ids[name]
		if !known {
			number = typeNumber(len(t.names))
			t.names = append(t.names, name)
			t.ids[name] = number
			t.role = append(t.role, roleOf(name))
			t.keeper = append(t.keeper, isKeeper(name))
		}
		t.of[id] = number
	}
	return t
}

func roleOf(name string) role {
	unnamed := strings.TrimLeft(name, "[]*0123456789")
	switch {
	case strings.HasPrefix(unnamed, "map.group[") || strings.HasPrefix(unnamed, "map.bucket["):
		return slotted
	case strings.HasPrefix(unnamed, "internal/runtime/maps.") || unnamed == "maps.table" || unnamed == "maps.Map" ||
		unnamed == "runtime.hmap" || unnamed == "runtime.mapextra":
		return innards
	case strings.HasPrefix(name, "map["):
		return mapTable
	case strings.HasPrefix(name, "[") || strings.HasPrefix(name, "chan ") || strings.HasPrefix(name, "*"):
		return carrier
	case strings.HasPrefix(name, "interface {") || name == "unsafe.Pointer" || isKeeper(name) || container(name):
		return carrier
	default:
		return content
	}
}

// timerType is of timers, which a program makes, in spite of its name.
const timerType = "runtime.timeTimer"

// isKeeper reports whether a type is one of the runtime's own, in whatever pointers, slices or atomic values.
func isKeeper(name string) bool {
	name = strings.TrimLeft(name, "[]*0123456789")
	name = strings.TrimPrefix(name, "atomic.Pointer[")
	return strings.HasPrefix(name, "runtime.") && !strings.HasPrefix(name, timerType)
}

// container reports whether a type is part of the standard library's containers.
func container(name string) bool {
	return strings.HasPrefix(name, "sync.") || strings.HasPrefix(name, "atomic.") ||
		name == "list.List" || name == "list.Element" || name == "ring.Ring"
}

// typ is the number of the type of what is at a place.
func (h *heap) typ(p place) typeNumber { return h.kinds[p] }

// census counts objects by type.
type census struct {
	count, shallow, retained []uint64     // typeNumber ->
	until                    []place      // -> end of the last subtree that is counted as retained
	seen                     []typeNumber // types that occur
}

func newCensus(types int) *census {
	numbers := make([]uint64, 3*types)
	return &census{
		count: numbers[:types], shallow: numbers[types : 2*types], retained: numbers[2*types:], until: make([]place, types),
	}
}

// add counts the subtree of a place. Subtrees are added in ascending order and do not overlap. What an object of a type
// retains includes all other objects of the type that it dominates, so that these do not count again. What it has itself is
// what it retains without what those retain that it dominates: to ask the graph costs a miss of the processor's caches.
func (c *census) add(h *heap, top place) {
	objects := h.g.Objects()
	for p, end := top, h.end[top]; p < end; p++ {
		retained := h.retained.at(p)
		if above := h.parent[p]; p != top && h.node[above] < objects {
			c.shallow[h.typ(above)] -= retained
		}
		if h.node[p] >= objects {
			continue
		}
		t := h.typ(p)
		if c.count[t] == 0 {
			c.seen = append(c.seen, t)
		}
		c.count[t]++
		c.shallow[t] += retained
		if p >= c.until[t] {
			c.until[t] = h.end[p]
			c.retained[t] += retained
		}
	}
}

// take returns the types that were counted, those that retain most first, and empties the census.
func (c *census) take(h *heap) []Type {
	list := make([]Type, len(c.seen))
	for i, t := range c.seen {
		list[i] = Type{
			Name: h.types.names[t], Count: c.count[t], ShallowBytes: c.shallow[t], RetainedBytes: c.retained[t], number: t,
		}
		c.count[t], c.shallow[t], c.retained[t], c.until[t] = 0, 0, 0, 0
	}
	c.seen = c.seen[:0]
	sorting.By(list, byRetained)
	return list
}

func byRetained(a, b Type) int {
	return cmp.Or(cmp.Compare(b.RetainedBytes, a.RetainedBytes), cmp.Compare(b.ShallowBytes, a.ShallowBytes),
		cmp.Compare(a.Name, b.Name))
}

// frontier yields the first objects below a place that stand for something by themselves: carriers, and what is no
// object, are looked through, unless they make up most of what they retain.
func (h *heap) frontier(top place) iter.Seq[place] {
	return func(yield func(place) bool) {
		for p, end := top+1, h.end[top]; p < end; {
			if h.transparent(p) {
				p++
				continue
			}
			if !yield(p) {
				return
			}
			p = h.end[p]
		}
	}
}

// transparent reports whether a place matters only for what it carries.
func (h *heap) transparent(p place) bool {
	node := h.node[p]
	if node >= h.g.Objects() {
		return true
	}
	if h.types.role[h.typ(p)] == content {
		return false
	}
	return 2*h.g.Size(node) < h.retained.at(p)
}
