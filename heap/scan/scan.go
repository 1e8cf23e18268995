// Package scan writes the snapshot of a frozen process: one linear pass over its heap, and its roots. It needs memory in
// proportion to the number of spans, not of objects, so that a helper beside a service in a small container can make it.
//
// It knows how the runtime's structures (layout), types (gotype) and functions (functab) become a snapshot's; it does not
// know how the process was frozen (capture stands beside it), nor what the graph means (graph and retain stand above).
package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/heap/functab"
	"github.com/memwarden/memwarden/heap/gotype"
	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// Options of a scan.
type Options struct {
	// Header is the file's. GoVersion, OS, Arch, BuildID and ContainsDWARF are filled in from the process.
	Header snapshot.Header
	// Workers read the heap in parallel; default 2.
	Workers int
	// Progress is told, from one goroutine at a time, how many bytes of the heap are done. Nil: nobody is.
	Progress func(done, total uint64)
	// Pause tells for how long the process stood still. It is asked once the frozen memory is released. Nil: it stays 0.
	Pause func() time.Duration
	// Released is called once the frozen memory is no longer needed, before names are looked up in the executable.
	// Nil: nobody is.
	Released func()
	// Elapsed tells the time since the scan began, for the summary. Nil: it stays 0.
	Elapsed func() time.Duration
}

// maxWarnings bounds a summary's warnings.
const maxWarnings = 32

// Write reads a frozen process and writes its snapshot. The process must not change meanwhile. An error leaves an
// unfinished file in w, which a reader will tell as such.
//
// It holds a page table of the heap, the live bits of its spans, the pointers in roots, and a few MiB of buffers; it reads
// each page that may hold pointers once. Contents of strings and byte slices are not written.
func Write(ctx context.Context, p layout.Process, w io.Writer, o Options) (snapshot.Summary, error) {
	if o.Workers <= 0 {
		o.Workers = 2
	}
	memory := &frozen{ReaderAt: p.Memory}
	p.Memory = memory
	s, err := open(ctx, p)
	if err != nil {
		return snapshot.Summary{}, err
	}
	o.Header.GoVersion, o.Header.BuildID = s.rt.Version, s.rt.BuildID
	o.Header.OS, o.Header.Arch = "linux", s.rt.Arch
	o.Header.ContainsDWARF = s.rt.ContainsDWARF
	if s.out, err = snapshot.NewWriter(w, o.Header); err != nil {
		return snapshot.Summary{}, err
	}
	if err := s.read(ctx, o); err != nil {
		return snapshot.Summary{}, err
	}
	memory.released.Store(true)
	if o.Released != nil {
		o.Released()
	}
	return s.finish(ctx, o)
}

// frozen is memory until it is released. From then on it may change, or be gone.
type frozen struct {
	io.ReaderAt
	released atomic.Bool
}

var errReleased = errors.New("scan: the memory was released")

func (f *frozen) ReadAt(p []byte, offset int64) (int, error) {
	if f.released.Load() {
		return 0, errReleased
	}
	return f.ReaderAt.ReadAt(p, offset)
}

// scanner is one scan.
type scanner struct {
	rt     *layout.Runtime
	spans  []layout.Span // of the heap
	stacks uint64        // bytes of stack spans
	types  *gotype.Table
	funcs  *functions
	index  *index
	shapes *shapes
	roots  *roots
	out    *snapshot.Writer

	marked   uint64 // bytes
	edges    uint64 // between objects
	warnings []string
}

// open finds the structures of the runtime.
func open(ctx context.Context, p layout.Process) (*scanner, error) {
	rt, err := layout.Open(p)
	if err != nil {
		return nil, err
	}
	s := &scanner{rt: rt, shapes: newShapes()}
	if s.types, err = gotype.New(rt); err != nil {
		return nil, err
	}
	table, err := functab.New(rt)
	if err != nil {
		return nil, err
	}
	s.funcs = newFunctions(table)
	spans, err := rt.Spans(ctx)
	if err != nil {
		return nil, err
	}
	s.spans = spans[:0]
	for _, span := range spans {
		if span.Stack {
			s.stacks += span.Pages * pageSize
			continue
		}
		s.marked += span.MarkedBytes
		s.spans = append(s.spans, span)
	}
	if s.index, err = newIndex(s.spans); err != nil {
		return nil, err
	}
	s.roots = &roots{
		rt: rt, types: s.types, functions: s.funcs, index: s.index, stacks: newStacks(s.funcs),
		edges: edges{x: s.index, types: s.types}, allocated: newAllocations(rt, s.types, table),
	}
	return s, nil
}

// read does all that needs the frozen memory.
func (s *scanner) read(ctx context.Context, o Options) error {
	if err := s.writeSpans(); err != nil {
		return err
	}
	// All types are numbered before several workers meet them in any order.
	if err := s.types.LoadAll(ctx); err != nil {
		s.warn("not all types could be read: %v", err)
	}
	if err := s.roots.collect(ctx, s.spans); err != nil {
		return err
	}
	pass := s.pass(o.Progress)
	if err := pass.run(ctx, o.Workers); err != nil {
		return err
	}
	s.edges = pass.edgeCount
	if pass.untyped > 0 {
		s.warn("%d objects had no readable type word: they were being made, and what they point to is not followed", pass.untyped)
	}
	if n := pass.dangling + s.roots.edges.dangling; n > 0 {
		s.warn("%d pointers point to freed objects: garbage that waits to be swept, or stale words of a stack", n)
	}
	return ctx.Err()
}

// pass prepares the pass over the heap.
func (s *scanner) pass(progress func(done, total uint64)) *pass {
	return &pass{
		memory: s.rt.Memory, spans: s.spans, index: s.index, types: s.types, functions: s.funcs, shapes: s.shapes,
		maps: pointerMaps{types: s.types, shapes: s.shapes, byWord: make(map[uint64]*pointerMap)},
		out:  s.out, progress: progress,
	}
}

func (s *scanner) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(s.warnings) < maxWarnings && !slices.Contains(s.warnings, text) {
		s.warnings = append(s.warnings, text)
	}
}

// writeSpans writes the spans of the heap.
func (s *scanner) writeSpans() error {
	const batch = 1024
	spans := make([]snapshot.Span, 0, batch)
	for some := range slices.Chunk(s.spans, batch) {
		spans = spans[:0]
		for i := range some {
			span := &some[i]
			spans = append(spans, snapshot.Span{
				Start: span.Start, Pages: span.Pages, ElemSize: span.ElemSize, Slots: uint32(span.Slots),
				NoScan: span.NoScan, Header: span.Header, Live: span.Live,
			})
		}
		if err := s.out.Spans(spans); err != nil {
			return err
		}
	}
	return nil
}

// finish writes what names the graph, and the summary.
func (s *scanner) finish(ctx context.Context, o Options) (snapshot.Summary, error) {
	roots, err := s.roots.named(ctx)
	if err != nil {
		return snapshot.Summary{}, err
	}
	types, err := s.funcs.closures(s.types)
	if err != nil {
		s.warn("what some closures capture could not be read: %v", err)
	}
	for _, write := range []func() error{
		func() error { return s.out.Types(types) },
		func() error { return s.out.Functions(s.funcs.all[1:]) },
		func() error { return s.out.Shapes(s.shapes.all[1:]) },
		func() error { return s.out.Goroutines(s.roots.goroutines) },
		func() error { return s.out.Roots(roots) },
		func() error { return s.out.Weak(s.roots.weak) },
		func() error { return s.out.Stacks(s.roots.stacks.all[1:]) },
		func() error { return s.out.Sampled(s.roots.sampled) },
	} {
		if err := write(); err != nil {
			return snapshot.Summary{}, err
		}
	}
	for _, warning := range slices.Concat(s.rt.Warnings, s.funcs.table.Warnings(), s.roots.warnings) {
		s.warn("%s", warning)
	}
	summary := snapshot.Summary{
		Objects: s.index.objects, AllocatedBytes: s.index.bytes, RuntimeLiveBytes: s.marked, StackBytes: s.stacks,
		GCCycles: s.rt.Cycles, Warnings: s.warnings,
	}
	if o.Pause != nil {
		summary.PauseSeconds = o.Pause().Seconds()
	}
	if o.Elapsed != nil {
		summary.ReadSeconds = o.Elapsed().Seconds()
	}
	summary.Edges = s.edges
	return summary, s.out.Close(summary)
}
