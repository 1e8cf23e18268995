package graph

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// program is a random program's heap with what its objects truly are.
type program struct {
	*heaptest.Builder
	random  *rand.Rand
	structs []snapshot.TypeID
	fields  map[snapshot.TypeID][]randomField
	objects []randomObject
}

type randomField struct {
	name string
	kind int             // 0 number, 1 pointer, 2 slice, 3 string, 4 interface, 5 embedded struct
	typ  snapshot.TypeID // that it points to, or is
}

type randomObject struct {
	heaptest.Object
	typ   snapshot.TypeID
	count uint64
	name  string
}

// newProgram makes types and objects of them that point to each other as their types allow.
func newProgram(seed uint64, n int) *program {
	p := &program{Builder: heaptest.New(), random: rand.New(rand.NewPCG(seed, 7)), fields: make(map[snapshot.TypeID][]randomField)}
	const types = 12
	for i := range types {
		var fields []heaptest.Field
		var mine []randomField
		for j := range 1 + p.random.IntN(6) {
			f := randomField{name: fmt.Sprintf("f%d", j), kind: p.random.IntN(6)}
			target := fmt.Sprintf("main.T%d", p.random.IntN(types))
			if f.kind == 5 && i == 0 {
				f.kind = 1
			}
			var typ snapshot.TypeID
			switch f.kind {
			case 0:
				typ = p.Int()
			case 1:
				f.typ, typ = p.Named(target), p.Ptr(target)
			case 2:
				f.typ, typ = p.Named(target), p.Slice(p.Named(target))
			case 3:
				typ = p.String()
			case 4:
				typ = p.Interface("interface {}")
			case 5:
				f.typ = p.structs[p.random.IntN(len(p.structs))]
				typ = f.typ
			}
			fields, mine = append(fields, heaptest.F(f.name, typ)), append(mine, f)
		}
		id := p.Struct(fmt.Sprintf("main.T%d", i), fields...)
		p.structs = append(p.structs, id)
		p.fields[id] = mine
	}
	for range n {
		i := p.random.IntN(types)
		count := uint64(1)
		if p.random.IntN(4) == 0 {
			count = uint64(2 + p.random.IntN(30))
		}
		p.objects = append(p.objects, randomObject{p.Values(p.structs[i], count), p.structs[i], count, fmt.Sprintf("main.T%d", i)})
	}
	for _, o := range p.objects {
		for k := range o.count {
			prefix := ""
			if o.count > 1 {
				prefix = fmt.Sprintf("[%d].", k)
			}
			p.fill(o.Object, prefix, o.typ)
		}
	}
	for i := range 6 {
		o := p.objects[p.random.IntN(len(p.objects))]
		p.Global(fmt.Sprintf("main.v%d", i), p.Slice(o.typ)).Set("", o.Slice(0, o.count, o.count))
	}
	return p
}

func (p *program) fill(o heaptest.Object, prefix string, typ snapshot.TypeID) {
	for _, f := range p.fields[typ] {
		at := prefix + f.name
		switch f.kind {
		case 1, 2:
			if to, ok := p.some(f.typ); ok && f.kind == 1 {
				p.Field(o, at, to.Object)
			} else if ok {
				p.Field(o, at, to.Slice(0, to.count, to.count))
			}
		case 3:
			p.Field(o, at, p.Bytes(uint64(8+p.random.IntN(600))).Text(0, 8))
		case 4:
			if to := p.objects[p.random.IntN(len(p.objects))]; to.count == 1 && !p.direct(to.typ) {
				p.Field(o, at, to.As(to.typ))
			}
		case 5:
			p.fill(o, at+".", f.typ)
		}
	}
}

// direct reports whether an interface holds values of a type as they are: those that are one pointer.
func (p *program) direct(typ snapshot.TypeID) bool {
	fields := p.fields[typ]
	return len(fields) == 1 && (fields[0].kind == 1 || fields[0].kind == 5 && p.direct(fields[0].typ))
}

// some returns an object of a type.
func (p *program) some(typ snapshot.TypeID) (randomObject, bool) {
	for range 20 {
		if o := p.objects[p.random.IntN(len(p.objects))]; o.typ == typ {
			return o, true
		}
	}
	return randomObject{}, false
}

// TestTypesAreTrue compares what typing says with what was allocated: an exact type is never wrong, and what is wrongly
// inferred is rare.
func TestTypesAreTrue(t *testing.T) {
	exact, inferred, wrong := 0, 0, 0
	for seed := range uint64(40) {
		p := newProgram(seed, 200)
		f := p.Build()
		g := loadFile(t, f)
		for _, o := range p.objects {
			got, certainty := typeOf(g, f.ID(o.Object))
			is := got == o.name && o.count == 1 || got == "[]"+o.name
			// A struct and its only field are the same memory: who came by a pointer to the field cannot know.
			is = is || p.alike(o.typ, got)
			switch certainty {
			case Exact:
				exact++
				if !is {
					t.Errorf("seed %d: object %d of %d %s is exactly %q", seed, f.ID(o.Object), o.count, o.name, got)
				}
			case Inferred:
				inferred++
				if !is {
					wrong++
				}
			}
		}
		if s := g.Stats(); s.Misfits != 0 {
			t.Errorf("seed %d: %d misfits", seed, s.Misfits)
		}
	}
	if exact < 2000 || wrong*20 > inferred {
		t.Errorf("%d exact, %d inferred of which %d wrong", exact, inferred, wrong)
	}
}

// alike reports whether a type begins with a field of the type of a name.
func (p *program) alike(typ snapshot.TypeID, name string) bool {
	for len(p.fields[typ]) > 0 && p.fields[typ][0].kind == 5 {
		typ = p.fields[typ][0].typ
		for i, id := range p.structs {
			if id == typ && (name == fmt.Sprintf("main.T%d", i) || name == fmt.Sprintf("[]main.T%d", i)) {
				return true
			}
		}
	}
	return false
}

// TestPropagationTwin compares exact types with those that a naive closure over typed pointers finds: over and over
// again over all edges, until nothing changes.
func TestPropagationTwin(t *testing.T) {
	for seed := range uint64(20) {
		p := newProgram(100+seed, 150)
		f := p.Build()
		g := loadFile(t, f)
		x := g.clues.typer
		types := naive(x)
		for object := range g.Objects() {
			got, certainty := g.typing[object], g.typing[object].certainty()
			want, ok := types[object]
			if ok != (certainty == Exact && g.Reached(object)) {
				t.Errorf("seed %d: object %d is %v, twin %v", seed, object, certainty, ok)
				continue
			}
			if base := x.types.list[got.id()].base; ok && base != want && !x.types.table.contains(base, 0, want) {
				t.Errorf("seed %d: object %d is %q, twin %q", seed, object, x.types.name(got.id(), nil), x.types.table.get(want).Name)
			}
		}
	}
}

// naive finds what repeats in each reached object, by pointers, slices, strings and interfaces. Strings' bytes count
// as type 0.
func naive(x *typer) map[uint32]snapshot.TypeID {
	g, table := x.g, x.types.table
	types := make(map[uint32]snapshot.TypeID)
	for object := range g.Objects() {
		if f := &g.forms[g.formOf[object]]; f.typ != 0 && g.Reached(object) {
			types[object] = f.typ
		}
	}
	for changed := true; changed; {
		changed = false
		learn := func(target uint32, id snapshot.TypeID) {
			if old, ok := types[target]; !ok || old != id && id != 0 && table.contains(id, 0, old) {
				types[target] = id
				changed = true
			}
		}
		visit := func(node uint32, id snapshot.TypeID) {
			for e := g.Starts[node]; e < g.Starts[node+1]; e++ {
				target := g.Targets[e]
				form := &g.forms[g.formOf[target]]
				w := table.wordAt(id, g.slot(node, e))
				dynamic, isData := g.clues.dynamic.get(e)
				switch fit := table.fits(w.arg, form); {
				case w.kind == toString && form.noscan:
					learn(target, 0)
				case w.kind == toElements && fit != noFit, w.kind == toValue && (fit == oneFit || fit == arrayFit && table.mixed(w.arg)):
					learn(target, w.arg)
				case isData && !table.get(snapshot.TypeID(dynamic)).DirectIface && table.fits(snapshot.TypeID(dynamic), form) == oneFit:
					learn(target, snapshot.TypeID(dynamic))
				}
			}
		}
		for i := range g.Roots {
			visit(g.RootNode(i), g.Roots[i].Type)
		}
		for object := range g.Objects() {
			if id, ok := types[object]; ok && id != 0 {
				visit(object, id)
			} else if g.Reached(object) {
				for e := g.Starts[object]; e < g.Starts[object+1]; e++ {
					if dynamic, isData := g.clues.dynamic.get(e); isData && table.fits(snapshot.TypeID(dynamic), &g.forms[g.formOf[g.Targets[e]]]) == oneFit {
						learn(g.Targets[e], snapshot.TypeID(dynamic))
					}
				}
			}
		}
	}
	return types
}
