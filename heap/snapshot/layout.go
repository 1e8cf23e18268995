package snapshot

import (
	"fmt"
	"math/bits"
)

// layout says where objects lie. It takes about 64 bytes and the live bits for each span, and half a bit an object.
type layout struct {
	spans []Span
	first []ObjectID // of each span, and the number of all objects
	// coarse has a span for each coarseObjects objects: that of the first of them.
	coarse []uint32
}

const coarseObjects = 64

// Spans returns the spans in the order of their addresses. They are decoded once, belong to the Reader and must not be
// changed.
func (r *Reader) Spans() ([]Span, error) {
	l, err := r.located()
	if err != nil {
		return nil, err
	}
	return l.spans, nil
}

// FirstObjects returns the number of the first object of each span, and behind them that of all objects. It belongs to
// the Reader and must not be changed.
func (r *Reader) FirstObjects() ([]ObjectID, error) {
	l, err := r.located()
	if err != nil {
		return nil, err
	}
	return l.first, nil
}

// Address returns where an object's slot begins.
func (r *Reader) Address(id ObjectID) (uint64, error) {
	l, err := r.located()
	if err != nil {
		return 0, err
	}
	if uint64(id) >= r.totals.Objects {
		return 0, fmt.Errorf("snapshot: object %d of %d", id, r.totals.Objects)
	}
	span := l.spanOf(id)
	rank := uint64(id - l.first[span])
	s := &l.spans[span]
	for i, word := range s.Live {
		n := uint64(bits.OnesCount64(word))
		if rank >= n {
			rank -= n
			continue
		}
		for range rank {
			word &= word - 1
		}
		return s.Start + uint64(i*64+bits.TrailingZeros64(word))*s.ElemSize, nil
	}
	return 0, fmt.Errorf("snapshot: object %d is not in its span", id)
}

// located decodes the spans, once.
func (r *Reader) located() (*layout, error) {
	r.layoutOnce.Do(func() {
		if err := r.decodeSpans(); err != nil {
			r.layoutErr = fmt.Errorf("snapshot: %w", err)
		}
	})
	return &r.layout, r.layoutErr
}

func (r *Reader) decodeSpans() error {
	l := &r.layout
	l.spans = make([]Span, r.totals.Spans)
	l.first = make([]ObjectID, r.totals.Spans+1)
	l.coarse = make([]uint32, r.totals.Objects/coarseObjects+1)
	end, objects, n := uint64(0), uint64(0), 0
	for number := range r.chunks {
		c := &r.chunks[number]
		if c.kind != kindSpans {
			continue
		}
		d, err := r.decoder(number, nil)
		if err != nil {
			return err
		}
		before := objects
		words := make([]uint64, 0, c.stored/8+c.count)
		for range c.count {
			s := &l.spans[n]
			if words = d.span(s, end, words); d.err != nil {
				return c.damaged(d.err, number)
			}
			end = s.Start + s.Pages*pageBytes
			l.first[n] = ObjectID(objects)
			objects += liveObjects(s)
			n++
		}
		if objects-before != c.extra || d.left() != 0 {
			return c.damaged(fmt.Errorf("it has %d objects instead of %d, and %d bytes too many", objects-before, c.extra, d.left()), number)
		}
	}
	l.first[n] = ObjectID(objects)
	for span := range l.spans {
		from, to := uint64(l.first[span]), uint64(l.first[span+1])
		for i := (from + coarseObjects - 1) / coarseObjects; i*coarseObjects < to; i++ {
			l.coarse[i] = uint32(span)
		}
	}
	return r.placeBlocks()
}

// placeBlocks finds the object of each block's first record.
func (r *Reader) placeBlocks() error {
	l := &r.layout
	span, records := 0, uint64(0) // records before the span
	in := func(span int) uint64 {
		if span == len(l.spans) || l.spans[span].NoScan {
			return 0
		}
		return uint64(l.first[span+1] - l.first[span])
	}
	for i := range r.blocks {
		b := &r.blocks[i]
		for span < len(l.spans) && records+in(span) <= b.First {
			records += in(span)
			span++
		}
		b.span, b.skip = span, b.First-records
	}
	for ; span < len(l.spans); span++ {
		records += in(span)
	}
	if records != r.totals.Records {
		return fmt.Errorf("%w: %d records of %d objects that may hold pointers", ErrDamaged, r.totals.Records, records)
	}
	return nil
}

// spanOf returns the place in spans of an object's.
func (l *layout) spanOf(id ObjectID) int {
	span := int(l.coarse[id/coarseObjects])
	for l.first[span+1] <= id {
		span++
	}
	return span
}
