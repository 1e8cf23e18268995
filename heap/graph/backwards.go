package graph

import "slices"

const (
	// maxGrounded is like maxFailures, for objects that point to one whose type is known: rare ones among many of which
	// nothing is known.
	maxGrounded = 4096
	// maxLooked is how many pointers of an object are looked at to tell whether one leads to a known type.
	maxLooked = 16
)

// pointsToKnown reports whether one of an object's first pointers leads to an object with pointers whose type is known.
func (x *inference) pointsToKnown(object uint32) bool {
	g := x.g
	from := g.Starts[object]
	for _, target := range g.Targets[from:min(g.Starts[object+1], from+maxLooked)] {
		if g.typing[target] != 0 && !g.forms[g.formOf[target]].noscan {
			return true
		}
	}
	return false
}

// backwards goes from an object whose type was inferred to those that point to it, from these to the ones before, and so
// on, as long as each can be told: so a list is typed from one node on against the direction of its pointers. It returns
// how many got a type.
func (x *inference) backwards(object uint32) (found uint64) {
	g := x.g
	x.open = append(x.open[:0], object)
	for len(x.open) > 0 {
		last := len(x.open) - 1
		object, x.open = x.open[last], x.open[:last]
		for i, h := range x.holders.of(object) {
			if i >= tries || x.checks > maxChecks {
				break
			}
			if h.node >= g.objects || g.typing[h.node] != 0 || g.Starts[h.node+1]-g.Starts[h.node] > maxLooked {
				continue
			}
			if id, _ := x.decide(h.node, x.holders.of(h.node)); id != 0 {
				found++
				x.assign(h.node, newTyping(id, Inferred, rankInside))
				x.open = append(x.open, h.node)
			}
		}
	}
	return found
}

// narrowKey is all that the candidates for an object have in common that agree with one of its pointers.
type narrowKey struct {
	form, target uint16 // forms of the object and of what it points to
	slot         uint32
	id           uint32 // type of what it points to
}

// narrow returns those of the candidates for an object that agree with a pointer of it which leads to a known type, and
// remembers them for the next object that is alike. It returns all of them, and false, where no pointer is such.
func (x *inference) narrow(object uint32, list []uint32) ([]uint32, bool) {
	g := x.g
	from := g.Starts[object]
	for e := from; e < min(g.Starts[object+1], from+maxLooked); e++ {
		target := g.Targets[e]
		typing := g.typing[target]
		if typing == 0 || x.strict && typing.rank() < rankAllocated {
			continue
		}
		offset, _ := g.offsets.get(e)
		if _, isData := g.clues.dynamic.get(e); isData || offset != 0 {
			continue
		}
		key := narrowKey{g.formOf[object], g.formOf[target], uint32(g.slot(object, e)), typing.id()}
		narrowed, known := x.narrowed[key]
		if !known {
			narrowed = slices.Clone(list)
			narrowed = slices.DeleteFunc(narrowed, func(candidate uint32) bool {
				w, ok := x.wordIn(candidate, uint64(key.slot))
				return !ok || w.kind == interfaceData || x.compatible(w, key.id, 0, key.target) == against
			})
			x.checks += len(list)
			x.narrowed[key] = narrowed
		}
		return narrowed, !g.forms[key.target].noscan
	}
	return list, false
}
