package scan

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	pageSize      = 8 << 10 // of the Go heap
	arenaSize     = 64 << 20
	pagesPerArena = arenaSize / pageSize
	wordSize      = 8
	// addressSpace bounds the addresses of a heap: user space has 47 bits on amd64 and 48 on arm64.
	addressSpace = 1 << 48
)

// index finds the object that an address points into. It is read-only once built, so safe for concurrent use. It
// takes 4 bytes for each page of the arenas that hold spans, and what a span's live bits take.
type index struct {
	spans      []indexedSpan
	low, high  uint64    // bounds of the heap's addresses
	firstArena uint64    // number of the arena that arenas[0] is of
	arenas     [][]int32 // by arena, by page: a place in spans plus one
	objects    uint64
	records    uint64 // objects that may hold pointers
	bytes      uint64 // of all objects
}

// indexedSpan is a span as the hot loop needs it.
type indexedSpan struct {
	start, size, slots uint64
	divMul             uint32
	first              snapshot.ObjectID // of its first live slot
	live               []uint64
	rank               []uint32 // of live: bits set before a word
}

// newIndex indexes the heap spans, which are in the order of their addresses.
func newIndex(spans []layout.Span) (*index, error) {
	x := &index{spans: make([]indexedSpan, len(spans))}
	if len(spans) == 0 {
		return x, nil
	}
	last := &spans[len(spans)-1]
	x.low, x.high = spans[0].Start, last.Start+last.Pages*pageSize
	if x.high > addressSpace || x.low >= x.high {
		return nil, fmt.Errorf("scan: the heap's spans lie at %#x to %#x, which no address space has", x.low, x.high)
	}
	x.firstArena = x.low / arenaSize
	x.arenas = make([][]int32, (x.high-1)/arenaSize-x.firstArena+1)
	for i := range spans {
		if err := x.add(i, &spans[i]); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// add gives a span's objects their numbers and enters its pages.
func (x *index) add(i int, span *layout.Span) error {
	s := &x.spans[i]
	*s = indexedSpan{
		start: span.Start, size: span.ElemSize, slots: span.Slots, divMul: span.DivMul,
		first: snapshot.ObjectID(x.objects), live: span.Live, rank: make([]uint32, len(span.Live)),
	}
	count := uint32(0)
	for w, word := range span.Live {
		s.rank[w] = count
		count += uint32(bits.OnesCount64(word))
	}
	x.objects += uint64(count)
	x.bytes += uint64(count) * span.ElemSize
	if !span.NoScan {
		x.records += uint64(count)
	}
	if x.objects > math.MaxUint32-1 {
		return fmt.Errorf("scan: the heap has more than %d objects", uint32(math.MaxUint32-1))
	}
	for page := span.Start / pageSize; page < span.Start/pageSize+span.Pages; page++ {
		arena := page/pagesPerArena - x.firstArena
		if x.arenas[arena] == nil {
			x.arenas[arena] = make([]int32, pagesPerArena)
		}
		x.arenas[arena][page%pagesPerArena] = int32(i + 1)
	}
	return nil
}

// inHeap reports whether a word could point into the heap.
func (x *index) inHeap(word uint64) bool { return word-x.low < x.high-x.low }

// outcome is what an address points to.
type outcome uint8

const (
	outside outcome = iota // no object: not of the heap, or between objects
	free                   // a slot that is not allocated
	object
)

// find returns the object that a word points into and the offset in it.
func (x *index) find(word uint64) (id snapshot.ObjectID, offset uint64, _ outcome) {
	if !x.inHeap(word) {
		return 0, 0, outside
	}
	pages := x.arenas[word/arenaSize-x.firstArena]
	if pages == nil {
		return 0, 0, outside
	}
	at := pages[word/pageSize%pagesPerArena]
	if at == 0 {
		return 0, 0, outside
	}
	s := &x.spans[at-1]
	offset = word - s.start
	slot := uint64(0)
	if s.slots > 1 {
		slot = offset * uint64(s.divMul) >> 32
	}
	if slot >= s.slots {
		return 0, 0, outside
	}
	offset -= slot * s.size
	live := s.live[slot/64]
	bit := uint64(1) << (slot % 64)
	if live&bit == 0 {
		return 0, 0, free
	}
	return s.first + snapshot.ObjectID(s.rank[slot/64]+uint32(bits.OnesCount64(live&(bit-1)))), offset, object
}

// sizeOf returns the slot size of the object that a word points into; the word must have been found.
func (x *index) sizeOf(word uint64) uint64 {
	return x.spans[x.arenas[word/arenaSize-x.firstArena][word/pageSize%pagesPerArena]-1].size
}
