package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Cursor walks over the records of a block:
//
//	for {
//		shape, closure, ok := c.Object()
//		if !ok {
//			break
//		}
//		for c.Edge(&e) {
//		}
//	}
//	err := c.Err()
//
// What it yields has been checked: slots lie in their object, targets are objects, offsets lie in the target, and types,
// shapes and functions are there; there are never more records and edges than BlockInfo says. It is not safe for
// concurrent use; cursors of one Reader are independent of each other. A step costs some nanoseconds and allocates
// nothing.
type Cursor struct {
	data []byte
	pos  int
	err  error

	r      *Reader
	layout *layout
	number int // of the block

	records, edges uint64 // still to come
	resume         bool   // the first record is a continued one that was not yielded yet
	resumed        bool   // the current record is a continued one
	openEnd        bool   // the last record ends with the data
	inRecord       bool

	span     int      // of the next object
	next     ObjectID // object
	inSpan   uint32   // objects left in the span
	id       ObjectID
	words    uint64 // of the current object
	expected uint64
	previous uint64 // target
	objects  uint64
}

var (
	errRecordShort = errors.New("it ends within a record")
	errLong        = errors.New("bytes, records or pointers do not add up to what the chunk's header says")
)

// Block returns a cursor on block i of Totals().Blocks.
func (r *Reader) Block(i int) (*Cursor, error) {
	c := new(Cursor)
	if err := c.Load(r, i); err != nil {
		return nil, err
	}
	return c, nil
}

// Load places the cursor on block i of a Reader. It uses the memory that it has from the block before.
func (c *Cursor) Load(r *Reader, i int) error {
	l, err := r.located()
	if err != nil {
		return err
	}
	b := &r.blocks[i]
	data, err := r.payload(b.chunk, c.data[:0])
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	*c = Cursor{
		data: data, r: r, layout: l, number: i,
		records: b.Records, edges: b.Edges,
		resume: b.Continued, openEnd: r.chunks[b.chunk].flags&flagOpen != 0,
		span: b.span, objects: r.totals.Objects,
	}
	if b.span < len(l.spans) {
		c.next = l.first[b.span] + ObjectID(b.skip)
		c.inSpan = uint32(l.first[b.span+1] - c.next)
		c.words = l.spans[b.span].ElemSize / wordBytes
	}
	return nil
}

// Err returns what was wrong with the block, once Object has reported false.
func (c *Cursor) Err() error { return c.err }

// ID returns the current object.
func (c *Cursor) ID() ObjectID { return c.id }

// Size returns the bytes of the current object's slot.
func (c *Cursor) Size() uint64 { return c.words * wordBytes }

// Continued reports whether the current record goes on with the one that the block before left open. Its object was
// yielded there, and so were its shape and function: here they are 0.
func (c *Cursor) Continued() bool { return c.resumed }

// Object goes to the next record. What is left of the edges of the one before is skipped. It reports false at the end
// and at an error.
func (c *Cursor) Object() (ShapeID, FuncID, bool) {
	if c.inRecord {
		var e Edge
		for c.Edge(&e) {
		}
	}
	if c.err != nil {
		return 0, 0, false
	}
	if c.resume {
		return 0, 0, c.goOn()
	}
	if c.records == 0 {
		if c.pos != len(c.data) || c.edges != 0 {
			c.fail(errLong)
		}
		return 0, 0, false
	}
	c.records--
	c.advance()
	c.inRecord, c.resumed, c.expected = true, false, 0
	v := c.uint()
	shape := v >> 1
	if shape >= c.r.totals.Shapes {
		c.failf("shape %d of %d", shape, c.r.totals.Shapes)
		return 0, 0, false
	}
	closure := uint64(0)
	if v&1 != 0 {
		if closure = c.uint(); closure >= c.r.totals.Functions {
			c.failf("function %d of %d", closure, c.r.totals.Functions)
		}
	}
	return ShapeID(shape), FuncID(closure), c.err == nil
}

// goOn goes to the record that the block before left open.
func (c *Cursor) goOn() bool {
	c.advance()
	c.resume = false
	c.inRecord, c.resumed = true, true
	if c.expected = c.uint(); c.expected > c.words {
		c.failf("slot %d of %d", c.expected, c.words)
	}
	return c.err == nil
}

// advance goes to the next object that has a record. There is one: the layout holds the number of records against that
// of such objects.
func (c *Cursor) advance() {
	for c.inSpan == 0 || c.layout.spans[c.span].NoScan {
		c.span++
		c.next = c.layout.first[c.span]
		c.inSpan = uint32(c.layout.first[c.span+1] - c.next)
		c.words = c.layout.spans[c.span].ElemSize / wordBytes
	}
	c.id = c.next
	c.next++
	c.inSpan--
}

// Edge goes to the next edge of the record. It reports false at the record's end and at an error, and leaves e
// undefined then.
func (c *Cursor) Edge(e *Edge) bool {
	if !c.inRecord {
		return false
	}
	pos := c.pos
	if pos >= len(c.data) {
		c.atEnd()
		return false
	}
	head := uint64(c.data[pos])
	if head == 0 {
		c.pos, c.inRecord = pos+1, false
		return false
	}
	pos++
	if head >= 0x80 {
		head, pos = numberSlow(c.data, pos-1)
	}
	delta, pos := target(c.data, pos)
	head--
	slot := c.expected + head>>2
	target := c.previous + (delta>>1 ^ -(delta & 1))
	if slot >= c.words || target >= c.objects || c.edges == 0 || pos > len(c.data) {
		c.badEdge(slot, target, pos)
		return false
	}
	c.edges--
	c.expected, c.previous = slot+1, target
	c.pos = pos
	*e = Edge{Slot: slot, Target: ObjectID(target)}
	if head&3 != 0 {
		return c.rest(e, head)
	}
	return true
}

// rest reads what few edges have: an offset, and evidence.
func (c *Cursor) rest(e *Edge, head uint64) bool {
	size := c.layout.spans[c.layout.spanOf(e.Target)].ElemSize
	if head&1 != 0 {
		if e.Offset = c.uint(); e.Offset >= size {
			c.failf("offset %d into object %d of %d bytes", e.Offset, e.Target, size)
		}
	}
	if head&2 == 0 {
		return c.err == nil
	}
	v := c.uint()
	if v&1 == 0 {
		if e.Evidence, e.Type = DynamicType, TypeID(v>>1); v>>1 >= c.r.totals.Types {
			c.failf("type %d of %d", v>>1, c.r.totals.Types)
		}
		return c.err == nil
	}
	e.Evidence, e.Len, e.Cap = Length, v>>1, c.uint()
	if e.Len > size || e.Cap > size {
		c.failf("length %d and capacity %d of object %d of %d bytes", e.Len, e.Cap, e.Target, size)
	}
	return c.err == nil
}

// uint reads a number.
func (c *Cursor) uint() uint64 {
	v, pos := number(c.data, c.pos)
	if pos > len(c.data) {
		c.fail(errRecordShort)
		return 0
	}
	c.pos = pos
	return v
}

// number reads a number and returns the place behind it: beyond the data if it ends within it or is too long.
func number(data []byte, pos int) (uint64, int) {
	if pos < len(data) {
		if b := data[pos]; b < 0x80 {
			return uint64(b), pos + 1
		}
	}
	return numberSlow(data, pos)
}

// target is number for what takes up to five bytes, as distances of objects do, without a branch for each byte.
func target(data []byte, pos int) (uint64, int) {
	if pos+8 > len(data) {
		return numberSlow(data, pos)
	}
	v := binary.LittleEndian.Uint64(data[pos:])
	last := bits.TrailingZeros64(^v & 0x8080808080)
	if last == 64 {
		return numberSlow(data, pos)
	}
	v &= 1<<(last&63) - 1
	v = v&0x7f | v>>1&(0x7f<<7) | v>>2&(0x7f<<14) | v>>3&(0x7f<<21) | v>>4&(0x7f<<28)
	return v, pos + (last+1)/8
}

func numberSlow(data []byte, pos int) (uint64, int) {
	if pos >= len(data) {
		return 0, len(data) + 1
	}
	v, n := binary.Uvarint(data[pos:])
	if n <= 0 {
		return 0, len(data) + 1
	}
	return v, pos + n
}

// atEnd ends an open record.
func (c *Cursor) atEnd() {
	if !c.openEnd || c.records != 0 || c.resume {
		c.fail(errRecordShort)
	}
	c.inRecord = false
}

// badEdge says what is wrong with an edge.
func (c *Cursor) badEdge(slot, target uint64, pos int) {
	switch {
	case pos > len(c.data):
		c.fail(errRecordShort)
	case slot >= c.words:
		c.failf("slot %d of an object of %d words", slot, c.words)
	case target >= c.objects:
		c.failf("object %d of %d", int64(target), c.objects)
	default:
		c.fail(errLong)
	}
}

func (c *Cursor) failf(format string, args ...any) { c.fail(fmt.Errorf(format, args...)) }

func (c *Cursor) fail(err error) {
	if c.err == nil {
		number := c.r.blocks[c.number].chunk
		err = c.r.chunks[number].damaged(fmt.Errorf("byte %d of its payload: %w", c.pos, err), number)
		c.err = fmt.Errorf("snapshot: %w", err)
	}
	c.inRecord = false
}
