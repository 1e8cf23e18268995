package graph

import "context"

// holder is a pointer to an object, from its side.
type holder struct{ node, edge uint32 }

// holders are the pointers to the objects without a type.
type holders struct {
	unknown bitset // objects without a type when it was built
	before  []uint32
	starts  []uint32
	list    []holder
}

// build collects them in two passes over the edges.
func (h *holders) build(ctx context.Context, t *typer) error {
	g := t.g
	h.unknown = newBitset(uint64(g.objects))
	r := ranked{bits: h.unknown, before: make([]uint32, len(h.unknown))}
	n := uint32(0)
	for object := range g.objects {
		if g.typing[object] == 0 && t.live(object) {
			h.unknown.set(object)
			n++
		}
	}
	r.index()
	h.before = r.before
	h.starts = make([]uint32, n+2)
	if n == 0 {
		return nil
	}
	if err := h.each(ctx, t, func(at uint32, _ holder) { h.starts[at+2]++ }); err != nil {
		return err
	}
	for i := 1; i < len(h.starts); i++ {
		h.starts[i] += h.starts[i-1]
	}
	h.list = make([]holder, h.starts[n+1])
	return h.each(ctx, t, func(at uint32, from holder) {
		h.list[h.starts[at+1]] = from
		h.starts[at+1]++
	})
}

// each visits the pointers to objects without a type.
func (h *holders) each(ctx context.Context, t *typer, visit func(at uint32, from holder)) error {
	g := t.g
	for node := range g.GoroutineNode(0) {
		if node%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if node < g.objects && !t.live(node) {
			continue
		}
		for e := g.Starts[node]; e < g.Starts[node+1]; e++ {
			if target := g.Targets[e]; h.unknown.has(target) {
				visit(h.place(target), holder{node, e})
			}
		}
	}
	return nil
}

// place numbers the objects without a type.
func (h *holders) place(object uint32) uint32 {
	r := ranked{bits: h.unknown, before: h.before}
	return r.rank(object)
}

// of returns the pointers to an object.
func (h *holders) of(object uint32) []holder {
	at := h.place(object)
	return h.list[h.starts[at]:h.starts[at+1]]
}
