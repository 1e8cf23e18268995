package graph

import (
	"context"
	"math/bits"
)

// checkEvery is after how many steps long work looks whether it was cancelled, and tells how far it is.
const checkEvery = 1 << 18

// reach marks what is reached from the super root.
func (g *Graph) reach(ctx context.Context, progress func(string, uint64, uint64)) (err error) {
	tell := func(done, total uint64) { progress("reach", done, total) }
	if g.reached, err = g.reachable(ctx, []uint32{g.Super()}, nil, tell); err != nil {
		return err
	}
	g.count()
	return nil
}

// Reachable returns the set of nodes that are reached from some nodes, themselves included, by ways that do not lead
// through a blocked one: those are reached, and not followed. Both sets have a bit for each node, least significant
// first; blocked may be nil. 10 million objects take a third of a second. The error is the context's.
func (g *Graph) Reachable(ctx context.Context, from []uint32, blocked []uint64) ([]uint64, error) {
	return g.reachable(ctx, from, blocked, func(uint64, uint64) {})
}

// reachable marks nodes without pointers, half of a usual heap, without looking at them.
func (g *Graph) reachable(ctx context.Context, from []uint32, blocked bitset, progress func(done, total uint64)) (bitset, error) {
	nodes := g.Nodes()
	// Both bits of a node lie in one word, and so in one cache line.
	marks := newMarks(uint64(nodes))
	inner := uint64(0)
	for node := range nodes {
		if g.Starts[node] != g.Starts[node+1] && (blocked == nil || !blocked.has(node)) {
			marks.setInner(node)
			inner++
		}
	}
	open := newPending(nodes)
	for _, node := range from {
		if marks.reach(node) {
			open.add(node)
		}
	}
	for done := uint64(0); ; done++ {
		if done%checkEvery == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			progress(done, inner)
		}
		node, ok := open.take()
		if !ok {
			break
		}
		for _, target := range g.Targets[g.Starts[node]:g.Starts[node+1]] {
			if marks.reach(target) {
				open.add(target)
			}
		}
	}
	progress(inner, inner)
	return marks.reached(), nil
}

// marks has two bits for each of 32 nodes in a word: reached in the lower half, with edges in the upper.
type marks []uint64

func newMarks(nodes uint64) marks { return make(marks, (nodes+31)/32) }

func (m marks) setInner(node uint32) { m[node>>5] |= 1 << 32 << (node & 31) }

// reach marks a node and tells whether it is to be followed: it was not marked and has edges.
func (m marks) reach(node uint32) bool {
	word := &m[node>>5]
	bit := uint64(1) << (node & 31)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return *word&(bit<<32) != 0
}

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
