package graph

import "math/bits"

// pending is a set of nodes still to be looked at. They are taken in the order of their numbers, which is that of
// their addresses, round and round: what an object points to was often allocated near it, and a graph of ten million
// objects does not fit the caches. It is a bit set with a bit in the next level for each word that is not empty, so
// adding and taking cost a few steps, and memory is an eighth of a byte a node.
type pending struct {
	levels [][]uint64
	at     uint32 // where to go on
}

func newPending(nodes uint32) pending {
	var p pending
	for n := (uint64(nodes) + 63) / 64; ; n = (n + 63) / 64 {
		p.levels = append(p.levels, make([]uint64, n))
		if n <= 1 {
			return p
		}
	}
}

func (p *pending) add(node uint32) {
	for _, level := range p.levels {
		word := &level[node>>6]
		old := *word
		*word |= 1 << (node & 63)
		if old != 0 {
			return
		}
		node >>= 6
	}
}

// take removes the next node, if there is one.
func (p *pending) take() (uint32, bool) {
	node, ok := p.next(p.at)
	if !ok {
		if node, ok = p.next(0); !ok {
			return 0, false
		}
	}
	p.at = node + 1
	rest := node
	for _, level := range p.levels {
		word := &level[rest>>6]
		*word &^= 1 << (rest & 63)
		if *word != 0 {
			break
		}
		rest >>= 6
	}
	return node, true
}

// next returns the first node from a number on.
func (p *pending) next(from uint32) (uint32, bool) {
	at := uint64(from)
	for i, level := range p.levels {
		if at>>6 < uint64(len(level)) {
			if w := level[at>>6] >> (at & 63); w != 0 {
				at += uint64(bits.TrailingZeros64(w))
				for i--; i >= 0; i-- {
					at = at<<6 | uint64(bits.TrailingZeros64(p.levels[i][at]))
				}
				return uint32(at), true
			}
		}
		at = at>>6 + 1
	}
	return 0, false
}
