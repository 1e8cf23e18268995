package bounded

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// CacheStats is what a cache has done since it was made.
type CacheStats struct {
	Hits, Misses uint64 // of Get and Load; a miss is also what has expired, and for Get a negative result
	// Loads is how many loaders have ended, LoadFailures how many with an error, ErrNotFound included, LoadTime how
	// long they took together.
	Loads, LoadFailures uint64
	LoadTime            time.Duration
	Evictions           map[Reason]uint64 // entries that left; a reason that never was is left out
	Refused             uint64            // entries that were not stored
	Entries, PeakEntries,
	Bytes, PeakBytes int64
}

// Stats returns what the cache has done so far. All of it is exact but the hits of goroutines that read at the same time:
// of these one in 64 is counted, by chance, and counts for 64. The standard deviation of n of them is 8 √n, which is 0.8 %
// of a million.
func (c *Cache[K, V]) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := CacheStats{
		Hits: c.hits + c.reads.hits.Load(), Misses: c.reads.misses.Load(),
		Loads: c.loads, LoadFailures: c.failures, LoadTime: c.took,
		Evictions: map[Reason]uint64{}, Refused: c.refused,
		Entries: c.entries.Load(), PeakEntries: c.peakEntries.Load(),
		Bytes: c.bytes.Load(), PeakBytes: c.peakBytes.Load(),
	}
	for reason, count := range c.evicted {
		if Reason(reason) == Replaced {
			count += c.exchanged.Load()
		}
		if count > 0 {
			stats.Evictions[Reason(reason)] = count
		}
	}
	return stats
}

// readCounters count reads without having processors wait for each other at each of them.
type readCounters struct {
	_      [cacheLine]byte // what is written below must not slow who reads what is before
	hits   atomic.Uint64
	misses atomic.Uint64
}

// hitSample is how many hits are counted by one of them.
const hitSample = 64

// hit counts a hit: by chance one in hitSample, for all. A counter of each processor's own would be exact, but finding it
// takes longer than all the rest of a read, and so does writing to one that others write to.
func (r *readCounters) hit() {
	if rand.Uint64()%hitSample == 0 {
		r.hits.Add(hitSample)
	}
}
