package graph

import (
	"slices"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// maxCandidates is how many types are tried for an object.
const maxCandidates = 1 << 14

// maxAround is how many types around a value are looked at: what is in everything tells nothing.
const maxAround = 400

// candidates are the types that may have been allocated, by what the heap says of an object.
type candidates struct {
	types  *objectTypes
	forms  []form
	shapes []typeShape
	// closures are the same of the structs that the compiler makes for closures.
	closures []typeShape
	// headers are types that the runtime gives to what a map or a channel is made of, whatever it holds.
	headers []snapshot.TypeID
	byForm  map[uint16][]uint32
	// shaped are the types of which the compiler's name says that generic code uses them for several instances.
	shaped []bool
	// maps are the map types by their group.
	maps map[snapshot.TypeID][]snapshot.TypeID
	// chans are a channel type for each type of elements.
	chans map[snapshot.TypeID]snapshot.TypeID
}

// typeShape is types of the same size and mask.
type typeShape struct {
	size, mask uint64
	types      []snapshot.TypeID
}

func newCandidates(types *objectTypes, forms []form) *candidates {
	c := &candidates{
		types: types, forms: forms, byForm: make(map[uint16][]uint32), maps: make(map[snapshot.TypeID][]snapshot.TypeID),
		shaped: make([]bool, len(types.table.types)), chans: make(map[snapshot.TypeID]snapshot.TypeID),
	}
	type key struct {
		size, mask uint64
		closure    bool
	}
	places := make(map[key]int)
	table := types.table
	for _, name := range []string{"maps.Map", "maps.table", "runtime.hchan"} {
		if id := table.named[name]; id != 0 {
			c.headers = append(c.headers, id)
		}
	}
	for i := range table.types {
		id, typ := snapshot.TypeID(i), &table.types[i]
		if table.opaque[id] || typ.DebugOnly {
			continue
		}
		if typ.Kind == snapshot.Map && typ.Group != 0 {
			c.maps[typ.Group] = append(c.maps[typ.Group], id)
		}
		if typ.Kind == snapshot.Chan && (c.chans[typ.Elem] == 0 || strings.HasPrefix(typ.Name, "chan ")) {
			c.chans[typ.Elem] = id
		}
		// An unsafe.Pointer by itself would fit wherever a pointer does.
		if typ.PtrBytes == 0 || typ.Size > smallBytes || typ.Kind == snapshot.UnsafePointer || typ.Name == "atomic.UnsafePointer" ||
			slices.Contains(c.headers, id) || table.isTablePointer(id) {
			continue
		}
		if strings.Contains(typ.Name, "go.shape.") {
			c.shaped[id] = true
		}
		k := key{typ.Size, table.masks[id], isClosureStruct(typ)}
		list := &c.shapes
		if k.closure {
			list = &c.closures
		}
		at, ok := places[k]
		if !ok {
			at = len(*list)
			places[k] = at
			*list = append(*list, typeShape{size: typ.Size, mask: k.mask})
		}
		(*list)[at].types = append((*list)[at].types, id)
	}
	return c
}

// isClosureStruct reports whether a type is a struct that the compiler made for closures: "struct { F uintptr; X0 … }".
func isClosureStruct(t *snapshot.Type) bool {
	return t.Kind == snapshot.Struct && t.PkgPath == "" && strings.HasPrefix(t.Name, "struct { F uintptr;")
}

// of returns the candidates for objects of a form: types of the program, and arrays of them.
func (c *candidates) of(number uint16) []uint32 {
	list, ok := c.byForm[number]
	if ok {
		return list
	}
	f := &c.forms[number]
	if f.small() && f.mask != 0 {
		list = c.collect(f)
	}
	c.byForm[number] = list
	return list
}

func (c *candidates) collect(f *form) []uint32 {
	var list []uint32
	for i := range c.shapes {
		s := &c.shapes[i]
		switch c.types.table.fits(s.types[0], f) {
		case oneFit:
			for _, id := range s.types {
				list = append(list, uint32(id))
			}
		case arrayFit:
			for _, id := range s.types {
				// An array of arrays looks like one of their elements.
				if c.types.table.get(id).Kind != snapshot.Array {
					list = append(list, c.types.id(array, uint32(id)))
				}
			}
		}
		if len(list) > maxCandidates {
			return nil
		}
	}
	return list
}

// generic reports whether a candidate is a type of generic code.
func (c *candidates) generic(id uint32) bool { return c.shaped[c.types.list[id].base] }

// closuresOf returns the structs that closures of a form may be.
func (c *candidates) closuresOf(f *form) []snapshot.TypeID {
	var list []snapshot.TypeID
	for i := range c.closures {
		if s := &c.closures[i]; f.small() && c.types.table.fits(s.types[0], f) == oneFit {
			list = append(list, s.types...)
		}
	}
	return list
}

// around returns the types that contain one at an offset, with nothing but containment known, and fit a form; nil if
// there are too many to look at. The type itself is among them.
func (c *candidates) around(owners *owners, part snapshot.TypeID, offset uint64, f *form) []uint32 {
	table := c.types.table
	type place struct {
		id     snapshot.TypeID
		offset uint64 // of the object's pointer in a value of id
	}
	seen := []place{{part, 0}}
	var list []uint32
	for at := 0; at < len(seen); at++ {
		p := seen[at]
		if p.offset == offset && !table.get(p.id).DebugOnly && table.fits(p.id, f) == oneFit {
			list = append(list, uint32(p.id))
		}
		for _, o := range owners.of(p.id) {
			next := place{o.owner, p.offset + o.offset}
			if next.offset <= offset && table.get(o.owner).Size <= f.usable() && !slices.Contains(seen, next) {
				seen = append(seen, next)
			}
		}
		if len(seen) > maxAround {
			return nil
		}
	}
	return list
}

// owner is a struct that has a field of a type at an offset.
type owner struct {
	owner  snapshot.TypeID
	offset uint64
}

// owners finds the structs that have a field of a type.
type owners struct {
	starts []uint32
	list   []owner
}

func newOwners(table *typeTable) *owners {
	o := &owners{starts: make([]uint32, len(table.types)+1)}
	each := func(visit func(field snapshot.TypeID, by owner)) {
		for i := range table.types {
			typ := &table.types[i]
			if table.opaque[i] {
				continue
			}
			switch {
			case typ.Kind == snapshot.Struct:
				for j := range typ.Fields {
					visit(typ.Fields[j].Type, owner{snapshot.TypeID(i), typ.Fields[j].Offset})
				}
			case typ.Kind == snapshot.Array && typ.Len > 0:
				visit(typ.Elem, owner{snapshot.TypeID(i), 0})
			}
		}
	}
	each(func(field snapshot.TypeID, _ owner) { o.starts[field]++ })
	sum := uint32(0)
	for i, n := range o.starts {
		o.starts[i] = sum
		sum += n
	}
	o.list = make([]owner, sum)
	next := slices.Clone(o.starts)
	each(func(field snapshot.TypeID, by owner) {
		o.list[next[field]] = by
		next[field]++
	})
	return o
}

func (o *owners) of(id snapshot.TypeID) []owner { return o.list[o.starts[id]:o.starts[id+1]] }
