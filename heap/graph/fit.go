package graph

import "github.com/memwarden/memwarden/heap/snapshot"

// fit is how a type can occupy an object.
type fit uint8

const (
	noFit    fit = iota
	oneFit       // the object is one value
	arrayFit     // two or more
)

// fits decides whether objects of a form may be a value of a type or an array of such: a slot of that size would have
// been allocated for it, and the pointer words agree.
func (t *typeTable) fits(id snapshot.TypeID, f *form) fit {
	typ := t.get(id)
	if typ.Size == 0 || t.opaque[id] || f.noscan != (typ.PtrBytes == 0) || f.size == 0 {
		return noFit
	}
	if f.tiny() && typ.Size < tinyBytes {
		return oneFit
	}
	most := f.usable() / typ.Size
	least := uint64(1)
	if f.above > f.shift() {
		least = (f.above-f.shift())/typ.Size + 1
	}
	if most == 0 || least > most {
		return noFit
	}
	if f.typ != 0 {
		if t.repeats(f.typ) != t.repeats(id) && !t.contains(f.typ, 0, id) {
			return noFit
		}
	} else if f.small() {
		words := typ.Size / wordBytes
		for repeated(t.masks[id], words, least) != f.mask {
			least++
			if least > most {
				return noFit
			}
		}
	}
	if least == 1 {
		return oneFit
	}
	return arrayFit
}

// mixed reports whether a type has words with and without pointers, so that a mask that repeats it says something.
func (t *typeTable) mixed(id snapshot.TypeID) bool {
	typ := t.get(id)
	if typ.PtrBytes == 0 || typ.Size > smallBytes {
		return typ.PtrBytes != 0
	}
	words := typ.Size / wordBytes
	return t.masks[id] != ^uint64(0)>>(64-words)
}

// mayHold reports whether a value of a type may lie at an offset of an object of a form, whatever its type. The offset
// counts from the first element.
func (t *typeTable) mayHold(f *form, offset uint64, id snapshot.TypeID) bool {
	typ := t.get(id)
	if f.size == 0 || t.opaque[id] {
		return true
	}
	if typ.Size > f.usable() || offset > f.usable()-typ.Size {
		return false
	}
	switch {
	case typ.Size == 0:
		return true
	case f.noscan:
		return typ.PtrBytes == 0
	case f.typ != 0:
		return t.contains(f.typ, offset, id)
	case !f.known:
		return true
	case typ.PtrBytes == 0:
		last := (offset + typ.Size - 1) / wordBytes
		for w := offset / wordBytes; w <= last; w++ {
			if f.mask>>w&1 != 0 {
				return false
			}
		}
		return true
	default:
		if offset%wordBytes != 0 {
			return false
		}
		words := typ.Size / wordBytes
		return f.mask>>(offset/wordBytes)&(^uint64(0)>>(64-words)) == t.masks[id]
	}
}
