package graph

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// ErrTooLarge is wrapped by the error of Load for a heap with more nodes or edges than 32 bits can number.
var ErrTooLarge = errors.New("too many objects or pointers")

const maxNumber = math.MaxUint32 - 1

// Load reads a snapshot, decides what is reached from the roots and gives objects their types. It decodes with several
// goroutines, which have ended when it returns. A context that ends stops it. Errors of the file wrap those of package
// snapshot.
func Load(ctx context.Context, r *snapshot.Reader, o Options) (*Graph, error) {
	if o.Progress == nil {
		o.Progress = func(string, uint64, uint64) {}
	}
	g, err := load(ctx, r, o)
	if err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	if err := g.reach(ctx, o.Progress); err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	if o.WithoutTypes {
		g.clues = nil
		return g, nil
	}
	types, err := r.Types()
	if err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	if len(types) > reservedTypes {
		return nil, fmt.Errorf("graph: %d types: %w", len(types), ErrTooLarge)
	}
	if err := g.typeAll(ctx, types, o.Progress); err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	g.cutTimers()
	return g, nil
}

// loader fills a graph from blocks.
type loader struct {
	g     *Graph
	r     *snapshot.Reader
	o     Options
	total snapshot.Totals

	mu       sync.Mutex // guards forms and progress
	forms    *forms
	done     uint64
	finished []blockResult // by block
	next     atomic.Int64
	spare    uint64 // room in the arrays of edges that nothing needs yet
}

// load reads everything but types.
func load(ctx context.Context, r *snapshot.Reader, o Options) (*Graph, error) {
	l := &loader{g: &Graph{Header: r.Header(), Summary: r.Summary()}, r: r, o: o, total: r.Totals()}
	if err := l.tables(); err != nil {
		return nil, err
	}
	if err := l.allocate(); err != nil {
		return nil, err
	}
	if err := l.blocks(ctx); err != nil {
		return nil, err
	}
	l.fillGaps()
	if err := l.roots(ctx); err != nil {
		return nil, err
	}
	l.join()
	l.g.forms = l.forms.list
	return l.g, nil
}

// tables reads what is small.
func (l *loader) tables() error {
	g, r := l.g, l.r
	list, err := r.Spans()
	if err != nil {
		return err
	}
	first, err := r.FirstObjects()
	if err != nil {
		return err
	}
	g.spans = newSpans(list, first)
	g.objects = uint32(l.total.Objects)
	shapes, err := r.Shapes()
	if err != nil {
		return err
	}
	l.forms = newForms(shapes)
	if g.Functions, err = r.Functions(); err != nil {
		return err
	}
	if g.Goroutines, err = r.Goroutines(); err != nil {
		return err
	}
	if g.Weak, err = r.Weak(); err != nil {
		return err
	}
	if g.Sampled, err = r.Sampled(); err != nil {
		return err
	}
	g.Stacks, err = r.Stacks()
	return err
}

// allocate makes the arrays, each in its final size: memory that is never written to costs nothing.
func (l *loader) allocate() error {
	t := &l.total
	nodes := t.Objects + t.Roots + t.Goroutines + 1
	edges := t.Edges + t.RootEdges + t.Roots + t.Goroutines
	if nodes > maxNumber || edges > maxNumber {
		return fmt.Errorf("%d objects, roots and goroutines with %d pointers: %w", nodes, edges, ErrTooLarge)
	}
	g := l.g
	l.spare = min(edges/16+1024, maxNumber-edges)
	g.Starts = make([]uint32, nodes+1)
	g.Targets = make([]uint32, edges+l.spare)
	g.slots = make([]uint16, edges+l.spare)
	g.formOf = make([]uint16, t.Objects)
	g.Roots = make([]snapshot.Root, 0, t.Roots)
	g.clues = new(clues)
	l.finished = make([]blockResult, t.Blocks)
	for i := range g.spans.list {
		s := &g.spans.list[i]
		if from, to := g.spans.first[i], g.spans.first[i+1]; s.NoScan && from < to {
			id := l.forms.id(formKey{size: s.ElemSize, noscan: true})
			part := g.formOf[from:to]
			for j := range part {
				part[j] = id
			}
		}
	}
	return nil
}

// blocks decodes all blocks in parallel.
func (l *loader) blocks(ctx context.Context) error {
	workers := l.o.Workers
	if workers <= 0 {
		workers = min(runtime.GOMAXPROCS(0), 4)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for range min(workers, max(l.total.Blocks, 1)) {
		running.Go(func() {
			w := newDecodeWorker(l)
			for ctx.Err() == nil {
				i := int(l.next.Add(1) - 1)
				if i >= l.total.Blocks {
					return
				}
				if err := w.block(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// fillGaps sets the starts of objects without records between the blocks and behind the last.
func (l *loader) fillGaps() {
	starts := l.g.Starts
	filled := uint32(0) // starts are set below
	for i := range l.finished {
		b := &l.finished[i]
		if !b.any {
			continue
		}
		for at := filled; at < b.first; at++ {
			starts[at] = starts[b.first]
		}
		filled = b.last + 1
	}
	for at := filled; at <= l.g.objects; at++ {
		starts[at] = uint32(l.total.Edges)
	}
}

// join puts together what the blocks found of the sparse things.
func (l *loader) join() {
	g := l.g
	edges := uint64(len(g.Targets))
	l.merge(&g.offsets, edges, func(b *blockResult) *sparse { return &b.offsets })
	l.merge(&g.clues.dynamic, edges, func(b *blockResult) *sparse { return &b.dynamic })
	l.merge(&g.clues.lengths, edges, func(b *blockResult) *sparse { return &b.lengths })
	jumps, closures := 0, 0
	for i := range l.finished {
		jumps += len(l.finished[i].jumps.at)
		closures += len(l.finished[i].closures)
	}
	g.jumps = make([]uint32, 0, jumps)
	g.highs = make([]uint32, 0, jumps)
	g.clues.closures = make([]closureOf, 0, closures)
	for i := range l.finished {
		b := &l.finished[i]
		g.jumps = append(g.jumps, b.jumps.at...)
		g.highs = append(g.highs, b.jumps.values...)
		g.clues.closures = append(g.clues.closures, b.closures...)
	}
	l.finished = nil
}

// merge makes one ranked map of what the blocks have, and lets go of theirs.
func (l *loader) merge(r *ranked, places uint64, of func(*blockResult) *sparse) {
	total := 0
	for i := range l.finished {
		total += len(of(&l.finished[i]).at)
	}
	if total == 0 {
		return
	}
	*r = newRanked(places)
	r.values = make([]uint32, 0, total)
	for i := range l.finished {
		part := of(&l.finished[i])
		for _, at := range part.at {
			r.set(at)
		}
		r.values = append(r.values, part.values...)
		*part = sparse{}
	}
	r.index()
}
