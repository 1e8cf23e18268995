package graph

import (
	"cmp"
	"context"
	"slices"

	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/sorting"
)

// maxPins bounds what Pins returns.
const maxPins = 1000

// Pin is objects of which strings or slices use half or less, and that nothing else refers to: the rest stays
// allocated for their sake. The slots of one field and the type of the objects make one Pin.
type Pin struct {
	// Holder is the field or variable with the strings or slices: "main.Record.Name", "main.last".
	Holder string
	// Target is the type of the objects.
	Target snapshot.TypeID
	// Objects counts them; Bytes is their size, Used how much of it lies within the lengths.
	Objects, Bytes, Used uint64
	// Node and Edge are one of the strings or slices, as for Graph.Edge.
	Node, Edge uint32
}

// Pins returns what small strings and slices keep of large objects, of snapshot.PinBytes and more, those that cost
// most first; at most 1,000. What lies between a slice's length and its capacity counts as not used.
func (g *Graph) Pins() []Pin { return g.pins }

// use is a string's or slice's part of an object.
type use struct {
	object     uint32
	from, to   uint64
	node, edge uint32
}

// pinKey is a field and a type.
type pinKey struct {
	source uint32 // type of the holder, or a root
	root   bool
	slot   uint64
	target snapshot.TypeID
}

// findPins computes Pins, from lengths beside pointers whose types are known by now.
func (t *typer) findPins(ctx context.Context) error {
	g := t.g
	if len(g.clues.lengths.values) == 0 {
		return nil
	}
	pinned := newBitset(uint64(g.objects))
	err := t.eachNode(ctx, func(node uint32) {
		from, to := g.Starts[node], g.Starts[node+1]
		if g.clues.lengths.any(from, to) {
			for e := from; e < to; e++ {
				if _, ok := t.length(node, e); ok {
					pinned.set(g.Targets[e])
				}
			}
		}
	})
	if err != nil {
		return err
	}
	// Whoever refers to an object without a length may use all of it.
	err = t.eachNode(ctx, func(node uint32) {
		for e := g.Starts[node]; e < g.Starts[node+1]; e++ {
			if target := g.Targets[e]; target < g.objects && pinned.has(target) {
				if _, ok := t.length(node, e); !ok {
					pinned.clear(target)
				}
			}
		}
	})
	if err != nil {
		return err
	}
	var uses []use
	err = t.eachNode(ctx, func(node uint32) {
		from, to := g.Starts[node], g.Starts[node+1]
		if !g.clues.lengths.any(from, to) {
			return
		}
		for e := from; e < to; e++ {
			if bytes, ok := t.length(node, e); ok && pinned.has(g.Targets[e]) {
				offset, _ := g.offsets.get(e)
				uses = append(uses, use{g.Targets[e], uint64(offset), uint64(offset) + bytes, node, e})
			}
		}
	})
	if err != nil {
		return err
	}
	slices.SortFunc(uses, func(a, b use) int {
		return cmp.Or(cmp.Compare(a.object, b.object), cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to))
	})
	g.pins = t.sumPins(uses)
	return nil
}

// eachNode visits the objects and roots that are reached.
func (t *typer) eachNode(ctx context.Context, visit func(node uint32)) error {
	for node := range t.g.GoroutineNode(0) {
		if node%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if t.g.reached.has(node) {
			visit(node)
		}
	}
	return nil
}

// length returns the bytes that a string or slice uses of what it points to, false if the edge is none.
func (t *typer) length(node, e uint32) (uint64, bool) {
	length, ok := t.g.clues.lengths.get(e)
	if !ok {
		return 0, false
	}
	w, _ := t.wordOf(node, e)
	switch w.kind {
	case toString:
		return uint64(length), true
	case toElements:
		// More than its object a slice does not have, whatever the size of its elements.
		return min(uint64(length)*min(t.types.table.get(w.arg).Size, 1<<31), t.g.Size(t.g.Targets[e])), true
	}
	return 0, false
}

// sumPins adds up the uses, which are in the order of their objects and beginnings.
func (t *typer) sumPins(uses []use) []Pin {
	g := t.g
	totals := make(map[pinKey]*Pin)
	for len(uses) > 0 {
		first, used, end, n := uses[0], uint64(0), uint64(0), 0
		for ; n < len(uses) && uses[n].object == first.object; n++ {
			if u := uses[n]; u.to > end {
				used += u.to - max(u.from, end)
				end = u.to
			}
		}
		uses = uses[n:]
		size := g.Size(first.object)
		if used > size/2 {
			continue
		}
		key := t.pinKey(first)
		total := totals[key]
		if total == nil {
			total = &Pin{Target: key.target, Node: first.node, Edge: first.edge}
			totals[key] = total
		}
		total.Objects++
		total.Bytes += size
		total.Used += used
	}
	sorted := make([]*Pin, 0, len(totals))
	for _, total := range totals {
		sorted = append(sorted, total)
	}
	sorting.By(sorted, func(a, b *Pin) int {
		return cmp.Or(cmp.Compare(b.Bytes-b.Used, a.Bytes-a.Used), cmp.Compare(a.Edge, b.Edge))
	})
	pins := make([]Pin, min(len(sorted), maxPins))
	for i := range pins {
		pins[i] = *sorted[i]
		pins[i].Holder = g.holderName(pins[i].Node, pins[i].Edge)
	}
	return pins
}

func (t *typer) pinKey(u use) pinKey {
	g := t.g
	target, _ := g.Type(u.object)
	key := pinKey{slot: g.slot(u.node, u.edge), target: target}
	if u.node >= g.objects {
		key.source, key.root = u.node, true
		return key
	}
	key.source = g.typing[u.node].id()
	if words := t.types.words(key.source); len(words) > 0 {
		key.slot %= uint64(len(words))
	}
	return key
}

// holderName is what holds an edge, with the path in it.
func (g *Graph) holderName(node, e uint32) string {
	step := g.Step(node, e)
	if kind, i := g.Kind(node); kind == RootNode {
		return g.Roots[i].Name + step
	}
	id := g.typing[node].id()
	if t := &g.kinds.list[id]; t.kind == array {
		// "[]main.Record" and "[…].Name" are the Name of a main.Record.
		if g.kinds.table.get(t.base).Kind == snapshot.Struct && len(step) > len(elementStep) {
			return g.kinds.name(uint32(t.base), g.Functions) + step[len(elementStep):]
		}
	}
	return g.kinds.name(id, g.Functions) + step
}
