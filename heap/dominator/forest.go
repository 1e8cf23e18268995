package dominator

// forest finds semidominators, of shared nodes: that of any other is its parent in the search's tree. Places above the
// one that is being looked at are linked to their parents, and make up its trees.
type forest struct {
	*search

	ancestor []uint32 // place -> a place above it in the search's tree, at first its parent
	// label is, of a linked place, the lowest semidominator of the places from it up to, and without, its ancestor. In
	// Lengauer and Tarjan it is the place that has this semidominator; Semi-NCA never asks which that was.
	label []uint32
}

// semidominators turns the candidates known from the search into semidominators.
func (f *forest) semidominators(p *pace) error {
	for i := len(f.found) - 1; i > 0; i-- {
		if i%lookahead == 0 {
			f.look(f.found[max(0, i-2*lookahead):max(0, i-lookahead)])
		}
		node := &f.nodes[f.found[i]]
		semi := node.semi
		for link := node.head; link != 0; {
			edge := f.back.get(link)
			semi = min(semi, f.eval(edge.from, node.place))
			link = edge.next
		}
		node.semi, f.label[node.place] = semi, semi
		if i%stride == 0 {
			if err := p.step(stride); err != nil {
				return err
			}
		}
	}
	return nil
}

// look reads what is needed of nodes soon, so that misses of the processor's caches overlap.
func (f *forest) look(found []uint32) {
	var links [lookahead]uint32
	for i, number := range found {
		links[i] = f.nodes[number].head
	}
	var froms [lookahead]uint32
	for i, link := range links[:len(found)] {
		if link != 0 {
			froms[i] = f.back.get(link).from
		}
	}
	read := uint32(0)
	for _, from := range froms {
		read += f.label[from] + f.ancestor[from]
	}
	f.read += read
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
func (s *search) nearestCommonAncestors(p *pace) error {
	steps := uint64(0)
	for _, number := range s.found[1:] {
		node := &s.nodes[number]
		dominator := s.parent[node.place]
		for steps++; dominator > node.semi; steps++ {
			dominator = s.parent[dominator]
		}
		s.parent[node.place] = dominator
		if steps >= stride {
			if err := p.step(steps); err != nil {
				return err
			}
			steps = 0
		}
	}
	return nil
}
