package graph

import (
	"context"
	"math/bits"
)

// checkEvery is after how many steps long work looks whether it was cancelled, and tells how far it is.
const checkEvery = 1 << 18

// reach marks what is reached from the super root. Objects without pointers, half of a usual heap, are marked without
// being looked at.
func (g *Graph) reach(ctx context.Context, progress func(string, uint64, uint64)) error {
	nodes := g.Nodes()
	// Both bits of a node lie in one word, and so in one cache line.
	marks := newMarks(uint64(nodes))
	inner := uint64(0)
	for node := range nodes {
		if g.Starts[node] != g.Starts[node+1] {
			marks.setInner(node)
			inner++
		}
	}
	open := newPending(nodes)
	marks.reach(g.Super())
	open.add(g.Super())
	for done := uint64(0); ; done++ {
		if done%checkEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			progress("reach", done, inner)
		}
		node, ok := open.take()
		if !ok {
			break
		}
		for _, target := range g.Targets[g.Starts[node]:g.Starts[node+1]] {
			word := &marks[target>>5]
			bit := uint64(1) << (target & 31)
			if *word&bit != 0 {
				continue
			}
			*word |= bit
			if *word&(bit<<32) != 0 {
				open.add(target)
			}
		}
	}
	progress("reach", inner, inner)
	g.reached = marks.reached()
	g.count()
	return nil
}

// marks has two bits for each of 32 nodes in a word: reached in the lower half, with edges in the upper.
type marks []uint64

func newMarks(nodes uint64) marks { return make(marks, (nodes+31)/32) }

func (m marks) setInner(node uint32) { m[node>>5] |= 1 << 32 << (node & 31) }

func (m marks) reach(node uint32) { m[node>>5] |= 1 << (node & 31) }

// reached returns the lower halves.
func (m marks) reached() bitset {
	set := newBitset(uint64(len(m)) * 32)
	for i, w := range m {
		set[i/2] |= w & (1<<32 - 1) << (i % 2 * 32)
	}
	return set
}

// count sums up what is reached.
func (g *Graph) count() {
	for i, w := range g.reached[:(uint64(g.objects)+63)/64] {
		if rest := uint64(g.objects) - uint64(i)*64; rest < 64 {
			w &= 1<<rest - 1
		}
		g.reachedObjects += uint64(bits.OnesCount64(w))
		for ; w != 0; w &= w - 1 {
			g.reachedBytes += g.Size(uint32(i*64 + bits.TrailingZeros64(w)))
		}
	}
}
