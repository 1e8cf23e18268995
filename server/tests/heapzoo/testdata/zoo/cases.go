package main

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"weak"
)

func init() {
	cases["map-of-structs"] = mapOfStructs
	cases["slices-of-slices"] = slicesOfSlices
	cases["linked-list"] = linkedList
	cases["channel-backlog"] = channelBacklog
	cases["closures"] = closures
	cases["goroutine-locals"] = goroutineLocals
	cases["context-chain"] = contextChain
	cases["sync-pool"] = syncPool
	cases["interfaces"] = interfaces
	cases["finalizer-cycle"] = finalizerCycle
	cases["weak-pointers"] = weakPointers
	cases["pins"] = pins
	cases["maps"] = maps
	cases["generics"] = generics
	cases["cleanups"] = cleanups
	cases["timers"] = timers
	cases["shared"] = shared
	cases["large-objects"] = largeObjects
}

// Session is 32 bytes: a slot of 32.
type Session struct {
	ID      int
	User    *User
	Expires int64
	_       int64
}

// User is 40 bytes: a slot of 48.
type User struct {
	Name string
	Tags []string
}

// Cache is 8 bytes.
type Cache struct {
	m map[int]*Session
}

var globalCache = &Cache{}

// newSession allocates a session with a user (48), a name (16) and a slice of two tags (32).
func newSession(i int) *Session {
	return &Session{ID: i, User: &User{Name: text(16, i), Tags: make([]string, 2)}}
}

// text returns a string of its own of n bytes.
func text(n, i int) string {
	b := make([]byte, n)
	for j := range b {
		b[j] = 'a' + byte((i+j)%26)
	}
	return string(b)
}

func mapOfStructs(n int) any {
	globalCache.m = make(map[int]*Session)
	for i := range n {
		globalCache.m[i] = newSession(i)
	}
	return nil
}

// Cell is 16 bytes.
type Cell struct{ X, Y int64 }

var grid [][]*Cell

func slicesOfSlices(n int) any {
	grid = make([][]*Cell, n)
	for i := range grid {
		grid[i] = make([]*Cell, 8)
		for j := range grid[i] {
			grid[i][j] = &Cell{int64(i), int64(j)}
		}
	}
	return nil
}

// Node is 16 bytes.
type Node struct {
	Next  *Node
	Value int64
}

var list struct{ Head *Node }

func linkedList(n int) any {
	for i := range n {
		list.Head = &Node{list.Head, int64(i)}
	}
	return nil
}

// Job is 24 bytes: a slot of 24.
type Job struct {
	ID      int
	Payload []byte
}

var queue chan *Job

func channelBacklog(n int) any {
	queue = make(chan *Job, n)
	for i := range n {
		queue <- &Job{i, make([]byte, 64)}
	}
	return nil
}

// Blob is 128 bytes without pointers.
type Blob struct{ Bytes [128]byte }

var handlers []func() *Blob

func closures(n int) any {
	for range n {
		blob := new(Blob)
		handlers = append(handlers, func() *Blob { return blob })
	}
	return nil
}

// Request is 64 bytes: a slot of 64.
type Request struct {
	Body *Blob
	_    [7]int64
}

//go:noinline
func newRequest() *Request { return &Request{Body: new(Blob)} }

// worker holds a request on its stack and nowhere else.
//
//go:noinline
func worker(started *sync.WaitGroup, stop chan struct{}, i int) byte {
	request := newRequest()
	started.Done()
	<-stop
	return request.Body.Bytes[i%len(request.Body.Bytes)]
}

func goroutineLocals(n int) any {
	stop := make(chan struct{})
	var started sync.WaitGroup
	started.Add(n)
	for i := range n {
		go func() { worker(&started, stop, i) }()
	}
	started.Wait()
	return nil
}

type key struct{}

var leakedContext context.Context

func contextChain(n int) any {
	leakedContext = context.Background()
	for range n {
		leakedContext = context.WithValue(leakedContext, key{}, new(Blob))
	}
	return nil
}

var pool sync.Pool

// Buffer is 1024 bytes and a pointer: more than 512, so that it has a header.
type Buffer struct {
	Owner *Blob
	Bytes [1000]byte
}

func syncPool(n int) any {
	for range n {
		pool.Put(&Buffer{Owner: new(Blob)})
	}
	return nil
}

// Shape is what Circle and Square have in common.
type Shape interface{ Area() float64 }

// Circle is 16 bytes: smaller ones would share blocks.
type Circle struct{ R, Pi float64 }

// Square is 16 bytes with a pointer.
type Square struct {
	A     float64
	Label *Blob
}

// Area is the circle's.
func (c Circle) Area() float64 { return c.Pi * c.R * c.R }

// Area is the square's.
func (s *Square) Area() float64 { return s.A * s.A }

var (
	drawn []Shape
	boxes []any
)

func interfaces(n int) any {
	for i := range n {
		drawn = append(drawn, Circle{float64(i), 3}, &Square{float64(i), new(Blob)})
		boxes = append(boxes, Cell{int64(i), 1})
	}
	return nil
}

// Handle is 24 bytes in a cycle.
type Handle struct {
	Peer *Handle
	Data *Blob
	_    int64
}

// finalizerCycle makes garbage with finalizers in cycles, which the collector never frees.
func finalizerCycle(n int) any {
	for range n {
		a, b := &Handle{Data: new(Blob)}, &Handle{}
		a.Peer, b.Peer = b, a
		runtime.SetFinalizer(a, func(*Handle) {})
	}
	return nil
}

var (
	weakly []weak.Pointer[Session]
	firmly []*Session
)

// weakPointers keeps every second session firmly.
func weakPointers(n int) any {
	for i := range n {
		s := newSession(i)
		weakly = append(weakly, weak.Make(s))
		if i%2 == 0 {
			firmly = append(firmly, s)
		}
	}
	return nil
}

var (
	prefixes []string
	heads    [][]byte
)

// pins keeps 16 bytes of strings of 64 KiB, and of slices of 1 MiB.
func pins(n int) any {
	for i := range n {
		prefixes = append(prefixes, strings.Repeat(text(64, i), 1024)[:16])
	}
	for range max(n/100, 1) {
		heads = append(heads, make([]byte, 1<<20)[:16:16])
	}
	return nil
}

var (
	small []map[string]int
	huge  = map[string]*Cell{}
)

// maps makes n maps of three entries, and one of n.
func maps(n int) any {
	for i := range n {
		small = append(small, map[string]int{"a": i, "b": i, "c": i})
		huge["key-"+strconv.Itoa(1_000_000_000+i)] = &Cell{int64(i), 0}
	}
	return nil
}

// List is generic.
type List[T any] struct {
	head *Element[T]
}

// Element is generic.
type Element[T any] struct {
	next  *Element[T]
	value T
}

var (
	ints  List[int64]
	users List[*User]
)

func generics(n int) any {
	for i := range n {
		ints.head = &Element[int64]{ints.head, int64(i)}
		users.head = &Element[*User]{users.head, &User{}}
	}
	return nil
}

// Resource is 48 bytes.
type Resource struct {
	Data *Blob
	_    [5]int64
}

var resources []*Resource

// cleanups hold their arguments.
func cleanups(n int) any {
	for range n {
		r := &Resource{}
		resources = append(resources, r)
		runtime.AddCleanup(r, func(*Blob) {}, new(Blob))
	}
	return nil
}

// timers are in one heap: each processor has its own.
func timers(n int) any {
	runtime.GOMAXPROCS(1)
	for range n {
		blob := new(Blob)
		time.AfterFunc(time.Hour, func() { blob.Bytes[0]++ })
	}
	return nil
}

// Config is shared by all holders.
type Config struct{ Values [64]int64 }

// Holder is 16 bytes.
type Holder struct {
	Config *Config
	ID     int64
}

var left, right []*Holder

// shared objects are held by two slices: neither retains them.
func shared(n int) any {
	config := new(Config)
	for i := range n {
		h := &Holder{config, int64(i)}
		left, right = append(left, h), append(right, h)
	}
	return nil
}

var (
	table  []*Cell
	matrix *[1 << 20]*Cell
)

// largeObjects are arrays of more than a mebibyte.
func largeObjects(n int) any {
	table = make([]*Cell, n)
	matrix = new([1 << 20]*Cell)
	for i := range table {
		table[i] = &Cell{int64(i), 1}
		matrix[i%len(matrix)] = table[i]
	}
	return nil
}
