package graph

import (
	"context"
	"fmt"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// roots fills the nodes behind the objects.
func (l *loader) roots(ctx context.Context) error {
	g := l.g
	extra := &blockResult{} // the roots are like one more block
	at := uint32(l.total.Edges)
	finalized := make(map[snapshot.ObjectID]bool)
	err := l.r.EachRoot(func(i int, root *snapshot.Root) error {
		if i%(1<<16) == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		g.Starts[g.objects+uint32(i)] = at
		high := uint32(0)
		for j := range root.Edges {
			e := &root.Edges[j]
			g.Targets[at], g.slots[at] = uint32(e.Target), uint16(e.Slot)
			if h := uint32(e.Slot >> 16); h != high {
				high = h
				extra.jumps.add(at, h)
			}
			l.beside(extra, at, e)
			at++
		}
		if root.Kind == snapshot.Finalizer && !finalized[root.Object] {
			finalized[root.Object] = true
			var err error
			if at, err = l.keepTargets(root.Object, at); err != nil {
				return err
			}
		}
		kept := *root
		kept.Edges = nil
		g.Roots = append(g.Roots, kept)
		return nil
	})
	if err != nil {
		return err
	}
	l.finished = append(l.finished, *extra)
	l.above(at)
	return nil
}

// keepTargets adds what an object with a finalizer points to, but not the object itself: the finalizer may use all of
// it, and is no reason to keep it.
func (l *loader) keepTargets(object snapshot.ObjectID, at uint32) (uint32, error) {
	g := l.g
	from, to := g.Starts[object], g.Starts[object+1]
	if err := l.reserve(uint64(to - from)); err != nil {
		return at, err
	}
	for e := from; e < to; e++ {
		g.Targets[at], g.slots[at] = g.Targets[e], 0
		at++
	}
	return at, nil
}

// reserve takes room for edges that the file does not count. What allocate has set aside suffices as a rule.
func (l *loader) reserve(edges uint64) error {
	g := l.g
	if edges > l.spare {
		more := max(edges, uint64(len(g.Targets))/4)
		if uint64(len(g.Targets))+more > maxNumber {
			return fmt.Errorf("%d pointers: %w", uint64(len(g.Targets))+more, ErrTooLarge)
		}
		g.Targets = append(g.Targets, make([]uint32, more)...)
		g.slots = append(g.slots, make([]uint16, more)...)
		l.spare += more
	}
	l.spare -= edges
	return nil
}

// above fills the nodes of goroutines, which point to their roots, and the super root, and cuts off what is spare.
func (l *loader) above(at uint32) {
	g := l.g
	counts := make([]uint32, len(g.Goroutines)+1) // by goroutine, the last for roots of none
	owner := func(root *snapshot.Root) uint32 {
		if root.Goroutine == 0 || int(root.Goroutine) > len(g.Goroutines) {
			return uint32(len(g.Goroutines))
		}
		return root.Goroutine - 1
	}
	for i := range g.Roots {
		counts[owner(&g.Roots[i])]++
	}
	next := counts // becomes where the next edge of each goes
	node := g.GoroutineNode(0)
	for i, n := range counts {
		g.Starts[int(node)+i] = at
		next[i] = at
		at += n
	}
	for i := range g.Roots {
		o := owner(&g.Roots[i])
		g.Targets[next[o]] = g.RootNode(i)
		next[o]++
	}
	for i := range g.Goroutines {
		g.Targets[at] = g.GoroutineNode(i)
		at++
	}
	g.Starts[g.Super()+1] = at
	g.Targets, g.slots = g.Targets[:at], g.slots[:at]
}
