package retain

import (
	"fmt"
	"math/rand/v2"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// scenario builds a heap of which a sentence is expected. Its random numbers decide the order in which objects are
// allocated, and so their numbers and addresses, and nothing else.
type scenario struct {
	name  string
	build func(b *heaptest.Builder, random *rand.Rand)
}

var scenarios = []scenario{
	{"a map of sessions", mapOfSessions},
	{"a map of sessions that a goroutine holds, too", sharedCache},
	{"sessions in two maps", twoMaps},
	{"sessions in two maps of one server", twoMapsOfServer},
	{"a list", list},
	{"a tree", binaryTree},
	{"one large buffer", buffer},
	{"goroutines with buffers", workers},
	{"one goroutine with a backlog", backlog},
	{"containers in containers", tenants},
	{"a map with large values in it", largeValues},
	{"a slice of values", sliceOfValues},
	{"several large fields", server},
	{"objects of unknown type", unknown},
	{"what a finalizer keeps", finalized},
	{"timers that nobody stops", timers},
	{"pieces of texts", piecesOfTexts},
}

// in calls back n times with 0 to n-1 in an order that the random numbers decide, with garbage in between.
func in(b *heaptest.Builder, random *rand.Rand, n int, visit func(i int)) {
	junk := b.Array(uint64(1+random.IntN(20)), b.Int())
	for _, i := range random.Perm(n) {
		for range random.IntN(3) {
			b.Hole(junk)
		}
		if random.IntN(4) == 0 {
			b.Object(junk)
		}
		visit(i)
	}
}

// sessionType is main.Session with a user, of which the tags are a slice of strings.
func sessionType(b *heaptest.Builder) snapshot.TypeID {
	user := b.Struct("main.User", heaptest.F("Name", b.String()), heaptest.F("Tags", b.Slice(b.String())))
	return b.Struct("main.Session", heaptest.F("ID", b.Int()), heaptest.F("User", b.PtrTo(user)), heaptest.F("Seen", b.Array(4, b.Int())))
}

// session allocates a session, and for every 50th tells where.
func session(b *heaptest.Builder, i int) heaptest.Object {
	s, user, name := b.Object(b.Named("main.Session")), b.Object(b.Named("main.User")), b.Bytes(24)
	b.Field(s, "User", user)
	b.Field(user, "Name", name.Text(0, 24))
	tags := b.Values(b.String(), 2)
	b.Field(user, "Tags", tags.Slice(0, 2, 2))
	b.Field(tags, "[0]", b.Bytes(16).Text(0, 10))
	b.Field(tags, "[1]", b.Bytes(16).Text(0, 10))
	if i%50 == 0 {
		b.Function("main.newSession", "/src/app/server.go", 80)
		b.Function("main.handle", "/src/app/server.go", 20)
		b.Function("runtime.newobject", "/go/src/runtime/malloc.go", 1700)
		b.Function("strings.Clone", "/go/src/strings/clone.go", 20)
		b.Sampled(s, b.Frame("runtime.newobject", 1710), b.Frame("main.newSession", 88), b.Frame("main.handle", 31))
		b.Sampled(name, b.Frame("strings.Clone", 25), b.Frame("main.newSession", 90), b.Frame("main.handle", 31))
	}
	return s
}

// cache is a struct with a map of n sessions.
func cache(b *heaptest.Builder, random *rand.Rand, n int) (of snapshot.TypeID, object heaptest.Object) {
	sessions := b.Map(b.Int(), b.PtrTo(sessionType(b)))
	of = b.Struct("main.Cache", heaptest.F("hits", b.Int()), heaptest.F("m", sessions))
	object = b.Object(of)
	m := b.NewMap(sessions, uint64(n))
	b.Field(object, "m", m)
	in(b, random, n, func(i int) { m.Elem(uint64(i), "", session(b, i)) })
	return of, object
}

func mapOfSessions(b *heaptest.Builder, random *rand.Rand) {
	of, c := cache(b, random, 3000)
	b.Global("main.globalCache", b.PtrTo(of)).Set("", c)
}

func sharedCache(b *heaptest.Builder, random *rand.Rand) {
	of, c := cache(b, random, 3000)
	b.Goroutine("select", 0, b.Frame("runtime.gopark", 1), b.Frame("main.(*Cache).expire", 12)).Local(1, "c", b.PtrTo(of)).Set("", c)
	b.Global("main.globalCache", b.PtrTo(of)).Set("", c)
}

func twoMaps(b *heaptest.Builder, random *rand.Rand) {
	of := b.Map(b.Int(), b.PtrTo(sessionType(b)))
	byID, byName := b.NewMap(of, 2000), b.NewMap(of, 2000)
	in(b, random, 2000, func(i int) {
		s := session(b, i)
		byID.Elem(uint64(i), "", s)
		byName.Elem(uint64((i*7)%2000), "", s)
	})
	b.Global("main.byName", of).Set("", byName)
	b.Global("main.byID", of).Set("", byID)
}

func twoMapsOfServer(b *heaptest.Builder, random *rand.Rand) {
	of := b.Map(b.Int(), b.PtrTo(sessionType(b)))
	server := b.Struct("main.Server", heaptest.F("byID", of), heaptest.F("byName", of))
	object, byID, byName := b.Object(server), b.NewMap(of, 2000), b.NewMap(of, 2000)
	b.Field(object, "byID", byID)
	b.Field(object, "byName", byName)
	in(b, random, 2000, func(i int) {
		s := session(b, i)
		byID.Elem(uint64(i), "", s)
		byName.Elem(uint64((i*7)%2000), "", s)
	})
	b.Goroutine("IO wait", 0, b.Frame("main.(*Server).run", 4), b.Frame("main.main", 9)).
		Local(1, "srv", b.PtrTo(server)).Set("", object)
}

func list(b *heaptest.Builder, random *rand.Rand) {
	node := b.Struct("main.Node", heaptest.F("Next", b.Ptr("main.Node")), heaptest.F("Data", b.Slice(b.Byte())))
	nodes := make([]heaptest.Object, 5000)
	in(b, random, len(nodes), func(i int) {
		nodes[i] = b.Object(node)
		b.Field(nodes[i], "Data", b.Bytes(64).Slice(0, 64, 64))
	})
	for i := range nodes[1:] {
		b.Field(nodes[i], "Next", nodes[i+1])
	}
	b.Global("main.head", b.PtrTo(node)).Set("", nodes[0])
}

func binaryTree(b *heaptest.Builder, random *rand.Rand) {
	node := b.Struct("main.Leaf", heaptest.F("Left", b.Ptr("main.Leaf")), heaptest.F("Right", b.Ptr("main.Leaf")))
	nodes := make([]heaptest.Object, 4095)
	in(b, random, len(nodes), func(i int) { nodes[i] = b.Object(node) })
	for i := 1; i < len(nodes); i++ {
		b.Field(nodes[(i-1)/2], []string{"Right", "Left"}[i%2], nodes[i])
	}
	b.Global("main.tree", b.PtrTo(node)).Set("", nodes[0])
}

func buffer(b *heaptest.Builder, random *rand.Rand) {
	in(b, random, 10, func(int) {})
	buffer := b.Struct("bytes.Buffer", heaptest.F("buf", b.Slice(b.Byte())), heaptest.F("off", b.Int()))
	holder, bytes := b.Object(buffer), b.Bytes(1<<20)
	b.Field(holder, "buf", bytes.Slice(0, 10, 1<<20))
	b.Function("bytes.growSlice", "/go/src/bytes/buffer.go", 200)
	b.Sampled(bytes, b.Frame("bytes.growSlice", 249), b.Frame("main.render", 7))
	b.Global("main.page", b.PtrTo(buffer)).Set("", holder)
}

func workers(b *heaptest.Builder, random *rand.Rand) {
	frame, above := b.Frame("main.work", 33), b.Frame("main.main.func1", 12)
	start := b.Function("main.start", "main.go", 5)
	in(b, random, 300, func(int) {
		g := b.Goroutine("chan receive", start, b.Frame("runtime.gopark", 1), frame, above)
		bytes := b.Bytes(8192)
		b.Sampled(bytes, frame)
		g.Local(1, "buf", b.Slice(b.Byte())).Set("", bytes.Slice(0, 8192, 8192))
	})
}

func backlog(b *heaptest.Builder, random *rand.Rand) {
	job := b.Struct("main.Job", heaptest.F("Payload", b.Array(10, b.Int())))
	c := b.NewChan(b.Chan(b.PtrTo(job)), 1024)
	in(b, random, 1000, func(i int) { b.Field(c.Buffer, fmt.Sprintf("[%d]", i), b.Object(job)) })
	g := b.Goroutine("chan send", 0, b.Frame("main.produce", 5))
	g.Local(0, "jobs", b.Chan(b.PtrTo(job))).Set("", c)
}

func tenants(b *heaptest.Builder, random *rand.Rand) {
	of := b.Map(b.Int(), b.PtrTo(sessionType(b)))
	tenant := b.Struct("main.Tenant", heaptest.F("sessions", of))
	all := b.Map(b.String(), b.PtrTo(tenant))
	m := b.NewMap(all, 40)
	in(b, random, 40, func(i int) {
		t, sessions := b.Object(tenant), b.NewMap(of, 100)
		m.Elem(uint64(i), "", t)
		b.Field(t, "sessions", sessions)
		for k := range 100 {
			sessions.Elem(uint64(k), "", session(b, k))
		}
	})
	b.Global("main.registry", b.Struct("main.Registry", heaptest.F("n", b.Int()), heaptest.F("tenants", all))).Set("tenants", m)
}

func largeValues(b *heaptest.Builder, random *rand.Rand) {
	in(b, random, 10, func(int) {})
	of := b.Map(b.Int(), b.Struct("main.Point", heaptest.F("at", b.Array(15, b.Int()))))
	b.Global("main.points", of).Set("", b.NewMap(of, 4000))
}

func sliceOfValues(b *heaptest.Builder, random *rand.Rand) {
	in(b, random, 10, func(int) {})
	point := b.Struct("main.Point", heaptest.F("at", b.Array(15, b.Int())))
	b.Global("main.track", b.Slice(point)).Set("", b.Values(point, 5000).Slice(0, 5000, 5000))
}

func server(b *heaptest.Builder, random *rand.Rand) {
	of, c := cache(b, random, 1000)
	event := b.Struct("main.Event", heaptest.F("text", b.Array(30, b.Int())))
	log := b.Slice(b.PtrTo(event))
	server := b.Struct("main.Server", heaptest.F("cache", b.PtrTo(of)), heaptest.F("log", log))
	object, events := b.Object(server), b.Values(b.PtrTo(event), 600)
	b.Field(object, "cache", c)
	b.Field(object, "log", events.Slice(0, 600, 600))
	in(b, random, 600, func(i int) { b.Field(events, fmt.Sprintf("[%d]", i), b.Object(event)) })
	b.Global("main.server", b.PtrTo(server)).Set("", object)
}

func unknown(b *heaptest.Builder, random *rand.Rand) {
	thing := b.Struct("main.thing", heaptest.F("p", b.Basic(snapshot.UnsafePointer)), heaptest.F("n", b.Array(15, b.Int())))
	pointers := b.Values(b.Basic(snapshot.UnsafePointer), 500)
	in(b, random, 500, func(i int) { b.Field(pointers, fmt.Sprintf("[%d]", i), b.Object(thing)) })
	b.Global("data+0x40", 0).Word(0, pointers)
}

func finalized(b *heaptest.Builder, random *rand.Rand) {
	handle := b.Struct("main.Handle", heaptest.F("buf", b.Slice(b.Byte())))
	in(b, random, 100, func(int) {
		h := b.Object(handle)
		b.Field(h, "buf", b.Bytes(1024).Slice(0, 1024, 1024))
		b.Finalizer(h)
	})
}

// timers are in the heap of a processor of the runtime, which each points back to; that a variable has one of them does
// not make it the holder of all.
func timers(b *heaptest.Builder, random *rand.Rand) {
	visit := b.Struct("main.visit", heaptest.F("pages", b.Array(30, b.Int())))
	timer := b.Struct("runtime.timeTimer", heaptest.F("arg", b.PtrTo(visit)), heaptest.F("ts", b.Basic(snapshot.UnsafePointer)))
	when := b.Struct("runtime.timerWhen", heaptest.F("timer", b.PtrTo(timer)), heaptest.F("when", b.Int()))
	inner := b.Struct("runtime.timers", heaptest.F("heap", b.Slice(when)))
	processor := b.Struct("runtime.p", heaptest.F("id", b.Int()), heaptest.F("timers", inner))
	p, all := b.Object(processor), b.Values(when, 1000)
	b.Field(p, "timers.heap", all.Slice(0, 1000, 1000))
	var first heaptest.Object
	in(b, random, 1000, func(i int) {
		one := b.Object(timer)
		b.Field(one, "arg", b.Object(visit))
		b.Field(one, "ts", p)
		b.Field(all, fmt.Sprintf("[%d].timer", i), one)
		if i == 0 {
			first = one
		}
	})
	b.Global("main.deadline", b.PtrTo(timer)).Set("", first)
	processors := b.Values(b.PtrTo(processor), 2)
	b.Field(processors, "[0]", p)
	b.Global("runtime.allp", b.Slice(b.PtrTo(processor))).Set("", processors.Slice(0, 2, 2))
}

// piecesOfTexts are kept as the keys and values of a map: whatever place they have in it, they are one pin.
func piecesOfTexts(b *heaptest.Builder, random *rand.Rand) {
	of := b.Map(b.String(), b.Int())
	m := b.NewMap(of, 100)
	in(b, random, 100, func(i int) { m.Key(uint64(i), "", b.Bytes(4096).Text(0, 10)) })
	b.Global("main.seen", of).Set("", m)
}
