package graph

import (
	"math/bits"
	"sort"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// spans finds the span of an object.
type spans struct {
	list  []snapshot.Span
	first []snapshot.ObjectID // object of each span, and behind them the number of all objects
	// coarse has, for each 64 objects, the span of the first.
	coarse []uint32
}

func newSpans(list []snapshot.Span, first []snapshot.ObjectID) spans {
	s := spans{list: list, first: first}
	objects := uint64(0)
	if len(first) > 0 {
		objects = uint64(first[len(first)-1])
	}
	s.coarse = make([]uint32, (objects+63)/64)
	at := 0
	for i := range s.coarse {
		for first[at+1] <= snapshot.ObjectID(i*64) {
			at++
		}
		s.coarse[i] = uint32(at)
	}
	return s
}

// find returns the place of an object's span.
func (s *spans) find(object uint32) uint32 {
	at := s.coarse[object>>6]
	for s.first[at+1] <= snapshot.ObjectID(object) {
		at++
	}
	return at
}

// address returns where an object's slot begins.
func (s *spans) address(object uint32) uint64 {
	at := s.find(object)
	span := &s.list[at]
	rank := int(object) - int(s.first[at])
	for i, word := range span.Live {
		n := bits.OnesCount64(word)
		if rank >= n {
			rank -= n
			continue
		}
		for range rank {
			word &= word - 1
		}
		return span.Start + uint64(i*64+bits.TrailingZeros64(word))*span.ElemSize
	}
	return span.Start
}

// at returns the object that an address lies in, and how far from the beginning of its slot.
func (s *spans) at(address uint64) (object uint32, offset uint64, ok bool) {
	i := sort.Search(len(s.list), func(i int) bool { return s.list[i].Start > address }) - 1
	if i < 0 || s.list[i].ElemSize == 0 {
		return 0, 0, false
	}
	span := &s.list[i]
	slot := (address - span.Start) / span.ElemSize
	if slot >= uint64(span.Slots) || span.Live[slot/64]>>(slot%64)&1 == 0 {
		return 0, 0, false
	}
	rank := bits.OnesCount64(span.Live[slot/64] & (1<<(slot%64) - 1))
	for _, word := range span.Live[:slot/64] {
		rank += bits.OnesCount64(word)
	}
	return uint32(s.first[i]) + uint32(rank), (address - span.Start) % span.ElemSize, true
}
