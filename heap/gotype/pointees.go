package gotype

import (
	"context"
	"fmt"
	"sort"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// The compiler lays out what "var cache = &Cache{}" points to, and the elements of a slice literal, in the data
// segments without a symbol or debug information. Their types follow from the variables that point to them.

const (
	maxPointees = 1 << 20
	maxPath     = 8       // steps from a variable
	maxElements = 1 << 16 // of an array that are followed
	maxSteps    = 1 << 26 // fields and elements that are looked at, in all
)

// pointees is the search for what variables point to in the data segments.
type pointees struct {
	t      *Table
	known  []Variable          // variables, disjoint, by address
	found  map[uint64]Variable // by address
	queue  []pointee
	steps  int
	arrays map[arrayKey]snapshot.TypeID
}

type pointee struct {
	Variable
	depth int
}

type arrayKey struct {
	elem snapshot.TypeID
	len  uint64
}

// withPointees adds what variables point to, breadth first, so that the shortest path names it.
func (t *Table) withPointees(ctx context.Context, variables []Variable) ([]Variable, error) {
	p := pointees{t: t, known: variables, found: make(map[uint64]Variable), arrays: make(map[arrayKey]snapshot.TypeID)}
	for _, v := range variables {
		p.queue = append(p.queue, pointee{v, 0})
	}
	for i := 0; i < len(p.queue) && len(p.queue) < maxPointees; i++ {
		if i%256 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		v := p.queue[i]
		if t.types[v.Type].PtrBytes > 0 && v.depth < maxPath {
			p.value(v, v.Name, v.Type, v.Addr, 0)
		}
	}
	for _, v := range p.found {
		variables = append(variables, v)
	}
	return disjoint(variables), nil
}

// value follows the pointers in a value of a type at an address.
func (p *pointees) value(from pointee, name string, id snapshot.TypeID, addr uint64, nesting int) {
	typ := &p.t.types[id]
	if p.steps++; typ.PtrBytes == 0 || nesting > maxPath || p.steps > maxSteps {
		return
	}
	switch typ.Kind {
	case snapshot.Pointer:
		p.point(from, name, typ.Elem, 1, addr)
	case snapshot.Slice:
		if n, err := p.t.dataWord(addr + 2*wordSize); err == nil && n > 0 { // the capacity
			p.point(from, name, typ.Elem, n, addr)
		}
	case snapshot.Interface:
		word, err := p.t.dataWord(addr)
		if err != nil {
			return
		}
		e := p.t.known(word)
		if r := p.t.regionOf(word); e == unknown && r != nil {
			e = p.t.examineLocked(r, word)
		}
		if e.isDynamic() {
			p.dynamic(from, name, e.id(), addr+wordSize)
		}
	case snapshot.Struct:
		for _, f := range p.t.types[id].Fields { // p.t.types may move meanwhile
			p.value(from, name+"."+f.Name, f.Type, addr+f.Offset, nesting+1)
		}
	case snapshot.Array:
		elem, n := typ.Elem, min(typ.Len, maxElements)
		size := p.t.types[elem].Size
		for i := range n {
			p.value(from, name+"[…]", elem, addr+i*size, nesting+1)
		}
	}
}

// dynamic follows the data word of an interface.
func (p *pointees) dynamic(from pointee, name string, id snapshot.TypeID, addr uint64) {
	typ := &p.t.types[id]
	switch {
	case !typ.DirectIface:
		p.point(from, name, id, 1, addr)
	case typ.Kind == snapshot.Pointer:
		p.point(from, name, typ.Elem, 1, addr)
	}
}

// point notes what the pointer at an address points to: n values of a type behind each other.
func (p *pointees) point(from pointee, name string, elem snapshot.TypeID, n, addr uint64) {
	to, err := p.t.dataWord(addr)
	size := p.t.types[elem].Size
	if err != nil || size == 0 || n > maxSize/size || !p.t.inData(to) || !p.t.inData(to+n*size-1) {
		return
	}
	if _, ok := p.found[to]; ok || p.overlaps(to, n*size) || len(p.queue) >= maxPointees {
		return
	}
	id := elem
	if n > 1 {
		id = p.array(elem, n)
	}
	v := Variable{Name: name, Type: id, Addr: to, Size: n * size}
	p.found[to] = v
	p.queue = append(p.queue, pointee{v, from.depth + 1})
}

// overlaps reports whether a variable lies in a range.
func (p *pointees) overlaps(addr, size uint64) bool {
	i := sort.Search(len(p.known), func(i int) bool { return p.known[i].Addr+p.known[i].Size > addr })
	return i < len(p.known) && p.known[i].Addr < addr+size
}

// array returns the type of an array, which no descriptor may be there for.
func (p *pointees) array(elem snapshot.TypeID, n uint64) snapshot.TypeID {
	key := arrayKey{elem, n}
	if id, ok := p.arrays[key]; ok {
		return id
	}
	e := &p.t.types[elem]
	typ := snapshot.Type{
		Name: fmt.Sprintf("[%d]%s", n, e.Name), Kind: snapshot.Array, Size: n * e.Size, Elem: elem, Len: n,
		DebugOnly: true,
	}
	if e.PtrBytes > 0 {
		typ.PtrBytes = (n-1)*e.Size + e.PtrBytes
	}
	id := snapshot.TypeID(len(p.t.types))
	p.t.types = append(p.t.types, typ)
	p.arrays[key] = id
	return id
}
