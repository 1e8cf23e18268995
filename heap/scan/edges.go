package scan

import (
	"encoding/binary"
	"slices"

	"github.com/memwarden/memwarden/heap/gotype"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// edges turns words into edges. It is not safe for concurrent use: every worker has its own.
type edges struct {
	x     *index
	types *gotype.Table
	// dangling counts words that the collector follows and that point to a slot which is not allocated. A reachable
	// object has none; one that is about to be swept may.
	dangling uint64
}

// neighbours says which words beside a pointer are no pointers, and so may tell what it points to.
type neighbours struct {
	before bool  // the word before
	after  uint8 // how many words behind, at most 2
}

// at returns the edge of the pointer in a word of data, the bytes of an object or of a variable. It reports false
// where the word points to no object.
func (e *edges) at(data []byte, word int, beside neighbours) (snapshot.Edge, bool) {
	value := binary.LittleEndian.Uint64(data[word*wordSize:])
	if !e.x.inHeap(value) {
		return snapshot.Edge{}, false
	}
	target, offset, size, what := e.x.locate(value)
	if what != object {
		if what == free {
			e.dangling++
		}
		return snapshot.Edge{}, false
	}
	edge := snapshot.Edge{Slot: uint64(word), Target: target, Offset: offset}
	if beside.before {
		before := binary.LittleEndian.Uint64(data[(word-1)*wordSize:])
		if id, ok := e.types.Dynamic(before); ok {
			edge.Evidence, edge.Type = snapshot.DynamicType, id
			return edge, true
		}
	}
	if beside.after > 0 && size >= snapshot.PinBytes {
		edge.Evidence, edge.Len, edge.Cap = lengths(data[(word+1)*wordSize:], int(beside.after), size)
	}
	return edge, true
}

// lengths returns the length and the capacity behind a pointer into an object of a size, if they could be such.
func lengths(behind []byte, words int, size uint64) (_ snapshot.Evidence, length, capacity uint64) {
	length = binary.LittleEndian.Uint64(behind)
	if length > size {
		return snapshot.NoEvidence, 0, 0
	}
	if words > 1 {
		if c := binary.LittleEndian.Uint64(behind[wordSize:]); c >= length && c <= size {
			capacity = c
		}
	}
	return snapshot.Length, length, capacity
}

// pointerMap tells which words of a type's values hold pointers.
type pointerMap struct {
	size  uint64 // bytes of a value, never 0
	shape snapshot.ShapeID
	words []uint32 // ascending
	// beside has, for each of words, what stands beside it.
	beside []neighbours
}

// shapeID returns the shape of objects with the map; of no map, the shape without pointers.
func (m *pointerMap) shapeID() snapshot.ShapeID {
	if m == nil {
		return 0
	}
	return m.shape
}

// from returns the place of the first of words that does not lie before an offset, in a value that begins at base.
func (m *pointerMap) from(offset, base uint64) int {
	if base >= offset {
		return 0
	}
	word := uint32((offset - base + wordSize - 1) / wordSize)
	at, _ := slices.BinarySearch(m.words, word)
	return at
}

// newPointerMap derives a map from a type's fields. An array's is that of its elements: they repeat as the array would.
func newPointerMap(types []snapshot.Type, id snapshot.TypeID) *pointerMap {
	t := &types[id]
	for t.Kind == snapshot.Array && t.Len > 0 {
		t = &types[t.Elem]
	}
	m := &pointerMap{size: t.Size}
	if t.Size == 0 || t.Size > addressSpace {
		return &pointerMap{size: wordSize}
	}
	m.collect(types, t, 0)
	m.beside = make([]neighbours, len(m.words))
	for i, w := range m.words {
		next := uint32(t.Size / wordSize)
		if i+1 < len(m.words) {
			next = m.words[i+1]
		}
		m.beside[i] = neighbours{before: w > 0 && (i == 0 || m.words[i-1] != w-1), after: uint8(min(next-w-1, 2))}
	}
	return m
}

// collect appends the pointer words of a value that begins at an offset. A type contains itself only through
// pointers, so the depth is that of its declaration.
func (m *pointerMap) collect(types []snapshot.Type, t *snapshot.Type, offset uint64) {
	if t.PtrBytes == 0 {
		return
	}
	switch t.Kind {
	case snapshot.Struct:
		for _, f := range t.Fields {
			m.collect(types, &types[f.Type], offset+f.Offset)
		}
	case snapshot.Array:
		elem := &types[t.Elem]
		for i := range t.Len {
			m.collect(types, elem, offset+i*elem.Size)
		}
	case snapshot.Interface:
		m.add(offset + wordSize)
	default: // pointers, maps, channels, functions, and the first word of strings and slices
		m.add(offset)
	}
}

func (m *pointerMap) add(offset uint64) {
	if offset%wordSize == 0 {
		m.words = append(m.words, uint32(offset/wordSize))
	}
}
