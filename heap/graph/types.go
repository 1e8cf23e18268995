package graph

import "github.com/memwarden/memwarden/heap/snapshot"

// Stats are what typing came to, of the objects that are reached.
type Stats struct {
	ExactBytes, InferredBytes     uint64
	ExactObjects, InferredObjects uint64
	// NoScanBytes are those without a type that hold no pointers: plain bytes or numbers.
	NoScanBytes uint64
	// Ambiguous counts objects that several types fit.
	Ambiguous uint64
	// Conflicts counts times that two sources of equal worth gave an object different types; the first was kept.
	Conflicts uint64
	// Misfits counts pointers where an object's type has none.
	Misfits uint64
}

// Stats tells what typing came to.
func (g *Graph) Stats() Stats { return g.stats }

// TypedRatio is the share of the reached bytes whose type is known, exactly or by inference.
func (g *Graph) TypedRatio() float64 { return g.ratio(g.stats.ExactBytes + g.stats.InferredBytes) }

// InferredRatio is the share of the reached bytes whose type is inferred.
func (g *Graph) InferredRatio() float64 { return g.ratio(g.stats.InferredBytes) }

func (g *Graph) ratio(bytes uint64) float64 {
	if g.reachedBytes == 0 {
		return 0
	}
	return float64(bytes) / float64(g.reachedBytes)
}

// Type returns an object's type, a place in the extended table below Types(), and how sure it is. 0 is the unknown
// type.
func (g *Graph) Type(object uint32) (snapshot.TypeID, Certainty) {
	if g.typing == nil {
		return 0, Unknown
	}
	t := g.typing[object]
	return snapshot.TypeID(g.canonical[t.id()]), t.certainty()
}

// Types is the number of types in the extended table: those of the snapshot, and those made for what the runtime
// allocates for maps, channels, slices, strings and closures.
func (g *Graph) Types() int { return len(g.canonical) }

// TypeName is what a type is called: "main.Session", "[]main.Session" of several values or a slice's backing, "string"
// of a string's bytes, "func main.handler.func1" of a closure, "map[string]*main.User" of a map's header,
// "chan main.Job" of a channel. It is empty for the unknown type. It costs an allocation.
func (g *Graph) TypeName(id snapshot.TypeID) string {
	if int(id) >= g.Types() {
		return ""
	}
	return g.kinds.name(uint32(id), g.Functions)
}

// canonical gives made types of the same name one number: the tables of all maps are one type to a reader.
func (o *objectTypes) canonical(functions []snapshot.Function) []uint32 {
	numbers := make([]uint32, len(o.list))
	byName := make(map[string]uint32)
	for id := range numbers {
		numbers[id] = uint32(id)
		switch o.list[id].kind {
		case value, array, mapHeader, oldHeader, channel:
			continue
		}
		name := o.name(uint32(id), functions)
		if first, ok := byName[name]; ok {
			numbers[id] = first
		} else {
			byName[name] = uint32(id)
		}
	}
	return numbers
}

// summary counts.
func (t *typer) summary() Stats {
	g := t.g
	s := Stats{Conflicts: t.conflicts.objects, Misfits: t.conflicts.misfits, Ambiguous: t.ambiguous}
	for object, typing := range g.typing {
		if !g.reached.has(uint32(object)) {
			continue
		}
		size := g.Size(uint32(object))
		switch typing.certainty() {
		case Exact:
			s.ExactObjects++
			s.ExactBytes += size
		case Inferred:
			s.InferredObjects++
			s.InferredBytes += size
		default:
			if g.forms[g.formOf[object]].noscan {
				s.NoScanBytes += size
			}
		}
	}
	return s
}
