// Command states has goroutines in many states, each of which holds a node by its stack alone. It prints where the nodes
// are ("live NAME ADDRESS", "dead NAME ADDRESS" for those whose last use is past), its stacks after "stacks", "ready",
// and waits to be stopped.
package main

import (
	"bufio"
	"fmt"
	"iter"
	"net"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type node struct {
	next *node
	id   [6]uintptr
}

// holds are what is printed. Addresses are inverted, so that no word of them is a pointer for who searches memory.
var holds struct {
	sync.Mutex
	lines []string
	wait  sync.WaitGroup
}

//go:noinline
func newNode() *node { return &node{id: [6]uintptr{1, 2, 3, 4, 5, 6}} }

//go:noinline
func report(what, name string, n *node) {
	holds.Lock()
	defer holds.Unlock()
	holds.lines = append(holds.lines, fmt.Sprintf("%s %s %d", what, name, ^reflect.ValueOf(n).Pointer()))
}

//go:noinline
func use(n *node) {
	if n != nil && n.id[0] == 77 {
		println(n)
	}
}

// start runs f, which says that it stands where it will stay for long with holds.wait.Done.
func start(f func()) {
	holds.wait.Add(1)
	go f()
}

var forever = make(chan int)

//go:noinline
func block() {
	holds.wait.Done()
	<-forever
}

func onReceive() {
	n := newNode()
	report("live", "receive", n)
	block()
	use(n)
}

func onSend() {
	n := newNode()
	report("live", "send", n)
	unheard := make(chan int)
	holds.wait.Done()
	unheard <- 1
	use(n)
}

func onSelect() {
	n := newNode()
	report("live", "select", n)
	other := make(chan *node)
	holds.wait.Done()
	select {
	case <-forever:
	case other <- n:
	}
	use(n)
}

var never sync.Mutex

func onMutex() {
	n := newNode()
	report("live", "mutex", n)
	holds.wait.Done()
	never.Lock()
	use(n)
}

func onCond() {
	n := newNode()
	report("live", "cond", n)
	var mu sync.Mutex
	c := sync.NewCond(&mu)
	mu.Lock()
	holds.wait.Done()
	c.Wait()
	use(n)
}

func onSleep() {
	n := newNode()
	report("live", "sleep", n)
	holds.wait.Done()
	time.Sleep(time.Hour)
	use(n)
}

func onAccept() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	n := newNode()
	report("live", "accept", n)
	holds.wait.Done()
	l.Accept()
	use(n)
}

func onSyscall() {
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		panic(err)
	}
	n := newNode()
	report("live", "syscall", n)
	buffer := make([]byte, 8)
	holds.wait.Done()
	syscall.Read(p[0], buffer)
	use(n)
}

// onDead last uses its node before it waits.
func onDead() {
	n := newNode()
	report("dead", "local", n)
	use(n)
	block()
}

type box struct {
	n     *node
	count int
}

//go:noinline
func fill(b *box) {
	b.n = newNode()
	b.count++
}

//go:noinline
func waitFor(b *box) {
	block()
	use(b.n)
}

//go:noinline
func look(b *box) { use(b.n) }

// onObject hands the address of a variable to a function that waits.
func onObject() {
	var b box
	fill(&b)
	report("live", "object", b.n)
	waitFor(&b)
	use(b.n)
}

// onDeadObject waits after its last use of a variable whose address was taken.
func onDeadObject() {
	var b box
	fill(&b)
	report("dead", "object", b.n)
	look(&b)
	block()
}

type link struct {
	to   *box
	next *link
}

//go:noinline
func waitChain(l *link) {
	block()
	use(l.next.to.n)
}

// onChain waits where a variable leads to a variable that leads to a third.
func onChain() {
	var b box
	fill(&b)
	report("live", "chain", b.n)
	inner := link{to: &b}
	outer := link{next: &inner}
	waitChain(&outer)
}

// onArray has pointers among other words in a large variable.
func onArray() {
	var a [300]box
	a[299].n = newNode()
	report("live", "array", a[299].n)
	waitArray(&a)
}

//go:noinline
func waitArray(a *[300]box) {
	block()
	use(a[299].n)
}

func onDefer() {
	n := newNode()
	report("live", "defer", n)
	defer func() {
		block()
		use(n)
	}()
}

// onDeferred has calls deferred in a loop, whose records are on the heap.
func onDeferred() {
	for i := range 5 {
		n := newNode()
		report("live", "deferred"+strconv.Itoa(i), n)
		defer use(n)
	}
	block()
}

func onPanic() {
	defer func() {
		block()
		fmt.Fprint(os.Stderr, recover())
	}()
	n := newNode()
	report("live", "panic", n)
	panic(n)
}

//go:noinline
func fault(n *node) int {
	defer use(n)
	return int(n.next.id[3])
}

func onFault() {
	n := newNode()
	report("live", "fault", n)
	defer func() {
		block()
		use(n)
		recover()
	}()
	fault(n)
}

func onRecovered() {
	n := newNode()
	report("live", "recovered", n)
	func() {
		defer func() { recover() }()
		panic(n)
	}()
	block()
	use(n)
}

func onMakeFunc() {
	f := reflect.MakeFunc(reflect.TypeFor[func(int, *node, string) *node](), func(args []reflect.Value) []reflect.Value {
		block()
		return args[1:2]
	}).Interface().(func(int, *node, string) *node)
	n := newNode()
	report("live", "makefunc", n)
	use(f(1, n, "s"))
}

type many [12]uint64

// method has more arguments than there are registers.
func (n *node) method(a, b, c, d, e, f, g, h uint64, m many, stacked *node) *node {
	block()
	use(n)
	return stacked
}

// Waiting is called by a method value that reflect makes.
func (n *node) Waiting(a, b, c, d, e, f, g, h uint64, m many, stacked *node) *node {
	return n.method(a, b, c, d, e, f, g, h, m, stacked)
}

func onMethodValue() {
	n, stacked := newNode(), newNode()
	report("live", "methodvalue", n)
	report("live", "stacked", stacked)
	f := reflect.ValueOf(n).MethodByName("Waiting").Interface().(func(a, b, c, d, e, f, g, h uint64, m many, n *node) *node)
	f(1, 2, 3, 4, 5, 6, 7, 8, many{}, stacked)
}

type cache[K comparable, V any] struct{ m map[K]V }

//go:noinline
func (c *cache[K, V]) get(k K, v V) V {
	block()
	if c.m != nil {
		return c.m[k]
	}
	return v
}

func onGeneric() {
	n := newNode()
	report("live", "generic", n)
	use((&cache[string, *node]{}).get("k", n))
}

func inlinedInner(n *node) {
	block()
	use(n)
}

func inlinedOuter(n *node) { inlinedInner(n) }

func onInlined() {
	n := newNode()
	report("live", "inlined", n)
	inlinedOuter(n)
	use(n)
}

func onIterator() {
	next, stop := iter.Pull(func(yield func(*node) bool) {
		n := newNode()
		report("live", "coroutine", n)
		yield(nil)
		use(n)
	})
	defer stop()
	next()
	block()
}

func onRangeFunc() {
	n := newNode()
	report("live", "rangefunc", n)
	sequence := func(yield func(*node) bool) { yield(n) }
	for v := range sequence {
		defer use(v)
		block()
	}
}

//go:noinline
func recurse(depth int, n *node) int {
	if depth == 0 {
		block()
		use(n)
		return 0
	}
	if depth%100 == 0 {
		var b box
		b.n = n
		look(&b)
		return recurse(depth-1, b.n) + b.count
	}
	return recurse(depth-1, n) + 1
}

func onRecursion() {
	n := newNode()
	report("live", "recursion", n)
	recurse(40, n)
}

var sink int

// spin never calls, and so is preempted between any two instructions.
//
//go:noinline
func spin(n *node, name string) {
	for i := 0; n.id[i&3] != 99; i++ {
		n.id[4] += uintptr(i)
	}
	use(n)
}

func spinner(name string) {
	n := newNode()
	report("live", name, n)
	holds.wait.Done()
	spin(n, name)
}

func yielder() {
	n := newNode()
	report("live", "yielder", n)
	holds.wait.Done()
	for {
		runtime.Gosched()
		use(n)
	}
}

//go:noinline
func level(depth int, n *node) {
	if depth == 0 {
		block()
	} else {
		level(depth-1, n)
	}
	use(n)
}

func main() {
	mode := os.Args[1]
	never.Lock()
	switch mode {
	case "states":
		for _, f := range []func(){
			onReceive, onSend, onSelect, onMutex, onCond, onSleep, onAccept, onSyscall, onDead, onObject, onDeadObject,
			onChain, onArray, onDefer, onDeferred, onPanic, onFault, onRecovered, onMakeFunc, onMethodValue, onGeneric,
			onInlined, onIterator, onRangeFunc, onRecursion,
		} {
			start(f)
		}
	case "spin":
		runtime.GOMAXPROCS(1)
		start(yielder)
		start(func() { spinner("spinner1") })
		start(func() { spinner("spinner2") })
	case "deep":
		debug.SetMaxStack(1 << 30)
		start(func() {
			n := newNode()
			report("live", "deep", n)
			depth, _ := strconv.Atoi(os.Args[2])
			recurse(depth, n)
		})
	case "many":
		n := newNode()
		report("live", "many", n)
		count, _ := strconv.Atoi(os.Args[2])
		for range count {
			start(func() { level(3, n) })
		}
	}
	holds.wait.Wait()
	// Those who said Done wait soon after.
	for settled := false; !settled; {
		time.Sleep(20 * time.Millisecond)
		settled = mode != "states" || !strings.Contains(stacks(), "[runn")
	}
	out := bufio.NewWriter(os.Stdout)
	for _, line := range holds.lines {
		fmt.Fprintln(out, line)
	}
	if mode == "states" {
		fmt.Fprintf(out, "stacks\n%s\n", stacks())
	}
	fmt.Fprintln(out, "ready")
	out.Flush()
	var b [1]byte
	syscall.Read(0, b[:])
}

func stacks() string {
	text := make([]byte, 8<<20)
	all := string(text[:runtime.Stack(text, true)])
	// The first is the goroutine that asks.
	_, others, _ := strings.Cut(all, "\n\n")
	return others
}
