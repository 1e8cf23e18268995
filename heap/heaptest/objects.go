package heaptest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// Object is an object of a Builder.
type Object struct {
	b *Builder
	n int
}

// Ref is what a variable holds: a pointer to an object, and the words beside it.
type Ref struct {
	object   Object
	offset   uint64 // bytes into the value
	len, cap uint64
	sized    int             // how many of len and cap the variable has
	dynamic  snapshot.TypeID // of an interface
}

// Target is an Object or a Ref.
type Target interface{ ref() Ref }

func (o Object) ref() Ref { return Ref{object: o} }
func (r Ref) ref() Ref    { return r }

// At is a pointer into an object, some bytes behind its beginning.
func (o Object) At(offset uint64) Ref { return Ref{object: o, offset: offset} }

// Text is a string of n bytes from an offset on.
func (o Object) Text(offset, n uint64) Ref { return Ref{object: o, offset: offset, len: n, sized: 1} }

// Slice is a slice that begins some bytes behind the object's beginning, of n elements with room for more.
func (o Object) Slice(offset, n, capacity uint64) Ref {
	return Ref{object: o, offset: offset, len: n, cap: capacity, sized: 2}
}

// As is an interface value with a dynamic type: a pointer type, or another one whose value the object holds.
func (o Object) As(dynamic snapshot.TypeID) Ref { return Ref{object: o, dynamic: dynamic} }

// object is an object before it has an address.
type object struct {
	typ     snapshot.TypeID
	count   uint64 // values of the type, one behind the other
	bytes   uint64
	place   place
	closure snapshot.FuncID
	hole    bool // a slot that is free
	memory  memory

	id snapshot.ObjectID // once it is built
}

// memory is what words hold, as far as a scan looks at them.
type memory struct {
	pointers map[uint64]Ref             // by word
	types    map[uint64]snapshot.TypeID // type words of interfaces
	numbers  map[uint64]uint64          // lengths and capacities, and what looks like them
}

// set stores what a variable of a type holds.
func (m *memory) set(t *snapshot.Type, at uint64, r Ref) {
	word := at / wordBytes
	if m.pointers == nil {
		m.pointers, m.types, m.numbers = make(map[uint64]Ref), make(map[uint64]snapshot.TypeID), make(map[uint64]uint64)
	}
	switch {
	case t.Kind == snapshot.Interface:
		if r.dynamic == 0 {
			panic("heaptest: an interface needs a value's dynamic type: use As")
		}
		m.types[word] = r.dynamic
		word++
	case t.PtrBytes != wordBytes || t.Kind == snapshot.Struct || t.Kind == snapshot.Array:
		panic("heaptest: a value of type " + t.Name + " is not one pointer")
	}
	m.pointers[word] = r
	if r.sized > 0 {
		m.numbers[word+1] = r.len
	}
	if r.sized > 1 {
		m.numbers[word+2] = r.cap
	}
}

// Object allocates a value of a type, reachable from nothing yet.
func (b *Builder) Object(t snapshot.TypeID) Object { return b.Values(t, 1) }

// Values allocates n values of a type side by side, as make([]T, n) does. Paths into it begin with an index.
func (b *Builder) Values(t snapshot.TypeID, n uint64) Object {
	typ := &b.types[t]
	if typ.Size*n == 0 {
		panic("heaptest: " + typ.Name + " has no size, or is not defined yet: the runtime allocates nothing for it")
	}
	b.objects = append(b.objects, object{typ: t, count: n, bytes: typ.Size * n, place: placeOf(typ.Size*n, typ.PtrBytes == 0)})
	return Object{b, len(b.objects) - 1}
}

// Bytes allocates n bytes: what strings and byte slices point to.
func (b *Builder) Bytes(n uint64) Object { return b.Values(b.Byte(), n) }

// Hole leaves a slot free where a value of the type would have been.
func (b *Builder) Hole(t snapshot.TypeID) { b.objects[b.Object(t).n].hole = true }

// Closure allocates what a function literal becomes that captures variables; their names are fields of the object.
// The heap knows nothing of its type but the function.
func (b *Builder) Closure(function snapshot.FuncID, captured ...Field) Object {
	fields := append([]Field{F("F", b.Basic(snapshot.Uintptr))}, captured...)
	o := b.Object(b.Struct("", fields...))
	b.objects[o.n].closure = function
	return o
}

// Field lets what stands at a path of an object point to another. A path is as in Go: "Next", "users[3].Name",
// "[7].Key" into Values, and "" where the object is a pointer itself. Strings and slices take Object.Text and
// Object.Slice, interfaces Object.As.
func (b *Builder) Field(o Object, path string, to Target) {
	t, at := b.locate(o, path)
	b.objects[o.n].memory.set(&b.types[t], at, to.ref())
}

// Number stores a number at a path of an object: what stands behind a pointer may look like a length.
func (b *Builder) Number(o Object, path string, v uint64) {
	_, at := b.locate(o, path)
	m := &b.objects[o.n].memory
	if m.numbers == nil {
		m.pointers, m.types, m.numbers = make(map[uint64]Ref), make(map[uint64]snapshot.TypeID), make(map[uint64]uint64)
	}
	m.numbers[at/wordBytes] = v
}

// locate finds a path in an object.
func (b *Builder) locate(o Object, path string) (t snapshot.TypeID, offset uint64) {
	x := &b.objects[o.n]
	t, offset = x.typ, 0
	if x.place.header {
		offset = typeHeader
	}
	if x.count > 1 {
		digits, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
		i, err := strconv.ParseUint(digits, 10, 64)
		if !ok || err != nil || i >= x.count {
			panic(fmt.Sprintf("heaptest: path %q into %d values of %s", path, x.count, b.types[t].Name))
		}
		offset += i * b.types[t].Size
		path = rest
	}
	return b.walk(t, path, offset)
}

// walk follows a path from a value at an offset.
func (b *Builder) walk(id snapshot.TypeID, path string, offset uint64) (snapshot.TypeID, uint64) {
	for path != "" {
		t := &b.types[id]
		if digits, rest, ok := strings.Cut(path, "]"); ok && digits[0] == '[' {
			i, err := strconv.ParseUint(digits[1:], 10, 64)
			if err != nil || t.Kind != snapshot.Array || i >= t.Len {
				panic(fmt.Sprintf("heaptest: path %q into %s", path, t.Name))
			}
			id, offset, path = t.Elem, offset+i*b.types[t.Elem].Size, rest
			continue
		}
		path = strings.TrimPrefix(path, ".")
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		f := fieldOf(t, path[:end])
		if f == nil {
			panic(fmt.Sprintf("heaptest: %s has no field %q", t.Name, path[:end]))
		}
		id, offset, path = f.Type, offset+f.Offset, path[end:]
	}
	return id, offset
}

func fieldOf(t *snapshot.Type, name string) *snapshot.Field {
	for i := range t.Fields {
		if t.Fields[i].Name == name {
			return &t.Fields[i]
		}
	}
	return nil
}
