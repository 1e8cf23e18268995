package bounded

import (
	"slices"
	"sync"
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

// rateSlot is one key's state, or empty.
type rateSlot struct {
	tag     keyTag        // 0 in an empty slot
	arrival time.Duration // theoretical arrival time
}

// rateShard is a hash table of keys with linear probing (Knuth, The Art of Computer Programming, volume 3, section 6.4,
// algorithm L), which takes less memory than a map and gives it back. There is always an empty slot: searches end.
type rateShard struct {
	mu    sync.Mutex
	slots []rateSlot // at most 4/5 in use; after a change at least 2/5, or there are no more than rateMinSlots
	keys  int
	due   time.Duration // when keys that are not recent are dropped next
	_     [2]uint64     // a cache line for each shard
}

// find returns the slot of a key or, if the shard does not have it, the empty slot where it belongs. It returns nil if
// there are no slots at all.
func (s *rateShard) find(tag keyTag) *rateSlot {
	if len(s.slots) == 0 {
		return nil
	}
	for i := tag.home(len(s.slots)); ; {
		slot := &s.slots[i]
		if slot.tag&^tagRecent == tag || slot.tag == 0 {
			return slot
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
}

// makeRoom sees to it that one more key fits, and returns the bytes that this took.
func (s *rateShard) makeRoom() (taken int64) {
	if (s.keys+1)*5 <= len(s.slots)*4 {
		return 0
	}
	return s.resize(max(rateMinSlots, len(s.slots)*3/2))
}

// retain puts what keep returns in the place of every slot in use, where it may drop the key by an empty slot, and takes
// slots away if they are too many then. It tells how many keys went and how many bytes that freed.
func (s *rateShard) retain(keep func(rateSlot) rateSlot) (dropped int, freed int64) {
	if s.keys == 0 {
		return 0, 0
	}
	// Taking out and putting back each key in the order of the slots, from an empty one on, leaves no gap that a
	// search would end at too early: a key goes back to its own slot or to one before it.
	first := slices.IndexFunc(s.slots, func(slot rateSlot) bool { return slot.tag == 0 })
	for i := range s.slots {
		at := first + i
		if at >= len(s.slots) {
			at -= len(s.slots)
		}
		slot := s.slots[at]
		if slot.tag == 0 {
			continue
		}
		s.slots[at] = rateSlot{}
		if slot = keep(slot); slot.tag == 0 {
			dropped++
		} else {
			*s.find(slot.tag &^ tagRecent) = slot
		}
	}
	s.keys -= dropped
	if len(s.slots) > rateMinSlots && len(s.slots)*2 > s.keys*5 || s.keys == 0 {
		freed = -s.resize(s.keys * 8 / 5)
	}
	return dropped, freed
}

// resize moves the keys to about so many slots, and returns the bytes that this took. The allocator rounds sizes up,
// by an eighth at most: all that it gives is used.
func (s *rateShard) resize(slots int) (taken int64) {
	before := s.slots
	s.slots = nil
	if slots > 0 {
		s.slots = slices.Grow(s.slots, max(rateMinSlots, slots))
		s.slots = s.slots[:cap(s.slots)]
	}
	for _, slot := range before {
		if slot.tag != 0 {
			*s.find(slot.tag &^ tagRecent) = slot
		}
	}
	return rateSlotBytes * int64(len(s.slots)-len(before))
}
