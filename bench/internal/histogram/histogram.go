// Package histogram counts durations in a fixed number of bytes and tells their quantiles, at most one in 128 too high.
//
// It knows durations alone. Whoever measures latencies stands above it.
package histogram

import (
	"math"
	"math/bits"
	"time"
)

const (
	// fineBits is how many bits below its highest one decide a duration's bucket: a bucket is 1/128 of its value wide.
	fineBits = 7
	fine     = 1 << fineBits
	buckets  = (64 - fineBits) * fine
)

// Histogram counts durations. The zero Histogram is empty. It has 57 KiB and is not safe for concurrent use: each
// goroutine fills its own, and they are merged.
type Histogram struct {
	counts [buckets]int64
	total  int64
	max    time.Duration
}

// Add counts a duration; a negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// Merge adds all that another histogram has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, count := range other.counts {
		h.counts[i] += count
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Count is the number of durations.
func (h *Histogram) Count() int64 { return h.total }

// Max is the longest duration, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns a duration that at least the share q of all durations does not exceed: the upper end of a bucket,
// and no more than Max. It is 0 for an empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(1, int64(math.Ceil(q*float64(h.total))))
	var seen int64
	for i, count := range h.counts {
		if seen += count; seen >= rank {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// bucket is the place of a value: values below fine have one each, every power of two above has fine of them.
func bucket(v uint64) int {
	if v < fine {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - fineBits
	return shift*fine + int(v>>shift)
}

// upper is the largest value of a bucket.
func upper(i int) time.Duration {
	if i < fine {
		return time.Duration(i)
	}
	shift := i/fine - 1
	return time.Duration((uint64(i-shift*fine)+1)<<shift - 1)
}
