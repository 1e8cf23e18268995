package heaptest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// only returns the edges of an object.
func (l *loaded) of(f *File, o Object) []snapshot.Edge { return l.edges[f.ID(o)] }

func expectEdges(t *testing.T, what string, got []snapshot.Edge, want ...snapshot.Edge) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%+v, want\n%+v", what, got, want)
	}
}

func TestMaps(t *testing.T) {
	b := New()
	user := b.Struct("main.User", F("A", b.Int()))
	typ := b.Map(b.String(), b.PtrTo(user))
	key, elem := b.Bytes(40), b.Object(user)
	empty, small, table, large := b.NewMap(typ, 0), b.NewMap(typ, 8), b.NewMap(typ, 20), b.NewMap(typ, 3000)
	for _, m := range []*Map{small, table, large} {
		m.Key(7, "", key.Text(0, 40))
		m.Elem(7, "", elem)
	}
	large.Elem(2999, "", elem)
	f := b.Build()
	l := load(t, f)

	expectEdges(t, "an empty map", l.of(f, empty.Object), snapshot.Edge{Slot: 2, Target: f.ID(empty.Groups[0])})
	expectEdges(t, "a small map's group", l.of(f, small.Groups[0]),
		snapshot.Edge{Slot: 1 + 7*3, Target: f.ID(key)}, snapshot.Edge{Slot: 1 + 7*3 + 2, Target: f.ID(elem)})
	expectEdges(t, "a table's map", l.of(f, table.Object), snapshot.Edge{Slot: 2, Target: f.ID(table.Directory)})
	expectEdges(t, "a directory of one", l.of(f, table.Directory), snapshot.Edge{Target: f.ID(table.Tables[0])})
	// Four groups of 200 bytes stand behind a type header.
	expectEdges(t, "a table", l.of(f, table.Tables[0]), snapshot.Edge{
		Slot: 2, Target: f.ID(table.Groups[0]), Offset: 8, Evidence: snapshot.Length, Len: 3,
	})
	expectEdges(t, "a table's groups", l.of(f, table.Groups[0]),
		snapshot.Edge{Slot: 1 + 1 + 7*3, Target: f.ID(key)}, snapshot.Edge{Slot: 1 + 1 + 7*3 + 2, Target: f.ID(elem)})
	if len(large.Tables) != 4 || len(l.of(f, large.Directory)) != 8 {
		t.Errorf("%d tables, %d pointers to them, want 4 and 8", len(large.Tables), len(l.of(f, large.Directory)))
	}
	for i, e := range l.of(f, large.Directory) {
		if e.Target != f.ID(large.Tables[i/2]) {
			t.Errorf("pointer %d of the directory is to object %d", i, e.Target)
		}
	}
	if got := l.of(f, large.Groups[3]); len(got) != 1 || got[0].Target != f.ID(elem) {
		t.Errorf("the last groups have %+v", got)
	}
}

func TestChannels(t *testing.T) {
	b := New()
	item := b.Struct("main.Item", F("Next", b.Ptr("main.Item")), F("N", b.Int()))
	c, plain := b.NewChan(b.Chan(item), 10), b.NewChan(b.Chan(b.Int()), 10)
	o := b.Object(item)
	b.Field(c.Buffer, "[3].Next", o)
	f := b.Build()
	l := load(t, f)
	expectEdges(t, "a channel", l.of(f, c.Object), snapshot.Edge{Slot: 2, Target: f.ID(c.Buffer)})
	expectEdges(t, "its buffer", l.of(f, c.Buffer), snapshot.Edge{Slot: 6, Target: f.ID(o)})
	if f.Size(plain.Object) != 192 || l.size[f.ID(c.Object)] != 112 {
		t.Errorf("channels of %d and %d bytes", f.Size(plain.Object), f.Size(c.Object))
	}
}

// TestKinds builds an object of every kind of span, and what points to it.
func TestKinds(t *testing.T) {
	b := New()
	node := b.Struct("main.Node", F("P", b.Ptr("main.Node")), F("V", b.Interface("interface {}")), F("L", b.Slice(b.Int())), F("N", b.Int()))
	small, bytes := b.Object(node), b.Bytes(1000)
	wide, large := b.Values(node, 20), b.Values(node, 2000)
	b.Hole(node)
	after := b.Object(node)
	b.Field(small, "P", wide.At(56*3))
	b.Field(small, "V", small.As(b.PtrTo(node)))
	b.Field(small, "L", bytes.Slice(16, 3, 9))
	b.Field(wide, "[2].P", large.At(8))
	b.Field(wide, "[19].V", bytes.As(b.Array(1000, b.Byte())))
	b.Number(after, "N", 77)
	b.Field(after, "P", bytes)
	for i := range 30 {
		b.Field(large, fmt.Sprintf("[%d].P", i*10), after)
	}
	run := b.Function("main.run.func1", "run.go", 4)
	closure := b.Closure(run, F("node", b.PtrTo(node)), F("n", b.Int()))
	b.Field(closure, "node", after)
	f := b.Build()
	l := load(t, f)

	dynamic := func(e snapshot.Edge, t snapshot.TypeID) snapshot.Edge {
		e.Evidence, e.Type = snapshot.DynamicType, t
		return e
	}
	expectEdges(t, "a small object", l.of(f, small),
		snapshot.Edge{Slot: 0, Target: f.ID(wide), Offset: 8 + 56*3, Evidence: snapshot.Length},
		dynamic(snapshot.Edge{Slot: 2, Target: f.ID(small)}, b.PtrTo(node)),
		snapshot.Edge{Slot: 3, Target: f.ID(bytes), Offset: 16, Evidence: snapshot.Length, Len: 3, Cap: 9})
	expectEdges(t, "an object with a header", l.of(f, wide),
		snapshot.Edge{Slot: 1 + 14, Target: f.ID(large), Offset: 8, Evidence: snapshot.Length},
		dynamic(snapshot.Edge{Slot: 1 + 7*19 + 2, Target: f.ID(bytes)}, b.Array(1000, b.Byte())))
	if got := l.of(f, large); len(got) != 30 || got[29].Slot != 290*7 {
		t.Errorf("the large object has %+v", got)
	}
	expectEdges(t, "a closure", l.of(f, closure), snapshot.Edge{Slot: 1, Target: f.ID(after)})
	if l.funcs[f.ID(closure)] != run {
		t.Errorf("the closure is of function %d, want %d", l.funcs[f.ID(closure)], run)
	}
	shapes, err := l.Shapes()
	if err != nil {
		t.Fatal(err)
	}
	if s := shapes[l.shape[f.ID(small)]]; s.Type != 0 || s.Mask[0] != 0b1101 {
		t.Errorf("the small object's shape is %+v", s)
	}
	if s := shapes[l.shape[f.ID(wide)]]; s.Type != node || s.Mask != nil {
		t.Errorf("the wide object's shape is %+v", s)
	}
	spans, _ := l.Spans()
	if a, _ := l.Address(f.ID(after)); a != spans[0].Start+2*64 {
		t.Errorf("the object behind the hole is at %#x", a)
	}
	checkShapes(t, l)
}

func TestRoots(t *testing.T) {
	b := New()
	node := b.Struct("main.Node", F("P", b.Ptr("main.Node")), F("V", b.Interface("interface {}")))
	one, two, three := b.Object(node), b.Object(node), b.Object(node)
	b.Global("main.node", node).Set("P", one).Set("V", two.As(b.PtrTo(node)))
	g := b.Goroutine("select", b.Function("main.main", "main.go", 1), b.Frame("main.serve", 10), b.Frame("main.main", 20))
	g.Local(1, "n", b.PtrTo(node)).Set("", two)
	g.Root(snapshot.Register, "rax", 0).Word(0, three.At(8)).Conservative()
	b.Finalizer(one, two)
	b.Cleanup(two, one, three)
	b.Weak(three)
	b.Sampled(three, b.Frame("main.serve", 11))
	f := b.Build()
	l := load(t, f)

	want := []snapshot.Root{
		{Kind: snapshot.Global, Name: "main.node", Type: node, Edges: []snapshot.Edge{
			{Slot: 0, Target: f.ID(one)}, {Slot: 2, Target: f.ID(two), Evidence: snapshot.DynamicType, Type: b.PtrTo(node)},
		}},
		{Kind: snapshot.StackRoot, Name: "n", Type: b.PtrTo(node), Goroutine: 1, Frame: 1, Edges: []snapshot.Edge{{Target: f.ID(two)}}},
		{Kind: snapshot.Register, Name: "rax", Goroutine: 1, Conservative: true, Edges: []snapshot.Edge{{Target: f.ID(three), Offset: 8}}},
		{Kind: snapshot.Finalizer, Name: "finalizer", Object: f.ID(one), Edges: []snapshot.Edge{{Target: f.ID(two)}}},
		{Kind: snapshot.Cleanup, Name: "cleanup", Object: f.ID(two), Edges: []snapshot.Edge{{Target: f.ID(one)}, {Slot: 1, Target: f.ID(three)}}},
	}
	if fmt.Sprint(l.roots) != fmt.Sprint(want) {
		t.Errorf("roots\n%+v, want\n%+v", l.roots, want)
	}
	goroutines, err := l.Goroutines()
	if err != nil || len(goroutines) != 1 || goroutines[0].State != "select" || len(goroutines[0].Frames) != 2 {
		t.Errorf("goroutines %+v, %v", goroutines, err)
	}
	functions, err := l.Functions()
	if err != nil || functions[goroutines[0].Frames[0].Func].Name != "main.serve" || functions[goroutines[0].CreatedBy].Name != "main.main" {
		t.Errorf("functions %+v, %v", functions, err)
	}
	weak, err := l.Weak()
	sampled, also := l.Sampled()
	if err != nil || also != nil || weak[0].Object != f.ID(three) || sampled[0] != (snapshot.Sampled{Object: f.ID(three), Stack: 1}) {
		t.Errorf("weak %+v, sampled %+v", weak, sampled)
	}
}

// TestMistakes: what the language would not allow panics.
func TestMistakes(t *testing.T) {
	for name, mistake := range map[string]func(b *Builder, node snapshot.TypeID){
		"an unknown field":            func(b *Builder, n snapshot.TypeID) { b.Field(b.Object(n), "Q", b.Object(n)) },
		"a number is no pointer":      func(b *Builder, n snapshot.TypeID) { b.Field(b.Object(n), "N", b.Object(n)) },
		"an index out of range":       func(b *Builder, n snapshot.TypeID) { b.Field(b.Values(n, 3), "[3].P", b.Object(n)) },
		"no index":                    func(b *Builder, n snapshot.TypeID) { b.Field(b.Values(n, 3), "P", b.Object(n)) },
		"an index into a struct":      func(b *Builder, n snapshot.TypeID) { b.Field(b.Object(n), "[0]", b.Object(n)) },
		"an array's end":              func(b *Builder, n snapshot.TypeID) { b.Field(b.Object(b.Array(2, b.PtrTo(n))), "[2]", b.Object(n)) },
		"an interface without a type": func(b *Builder, n snapshot.TypeID) { b.Field(b.Object(n), "V", b.Object(n)) },
		"no size":                     func(b *Builder, _ snapshot.TypeID) { b.Object(b.Struct("main.Empty")) },
		"not defined":                 func(b *Builder, _ snapshot.TypeID) { b.Object(b.Named("main.Nothing")) },
		"a field not defined":         func(b *Builder, _ snapshot.TypeID) { b.Struct("main.T", F("x", b.Named("main.Nothing"))) },
		"defined twice":               func(b *Builder, _ snapshot.TypeID) { b.Struct("main.Node", F("x", b.Int())) },
		"no map":                      func(b *Builder, n snapshot.TypeID) { b.NewMap(n, 1) },
		"no channel":                  func(b *Builder, n snapshot.TypeID) { b.NewChan(n, 1) },
		"no basic type":               func(b *Builder, _ snapshot.TypeID) { b.Basic(snapshot.Map) },
		"beyond a map":                func(b *Builder, n snapshot.TypeID) { b.NewMap(b.Map(b.Int(), b.PtrTo(n)), 3).Elem(3, "", b.Object(n)) },
		"a frame too many":            func(b *Builder, n snapshot.TypeID) { b.Goroutine("running", 0).Local(1, "x", n); mustRead(b) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			b := New()
			node := b.Struct("main.Node", F("P", b.Ptr("main.Node")), F("V", b.Interface("interface {}")), F("N", b.Int()))
			mistake(b, node)
		})
	}
}

// mustRead panics if the roots cannot be read.
func mustRead(b *Builder) {
	r, err := b.Build().Reader()
	if err == nil {
		_, err = r.Roots()
	}
	if err != nil {
		panic(err)
	}
}
