package graph

import (
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// Types of a program with maps of before Go 1.24, made by hand: heaptest knows the newer ones only.
const (
	oldByte snapshot.TypeID = iota + 1
	oldString
	oldItem
	oldPointer
	oldBytes
	oldKeys
	oldElems
	oldUnsafe
	oldBucket
	oldMap
	oldNamedMap
	oldChan
	oldReceive
	oldFunc
	oldCopy
)

func oldTypes() *objectTypes {
	return newObjectTypes(newTypeTable([]snapshot.Type{
		{},
		oldByte:    {Name: "uint8", Kind: snapshot.Uint8, Size: 1},
		oldString:  {Name: "string", Kind: snapshot.String, Size: 16, PtrBytes: 8},
		oldItem:    {Name: "main.Item", PkgPath: "main", Kind: snapshot.Struct, Size: 16, PtrBytes: 8, Fields: []snapshot.Field{{Name: "Name", Type: oldString}}},
		oldPointer: {Name: "*main.Item", Kind: snapshot.Pointer, Size: 8, PtrBytes: 8, Elem: oldItem, DirectIface: true},
		oldBytes:   {Name: "[8]uint8", Kind: snapshot.Array, Size: 8, Len: 8, Elem: oldByte},
		oldKeys:    {Name: "[8]string", Kind: snapshot.Array, Size: 128, PtrBytes: 120, Len: 8, Elem: oldString},
		oldElems:   {Name: "[8]*main.Item", Kind: snapshot.Array, Size: 64, PtrBytes: 64, Len: 8, Elem: oldPointer},
		oldUnsafe:  {Name: "unsafe.Pointer", Kind: snapshot.UnsafePointer, Size: 8, PtrBytes: 8},
		oldBucket: {Name: "map.bucket[string]*main.Item", Kind: snapshot.Struct, Size: 208, PtrBytes: 208, Fields: []snapshot.Field{
			{Name: "topbits", Type: oldBytes}, {Name: "keys", Type: oldKeys, Offset: 8}, {Name: "elems", Type: oldElems, Offset: 136},
			{Name: "overflow", Type: oldUnsafe, Offset: 200},
		}},
		oldMap:      {Name: "map[string]*main.Item", Kind: snapshot.Map, Size: 8, PtrBytes: 8, Key: oldString, Elem: oldPointer, Group: oldBucket},
		oldNamedMap: {Name: "main.Items", PkgPath: "main", Kind: snapshot.Map, Size: 8, PtrBytes: 8, Key: oldString, Elem: oldPointer, Group: oldBucket},
		oldChan:     {Name: "chan *main.Item", Kind: snapshot.Chan, Size: 8, PtrBytes: 8, Elem: oldPointer},
		oldReceive:  {Name: "<-chan *main.Item", Kind: snapshot.Chan, Size: 8, PtrBytes: 8, Elem: oldPointer},
		oldFunc:     {Name: "func()", Kind: snapshot.Func, Size: 8, PtrBytes: 8},
		oldCopy:     {Name: "main.Copy", PkgPath: "main", Kind: snapshot.Struct, Size: 16, PtrBytes: 8, Fields: []snapshot.Field{{Name: "Name", Type: oldString}}},
	}))
}

func TestOldMaps(t *testing.T) {
	types := oldTypes()
	const bucketMask = 1<<1 | 1<<3 | 1<<5 | 1<<7 | 1<<9 | 1<<11 | 1<<13 | 1<<15 | 0xff<<17 | 1<<25
	f := newForms([]snapshot.Shape{{}, {Mask: []uint64{oldHeaderMask}}, {Mask: []uint64{bucketMask}}, {Type: oldBucket}, {Mask: []uint64{0b111}}})
	header, bucket := f.id(formKey{size: 64, shape: 1}), f.id(formKey{size: 208, shape: 2})
	buckets, extra := f.id(formKey{size: 896, shape: 3, header: true}), f.id(formKey{size: 24, shape: 4})
	r := newResolver(types, f.list)
	resolve := func(w word, form uint16) uint32 {
		id, _ := r.resolve(w.kind, w.arg, form, false)
		return id
	}
	h := resolve(word{kind: toMap, arg: oldMap}, header)
	if got := types.name(h, nil); got != "map[string]*main.Item" {
		t.Fatalf("the header is %q", got)
	}
	words := types.words(h)
	for _, want := range []struct {
		from word
		form uint16
		name string
	}{
		{words[2], bucket, "map.bucket[string]*main.Item"}, {words[2], buckets, "[]map.bucket[string]*main.Item"},
		{words[3], bucket, "map.bucket[string]*main.Item"}, {words[6], extra, "runtime.mapextra"}, {words[6], header, ""},
		{types.words(uint32(oldBucket))[25], bucket, "map.bucket[string]*main.Item"},
	} {
		if got := types.name(resolve(want.from, want.form), nil); got != want.name {
			t.Errorf("%+v makes %q, want %q", want.from, got, want.name)
		}
	}
	e := types.words(resolve(words[6], extra))
	if got := types.name(resolve(e[2], bucket), nil); got != "map.bucket[string]*main.Item" {
		t.Errorf("the next free bucket is %q", got)
	}
	for offset, want := range map[uint64]string{8: "[key]", 24: "[key]", 136: "[…]", 192: "[…]", 200: "", 0: ""} {
		if got := types.step(uint32(oldBucket), offset); got != want {
			t.Errorf("offset %d of a bucket is %q, want %q", offset, got, want)
		}
	}
	if types.step(h, 16) != "" {
		t.Error("the header is a step")
	}
}

func TestSameThing(t *testing.T) {
	types := oldTypes()
	g := &Graph{objects: 1, formOf: []uint16{0}, forms: []form{{size: 48, noscan: true}}}
	x := newTyper(g, types, nil)
	bytes, text := types.id(array, uint32(oldByte)), types.id(stringBytes, 0)
	for _, c := range []struct {
		a, b uint32
		want bool
	}{
		{types.id(channel, uint32(oldChan)), types.id(channel, uint32(oldReceive)), true},
		{types.id(oldHeader, uint32(oldMap)), types.id(oldHeader, uint32(oldNamedMap)), true},
		{types.id(funcValue, uint32(oldFunc)), types.id(funcValue, uint32(oldFunc)), true},
		{bytes, text, true}, {text, bytes, true}, {text, uint32(oldItem), false},
		{uint32(oldItem), uint32(oldCopy), true}, {uint32(oldItem), uint32(oldString), false},
		{types.id(closure, 1), types.id(closure, 2), false},
	} {
		if got := x.sameThing(0, c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %v, want %v", types.name(c.a, nil), types.name(c.b, nil), got, c.want)
		}
	}
	g.forms[0].size = tinyBytes
	if !x.sameThing(0, uint32(oldByte), uint32(oldItem)) {
		t.Error("a tiny block has one owner")
	}
}

// TestRuntimeTypesAreVague: a pointer to a runtime type tells less than a map's or channel's own type.
func TestRuntimeTypesAreVague(t *testing.T) {
	b := heaptest.New()
	item := b.Struct("main.Item", heaptest.F("Owner", b.Ptr("main.Item")), heaptest.F("Rest", b.Array(70, b.Int())))
	m, queue := b.NewMap(b.Map(b.Int(), b.PtrTo(item)), 3000), b.NewChan(b.Chan(b.PtrTo(item)), 4)
	iter := b.Struct("maps.Iter", heaptest.F("m", b.PtrTo(b.MapHeader())), heaptest.F("c", b.PtrTo(b.ChanHeader())))
	b.Global("a", iter).Set("m", m).Set("c", queue)
	b.Global("b", b.Map(b.Int(), b.PtrTo(item))).Set("", m)
	b.Global("c", b.Chan(b.PtrTo(item))).Set("", queue)
	b.Global("d", iter).Set("m", m).Set("c", queue)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, m.Object, "map[int]*main.Item", Exact)
	wantType(t, g, f, queue.Object, "chan *main.Item", Exact)
	wantType(t, g, f, m.Tables[0], "internal/runtime/maps.table", Exact)
	if g.Stats().Conflicts != 0 {
		t.Errorf("%d conflicts", g.Stats().Conflicts)
	}
}

// TestLargeTypes have too many words for a table.
func TestLargeTypes(t *testing.T) {
	b := heaptest.New()
	cell := b.Struct("main.Cell", heaptest.F("N", b.Int()), heaptest.F("M", b.Int()))
	atomic := b.Struct("sync/atomic.Pointer[main.Cell]", heaptest.F("_", b.Array(0, b.PtrTo(cell))), heaptest.F("v", b.Basic(snapshot.UnsafePointer)))
	large := b.Struct("main.Large",
		heaptest.F("Cells", b.Array(20_000, b.PtrTo(cell))), heaptest.F("Any", b.Interface("interface {}")), heaptest.F("Name", b.String()),
		heaptest.F("p", atomic), heaptest.F("raw", b.Basic(snapshot.UnsafePointer)))
	o := b.Object(large)
	cells := []heaptest.Object{b.Object(cell), b.Object(cell), b.Object(cell), b.Object(cell)}
	text := b.Bytes(70)
	b.Field(o, "Cells[19999]", cells[0])
	b.Field(o, "Any", cells[1].As(cell))
	b.Field(o, "Name", text.Text(0, 70))
	b.Field(o, "p.v", cells[2])
	b.Field(o, "raw", cells[3])
	b.Global("main.large", b.PtrTo(large)).Set("", o)
	f := b.Build()
	g := loadFile(t, f)
	for i, want := range []string{"main.Cell", "main.Cell", "main.Cell", ""} {
		if got, _ := typeOf(g, f.ID(cells[i])); got != want {
			t.Errorf("cell %d is %q, want %q", i, got, want)
		}
	}
	wantType(t, g, f, text, "string", Exact)
	if got := path(t, g, f, 0, o, cells[0]); got != "main.large.Cells[…]" {
		t.Errorf("path %q", got)
	}
	if got := path(t, g, f, 0, o, cells[2]); got != "main.large.p" {
		t.Errorf("path %q", got)
	}
}
