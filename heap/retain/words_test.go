package retain

import (
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

func TestShort(t *testing.T) {
	for name, want := range map[string]string{
		"main.serve":                               "main.serve",
		"net/http.(*conn).serve":                   "http.(*conn).serve",
		"example.com/a/web.Handle[...]":            "web.Handle[...]",
		"example.com/lexer/v2.Registry":            "lexer.Registry",
		"example.com/v2/web.Registry":              "web.Registry",
		"main.Map[example.com/a/web.Key,int].Get":  "main.Map[example.com/a/web.Key,int].Get",
		"example.com/a.(*T[example.com/b.K]).f":    "a.(*T[example.com/b.K]).f",
		"example.com/server.serve (server.go:188)": "server.serve (server.go:188)",
	} {
		if got := short(name); got != want {
			t.Errorf("%s is %s in short, want %s", name, got, want)
		}
	}
}

func TestStandard(t *testing.T) {
	for name, want := range map[string]bool{
		"main.main": false, "runtime.gopark": true, "net/http.(*conn).serve": true, "internal/poll.(*FD).Read": true,
		"example.com/net.F": false, "bufio.(*Reader).fill": true, "golang.org/x/net/http2.F": false, "app/server.F": false,
	} {
		if got := standard(name); got != want {
			t.Errorf("standard(%s) = %v", name, got)
		}
	}
}

// TestContainers: what is inside the containers of the standard library does not appear in paths.
func TestContainers(t *testing.T) {
	for _, test := range []struct{ source, step, want string }{
		{"list.Element", ".next", ""},
		{"list.Element", ".Value", element},
		{"[]sync.poolLocal", "[…].poolLocalInternal.shared.head", ""},
		{"[]sync.poolLocal", "[…].poolLocalInternal.private", element},
		{"sync.poolChainElt", ".poolDequeue.vals", ""},
		{"[]sync.eface", "[…].val", element},
		{"sync.indirect[string,int]", ".children[…]", ""},
		{"sync.entry[string,int]", ".key", key},
		{"sync.entry[string,int]", ".value", element},
		{"sync.entry[string,int]", ".overflow", ""},
		{"maps.table", ".groups.data", ""},
	} {
		if inside := insideOf(test.source); inside == nil || inside(test.step) != test.want {
			t.Errorf("the step %s from a %s is not %q", test.step, test.source, test.want)
		}
	}
	for _, name := range []string{"main.List", "sync.Mutex", "[]*main.Element", "map[string]int"} {
		if insideOf(name) != nil {
			t.Errorf("%s is taken for the inside of a container", name)
		}
	}
}

// TestListOfLibrary: elements of a list.List are held by the variable.
func TestListOfLibrary(t *testing.T) {
	b := heaptest.New()
	job := b.Struct("main.Job", heaptest.F("payload", b.Array(20, b.Int())))
	element := b.Struct("container/list.Element", heaptest.F("next", b.Ptr("container/list.Element")),
		heaptest.F("prev", b.Ptr("container/list.Element")), heaptest.F("Value", b.Interface("interface {}")))
	list := b.Struct("container/list.List", heaptest.F("root", element), heaptest.F("len", b.Int()))
	queue := b.Struct("main.Queue", heaptest.F("n", b.Int()), heaptest.F("jobs", list))
	holder := b.Object(queue)
	var elements []heaptest.Object
	for i := range 500 {
		elements = append(elements, b.Object(element))
		b.Field(elements[i], "Value", b.Object(job).As(b.PtrTo(job)))
		if i > 0 {
			b.Field(elements[i-1], "next", elements[i])
			b.Field(elements[i], "prev", elements[i-1])
		}
	}
	b.Field(holder, "jobs.root.next", elements[0])
	b.Field(holder, "jobs.root.prev", elements[499])
	b.Global("main.queue", b.PtrTo(queue)).Set("", holder)
	a := analyze(t, b.Build(), Options{})
	if len(a.Suspects) == 0 || !strings.HasPrefix(a.Suspects[0].Sentence, "main.queue.jobs holds 500 main.Job that retain ") {
		t.Errorf("suspects %+v", a.Suspects)
	}
}

// TestRuntimeHoldsLittle: what a goroutine waits on belongs to the program, not to the runtime's own objects.
func TestRuntimeHoldsLittle(t *testing.T) {
	b := heaptest.New()
	job := b.Struct("main.Job", heaptest.F("payload", b.Array(20, b.Int())))
	jobs := b.Chan(b.PtrTo(job))
	sudog := b.Struct("runtime.sudog", heaptest.F("c", jobs), heaptest.F("n", b.Int()))
	c, waiting := b.NewChan(jobs, 16), b.Object(sudog)
	b.Field(c.Buffer, "[3]", b.Object(job))
	b.Field(waiting, "c", c)
	b.Global("runtime.waiting", b.PtrTo(sudog)).Set("", waiting)
	g := b.Goroutine("chan receive", 0, b.Frame("runtime.chanrecv", 1), b.Frame("main.consume", 7))
	g.Local(1, "jobs", jobs).Set("", c)
	g.Local(0, "c", jobs).Set("", c)
	g.Root(snapshot.Register, "", 0).Word(0, c)
	a := analyze(t, b.Build(), unbounded)
	i := slices.IndexFunc(a.Goroutines, func(g Goroutine) bool { return g.Function == "main.consume" })
	if i < 0 || a.Goroutines[i].RetainedBytes != a.ReachedBytes-sudogBytes || len(a.Shared) != 0 {
		t.Errorf("goroutines %+v of %d bytes; shared %+v", a.Goroutines, a.ReachedBytes, a.Shared)
	}
}

// sudogBytes is what the runtime.sudog of the test takes.
const sudogBytes = 16

// TestRuntimesOwn: what the runtime needs for itself is told only if it is much.
func TestRuntimesOwn(t *testing.T) {
	b := heaptest.New()
	of := b.Struct("runtime.g", heaptest.F("sched", b.Array(50, b.Int())), heaptest.F("m", b.Ptr("runtime.g")))
	all := b.Values(b.PtrTo(of), 40)
	for i := range 40 {
		b.Field(all, "["+number(uint64(i))+"]", b.Object(of))
	}
	b.Global("runtime.allgs", b.Slice(b.PtrTo(of))).Set("", all.Slice(0, 40, 40))
	a := analyze(t, b.Build(), Options{})
	if len(a.Suspects) != 1 || !strings.HasPrefix(a.Suspects[0].Sentence, "the runtime itself holds 40 runtime.g, one for each goroutine, that retain") {
		t.Errorf("suspects %+v", a.Suspects)
	}
	b.Global("main.buffer", b.Slice(b.Byte())).Set("", b.Bytes(200<<10).Slice(0, 200<<10, 200<<10))
	a = analyze(t, b.Build(), Options{SuspectShare: 0.01})
	if len(a.Suspects) != 1 || a.Suspects[0].Type != "[]uint8" {
		t.Errorf("suspects %+v", a.Suspects)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := number(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
