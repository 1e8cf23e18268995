package graph

// Certainty is how sure an object's type is.
type Certainty uint8

// How sure types are.
const (
	Unknown  Certainty = iota
	Inferred           // the type of the program that fits all that is known
	Exact              // recorded by the runtime, or reached by typed pointers from what was
)

// String is what a report says: "exact".
func (c Certainty) String() string {
	switch c {
	case Inferred:
		return "inferred"
	case Exact:
		return "exact"
	default:
		return "unknown"
	}
}

// rank is how much a source of types is worth against another that says something else of the same object, at the same
// certainty. A pointer says what lies at an address, not what was allocated there: a struct and its first field have
// one address.
type rank uint8

const (
	noRank        rank = iota
	rankInside         // a slice into the middle of an object, or a pointer to the first of several values
	rankPointed        // a pointer or slice to the beginning
	rankAllocated      // an interface's dynamic type, a closure's function: what was allocated there
	rankRecorded       // the type that the runtime recorded for the object
)

// typing is an object's type with its certainty and rank. The zero value is the unknown type.
type typing uint32

func newTyping(id uint32, c Certainty, r rank) typing {
	return typing(id<<5 | uint32(r)<<2 | uint32(c))
}

func (t typing) id() uint32           { return uint32(t) >> 5 }
func (t typing) certainty() Certainty { return Certainty(t & 3) }
func (t typing) rank() rank           { return rank(t >> 2 & 7) }
