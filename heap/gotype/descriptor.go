package gotype

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// Where the parts of descriptors lie, behind abi.Type. They are the same from 1.24 to 1.27, but for the end of a map's.
const (
	partsAt    = headerSize
	partsSize  = 4 * wordSize
	fieldSize  = 3 * wordSize // name, type, offset
	maxMethods = 1 << 16
)

// descriptorSizes are the bytes before abi.UncommonType.
var descriptorSizes = [snapshot.UnsafePointer + 1]uint64{
	snapshot.Array: 72, snapshot.Chan: 64, snapshot.Func: 56, snapshot.Interface: 80, snapshot.Pointer: 56,
	snapshot.Slice: 56, snapshot.Struct: 80,
}

// batch decodes descriptors that refer to each other. Either all of them are consistent and become known, or none.
type batch struct {
	t     *Table
	begun map[uint64]snapshot.TypeID
	queue []uint64                      // begun, not yet decoded
	tags  map[snapshot.TypeID][]string  // of structs that have no name of their own
	funcs map[snapshot.TypeID]signature // of functions that have no name of their own
}

// intern returns the type of a descriptor and decodes it if it is new. The caller holds the lock.
func (t *Table) intern(addr uint64) (snapshot.TypeID, error) {
	switch e := t.known(addr); {
	case e.isType():
		return e.id(), nil
	case e != unknown || t.loaded && t.regionOf(addr) != nil:
		return 0, errHeader
	}
	first := len(t.types)
	b := batch{t: t, begun: make(map[uint64]snapshot.TypeID)}
	if t.regionOf(addr) == nil {
		b.tags, b.funcs = make(map[snapshot.TypeID][]string), make(map[snapshot.TypeID]signature)
	}
	id, err := b.ref(addr)
	for err == nil && len(b.queue) > 0 {
		next := b.queue[len(b.queue)-1]
		b.queue = b.queue[:len(b.queue)-1]
		err = b.decode(next)
	}
	if err == nil {
		err = b.nameMade()
	}
	if err != nil {
		clear(t.types[first:])
		t.types = t.types[:first]
		return 0, err
	}
	for addr, id := range b.begun {
		t.setKnown(addr, newEntry(typeEntry, id))
	}
	return id, nil
}

// setKnown publishes what an address is.
func (t *Table) setKnown(addr uint64, e entry) {
	if r := t.regionOf(addr); r != nil {
		r.set(addr-r.base, e)
	} else if e.isType() {
		t.made.add(addr, e)
	} else {
		t.itabs.add(addr, e)
	}
}

func (t *Table) regionOf(addr uint64) *region {
	for i := range t.regions {
		if r := &t.regions[i]; addr-r.base < r.size {
			return r
		}
	}
	return nil
}

// ref returns the number of the type that a descriptor refers to.
func (b *batch) ref(addr uint64) (snapshot.TypeID, error) {
	if addr%wordSize != 0 || addr == 0 {
		return 0, fmt.Errorf("%w: address %#x", errHeader, addr)
	}
	if e := b.t.known(addr); e.isType() {
		return e.id(), nil
	} else if e.isDynamic() {
		return 0, fmt.Errorf("%w: interface table at %#x", errHeader, addr)
	}
	if id, ok := b.begun[addr]; ok {
		return id, nil
	}
	if err := b.t.spent.take(&b.t.spent.types, 1, "types"); err != nil {
		return 0, err
	}
	id := snapshot.TypeID(len(b.t.types))
	b.t.types = append(b.t.types, snapshot.Type{})
	b.begun[addr] = id
	b.queue = append(b.queue, addr)
	return id, nil
}

// decode fills in the type of a descriptor that ref numbered.
func (b *batch) decode(addr uint64) error {
	t := b.t
	h, err := t.header(addr)
	if err != nil {
		return err
	}
	typ := snapshot.Type{Kind: h.kind, Size: h.size, PtrBytes: h.ptrBytes, DirectIface: h.direct}
	if r := t.regionOf(addr); r != nil {
		err = t.describe(&typ, h, addr, r)
	} else {
		err = b.describeMade(&typ, h, addr)
	}
	if err != nil {
		return err
	}
	if err := b.parts(&typ, addr); err != nil {
		return fmt.Errorf("%s: %w", typ.Name, err)
	}
	t.types[b.begun[addr]] = typ
	return nil
}

// header reads and checks a header.
func (t *Table) header(addr uint64) (header, error) {
	p, err := t.mem.bytes(addr, headerSize)
	if err != nil {
		return header{}, err
	}
	h := parseHeader(p, t.minor)
	if err := h.check(); err != nil {
		return header{}, err
	}
	if t.regionOf(addr) == nil {
		return h, nil // package reflect may have made its functions and masks on the heap
	}
	if h.equal != 0 && !t.inModule(h.equal) || h.ptrBytes != 0 && h.gcdata == 0 ||
		h.gcdata != 0 && !t.inModule(h.gcdata) {
		return header{}, fmt.Errorf("%w: equal %#x, mask %#x", errHeader, h.equal, h.gcdata)
	}
	return h, nil
}

// inModule reports whether an address lies between the first and the last section of a module.
func (t *Table) inModule(addr uint64) bool {
	for i := range t.modules {
		low, high := ^uint64(0), uint64(0)
		m := &t.modules[i]
		for _, r := range []layout.Range{m.text, m.types, m.data, m.bss, m.noPtrData, m.noPtrBSS} {
			if r.End > r.Start {
				low, high = min(low, r.Start), max(high, r.End)
			}
		}
		if low <= addr && addr < high {
			return true
		}
	}
	return false
}

// describe reads the name of a type of a module, and the path of its package.
func (t *Table) describe(typ *snapshot.Type, h header, addr uint64, r *region) error {
	if h.str <= 0 || uint64(h.str) >= r.size {
		return fmt.Errorf("%w: name at offset %d", errHeader, h.str)
	}
	n, err := t.name(r.base + uint64(h.str))
	if err != nil {
		return err
	}
	typ.Name = n.text
	if h.flags&flagExtraStar != 0 {
		name, ok := strings.CutPrefix(n.text, "*")
		if !ok {
			return fmt.Errorf("%w: %q has no star", errName, n.text)
		}
		typ.Name = name
	}
	named := h.flags&flagNamed != 0
	if !nameFits(typ.Name, h.kind, named) {
		return fmt.Errorf("%w: %q of kind %d", errName, typ.Name, h.kind)
	}
	typ.Name = strings.TrimPrefix(typ.Name, "noalg.")
	if !named || h.flags&flagUncommon == 0 {
		return nil
	}
	path, err := t.mem.bytes(addr+t.descriptorSize(h.kind), 4)
	if err != nil {
		return err
	}
	off := int32(binary.LittleEndian.Uint32(path))
	if off < 0 || uint64(off) >= r.size {
		return fmt.Errorf("%w: package path at offset %d", errHeader, off)
	}
	if off == 0 {
		return nil
	}
	p, err := t.name(r.base + uint64(off))
	typ.PkgPath = p.text
	return err
}

// descriptorSize is how many bytes lie before what named types have in common.
func (t *Table) descriptorSize(kind snapshot.Kind) uint64 {
	if kind == snapshot.Map {
		switch {
		case t.oldMaps:
			return 88
		case t.minor < 27:
			return 112
		}
		return 136
	}
	return max(headerSize, descriptorSizes[kind])
}

// parts decodes what a descriptor refers to.
func (b *batch) parts(typ *snapshot.Type, addr uint64) error {
	if fixed[typ.Kind].size != 0 && !slices.Contains(composite, typ.Kind) {
		return nil
	}
	p, err := b.t.mem.bytes(addr+partsAt, partsSize)
	if err != nil {
		return err
	}
	var w [4]uint64
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(p[wordSize*i:])
	}
	switch typ.Kind { // the words are:
	case snapshot.Pointer, snapshot.Slice, snapshot.Chan: // element
		typ.Elem, err = b.ref(w[0])
		return err
	case snapshot.Array: // element, slice of it, length
		return b.array(typ, w[0], w[2])
	case snapshot.Map: // key, element, group of slots, or bucket
		if b.t.oldMaps && b.t.regionOf(addr) == nil {
			w[2] = 0 // reflect describes a bucket by its size and pointers alone
		}
		return b.mapping(typ, w[0], w[1], w[2])
	case snapshot.Struct: // package path, fields
		return b.fields(typ, addr, w[1], w[2], w[3])
	default: // an interface's package path, methods
		if w[2] > maxMethods || w[2] != w[3] {
			return fmt.Errorf("%w: %d methods", errHeader, w[2])
		}
		return nil
	}
}

// composite are the kinds whose descriptors have parts.
var composite = []snapshot.Kind{
	snapshot.Array, snapshot.Chan, snapshot.Interface, snapshot.Map, snapshot.Pointer, snapshot.Slice, snapshot.Struct,
}

func (b *batch) array(typ *snapshot.Type, elem, length uint64) error {
	h, err := b.t.header(elem)
	if err != nil {
		return err
	}
	if length > maxSize || h.size > 0 && (length > typ.Size || length*h.size != typ.Size) || h.size == 0 && typ.Size != 0 {
		return fmt.Errorf("%w: %d elements of %d bytes in %d", errHeader, length, h.size, typ.Size)
	}
	pointers := uint64(0)
	if length > 0 && h.ptrBytes > 0 {
		pointers = (length-1)*h.size + h.ptrBytes
	}
	if pointers != typ.PtrBytes {
		return fmt.Errorf("%w: pointers in %d bytes rather than %d", errHeader, typ.PtrBytes, pointers)
	}
	typ.Len = length
	typ.Elem, err = b.ref(elem)
	return err
}

func (b *batch) mapping(typ *snapshot.Type, key, elem, group uint64) error {
	var err error
	if typ.Key, err = b.ref(key); err != nil {
		return err
	}
	if typ.Elem, err = b.ref(elem); err != nil || group == 0 && b.t.oldMaps {
		return err
	}
	typ.Group, err = b.ref(group)
	return err
}

// fields decodes abi.StructType.Fields.
func (b *batch) fields(typ *snapshot.Type, addr, data, length, capacity uint64) error {
	if length > maxPerStruct || length > capacity {
		return fmt.Errorf("%w: %d fields", errHeader, length)
	}
	if err := b.t.spent.take(&b.t.spent.fields, int(length), "fields"); err != nil {
		return err
	}
	var end, pointers uint64
	var tags []string
	if length > 0 {
		typ.Fields = make([]snapshot.Field, length)
	}
	for i := range typ.Fields {
		f, h, tag, err := b.field(data + uint64(i)*fieldSize)
		if err != nil {
			return fmt.Errorf("field %d: %w", i, err)
		}
		if f.Offset < end || f.Offset > typ.Size || h.size > typ.Size-f.Offset {
			return fmt.Errorf("%w: field %s at %d of %d bytes", errHeader, f.Name, f.Offset, typ.Size)
		}
		end = f.Offset + h.size
		if h.ptrBytes > 0 {
			pointers = f.Offset + h.ptrBytes
		}
		typ.Fields[i] = f
		tags = append(tags, tag)
	}
	if pointers != typ.PtrBytes {
		return fmt.Errorf("%w: pointers in %d bytes rather than %d", errHeader, typ.PtrBytes, pointers)
	}
	if b.t.regionOf(addr) == nil {
		b.tags[b.begun[addr]] = tags
	}
	return nil
}

// field decodes an abi.StructField, and returns the header of its type and its tag.
func (b *batch) field(addr uint64) (f snapshot.Field, h header, tag string, err error) {
	p, err := b.t.mem.bytes(addr, fieldSize)
	if err != nil {
		return f, h, "", err
	}
	name, typ := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
	f.Offset = binary.LittleEndian.Uint64(p[16:])
	n, err := b.t.name(name)
	if err != nil {
		return f, h, "", err
	}
	if n.text == "" {
		return f, h, "", errName
	}
	f.Name, f.Embedded = n.text, n.embedded
	if h, err = b.t.header(typ); err != nil {
		return f, h, "", err
	}
	f.Type, err = b.ref(typ)
	return f, h, n.tag, err
}
