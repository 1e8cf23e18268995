package retain

import (
	"fmt"
	"slices"
)

// Held is how some objects are held that were asked for by where they are in the process.
type Held struct {
	// Found is how many of the addresses lie in an object, Reached how many of those objects something holds: the others
	// are garbage that was not yet collected. What follows is of those that are reached, several addresses in one object
	// being one object.
	Found   uint64 `json:"found"`
	Reached uint64 `json:"reached"`
	Objects uint64 `json:"objects"`
	// Inner is how many are not where their object begins: in a field or an element.
	Inner uint64 `json:"inner"`
	// Type is what most of the objects are.
	Type string `json:"type"`
	// RetainedBytes is what they retain together; nothing counts twice.
	RetainedBytes uint64 `json:"retained_bytes"`
	// Paths are how they are held, at most 20, the most frequent first.
	Paths []Path `json:"paths"`
}

// Held tells how the objects at some addresses are held. The collector of Go does not move objects: where a living
// process had one when the snapshot was taken, the snapshot has it. It is safe for concurrent use. ErrNoGraph: the
// analysis was read from JSON.
func (a *Analysis) Held(addresses []uint64) (Held, error) {
	h := a.heap
	if h == nil {
		return Held{}, fmt.Errorf("retain: look at %d objects: %w", len(addresses), ErrNoGraph)
	}
	held := Held{Paths: []Path{}}
	var places []place
	counts := make(map[typeNumber]uint64)
	for _, address := range addresses {
		object, offset, ok := h.g.ObjectAt(address)
		if !ok {
			continue
		}
		held.Found++
		p := h.places[object]
		if p == nowhere {
			continue
		}
		held.Reached++
		if offset > 0 {
			held.Inner++
		}
		places = append(places, p)
	}
	slices.Sort(places)
	places = slices.Compact(places)
	held.Objects = uint64(len(places))
	end, most := place(0), uint64(0)
	for _, p := range places {
		if p >= end { // else another of them retains it
			end = h.end[p]
			held.RetainedBytes += h.retained.at(p)
		}
		kind := h.typ(p)
		if counts[kind]++; counts[kind] > most {
			most, held.Type = counts[kind], h.types.names[kind]
		}
	}
	if len(places) > 0 {
		held.Paths = cut(h.merged(places), maxPaths)
	}
	return held, nil
}
