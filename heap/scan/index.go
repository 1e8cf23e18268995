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
// takes 4 bytes for each page of the arenas that hold spans, 32 for each span, and 16 for each 64 slots.
type index struct {
	spans      []indexedSpan
	words      []liveWord // of all spans
	low, high  uint64     // bounds of the heap's addresses
	firstArena uint64     // number of the arena that arenas[0] is of
	arenas     []*arena
	objects    uint64
	records    uint64 // objects that may hold pointers
	bytes      uint64 // of all objects
}

// arena has, by page, a place in index.spans plus one.
type arena [pagesPerArena]uint32

// indexedSpan is a span as the hot loop needs it: half a cache line.
type indexedSpan struct {
	start, size uint64
	divMul      uint32
	words       uint32 // place in index.words of its first one
	slots       uint32
	_           uint32
}

// liveWord tells of 64 slots which are allocated, and the number of the first object from there on.
type liveWord struct {
	live  uint64
	first snapshot.ObjectID
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
	x.arenas = make([]*arena, (x.high-1)/arenaSize-x.firstArena+1)
	words := uint64(0)
	for i := range spans {
		words += wordsFor(&spans[i])
	}
	x.words = make([]liveWord, 0, words)
	for i := range spans {
		if err := x.add(i, &spans[i]); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// wordsFor returns how many live words a span needs for all slots that the division of an offset in it can yield, even
// those behind the last real one: so the hot loop need not check them.
func wordsFor(span *layout.Span) uint64 {
	return (span.Pages*pageSize-1)*uint64(span.DivMul)>>32/64 + 1
}

// add gives a span's objects their numbers and enters its pages.
func (x *index) add(i int, span *layout.Span) error {
	words := wordsFor(span)
	if words < uint64(len(span.Live)) || (words-1)*64 > span.Pages*pageSize/span.ElemSize {
		return fmt.Errorf("scan: the span at %#x has %d slots of %d bytes in %d pages, and divides by %#x", span.Start,
			span.Slots, span.ElemSize, span.Pages, span.DivMul)
	}
	x.spans[i] = indexedSpan{
		start: span.Start, size: span.ElemSize, divMul: span.DivMul, words: uint32(len(x.words)), slots: uint32(span.Slots),
	}
	first := x.objects
	for w := range words {
		word := liveWord{first: snapshot.ObjectID(x.objects)}
		if w < uint64(len(span.Live)) {
			word.live = span.Live[w]
		}
		x.objects += uint64(bits.OnesCount64(word.live))
		x.words = append(x.words, word)
	}
	if x.objects > math.MaxUint32-1 {
		return fmt.Errorf("scan: the heap has more than %d objects", uint32(math.MaxUint32-1))
	}
	count := x.objects - first
	x.bytes += count * span.ElemSize
	if !span.NoScan {
		x.records += count
	}
	for page := span.Start / pageSize; page < span.Start/pageSize+span.Pages; page++ {
		at := &x.arenas[page/pagesPerArena-x.firstArena]
		if *at == nil {
			*at = new(arena)
		}
		(*at)[page%pagesPerArena] = uint32(i + 1)
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
func (x *index) find(word uint64) (id snapshot.ObjectID, offset uint64, what outcome) {
	id, offset, _, what = x.locate(word)
	return id, offset, what
}

// locate is find, and returns the size of the object's slot too.
func (x *index) locate(word uint64) (id snapshot.ObjectID, offset, size uint64, _ outcome) {
	if !x.inHeap(word) {
		return 0, 0, 0, outside
	}
	pages := x.arenas[word/arenaSize-x.firstArena]
	if pages == nil {
		return 0, 0, 0, outside
	}
	at := pages[word/pageSize%pagesPerArena]
	if at == 0 {
		return 0, 0, 0, outside
	}
	s := &x.spans[at-1]
	offset = word - s.start
	slot := offset * uint64(s.divMul) >> 32 // 0 where there is one slot, for then divMul is
	offset -= slot * s.size
	w := &x.words[uint64(s.words)+slot/64]
	bit := uint64(1) << (slot % 64)
	if w.live&bit == 0 || offset >= s.size {
		if slot >= uint64(s.slots) || offset >= s.size {
			return 0, 0, 0, outside
		}
		return 0, 0, 0, free
	}
	return w.first + snapshot.ObjectID(bits.OnesCount64(w.live&(bit-1))), offset, s.size, object
}
