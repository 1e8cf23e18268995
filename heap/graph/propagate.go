package graph

import (
	"context"
	"math"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// typer gives objects their types, by one goroutine.
type typer struct {
	g        *Graph
	types    *objectTypes
	resolver *resolver
	pending  pending // objects whose type is new
	// owners are the objects with a finalizer: their pointers count though they may not be reached.
	owners   map[uint32]bool
	progress func(stage string, done, total uint64)

	steps     uint64 // objects followed
	conflicts conflicts
	ambiguous uint64
	depth     int  // of the lookahead
	strict    bool // known types of targets count only if nothing but the runtime told them
}

// conflicts counts objects of which two sources say different things.
type conflicts struct{ objects, misfits uint64 }

// typeAll gives types to all objects, as far as that is possible.
func (g *Graph) typeAll(ctx context.Context, types []snapshot.Type, progress func(string, uint64, uint64)) error {
	t := newTyper(g, newObjectTypes(newTypeTable(types)), progress)
	g.kinds = t.types
	for _, step := range []func(context.Context) error{
		t.recorded, t.sampled, t.fromRoots, t.drain, t.fromInterfaces, t.drain, t.infer, t.unspecific,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	g.canonical = t.types.canonical(g.Functions)
	g.stats = t.summary()
	g.clues.typer = t
	return t.findPins(ctx)
}

func newTyper(g *Graph, types *objectTypes, progress func(string, uint64, uint64)) *typer {
	g.typing = make([]typing, g.objects)
	t := &typer{g: g, types: types, resolver: newResolver(types, g.forms), owners: make(map[uint32]bool), progress: progress}
	t.pending = newPending(g.objects)
	for i := range g.Roots {
		if root := &g.Roots[i]; root.Kind == snapshot.Finalizer {
			t.owners[uint32(root.Object)] = true
		}
	}
	return t
}

// live reports whether an object's pointers are worth anything: what a dead one points to may have been freed, and the
// place used again for another type.
func (t *typer) live(object uint32) bool { return t.g.reached.has(object) || t.owners[object] }

// recorded gives the objects their types of which the runtime recorded one, and closures theirs.
func (t *typer) recorded(ctx context.Context) error {
	g := t.g
	seeds := make([]typing, len(g.forms))
	for i := range g.forms {
		seeds[i] = t.seed(&g.forms[i])
	}
	for object, form := range g.formOf {
		g.typing[object] = seeds[form]
	}
	for _, c := range g.clues.closures {
		if g.typing[c.object] == 0 {
			g.typing[c.object] = newTyping(t.closureOf(c), Exact, rankAllocated)
		}
	}
	for object := range g.objects {
		if object%checkEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			t.progress("type", t.steps, g.reachedObjects)
		}
		if g.typing[object].rank() == rankRecorded && t.live(object) {
			t.follow(object)
		}
	}
	for _, c := range g.clues.closures {
		if g.typing[c.object].rank() == rankAllocated && t.live(c.object) {
			t.follow(c.object)
		}
	}
	return nil
}

// closureOf returns the type of a closure. Where debug information tells what its function's closures capture, so does
// the type.
func (t *typer) closureOf(c closureOf) uint32 {
	id := t.types.id(closure, uint32(c.fn))
	if made := &t.types.list[id]; made.base == 0 && int(c.fn) < len(t.g.Functions) {
		base := t.g.Functions[c.fn].Closure
		if form := &t.g.forms[t.g.formOf[c.object]]; base != 0 && t.types.table.get(base).Size <= form.usable() {
			t.types.setBase(id, base, false)
		}
	}
	return id
}

// seed is the type of all objects of a form.
func (t *typer) seed(f *form) typing {
	if f.typ == 0 {
		return 0
	}
	table := t.types.table
	size := table.get(f.typ).Size
	if size == 0 || size > f.usable() || table.isTablePointer(f.typ) {
		return 0 // a map's directory says nothing of what map it is
	}
	id := uint32(f.typ)
	if f.above >= f.shift()+size {
		id = t.types.id(array, id)
	}
	return newTyping(id, Exact, rankRecorded)
}

// fromRoots follows the pointers of variables whose types are known.
func (t *typer) fromRoots(ctx context.Context) error {
	for i := range t.g.Roots {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		root := &t.g.Roots[i]
		if t.types.table.valid(root.Type) {
			certainty := Exact
			if root.Conservative {
				certainty = Inferred
			}
			t.followEdges(t.g.RootNode(i), uint32(root.Type), certainty)
		}
	}
	return nil
}

// fromInterfaces uses the dynamic types of interfaces in what has no type itself.
func (t *typer) fromInterfaces(ctx context.Context) error {
	g := t.g
	for node := range g.GoroutineNode(0) {
		if node%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if node < g.objects {
			if g.typing[node] != 0 && t.types.list[g.typing[node].id()].base != 0 || !t.live(node) {
				continue
			}
		} else if root := &g.Roots[node-g.objects]; root.Type != 0 || root.Kind == snapshot.Finalizer {
			continue
		}
		from, to := g.Starts[node], g.Starts[node+1]
		if from == to || !g.clues.dynamic.any(from, to) {
			continue
		}
		for e := from; e < to; e++ {
			if _, ok := g.clues.dynamic.get(e); ok {
				t.point(e, &word{kind: interfaceData}, Exact)
			}
		}
	}
	return nil
}

// drain follows the pointers of objects whose type is new, until there are none.
func (t *typer) drain(ctx context.Context) error {
	for {
		object, ok := t.pending.take()
		if !ok {
			return nil
		}
		if t.steps%checkEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			t.progress("type", min(t.steps, t.g.reachedObjects), t.g.reachedObjects)
		}
		if t.live(object) {
			t.follow(object)
		}
	}
}

// follow gives types to what an object points to.
func (t *typer) follow(object uint32) {
	t.steps++
	typing := t.g.typing[object]
	id, certainty := typing.id(), typing.certainty()
	if t.types.list[id].guessed {
		certainty = Inferred
	}
	t.followEdges(object, id, certainty)
}

// followEdges gives types to what a node of a type points to.
func (t *typer) followEdges(node, id uint32, certainty Certainty) {
	g := t.g
	from, to := g.Starts[node], g.Starts[node+1]
	words := t.types.words(id)
	if len(words) == 0 {
		if base := t.types.list[id].base; base != 0 && from < to {
			t.followLarge(node, base, certainty)
		}
		return
	}
	high, jump, nextJump := uint64(0), 0, uint32(math.MaxUint32)
	if len(g.jumps) > 0 {
		if jump = g.firstJump(from); jump < len(g.jumps) {
			nextJump = g.jumps[jump]
		}
	}
	for e := from; e < to; e++ {
		if e == nextJump {
			high = uint64(g.highs[jump]) << 16
			nextJump = math.MaxUint32
			if jump++; jump < len(g.jumps) {
				nextJump = g.jumps[jump]
			}
		}
		at := high | uint64(g.slots[e])
		if at >= uint64(len(words)) {
			at %= uint64(len(words))
		}
		w := &words[at]
		if old := g.typing[g.Targets[e]]; old.id() != w.hint || old.certainty() < certainty {
			t.point(e, w, certainty)
		}
	}
}

// followLarge is followEdges for types too large for a table of their words.
func (t *typer) followLarge(node uint32, base snapshot.TypeID, certainty Certainty) {
	g := t.g
	for e := g.Starts[node]; e < g.Starts[node+1]; e++ {
		w := t.types.table.wordAt(base, g.slot(node, e))
		t.point(e, &w, certainty)
	}
}

// point gives a type to what an edge points to, whose word is known.
func (t *typer) point(e uint32, w *word, certainty Certainty) {
	g := t.g
	kind, arg := w.kind, w.arg
	switch kind {
	case noPointer:
		t.conflicts.misfits++
		return
	case toAnything, interfaceTab:
		return
	case interfaceData:
		dynamic, ok := g.clues.dynamic.get(e)
		if !ok {
			return
		}
		arg = snapshot.TypeID(dynamic)
	}
	target := g.Targets[e]
	offset, _ := g.offsets.get(e)
	id, rank := t.resolver.resolve(kind, arg, g.formOf[target], offset != 0)
	if id == 0 || offset != 0 && !t.onElement(id, uint64(offset), g.formOf[target]) {
		return
	}
	if kind != interfaceData {
		w.hint = id
	}
	t.assign(target, newTyping(id, certainty, rank))
}

// onElement reports whether an offset is that of an element of an object of a type.
func (t *typer) onElement(id uint32, offset uint64, form uint16) bool {
	if t.g.forms[form].tiny() || t.types.list[id].kind == stringBytes {
		return true
	}
	size := t.types.table.get(t.types.list[id].base).Size
	return size > 0 && offset%size == 0
}

// assign gives a type to an object, if it is worth more than the one it has: more certain, or as certain and from a
// better source, or as good and the other is but a part of it.
func (t *typer) assign(object uint32, claim typing) {
	g := t.g
	old := g.typing[object]
	if old == 0 {
		g.typing[object] = claim
		t.changed(object)
		return
	}
	if old.id() == claim.id() {
		if claim.certainty() > old.certainty() || claim.certainty() == old.certainty() && claim.rank() > old.rank() {
			g.typing[object] = claim
			if claim.certainty() > old.certainty() {
				t.changed(object)
			}
		}
		return
	}
	if t.sameLayout(object, old, claim) {
		return
	}
	if claim.certainty() < old.certainty() {
		return
	}
	surer := claim.certainty() > old.certainty()
	bigger := t.isPart(old.id(), claim.id())
	if surer || claim.rank() > old.rank() || claim.rank() == old.rank() && bigger {
		g.typing[object] = claim
		t.changed(object)
	}
	if !surer && !bigger && !t.isPart(claim.id(), old.id()) && !t.sameThing(object, old.id(), claim.id()) {
		t.conflicts.objects++
	}
}

// sameThing reports whether two types are two names of one thing: a channel and its receiving end, a map by a named
// and an unnamed type; or whether two values may well share an object.
func (t *typer) sameThing(object, a, b uint32) bool {
	x, y := &t.types.list[a], &t.types.list[b]
	table := t.types.table
	switch {
	case t.g.forms[t.g.formOf[object]].tiny(), x.kind == funcValue && y.kind == funcValue:
		return true
	case x.kind == stringBytes:
		return y.kind == array && table.get(y.base).Size == 1
	case y.kind == stringBytes:
		return x.kind == array && table.get(x.base).Size == 1
	case x.kind != y.kind:
		return false
	case x.kind <= array:
		return table.sameFields(x.base, y.base)
	case x.kind == channel:
		return table.get(snapshot.TypeID(x.arg)).Elem == table.get(snapshot.TypeID(y.arg)).Elem
	case x.kind == mapHeader, x.kind == oldHeader:
		return table.get(snapshot.TypeID(x.arg)).Group == table.get(snapshot.TypeID(y.arg)).Group
	}
	return false
}

// sameLayout settles claims that differ only in whether an object is one value or an array: what a slice points to is
// an array.
func (t *typer) sameLayout(object uint32, old, claim typing) bool {
	a, b := &t.types.list[old.id()], &t.types.list[claim.id()]
	if a.kind > array || b.kind > array || a.base == 0 || a.base != b.base {
		return false
	}
	id := old.id()
	if b.kind == array {
		id = claim.id()
	}
	certainty := max(old.certainty(), claim.certainty())
	t.g.typing[object] = newTyping(id, certainty, max(old.rank(), claim.rank()))
	if certainty > old.certainty() {
		t.changed(object)
	}
	return true
}

// isPart reports whether a type is what another begins with, or the runtime's own for what is known better.
func (t *typer) isPart(part, whole uint32) bool {
	p, w := &t.types.list[part], &t.types.list[whole]
	if p.kind == value && p.base != 0 {
		named := t.types.table.named
		switch w.kind {
		case channel:
			return p.base == named["runtime.hchan"]
		case mapHeader:
			return p.base == named["maps.Map"]
		case mapTable:
			return p.base == named["maps.table"]
		}
	}
	if p.kind <= array && w.kind == directory {
		return t.types.table.isTablePointer(p.base)
	}
	if p.base == 0 || w.base == 0 || p.kind > array || w.kind > array || p.base == w.base {
		return false
	}
	return t.types.table.contains(w.base, 0, p.base)
}

// changed notes that what an object points to may be known better now.
func (t *typer) changed(object uint32) {
	if !t.g.forms[t.g.formOf[object]].noscan {
		t.pending.add(object)
	}
}
