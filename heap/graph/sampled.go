package graph

import (
	"context"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// sampled gives the sampled objects the types that the code asked for where it allocated them. What the runtime makes for
// any map or channel is left to what tells which: see unspecific.
func (t *typer) sampled(ctx context.Context) error {
	g := t.g
	captured := make(map[uint32]bool) // types of closures of which more is known now
	for i := range g.Sampled {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s := &g.Sampled[i]
		object := uint32(s.Object)
		if !t.types.table.valid(s.Type) || object >= g.objects || t.types.table.isHeader(s.Type) {
			continue
		}
		form := &g.forms[g.formOf[object]]
		if old := g.typing[object].id(); t.types.list[old].kind == closure {
			if t.types.list[old].base == 0 && t.types.table.fits(s.Type, form) == oneFit {
				t.types.setBase(old, s.Type, false)
				captured[old] = true
			}
			continue
		}
		if id, rank := t.resolver.allocated(s.Type, form); id != 0 {
			t.assign(object, newTyping(id, Exact, rank))
		}
	}
	if len(captured) > 0 {
		for _, c := range g.clues.closures {
			if captured[g.typing[c.object].id()] {
				t.pending.add(c.object)
			}
		}
	}
	return nil
}

// unspecific gives those of the sampled objects their type that are headers of maps, tables and channels of which nothing
// has told the elements.
func (t *typer) unspecific(ctx context.Context) error {
	g := t.g
	for i := range g.Sampled {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s := &g.Sampled[i]
		if object := uint32(s.Object); object < g.objects && g.typing[object] == 0 && t.types.table.isHeader(s.Type) {
			if id, rank := t.resolver.elements(s.Type, &g.forms[g.formOf[object]]); id != 0 {
				t.assign(object, newTyping(id, Exact, rank))
			}
		}
	}
	return t.drain(ctx)
}

// allocated returns what an object of a form is that was allocated for a type: see snapshot.Sampled.
func (r *resolver) allocated(id snapshot.TypeID, f *form) (uint32, rank) {
	table := r.types.table
	typ := table.get(id)
	switch typ.Kind {
	case snapshot.Chan:
		if made, _ := r.decide(toChan, id, f); made != 0 {
			return made, rankAllocated
		}
		return r.elements(typ.Elem, f)
	case snapshot.Map:
		return r.partOfMap(id, f)
	}
	made, rank := r.elements(id, f)
	if typ.Size == 1 {
		rank = min(rank, rankInside) // bytes may become a string's
	}
	return made, rank
}

// elements is allocated for a value or several of them.
func (r *resolver) elements(id snapshot.TypeID, f *form) (uint32, rank) {
	if table := r.types.table; f.tiny() && table.get(id).Size < tinyBytes {
		return 0, noRank // it shares a block
	}
	switch r.types.table.fits(id, f) {
	case oneFit:
		return uint32(id), rankAllocated
	case arrayFit:
		return r.types.id(array, uint32(id)), rankAllocated
	}
	return 0, noRank
}

// partOfMap is allocated for what a map is made of, a large key or a large element.
func (r *resolver) partOfMap(id snapshot.TypeID, f *form) (uint32, rank) {
	typ := r.types.table.get(id)
	if made, _ := r.decide(toMap, id, f); made != 0 {
		return made, rankAllocated
	}
	for _, kind := range []pointing{toTable, toMapExtra, toGroups} {
		if made, _ := r.decideMap(kind, typ.Group, f); made != 0 {
			return made, rankAllocated
		}
	}
	// Whether words that all point are those of a directory, their targets will tell.
	for _, large := range []snapshot.TypeID{typ.Elem, typ.Key} {
		if r.types.table.get(large).Size > maxInline && r.types.table.fits(large, f) == oneFit {
			return uint32(large), rankAllocated
		}
	}
	return 0, noRank
}

// maxInline is up to which size keys and elements of maps lie in their groups.
const maxInline = 128
