package bounded

import (
	"context"
	"fmt"
	"sync/atomic"
)

// sweepWrite and sweepUsage are how many slots of the table a write and Usage look at for what has expired.
const (
	sweepWrite = 2
	sweepUsage = 1024
	// shrinkBatch is how many entries Shrink removes before others get the lock.
	shrinkBatch = 64
)

// evictions are entries that have left the cache and whose owner is not yet told: a list by way of older, so that
// nothing needs to be allocated.
type evictions[K comparable, V any] struct{ first, last *cacheEntry[K, V] }

func (l *evictions[K, V]) push(e *cacheEntry[K, V]) {
	if l.last == nil {
		l.first = e
	} else {
		l.last.older = e
	}
	l.last = e
}

// tell calls OnEvict. mu is not held.
func (c *Cache[K, V]) tell(left evictions[K, V]) {
	if c.onEvict == nil {
		return
	}
	for e := left.first; e != nil; e = e.older {
		if content := e.content.Load(); content.negative() == nil {
			c.onEvict(e.key, content.value, Reason(e.state.Load()>>weightShift))
		}
	}
}

// Set stores a value under a key. Room is made first, so that a write never takes the cache past a bound, not even by
// the value that it replaces.
//
// A value that is refused (ErrTooLarge, ErrUnequalKey, a negative weight) is not stored, and what was under the key is
// removed: it is no longer what was meant to be there. A load of the key that is under way does not overwrite the
// value.
func (c *Cache[K, V]) Set(key K, value V) error {
	if key != key { //nolint:staticcheck // NaN
		return fmt.Errorf("bounded: cache %s: %w", c.name, ErrUnequalKey)
	}
	weight, err := c.weighed(key, value)
	hash := c.hash(key)
	old, _ := c.table.find(hash, key) // else, whoever waits for the lock would wait for memory as well
	if err == nil && old != nil && c.exchange(old, value, weight) {
		return nil
	}
	e := c.newEntry(key, value, weight, nil)
	var left evictions[K, V]
	c.lock()
	c.detach(key)
	if err == nil {
		err = c.put(hash, e, &left)
	} else {
		c.refuse(e, &left)
	}
	c.mu.Unlock()
	c.tell(left)
	return err
}

// exchange stores a value without the lock in place of one of the same weight whose use has been noted, so that neither
// bounds nor order change. There is no load of the key that would have to be detached: they begin for keys that are not
// there, as nothing expires.
func (c *Cache[K, V]) exchange(e *cacheEntry[K, V], value V, weight int64) bool {
	if !c.exchanges || !c.noted(e) {
		return false
	}
	old, done := e.exchange(&cacheContent[V]{value: value}, weight)
	if !done {
		return false
	}
	c.exchanged.Add(1)
	if c.onEvict != nil {
		c.onEvict(e.key, old.value, Replaced)
	}
	return true
}

// noted reports whether the use of an entry has been noted in this era.
func (c *Cache[K, V]) noted(e *cacheEntry[K, V]) bool {
	era := c.era.Load()
	return era != 0 && e.mark.Load()>>1 == era
}

// weighed returns the weight of what is to be stored, or why it must not be.
func (c *Cache[K, V]) weighed(key K, value V) (int64, error) {
	switch weight := c.weigh(key, value); {
	case weight < 0:
		return 0, fmt.Errorf("bounded: cache %s: weight %d: want 0 or more", c.name, weight)
	case weight > maxWeight:
		return 0, c.tooLarge(weight)
	default:
		return weight, nil
	}
}

// newEntry returns an entry that is in no cache yet.
func (c *Cache[K, V]) newEntry(key K, value V, weight int64, negative error) *cacheEntry[K, V] {
	e := &cacheEntry[K, V]{key: key, first: cacheContent[V]{value: value}}
	if era := c.era.Load(); era != 0 {
		e.mark.Store(era << 1) // it is used just now
	}
	if c.timed {
		now := c.now()
		e.first.times = &entryTimes{stored: now, err: negative}
		e.first.times.used.Store(int64(now))
		e.first.times.refresh.Store(int64(now + c.refreshAhead))
	}
	e.content.Store(&e.first)
	e.state.Store(uint32(weight) << weightShift)
	return e
}

// size is what an entry counts against the bound in bytes.
func (c *Cache[K, V]) size(e *cacheEntry[K, V]) int64 { return c.ownBytes + e.weight() }

func (c *Cache[K, V]) tooLarge(weight int64) error {
	return fmt.Errorf("bounded: cache %s: %w: %d bytes, with %d of the cache's own, and at most %d",
		c.name, ErrTooLarge, weight, c.ownBytes, min(c.bounds.Load().bytes, maxWeight))
}

// refuse removes what is under the key of an entry that is not stored. mu is held.
func (c *Cache[K, V]) refuse(e *cacheEntry[K, V], left *evictions[K, V]) {
	c.refused++
	if old, _ := c.table.find(c.hash(e.key), e.key); old != nil {
		c.remove(old, Replaced, left)
	}
}

// put stores an entry. mu is held.
func (c *Cache[K, V]) put(hash uint64, e *cacheEntry[K, V], left *evictions[K, V]) error {
	bounds, size := c.bounds.Load(), c.size(e)
	if size > bounds.bytes {
		c.refuse(e, left)
		return c.tooLarge(e.weight())
	}
	c.sweep(sweepWrite, left)
	old, _ := c.table.find(hash, e.key)
	if old != nil && c.timed {
		if reason, gone := c.expired(old.content.Load(), e.first.times.stored); gone {
			c.remove(old, reason, left)
			old = nil
		}
	}
	switch {
	case old != nil && size == c.size(old) && c.noted(old):
		e.mark.Store(old.mark.Load())
		c.policy.swap(old, e)
		c.table.replace(hash, old, e)
		c.left(old, Replaced, left)
		return nil // nothing else has changed
	case old != nil:
		place := old.segment()
		c.policy.remove(old) // it must not be chosen to make room for its own successor
		c.makeRoom(bounds.entries, bounds.bytes-size+c.size(old), left)
		c.table.replace(hash, old, e)
		c.policy.replace(e, place)
		if more := size - c.size(old); more != 0 {
			c.bytes.Add(more)
		}
		c.left(old, Replaced, left)
	default:
		c.makeRoom(bounds.entries-1, bounds.bytes-size, left)
		c.table.insert(hash, e)
		c.policy.add(e)
		c.bytes.Add(size)
		c.table.fit(c.entries.Add(1), c.hash)
		c.renew()
	}
	raise(&c.peakEntries, c.entries.Load())
	raise(&c.peakBytes, c.bytes.Load())
	return nil
}

// raise sees to it that a peak is not below a value. mu is held.
func raise(peak *atomic.Int64, value int64) {
	if value > peak.Load() {
		peak.Store(value)
	}
}

// renew counts an entry that came in, and ends the era if it is time.
func (c *Cache[K, V]) renew() {
	if c.renewed++; int64(c.renewed) >= c.entries.Load()/8 {
		c.renewed = 0
		if c.era.Load() != 0 {
			c.era.Store(0)
		}
	}
}

// makeRoom removes entries until there are at most so many, and so many bytes. mu is held.
func (c *Cache[K, V]) makeRoom(entries, bytes int64, left *evictions[K, V]) {
	for {
		reason := Capacity
		if c.entries.Load() <= entries {
			if c.bytes.Load() <= bytes {
				return
			}
			reason = Size
		}
		if !c.evict(reason, left) {
			return // what is left is the entry that is being replaced
		}
	}
}

// evict removes the entry that the policy chooses, but for those that are to be spared. mu is held.
func (c *Cache[K, V]) evict(reason Reason, left *evictions[K, V]) bool {
	for {
		e := c.policy.victim()
		if e == nil {
			return false
		}
		mark := e.mark.Load()
		if mark&spared == 0 {
			c.remove(e, reason, left)
			return true
		}
		// A read marks an entry once an era, so this ends.
		if e.mark.CompareAndSwap(mark, mark&^spared) {
			c.policy.touch(e)
		}
	}
}

// remove removes an entry that is in the cache. mu is held.
func (c *Cache[K, V]) remove(e *cacheEntry[K, V], reason Reason, left *evictions[K, V]) {
	c.policy.remove(e)
	c.table.replace(c.hash(e.key), e, nil)
	c.bytes.Add(-c.size(e))
	c.table.fit(c.entries.Add(-1), c.hash)
	c.left(e, reason, left)
}

// left counts an entry that is no longer in the cache, and keeps it for tell.
func (c *Cache[K, V]) left(e *cacheEntry[K, V], reason Reason, left *evictions[K, V]) {
	e.settle()
	c.evicted[reason]++
	e.state.Store(uint32(reason) << weightShift)
	left.push(e)
}

// sweep looks at so many slots of the table for what has expired. mu is held.
func (c *Cache[K, V]) sweep(slots int, left *evictions[K, V]) {
	if !c.timed {
		return
	}
	now := c.now()
	for range min(slots, int(c.table.slots.Load())) {
		if c.swept++; c.swept >= c.table.slots.Load() {
			c.swept = 0
		}
		for e := c.table.at(c.swept).Load(); e != nil; {
			next := e.chain.Load()
			if reason, gone := c.expired(e.content.Load(), now); gone {
				c.remove(e, reason, left)
			}
			e = next
		}
	}
}

// Delete removes what is under a key, and reports whether there was something. A load of the key that is under way is
// not stored.
func (c *Cache[K, V]) Delete(key K) bool {
	var left evictions[K, V]
	c.mu.Lock()
	c.detach(key)
	e, _ := c.table.find(c.hash(key), key)
	served := false
	if e != nil {
		reason := Deleted
		if content := e.content.Load(); c.timed {
			if why, gone := c.expired(content, c.now()); gone {
				reason = why
			}
			served = reason == Deleted && content.times.err == nil
		} else {
			served = true
		}
		c.remove(e, reason, &left)
	}
	c.mu.Unlock()
	c.tell(left)
	return served
}

// Clear removes everything. Loads that are under way are not stored. It holds the lock for as long as it takes, about
// 0.1 s for a million entries.
func (c *Cache[K, V]) Clear() {
	var left evictions[K, V]
	c.mu.Lock()
	clear(c.flights)
	for e := c.policy.victim(); e != nil; e = c.policy.victim() {
		c.remove(e, Deleted, &left)
	}
	c.mu.Unlock()
	c.tell(left)
}

// Resize sets new bounds, and removes what is beyond them. It returns an error, and changes nothing, if they are not
// what NewCache would take.
func (c *Cache[K, V]) Resize(entries int, bytes int64) error {
	if err := checkBounds(entries, bytes, c.ownBytes); err != nil {
		return err
	}
	var left evictions[K, V]
	c.mu.Lock()
	c.makeRoom(int64(entries), bytes, &left)
	c.bounds.Store(&cacheBounds{int64(entries), bytes})
	c.mu.Unlock()
	c.tell(left)
	return nil
}

// Shrink removes entries, some that have expired and then those that would go next, until so many bytes are freed or
// ctx ends, and returns the bytes freed.
func (c *Cache[K, V]) Shrink(ctx context.Context, bytes int64) (freed int64) {
	for freed < bytes && ctx.Err() == nil {
		batch := c.shrinkBatch(bytes - freed)
		if batch == 0 {
			break
		}
		freed += batch
	}
	return freed
}

// shrinkBatch is what Shrink does before others get the lock.
func (c *Cache[K, V]) shrinkBatch(bytes int64) (freed int64) {
	var left evictions[K, V]
	c.mu.Lock()
	before := c.bytes.Load()
	c.sweep(shrinkBatch, &left)
	for range shrinkBatch {
		if freed = before - c.bytes.Load(); freed >= bytes || !c.evict(Shrunk, &left) {
			break
		}
	}
	freed = before - c.bytes.Load()
	c.mu.Unlock()
	c.tell(left)
	return freed
}

// Len returns the number of entries, those included that have expired but are not yet removed.
func (c *Cache[K, V]) Len() int { return int(c.entries.Load()) }

// Name returns the name from the options.
func (c *Cache[K, V]) Name() string { return c.name }

// Usage returns entries, their bytes, the bounds and the highest use so far. It removes some of what has expired, if
// nobody holds the lock, and then calls OnEvict.
func (c *Cache[K, V]) Usage() Usage {
	if c.timed && c.mu.TryLock() {
		var left evictions[K, V]
		c.sweep(sweepUsage, &left)
		c.mu.Unlock()
		c.tell(left)
	}
	for {
		bounds := c.bounds.Load()
		usage := Usage{
			Entries: c.entries.Load(), MaxEntries: bounds.entries, PeakEntries: c.peakEntries.Load(),
			Bytes: c.bytes.Load(), MaxBytes: bounds.bytes, PeakBytes: c.peakBytes.Load(),
		}
		if bounds == c.bounds.Load() { // else Resize came in between
			return usage
		}
	}
}

var _ Owner = (*Cache[string, any])(nil)
