package graph

import "github.com/memwarden/memwarden/heap/snapshot"

const (
	swissHeaderBytes = 48 // internal/runtime/maps.Map
	swissHeaderMask  = 1 << 2
	oldHeaderBytes   = 64 // runtime.hmap, 56 bytes
	oldHeaderMask    = 1<<2 | 1<<3 | 1<<6
	swissTableBytes  = 32 // internal/runtime/maps.table
	swissTableMask   = 1 << 2
	oldExtraBytes    = 24 // runtime.mapextra
	chanBufferSlot   = 2
	chanBufferMask   = 1 << chanBufferSlot
	minChanBytes     = 96 // runtime.hchan, from 96 to 112 bytes
	maxChanBytes     = 112
)

// resolved is what a pointer makes of an object of some form.
type resolved struct {
	key  uint64
	id   uint32
	rank rank
}

// resolver decides what a pointer of some kind makes of objects of some form, and remembers. It is not safe for
// concurrent use.
type resolver struct {
	types *objectTypes
	forms []form
	cache []resolved
}

const cacheBits = 14

func newResolver(types *objectTypes, forms []form) *resolver {
	return &resolver{types: types, forms: forms, cache: make([]resolved, 1<<cacheBits)}
}

// resolve returns the type, 0 if the object cannot be what the pointer says. inside tells that the pointer does not
// point to the object's first element.
func (r *resolver) resolve(kind pointing, arg snapshot.TypeID, form uint16, inside bool) (uint32, rank) {
	key := uint64(kind)<<56 | uint64(form)<<32 | uint64(arg)
	if inside {
		key |= 1 << 63
	}
	entry := &r.cache[key*0x9E3779B97F4A7C15>>(64-cacheBits)]
	if entry.key != key {
		entry.key = key
		if inside {
			entry.id, entry.rank = r.decideInside(kind, arg, &r.forms[form])
		} else {
			entry.id, entry.rank = r.decide(kind, arg, &r.forms[form])
		}
	}
	return entry.id, entry.rank
}

// decide is resolve for pointers to the beginning.
func (r *resolver) decide(kind pointing, arg snapshot.TypeID, f *form) (uint32, rank) {
	small := f.small()
	switch kind {
	case toValue:
		return r.decideValue(arg, f)
	case toElements, toChanBuffer:
		if r.types.table.fits(arg, f) != noFit {
			return r.types.id(array, uint32(arg)), rankPointed
		}
	case toString:
		if f.noscan {
			return r.types.id(stringBytes, 0), rankPointed
		}
	case toMap:
		switch {
		case small && f.size == swissHeaderBytes && f.mask == swissHeaderMask:
			return r.types.id(mapHeader, uint32(arg)), rankPointed
		case small && f.size == oldHeaderBytes && f.mask == oldHeaderMask:
			return r.types.id(oldHeader, uint32(arg)), rankPointed
		}
	case toChan:
		if f.noscan && f.size >= minChanBytes ||
			small && f.size >= minChanBytes && f.size <= maxChanBytes && f.mask&chanBufferMask != 0 {
			return r.types.id(channel, uint32(arg)), rankPointed
		}
	case toClosure:
		// Closures with pointers have been told by their function.
		if f.noscan {
			return r.types.id(funcValue, uint32(arg)), rankPointed
		}
	case toWeakHandle:
		if f.noscan && f.size <= tinyBytes {
			return r.types.id(weakHandle, 0), rankPointed
		}
	case interfaceData:
		return r.dynamic(arg, f)
	case toDirectory, toTable, toGroups, toMapExtra:
		return r.decideMap(kind, arg, f)
	}
	return 0, noRank
}

// decideValue is decide for a pointer to a value.
func (r *resolver) decideValue(arg snapshot.TypeID, f *form) (uint32, rank) {
	table := r.types.table
	switch table.fits(arg, f) {
	case oneFit:
		return uint32(arg), rankPointed
	case arrayFit:
		// The first of several values; if nothing tells the values from others, rather something that begins so.
		if table.mixed(arg) {
			return r.types.id(array, uint32(arg)), rankInside
		}
		return 0, noRank
	}
	// The runtime lets the table of its itabs grow beyond its type, in memory that is not looked at for pointers.
	if typ := table.get(arg); f.noscan && typ.Name == "runtime.itabTableType" && typ.Size <= f.size {
		return uint32(arg), rankPointed
	}
	if behind := table.behind(arg); behind != 0 {
		return r.decideValue(behind, f)
	}
	return 0, noRank
}

// decideMap is decide for what maps are made of. arg is the type of a group.
func (r *resolver) decideMap(kind pointing, arg snapshot.TypeID, f *form) (uint32, rank) {
	small, table := f.small(), r.types.table
	switch kind {
	case toTable:
		if small && f.size == swissTableBytes && f.mask == swissTableMask {
			return r.types.id(mapTable, uint32(arg)), rankPointed
		}
		return 0, noRank
	case toMapExtra:
		if small && f.size == oldExtraBytes {
			return r.types.id(mapExtra, uint32(arg)), rankPointed
		}
		return 0, noRank
	case toDirectory:
		// A group begins with its control word, a directory with a pointer.
		if small && f.mask&1 != 0 || f.typ != 0 && table.get(table.repeats(f.typ)).Kind == snapshot.Pointer {
			return r.types.id(directory, uint32(arg)), rankRecorded
		}
	}
	switch table.fits(arg, f) {
	case oneFit:
		return uint32(arg), rankPointed
	case arrayFit:
		return r.types.id(array, uint32(arg)), rankPointed
	}
	return 0, noRank
}

// dynamic is decide for an interface with a dynamic type.
func (r *resolver) dynamic(id snapshot.TypeID, f *form) (uint32, rank) {
	table := r.types.table
	if !table.get(id).DirectIface {
		if table.fits(id, f) == oneFit {
			return uint32(id), rankAllocated
		}
		return 0, noRank
	}
	if words := r.types.words(uint32(id)); len(words) == 1 && words[0].kind != interfaceData {
		return r.decide(words[0].kind, words[0].arg, f)
	}
	return 0, noRank
}

// decideInside is resolve for pointers behind the first element. Whether the offset is that of an element, the caller
// knows.
func (r *resolver) decideInside(kind pointing, arg snapshot.TypeID, f *form) (uint32, rank) {
	switch kind {
	case toValue:
		if f.tiny() && r.types.table.fits(arg, f) == oneFit {
			return uint32(arg), rankInside
		}
	case toWeakHandle:
		// It is the second of two in a tiny object, or, with the race detector, at its end.
		if f.tiny() {
			return r.types.id(weakHandle, 0), rankInside
		}
	case toElements, toString:
		id, rank := r.decide(kind, arg, f)
		return id, min(rank, rankInside)
	}
	return 0, noRank
}
