// Command target holds what the tests of heap/scan look for, says where it is, and waits until its standard input ends.
// With "churn" it allocates, changes and collects all the time; with "list N" and "sessions N" it holds much.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"
	"unsafe"
	"weak"
)

// Node has 48 bytes: its heap bits tell its pointers.
type Node struct {
	next *Node
	text []byte
	rest [2]int
}

// Wide has a header: 8 bytes, and 648 of its own.
type Wide struct {
	first *Node
	pad   [75]uint64
	value any
	name  string
}

// Odd has 24 bytes, which do not divide a mebibyte.
type Odd struct {
	id   int
	node *Node
	n    int
}

// Mixed has 56 bytes: in a large slice, the ends of mebibytes fall between each two of its words.
type Mixed struct {
	value any
	node  *Node
	text  []byte
	pad   int
}

// Box has an interface of each kind.
type Box struct {
	value any
	err   error
}

type failure struct{ node *Node }

func (f *failure) Error() string { return "failure" }

const (
	listLen   = 20_000
	oddLen    = 100_000 // 2.3 MiB
	mixedLen  = 84_000  // 4.5 MiB
	nodesLen  = 300_000 // 2.3 MiB
	coarseLen = 3 << 20
)

var (
	list     *Node
	wide     *Wide
	wides    []Mixed
	odds     []Odd
	oddArray *[oddLen]Odd
	mixed    []Mixed
	nodes    []*Node
	coarse   []byte
	box      *Box
	call     func() int
	weakly   weak.Pointer[Node]
	keeper   []*Node
	sampled  *Node
	timer    *time.Timer
	sample   = []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	line     = make([]byte, 0, 256)
	names    = map[string]uint64{} // what lies where
)

func main() {
	runtime.MemProfileRate = 1
	if len(os.Args) == 3 {
		runtime.MemProfileRate = 512 << 10
		n, err := strconv.Atoi(os.Args[2])
		if err != nil {
			panic(err)
		}
		much(os.Args[1], n)
		fmt.Println("{}")
	} else if len(os.Args) == 2 {
		runtime.MemProfileRate = 64 << 10
		fmt.Println("{}")
		started := make(chan struct{})
		for range 3 {
			go churn(started)
			<-started
		}
	} else {
		fill()
		text, err := json.Marshal(names)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(text))
	}
	if len(os.Args) != 2 {
		names = nil
		debug.SetGCPercent(-1)
		runtime.GC()
		runtime.GC()
	}
	metrics.Read(sample)
	line = strconv.AppendUint(line, sample[0].Value.Uint64(), 10)
	line = append(line, '\n')
	_, _ = os.Stdout.Write(line)
	for err := error(nil); err == nil; {
		_, err = os.Stdin.Read(line[:1])
	}
}

func address[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

func note[T any](name string, p *T) *T {
	names[name] = address(p)
	return p
}

//go:noinline
func fill() {
	for range listLen {
		list = &Node{next: list}
	}
	note("list", list)
	list.text = note("list.text", new([512]byte))[:300]
	at := list
	for range 100 {
		keeper = append(keeper, at)
		at = at.next
	}
	note("keeper", unsafe.SliceData(keeper))
	node := note("node", &Node{})
	wide = note("wide", &Wide{first: node, value: node, name: string(make([]byte, 600))})
	names["wide.name"] = address(unsafe.StringData(wide.name))
	wides = make([]Mixed, 40)
	fillMixed(wides)
	note("wides", unsafe.SliceData(wides))
	odds, oddArray = make([]Odd, oddLen), new([oddLen]Odd)
	fillOdd(odds)
	fillOdd(oddArray[:])
	note("odds", unsafe.SliceData(odds))
	note("oddArray", oddArray)
	mixed = make([]Mixed, mixedLen)
	fillMixed(mixed)
	note("mixed", unsafe.SliceData(mixed))
	nodes = make([]*Node, nodesLen)
	for i := range nodes {
		if i%3 != 0 {
			nodes[i] = keeper[i%len(keeper)]
		}
	}
	note("nodes", unsafe.SliceData(nodes))
	coarse = make([]byte, coarseLen)
	note("coarse", unsafe.SliceData(coarse))
	failed := note("failed", &failure{node})
	box = note("box", &Box{value: node, err: failed})
	call = capture(note("captured", &Node{}), 42)
	names["call"] = **(**uint64)(unsafe.Pointer(&call))
	names["call.object"] = *(*uint64)(unsafe.Pointer(&call))
	weakly = weak.Make(node)
	attach()
	sampled = note("sampled", allocate())
	timed := note("timed", &Node{})
	timer = time.AfterFunc(time.Hour, func() { runtime.KeepAlive(timed) })
	started := make(chan struct{})
	go wait(note("local", &Node{}), started)
	<-started
	go later(note("deferred", &Node{}), started)
	<-started
}

// fillMixed sets mixed values from keeper; fields follow from the place.
func fillMixed(all []Mixed) {
	text := note("mixed.text", new([4096]byte))[:]
	other := note("mixed.other", &Wide{})
	for i := range all {
		m := &all[i]
		if i%2 == 0 {
			m.value = keeper[i%len(keeper)]
		} else {
			m.value = other
		}
		m.node = keeper[(i+1)%len(keeper)]
		m.text = text[i%1000 : i%1000+i%500 : i%1000+600]
	}
}

func fillOdd(all []Odd) {
	for i := range all {
		all[i] = Odd{id: i, node: keeper[i%len(keeper)], n: i}
	}
}

//go:noinline
func capture(node *Node, n int) func() int {
	return func() int { return n + len(node.text) }
}

//go:noinline
func attach() {
	finalized := note("finalized", &Node{next: note("finalized.next", &Node{})})
	runtime.SetFinalizer(finalized, func(*Node) {})
	cleaned := note("cleaned", &Node{})
	keeper = append(keeper, cleaned, finalized)
	note("keeper", unsafe.SliceData(keeper))
	runtime.AddCleanup(cleaned, func(*Node) {}, note("argument", &Node{}))
}

//go:noinline
func allocate() *Node { return inlined() }

func inlined() *Node { return &Node{rest: [2]int{1, 2}} }

//go:noinline
func wait(local *Node, started chan struct{}) {
	words := []string{"a", "b"}
	started <- struct{}{}
	time.Sleep(time.Hour)
	runtime.KeepAlive(local)
	for _, w := range words {
		println(w)
	}
}

//go:noinline
func later(node *Node, started chan struct{}) {
	for i := range 3 {
		defer func(n *Node) { println(i, n) }(node)
	}
	node = nil
	started <- struct{}{}
	time.Sleep(time.Hour)
}

// tree is what churn changes.
type tree struct {
	left, right *tree
	value       any
	more        []*tree
	texts       map[int]string
}

func grow(depth int, seed uint32) *tree {
	if depth == 0 {
		return nil
	}
	seed = seed*1664525 + 1013904223
	t := &tree{left: grow(depth-1, seed), right: grow(depth-1, seed+1)}
	switch seed >> 29 {
	case 0:
		t.value = t.left
	case 1:
		t.value = &Wide{first: &Node{}, value: seed, name: strconv.Itoa(int(seed))}
	case 2:
		t.more = make([]*tree, seed>>20%200)
		for i := range t.more {
			t.more[i] = t.right
		}
	case 3:
		t.texts = map[int]string{1: strconv.Itoa(int(seed))}
	}
	return t
}

// churn replaces parts of a tree for ever, and makes large objects.
func churn(started chan struct{}) {
	root := grow(12, uint32(time.Now().UnixNano()))
	started <- struct{}{}
	for i := uint32(0); ; i++ {
		at := &root
		for bits := i * 2654435761; *at != nil && bits>>29 != 0; bits <<= 1 {
			if bits>>31 == 0 {
				at = &(*at).left
			} else {
				at = &(*at).right
			}
		}
		*at = grow(5, i)
		if i%2000 == 0 {
			large := make([]Odd, oddLen)
			large[i%oddLen].node = &Node{}
			root.value = large
		}
		if i%500 == 0 {
			go func() { _ = grow(8, i) }()
		}
	}
}

// Session and User make the objects of "sessions".
type Session struct {
	ID      int
	User    *User
	Expires int64
	_       int64
}

// User belongs to a session.
type User struct {
	Name string
	Tags []string
}

var sessions map[int]*Session

// much makes n nodes of a list, or n sessions of four objects each.
func much(what string, n int) {
	if what == "list" {
		for range n {
			list = &Node{next: list}
		}
		return
	}
	sessions = make(map[int]*Session)
	for i := range n {
		name := []byte("name-name-name-n")
		sessions[i] = &Session{ID: i, User: &User{Name: string(name), Tags: make([]string, 2)}}
	}
}
