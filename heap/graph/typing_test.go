package graph

import (
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// path joins the steps along objects, each of which points to the next, from a root's name on.
func path(t *testing.T, g *Graph, f *heaptest.File, root int, objects ...heaptest.Object) string {
	t.Helper()
	text := g.Roots[root].Name
	node := g.RootNode(root)
	for _, o := range objects {
		next := uint32(f.ID(o))
		found := false
		for e := g.Starts[node]; e < g.Starts[node+1] && !found; e++ {
			if found = g.Targets[e] == next; found {
				text += g.Step(node, e)
			}
		}
		if !found {
			t.Fatalf("node %d does not point to object %d", node, next)
		}
		node = next
	}
	return text
}

func TestTypesByPointers(t *testing.T) {
	b := heaptest.New()
	user := b.Struct("main.User", heaptest.F("Name", b.String()), heaptest.F("Tags", b.Slice(b.String())))
	session := b.Struct("main.Session", heaptest.F("ID", b.Int()), heaptest.F("User", b.PtrTo(user)), heaptest.F("Raw", b.Slice(b.Byte())))
	cacheType := b.Struct("main.Cache", heaptest.F("mu", b.Int()), heaptest.F("m", b.Map(b.Int(), b.PtrTo(session))))
	cache, s, u := b.Object(cacheType), b.Object(session), b.Object(user)
	m := b.NewMap(b.Map(b.Int(), b.PtrTo(session)), 2000)
	name, tags, tag, raw := b.Bytes(9), b.Values(b.String(), 3), b.Bytes(40), b.Bytes(1000)
	b.Field(cache, "m", m)
	m.Elem(1700, "", s)
	b.Field(s, "User", u)
	b.Field(s, "Raw", raw.Slice(0, 10, 1000))
	b.Field(u, "Name", name.Text(0, 9))
	b.Field(u, "Tags", tags.Slice(0, 3, 3))
	b.Field(tags, "[2]", tag.Text(4, 10))
	b.Global("main.globalCache", b.PtrTo(cacheType)).Set("", cache)
	f := b.Build()
	g := loadFile(t, f)
	groups := m.Groups[len(m.Groups)-1]
	for o, want := range map[heaptest.Object]string{
		cache: "main.Cache", s: "main.Session", u: "main.User", name: "string", tags: "[]string", tag: "string", raw: "[]uint8",
		m.Object: "map[int]*main.Session", m.Directory: "[]*internal/runtime/maps.table",
		m.Tables[0]: "internal/runtime/maps.table", groups: "[]map.group[int]*main.Session",
	} {
		wantType(t, g, f, o, want, Exact)
	}
	if got, want := path(t, g, f, 0, cache, m.Object, m.Directory, m.Tables[len(m.Tables)-1], groups, s, u, tags, tag), "main.globalCache.m[…].User.Tags[…]"; got != want {
		t.Errorf("path %q, want %q", got, want)
	}
	if g.TypedRatio() != 1 || g.InferredRatio() != 0 || g.Stats().Conflicts != 0 || g.Stats().Misfits != 0 {
		t.Errorf("typed %v, inferred %v, %+v", g.TypedRatio(), g.InferredRatio(), g.Stats())
	}
	// The tables of all maps are one type.
	first, _ := g.Type(uint32(f.ID(m.Tables[0])))
	last, _ := g.Type(uint32(f.ID(m.Tables[len(m.Tables)-1])))
	if first != last || g.TypeName(snapshot.TypeID(g.Types())) != "" {
		t.Error("tables have several types")
	}
}

func TestSmallMap(t *testing.T) {
	b := heaptest.New()
	item := b.Struct("main.Item", heaptest.F("Price", b.Int()))
	key := b.Struct("main.Key", heaptest.F("Name", b.String()), heaptest.F("N", b.Int()))
	typ := b.Map(key, b.PtrTo(item))
	m, o, text := b.NewMap(typ, 3), b.Object(item), b.Bytes(33)
	m.Elem(2, "", o)
	m.Key(1, "Name", text.Text(0, 33))
	numbers := b.NewMap(b.Map(b.Int(), b.Int()), 100)
	b.Global("main.m", typ).Set("", m)
	b.Global("main.numbers", b.Map(b.Int(), b.Int())).Set("", numbers)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, m.Object, "map[main.Key]*main.Item", Exact)
	wantType(t, g, f, m.Groups[0], "map.group[main.Key]*main.Item", Exact)
	wantType(t, g, f, o, "main.Item", Exact)
	wantType(t, g, f, numbers.Groups[0], "[]map.group[int]int", Exact)
	if got := path(t, g, f, 0, m.Object, m.Groups[0], o); got != "main.m[…]" {
		t.Errorf("path %q to an element", got)
	}
	if got := path(t, g, f, 0, m.Object, m.Groups[0], text); got != "main.m[key].Name" {
		t.Errorf("path %q to a key", got)
	}
}

func TestChannelsClosuresInterfaces(t *testing.T) {
	b := heaptest.New()
	job := b.Struct("main.Job", heaptest.F("Payload", b.Slice(b.Byte())))
	square := b.Struct("main.Square", heaptest.F("Side", b.Int()), heaptest.F("Back", b.Ptr("main.Square")))
	queue, numbers := b.NewChan(b.Chan(b.PtrTo(job)), 5), b.NewChan(b.Chan(b.Int()), 40)
	j, boxed, pointed, number := b.Object(job), b.Object(square), b.Object(square), b.Object(b.Int())
	b.Field(queue.Buffer, "[3]", j)
	handler := b.Closure(b.Function("main.handler.func1", "main.go", 7), heaptest.F("X0", b.PtrTo(job)))
	captured := b.Object(job)
	b.Field(handler, "X0", captured)
	plain := b.Bytes(16)
	shapes := b.Values(b.Interface("interface {}"), 4)
	b.Field(shapes, "[0]", boxed.As(square))
	b.Field(shapes, "[1]", pointed.As(b.PtrTo(square)))
	b.Field(shapes, "[2]", number.As(b.Int()))
	b.Field(shapes, "[3]", handler.As(b.Func("func()")))
	b.Global("main.queue", b.Chan(b.PtrTo(job))).Set("", queue)
	b.Global("main.numbers", b.Chan(b.Int())).Set("", numbers)
	b.Global("main.handlers", b.Array(2, b.Func("func()"))).Set("[0]", handler).Set("[1]", plain)
	b.Global("main.shapes", b.Slice(b.Interface("interface {}"))).Set("", shapes.Slice(0, 4, 4))
	f := b.Build()
	g := loadFile(t, f)
	for o, want := range map[heaptest.Object]string{
		queue.Object: "chan *main.Job", queue.Buffer: "[]*main.Job", numbers.Object: "chan int", j: "main.Job",
		handler: "func main.handler.func1", plain: "func()", shapes: "[]interface {}",
		boxed: "main.Square", pointed: "main.Square", number: "int",
	} {
		wantType(t, g, f, o, want, Exact)
	}
	if got := path(t, g, f, 0, queue.Object, queue.Buffer, j); got != "main.queue[…]" {
		t.Errorf("path %q into a channel", got)
	}
	if got := path(t, g, f, 2, handler, captured); got != "main.handlers[…]{captured}" {
		t.Errorf("path %q into a closure", got)
	}
}

// TestWithoutVariableTypes: where nothing is known of variables, interfaces, closures and headers still tell types.
func TestWithoutVariableTypes(t *testing.T) {
	b := heaptest.New()
	big := b.Struct("main.Big", heaptest.F("Next", b.Ptr("main.Small")), heaptest.F("Rest", b.Array(100, b.Int())))
	small := b.Struct("main.Small", heaptest.F("Name", b.String()))
	headed, next, boxed, text, many := b.Object(big), b.Object(small), b.Object(small), b.Bytes(5), b.Values(big, 3)
	b.Field(headed, "Next", next)
	b.Field(boxed, "Name", text.Text(0, 5))
	b.Root(snapshot.Global, "bss+0x10", 0).Word(0, headed).Word(1, many)
	holder := b.Object(b.Struct("main.Holder", heaptest.F("V", b.Interface("interface {}"))))
	b.Field(holder, "V", boxed.As(small))
	b.Root(snapshot.Global, "bss+0x20", 0).Word(0, holder)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, headed, "main.Big", Exact)
	wantType(t, g, f, many, "[]main.Big", Exact)
	wantType(t, g, f, next, "main.Small", Exact)
	wantType(t, g, f, boxed, "main.Small", Exact)
	wantType(t, g, f, text, "string", Exact)
	if got := path(t, g, f, 0, headed, next); got != "bss+0x10.Next" {
		t.Errorf("path %q", got)
	}
}

// TestDeadObjectsTellNothing: what garbage points to may have become something else.
func TestDeadObjectsTellNothing(t *testing.T) {
	b := heaptest.New()
	a := b.Struct("main.A", heaptest.F("P", b.Ptr("main.A")), heaptest.F("N", b.Int()))
	dead := b.Struct("main.Dead", heaptest.F("P", b.Ptr("main.Other")), heaptest.F("Rest", b.Array(80, b.Int())))
	b.Struct("main.Other", heaptest.F("P", b.Ptr("main.Other")), heaptest.F("N", b.Int()))
	o, garbage := b.Object(a), b.Object(dead)
	b.Field(garbage, "P", o)
	b.Global("main.a", b.PtrTo(a)).Set("", o)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, o, "main.A", Exact)
	wantType(t, g, f, garbage, "main.Dead", Exact)
	if g.Stats().Conflicts != 0 {
		t.Errorf("%d conflicts", g.Stats().Conflicts)
	}
}

// TestFirstField: a struct and its first field have one address, and may have one size class and mask.
func TestFirstField(t *testing.T) {
	b := heaptest.New()
	element := b.Struct("main.element", heaptest.F("next", b.Ptr("main.element")), heaptest.F("prev", b.Ptr("main.element")), heaptest.F("n", b.Int()))
	list := b.Struct("main.list", heaptest.F("root", element), heaptest.F("len", b.Int()))
	outer := b.Struct("main.outer", heaptest.F("list", list))
	holder := b.Struct("main.holder", heaptest.F("e", b.PtrTo(element)), heaptest.F("l", b.PtrTo(list)), heaptest.F("o", b.PtrTo(outer)))
	o := b.Object(outer)
	for _, order := range []string{"e", "el", "elo", "oel", "leo"} {
		for i, root := range order {
			b.Global("main.v"+order+itoa(i), holder).Set(string(root), o)
		}
	}
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, o, "main.outer", Exact)
	if g.Stats().Conflicts != 0 {
		t.Errorf("%d conflicts", g.Stats().Conflicts)
	}
}

// TestFirstFieldRanks: what was allocated counts more than what a pointer says, and that more than a part.
func TestFirstFieldRanks(t *testing.T) {
	b := heaptest.New()
	first := b.Struct("main.first", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("N", b.Array(99, b.Int())))
	whole := b.Struct("main.whole", heaptest.F("first", first), heaptest.F("M", b.Int()))
	headed := b.Object(whole) // told by its header
	b.Global("main.a", b.PtrTo(first)).Set("", headed)

	x := b.Struct("main.x", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("N", b.Int()))
	y := b.Struct("main.y", heaptest.F("Q", b.PtrTo(b.Byte())), heaptest.F("M", b.Int()))
	boxed := b.Object(y)
	any := b.Interface("interface {}")
	b.Global("main.b", b.PtrTo(x)).Set("", boxed)
	b.Global("main.c", any).Set("", boxed.As(y))
	b.Global("main.d", b.PtrTo(x)).Set("", boxed)

	cast := b.Object(x)
	b.Global("main.e", b.PtrTo(x)).Set("", cast)
	b.Global("main.f", b.PtrTo(y)).Set("", cast)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, headed, "main.whole", Exact)
	wantType(t, g, f, boxed, "main.y", Exact)
	wantType(t, g, f, cast, "main.x", Exact) // the first, and the conflict is counted
	if got := g.Stats().Conflicts; got != 3 {
		t.Errorf("%d conflicts, want 3", got)
	}
}

// TestPointerMustAgree: a pointer's type is refused where size, pointers or kind of span speak against it.
func TestPointerMustAgree(t *testing.T) {
	b := heaptest.New()
	node := b.Struct("main.Node", heaptest.F("Next", b.Ptr("main.Node")), heaptest.F("N", b.Int()))
	swapped := b.Struct("main.Swapped", heaptest.F("N", b.Int()), heaptest.F("P", b.PtrTo(node)))
	wide := b.Struct("main.Wide", heaptest.F("P", b.PtrTo(node)), heaptest.F("N", b.Array(5, b.Int())))
	for i, typ := range []snapshot.TypeID{swapped, wide, b.Array(2, b.Int()), b.Array(2, b.PtrTo(node))} {
		b.Global("main.v"+itoa(i), b.PtrTo(node)).Set("", b.Object(typ))
	}
	f := b.Build()
	g := loadFile(t, f)
	for object := range g.Objects() {
		if name, _ := typeOf(g, snapshot.ObjectID(object)); strings.HasSuffix(name, "main.Node") && name != "[]*main.Node" {
			t.Errorf("object %d of %d bytes is %q", object, g.Size(object), name)
		}
	}
}

func TestAtomicPointerAndWeak(t *testing.T) {
	b := heaptest.New()
	conf := b.Struct("main.Config", heaptest.F("Name", b.String()), heaptest.F("Values", b.Array(3, b.Int())))
	pointer := b.Basic(snapshot.UnsafePointer)
	atomic := b.Struct("sync/atomic.Pointer[main.Config]", heaptest.F("_", b.Array(0, b.PtrTo(conf))), heaptest.F("v", pointer))
	weak := b.Struct("weak.Pointer[main.Config]", heaptest.F("_", b.Array(0, b.PtrTo(conf))), heaptest.F("u", pointer))
	inner := b.Struct("internal/runtime/atomic.Pointer[main.Config]", heaptest.F("u", pointer))
	o, p, handle := b.Object(conf), b.Object(conf), b.Bytes(16)
	b.Global("main.current", atomic).Set("v", o)
	b.Global("main.inner", inner).Set("u", p)
	b.Global("main.weakly", weak).Set("u", handle)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, o, "main.Config", Exact)
	wantType(t, g, f, p, "main.Config", Exact)
	wantType(t, g, f, handle, "weak.handle", Exact)
	if got := path(t, g, f, 0, o); got != "main.current" {
		t.Errorf("path %q", got)
	}
}

func TestPoolAndTimer(t *testing.T) {
	b := heaptest.New()
	any, pointer := b.Interface("interface {}"), b.Basic(snapshot.UnsafePointer)
	local := b.Struct("sync.poolLocal", heaptest.F("private", any), heaptest.F("pad", b.Array(14, b.Int())))
	pool := b.Struct("sync.Pool", heaptest.F("local", pointer), heaptest.F("localSize", b.Int()), heaptest.F("victim", pointer), heaptest.F("New", b.Func("func() interface {}")))
	timer := b.Struct("time.Timer", heaptest.F("C", b.Chan(b.Int())), heaptest.F("initTimer", b.Int()))
	behind := b.Struct("runtime.timeTimer", heaptest.F("c", pointer), heaptest.F("init", b.Int()), heaptest.F("arg", any), heaptest.F("rest", b.Array(10, b.Int())))
	buffer := b.Struct("main.Buffer", heaptest.F("B", b.Slice(b.Byte())))
	locals, o, tm := b.Values(local, 2), b.Object(buffer), b.Object(behind)
	b.Field(locals, "[1].private", o.As(b.PtrTo(buffer)))
	b.Global("main.pool", pool).Set("local", locals)
	b.Global("main.timer", b.PtrTo(timer)).Set("", tm)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, locals, "[]sync.poolLocal", Exact)
	wantType(t, g, f, o, "main.Buffer", Exact)
	wantType(t, g, f, tm, "runtime.timeTimer", Exact)
}

func TestInteriorPointers(t *testing.T) {
	b := heaptest.New()
	cell := b.Struct("main.Cell", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("N", b.Int()))
	backing, inside, text := b.Values(cell, 8), b.Values(cell, 8), b.Bytes(4000)
	number := b.Object(b.Int())
	b.Field(backing, "[7].P", number)
	b.Global("main.tail", b.Slice(cell)).Set("", backing.Slice(5*16, 3, 3))
	b.Global("main.one", b.PtrTo(cell)).Set("", inside.At(3*16))
	b.Global("main.sub", b.String()).Set("", text.Text(1234, 10))
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, backing, "[]main.Cell", Exact)
	wantType(t, g, f, number, "int", Exact)
	wantType(t, g, f, text, "string", Exact)
	wantType(t, g, f, inside, "[]main.Cell", Inferred)
}

func TestSliceOfOne(t *testing.T) {
	b := heaptest.New()
	cell := b.Struct("main.Cell", heaptest.F("P", b.PtrTo(b.Int())), heaptest.F("N", b.Int()))
	a, c := b.Object(cell), b.Object(cell)
	b.Global("main.first", b.PtrTo(cell)).Set("", a)
	b.Global("main.slice", b.Slice(cell)).Set("", a.Slice(0, 1, 1))
	b.Global("main.other", b.Slice(cell)).Set("", c.Slice(0, 1, 1))
	b.Global("main.second", b.PtrTo(cell)).Set("", c)
	f := b.Build()
	g := loadFile(t, f)
	wantType(t, g, f, a, "[]main.Cell", Exact)
	wantType(t, g, f, c, "[]main.Cell", Exact)
}

// TestDeepList types a list without recursion.
func TestDeepList(t *testing.T) {
	var file strings.Builder
	if err := heaptest.WriteList(&file, scale()); err != nil {
		t.Fatal(err)
	}
	g, err := Load(t.Context(), openFile(t, []byte(file.String())), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if g.ReachedObjects() != scale() || g.Stats().ExactObjects != scale() {
		t.Errorf("%d reached, %d typed, want %d", g.ReachedObjects(), g.Stats().ExactObjects, scale())
	}
}

func TestSessionsAreTyped(t *testing.T) {
	g, err := Load(t.Context(), sessionsFile(t, scale()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if g.ReachedObjects() != uint64(g.Objects()) || g.Stats().ExactBytes != g.ReachedBytes() {
		t.Errorf("%d of %d bytes typed", g.Stats().ExactBytes, g.ReachedBytes())
	}
}
