package heaptest

import (
	"fmt"
	"math/rand/v2"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// Random builds a snapshot of n objects, some more behind maps, that point to each other at random: cycles, garbage,
// objects of all kinds of spans, every kind of root and of evidence. The same seed gives the same snapshot.
func Random(seed uint64, n int) *File {
	random := rand.New(rand.NewPCG(seed, uint64(n))) //nolint:gosec // the same graph for the same seed is what is wanted
	g := &generator{Builder: New(), random: random}
	g.declare()
	for range n {
		g.allocate()
	}
	for i, o := range g.all {
		g.fill(o, g.kinds[i])
	}
	if len(g.all) > 0 {
		g.addRoots()
	}
	return g.Build()
}

// generator makes random snapshots.
type generator struct {
	*Builder
	random *rand.Rand

	node, wide, small, pointer, any, list snapshot.TypeID
	callback                              snapshot.FuncID

	all   []Object
	kinds []int
}

// Kinds of random objects, by the weight that they have among a hundred.
const (
	aNode = iota
	aWide
	aSmall
	someBytes
	aList
	aMap
	aChannel
	aClosure
	aHuge
	manyKinds
)

var weights = [manyKinds]int{aNode: 40, aWide: 4, aSmall: 16, someBytes: 20, aList: 8, aMap: 3, aChannel: 3, aClosure: 5, aHuge: 1}

// declare defines the types.
func (g *generator) declare() {
	g.pointer, g.any = g.Ptr("main.Node"), g.Interface("interface {}")
	g.node = g.Struct("main.Node",
		F("Left", g.pointer), F("Right", g.pointer), F("Name", g.String()), F("Value", g.any), F("Next", g.Slice(g.pointer)))
	g.wide = g.Struct("main.Wide", F("Nodes", g.Array(100, g.pointer)), F("N", g.Int()))
	g.small = g.Struct("main.Small", F("P", g.pointer), F("Q", g.Basic(snapshot.UnsafePointer)))
	g.callback = g.Function("main.run.func1", "main.go", 12)
}

// allocate adds an object of some kind.
func (g *generator) allocate() {
	at := g.random.IntN(100)
	kind := 0
	for at >= weights[kind] {
		at -= weights[kind]
		kind++
	}
	var o Object
	switch kind {
	case aNode:
		o = g.Object(g.node)
	case aWide:
		o = g.Object(g.wide)
	case aSmall:
		o = g.Object(g.small)
	case someBytes:
		o = g.Bytes(1 + g.random.Uint64N(600))
	case aList:
		o = g.Values(g.pointer, 2+g.random.Uint64N(100))
	case aMap:
		o = g.randomMap()
	case aChannel:
		c := g.NewChan(g.Chan(g.pointer), 1+g.random.Uint64N(4))
		o = c.Object
	case aClosure:
		o = g.Closure(g.callback, F("node", g.pointer))
	case aHuge:
		o = g.Values(g.small, 2100+g.random.Uint64N(3000))
	}
	if g.random.IntN(20) == 0 {
		g.Hole(g.node)
	}
	g.all, g.kinds = append(g.all, o), append(g.kinds, kind)
}

// randomMap makes a map whose elements are objects that are there already.
func (g *generator) randomMap() Object {
	entries := g.random.Uint64N(30)
	if g.random.IntN(10) == 0 {
		entries = 2000
	}
	m := g.NewMap(g.Map(g.Int(), g.pointer), entries)
	for i := range entries {
		if len(g.all) > 0 {
			m.Elem(i, "", g.some())
		}
	}
	return m.Object
}

// some is an object, most often one of the first.
func (g *generator) some() Object {
	n := len(g.all)
	if g.random.IntN(3) == 0 {
		n = min(n, 10)
	}
	return g.all[g.random.IntN(n)]
}

// inside is a pointer to an object or into the middle of one.
func (g *generator) inside() Ref {
	o := g.some()
	if g.random.IntN(8) != 0 {
		return o.At(0)
	}
	return o.At(g.random.Uint64N(g.objects[o.n].bytes))
}

// often reports true three times in four.
func (g *generator) often() bool { return g.random.IntN(4) != 0 }

// fill lets an object point to others.
func (g *generator) fill(o Object, kind int) {
	switch kind {
	case aNode:
		g.fillNode(o)
	case aWide:
		for i := range 100 {
			if g.often() {
				g.Field(o, fmt.Sprintf("Nodes[%d]", i), g.inside())
			}
		}
	case aSmall:
		g.Field(o, "P", g.inside())
	case aList:
		for i := range g.objects[o.n].count {
			if g.often() {
				g.Field(o, fmt.Sprintf("[%d]", i), g.some())
			}
		}
	case aClosure:
		g.Field(o, "node", g.inside())
	case aHuge:
		for range 20 {
			g.Field(o, fmt.Sprintf("[%d].P", g.random.Uint64N(g.objects[o.n].count)), g.some())
		}
	}
}

func (g *generator) fillNode(o Object) {
	if g.often() {
		g.Field(o, "Left", g.some())
	}
	if g.often() {
		g.Field(o, "Right", g.inside())
	}
	if to := g.some(); g.often() {
		g.Field(o, "Name", to.Text(0, g.objects[to.n].bytes))
	}
	if g.often() {
		g.Field(o, "Value", g.some().As(g.pointer))
	}
	if to := g.some(); g.often() {
		n := g.objects[to.n].bytes / wordBytes
		g.Field(o, "Next", to.Slice(0, n/2, n))
	}
}

// addRoots adds roots of all kinds, and what hangs on objects.
func (g *generator) addRoots() {
	for i := range 1 + len(g.all)/50 {
		g.Global(fmt.Sprintf("main.global%d", i), g.pointer).Set("", g.inside())
	}
	g.Root(snapshot.Global, "data+0x10", 0).Word(2, g.some())
	for range 1 + len(g.all)/100 {
		r := g.Goroutine("chan receive", g.Function("main.main", "main.go", 5), g.Frame("main.work", 20), g.Frame("main.main", 9))
		r.Local(0, "node", g.node).Set("Left", g.some()).Set("Value", g.some().As(g.pointer))
		r.Local(1, "stack of main.main", 0).Word(7, g.inside()).Word(3, g.some()).Conservative()
	}
	running := g.Goroutine("running", 0, g.Frame("main.work", 21))
	running.Root(snapshot.Register, "rax", 0).Word(0, g.some()).Conservative()
	running.Root(snapshot.Deferred, "deferred call", 0).Word(0, g.some())
	g.Root(snapshot.Queued, "finalizers and cleanups waiting to run", 0).Word(0, g.some()).Word(1, g.some())
	g.Root(snapshot.OtherRoot, "other", 0).Word(0, g.some())
	g.Finalizer(g.some(), g.some())
	g.Finalizer(g.some())
	g.Cleanup(g.some(), g.some(), g.some())
	for range 1 + len(g.all)/30 {
		g.Weak(g.some())
		g.Sampled(g.some(), g.Frame("main.work", 22), g.Frame("main.main", 9))
	}
}
