package retain

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"sync"

	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/hugepage"
)

const (
	// nodeBytes is what an object takes with the usual 1.25 pointers: 55 bytes were measured (bench-heap).
	nodeBytes = 60
	// edgeBytes is what each pointer takes beyond those: 17 bytes, and up to 27 where it leads into the middle of an object
	// and a length stands beside it (TestMemoryBytes). The file's header does not tell how many do.
	edgeBytes = 28
	// entryBytes is what an entry of a table takes, such as a root or a goroutine beside its node and its pointers: some 150
	// bytes, its name included (TestMemoryBytes). The frames of goroutines and stacks are extra.
	entryBytes, frameBytes = 192, 8
)

// MemoryBytes is what a process needs for the analysis of a snapshot. What is not known of it may be 0, such as the tables,
// of which a summary tells nothing: in a service that has a hundred objects for each goroutine they add a tenth at most.
func MemoryBytes(t snapshot.Totals) int64 {
	nodes := t.Objects + t.Roots + t.Goroutines
	edges := t.Edges + t.RootEdges + t.Roots + t.Goroutines
	entries := t.Roots + t.Goroutines + t.Spans + t.Types + t.Functions + t.Shapes + t.Stacks
	beyond := max(0, numbered(edges)-numbered(nodes)*5/4)
	return nodeBytes*numbered(nodes) + edgeBytes*beyond + entryBytes*numbered(entries) + frameBytes*numbered(t.Frames+t.StackFrames) + 32<<20
}

// numbered is a count of which no sum of products overflows: a graph has no more than 32 bits can number.
func numbered(count uint64) int64 { return int64(min(count, math.MaxUint32)) }

// largeHeap is how many bytes make the preparation of address space worth its time, some milliseconds.
const largeHeap = 128 << 20

// early is how many bytes are had beforehand for each object: hardly fewer than the usual need (nodeBytes), for what is first
// touched in the middle of a stage is waited for. An analysis that needs fewer has the rest in vain, within MemoryBytes. For
// pointers there are none: that they are there is known only once they were read.
const early = 56

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
	need := MemoryBytes(r.Totals())
	before := debug.SetMemoryLimit(-1)
	debug.SetMemoryLimit(min(before, need))
	if need < largeHeap || need >= before {
		return func() { debug.SetMemoryLimit(before) }, nil
	}
	ctx, stop := context.WithCancel(context.Background())
	var populating sync.WaitGroup
	if space, err := hugepage.Prefer(need); err == nil { // without them it takes longer
		populating.Go(func() { _ = space.Populate(ctx, early*int64(r.Totals().Objects)) }) // so it does without this
	}
	return func() {
		stop()
		populating.Wait()
		debug.SetMemoryLimit(before)
	}, nil
}
