package gotype

import (
	"fmt"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// typeRef is what became of a type's entry.
type typeRef struct{ id snapshot.TypeID }

const (
	maxAliases     = 16  // typedefs behind each other
	maxContainment = 256 // structs and arrays within each other
)

// debugBatch converts types of the debug information that refer to each other.
type debugBatch struct {
	t     *Table
	d     *dwarfData
	queue []uint64 // offsets of numbered types that are not converted yet
	fresh []snapshot.TypeID
}

// debugType returns the type whose entry lies at an offset. The type that the runtime knows is taken where there is
// one; else it is converted, and is DebugOnly. The caller holds the lock. A type that cannot be told is the unknown
// type.
func (t *Table) debugType(d *dwarfData, offset uint64) (snapshot.TypeID, error) {
	if r, ok := d.types[offset]; ok {
		return r.id, nil
	}
	b := debugBatch{t: t, d: d}
	id, err := b.ref(offset)
	for err == nil && len(b.queue) > 0 {
		next := b.queue[len(b.queue)-1]
		b.queue = b.queue[:len(b.queue)-1]
		err = b.convert(next)
	}
	if err != nil {
		return 0, fmt.Errorf("type at %#x in the debug information: %w", offset, err)
	}
	sized := make(map[snapshot.TypeID]bool)
	for _, id := range b.fresh {
		t.measure(id, sized, 0)
	}
	return id, nil
}

// resolve follows aliases to the entry that describes a type.
func (b *debugBatch) resolve(offset uint64) (uint64, *unit, *abbrev, attributes, error) {
	for range maxAliases {
		u := b.d.unitOf(offset)
		if u == nil {
			return 0, nil, nil, attributes{}, fmt.Errorf("%w: no entry at %#x", errDWARF, offset)
		}
		c := cursor{b: b.d.info[:u.end], at: offset}
		a, e, err := b.d.entry(u, &c)
		if err != nil {
			return 0, nil, nil, attributes{}, err
		}
		if a == nil {
			return 0, nil, nil, attributes{}, fmt.Errorf("%w: no entry at %#x", errDWARF, offset)
		}
		// Maps, channels and interfaces are typedefs with a kind; those without are names of other entries.
		if a.tag != tagTypedef || e.goKind != 0 || !e.has(hasType) {
			return offset, u, a, e, nil
		}
		offset = e.typ
	}
	return 0, nil, nil, attributes{}, fmt.Errorf("%w: type at %#x is its own name", errDWARF, offset)
}

// ref numbers the type of an entry.
func (b *debugBatch) ref(offset uint64) (snapshot.TypeID, error) {
	if r, ok := b.d.types[offset]; ok {
		return r.id, nil
	}
	at, u, a, e, err := b.resolve(offset)
	if err != nil {
		return 0, err
	}
	if r, ok := b.d.types[at]; ok {
		b.d.types[offset] = r
		return r.id, nil
	}
	id, ok := b.t.runtimeType(u, &e)
	if !ok && kindOf(a, &e) != snapshot.Invalid {
		if err := b.t.spent.take(&b.t.spent.types, 1, "types"); err != nil {
			return 0, err
		}
		id = snapshot.TypeID(len(b.t.types))
		b.t.types = append(b.t.types, snapshot.Type{})
		b.queue = append(b.queue, at)
		b.fresh = append(b.fresh, id)
	}
	b.d.types[at], b.d.types[offset] = typeRef{id}, typeRef{id}
	return id, nil
}

// runtimeType returns the type that the runtime knows by an entry's descriptor. The attribute counts from the section
// that the linker put the descriptors in, which is checked by the name, the size and the kind.
func (t *Table) runtimeType(u *unit, e *attributes) (snapshot.TypeID, bool) {
	if e.runtimeType == 0 || !u.isGo {
		return 0, false
	}
	for i := range t.bases {
		addr := t.bases[i] + e.runtimeType
		if t.regionOf(addr) == nil {
			continue
		}
		id, err := t.intern(addr)
		if err != nil {
			continue
		}
		typ := &t.types[id]
		if e.goKind != 0 && snapshot.Kind(e.goKind) != typ.Kind || e.has(hasByteSize) && e.byteSize != typ.Size ||
			typ.Name != t.reflectName(e.name).name && !sameEnd(typ.Name, e.name) {
			continue
		}
		return id, true
	}
	return 0, false
}

// sameEnd reports whether two names of a type agree in what both forms have alike: the last letters, but for the mark
// that tells types of the same name in one package apart.
func sameEnd(runtime, debug string) bool {
	debug, _, _ = strings.Cut(debug, "·")
	n := min(len(runtime), len(debug))
	for i := 1; i <= n; i++ {
		a, b := runtime[len(runtime)-i], debug[len(debug)-i]
		if a != b {
			return false
		}
		if a == '.' || a == ' ' || a == ']' || a == '*' {
			return true
		}
	}
	return n > 0
}

// kindOf tells the kind of a type; Invalid for what has no place in the table.
func kindOf(a *abbrev, e *attributes) snapshot.Kind {
	if e.goKind != 0 && e.goKind <= uint64(snapshot.UnsafePointer) {
		return snapshot.Kind(e.goKind)
	}
	switch a.tag {
	case tagPointer:
		if !e.has(hasType) {
			return snapshot.UnsafePointer
		}
		return snapshot.Pointer
	case tagStruct:
		return snapshot.Struct
	case tagArray:
		return snapshot.Array
	case tagSubroutine:
		return snapshot.Func
	}
	return snapshot.Invalid
}

// convert fills in a type that ref numbered.
func (b *debugBatch) convert(offset uint64) error {
	_, _, a, e, err := b.resolve(offset)
	if err != nil {
		return err
	}
	kind := kindOf(a, &e)
	name := b.t.reflectName(e.name)
	if err := b.t.spent.take(&b.t.spent.nameBytes, len(name.name), "names"); err != nil {
		return err
	}
	typ := snapshot.Type{Name: name.name, PkgPath: name.path, Kind: kind, DebugOnly: true}
	typ.Size, typ.PtrBytes = uint64(fixed[kind].size), uint64(fixed[kind].ptrBytes)
	if e.has(hasByteSize) && typ.Size == 0 {
		typ.Size = e.byteSize
	}
	if typ.Size > maxSize {
		return fmt.Errorf("%w: %s has %d bytes", errDWARF, e.name, typ.Size)
	}
	switch kind {
	case snapshot.Pointer:
		typ.Elem, err = b.optional(e.has(hasType), e.typ)
	case snapshot.Slice, snapshot.Chan:
		typ.Elem, err = b.optional(e.has(hasElem), e.elem)
	case snapshot.Map:
		err = b.mapping(&typ, &e)
	case snapshot.Array:
		typ.Elem, err = b.optional(e.has(hasType), e.typ)
		if err == nil {
			err = b.children(offset, func(a *abbrev, c *attributes) error {
				if a.tag == tagSubrange {
					typ.Len = c.count
				}
				return nil
			})
		}
	case snapshot.Struct:
		err = b.fields(&typ, offset)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	b.t.types[b.d.types[offset].id] = typ
	return nil
}

func (b *debugBatch) optional(present bool, offset uint64) (snapshot.TypeID, error) {
	if !present {
		return 0, nil
	}
	return b.ref(offset)
}

// children visits the children of an entry, without theirs.
func (b *debugBatch) children(offset uint64, visit func(*abbrev, *attributes) error) error {
	u := b.d.unitOf(offset)
	c := cursor{b: b.d.info[:u.end], at: offset}
	a, _, err := b.d.entry(u, &c)
	if err != nil || a == nil || !a.children {
		return err
	}
	for depth := 1; depth > 0; {
		a, e, err := b.d.entry(u, &c)
		if err != nil {
			return err
		}
		if a == nil {
			depth--
			continue
		}
		if depth == 1 {
			if err := visit(a, &e); err != nil {
				return err
			}
		}
		if a.children {
			depth++
		}
	}
	return nil
}

func (b *debugBatch) fields(typ *snapshot.Type, offset uint64) error {
	return b.children(offset, func(a *abbrev, e *attributes) error {
		if a.tag != tagMember {
			return nil
		}
		if err := b.t.spent.take(&b.t.spent.fields, 1, "fields"); err != nil {
			return err
		}
		f := snapshot.Field{Name: e.name, Offset: e.memberAt, Embedded: e.embedded}
		if f.Embedded {
			f.Name = embeddedName(f.Name)
		}
		if f.Offset > typ.Size || len(typ.Fields) >= maxPerStruct {
			return fmt.Errorf("%w: field %s at %d of %d bytes", errDWARF, f.Name, f.Offset, typ.Size)
		}
		var err error
		f.Type, err = b.optional(e.has(hasType), e.typ)
		typ.Fields = append(typ.Fields, f)
		return err
	})
}

// mapping finds the parts of a map type. The linker describes map[K]V as a pointer to a struct of the runtime's, in
// which the type of the groups, or of the buckets, stands in place.
func (b *debugBatch) mapping(typ *snapshot.Type, e *attributes) error {
	var err error
	if typ.Key, err = b.optional(e.has(hasKey), e.key); err != nil {
		return err
	}
	if typ.Elem, err = b.optional(e.has(hasElem), e.elem); err != nil {
		return err
	}
	if !e.has(hasType) {
		return nil
	}
	for _, path := range [][]string{
		{"", "dirPtr", "", "", "groups", "data", ""}, // pointer, field, pointers, fields, pointer
		{"", "buckets", ""},
	} {
		at, ok, err := b.follow(e.typ, path)
		if err != nil {
			return err
		}
		if ok {
			typ.Group, err = b.ref(at)
			return err
		}
	}
	return nil
}

// follow goes from a type to another: "" is what a pointer points to, and a name a field's type.
func (b *debugBatch) follow(offset uint64, path []string) (uint64, bool, error) {
	for _, step := range path {
		at, _, a, e, err := b.resolve(offset)
		if err != nil {
			return 0, false, err
		}
		next, ok := e.typ, e.has(hasType) && a.tag == tagPointer
		if step != "" {
			ok = false
			err = b.children(at, func(a *abbrev, e *attributes) error {
				if a.tag == tagMember && e.name == step {
					next, ok = e.typ, e.has(hasType)
				}
				return nil
			})
		}
		if err != nil || !ok {
			return 0, false, err
		}
		offset = next
	}
	return offset, true, nil
}

// measure works out what the debug information leaves out of a type: how much of a value may hold pointers, and an
// array's size where it has none.
func (t *Table) measure(id snapshot.TypeID, done map[snapshot.TypeID]bool, depth int) {
	typ := &t.types[id]
	if !typ.DebugOnly || done[id] || depth > maxContainment {
		return
	}
	done[id] = true // before its parts: a value that contains itself ends here
	switch typ.Kind {
	case snapshot.Array:
		t.measure(typ.Elem, done, depth+1)
		elem := &t.types[typ.Elem]
		if typ.Len > 0 && elem.PtrBytes > 0 && typ.Len <= maxSize/max(1, elem.Size) {
			typ.PtrBytes = (typ.Len-1)*elem.Size + elem.PtrBytes
		}
	case snapshot.Struct:
		for _, f := range typ.Fields {
			t.measure(f.Type, done, depth+1)
			if p := t.types[f.Type].PtrBytes; p > 0 {
				typ.PtrBytes = f.Offset + p
			}
		}
	}
	if typ.PtrBytes > typ.Size {
		typ.PtrBytes = typ.Size
	}
	typ.DirectIface = t.directIface(typ)
}

// directIface reports whether an interface holds values of a type itself. Since 1.26 that is so wherever the value is
// one pointer; before, a struct or an array around it had to have no other part, not even an empty one.
func (t *Table) directIface(typ *snapshot.Type) bool {
	if typ.Size != wordSize || typ.PtrBytes != wordSize || t.minor >= directMinor {
		return typ.Size == wordSize && typ.PtrBytes == wordSize
	}
	switch typ.Kind {
	case snapshot.Struct:
		return len(typ.Fields) == 1 && t.types[typ.Fields[0].Type].DirectIface
	case snapshot.Array:
		return typ.Len == 1 && t.types[typ.Elem].DirectIface
	}
	return true
}
