package bounded

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	rateShardBits = 6
	rateShards    = 1 << rateShardBits

	rateSlotBytes = 16
	rateMinSlots  = 8
	// keyBytes is what a key costs at most where a shard has more than rateMinSlots: 2.5 slots.
	keyBytes = rateSlotBytes * 5 / 2
)

// keyTag stands for a key: its hash, but for the two lowest bits.
type keyTag uint64

const (
	tagUsed   keyTag = 1 << iota // always set, so that no tag is 0
	tagRecent                    // set in a slot only: the key was asked for since its shard was last swept
)

func tagOf(hash uint64) keyTag { return keyTag(hash)&^tagRecent | tagUsed }

// shard is told by the highest bits of the hash, home by 32 bits below them.
func (t keyTag) shard() int { return int(t >> (64 - rateShardBits)) }

// home is the slot of a table of so many where the search for a key begins.
func (t keyTag) home(slots int) int {
	return int(uint64(uint32(t>>(32-rateShardBits))) * uint64(slots) >> 32)
}

// rateKey is one key's state.
type rateKey struct {
	tag     keyTag        // 0: none
	arrival time.Duration // theoretical arrival time
}

// rateSlot holds a key, or is empty. A key stays in its slot for as long as the table is in use; then its arrival is moved.
type rateSlot struct {
	tag     atomic.Uint64 // a keyTag; 0 in an empty slot
	arrival atomic.Int64  // a time.Duration, or moved
}

// moved is the arrival of a key that has gone to another table, or was dropped.
const moved = math.MinInt64

// put fills an empty slot: who sees the tag sees the arrival.
func (s *rateSlot) put(key rateKey) {
	s.arrival.Store(int64(key.arrival))
	s.tag.Store(uint64(key.tag))
}

// touch notes that a key was asked for, whose tag was found.
func (s *rateSlot) touch(tag uint64) {
	for tag&uint64(tagRecent) == 0 && !s.tag.CompareAndSwap(tag, tag|uint64(tagRecent)) {
		tag = s.tag.Load()
	}
}

// rateShard is a hash table of keys with linear probing (Knuth, The Art of Computer Programming, volume 3, section 6.4,
// algorithm L), which takes less memory than a map and gives it back. There is always an empty slot: searches end.
//
// Keys are found and their arrivals changed without the lock. The lock is for adding keys, and for putting another table
// in place: each key's arrival is marked as moved first, so that a change either was made before, and goes along, or
// fails.
type rateShard struct {
	mu    sync.Mutex
	table atomic.Pointer[[]rateSlot] // at most 4/5 in use; after a change at least 2/5, or there are no more than rateMinSlots
	due   atomic.Int64               // a time.Duration: when keys that are not recent are dropped next
	keys  int
	_     [4]uint64 // a cache line for each shard
}

// slots are those of the table in use.
func (s *rateShard) slots() []rateSlot {
	if table := s.table.Load(); table != nil {
		return *table
	}
	return nil
}

// find returns the slot of a key with the tag in it or, if the key is not there, the empty slot where it belongs and 0. It
// returns nil if there are no slots at all.
func find(slots []rateSlot, tag keyTag) (slot *rateSlot, found uint64) {
	if len(slots) == 0 {
		return nil, 0
	}
	for i := tag.home(len(slots)); ; {
		slot := &slots[i]
		if found := slot.tag.Load(); found == 0 || keyTag(found)&^tagRecent == tag {
			return slot, found
		}
		if i++; i == len(slots) {
			i = 0
		}
	}
}

// makeRoom sees to it that one more key fits, and returns the bytes that this took. mu is held.
func (s *rateShard) makeRoom() (taken int64) {
	slots := s.slots()
	if (s.keys+1)*5 <= len(slots)*4 {
		return 0
	}
	return s.rebuild(max(rateMinSlots, len(slots)*3/2), s.moveOut(func(rateKey) bool { return true }))
}

// retain drops the keys that keep does not keep, and takes slots away if they are too many then. It tells how many keys
// went and how many bytes that freed. mu is held.
func (s *rateShard) retain(keep func(rateKey) bool) (dropped int, freed int64) {
	if s.keys == 0 {
		return 0, 0
	}
	drops := false
	for i := range s.slots() {
		slot := &s.slots()[i]
		key := rateKey{keyTag(slot.tag.Load()), time.Duration(slot.arrival.Load())}
		drops = drops || key.tag != 0 && !keep(key)
	}
	if !drops {
		return 0, 0
	}
	kept := s.moveOut(keep)
	dropped = s.keys - len(kept)
	s.keys = len(kept)
	slots := len(s.slots())
	if slots > rateMinSlots && slots*2 > s.keys*5 || s.keys == 0 {
		slots = s.keys * 8 / 5
	}
	return dropped, -s.rebuild(slots, kept)
}

// moveOut marks all keys as moved, and returns those to keep. mu is held.
func (s *rateShard) moveOut(keep func(rateKey) bool) (kept []rateKey) {
	for i := range s.slots() {
		slot := &s.slots()[i]
		if slot.tag.Load() == 0 {
			continue
		}
		arrival := slot.arrival.Swap(moved)
		key := rateKey{keyTag(slot.tag.Load()), time.Duration(arrival)} // the tag after the arrival: see allowKnown
		if !keep(key) {
			continue
		}
		if kept == nil {
			kept = make([]rateKey, 0, s.keys)
		}
		kept = append(kept, key)
	}
	return kept
}

// rebuild puts a table of about so many slots in place, with the keys that were moved out, and returns the bytes that this
// took. The allocator rounds sizes up, by an eighth at most: all that it gives is used. mu is held.
func (s *rateShard) rebuild(slots int, keys []rateKey) (taken int64) {
	before := len(s.slots())
	if slots == 0 {
		s.table.Store(nil)
		return -rateSlotBytes * int64(before)
	}
	table := slices.Grow([]rateSlot(nil), max(rateMinSlots, slots))
	table = table[:cap(table)]
	for _, key := range keys {
		slot, _ := find(table, key.tag&^tagRecent)
		slot.put(key)
	}
	s.table.Store(&table)
	return rateSlotBytes * int64(len(table)-before)
}
