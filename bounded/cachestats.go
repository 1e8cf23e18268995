package bounded

import (
	"runtime"
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

// Stats returns what the cache has done so far. It is exact when nobody uses the cache meanwhile.
func (c *Cache[K, V]) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	hits, misses := c.reads.sum()
	stats := CacheStats{
		Hits: c.hits + hits, Misses: misses,
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

// readCounters count reads exactly, and without having processors wait for each other: each takes a cell of its own,
// as far as the pool gives it back the number that it used before.
type readCounters struct {
	pool  sync.Pool // of *int, numbers of cells
	cells []readCell
	next  atomic.Uint32
}

// readCell has a cache line of its own.
type readCell struct {
	hits, misses atomic.Uint64
	_            [48]byte
}

// maxCells bounds the cells, on machines with more processors than that.
const maxCells = 64

func (r *readCounters) init() {
	r.cells = make([]readCell, min(runtime.GOMAXPROCS(0), maxCells))
	r.pool.New = func() any {
		number := int(r.next.Add(1)) % len(r.cells)
		return &number
	}
}

func (r *readCounters) add(hits, misses uint64) {
	number := r.pool.Get().(*int)
	cell := &r.cells[*number]
	if hits > 0 {
		cell.hits.Add(hits)
	} else {
		cell.misses.Add(misses)
	}
	r.pool.Put(number)
}

func (r *readCounters) sum() (hits, misses uint64) {
	for i := range r.cells {
		hits += r.cells[i].hits.Load()
		misses += r.cells[i].misses.Load()
	}
	return hits, misses
}
