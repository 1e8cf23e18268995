package bounded

import (
	"sync"
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

// Stats returns what the cache has done so far. All of it is exact but the hits: those of goroutines that read at the
// same time are counted in steps of 64 for each processor, so that up to 63 of each may be missing.
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
		if count > 0 {
			stats.Evictions[Reason(reason)] = count
		}
	}
	return stats
}

// readCounters count reads without having processors wait for each other: each has a cell of its own, as the pool gives
// it back to whoever runs there, and tells of its hits in steps. Of what a cell holds when the pool drops it, as it
// does with those that nobody used between two collections, nothing is counted.
type readCounters struct {
	pool   sync.Pool // of *readCell
	_      [64]byte  // what is written below must not slow who reads the pool
	hits   atomic.Uint64
	misses atomic.Uint64
}

// readCell belongs to whom the pool has given it to.
type readCell struct {
	hits uint32
	_    [252]byte // processors fetch lines in pairs, and two pieces of memory may be neighbours
}

// hitStep is how many hits a cell tells of at once.
const hitStep = 64

func (r *readCounters) hit() {
	cell, ok := r.pool.Get().(*readCell)
	if !ok {
		cell = new(readCell)
	}
	if cell.hits++; cell.hits == hitStep {
		cell.hits = 0
		r.hits.Add(hitStep)
	}
	r.pool.Put(cell)
}
