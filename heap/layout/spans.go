package layout

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/memwarden/memwarden/internal/sorting"
)

// Span is a run of pages in use, of objects of one size or of goroutine stacks.
type Span struct {
	Address  uint64 // of the runtime.mspan
	Start    uint64 // address of the first page
	Pages    uint64 // of 8 KiB
	ElemSize uint64 // bytes of a slot
	Slots    uint64
	NoScan   bool // objects hold no pointers
	// Stack tells that the span holds goroutine stacks: it has no objects, Slots is 0.
	Stack bool
	// Type is the address of the type of the one object of a large span with pointers. It is 0 for other spans, and
	// while the object is being made.
	Type uint64
	// DivMul gives a slot's index: (address-Start)*DivMul>>32. It is 0 where there is one slot.
	DivMul uint32
	// HeapBits is the address of the span's pointer bitmap, a bit for each word from Start on; 0 if objects have
	// headers, no pointers, or Type says where they are.
	HeapBits uint64
	// Header tells that objects begin with eight bytes, the address of their type or of their elements' type.
	Header bool
	// UserArena tells that the span is a chunk of a user arena: one slot with values of many types, HeapBits for all.
	UserArena bool
	// Live has a bit for each slot: it is allocated. Whether anything reaches the object is another matter.
	Live []uint64
	// MarkedBytes is what the last completed collection marked in the span, in whole slots.
	MarkedBytes uint64
	// Specials is the address of the first runtime.special, or 0.
	Specials uint64
}

// End is the address behind the span.
func (s *Span) End() uint64 { return s.Start + s.Pages*heapPage }

// Allocated tells whether a slot is allocated.
func (s *Span) Allocated(slot uint64) bool {
	return slot < s.Slots && s.Live[slot/64]>>(slot%64)&1 == 1
}

// Objects counts the allocated slots.
func (s *Span) Objects() uint64 {
	n := 0
	for _, word := range s.Live {
		n += bits.OnesCount64(word)
	}
	return uint64(n)
}

const (
	// headerless is the largest object with pointers that has no header: its span has a bitmap.
	headerless = 512
	// inlineMarks is the block at the end of a span of Green Tea: 63 bytes of scan bits, the owner, 63 bytes of mark
	// bits, the class. Spans of slots of inlineMin to headerless bytes have it.
	inlineMarks = 128
	inlineMin   = 16
	marksOffset = 64
	maxInline   = 63 * 8
)

// Spans returns all spans in use, heap and stacks, in the order of their addresses. The cost is a read of some hundred
// bytes a span.
func (r *Runtime) Spans(ctx context.Context) ([]Span, error) {
	d := spanDecoder{r: r, spans: make([]Span, 0, min(r.allspans.Len, 1<<20))}
	n := 0
	err := r.eachWord(r.allspans, func(addr uint64) error {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := d.add(addr); err != nil {
			return fmt.Errorf("span at %#x: %w", addr, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sorting.By(d.spans, func(a, b Span) int { return cmp.Compare(a.Start, b.Start) })
	for i := 1; i < len(d.spans); i++ {
		if a, b := &d.spans[i-1], &d.spans[i]; a.End() > b.Start {
			return nil, fmt.Errorf("spans at %#x and %#x overlap", a.Address, b.Address)
		}
	}
	return d.spans, nil
}

// spanDecoder decodes spans one after another.
type spanDecoder struct {
	r     *Runtime
	spans []Span
	words []uint64 // what is left of a slab for Live
}

func (d *spanDecoder) add(addr uint64) error {
	raw, err := d.r.readSpan(addr)
	if err != nil {
		return err
	}
	s := Span{Address: addr, Start: raw.start, Pages: raw.pages, ElemSize: raw.elemSize, Specials: raw.specials}
	switch {
	case raw.state == spanInUse:
	case raw.state == spanManual && raw.elemSize != 0:
		// Other manual spans are the collector's work buffers: they have no element size.
		s.Stack = true
		d.spans = append(d.spans, s)
		return nil
	default:
		return nil
	}
	s.Slots = uint64(raw.slots)
	s.NoScan = raw.class&1 == 1
	if s.Slots > 1 {
		s.DivMul = raw.divMul
	}
	d.pointers(&s, &raw)
	if err := d.live(&s, &raw); err != nil {
		return err
	}
	d.spans = append(d.spans, s)
	return nil
}

// pointers says where the span's objects tell their pointers.
func (d *spanDecoder) pointers(s *Span, raw *rawSpan) {
	large := raw.class>>1 == 0
	switch {
	case s.NoScan: // so is a chunk of a user arena once it was freed: its pages are gone
	case raw.userArena:
		s.UserArena = true
		s.HeapBits = s.End() - s.Pages*heapPage/64
	case large:
		s.Type = raw.largeType
	case s.ElemSize > headerless:
		s.Header = true
	default:
		s.HeapBits = s.End() - s.Pages*heapPage/64
		if d.inline(s) {
			s.HeapBits -= inlineMarks
		}
	}
}

// inline tells whether the span's mark bits are at its end.
func (d *spanDecoder) inline(s *Span) bool {
	return d.r.GreenTea && inlineMin <= s.ElemSize && s.ElemSize <= headerless
}

// live fills Live and MarkedBytes.
//
// A swept span's allocBits are what the last collection marked, and nothing where the span is fresh since then; slots
// below the free index are allocated as well. An unswept span's marks are both. While a collection marks, every span is
// swept, and its marks so far do not count yet.
func (d *spanDecoder) live(s *Span, raw *rawSpan) error {
	s.Live = d.slab(int(s.Slots+63) / 64)
	state, ok := sweepState(raw.sweepgen, d.r.sweepgen)
	if !ok {
		// A chunk of a user arena that waits for its last pointer to go: acceptSpans lets no other span be so.
		setBelow(s.Live, s.Slots)
		return nil
	}
	if state != swept {
		if err := d.marks(s, raw); err != nil {
			return err
		}
		if state == unswept || popCount(s.Live) > 0 {
			s.MarkedBytes = uint64(popCount(s.Live)) * s.ElemSize
			return nil
		}
		// Nothing is marked; or between a sweeper's stores the marks have become the allocBits already, which the
		// count of allocated slots tells.
		if err := d.load(s.Live, raw.allocBits, s.Slots); err != nil {
			return err
		}
		if raw.freeIndex != 0 || popCount(s.Live) != int(raw.allocCount) {
			clear(s.Live)
		}
		s.MarkedBytes = uint64(popCount(s.Live)) * s.ElemSize
		return nil
	}
	if err := d.load(s.Live, raw.allocBits, s.Slots); err != nil {
		return err
	}
	s.MarkedBytes = uint64(popCount(s.Live)) * s.ElemSize
	setBelow(s.Live, uint64(max(raw.freeIndex, raw.freeIndexForScan)))
	return nil
}

// marks fills Live from gcmarkBits and the inline marks.
func (d *spanDecoder) marks(s *Span, raw *rawSpan) error {
	if err := d.load(s.Live, raw.markBits, s.Slots); err != nil {
		return err
	}
	if !d.inline(s) || s.Slots > maxInline || s.Pages != 1 {
		return nil
	}
	// Past the cache: a page of objects stands between this block and the next.
	var block [marksOffset]byte
	if err := d.r.Read(s.End()-marksOffset, block[:]); err != nil {
		return err
	}
	block[len(block)-1] = 0 // the class
	orBits(s.Live, block[:], s.Slots)
	return nil
}

func (d *spanDecoder) load(to []uint64, addr, n uint64) error {
	p, err := d.r.memory.bytes(addr, (n+7)/8)
	if err != nil {
		return fmt.Errorf("bitmap: %w", err)
	}
	orBits(to, p, n)
	return nil
}

// slab returns zero words that live as long as the spans, in few allocations.
func (d *spanDecoder) slab(n int) []uint64 {
	const slabWords = 8 << 10
	if n > len(d.words) {
		d.words = make([]uint64, max(n, slabWords))
	}
	s := d.words[:n:n]
	d.words = d.words[n:]
	return s
}

// orBits sets in to the first n bits of p that are set.
func orBits(to []uint64, p []byte, n uint64) {
	for i := range to {
		var word uint64
		if rest := p[min(i*8, len(p)):]; len(rest) >= 8 {
			word = binary.LittleEndian.Uint64(rest)
		} else {
			for j, c := range rest {
				word |= uint64(c) << (8 * j)
			}
		}
		if left := n - uint64(i)*64; left < 64 {
			word &= 1<<left - 1
		}
		to[i] |= word
	}
}

// setBelow sets the first n bits.
func setBelow(to []uint64, n uint64) {
	for i := range to {
		switch left := int64(n) - int64(i)*64; {
		case left >= 64:
			to[i] = ^uint64(0)
		case left > 0:
			to[i] |= 1<<left - 1
		}
	}
}

func popCount(words []uint64) int {
	n := 0
	for _, word := range words {
		n += bits.OnesCount64(word)
	}
	return n
}
