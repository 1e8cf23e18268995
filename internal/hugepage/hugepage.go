// Package hugepage has the kernel back the Go heap by huge pages, which the runtime itself never asks for: where the
// kernel gives them on request alone, the setting "madvise", a Go program has none.
//
// It knows address space and the collector's habit never to unmap what it has. Why huge pages are wanted is its callers'
// business: package heap/retain, whose arrays are large, and the facade, for which a frozen copy of a process is made
// entry by entry of its page table.
package hugepage

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
)

// Space is address space of the heap that is marked. The collector never unmaps what it has: the addresses stay the heap's
// for good, whatever lies there.
type Space struct {
	address uintptr
	size    int64
}

// Prefer adds so many bytes of address space to the heap and marks them (MADV_HUGEPAGE): what is allocated from then on
// lies there first. Nothing of it is touched, so that it takes no memory by itself. It collects, and returns what is free
// to the operating system, which takes some milliseconds. A memory limit below size is in the way: for that moment the
// runtime counts the space as in use.
//
// The mark is for good, and has its price: memory is taken by 2 MiB where it is taken at all, parts that the collector has
// returned may come back, and a first touch zeroes 2 MiB.
//
// The error says that there is no such address space, or that the kernel has no huge pages; nothing has changed then.
func Prefer(size int64) (Space, error) {
	if err := available(size); err != nil {
		return Space{}, fmt.Errorf("ask for huge pages for %d bytes of heap: address space: %w", size, err)
	}
	space := make([]byte, size)
	err := advise(space)
	s := Space{address: reflect.ValueOf(space).Pointer(), size: size}
	runtime.KeepAlive(space)
	space = nil
	debug.FreeOSMemory()
	if err != nil {
		return Space{}, fmt.Errorf("ask for huge pages for %d bytes of heap: %w", size, err)
	}
	return s, nil
}

// Populate has the kernel give memory to the first bytes of the space, in which the heap lies first, so that those who
// write there need not wait for it; what is written there already stays (MADV_POPULATE_WRITE, Linux 5.14). It returns when
// that is done, or the context is. Memory that the heap does not come to need it has in vain, until it is returned to the
// operating system: ask for what is needed for certain.
func (s Space) Populate(ctx context.Context, bytes int64) error {
	const step = 4 << 20 // some milliseconds at most
	for from, end := int64(0), min(bytes, s.size); from < end; from += step {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := populate(s.address+uintptr(from), uintptr(min(step, end-from))); err != nil {
			return fmt.Errorf("have memory for %d bytes of heap: %w", bytes, err)
		}
	}
	return nil
}
