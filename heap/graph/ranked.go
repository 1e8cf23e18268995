package graph

import "math/bits"

// ranked holds a value for few of many places: a bit for each place, and the values of the set ones in order. It
// costs an eighth of a byte a place and four bytes a value.
type ranked struct {
	bits   []uint64
	before []uint32 // values before each word of bits
	values []uint32
}

// newRanked returns an empty map of n places.
func newRanked(n uint64) ranked {
	words := (n + 63) / 64
	return ranked{bits: make([]uint64, words), before: make([]uint32, words)}
}

// set notes that a place has a value; values are appended apart, in the order of places.
func (r *ranked) set(at uint32) { r.bits[at>>6] |= 1 << (at & 63) }

// index counts the values, after all were set.
func (r *ranked) index() {
	sum := uint32(0)
	for i, w := range r.bits {
		r.before[i] = sum
		sum += uint32(bits.OnesCount64(w))
	}
}

// get returns the value of a place.
func (r *ranked) get(at uint32) (uint32, bool) {
	if int(at>>6) >= len(r.bits) {
		return 0, false
	}
	if r.bits[at>>6]>>(at&63)&1 == 0 {
		return 0, false
	}
	return r.values[r.rank(at)], true
}

// rank is the number of places with a value before a place.
func (r *ranked) rank(at uint32) uint32 {
	return r.before[at>>6] + uint32(bits.OnesCount64(r.bits[at>>6]&(1<<(at&63)-1)))
}

// any reports whether a place in [from, to) has a value.
func (r *ranked) any(from, to uint32) bool {
	for at := from; at < to; {
		i := at >> 6
		if int(i) >= len(r.bits) {
			return false
		}
		if w := r.bits[i] >> (at & 63); w != 0 {
			return at+uint32(bits.TrailingZeros64(w)) < to
		}
		at = (i + 1) << 6
		if i == 1<<26-1 {
			return false // at has wrapped
		}
	}
	return false
}

// bitset has a bit for each of many places.
type bitset []uint64

func newBitset(n uint64) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(at uint32) bool { return b[at>>6]>>(at&63)&1 != 0 }

func (b bitset) set(at uint32) { b[at>>6] |= 1 << (at & 63) }

func (b bitset) clear(at uint32) { b[at>>6] &^= 1 << (at & 63) }
