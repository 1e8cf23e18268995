package functab

import (
	"errors"

	"github.com/memwarden/memwarden/heap/layout"
)

// cursor reads a table byte by byte.
type cursor struct {
	memory *memory
	next   uint64
	end    uint64
	buffer []byte
}

var (
	errTruncated = errors.New("table ends early")
	errVarint    = errors.New("number of more than 32 bits")
	errUncovered = errors.New("table does not cover the instruction")
	errEndless   = errors.New("table goes on past its function")
)

func (c *cursor) byte() (byte, error) {
	if len(c.buffer) == 0 {
		if c.next >= c.end {
			return 0, errTruncated
		}
		b, err := c.memory.at(c.next)
		if err != nil {
			return 0, err
		}
		c.buffer = b[:min(uint64(len(b)), c.end-c.next)]
		c.next += uint64(len(c.buffer))
	}
	b := c.buffer[0]
	c.buffer = c.buffer[1:]
	return b, nil
}

// uvarint reads a number of at most 32 bits, 7 a byte, the least significant first.
func (c *cursor) uvarint() (uint32, error) {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b, err := c.byte()
		if err != nil {
			return 0, err
		}
		v |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			if v > 1<<32-1 {
				return 0, errVarint
			}
			return uint32(v), nil
		}
	}
	return 0, errVarint
}

// value looks an instruction up in a table of values by program counter (runtime.pcvalue), and tells where the value
// begins. A function without the table has -1 throughout.
func (t *Table) value(f *function, table uint32, pc uint64) (value int32, start uint64, err error) {
	if table == 0 {
		return -1, f.entry, nil
	}
	return t.lookUp(f.module.pcs, uint64(table), f.entry, f.end, pc)
}

// maxStill is how many values of a table may be for no instruction: none that the linker writes.
const maxStill = 16

// lookUp decodes a table of values: pairs of differences, of the value in zigzag code and of the program counter in
// instructions, from -1 and the function's entry on, up to a difference of no value that is not the first.
func (t *Table) lookUp(pcs layout.Slice, table, entry, end, pc uint64) (value int32, start uint64, err error) {
	if table >= pcs.Len {
		return 0, 0, errOutside
	}
	c := cursor{memory: t.memory, next: pcs.Data + table, end: pcs.Data + pcs.Len}
	value = -1
	at, still := entry, 0
	for first := true; ; first = false {
		delta, err := c.uvarint()
		if err != nil {
			return 0, 0, err
		}
		if delta == 0 && !first {
			return 0, 0, errUncovered
		}
		value += int32(delta>>1) ^ -int32(delta&1)
		length, err := c.uvarint()
		if err != nil {
			return 0, 0, err
		}
		start = at
		at += uint64(length) * t.arch.quantum
		if pc < at {
			return value, start, nil
		}
		if length == 0 {
			still++
		}
		if at > end || still > maxStill {
			return 0, 0, errEndless
		}
	}
}
