package retain

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/hugepage"
)

// MemoryBytes is what a process needs for the analysis of so many objects.
func MemoryBytes(objects uint64) int64 { return 60*int64(objects) + 32<<20 }

// largeHeap is how many bytes make the preparation of address space worth its time, some milliseconds.
const largeHeap = 128 << 20

// early is how many bytes are had beforehand for each object: fewer than the 55 that were measured with 1.25 pointers an
// object (bench-heap). An analysis that needs fewer has the rest in vain, within MemoryBytes.
const early = 48

// Prepare prepares a process that is there for the analysis of a snapshot, before the graph is loaded. It sets a memory
// limit, so that the collector runs before garbage adds to large arrays; a lower limit stays as it is. And it asks the
// kernel to back them by huge pages, without which most reads of such arrays miss the processor's table of pages too, and
// each page costs a fault: an analysis takes a quarter less time with them. Their memory is had beforehand, by a goroutine
// of its own, while stages that need one processor go on: on some virtual machines it takes as long as half the analysis
// until a host has found it. The function that it returns takes the limit back. Limit and marks are those of the whole
// process: call it where analyses do not overlap.
//
// Memory is had for objects that are there, not for those that a file claims to have: the spans are decoded first, once for
// this and for the graph. The error is theirs, and nothing was changed then. That there is room for MemoryBytes the caller
// has seen to: a file of some megabytes may well have objects for as many gigabytes.
func Prepare(r *snapshot.Reader) (undo func(), err error) {
	if _, err := r.Spans(); err != nil {
		return nil, fmt.Errorf("retain: %w", err)
	}
	objects := r.Totals().Objects
	need := MemoryBytes(objects)
	before := debug.SetMemoryLimit(-1)
	debug.SetMemoryLimit(min(before, need))
	if need < largeHeap || need >= before {
		return func() { debug.SetMemoryLimit(before) }, nil
	}
	ctx, stop := context.WithCancel(context.Background())
	var populating sync.WaitGroup
	if space, err := hugepage.Prefer(need); err == nil { // without them it takes longer
		populating.Go(func() { _ = space.Populate(ctx, early*int64(objects)) }) // so it does without this
	}
	return func() {
		stop()
		populating.Wait()
		debug.SetMemoryLimit(before)
	}, nil
}
