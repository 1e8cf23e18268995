package layout

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/memwarden/memwarden/internal/sorting"
)

const (
	wordSize = 8
	// heapPage is the page of the Go heap, on every supported architecture.
	heapPage = 8 << 10
	// maxString bounds what String reads.
	maxString = 1 << 20

	blockSize = 64 << 10
	// cacheBlocks bounds the cache to 16 MiB.
	cacheBlocks = 256
)

// errUnmapped is the cause of a read outside the process's mappings.
var errUnmapped = errors.New("not mapped")

// cache reads memory in blocks: the runtime's own structures lie dense. Not safe for concurrent use.
type cache struct {
	memory   io.ReaderAt
	mappings []Mapping // readable ones, by address
	blocks   map[uint64]*block
	ring     []uint64 // keys of blocks, the oldest at next; buffers are used again
	next     int
	last     *block // of the read before
}

// block is what is mapped of blockSize aligned bytes, from start on.
type block struct {
	start uint64
	data  []byte
}

func newCache(p Process) *cache {
	c := &cache{memory: p.Memory, blocks: make(map[uint64]*block), last: new(block)}
	for _, m := range p.Mappings {
		// Offsets of an io.ReaderAt are signed; above are the kernel's own pages.
		if m.Readable && m.Start < m.End && m.End <= math.MaxInt64 {
			c.mappings = append(c.mappings, m)
		}
	}
	sorting.By(c.mappings, func(a, b Mapping) int { return cmp.Compare(a.Start, b.Start) })
	return c
}

// mapped returns the readable run of adjacent mappings that holds an address.
func (c *cache) mapped(addr uint64) (Range, bool) {
	i, found := slices.BinarySearchFunc(c.mappings, addr, func(m Mapping, addr uint64) int {
		return cmp.Compare(m.Start, addr)
	})
	if !found {
		i--
	}
	if i < 0 || addr >= c.mappings[i].End {
		return Range{}, false
	}
	run := Range{c.mappings[i].Start, c.mappings[i].End}
	for j := i - 1; j >= 0 && c.mappings[j].End == run.Start; j-- {
		run.Start = c.mappings[j].Start
	}
	for j := i + 1; j < len(c.mappings) && c.mappings[j].Start == run.End; j++ {
		run.End = c.mappings[j].End
	}
	return run, true
}

// holds tells whether n bytes at an address are mapped.
func (c *cache) holds(addr, n uint64) bool {
	run, ok := c.mapped(addr)
	return ok && n <= run.End-addr
}

// bytes returns n <= blockSize bytes at an address: valid until the next call, not to be changed.
func (c *cache) bytes(addr, n uint64) ([]byte, error) {
	if b := c.last; addr >= b.start && addr-b.start < uint64(len(b.data)) && n <= uint64(len(b.data))-(addr-b.start) {
		return b.data[addr-b.start:][:n], nil
	}
	b, err := c.block(addr)
	if err != nil {
		return nil, err
	}
	c.last = b
	if off := addr - b.start; n <= uint64(len(b.data))-off {
		return b.data[off:][:n], nil
	}
	p := make([]byte, n) // across two blocks: rare
	if err := c.read(addr, p); err != nil {
		return nil, err
	}
	return p, nil
}

func (c *cache) block(addr uint64) (*block, error) {
	key := addr / blockSize
	if b := c.blocks[key]; b != nil && addr >= b.start && addr-b.start < uint64(len(b.data)) {
		return b, nil
	}
	run, ok := c.mapped(addr)
	if !ok {
		return nil, fmt.Errorf("memory at %#x: %w", addr, errUnmapped)
	}
	b := c.fresh(key)
	start, end := max(run.Start, key*blockSize), min(run.End, (key+1)*blockSize)
	b.start, b.data = start, b.data[:end-start]
	err := c.read(start, b.data)
	if err != nil {
		// A mapping may be longer than its file, or guarded; what is asked for may still be readable.
		b.start, b.data = addr&^(wordSize-1), b.data[:min(wordSize, len(b.data))]
		err = c.read(b.start, b.data)
	}
	if err != nil {
		b.data = b.data[:0] // holds nothing
		return nil, err
	}
	return b, nil
}

// fresh returns the block for a key, with room for blockSize bytes: that of the key itself, a new one, or the oldest.
func (c *cache) fresh(key uint64) *block {
	if b := c.blocks[key]; b != nil {
		return b
	}
	if len(c.ring) < cacheBlocks {
		b := &block{data: make([]byte, blockSize)}
		c.ring = append(c.ring, key)
		c.blocks[key] = b
		return b
	}
	old := c.ring[c.next]
	b := c.blocks[old]
	delete(c.blocks, old)
	c.blocks[key], c.ring[c.next] = b, key
	c.next = (c.next + 1) % cacheBlocks
	return b
}

// read fills p; it goes past the cache.
func (c *cache) read(addr uint64, p []byte) error {
	if addr > math.MaxInt64-uint64(len(p)) {
		return fmt.Errorf("memory at %#x: %w", addr, errUnmapped)
	}
	if n, err := c.memory.ReadAt(p, int64(addr)); n < len(p) {
		return fmt.Errorf("memory at %#x, %d bytes: %w", addr, len(p), cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return nil
}

func (c *cache) uint64(addr uint64) (uint64, error) {
	p, err := c.bytes(addr, wordSize)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(p), nil
}

func (c *cache) uint32(addr uint64) (uint32, error) {
	p, err := c.bytes(addr, 4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(p), nil
}

// Read fills p with memory at an address, past the cache: for bulk. It is safe for concurrent use.
func (r *Runtime) Read(addr uint64, p []byte) error { return r.memory.read(addr, p) }

// Uint64 reads a word through the cache.
func (r *Runtime) Uint64(addr uint64) (uint64, error) { return r.memory.uint64(addr) }

// Uint32 reads four bytes through the cache.
func (r *Runtime) Uint32(addr uint64) (uint32, error) { return r.memory.uint32(addr) }

// Bytes returns n bytes at an address through the cache: valid until the next call of any method, and not to be changed.
// n is at most 64 KiB.
func (r *Runtime) Bytes(addr, n uint64) ([]byte, error) {
	if n > blockSize {
		return nil, fmt.Errorf("memory at %#x: %d bytes are more than a read of metadata may have", addr, n)
	}
	return r.memory.bytes(addr, n)
}

// String reads n bytes at an address as a string; more than 1 MiB is an error.
func (r *Runtime) String(addr, n uint64) (string, error) {
	if n == 0 {
		return "", nil
	}
	if n > maxString {
		return "", fmt.Errorf("string at %#x: %d bytes are implausible", addr, n)
	}
	p := make([]byte, n)
	if err := r.memory.read(addr, p); err != nil {
		return "", fmt.Errorf("string at %#x: %w", addr, err)
	}
	return string(p), nil
}

// Mapped tells whether n bytes at an address are mapped and readable. It is safe for concurrent use.
func (r *Runtime) Mapped(addr, n uint64) bool { return r.memory.holds(addr, n) }

// record is a struct in the process, copied: fields are read from it by offset. Fields beyond its end are 0.
type record []byte

func (b record) uint64(off uint64) uint64 {
	if off == absent || off+8 > uint64(len(b)) {
		return 0
	}
	return binary.LittleEndian.Uint64(b[off:])
}

func (b record) uint32(off uint64) uint32 {
	if off == absent || off+4 > uint64(len(b)) {
		return 0
	}
	return binary.LittleEndian.Uint32(b[off:])
}

func (b record) uint16(off uint64) uint16 {
	if off == absent || off+2 > uint64(len(b)) {
		return 0
	}
	return binary.LittleEndian.Uint16(b[off:])
}

func (b record) uint8(off uint64) uint8 {
	if off == absent || off >= uint64(len(b)) {
		return 0
	}
	return b[off]
}

// span reads a range from two adjacent words.
func (b record) span(off uint64) Range { return Range{b.uint64(off), b.uint64(off + wordSize)} }

// slice reads a slice's header.
func (b record) slice(off uint64) Slice {
	if off == absent {
		return Slice{}
	}
	return Slice{b.uint64(off), b.uint64(off + wordSize)}
}
