package leak

import (
	"math"
	"time"
)

const (
	// windowBuckets is how many buckets a window is of, enoughBuckets with how many it may be judged.
	windowBuckets, enoughBuckets = 40, 34
	// horizonWindows is how many windows a scale remembers.
	horizonWindows = 8
	horizonBuckets = horizonWindows * windowBuckets
)

// bucket is a piece of time: the least value seen in it, for what is garbage or in flight comes on top of what is held,
// and the mean of the load.
type bucket struct {
	least float64
	load  float64 // NaN: not known
}

// scale is a figure in buckets of one length, newest last. Its memory is bounded by horizonBuckets.
type scale struct {
	length  time.Duration // of a window
	step    time.Duration // of a bucket
	buckets []bucket      // closed ones
	number  int64         // of the open bucket: its time by step

	least         float64 // of the open bucket
	loads, loaded float64 // sum of loads and their count
	seen          bool    // anything in the open bucket
}

func newScale(length time.Duration) *scale {
	return &scale{length: length, step: length / windowBuckets, number: -1}
}

// add takes in a value, and reports whether a bucket was closed. A bucket in which nothing was seen is as the one before.
func (s *scale) add(at time.Duration, value, load float64) (closed bool) {
	number := int64(at / s.step)
	if s.number < 0 {
		s.number = number
	}
	for ; s.number < number; s.number++ {
		if s.seen {
			s.push(bucket{s.least, s.loads / s.loaded}) // without any load NaN
			closed = true
		} else if n := len(s.buckets); n > 0 {
			s.push(s.buckets[n-1])
			closed = true
		}
		s.seen, s.loads, s.loaded = false, 0, 0
	}
	if !s.seen || value < s.least {
		s.least, s.seen = value, true
	}
	if !math.IsNaN(load) {
		s.loads += load
		s.loaded++
	}
	return closed
}

func (s *scale) push(b bucket) {
	if len(s.buckets) == horizonBuckets {
		copy(s.buckets, s.buckets[1:])
		s.buckets = s.buckets[:horizonBuckets-1]
	}
	s.buckets = append(s.buckets, b)
}

// before are the buckets that ended before a time.
func (s *scale) before(at time.Duration) []bucket {
	later := s.number - int64(at/s.step) // buckets that ended after it
	return s.buckets[:max(0, len(s.buckets)-int(max(0, later)))]
}

// window is the last window as far as there is one, and when it began.
func (s *scale) window() (buckets []bucket, began time.Duration) {
	buckets = s.buckets[max(0, len(s.buckets)-windowBuckets):]
	return buckets, time.Duration(s.number-int64(len(buckets))) * s.step
}
