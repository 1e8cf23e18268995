package graph

import "github.com/memwarden/memwarden/heap/snapshot"

// wordOf returns what the word of an edge is, as far as the type of its source is known.
func (t *typer) wordOf(node, e uint32) (word, bool) {
	var id uint32
	switch kind, i := t.g.Kind(node); kind {
	case ObjectNode:
		id = t.g.typing[node].id()
	case RootNode:
		id = uint32(t.g.Roots[i].Type)
	}
	if id == 0 {
		return word{}, false
	}
	return t.wordIn(id, t.g.slot(node, e))
}

// wordIn returns a word of an object type, and false if nothing is known of its words.
func (t *typer) wordIn(id uint32, at uint64) (word, bool) {
	if words := t.types.words(id); len(words) > 0 {
		return words[at%uint64(len(words))], true
	}
	base := t.types.list[id].base
	if base == 0 {
		return word{}, false
	}
	return t.types.table.wordAt(base, at), true
}

// agreement is how well an edge agrees with a type.
type agreement uint8

const (
	against agreement = iota // it cannot be
	maybe                    // nothing speaks against it
	vague                    // it may point to anything
	agrees                   // it points to just what it should, to its beginning
)

// accepts tells how well an edge agrees with being the pointer in a word, by all that is known of its target.
func (t *typer) accepts(w word, e uint32) agreement {
	g := t.g
	dynamic, isData := g.clues.dynamic.get(e)
	if isData != (w.kind == interfaceData) {
		return against
	}
	if isData {
		w = t.interfaceWord(snapshot.TypeID(dynamic))
	}
	target := g.Targets[e]
	offset, _ := g.offsets.get(e)
	form := g.formOf[target]
	if !t.lengthAgrees(w, e, &g.forms[form], uint64(offset)) {
		return against
	}
	if typing := g.typing[target]; typing != 0 && (!t.strict || typing.rank() >= rankAllocated) {
		return t.compatible(w, typing.id(), uint64(offset), form)
	}
	level := t.possible(w, form, uint64(offset))
	if level == agrees && offset == 0 && w.kind == toValue && t.depth < lookahead && !g.forms[form].noscan {
		// What it should point to must agree with what that points to.
		t.depth++
		level = min(level, t.fitsEdges(target, uint32(w.arg)))
		t.depth--
	}
	return level
}

// lookahead is how many pointers far a guess is followed.
const lookahead = 2

// fitsEdges tells how well a type agrees with what an object points to.
func (t *typer) fitsEdges(object, id uint32) agreement {
	level := agrees
	for e := t.g.Starts[object]; e < t.g.Starts[object+1] && level != against; e++ {
		w, ok := t.wordIn(id, t.g.slot(object, e))
		if !ok {
			return against
		}
		level = min(level, t.accepts(w, e))
	}
	return level
}

// lengthAgrees reports whether what stands behind a pointer may be the length of a string or slice, if the word should
// begin one. It is recorded for every string and slice with something in a large object.
func (t *typer) lengthAgrees(w word, e uint32, f *form, offset uint64) bool {
	if w.kind != toString && w.kind != toElements || f.size < snapshot.PinBytes {
		return true
	}
	length, ok := t.g.clues.lengths.get(e)
	if !ok {
		return false
	}
	size := uint64(1)
	if w.kind == toElements {
		size = t.types.table.get(w.arg).Size
	}
	return size == 0 || uint64(length) <= (f.usable()-min(offset, f.usable()))/size
}

// interfaceWord is what the data word of an interface with a dynamic type is.
func (t *typer) interfaceWord(dynamic snapshot.TypeID) word {
	table := t.types.table
	if !table.get(dynamic).DirectIface {
		return word{kind: toValue, arg: dynamic}
	}
	if words := t.types.words(uint32(dynamic)); len(words) == 1 {
		return words[0]
	}
	return word{kind: toAnything}
}

// possible tells how well a word agrees with pointing to an object of a form, of which no type is known.
func (t *typer) possible(w word, form uint16, offset uint64) agreement {
	f, table := &t.g.forms[form], t.types.table
	switch w.kind {
	case noPointer:
		return against
	case toAnything, interfaceTab, interfaceData:
		return vague
	case toValue, toElements:
		if !table.mayHold(f, offset, w.arg) {
			return against
		}
		if fit := table.fits(w.arg, f); offset == 0 && (fit == oneFit || fit == arrayFit && w.kind == toElements) {
			return agrees
		}
		return maybe
	case toString:
		if f.noscan {
			return agrees
		}
		if f.small() && (offset/wordBytes >= 64 || f.mask>>(offset/wordBytes)&1 != 0) {
			return against
		}
		return maybe
	default:
		if id, _ := t.resolver.resolve(w.kind, w.arg, form, offset != 0); id == 0 {
			return against
		}
		if f.noscan && (w.kind == toChan || w.kind == toClosure) {
			return maybe // any bytes may be that
		}
		return agrees
	}
}

// compatible tells how well a word agrees with pointing to an offset of an object of a type.
func (t *typer) compatible(w word, id uint32, offset uint64, form uint16) agreement {
	table, of := t.types.table, &t.types.list[id]
	same := func(yes bool) agreement {
		if yes {
			return agrees
		}
		return against
	}
	switch w.kind {
	case noPointer:
		return against
	case toAnything, interfaceTab, interfaceData:
		return vague
	case toString:
		if of.kind == stringBytes || of.kind == array && table.get(of.base).Size == 1 {
			return agrees
		}
		if of.base == 0 || t.g.forms[form].noscan != (table.get(of.base).PtrBytes == 0) {
			return against
		}
		return t.possible(w, form, offset)
	case toClosure:
		return same(of.kind == closure || of.kind == funcValue)
	case toMap:
		header := of.kind == mapHeader || of.kind == oldHeader
		return same(header && table.get(snapshot.TypeID(of.arg)).Group == table.get(w.arg).Group ||
			of.kind == value && of.base != 0 && of.base == table.named["maps.Map"])
	case toChan:
		return same(of.kind == channel && table.get(snapshot.TypeID(of.arg)).Elem == table.get(w.arg).Elem ||
			of.kind == value && of.base != 0 && of.base == table.named["runtime.hchan"])
	case toDirectory:
		if of.kind == directory {
			return same(of.arg == uint32(w.arg))
		}
	case toTable:
		return same(of.kind == mapTable && of.arg == uint32(w.arg) ||
			of.kind == value && of.base != 0 && of.base == table.named["maps.table"])
	case toMapExtra:
		return same(of.kind == mapExtra)
	case toWeakHandle:
		return same(of.kind == weakHandle)
	}
	switch {
	case !t.holds(of, offset, w.arg, form):
		return against
	case offset == 0 || of.base == w.arg:
		return agrees
	}
	return maybe
}

// holds reports whether an object of a type may have a value of another type at an offset.
func (t *typer) holds(of *objectType, offset uint64, part snapshot.TypeID, form uint16) bool {
	table := t.types.table
	typ := table.get(part)
	switch {
	case typ.Size == 0 || table.opaque[part]:
		return true
	case t.g.forms[form].tiny():
		return typ.PtrBytes == 0
	case of.base != 0 && of.kind <= array:
		return table.contains(of.base, offset, part) || offset == 0 && of.base == table.behind(part)
	case of.kind == closure || of.kind == funcValue:
		return of.base == 0 || table.contains(of.base, offset, part)
	case of.kind == stringBytes:
		return typ.Size == 1
	case of.kind == mapHeader:
		return part == table.named["maps.Map"]
	case of.kind == channel:
		// Elements of a channel without pointers lie behind its header.
		return part == table.named["runtime.hchan"] || table.get(snapshot.TypeID(of.arg)).Elem == part
	}
	return false
}
