// Command zoo retains a known amount of memory in a known way, for a test that looks at it from outside:
//
//	zoo CASE N
//
// builds N of what the case is about, collects garbage twice, prints "ready" and a line of facts in JSON, and waits until
// standard input ends.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"sort"
	"strconv"
)

// cases build what they are about; what they return is kept alive on the stack of main.
var cases = map[string]func(n int) any{}

func main() {
	// Every allocation is sampled, so that each object knows where it was allocated.
	runtime.MemProfileRate = 1
	if len(os.Args) != 3 {
		var names []string
		for name := range cases {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintln(os.Stderr, "usage: zoo CASE N; cases:", names)
		os.Exit(2)
	}
	n, err := strconv.Atoi(os.Args[2])
	build, known := cases[os.Args[1]]
	if err != nil || !known {
		fmt.Fprintln(os.Stderr, "zoo: no such case or number:", os.Args[1:])
		os.Exit(2)
	}
	if n >= 1_000_000 {
		runtime.MemProfileRate = 512 << 10
	}
	facts := newFacts()
	kept := build(n)
	runtime.GC()
	if os.Args[1] != "sync-pool" { // a pool forgets at the second collection what nobody takes
		runtime.GC()
	}
	facts.print()
	for err := error(nil); err == nil; {
		_, err = os.Stdin.Read(facts.line[:1])
	}
	runtime.KeepAlive(kept)
}

// facts are what the program says of itself. What printing them takes is allocated before: nothing is after the last
// collection.
type facts struct {
	sample []metrics.Sample
	line   []byte
}

func newFacts() *facts {
	f := &facts{[]metrics.Sample{{Name: "/gc/heap/live:bytes"}}, make([]byte, 0, 256)}
	metrics.Read(f.sample)
	return f
}

// print tells what the last collection left alive.
func (f *facts) print() {
	metrics.Read(f.sample)
	f.line = append(f.line[:0], `{"ready":true,"live_bytes":`...)
	f.line = strconv.AppendUint(f.line, f.sample[0].Value.Uint64(), 10)
	f.line = append(f.line, "}\n"...)
	os.Stdout.Write(f.line)
}
