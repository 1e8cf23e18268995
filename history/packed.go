package history

import (
	"encoding/binary"
	"iter"
	"slices"
)

const (
	// blockPoints is how many points are packed together. The newest ones, up to so many, are not: the open bucket changes.
	blockPoints = 60
	// columns are those of a point: its time, and its figures.
	columns = 1 + len(series)
	// columnHead is what a packed column has before its values: the least of them, and the bytes of an offset.
	columnHead = 8 + 1
	// slack stands behind the last value, which is read with what comes after it.
	slack = 8
)

// block is some points on end, packed: of each column its least value, and by how much each point's is above that, in as
// few bytes as the largest of these takes. A limit that does not change takes no bytes at all, a heap that moves within
// 16 MiB three for each point, and a column of which nothing is known none.
type block struct {
	count int
	last  int64 // At of the newest
	data  []byte
}

func pack(points []Point) block {
	b := block{count: len(points), last: points[len(points)-1].At}
	size := columns*columnHead + slack
	var least [columns]int64
	var width [columns]int
	for c := range columns {
		low, high := *points[0].column(c), *points[0].column(c)
		for i := range points {
			low, high = min(low, *points[i].column(c)), max(high, *points[i].column(c))
		}
		for offset := uint64(high) - uint64(low); offset > 0; offset >>= 8 {
			width[c]++
		}
		least[c] = low
		size += width[c] * len(points)
	}
	b.data = make([]byte, 0, size)
	var word [8]byte
	for c := range columns {
		b.data = binary.LittleEndian.AppendUint64(b.data, uint64(least[c]))
		b.data = append(b.data, byte(width[c]))
		for i := range points {
			binary.LittleEndian.PutUint64(word[:], uint64(*points[i].column(c))-uint64(least[c]))
			b.data = append(b.data, word[:width[c]]...)
		}
	}
	b.data = b.data[:size]
	return b
}

// unpack appends the points.
func (b *block) unpack(to []Point) []Point {
	first := len(to)
	to = slices.Grow(to, b.count)[:first+b.count]
	rest := b.data
	for c := range columns {
		least, width := binary.LittleEndian.Uint64(rest), int(rest[8])
		rest = rest[columnHead:]
		mask := uint64(1)<<(8*width) - 1 // all ones for eight bytes
		for i := first; i < len(to); i++ {
			*to[i].column(c) = int64(least + binary.LittleEndian.Uint64(rest)&mask)
			rest = rest[width:]
		}
	}
	return to
}

// column is the time, then the figures.
func (p *Point) column(c int) *int64 {
	if c == 0 {
		return &p.At
	}
	return &p.Values[c-1]
}

// sequence is at most so many points, several blocks full, the oldest of which make room.
type sequence struct {
	most   int
	blocks []block // oldest first
	gone   int     // how many of the first block's have made room
	packed int     // bytes of all blocks
	open   []Point // the newest, one at least if there are any
}

func newSequence(most int) *sequence {
	return &sequence{most: most, open: make([]Point, 0, blockPoints)}
}

func (s *sequence) count() int { return len(s.blocks)*blockPoints - s.gone + len(s.open) }

func (s *sequence) bytes() int { return s.packed + cap(s.open)*pointBytes }

func (s *sequence) maxBytes() int { return s.most * pointBytes }

func (s *sequence) push(p Point) {
	if len(s.open) == blockPoints {
		b := pack(s.open)
		s.blocks, s.packed = append(s.blocks, b), s.packed+len(b.data)
		s.open = s.open[:0]
	}
	s.open = append(s.open, p)
	if s.count() > s.most {
		s.gone++
	}
	// What is hardly to be packed has less room than so many points, so that the bound in bytes is kept.
	for len(s.blocks) > 0 && (s.gone == blockPoints || s.bytes() > s.maxBytes()) {
		s.packed -= len(s.blocks[0].data)
		s.blocks, s.gone = slices.Delete(s.blocks, 0, 1), 0
	}
}

// newest is the open bucket, or nil.
func (s *sequence) newest() *Point {
	if len(s.open) == 0 {
		return nil
	}
	return &s.open[len(s.open)-1]
}

func (s *sequence) dropNewest() {
	s.open = s.open[:len(s.open)-1]
	if last := len(s.blocks) - 1; len(s.open) == 0 && last >= 0 {
		s.open = s.blocks[last].unpack(s.open)
		s.packed -= len(s.blocks[last].data)
		s.blocks = slices.Delete(s.blocks, last, last+1)
		if last == 0 {
			s.open, s.gone = slices.Delete(s.open, 0, s.gone), 0
		}
	}
}

// from goes through the points that begin at a time or later, oldest first.
func (s *sequence) from(at int64) iter.Seq[*Point] {
	return func(yield func(*Point) bool) {
		var room []Point
		for i := range s.blocks {
			if s.blocks[i].last < at {
				continue
			}
			room = s.blocks[i].unpack(room[:0])
			some := room
			if i == 0 {
				some = room[s.gone:]
			}
			if !each(some, at, yield) {
				return
			}
		}
		each(s.open, at, yield)
	}
}

func each(points []Point, from int64, yield func(*Point) bool) bool {
	for i := range points {
		if points[i].At >= from && !yield(&points[i]) {
			return false
		}
	}
	return true
}
