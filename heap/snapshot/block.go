package snapshot

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// maxEdgeBytes is what an edge takes at most: five numbers of ten bytes, and what putTarget writes beyond one.
const maxEdgeBytes = 50 + 8

// Block is some of the records of a snapshot, encoded. A record is an object of a span that may hold pointers, with its
// edges; records are numbered in the order of their objects. A block of about a mebibyte is good: it is what a reader
// holds at a time. The zero Block is ready for Reset and is used again and again; it is not safe for concurrent use.
//
// Calls that break the order (an edge outside a record, slots that do not ascend) do not fail at once: the Writer
// refuses the block.
type Block struct {
	First   uint64 // number of its first record; where it continues one, of that
	Records uint64 // begun in it
	Edges   uint64

	data      []byte
	previous  ObjectID // target of the edge before
	expected  uint64   // slot behind that of the edge before
	open      bool     // in a record
	continued bool
	misuse    error
}

var (
	errOrder    = errors.New("edge whose slot does not lie behind that of the edge before it")
	errOutside  = errors.New("edge or end outside a record")
	errEvidence = errors.New("evidence of a kind that there is not, or a length that no object has")
	errNested   = errors.New("object begun within the record of another")
)

// Reset empties the block. Its first record will have the number first, or is the one that Continue goes on with.
func (b *Block) Reset(first uint64) { *b = Block{First: first, data: b.data[:0]} }

// Size returns how many bytes the block has so far.
func (b *Block) Size() int { return len(b.data) }

// Continue goes on with the record First, which the block before this one left open: with edges from slot on. It is
// called right after Reset. So an object of any size is written in blocks of bounded size.
func (b *Block) Continue(slot uint64) {
	if len(b.data) > 0 || b.open {
		b.misuse = errNested
	}
	b.data = binary.AppendUvarint(b.data, slot)
	b.expected, b.open, b.continued = slot, true, true
}

// Object begins a record. closure is the function that the object's first word is the entry of, 0 if it is none.
func (b *Block) Object(shape ShapeID, closure FuncID) {
	if b.open {
		b.misuse = errNested
	}
	b.open = true
	b.expected = 0
	b.Records++
	v := uint64(shape) << 1
	switch {
	case closure != 0:
		b.data = binary.AppendUvarint(b.data, v|1)
		b.data = binary.AppendUvarint(b.data, uint64(closure))
	case v < 0x80:
		b.data = append(b.data, byte(v))
	default:
		b.data = binary.AppendUvarint(b.data, v)
	}
}

// Edge adds an edge to the record. Slots ascend within a record.
func (b *Block) Edge(e Edge) {
	if e.Slot < b.expected || e.Slot > maxRootSlot {
		b.misuse = errOrder
	}
	if !b.open {
		b.misuse = errOutside
	}
	n := len(b.data)
	if cap(b.data)-n < maxEdgeBytes {
		b.grow()
	}
	d := b.data[:cap(b.data)]
	head := (e.Slot - b.expected) << 2
	if e.Offset != 0 {
		head |= 1
	}
	if e.Evidence != NoEvidence {
		head |= 2
	}
	n = put(d, n, head+1)
	delta := int64(e.Target) - int64(b.previous)
	n = putTarget(d, n, uint64(delta<<1)^uint64(delta>>63))
	if e.Offset != 0 {
		n = put(d, n, e.Offset)
	}
	if e.Evidence != NoEvidence {
		n = b.putEvidence(d, n, &e)
	}
	b.data = d[:n]
	b.expected = e.Slot + 1
	b.previous = e.Target
	b.Edges++
}

// End ends the record.
func (b *Block) End() {
	if !b.open {
		b.misuse = errOutside
	}
	b.open = false
	b.data = append(b.data, 0)
}

// grow makes room for an edge.
func (b *Block) grow() {
	bigger := make([]byte, len(b.data), 2*cap(b.data)+4096)
	copy(bigger, b.data)
	b.data = bigger
}

// put writes a number, seven bits a byte, and returns the place behind it.
func put(d []byte, n int, v uint64) int {
	for v >= 0x80 {
		d[n] = byte(v) | 0x80
		v >>= 7
		n++
	}
	d[n] = byte(v)
	return n + 1
}

// putTarget is put for numbers of up to 35 bits, which distances of objects are. It has no branches: their lengths
// follow no pattern that a processor could foresee.
func putTarget(d []byte, n int, v uint64) int {
	length := (9*bits.Len64(v|1) + 64) / 64
	spread := v&0x7f | v&(0x7f<<7)<<1 | v&(0x7f<<14)<<2 | v&(0x7f<<21)<<3 | v&(0x7f<<28)<<4
	more := uint64(0x8080808080808080) & (1<<(8*(length-1)&63) - 1)
	binary.LittleEndian.PutUint64(d[n:], spread|more)
	return n + length
}

func (b *Block) putEvidence(d []byte, n int, e *Edge) int {
	if e.Evidence == DynamicType {
		return put(d, n, uint64(e.Type)<<1)
	}
	if e.Evidence != Length || e.Len >= 1<<63 {
		b.misuse = errEvidence
	}
	n = put(d, n, e.Len<<1|1)
	return put(d, n, e.Cap)
}
