package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// Absent marks a figure that a point does not have.
const Absent int64 = -1

// merge says what a bucket keeps of the samples that fall into it.
type merge uint8

const (
	largest merge = iota
	smallest
	newest
)

// series are the columns of a point. New ones go to the end: stored points are read by position.
var series = [...]struct {
	name string
	keep merge
	of   func(*memstat.Sample) memstat.Int
}{
	{"heap_live_bytes", largest, func(s *memstat.Sample) memstat.Int { return s.Go.HeapLiveBytes }},
	{"heap_live_min_bytes", smallest, func(s *memstat.Sample) memstat.Int { return s.Go.HeapLiveBytes }},
	{"heap_objects_bytes", largest, func(s *memstat.Sample) memstat.Int { return s.Go.HeapObjectsBytes }},
	{"go_used_bytes", largest, func(s *memstat.Sample) memstat.Int { return s.Go.UsedBytes }},
	{"rss_bytes", largest, func(s *memstat.Sample) memstat.Int { return s.Process.RSSBytes }},
	{"off_heap_bytes", largest, func(s *memstat.Sample) memstat.Int { return s.Process.OffHeapBytes }},
	{"working_set_bytes", largest, func(s *memstat.Sample) memstat.Int { return s.Cgroup.WorkingSetBytes }},
	{"container_limit_bytes", newest, func(s *memstat.Sample) memstat.Int { return s.Cgroup.MaxBytes }},
	{"memory_limit_bytes", newest, func(s *memstat.Sample) memstat.Int { return s.Go.MemoryLimitBytes }},
	{"goroutines", largest, func(s *memstat.Sample) memstat.Int { return s.Go.Goroutines }},
	{"file_descriptors", largest, func(s *memstat.Sample) memstat.Int { return s.Process.FileDescriptors }},
	{"gc_cycles_total", newest, func(s *memstat.Sample) memstat.Int { return s.Go.GCCycles }},
	{"pressure_level", largest, nil}, // 0 normal … 3 critical; not from the sample
}

// Columns are the names of a point's figures, in the order of Point.Values. A bucket of several samples keeps the
// largest of each, but the smallest of *_min_bytes and the newest of limits and totals.
func Columns() []string {
	names := make([]string, len(series))
	for i, s := range series {
		names[i] = s.name
	}
	return names
}

// Point is one bucket of time.
type Point struct {
	At     int64 // Unix seconds at which the bucket begins
	Values [len(series)]int64
}

func newPoint(at int64, sample *memstat.Sample, level pressure.Level) Point {
	p := Point{At: at}
	for i, s := range series {
		if s.of == nil {
			p.Values[i] = int64(level)
		} else {
			p.Values[i] = s.of(sample).Or(Absent)
		}
	}
	return p
}

// add merges a later point of the same bucket.
func (p *Point) add(later Point) {
	for i, value := range later.Values {
		have := p.Values[i]
		switch keep := series[i].keep; {
		case value == Absent:
		case have == Absent, keep == newest, keep == largest && value > have, keep == smallest && value < have:
			p.Values[i] = value
		}
	}
}

const encodingVersion = 1

// AppendBinary appends the point's figures, without its time, in a form that later versions go on reading: a version,
// the number of figures, each as a signed varint.
func (p Point) AppendBinary(dst []byte) []byte {
	dst = slices.Grow(dst, 2+binary.MaxVarintLen32*len(p.Values)) // most take less
	dst = append(dst, encodingVersion, byte(len(p.Values)))
	for _, v := range p.Values {
		dst = binary.AppendVarint(dst, v)
	}
	return dst
}

var errShort = errors.New("history: stored point ends early")

// DecodePoint reads what AppendBinary wrote. Figures that an older version did not have are Absent; those of a newer
// version are dropped.
func DecodePoint(at int64, data []byte) (Point, error) {
	if len(data) < 2 {
		return Point{}, errShort
	}
	if data[0] != encodingVersion {
		return Point{}, fmt.Errorf("history: stored point has encoding %d, want %d", data[0], encodingVersion)
	}
	p := Point{At: at}
	count, rest := int(data[1]), data[2:]
	for i := range p.Values {
		if i >= count {
			p.Values[i] = Absent
			continue
		}
		value, n := binary.Varint(rest)
		if n <= 0 {
			return Point{}, errShort
		}
		p.Values[i], rest = max(value, Absent), rest[n:]
	}
	return p, nil
}
