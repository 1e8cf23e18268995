// Command target holds what the tests of heap/layout look for, says so and waits. With "big" it holds a heap of 0.4 GB,
// with "churn" it allocates on and collects.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
	"unsafe"
	"weak"
)

// Node is 48 bytes, with pointers.
type Node struct {
	next *Node
	text []byte
	rest [2]int
}

// Wide is above 512 bytes: it gets a header.
type Wide struct {
	first *Node
	pad   [600]byte
}

// facts are what the tests compare with.
type facts struct {
	Live, Cycles               uint64
	Node, Wide, Large, Weak    uint64 // addresses
	Cleaned, Finalized, Queued uint64
}

var (
	list   *Node
	wide   *Wide
	large  []*Node
	bytes  []byte
	weakly weak.Pointer[Node]
	kept   []*Node
	sink   [][]byte
)

func main() {
	runtime.MemProfileRate = 4 << 10
	if len(os.Args) > 1 && os.Args[1] == "big" {
		runtime.MemProfileRate = 0
		fill(6_000_000)
	} else {
		fill(50_000)
	}
	var f facts
	release := make(chan struct{})
	entered := make(chan struct{})
	block(entered, release, &f)
	started := make(chan struct{})
	go func() { started <- struct{}{}; <-release }()
	<-started
	go func() { started <- struct{}{}; time.Sleep(time.Hour) }()
	<-started
	churning := len(os.Args) > 1 && os.Args[1] == "churn"
	if churning {
		go churn()
	} else {
		debug.SetGCPercent(-1)
	}
	runtime.GC()
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(sample)
	f.Live, f.Cycles = sample[0].Value.Uint64(), sample[1].Value.Uint64()
	f.Node, f.Wide = address(list), address(wide)
	f.Large, f.Weak = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(large)))), address(weakly.Value())
	f.Cleaned, f.Finalized = address(kept[0]), address(kept[1])
	text, _ := json.Marshal(f)
	fmt.Println(string(text))
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	runtime.KeepAlive(kept)
	close(release)
}

func address[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

//go:noinline
func fill(n int) {
	for range n {
		list = &Node{next: list, text: make([]byte, 20)}
	}
	// Holes in the spans.
	for n := list; n != nil && n.next != nil; n = n.next {
		n.next = n.next.next
	}
	wide = &Wide{first: list}
	large = make([]*Node, 20_000)
	bytes = make([]byte, 100_000)
	weakly = weak.Make(list)
	kept = []*Node{{}, {}, {}}
	runtime.AddCleanup(kept[0], func(int) {}, 7)
	runtime.SetFinalizer(kept[1], func(*Node) {})
}

// block keeps the goroutines busy that run finalizers and cleanups, so that what comes after them waits in the queues.
//
//go:noinline
func block(entered, release chan struct{}, f *facts) {
	hold := func(chan struct{}) { entered <- struct{}{}; <-release }
	runtime.SetFinalizer(new([4]*Node), func(*[4]*Node) { hold(entered) })
	runtime.GC()
	<-entered
	for range 5 {
		f.Queued++
		runtime.SetFinalizer(new([4]*Node), func(*[4]*Node) { hold(entered) })
	}
	for range 40 {
		runtime.AddCleanup(new([4]*Node), hold, entered)
	}
	runtime.GC()
}

// churn allocates for ever, so that collections run all the time.
func churn() {
	for i := 0; ; i++ {
		if len(sink) < 100_000 {
			sink = append(sink, nil)
		}
		sink[i%len(sink)] = make([]byte, 16+i%500)
	}
}
