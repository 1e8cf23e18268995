package bounded

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
)

// cacheEntry is an entry of a cache. Its key never changes; what is under it does, where that takes nothing else.
type cacheEntry[K comparable, V any] struct {
	key     K
	chain   atomic.Pointer[cacheEntry[K, V]] // the next entry in the same slot of the table
	content atomic.Pointer[cacheContent[V]]  // see exchange
	mark    atomic.Uint32                    // era of the last use that was noted, and whether it is to be spared; see Cache.use
	state   atomic.Uint32                    // weight, whether it is being exchanged, and segment, or once it is removed the reason

	newer, older *cacheEntry[K, V] // in the queue of its segment; with Cache.mu held

	first cacheContent[V] // the content that the entry came with: beside the key, as it is read with it
}

// cacheContent is what an entry has under its key. It never changes.
type cacheContent[V any] struct {
	value V
	times *entryTimes // nil in a cache without expiry
}

// spared marks an entry whose use could not be told the policy.
const spared = 1

// entryTimes are the times of an entry, since the cache was made.
type entryTimes struct {
	stored  time.Duration
	used    atomic.Int64 // last; only with an idle expiry
	refresh atomic.Int64 // when it is due
	err     error        // a negative result: there is no value
}

// segment is a part of a policy's order.
type segment uint8

const (
	removed segment = iota // not in the cache
	window
	probation
	protected
	segmentMask = 3
	// exchanging is set while exchange is at work.
	exchanging  = 4
	weightShift = 3
	// maxWeight keeps all of this within 32 bits.
	maxWeight = 1<<(32-weightShift) - 1
)

func (e *cacheEntry[K, V]) segment() segment { return segment(e.state.Load() & segmentMask) }

// lead sets the next entry in the same slot.
func (e *cacheEntry[K, V]) lead(to *cacheEntry[K, V]) {
	if e.chain.Load() != to { // a store costs what many loads do
		e.chain.Store(to)
	}
}

func (e *cacheEntry[K, V]) weight() int64 { return int64(e.state.Load() >> weightShift) }

// enter moves the entry to a segment. Cache.mu is held, but the entry may be exchanged meanwhile.
func (e *cacheEntry[K, V]) enter(s segment) {
	for {
		state := e.state.Load()
		if e.state.CompareAndSwap(state, state&^segmentMask|uint32(s)) {
			return
		}
	}
}

// exchange puts another content in place of the one that is there, and returns that, unless the entry is removed, or is
// of another weight, or somebody else is at it. It needs no lock: it is a lock itself, and who removes the entry waits for
// it in settle. So each content has either been returned by an exchange or is there when the entry is removed.
func (e *cacheEntry[K, V]) exchange(by *cacheContent[V], weight int64) (old *cacheContent[V], done bool) {
	state := e.state.Load()
	if segment(state&segmentMask) == removed || state&exchanging != 0 || int64(state>>weightShift) != weight ||
		!e.state.CompareAndSwap(state, state|exchanging) {
		return nil, false
	}
	old = e.content.Load()
	e.content.Store(by)
	e.state.And(^uint32(exchanging))
	return old, true
}

// settle waits for an exchange that began before the entry was removed: some instructions.
func (e *cacheEntry[K, V]) settle() {
	for e.state.Load()&exchanging != 0 {
		runtime.Gosched()
	}
}

const (
	// slotsEach is how many slots there are for each entry: with two, a chain rarely has more than one.
	slotsEach = 2
	// pageSlots is how many slots are allocated at once, and the least that a table has. An object with pointers that
	// is larger than the 512 bytes of a page would be rounded up by the allocator.
	pageSlots = 64
	// leastPages is the least room that a directory has.
	leastPages = 4
)

type cachePage[K comparable, V any] [pageSlots]atomic.Pointer[cacheEntry[K, V]]

// cacheTable finds entries by their keys: a hash table that grows and shrinks by one slot at a time (Litwin, Linear
// hashing, VLDB 1980), so that there are two slots for each entry and nobody ever waits for a large table to be
// rebuilt. Entries whose hash leads to the same slot are chained.
//
// find may run at any time. A chain always leads from each of its entries to all that were behind it, also from one
// that has just been removed; so a find that meets no change of the number of slots sees every entry that is there.
// Everything else needs the cache's lock.
type cacheTable[K comparable, V any] struct {
	slots atomic.Uint32
	// version is odd while entries move between slots.
	version atomic.Uint32
	// pages has room for more than there are; the others are nil.
	pages atomic.Pointer[[]atomic.Pointer[cachePage[K, V]]]
}

func (t *cacheTable[K, V]) init() {
	pages := make([]atomic.Pointer[cachePage[K, V]], leastPages)
	pages[0].Store(new(cachePage[K, V]))
	t.pages.Store(&pages)
	t.slots.Store(pageSlots)
}

// slotOf returns the slot of a hash among so many: its low bits, one less where that slot is not there yet.
func slotOf(hash uint64, slots uint32) uint32 {
	mask := uint32(1)<<bits.Len32(slots-1) - 1
	slot := uint32(hash) & mask
	if slot >= slots {
		slot &= mask >> 1
	}
	return slot
}

// find returns the entry of a key, and whether the answer is certain: none is not, while slots move.
func (t *cacheTable[K, V]) find(hash uint64, key K) (e *cacheEntry[K, V], certain bool) {
	version := t.version.Load()
	slot := slotOf(hash, t.slots.Load())
	pages := *t.pages.Load()
	if int(slot/pageSlots) >= len(pages) {
		return nil, false
	}
	page := pages[slot/pageSlots].Load()
	if page == nil {
		return nil, false
	}
	for e := page[slot%pageSlots].Load(); e != nil; e = e.chain.Load() {
		if e.key == key {
			return e, true
		}
	}
	return nil, version&1 == 0 && version == t.version.Load()
}

// at returns a slot.
func (t *cacheTable[K, V]) at(slot uint32) *atomic.Pointer[cacheEntry[K, V]] {
	return &(*t.pages.Load())[slot/pageSlots].Load()[slot%pageSlots]
}

// insert adds an entry whose key is not there.
func (t *cacheTable[K, V]) insert(hash uint64, e *cacheEntry[K, V]) {
	slot := t.at(slotOf(hash, t.slots.Load()))
	e.lead(slot.Load())
	slot.Store(e)
}

// replace removes an entry, and puts another one of the same key in its place unless that is nil.
func (t *cacheTable[K, V]) replace(hash uint64, old, by *cacheEntry[K, V]) {
	link := t.at(slotOf(hash, t.slots.Load()))
	for link.Load() != old {
		link = &link.Load().chain
	}
	if by == nil {
		link.Store(old.chain.Load())
		return
	}
	by.lead(old.chain.Load())
	link.Store(by)
}

// grow adds a slot, and moves to it what belongs there from the slot that it is split from.
func (t *cacheTable[K, V]) grow(hash func(K) uint64) {
	slots := t.slots.Load()
	if slots%pageSlots == 0 {
		page := int(slots / pageSlots)
		if page == len(*t.pages.Load()) {
			t.makeDirectory(2 * page)
		}
		(*t.pages.Load())[page].Store(new(cachePage[K, V]))
	}
	from := slots &^ (1 << (bits.Len32(slots) - 1))
	t.version.Add(1)
	t.slots.Store(slots + 1)
	t.move(from, hash)
	t.version.Add(1)
}

// shrink takes the last slot away, and moves what it holds to the slot that it was split from.
func (t *cacheTable[K, V]) shrink(hash func(K) uint64) {
	last := t.slots.Load() - 1
	t.version.Add(1)
	t.slots.Store(last)
	t.move(last, hash)
	t.version.Add(1)
	if last%pageSlots == 0 {
		pages, page := *t.pages.Load(), int(last/pageSlots)
		pages[page].Store(nil)
		if len(pages) > leastPages && page < len(pages)/4 {
			t.makeDirectory(len(pages) / 2)
		}
	}
}

// makeDirectory makes a directory with room for so many pages: an eighth of a byte for each slot that it leads to.
func (t *cacheTable[K, V]) makeDirectory(room int) {
	directory := make([]atomic.Pointer[cachePage[K, V]], room)
	old := *t.pages.Load()
	for i := range min(room, len(old)) {
		directory[i].Store(old[i].Load())
	}
	t.pages.Store(&directory)
}

// move puts the entries of a slot where they belong.
func (t *cacheTable[K, V]) move(from uint32, hash func(K) uint64) {
	slot := t.at(from)
	e := slot.Load()
	slot.Store(nil)
	for e != nil {
		next := e.chain.Load()
		t.insert(hash(e.key), e)
		e = next
	}
}

// fit grows or shrinks by at most slotsEach slots towards as many for each entry. It leaves a page more than that, so
// that a table at its size does not do both by turns.
func (t *cacheTable[K, V]) fit(entries int64, hash func(K) uint64) {
	least, most := slotsEach*entries, slotsEach*entries+pageSlots
	for range slotsEach {
		switch slots := int64(t.slots.Load()); {
		case slots < least:
			t.grow(hash)
		case slots > most:
			t.shrink(hash)
		}
	}
}
