package graph

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// TestHostileTypes: whatever the table of types says, every question about it ends with an answer.
func TestHostileTypes(t *testing.T) {
	const (
		unknown snapshot.TypeID = iota
		word
		pointer
		itself
		ping
		pong
		endless
		overflowing
		lying
		outside
		overlapping
		odd
		empty
		zeroes
		huge
		good
		elsewhere
		behindEnd
	)
	field := func(id snapshot.TypeID, offset uint64) snapshot.Field {
		return snapshot.Field{Name: "f", Type: id, Offset: offset}
	}
	types := []snapshot.Type{
		unknown:     {},
		word:        {Name: "int", Kind: snapshot.Int, Size: 8},
		pointer:     {Name: "*int", Kind: snapshot.Pointer, Size: 8, PtrBytes: 8, Elem: word},
		itself:      {Name: "itself", Kind: snapshot.Struct, Size: 8, PtrBytes: 8, Fields: []snapshot.Field{field(itself, 0)}},
		ping:        {Name: "ping", Kind: snapshot.Struct, Size: 8, PtrBytes: 8, Fields: []snapshot.Field{field(pong, 0)}},
		pong:        {Name: "pong", Kind: snapshot.Array, Size: 8, PtrBytes: 8, Len: 1, Elem: ping},
		endless:     {Name: "endless", Kind: snapshot.Array, Size: 16, PtrBytes: 8, Len: 2, Elem: endless},
		overflowing: {Name: "overflowing", Kind: snapshot.Array, Size: 0, PtrBytes: 0, Len: 1 << 61, Elem: word},
		lying:       {Name: "lying", Kind: snapshot.Pointer, Size: 1 << 40, PtrBytes: 8, Elem: word},
		outside:     {Name: "outside", Kind: snapshot.Struct, Size: 8, PtrBytes: 8, Fields: []snapshot.Field{field(pointer, math.MaxUint64-3)}},
		overlapping: {Name: "overlapping", Kind: snapshot.Struct, Size: 8, PtrBytes: 8, Fields: []snapshot.Field{field(pointer, 0), field(pointer, 0)}},
		odd:         {Name: "odd", Kind: snapshot.Struct, Size: 16, PtrBytes: 16, Fields: []snapshot.Field{field(pointer, 4)}},
		empty:       {Name: "struct {}", Kind: snapshot.Struct},
		zeroes:      {Name: "zeroes", Kind: snapshot.Array, Len: math.MaxUint64, Elem: empty},
		huge:        {Name: "huge", Kind: snapshot.Array, Size: 1 << 50, PtrBytes: 1 << 50, Len: 1 << 47, Elem: pointer},
		good:        {Name: "good", Kind: snapshot.Struct, Size: 16, PtrBytes: 8, Fields: []snapshot.Field{field(empty, 0), field(pointer, 0), field(word, 8), field(empty, 16)}},
		elsewhere:   {Name: "elsewhere", Kind: snapshot.Slice, Size: 24, PtrBytes: 8, Elem: 9999},
		behindEnd:   {Name: "behindEnd", Kind: snapshot.Int, Size: 8, PtrBytes: 16},
	}
	table := newTypeTable(types)
	for id, want := range map[snapshot.TypeID]bool{
		word: false, pointer: false, itself: true, ping: true, pong: true, endless: true, overflowing: true, lying: true,
		outside: true, overlapping: true, odd: true, empty: false, zeroes: false, huge: false, good: false, elsewhere: false,
		behindEnd: true,
	} {
		if got := table.opaque[id]; got != want {
			t.Errorf("%s is opaque: %v, want %v", types[id].Name, got, want)
		}
	}
	if w := table.wordAt(huge, 1<<46); w.kind != toValue || w.arg != word {
		t.Errorf("a word of the huge array is %+v", w)
	}
	if got := table.layOut(huge); got != nil {
		t.Errorf("the huge array was laid out in %d words", len(got))
	}
	if !table.contains(good, 8, word) || table.contains(good, 0, word) || !table.contains(good, 16, pointer) {
		t.Error("what the good struct contains is wrong")
	}
	askAll(table)
}

// TestRandomTypes asks everything of tables of random types.
func TestRandomTypes(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		numbers := []uint64{0, 1, 7, 8, 16, 24, 48, 512, 513, 4096, 1 << 20, 1 << 40, 1 << 63, math.MaxUint64}
		number := func() uint64 { return numbers[r.IntN(len(numbers))] }
		types := make([]snapshot.Type, 60)
		for i := range types {
			typ := &types[i]
			*typ = snapshot.Type{
				Name: "t", Kind: snapshot.Kind(r.IntN(30)), Size: number(), PtrBytes: number(), Len: number(),
				Elem: snapshot.TypeID(r.IntN(70)), Key: snapshot.TypeID(r.IntN(70)), Group: snapshot.TypeID(r.IntN(70)),
				DirectIface: r.IntN(2) == 0,
			}
			for range r.IntN(5) {
				typ.Fields = append(typ.Fields, snapshot.Field{Name: "f", Type: snapshot.TypeID(r.IntN(70)), Offset: number()})
			}
			if r.IntN(2) == 0 { // one that holds, of what came before
				typ.Kind, typ.Fields, typ.Size, typ.PtrBytes = snapshot.Struct, nil, 0, 0
				for range r.IntN(4) {
					part := r.IntN(i + 1)
					if types[part].Size > 1<<50 {
						continue
					}
					typ.Fields = append(typ.Fields, snapshot.Field{Name: "g", Type: snapshot.TypeID(part), Offset: typ.Size})
					if types[part].PtrBytes != 0 {
						typ.PtrBytes = typ.Size + types[part].PtrBytes
					}
					typ.Size += (types[part].Size + 7) / 8 * 8
				}
			}
		}
		askAll(newTypeTable(types))
	}
}

// TestPathsAreBounded: fields of long names deep in each other make no long path.
func TestPathsAreBounded(t *testing.T) {
	const deep = 100
	types := []snapshot.Type{{}, {Name: "*int", Kind: snapshot.Pointer, Size: 8, PtrBytes: 8}}
	for inner := range snapshot.TypeID(deep) {
		types = append(types, snapshot.Type{
			Name: "main.T", Kind: snapshot.Struct, Size: 8, PtrBytes: 8,
			Fields: []snapshot.Field{{Name: strings.Repeat("f", 1000), Type: inner + 1}},
		})
	}
	types = append(types, snapshot.Type{
		Name: "main.U", Kind: snapshot.Struct, Size: 8, PtrBytes: 8, Fields: []snapshot.Field{{Name: strings.Repeat("f", 1<<20), Type: 1}},
	})
	kinds := newObjectTypes(newTypeTable(types))
	name := "." + strings.Repeat("f", 1000)
	for id, want := range map[uint32]string{2: name, 5: strings.Repeat(name, 4), deep + 1: strings.Repeat(name, 4) + ".…", deep + 2: ".…"} {
		if got := kinds.step(id, 0); got != want {
			t.Errorf("the step through type %d has %d bytes, want %d", id, len(got), len(want))
		}
	}
}

// askAll asks all questions about all types.
func askAll(table *typeTable) {
	kinds := newObjectTypes(table)
	f := newForms([]snapshot.Shape{{}, {Mask: []uint64{1}}, {Mask: []uint64{0b1010}}, {Type: 1}, {Type: 5}})
	for _, size := range []uint64{8, 16, 48, 64, 112, 512, 576, 32768, 1 << 20, 1 << 50} {
		for shape := range snapshot.ShapeID(6) {
			for _, noscan := range []bool{false, true} {
				f.id(formKey{size: size, shape: shape, noscan: noscan, header: !noscan && size > 512 && size <= 32768})
			}
		}
	}
	r := newResolver(kinds, f.list)
	c := newCandidates(kinds, f.list)
	owners := newOwners(table)
	for i := range table.types {
		id := snapshot.TypeID(i)
		for n := range f.list {
			form := &f.list[n]
			table.fits(id, form)
			table.mayHold(form, 8, id)
			table.mayHold(form, math.MaxUint64, id)
			for kind := range toWeakHandle + 1 {
				r.resolve(kind, id, uint16(n), false)
				r.resolve(kind, id, uint16(n), true)
			}
			c.of(uint16(n))
			c.closuresOf(form)
			c.around(owners, id, 8, form)
		}
		for other := range table.types {
			table.contains(id, 24, snapshot.TypeID(other))
		}
		for _, at := range []uint64{0, 1, 7, 1 << 40, math.MaxUint64 / 8} {
			table.wordAt(id, at)
			kinds.step(uint32(id), at)
		}
		kinds.words(uint32(id))
	}
	for id := range kinds.list {
		kinds.name(uint32(id), nil)
		kinds.words(uint32(id))
		kinds.step(uint32(id), 8)
	}
	kinds.canonical(nil)
}
