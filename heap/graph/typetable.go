package graph

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	// nesting is how deep types may lie in each other by value. The compiler's own limits are lower in practice.
	nesting = 500
	// maxTableWords is up to which size a type's words are laid out in a table.
	maxTableWords = 8192
	// maxEmptyFields is how many fields of size 0 may follow one at its end.
	maxEmptyFields = 64
	// reservedTypes bounds the types, so that a number fits beside its certainty.
	reservedTypes = 1 << 26
)

// typeTable is the snapshot's table of types, checked: whatever a file says, a value lies within its container, and
// none contains itself. Types that are not so are opaque: they have a size and a name, and nothing in them is known.
type typeTable struct {
	types  []snapshot.Type
	opaque []bool
	masks  []uint64 // pointer words of types of at most smallBytes
	// pairs gives, of a struct with a field of type [0]*T, as atomic.Pointer has one, what its unsafe.Pointer points to.
	pairs map[snapshot.TypeID]snapshot.TypeID
	// weak has the structs of which the unsafe.Pointer leads to a weak pointer's handle.
	weak map[snapshot.TypeID]bool
	// named finds runtime types by qualified name.
	named map[string]snapshot.TypeID
}

// wellKnown are the types of the runtime and the standard library that are looked for by name.
var wellKnown = []string{
	"sync.poolLocal", "maps.Map", "maps.table", "runtime.sudog", "runtime.timer", "runtime.hchan", "runtime.timeTimer",
	"time.Timer", "time.Ticker",
}

// behind returns what is allocated where the program has a pointer to a type, if that is another one: of a time.Timer
// the runtime's, which has more fields.
func (t *typeTable) behind(id snapshot.TypeID) snapshot.TypeID {
	if id != 0 && (id == t.named["time.Timer"] || id == t.named["time.Ticker"]) {
		return t.named["runtime.timeTimer"]
	}
	return 0
}

func newTypeTable(types []snapshot.Type) *typeTable {
	if len(types) == 0 {
		types = make([]snapshot.Type, 1)
	}
	t := &typeTable{
		types:  types,
		opaque: make([]bool, len(types)),
		masks:  make([]uint64, len(types)),
		pairs:  make(map[snapshot.TypeID]snapshot.TypeID),
		weak:   make(map[snapshot.TypeID]bool),
		named:  make(map[string]snapshot.TypeID),
	}
	t.opaque[0] = true
	state := make([]uint8, len(types))
	for id := range types {
		t.check(snapshot.TypeID(id), state, 0)
	}
	for id := range types {
		for _, name := range wellKnown {
			if types[id].Name == name && !t.opaque[id] && (name[:4] != "maps" || types[id].PkgPath == "internal/runtime/maps") {
				t.named[name] = snapshot.TypeID(id)
			}
		}
	}
	t.findRuntimePointers()
	return t
}

// findRuntimePointers completes pairs by the runtime's own atomic.Pointer[T], of which only the name tells T.
func (t *typeTable) findRuntimePointers() {
	wanted := make(map[string][]snapshot.TypeID)
	for id := range t.types {
		typ := &t.types[id]
		arg, ok := strings.CutPrefix(typ.Name, "atomic.Pointer[")
		if ok && typ.PkgPath == "internal/runtime/atomic" && !t.opaque[id] {
			arg = strings.TrimSuffix(arg, "]")
			wanted[arg] = append(wanted[arg], snapshot.TypeID(id))
		}
	}
	for id := range t.types {
		typ := &t.types[id]
		if _, short, ok := strings.Cut(typ.Name, "."); ok && typ.PkgPath != "" && len(wanted) > 0 {
			for _, pointer := range wanted[typ.PkgPath+"."+short] {
				t.pairs[pointer] = snapshot.TypeID(id)
			}
		}
	}
}

// valid reports whether a reference leads to a type.
func (t *typeTable) valid(id snapshot.TypeID) bool { return id != 0 && int(id) < len(t.types) }

// get returns a type; of a reference that leads nowhere, the unknown one.
func (t *typeTable) get(id snapshot.TypeID) *snapshot.Type {
	if int(id) >= len(t.types) {
		id = 0
	}
	return &t.types[id]
}

const (
	unchecked uint8 = iota
	beingChecked
	checked
)

// check decides whether a type is opaque, and its mask, after those that it contains.
func (t *typeTable) check(id snapshot.TypeID, state []uint8, depth int) {
	if state[id] != unchecked || id == 0 {
		return
	}
	state[id] = beingChecked
	mask, ok := t.checkParts(id, state, depth)
	t.opaque[id], t.masks[id] = !ok, mask
	if !ok {
		t.masks[id] = 0
	}
	state[id] = checked
}

// within checks a type that another one contains.
func (t *typeTable) within(id snapshot.TypeID, state []uint8, depth int) bool {
	if !t.valid(id) || depth >= nesting {
		return false
	}
	t.check(id, state, depth+1)
	return state[id] == checked && !t.opaque[id]
}

func (t *typeTable) checkParts(id snapshot.TypeID, state []uint8, depth int) (mask uint64, ok bool) {
	typ := &t.types[id]
	if typ.PtrBytes > typ.Size {
		return 0, false
	}
	switch typ.Kind {
	case snapshot.Pointer, snapshot.Map, snapshot.Chan, snapshot.Func, snapshot.UnsafePointer:
		return bit(0, typ.PtrBytes), typ.Size == wordBytes
	case snapshot.String:
		return bit(0, typ.PtrBytes), typ.Size == 2*wordBytes
	case snapshot.Slice:
		return bit(0, typ.PtrBytes), typ.Size == 3*wordBytes
	case snapshot.Interface:
		return bit(1, typ.PtrBytes), typ.Size == 2*wordBytes
	case snapshot.Array:
		return t.checkArray(typ, state, depth)
	case snapshot.Struct:
		return t.checkStruct(id, typ, state, depth)
	case snapshot.Invalid:
		return 0, false
	default:
		return 0, typ.PtrBytes == 0
	}
}

// bit is the mask of a word, if the type has pointers at all.
func bit(word, pointerBytes uint64) uint64 {
	if pointerBytes == 0 {
		return 0
	}
	return 1 << word
}

func (t *typeTable) checkArray(typ *snapshot.Type, state []uint8, depth int) (uint64, bool) {
	if typ.Len == 0 {
		return 0, typ.Size == 0
	}
	if !t.within(typ.Elem, state, depth) {
		return 0, false
	}
	elem := &t.types[typ.Elem]
	if high, low := bits.Mul64(elem.Size, typ.Len); high != 0 || low != typ.Size || (elem.PtrBytes == 0) != (typ.PtrBytes == 0) {
		return 0, false
	}
	if typ.Size > smallBytes || typ.PtrBytes == 0 {
		return 0, true
	}
	return repeated(t.masks[typ.Elem], elem.Size/wordBytes, typ.Len), elem.Size%wordBytes == 0
}

func (t *typeTable) checkStruct(id snapshot.TypeID, typ *snapshot.Type, state []uint8, depth int) (uint64, bool) {
	mask, pointers := uint64(0), false
	end := uint64(0) // of the fields so far: they are in order and do not overlap
	var pair snapshot.TypeID
	for i := range typ.Fields {
		f := &typ.Fields[i]
		if !t.within(f.Type, state, depth) {
			return 0, false
		}
		of := &t.types[f.Type]
		if of.Size > typ.Size || f.Offset > typ.Size-of.Size || f.Offset < end || of.PtrBytes != 0 && f.Offset%wordBytes != 0 {
			return 0, false
		}
		end = f.Offset + of.Size
		if of.PtrBytes != 0 {
			pointers = true
			if typ.Size <= smallBytes {
				mask |= t.masks[f.Type] << (f.Offset / wordBytes)
			}
		}
		if of.Kind == snapshot.Array && of.Len == 0 && t.valid(of.Elem) && t.types[of.Elem].Kind == snapshot.Pointer {
			pair = t.types[of.Elem].Elem
		}
	}
	// An unsafe.Pointer beside a *[0]T is one to T, but in a weak.Pointer, which goes by way of a handle.
	switch {
	case pair != 0 && typ.PkgPath == "weak":
		t.weak[id] = true
	case pair != 0:
		t.pairs[id] = pair
	}
	return mask, pointers == (typ.PtrBytes != 0) && (!pointers || typ.Size%wordBytes == 0)
}

// repeated is the mask of n values of some words with a mask, as far as it fits 64 words.
func repeated(mask, words, n uint64) uint64 {
	if words == 0 || words >= 64 {
		return mask
	}
	all := uint64(0)
	for i := range min(n, (64+words-1)/words) {
		all |= mask << (i * words)
	}
	return all
}

// component returns what a value of a type contains at an offset, one level down, and the rest of the offset in it.
func (t *typeTable) component(id snapshot.TypeID, offset uint64) (part snapshot.TypeID, rest uint64, field *snapshot.Field) {
	if t.opaque[id] {
		return 0, 0, nil
	}
	typ := &t.types[id]
	switch typ.Kind {
	case snapshot.Array:
		if size := t.get(typ.Elem).Size; size > 0 && offset < typ.Size {
			return typ.Elem, offset % size, nil
		}
	case snapshot.Struct:
		// Fields lie in the order of their offsets; those of size 0 share one with the next.
		low, high := 0, len(typ.Fields)
		for low < high {
			middle := int(uint(low+high) >> 1)
			if typ.Fields[middle].Offset <= offset {
				low = middle + 1
			} else {
				high = middle
			}
		}
		for i := low - 1; i >= max(0, low-maxEmptyFields); i-- {
			f := &typ.Fields[i]
			if size := t.types[f.Type].Size; size == 0 {
				continue
			} else if offset-f.Offset < size {
				return f.Type, offset - f.Offset, f
			}
			break
		}
	}
	return 0, 0, nil
}

// contains reports whether a value of type whole, or an array of such, has a value of type part at an offset.
func (t *typeTable) contains(whole snapshot.TypeID, offset uint64, part snapshot.TypeID) bool {
	if size := t.get(whole).Size; size > 0 {
		offset %= size
	}
	for range nesting + 1 {
		if whole == part {
			return offset == 0
		}
		next, rest, _ := t.component(whole, offset)
		if next == 0 {
			return false
		}
		whole, offset = next, rest
	}
	return false
}

// repeats returns what repeats in an object of a type: of arrays, their element.
func (t *typeTable) repeats(id snapshot.TypeID) snapshot.TypeID {
	for range nesting {
		typ := t.get(id)
		if typ.Kind != snapshot.Array || t.opaque[id] || typ.Len == 0 || typ.Size == 0 {
			break
		}
		id = typ.Elem
	}
	return id
}

// sameFields reports whether two structs have the same fields: one was converted to the other.
func (t *typeTable) sameFields(a, b snapshot.TypeID) bool {
	x, y := t.get(a), t.get(b)
	return x.Kind == snapshot.Struct && y.Kind == snapshot.Struct && x.Size == y.Size && slices.Equal(x.Fields, y.Fields)
}

// isTablePointer reports whether a type is what the directory of a map has for each table.
func (t *typeTable) isTablePointer(id snapshot.TypeID) bool {
	typ := t.get(id)
	return typ.Kind == snapshot.Pointer && typ.Elem != 0 && typ.Elem == t.named["maps.table"]
}

// isHeader reports whether a type is what the runtime makes for a map or a channel of any elements.
func (t *typeTable) isHeader(id snapshot.TypeID) bool {
	if !t.valid(id) {
		return false
	}
	named := t.named
	return id == named["maps.Map"] || id == named["maps.table"] || id == named["runtime.hchan"] || t.isTablePointer(id)
}
