package graph

import (
	"context"
	"errors"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// unnamed adds a root of which nothing is known that points to objects.
func unnamed(b *heaptest.Builder, objects ...heaptest.Object) {
	root := b.Root(snapshot.Global, "bss", 0)
	for i, o := range objects {
		root.Word(uint64(i), o)
	}
}

func TestInferenceByShape(t *testing.T) {
	b := heaptest.New()
	only := b.Struct("main.Only", heaptest.F("A", b.Int()), heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("Rest", b.Array(3, b.Int())), heaptest.F("Name", b.String()))
	o, text, number := b.Object(only), b.Bytes(50), b.Object(b.Int())
	b.Field(o, "Name", text.Text(0, 50))
	b.Field(o, "P", number)
	twinA := b.Struct("main.TwinA", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("Q", b.PtrTo(b.Int())), heaptest.F("N", b.Int()))
	b.Struct("main.TwinB", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("Q", b.PtrTo(b.Int())), heaptest.F("M", b.Int()))
	ambiguous := b.Object(twinA)
	unnamed(b, o, ambiguous)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, o, "main.Only", Inferred)
	wantType(t, g, f, text, "string", Inferred)
	wantType(t, g, f, ambiguous, "", Unknown)
	if g.Stats().Ambiguous != 1 || g.Stats().InferredObjects == 0 || g.InferredRatio() == 0 || g.InferredRatio() != g.TypedRatio() {
		t.Errorf("%+v", g.Stats())
	}
}

// TestInferenceByTargets: of types that look alike, what they point to decides.
func TestInferenceByTargets(t *testing.T) {
	b := heaptest.New()
	big := b.Struct("main.Big", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("Rest", b.Array(99, b.Int())))
	other := b.Struct("main.Other", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("Rest", b.Array(88, b.Int())))
	toBig := b.Struct("main.ToBig", heaptest.F("B", b.PtrTo(big)), heaptest.F("N", b.Int()))
	toOther := b.Struct("main.ToOther", heaptest.F("O", b.PtrTo(other)), heaptest.F("N", b.Int()))
	text := b.Struct("main.Text", heaptest.F("S", b.String()))
	iface := b.Struct("main.Iface", heaptest.F("N", b.Int()), heaptest.F("S", b.PtrTo(big)))
	any := b.Struct("main.Any", heaptest.F("V", b.Interface("interface {}")), heaptest.F("N", b.Int()))
	x, y, z, v, w := b.Object(toBig), b.Object(toOther), b.Object(text), b.Object(any), b.Object(iface)
	first, second, bytes := b.Object(big), b.Object(other), b.Bytes(30)
	b.Field(x, "B", first)
	b.Field(y, "O", second)
	b.Field(z, "S", bytes.Text(0, 30))
	b.Field(v, "V", first.As(b.PtrTo(big)))
	b.Field(w, "S", first)
	unnamed(b, x, y, z, v, w)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, x, "main.ToBig", Inferred)
	wantType(t, g, f, y, "main.ToOther", Inferred)
	wantType(t, g, f, v, "main.Any", Inferred)
	wantType(t, g, f, w, "main.Iface", Inferred)
	// A string and a struct of a string are the same to all who look from outside.
	wantType(t, g, f, z, "", Unknown)
}

// TestInferenceByHolders: what a pointer refuses to be tells what it may be part of.
func TestInferenceByHolders(t *testing.T) {
	b := heaptest.New()
	node := b.Struct("trie.node", heaptest.F("isEntry", b.Basic(snapshot.Bool)))
	leaf := b.Struct("trie.leaf", heaptest.F("node", node), heaptest.F("key", b.Int()), heaptest.F("value", b.Array(10, b.Int())))
	inner := b.Struct("trie.inner", heaptest.F("node", node), heaptest.F("children", b.Array(16, b.PtrTo(node))))
	root, child, one, odd := b.Object(inner), b.Object(inner), b.Object(leaf), b.Bytes(64)
	b.Field(root, "children[0]", child)
	b.Field(root, "children[1]", one)
	b.Field(child, "children[5]", one)
	b.Global("trie.root", b.PtrTo(inner)).Set("", root)
	b.Global("trie.odd", b.PtrTo(node)).Set("", odd) // 64 bytes: nothing that contains a node is that large
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, root, "trie.inner", Exact)
	wantType(t, g, f, child, "trie.inner", Inferred)
	wantType(t, g, f, one, "trie.leaf", Inferred)
	wantType(t, g, f, odd, "[]trie.node", Inferred)
}

func TestInferenceOfMaps(t *testing.T) {
	b := heaptest.New()
	item := b.Struct("main.Item", heaptest.F("Owner", b.Ptr("main.Item")), heaptest.F("Rest", b.Array(70, b.Int())))
	large, small := b.NewMap(b.Map(b.Int(), b.PtrTo(item)), 3000), b.NewMap(b.Map(b.Int(), b.PtrTo(item)), 2)
	o, p := b.Object(item), b.Object(item)
	large.Elem(2999, "", o)
	small.Elem(1, "", p)
	unnamed(b, large.Object, small.Object)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, large.Groups[3], "[]map.group[int]*main.Item", Exact)
	wantType(t, g, f, large.Tables[1], "internal/runtime/maps.table", Inferred)
	wantType(t, g, f, large.Directory, "[]*internal/runtime/maps.table", Inferred)
	wantType(t, g, f, large.Object, "map[int]*main.Item", Inferred)
	wantType(t, g, f, small.Groups[0], "map.group[int]*main.Item", Inferred)
	wantType(t, g, f, small.Object, "map[int]*main.Item", Inferred)
}

func TestInferenceOfClosures(t *testing.T) {
	b := heaptest.New()
	word := b.Basic(snapshot.Uintptr)
	conn := b.Struct("net/http.conn", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("Rest", b.Array(99, b.Int())))
	data := b.Struct("main.Data", heaptest.F("B", b.Array(12, b.Int())))
	b.Struct("", heaptest.F("F", word), heaptest.F("X0", b.PtrTo(data)))
	b.Struct("", heaptest.F("F", word), heaptest.F("X0", b.PtrTo(conn)))
	b.Struct("", heaptest.F("F", word), heaptest.F("R", b.PtrTo(conn)))
	capturing := func(name string, typ snapshot.TypeID, to heaptest.Object) heaptest.Object {
		c := b.Closure(b.Function(name, "main.go", 1), heaptest.F("X0", b.PtrTo(typ)))
		b.Field(c, "X0", to)
		return c
	}
	d, e, c := b.Object(data), b.Object(data), b.Object(conn)
	both := []heaptest.Object{capturing("main.run.func1", data, d), capturing("main.run.func1", data, e)}
	method, function := capturing("net/http.(*conn).serve-fm", conn, c), capturing("main.other.func1", conn, c)
	unnamed(b, both[0], both[1], method, function)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, both[0], "func main.run.func1", Exact)
	wantType(t, g, f, d, "main.Data", Inferred)
	wantType(t, g, f, e, "main.Data", Inferred)
	wantType(t, g, f, method, "func net/http.(*conn).serve-fm", Exact)
	wantType(t, g, f, c, "http.conn", Exact)
	if got := path(t, g, f, 0, both[0], d); got != "bss{captured}" {
		t.Errorf("path %q", got)
	}
}

// TestGenericTypesComeLast: an instance's type is preferred to that of the code which several instances share.
func TestGenericTypesComeLast(t *testing.T) {
	b := heaptest.New()
	fields := []heaptest.Field{heaptest.F("N", b.Int()), heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("Rest", b.Array(7, b.Int()))}
	b.Struct("main.List[go.shape.int]", fields...)
	list := b.Struct("main.List[int]", fields...)
	o := b.Object(list)
	unnamed(b, o)
	f := b.Build()
	wantType(t, loadFile(t, f), f, o, "main.List[int]", Inferred)
}

func TestExactBeatsInferred(t *testing.T) {
	b := heaptest.New()
	a := b.Struct("main.A", heaptest.F("N", b.Int()), heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("M", b.Array(5, b.Int())))
	o := b.Object(a)
	f := b.Build()
	g := loadFile(t, f)
	x := g.clues.typer
	id := uint32(f.ID(o))
	g.typing[id] = 0
	for _, step := range []struct {
		claim, want typing
	}{
		{newTyping(1, Inferred, rankInside), newTyping(1, Inferred, rankInside)},
		{newTyping(2, Inferred, rankInside), newTyping(1, Inferred, rankInside)},
		{newTyping(2, Inferred, rankPointed), newTyping(2, Inferred, rankPointed)},
		{newTyping(1, Exact, rankInside), newTyping(1, Exact, rankInside)},
		{newTyping(2, Inferred, rankAllocated), newTyping(1, Exact, rankInside)},
		{newTyping(2, Exact, rankPointed), newTyping(2, Exact, rankPointed)},
		{newTyping(2, Exact, rankAllocated), newTyping(2, Exact, rankAllocated)},
		{newTyping(1, Exact, rankPointed), newTyping(2, Exact, rankAllocated)},
	} {
		x.assign(id, step.claim)
		if got := g.typing[id]; got != step.want {
			t.Fatalf("after %x the type is %x, want %x", step.claim, got, step.want)
		}
	}
	if Exact.String() != "exact" || Inferred.String() != "inferred" || Unknown.String() != "unknown" {
		t.Error("certainties have other names")
	}
}

func TestCheckInference(t *testing.T) {
	b := heaptest.New()
	only := b.Struct("main.Only", heaptest.F("A", b.Int()), heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("Rest", b.Array(3, b.Int())))
	twinA := b.Struct("main.TwinA", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("N", b.Array(20, b.Int())))
	twinB := b.Struct("main.TwinB", heaptest.F("Q", b.PtrTo(b.Int())), heaptest.F("M", b.Array(20, b.Int())))
	onlys, as, bs := b.Values(b.PtrTo(only), 100), b.Values(b.PtrTo(twinA), 50), b.Values(b.PtrTo(twinB), 50)
	for i := range 100 {
		b.Field(onlys, "["+itoa(i)+"]", b.Object(only))
	}
	for i := range 50 {
		b.Field(as, "["+itoa(i)+"]", b.Object(twinA))
		b.Field(bs, "["+itoa(i)+"]", b.Object(twinB))
	}
	b.Global("main.onlys", b.Slice(b.PtrTo(only))).Set("", onlys.Slice(0, 100, 100))
	b.Global("main.as", b.Slice(b.PtrTo(twinA))).Set("", as.Slice(0, 50, 50))
	b.Global("main.bs", b.Slice(b.PtrTo(twinB))).Set("", bs.Slice(0, 50, 50))
	g := loadFile(t, b.Build())
	c, err := g.CheckInference(t.Context(), 1000)
	if err != nil || c.Tried < 200 || c.Decided < 100 || c.Decided > 110 || c.Wrong != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = g.CheckInference(t.Context(), 20); err != nil || c.Tried != 20 {
		t.Errorf("%+v, %v, want 20 tried", c, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = g.CheckInference(ctx, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	g.ReleaseTyping()
	if _, err = g.CheckInference(t.Context(), 10); !errors.Is(err, ErrReleased) {
		t.Errorf("%v, want ErrReleased", err)
	}
}

// TestCheckFindsErrors: an allocation by a type that the table hides is taken for the other one, and that is counted.
func TestCheckFindsErrors(t *testing.T) {
	b := heaptest.New()
	a := b.Struct("main.A", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("N", b.Array(20, b.Int())))
	all := b.Values(b.PtrTo(a), 64)
	for i := range 64 {
		b.Field(all, "["+itoa(i)+"]", b.Object(a))
	}
	b.Global("main.all", b.Slice(b.PtrTo(a))).Set("", all.Slice(0, 64, 64))
	g := loadFile(t, b.Build())
	x := g.clues.typer
	// Rename what is known exactly: inference now gives another type than they have.
	fake := x.types.id(array, 1)
	for o := range g.typing {
		if g.typing[o].id() == uint32(a) {
			g.typing[o] = newTyping(fake, Exact, rankPointed)
		}
	}
	c, err := g.CheckInference(t.Context(), 100)
	if err != nil || c.Wrong < 64 {
		t.Errorf("%+v, %v, want 64 wrong", c, err)
	}
}
