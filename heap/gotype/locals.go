package gotype

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// Local is a variable, or a part of one, in a frame or in a closure.
type Local struct {
	// Name is as in the source. A variable that was moved to the heap, to which the frame or closure holds a pointer,
	// has its own name and the type of the pointer.
	Name string
	// Type is the variable's, 0 if it cannot be told.
	Type snapshot.TypeID
	// Offset is where the part begins: in a frame counted from the canonical frame address (CFA), the value that the
	// stack pointer had in the caller just before the call instruction, and so mostly negative; in a closure from the
	// beginning of the closure object.
	Offset int64
	// Start is where in a value of Type the part begins, and Size how long it is. The compiler takes strings, slices
	// and small structs apart and may keep one word of them in the frame and others in registers: each part in the
	// frame is then a Local of its own. A whole variable has Start 0 and its type's size.
	Start, Size uint64
}

type frameKey struct{ entry, pc uint64 }

// maxMemo bounds what is remembered of frames; a program's goroutines wait at far fewer places.
const maxMemo = 1 << 16

// Locals returns the variables and parameters of a function that lie in its frame at a program counter, those of
// inlined calls included, in the order of their offsets. entry is the address of the function, and pc that of an
// instruction in it: where the function has called another, that of the call, which the return address less one will
// do for. Variables that are in registers, or not live, are missing. Without debug information there are none, and no
// error.
//
// The caller must not change the result. Each place is looked at once; the first call reads the index of the debug
// information.
func (t *Table) Locals(entry, pc uint64) ([]Local, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := frameKey{entry, pc}
	if l, ok := t.frames[key]; ok {
		return l, nil
	}
	w, err := t.walk(entry)
	if err != nil || w == nil {
		return nil, wrapFunction(entry, err)
	}
	w.pc, w.frame = pc-t.bias, true
	if err := w.run(); err != nil {
		return nil, wrapFunction(entry, err)
	}
	if len(t.frames) >= maxMemo {
		clear(t.frames)
	}
	t.frames[key] = w.sorted()
	return w.found, nil
}

// Captured returns the variables that the closures of a function hold, by the address of the function, in the order of
// their offsets in the closure object. A function that captures nothing has none, nor has one without debug
// information, nor one that the compiler also inlined, of which the debug information does not tell.
func (t *Table) Captured(entry uint64) ([]Local, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l, ok := t.closures[entry]; ok {
		return l, nil
	}
	w, err := t.walk(entry)
	if err != nil || w == nil {
		return nil, wrapFunction(entry, err)
	}
	if err := w.run(); err != nil {
		return nil, wrapFunction(entry, err)
	}
	if len(t.closures) >= maxMemo {
		clear(t.closures)
	}
	t.closures[entry] = w.sorted()
	return w.found, nil
}

func wrapFunction(entry uint64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("variables of the function at %#x: %w", entry, err)
}

// functionWalk goes over the entries of a function.
type functionWalk struct {
	t     *Table
	d     *dwarfData
	unit  *unit
	c     cursor
	frame bool   // variables in the frame at pc, rather than captured ones
	pc    uint64 // in the binary
	found []Local
}

// walk finds a function; nil if the debug information does not have it.
func (t *Table) walk(entry uint64) (*functionWalk, error) {
	d, err := t.debugInfo()
	if errors.Is(err, errNoData) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	at := entry - t.bias
	i := sort.Search(len(d.functions), func(i int) bool { return d.functions[i].entry >= at })
	if i == len(d.functions) || d.functions[i].entry != at {
		return nil, nil
	}
	u := d.unitOf(d.functions[i].offset)
	return &functionWalk{t: t, d: d, unit: u, c: cursor{b: d.info[:u.end], at: d.functions[i].offset}}, nil
}

// run visits the function's variables, and those of its blocks and inlined calls that hold pc.
func (w *functionWalk) run() error {
	a, e, err := w.d.entry(w.unit, &w.c)
	if err != nil || a == nil || !a.children {
		return err
	}
	if w.frame && (!e.has(hasFrameBase) || len(e.frameBase) != 1 || e.frameBase[0] != opCFA) {
		return nil // written in C or assembly
	}
	skip := 0 // the depth of the block that does not hold pc, 0 if all around do
	for depth := 1; depth > 0; {
		a, e, err := w.d.entry(w.unit, &w.c)
		if err != nil {
			return err
		}
		if a == nil {
			if depth == skip {
				skip = 0
			}
			depth--
			continue
		}
		if skip == 0 && (a.tag == tagVariable || a.tag == tagParameter) {
			if err := w.variable(&e); err != nil {
				return err
			}
		}
		if !a.children {
			continue
		}
		depth++
		if skip != 0 {
			continue
		}
		inside, err := w.enters(a, &e)
		if err != nil {
			return err
		}
		if !inside {
			skip = depth
		}
	}
	return nil
}

// enters reports whether the entries below one matter.
func (w *functionWalk) enters(a *abbrev, e *attributes) (bool, error) {
	switch a.tag {
	case tagLexicalBlock:
		if !w.frame {
			return true, nil
		}
	case tagInlined:
		if !w.frame {
			return false, nil
		}
	default:
		return false, nil
	}
	return w.d.covers(w.unit, e, w.pc)
}

// variable notes a variable if it is what is looked for.
func (w *functionWalk) variable(e *attributes) error {
	if !w.frame {
		if e.closureOffset == 0 || e.closureOffset > maxSize {
			return nil
		}
		return w.add(e, []piece{{offset: int64(e.closureOffset)}})
	}
	expr := e.location
	if e.has(hasLocationList) {
		var found bool
		var err error
		if expr, found, err = w.d.lookup(w.unit, locationLists, e.locationList, e.listIndexed, w.pc); err != nil || !found {
			return err
		}
	}
	if pieces := frameLocation(expr); len(pieces) > 0 {
		return w.add(e, pieces)
	}
	return nil
}

// add notes the parts of a variable. Its name and type may stand with the function that was inlined.
func (w *functionWalk) add(e *attributes, pieces []piece) error {
	name, typ, ok := e.name, e.typ, e.has(hasType)
	for origin, i := e, 0; origin.has(hasOrigin) && i < maxAliases; i++ {
		u := w.d.unitOf(origin.origin)
		if u == nil {
			return fmt.Errorf("%w: no entry at %#x", errDWARF, origin.origin)
		}
		c := cursor{b: w.d.info[:u.end], at: origin.origin}
		a, next, err := w.d.entry(u, &c)
		if err != nil {
			return err
		}
		if a == nil {
			return fmt.Errorf("%w: no entry at %#x", errDWARF, origin.origin)
		}
		if origin = &next; name == "" {
			name = next.name
		}
		if !ok && next.has(hasType) {
			typ, ok = next.typ, true
		}
	}
	l := Local{Name: strings.TrimPrefix(name, "&")}
	if ok {
		id, err := w.t.debugType(w.d, typ)
		if err != nil {
			return err
		}
		l.Type = id
	}
	size := w.t.types[l.Type].Size
	for _, p := range pieces {
		l.Offset, l.Start, l.Size = p.offset, p.start, p.size
		if p.size == 0 {
			l.Size = size
		}
		if l.Type != 0 && (l.Start > size || l.Size > size-l.Start) || l.Size == 0 {
			continue // no part of such a value, or nothing
		}
		w.found = append(w.found, l)
	}
	return nil
}

// sorted orders what was found by offset.
func (w *functionWalk) sorted() []Local {
	sort.SliceStable(w.found, func(i, j int) bool { return w.found[i].Offset < w.found[j].Offset })
	w.found = slices.DeleteFunc(w.found, w.repeated)
	return w.found
}

// repeated reports whether a local is a word of another: since 1.27 the compiler lists "users.ptr" beside "users" when
// it has taken a variable apart.
func (w *functionWalk) repeated(l Local) bool {
	whole, _, ok := strings.Cut(l.Name, ".")
	return ok && whole != "" && slices.ContainsFunc(w.found, func(other Local) bool {
		return other.Name == whole && other.Offset <= l.Offset && l.Offset < other.Offset+int64(other.Size)
	})
}
