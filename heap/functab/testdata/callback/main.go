// Command callback waits in a C function that called Go, and in one that did not.
package main

/*
#include <unistd.h>
extern void goCallback(void);
static void callGo(void) { goCallback(); }
static void waitInC(void) { pause(); }
*/
import "C"

import (
	"fmt"
	"os"
	"reflect"
	"sync"
	"syscall"
	"time"
)

type node struct {
	next *node
	id   [6]uintptr
}

//go:noinline
func newNode() *node { return &node{id: [6]uintptr{1, 2, 3, 4, 5, 6}} }

//go:noinline
func report(name string, n *node) {
	fmt.Printf("live %s %d\n", name, ^reflect.ValueOf(n).Pointer())
}

//go:noinline
func use(n *node) {
	if n.id[0] == 77 {
		println(n)
	}
}

var (
	forever = make(chan int)
	wait    sync.WaitGroup
)

//export goCallback
func goCallback() {
	n := newNode()
	report("inside", n)
	wait.Done()
	<-forever
	use(n)
}

func main() {
	wait.Add(2)
	go func() {
		n := newNode()
		report("outside", n)
		C.callGo()
		use(n)
	}()
	go func() {
		n := newNode()
		report("inC", n)
		wait.Done()
		C.waitInC()
		use(n)
	}()
	wait.Wait()
	time.Sleep(100 * time.Millisecond)
	fmt.Println("ready")
	var b [1]byte
	syscall.Read(int(os.Stdin.Fd()), b[:])
}
