package graph

import (
	"context"
	"math/bits"
	"slices"
	"sort"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	// rounds bounds how often inference goes over what is left: each round knows what the one before found.
	rounds = 6
	// maxFailures is after how many objects of a form without success, one after another, the form is left alone for the
	// round; after fewer if it has many candidates.
	maxFailures = 512
	// maxChecks bounds the comparisons of an object with a candidate, and so the time.
	maxChecks = 1 << 24
	// tries is how many closures of a function are looked at to tell what they capture.
	tries = 64
)

// inference finds types for what propagation has left, by elimination.
type inference struct {
	*typer
	candidates *candidates
	owners     *owners
	holders    holders
	failures   []uint16 // by form, in this round, in a row
	grounded   []uint16 // the same, of objects that point to one whose type is known
	narrowed   map[narrowKey][]uint32
	groupForms map[uint16]bool // forms that groups of maps may have
	open       []uint32        // objects whose type is new: what points to them may be told now
	scratch    []uint32
	checks     int
}

// infer gives types to objects that only one type fits, and to what they point to, until nothing is found any more.
func (t *typer) infer(ctx context.Context) error {
	x := newInference(t)
	if err := x.holders.build(ctx, t); err != nil {
		return err
	}
	for round := range rounds {
		t.progress("infer", uint64(round), rounds)
		found, err := x.round(ctx)
		if err != nil {
			return err
		}
		if err := t.drain(ctx); err != nil {
			return err
		}
		if found == 0 {
			break
		}
	}
	t.progress("infer", rounds, rounds)
	return nil
}

func newInference(t *typer) *inference {
	return &inference{
		typer:      t,
		candidates: newCandidates(t.types, t.g.forms),
		owners:     newOwners(t.types.table),
		failures:   make([]uint16, len(t.g.forms)),
		grounded:   make([]uint16, len(t.g.forms)),
		narrowed:   make(map[narrowKey][]uint32),
		groupForms: make(map[uint16]bool),
	}
}

// round goes over all objects without a type and returns how many got one.
func (x *inference) round(ctx context.Context) (found uint64, err error) {
	clear(x.failures)
	clear(x.grounded)
	x.ambiguous = 0
	if found, err = x.closures(ctx); err != nil {
		return found, err
	}
	parts, err := x.runtimeParts(ctx)
	if err != nil {
		return found, err
	}
	found += parts
	steps := 0
	for i, w := range x.holders.unknown {
		for ; w != 0; w &= w - 1 {
			object := uint32(i*64 + bits.TrailingZeros64(w))
			if x.g.typing[object] != 0 || x.checks > maxChecks {
				continue
			}
			form := x.g.formOf[object]
			failures, patience := &x.failures[form], x.patience(form)
			if *failures >= patience {
				// Of those that nothing is known about, enough have been tried.
				if failures, patience = &x.grounded[form], maxGrounded; *failures >= patience || !x.pointsToKnown(object) {
					continue
				}
			}
			if steps++; steps%1024 == 0 && ctx.Err() != nil {
				return found, ctx.Err()
			}
			id, several := x.decide(object, x.holders.of(object))
			if id == 0 {
				*failures++
				if several {
					x.ambiguous++
				}
				continue
			}
			*failures = 0
			found++
			x.assign(object, newTyping(id, Inferred, rankInside))
			if !x.g.forms[form].noscan {
				found += x.backwards(object)
			}
		}
	}
	return found, nil
}

// decide returns the type that fits an object if there is exactly one, or one that agrees with each pointer where no
// other does; and whether there were several.
func (x *inference) decide(object uint32, holders []holder) (id uint32, several bool) {
	form := x.g.formOf[object]
	if id := x.certainPart(object, holders); id != 0 {
		return id, false
	}
	if x.mayBePart(object) {
		return 0, true
	}
	made := x.runtimeTypes(object)
	list, known := x.narrow(object, x.candidates.of(form))
	if list == nil {
		list = x.byHolders(form, holders)
	}
	list = append(list[:len(list):len(list)], made...)
	x.checks += len(list)
	// Generic code's own types are looked at only if nothing else fits: what it allocates is of the instance's.
	c := choice{known: known}
	for _, generic := range []bool{false, true} {
		for _, candidate := range list {
			if x.candidates.generic(candidate) != generic {
				continue
			}
			level := x.fitsEdges(object, candidate)
			if level != against {
				level = min(level, x.fitsHolders(candidate, form, holders))
			}
			if c.add(candidate, level); c.open() {
				return 0, true
			}
		}
		if c.weak > 0 {
			break
		}
	}
	return c.result()
}

// choice is a choice among candidates.
type choice struct {
	// known tells that a pointer of the object leads to a known type, to its beginning. Then what has a pointer of just
	// that type is preferred to what may point to anything: pointers of the latter kind are rare.
	known                bool
	weak, strong, agreed int // how many may fit, how many of them without doubt, and how many agree
	one                  uint32
	best                 uint32 // one of those that agree
}

func (c *choice) add(candidate uint32, level agreement) {
	if level == against {
		return
	}
	c.weak++
	c.one = candidate
	if level >= vague {
		c.strong++
	}
	if level == agrees {
		c.agreed++
		c.best = candidate
	}
}

// open reports whether nothing more can decide the choice.
func (c *choice) open() bool {
	if c.known {
		return c.agreed > 1
	}
	return c.strong > 1
}

// result returns the candidate that was chosen, 0 if none was, and whether there were several.
func (c *choice) result() (id uint32, several bool) {
	switch {
	case c.weak == 1:
		return c.one, false
	case c.strong == 1, c.known && c.agreed == 1:
		return c.best, false
	}
	return 0, c.weak > 1
}

// patience is how many failures in a row are borne for a form.
func (x *inference) patience(form uint16) uint16 {
	return uint16(max(16, maxFailures-len(x.candidates.of(form))/16))
}

// byHolders returns the types that contain what the holders say lies in an object, where its form says too little.
func (x *inference) byHolders(form uint16, holders []holder) []uint32 {
	f := &x.g.forms[form]
	if f.tiny() || f.size == 0 {
		return nil
	}
	for _, h := range holders {
		w, ok := x.holderWord(h)
		if !ok || w.kind != toValue && w.kind != toElements || x.types.table.get(w.arg).Size == 0 {
			continue
		}
		offset, _ := x.g.offsets.get(h.edge)
		list := x.candidates.around(x.owners, w.arg, uint64(offset), f)
		// A pointer to the first of several values is a backing array, unless something larger begins so.
		if offset == 0 && len(list) == 0 && x.types.table.fits(w.arg, f) == arrayFit {
			list = append(list, x.types.id(array, uint32(w.arg)))
		}
		return list
	}
	return nil
}

// fitsHolders tells how well a type agrees with what points to an object of a form.
func (x *inference) fitsHolders(id uint32, form uint16, holders []holder) agreement {
	level := agrees
	for i, h := range holders {
		if i >= tries || level == against {
			break
		}
		w, ok := x.holderWord(h)
		if !ok || w.kind == toAnything {
			continue
		}
		offset, _ := x.g.offsets.get(h.edge)
		level = min(level, x.compatible(w, id, uint64(offset), form))
	}
	return level
}

// holderWord returns what the word in which a holder points is.
func (x *inference) holderWord(h holder) (word, bool) {
	if dynamic, ok := x.g.clues.dynamic.get(h.edge); ok {
		return x.interfaceWord(snapshot.TypeID(dynamic)), true
	}
	return x.wordOf(h.node, h.edge)
}

// closures finds what the closures of each function capture.
func (x *inference) closures(ctx context.Context) (found uint64, err error) {
	all := x.g.clues.closures
	if !slices.IsSortedFunc(all, byFunction) {
		slices.SortFunc(all, byFunction)
	}
	for len(all) > 0 {
		if err := ctx.Err(); err != nil {
			return found, err
		}
		n := sort.Search(len(all), func(i int) bool { return all[i].fn > all[0].fn })
		same := all[:n]
		all = all[n:]
		id := x.types.id(closure, uint32(same[0].fn))
		if x.types.list[id].base != 0 {
			continue
		}
		if base := x.captured(same); base != 0 {
			found++
			x.types.setBase(id, base, true)
			for _, c := range same {
				if x.g.typing[c.object].id() == id {
					x.pending.add(c.object)
				}
			}
		}
	}
	return found, nil
}

func byFunction(a, b closureOf) int {
	if a.fn != b.fn {
		return int(a.fn) - int(b.fn)
	}
	return int(a.object) - int(b.object)
}

// captured returns the struct that the closures of a function are, 0 if that is not clear.
func (x *inference) captured(same []closureOf) snapshot.TypeID {
	form := x.g.formOf[same[0].object]
	name := ""
	if fn := same[0].fn; int(fn) < len(x.g.Functions) {
		name = x.g.Functions[fn].Name
	}
	list := x.candidates.closuresOf(&x.g.forms[form])
	if x.checks += len(list); x.checks > maxChecks {
		return 0
	}
	var c choice
	for _, candidate := range list {
		bound := x.isBound(candidate)
		if bound != strings.HasSuffix(name, "-fm") {
			continue
		}
		level := agrees
		for i, of := range same {
			if i >= tries || level == against {
				break
			}
			if x.g.formOf[of.object] != form {
				level = against
			} else if x.live(of.object) {
				level = min(level, x.fitsEdges(of.object, uint32(candidate)))
			}
		}
		if bound && level != against && x.isReceiver(candidate, name) {
			return candidate
		}
		c.add(uint32(candidate), level)
	}
	id, _ := c.result()
	return snapshot.TypeID(id)
}

// isBound reports whether a closure struct is that of a method value: it captures the receiver.
func (x *inference) isBound(id snapshot.TypeID) bool {
	fields := x.types.table.get(id).Fields
	return len(fields) == 2 && fields[1].Name == "R"
}

// isReceiver reports whether a closure struct captures the receiver of the method of a name, such as
// "net/http.(*conn).serve-fm".
func (x *inference) isReceiver(id snapshot.TypeID, name string) bool {
	table := x.types.table
	r := table.get(table.get(id).Fields[1].Type)
	open, end := ".", "."
	if r.Kind == snapshot.Pointer {
		r, open, end = table.get(r.Elem), ".(*", ")."
	}
	_, short, _ := strings.Cut(r.Name, ".")
	return r.PkgPath != "" && strings.HasPrefix(name, r.PkgPath+open+short+end)
}
