package graph

import (
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// TestSampledList: of two types that look alike, what one node was allocated as decides for the whole list, forwards by
// its pointers, exactly, and backwards by inference.
func TestSampledList(t *testing.T) {
	for _, sampled := range []int{0, 500, 999} {
		b := heaptest.New()
		node := b.Struct("main.Node", heaptest.F("Next", b.Ptr("main.Node")), heaptest.F("Value", b.Int()))
		b.Struct("main.Element[int64]", heaptest.F("next", b.Ptr("main.Element[int64]")), heaptest.F("value", b.Int()))
		b.Struct("main.Anything", heaptest.F("p", b.Basic(snapshot.UnsafePointer)), heaptest.F("n", b.Int()))
		nodes := make([]heaptest.Object, 1000)
		for i := range nodes {
			nodes[i] = b.Object(node)
			if i > 0 {
				b.Field(nodes[i-1], "Next", nodes[i])
			}
		}
		b.Allocated(nodes[sampled], node, b.Frame("main.list", 3))
		unnamed(b, nodes[0])
		f := b.Build()
		g := loadFile(t, f)
		for i, o := range nodes {
			want := Exact
			if i < sampled {
				want = Inferred
			}
			wantType(t, g, f, o, "main.Node", want)
		}
	}
}

// TestSampledParts: where the code asked for a map or a channel, the object is a part of it.
func TestSampledParts(t *testing.T) {
	b := heaptest.New()
	item := b.Struct("main.Item", heaptest.F("Next", b.Ptr("main.Item")), heaptest.F("N", b.Int()))
	large := b.Struct("main.Large", heaptest.F("Items", b.Array(40, b.PtrTo(item))), heaptest.F("N", b.Int()))
	mapType, chanType, numbers := b.Map(b.Int(), b.PtrTo(item)), b.Chan(b.PtrTo(item)), b.Chan(b.Int())
	largeMap := b.Map(b.Int(), large)
	m, queue, unbuffered := b.NewMap(mapType, 100), b.NewChan(chanType, 5), b.NewChan(numbers, 40)
	value, several, pair, text := b.Object(large), b.Values(item, 3), b.Object(item), b.Bytes(100)
	one, few := b.Object(b.Int()), b.Bytes(3)
	for o, typ := range map[heaptest.Object]snapshot.TypeID{
		m.Object: mapType, m.Tables[0]: mapType, m.Groups[0]: mapType, m.Directory: mapType,
		queue.Object: chanType, queue.Buffer: chanType, unbuffered.Object: numbers, value: largeMap,
		several: item, pair: item, text: b.Byte(), one: b.Int(), few: b.Byte(),
	} {
		b.Allocated(o, typ)
		unnamed(b, o)
	}
	wrong := b.Object(large)
	b.Allocated(wrong, item) // no such slot
	unnamed(b, wrong)
	f := b.Build()
	g := loadFile(t, f)
	for o, want := range map[heaptest.Object]string{
		m.Object: "map[int]*main.Item", m.Tables[0]: "internal/runtime/maps.table", m.Groups[0]: "[]map.group[int]*main.Item",
		queue.Object: "chan *main.Item", queue.Buffer: "[]*main.Item", unbuffered.Object: "chan int", value: "main.Large",
		several: "[]main.Item", pair: "main.Item", text: "[]uint8",
	} {
		wantType(t, g, f, o, want, Exact)
	}
	wantType(t, g, f, m.Directory, "[]*internal/runtime/maps.table", Exact) // the header says so
	wantType(t, g, f, one, "", Unknown)                                     // blocks that values share
	wantType(t, g, f, few, "", Unknown)
	if got, _ := typeOf(g, f.ID(wrong)); got == "main.Item" {
		t.Error("an item of 328 bytes")
	}
}

// TestSampledHeaders: what the runtime makes for any map or channel leaves room for which, and is better than nothing.
func TestSampledHeaders(t *testing.T) {
	b := heaptest.New()
	item := b.Struct("main.Item", heaptest.F("Next", b.Ptr("main.Item")), heaptest.F("N", b.Int()))
	m, empty := b.NewMap(b.Map(b.Int(), b.PtrTo(item)), 3), b.NewMap(b.Map(b.Int(), b.PtrTo(b.Int())), 0)
	b.Allocated(m.Object, b.MapHeader())
	b.Allocated(m.Groups[0], b.Map(b.Int(), b.PtrTo(item)))
	b.Allocated(empty.Object, b.MapHeader())
	unnamed(b, m.Object, empty.Object)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, m.Object, "map[int]*main.Item", Inferred)
	wantType(t, g, f, empty.Object, "internal/runtime/maps.Map", Exact)
	if got, want := path(t, g, f, 0, m.Object, m.Groups[0]), "bss"; got != want {
		t.Errorf("path %q, want %q: the header is no step", got, want)
	}
}

// TestSampledClosure: what a closure was allocated as tells what it captures.
func TestSampledClosure(t *testing.T) {
	b := heaptest.New()
	job := b.Struct("main.Job", heaptest.F("Next", b.Ptr("main.Job")), heaptest.F("N", b.Int()))
	b.Struct("main.Other", heaptest.F("Next", b.Ptr("main.Other")), heaptest.F("N", b.Int()))
	typ := b.Struct("struct { F uintptr; X0 *main.Job }", heaptest.F("F", b.Int()), heaptest.F("X0", b.PtrTo(job)))
	fn := b.Function("main.handler.func1", "main.go", 7)
	first, second := b.Closure(fn, heaptest.F("X0", b.PtrTo(job))), b.Closure(fn, heaptest.F("X0", b.PtrTo(job)))
	x, y := b.Object(job), b.Object(job)
	b.Field(first, "X0", x)
	b.Field(second, "X0", y)
	b.Allocated(second, typ)
	unnamed(b, first, second)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, x, "main.Job", Exact)
	wantType(t, g, f, y, "main.Job", Exact)
}

// TestChannelByBuffer: a channel is told by its words and the type of its buffer.
func TestChannelByBuffer(t *testing.T) {
	b := heaptest.New()
	job := b.Struct("main.Job", heaptest.F("Next", b.Ptr("main.Job")), heaptest.F("N", b.Int()))
	queue := b.NewChan(b.Chan(b.PtrTo(job)), 100) // the buffer has a header
	j := b.Object(job)
	b.Field(queue.Buffer, "[3]", j)
	unnamed(b, queue.Object)
	b.ChanHeader()
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, queue.Object, "chan *main.Job", Inferred)
	if got := path(t, g, f, 0, queue.Object, queue.Buffer, j); got != "bss[…]" {
		t.Errorf("path %q", got)
	}
}

// TestMapsAreNotMistaken: a map of which the groups are not known is not taken for the one type that has its looks.
func TestMapsAreNotMistaken(t *testing.T) {
	b := heaptest.New()
	client := b.Struct("main.Client", heaptest.F("a", b.Int()), heaptest.F("b", b.Int()), heaptest.F("s", b.String()))
	b.PtrTo(client)
	b.Struct("main.Ring", heaptest.F("client", client), heaptest.F("rest", b.Array(2, b.Int())))
	typ := b.Map(b.Byte(), b.Byte())
	small, large := b.NewMap(typ, 4), b.NewMap(typ, 20)
	unnamed(b, small.Object, large.Object)
	f := b.Build()
	g := loadFile(t, f)
	for _, o := range []heaptest.Object{small.Object, small.Groups[0], large.Object, large.Directory, large.Tables[0]} {
		wantType(t, g, f, o, "", Unknown)
	}
}
