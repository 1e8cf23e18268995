package heaptest

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// TestClasses holds the size classes against those of the runtime that runs the test.
func TestClasses(t *testing.T) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	for i, by := range stats.BySize[1:] {
		if uint64(by.Size) != classes[i].size {
			t.Errorf("class %d has %d bytes, want %d", i+1, classes[i].size, by.Size)
		}
	}
	for _, c := range []struct {
		bytes  uint64
		noscan bool
		size   uint64
		header bool
		slots  uint64
	}{
		{1, true, 16, false, 512}, {8, false, 8, false, 1008}, {17, false, 24, false, 336}, {512, false, 512, false, 15},
		{513, false, 576, true, 14}, {512, true, 512, false, 16}, {1024, false, 1152, true, 7}, {1024, true, 1024, false, 8},
		{32760, false, 32768, true, 1}, {32760, true, 32768, false, 1}, {32761, false, 40960 - 8192, false, 1},
		{32769, true, 40960, false, 1},
	} {
		p := placeOf(c.bytes, c.noscan)
		if p.size != c.size || p.header != c.header || p.slots() != c.slots {
			t.Errorf("%d bytes, noscan %v: %+v with %d slots, want %+v", c.bytes, c.noscan, p, p.slots(), c)
		}
	}
}

// TestStructs compares random structs with those that reflect lays out.
func TestStructs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 60 {
		b := New()
		known := []struct {
			id  snapshot.TypeID
			typ reflect.Type
		}{
			{b.Int(), reflect.TypeFor[int]()}, {b.Byte(), reflect.TypeFor[uint8]()}, {b.String(), reflect.TypeFor[string]()},
			{b.Basic(snapshot.Bool), reflect.TypeFor[bool]()}, {b.Basic(snapshot.Int16), reflect.TypeFor[int16]()},
			{b.Basic(snapshot.Float32), reflect.TypeFor[float32]()}, {b.Basic(snapshot.Complex64), reflect.TypeFor[complex64]()},
			{b.Basic(snapshot.Complex128), reflect.TypeFor[complex128]()}, {b.PtrTo(b.Int()), reflect.TypeFor[*int]()},
			{b.Slice(b.Byte()), reflect.TypeFor[[]uint8]()}, {b.Map(b.String(), b.Int()), reflect.TypeFor[map[string]int]()},
			{b.Chan(b.Int()), reflect.TypeFor[chan int]()}, {b.Interface("interface {}"), reflect.TypeFor[any]()},
			{b.Func("func()"), reflect.TypeFor[func()]()}, {b.Array(3, b.Basic(snapshot.Uint32)), reflect.TypeFor[[3]uint32]()},
			{b.Struct(""), reflect.TypeFor[struct{}]()},
		}
		for range 3 {
			var fields []Field
			var want []reflect.StructField
			for i := range 1 + random.IntN(6) {
				f := known[random.IntN(len(known))]
				name := "F" + string(rune('a'+i))
				fields = append(fields, F(name, f.id))
				want = append(want, reflect.StructField{Name: name, Type: f.typ})
			}
			id, typ := b.Struct("", fields...), reflect.StructOf(want)
			compareTypes(t, b, id, typ)
			known[random.IntN(len(known))] = struct {
				id  snapshot.TypeID
				typ reflect.Type
			}{id, typ}
		}
	}
}

func compareTypes(t *testing.T, b *Builder, id snapshot.TypeID, want reflect.Type) {
	t.Helper()
	got := &b.types[id]
	if got.Name != want.String() || got.Size != uint64(want.Size()) || b.align(id) != uint64(want.Align()) || int(got.Kind) != int(want.Kind()) {
		t.Fatalf("%s: kind %d, %d bytes, want %s", got.Name, got.Kind, got.Size, want)
	}
	for i, f := range got.Fields {
		if f.Offset != uint64(want.Field(i).Offset) {
			t.Fatalf("%s: field %s at %d, want %d", got.Name, f.Name, f.Offset, want.Field(i).Offset)
		}
	}
	if last := b.pointers(nil, id, 0); len(last) > 0 && (slices.Max(last)+1)*wordBytes > (got.PtrBytes+7)/8*8 {
		t.Fatalf("%s: pointers in words %v, but only in %d bytes", got.Name, last, got.PtrBytes)
	}
}

func TestTypeNames(t *testing.T) {
	b := New()
	user := b.Struct("example.com/store.User", F("Name", b.String()))
	for id, want := range map[snapshot.TypeID]string{
		user:                                            "store.User",
		b.Ptr("example.com/store.User"):                 "*store.User",
		b.Slice(user):                                   "[]store.User",
		b.Map(b.String(), b.PtrTo(user)):                "map[string]*store.User",
		b.Chan(b.Map(b.Int(), user)):                    "chan map[int]store.User",
		b.Array(4, user):                                "[4]store.User",
		b.Struct("main.List[example.com/a.T]"):          "main.List[example.com/a.T]",
		b.Struct("", F("a", user), Embed("b", b.Int())): "struct { a store.User; b int }",
		b.Func("func(int) error"):                       "func(int) error",
	} {
		if got := b.types[id].Name; got != want {
			t.Errorf("type %q, want %q", got, want)
		}
	}
	if got := b.types[user]; got.PkgPath != "example.com/store" {
		t.Errorf("package %q", got.PkgPath)
	}
	if b.Slice(user) != b.Slice(user) || b.Named("example.com/store.User") != user {
		t.Error("one type has two numbers")
	}
	other := b.Struct("example.com/other/store.User", F("Age", b.Int()))
	if b.PtrTo(other) == b.PtrTo(user) {
		t.Error("two types of one name are one")
	}
}

// TestRuntimeTypes checks the sizes of what the runtime allocates: 48, 32 and 112 bytes since Go 1.25.
func TestRuntimeTypes(t *testing.T) {
	b := New()
	for id, want := range map[snapshot.TypeID]uint64{b.MapHeader(): 48, b.mapTable(): 32, b.ChanHeader(): 112} {
		if got := b.types[id]; got.Size != want {
			t.Errorf("%s has %d bytes, want %d", got.Name, got.Size, want)
		}
	}
	m := b.types[b.Map(b.String(), b.Int())]
	if group := b.types[m.Group]; group.Size != 8+8*24 || group.Name != "noalg.map.group[string]int" || group.PtrBytes != 8+7*24+8 {
		t.Errorf("group %+v", group)
	}
	big := b.types[b.Map(b.String(), b.Array(17, b.Int()))]
	if group := b.types[big.Group]; group.Size != 8+8*24 {
		t.Errorf("large elements stand in the group: %d bytes", group.Size)
	}
}
