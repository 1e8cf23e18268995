package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// maxSpans bounds the spans of a process: 8 KiB each at least, of a heap of 2 TiB.
	maxSpans = 1 << 28
	// samples are how many elements of a candidate are looked at before all are.
	samples = 16
	// early are how many of the first spans are looked at for one in use: they hold what the runtime allocates when the
	// program starts, and keeps.
	early = 256

	spanDead, spanInUse, spanManual = 0, 1, 2 // runtime.mSpanState
)

// findSpans finds mheap_.allspans: by symbol, or by its shape among the executable's variables.
func (r *Runtime) findSpans() error {
	const what = "runtime.mheap_.allspans"
	witnesses, err := r.witnesses()
	if err != nil {
		return &LayoutError{what, err}
	}
	if heap, ok := r.symbols["runtime.mheap_"]; ok {
		s, err := r.sliceAt(heap + r.at.heap.allspans)
		if err == nil {
			err = r.acceptSpans(heap, s, witnesses)
		}
		if err != nil {
			return &LayoutError{what, err}
		}
		return nil
	}
	candidates, err := r.searchSlices(maxSpans, r.sampleSpans)
	if err != nil {
		return &LayoutError{what, err}
	}
	var found []candidate
	for _, c := range candidates {
		rejected := r.acceptSpans(c.address-r.at.heap.allspans, c.Slice, witnesses)
		if rejected == nil {
			found = append(found, c)
		}
		err = rejected
	}
	switch {
	case len(found) == 1:
		return nil
	case len(found) == 0 && err != nil:
		return &LayoutError{what, err}
	}
	return &LayoutError{what, fmt.Errorf("%d places look like it", len(found))}
}

// candidate is a slice header that could be the one searched for.
type candidate struct {
	address uint64
	Slice
}

// maxCandidates bounds what is looked at closely in a search. There are a dozen look-alikes as a rule, but once in a while
// some hundreds in a program with large tables; most of them are told at their first element.
const maxCandidates = 1 << 14

// searchSlices returns the slice headers among the executable's variables that could be.
func (r *Runtime) searchSlices(maxLen uint64, could func(Slice) bool) ([]candidate, error) {
	var found []candidate
	err := r.scanSlices(maxLen, func(addr uint64, s Slice) {
		if len(found) <= maxCandidates && could(s) {
			found = append(found, candidate{addr, s})
		}
	})
	if err == nil && len(found) > maxCandidates {
		err = errors.New("too many places look like it")
	}
	return found, err
}

// scanSlices visits every slice header of pointers among the executable's variables that could be real.
func (r *Runtime) scanSlices(maxLen uint64, visit func(addr uint64, s Slice)) error {
	m := &r.Modules[0]
	for _, section := range []Range{m.NoPtrBSS, m.BSS, m.Data, m.NoPtrData} {
		var first, second uint64 // the two words before
		var at uint64            // address of second
		err := r.scanWords(section, func(addr, word uint64) {
			if at != addr-wordSize {
				first, second = 0, 0
			}
			data, length, capacity := first, second, word
			first, second, at = second, word, addr
			if data == 0 || data%wordSize != 0 || length == 0 || length > capacity || capacity > maxLen {
				return
			}
			if r.Mapped(data, length*wordSize) {
				visit(addr-2*wordSize, Slice{data, length})
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Runtime) sliceAt(addr uint64) (Slice, error) {
	p, err := r.Bytes(addr, 3*wordSize)
	if err != nil {
		return Slice{}, err
	}
	s := record(p).slice(0)
	if capacity := record(p).uint64(2 * wordSize); s.Len > capacity {
		return Slice{}, fmt.Errorf("the slice at %#x has length %d and capacity %d", addr, s.Len, capacity)
	}
	return s, nil
}

// sampleSpans tells cheaply whether a slice could hold pointers to spans.
func (r *Runtime) sampleSpans(s Slice) bool {
	s = r.recorded(s)
	step := max(s.Len/samples, 1)
	for i := uint64(0); i < s.Len; i += step {
		if _, err := r.spanAt(s, i); err != nil {
			return false
		}
	}
	// Zeroed memory looks like spans that were never used.
	for i := range min(s.Len, early) {
		span, err := r.spanAt(s, i)
		if err != nil {
			return false
		}
		if span.state == spanInUse {
			return true
		}
	}
	return false
}

// recorded is a slice of spans, or of goroutines, without its last element if that is nil: the runtime makes the slice
// longer first, and then stores the element, of which nothing is in use yet.
func (r *Runtime) recorded(s Slice) Slice {
	if s.Len > 0 {
		if last, err := r.Uint64(s.Data + (s.Len-1)*wordSize); err == nil && last == 0 {
			s.Len--
		}
	}
	return s
}

// spanAt decodes the span that an element of a slice points to.
func (r *Runtime) spanAt(s Slice, i uint64) (rawSpan, error) {
	p, err := r.Uint64(s.Data + i*wordSize)
	if err == nil && (p == 0 || p%wordSize != 0) {
		err = errors.New("no pointer")
	}
	if err != nil {
		return rawSpan{}, err
	}
	return r.readSpan(p)
}

// rawSpan is a runtime.mspan as far as it was read.
type rawSpan struct {
	start, pages, allocBits, markBits, elemSize, limit, specials, largeType uint64
	sweepgen, divMul                                                        uint32
	freeIndex, freeIndexForScan, slots, allocCount                          uint16
	class, state                                                            uint8
	userArena                                                               bool
}

// readSpan decodes an mspan and verifies what holds for each; a span that was never used has start 0.
func (r *Runtime) readSpan(addr uint64) (rawSpan, error) {
	at := &r.at.span
	p, err := r.memory.bytes(addr, at.size)
	if err != nil {
		return rawSpan{}, err
	}
	b := record(p)
	s := rawSpan{
		start: b.uint64(at.startAddr), pages: b.uint64(at.npages), allocBits: b.uint64(at.allocBits),
		markBits: b.uint64(at.gcmarkBits), elemSize: b.uint64(at.elemsize), limit: b.uint64(at.limit),
		specials: b.uint64(at.specials), largeType: b.uint64(at.largeType), sweepgen: b.uint32(at.sweepgen),
		divMul: b.uint32(at.divMul), freeIndex: b.uint16(at.freeindex),
		freeIndexForScan: b.uint16(at.freeIndexForScan), slots: b.uint16(at.nelems),
		allocCount: b.uint16(at.allocCount), class: b.uint8(at.spanclass), state: b.uint8(at.state),
		userArena: b.uint8(at.isUserArenaChunk) == 1,
	}
	return s, r.verifySpan(&s)
}

// maxPages bounds a span: 256 TiB are all the addresses there are.
const maxPages = 1 << 35

func (r *Runtime) verifySpan(s *rawSpan) error {
	if s.state > spanManual || s.start%heapPage != 0 || s.pages > maxPages || s.start > 1<<57 {
		return fmt.Errorf("state %d, start %#x, %d pages", s.state, s.start, s.pages)
	}
	if s.state == spanDead {
		return nil
	}
	if s.start == 0 || s.pages == 0 {
		return fmt.Errorf("in use with start %#x and %d pages", s.start, s.pages)
	}
	if s.state != spanInUse {
		return nil
	}
	size := s.pages * heapPage
	switch {
	case s.slots == 0 || s.elemSize < wordSize || s.elemSize%wordSize != 0 || uint64(s.slots)*s.elemSize > size:
		return fmt.Errorf("%d slots of %d bytes in %d pages", s.slots, s.elemSize, s.pages)
	case s.freeIndex > s.slots || s.freeIndexForScan > s.slots || s.allocCount > s.slots:
		return fmt.Errorf("free index %d, of the scanner %d, %d allocated of %d slots",
			s.freeIndex, s.freeIndexForScan, s.allocCount, s.slots)
	case s.limit < s.start || s.limit > s.start+size:
		return fmt.Errorf("limit %#x of %d pages from %#x", s.limit, s.pages, s.start)
	case s.slots > 1 && !divides(s.divMul, s.elemSize):
		return fmt.Errorf("multiplier %#x does not divide by %d", s.divMul, s.elemSize)
	case s.allocBits == 0 || s.markBits == 0:
		return errors.New("no bitmaps")
	case !s.userArena && !r.Mapped(s.start, size):
		return fmt.Errorf("%d pages from %#x are not mapped", s.pages, s.start)
	}
	return nil
}

// divides tells whether offset*mul>>32 is offset/size: mul is 2^32/size rounded up.
func divides(mul uint32, size uint64) bool { return uint64(mul) == (1<<32+size-1)/size }

// witness is an address known to lie in a span.
type witness struct {
	addr  uint64
	size  uint64 // of the object that begins there; 0: in a goroutine's stack
	where string
}

// witnesses returns some goroutines, which are objects of the heap, and their stacks.
func (r *Runtime) witnesses() ([]witness, error) {
	const enough = 8
	var found []witness
	err := r.eachWord(r.allgs, func(addr uint64) error {
		g, err := r.readG(addr)
		if err != nil || !g.alive() || len(found) >= 2*enough {
			return err
		}
		found = append(found, witness{addr, r.at.g.size, fmt.Sprintf("goroutine %d", g.ID)},
			witness{g.StackLo, 0, fmt.Sprintf("the stack of goroutine %d", g.ID)})
		return nil
	})
	return found, err
}

// confirms tells whether the witness lies in a span as it should.
func (w *witness) confirms(s *rawSpan) (bool, error) {
	if s.state == spanDead || w.addr < s.start || w.addr-s.start >= s.pages*heapPage {
		return false, nil
	}
	if w.size == 0 && s.state == spanManual {
		return true, nil
	}
	if w.size == 0 || s.state != spanInUse || (w.addr-s.start)%s.elemSize != 0 || w.size > s.elemSize {
		return false, fmt.Errorf("%s at %#x lies in a span of state %d and slots of %d bytes",
			w.where, w.addr, s.state, s.elemSize)
	}
	return true, nil
}

// acceptSpans verifies all spans of a candidate and keeps it. Each span in use must be swept, unswept or cached in the
// heap's current cycle, and the witnesses must be where they should.
func (r *Runtime) acceptSpans(heap uint64, all Slice, witnesses []witness) error {
	sweepgen, err := r.Uint32(heap + r.at.heap.sweepgen)
	if err != nil {
		return err
	}
	if sweepgen%2 != 0 {
		return fmt.Errorf("sweep generation %d is odd", sweepgen)
	}
	if all.Len == 0 || all.Len > maxSpans || !r.Mapped(all.Data, all.Len*wordSize) {
		return fmt.Errorf("%d spans at %#x", all.Len, all.Data)
	}
	all = r.recorded(all)
	confirmed := 0
	arenas := make(map[uint64]bool)
	err = r.eachWord(all, func(addr uint64) error {
		s, err := r.readSpan(addr)
		if err != nil {
			return fmt.Errorf("span at %#x: %w", addr, err)
		}
		for i := range witnesses {
			ok, err := witnesses[i].confirms(&s)
			if err != nil {
				return err
			}
			if ok {
				confirmed++
			}
		}
		if s.state != spanInUse {
			return nil
		}
		for a := s.start >> arenaShift; a <= (s.start+s.pages*heapPage-1)>>arenaShift; a++ {
			arenas[a] = true
		}
		if _, ok := sweepState(s.sweepgen, sweepgen); !ok && !s.userArena {
			return fmt.Errorf("span at %#x: sweep generation %d beside the heap's %d", addr, s.sweepgen, sweepgen)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if confirmed != len(witnesses) {
		return fmt.Errorf("%d of %d goroutines and stacks lie in spans", confirmed, len(witnesses))
	}
	r.allspans, r.sweepgen, r.arenas = all, sweepgen, arenas
	return nil
}

// eachWord visits the elements of a slice of pointers.
func (r *Runtime) eachWord(s Slice, visit func(word uint64) error) error {
	buf := make([]byte, min(s.Len*wordSize, blockSize))
	for done := uint64(0); done < s.Len; {
		part := buf[:min(uint64(len(buf)), (s.Len-done)*wordSize)]
		if err := r.memory.read(s.Data+done*wordSize, part); err != nil {
			return err
		}
		for i := 0; i < len(part); i += wordSize {
			if err := visit(binary.LittleEndian.Uint64(part[i:])); err != nil {
				return err
			}
		}
		done += uint64(len(part)) / wordSize
	}
	return nil
}

// sweeping is where a span stands in the sweep that follows a collection.
type sweeping int

const (
	swept    sweeping = iota // or fresh since the collection, cached or not
	unswept                  // its marks are what the collection marked; nothing was allocated in it since
	atSweeps                 // being swept
)

// sweepState reads a span's sweep generation beside the heap's; see the comment of mspan.sweepgen in the runtime.
func sweepState(span, heap uint32) (sweeping, bool) {
	switch int32(span - heap) {
	case 0, 3:
		return swept, true
	case -2, 1:
		return unswept, true
	case -1:
		return atSweeps, true
	}
	return 0, false
}
