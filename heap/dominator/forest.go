package dominator

// forest finds semidominators. Places above the one that is being looked at are linked to their parents in the
// search's tree, and make up its trees.
type forest struct {
	semi     []uint32 // place -> candidates known from the search, then the semidominator
	head     []uint32
	back     *edges
	ancestor []uint32 // place -> a place above it in the search's tree, at first its parent
	// label is, of a linked place, the lowest semidominator of the places from it up to, and without, its ancestor. In
	// Lengauer and Tarjan it is the place that has this semidominator; Semi-NCA never asks which that was.
	label []uint32
}

func (f *forest) semidominators(p *pace) error {
	for high := uint32(len(f.semi)); high > 1; {
		low := uint32(1)
		if high > stride {
			low = high - stride
		}
		for place := high - 1; place >= low; place-- {
			semi := f.semi[place]
			for link := f.head[place]; link != 0; {
				edge := f.back.get(link)
				semi = min(semi, f.eval(edge.from, place))
				link = edge.next
			}
			f.semi[place], f.label[place] = semi, semi
		}
		if err := p.step(uint64(high - low)); err != nil {
			return err
		}
		high = low
	}
	return nil
}

// eval returns the lowest semidominator of the places from the one given upwards, without the root of its tree, which is
// the one unlinked place among them. It compresses the path: upwards it turns each ancestor into the place that it came
// from, downwards it sets them to the root, so that a path of any length needs no stack.
func (f *forest) eval(place, unlinked uint32) uint32 {
	ancestor, label := f.ancestor, f.label
	top, below := place, place
	for up := ancestor[top]; up > unlinked; up = ancestor[top] {
		ancestor[top], below = below, top
		top = up
	}
	root, lowest := ancestor[top], label[top]
	if top == place {
		return lowest
	}
	for {
		next := ancestor[below]
		lowest = min(lowest, label[below])
		label[below], ancestor[below] = lowest, root
		if next == below {
			return lowest
		}
		below = next
	}
}

// nearestCommonAncestors turns parents in the search's tree into immediate dominators: of each place in preorder, the
// first dominator of its parent that is not behind its semidominator.
func nearestCommonAncestors(parent, semi []uint32, p *pace) error {
	steps := uint64(0)
	for place := 1; place < len(parent); place++ {
		dominator, limit := parent[place], semi[place]
		for steps++; dominator > limit; steps++ {
			dominator = parent[dominator]
		}
		parent[place] = dominator
		if steps >= stride {
			if err := p.step(steps); err != nil {
				return err
			}
			steps = 0
		}
	}
	return nil
}
