// Package hugepage has the kernel back the Go heap by huge pages, which the runtime itself never asks for: where the
// kernel gives them on request alone, the setting "madvise", a Go program has none.
//
// It knows address space and the collector's habit never to unmap what it has. Why huge pages are wanted is its callers'
// business: package heap/retain, whose arrays are large, and the facade, for which a frozen copy of a process is made
// entry by entry of its page table.
package hugepage

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Prefer adds so many bytes of address space to the heap and marks them (MADV_HUGEPAGE): what is allocated from then on
// lies there first. Nothing of it is touched, so that it takes no memory by itself. It collects, and returns what is free
// to the operating system, which takes some milliseconds. A memory limit below size is in the way: for that moment the
// runtime counts the space as in use.
//
// The mark is for good, and has its price: memory is taken by 2 MiB where it is taken at all, parts that the collector has
// returned may come back, and a first touch zeroes 2 MiB.
//
// The error says that there is no such address space, or that the kernel has no huge pages; nothing has changed then.
func Prefer(size int64) error {
	if err := available(size); err != nil {
		return fmt.Errorf("ask for huge pages for %d bytes of heap: address space: %w", size, err)
	}
	space := make([]byte, size)
	err := advise(space)
	runtime.KeepAlive(space)
	space = nil
	debug.FreeOSMemory()
	if err != nil {
		return fmt.Errorf("ask for huge pages for %d bytes of heap: %w", size, err)
	}
	return nil
}
