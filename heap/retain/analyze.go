package retain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/internal/sorting"
)

// Options bound an analysis. The zero value is that of every default.
type Options struct {
	// SuspectShare is the share of all reached bytes from which on a place is suspicious, above 0 up to 1; 0 means 0.05.
	SuspectShare float64
	// Bounds of the lists, the largest entries kept. 0 means the default that is named; a negative number, no bound.
	MaxSuspects   int // 10
	MaxTypes      int // 50
	MaxRoots      int // 50
	MaxShared     int // 20
	MaxGoroutines int // 50
	MaxPins       int // 20
	// Progress, if it is set, is called now and then with a stage ("dominators", "retained", "suspects") and how much of it
	// is done, from one goroutine at a time.
	Progress func(stage string, done, total uint64)
}

func (o Options) withDefaults() (Options, error) {
	if !(o.SuspectShare >= 0 && o.SuspectShare <= 1) {
		return o, fmt.Errorf("retain: a suspect's share of %v: want above 0 up to 1", o.SuspectShare)
	}
	if o.SuspectShare == 0 {
		o.SuspectShare = 0.05
	}
	for _, bound := range []struct {
		of    *int
		value int
	}{{&o.MaxSuspects, 10}, {&o.MaxTypes, 50}, {&o.MaxRoots, 50}, {&o.MaxShared, 20}, {&o.MaxGoroutines, 50}, {&o.MaxPins, 20}} {
		if *bound.of == 0 {
			*bound.of = bound.value
		}
	}
	if o.Progress == nil {
		o.Progress = func(string, uint64, uint64) {}
	}
	return o, nil
}

// cut returns the first entries of a list up to a bound, and never nil.
func cut[entry any](list []entry, bound int) []entry {
	if list == nil {
		return []entry{}
	}
	if bound >= 0 && len(list) > bound {
		return slices.Clip(list[:bound])
	}
	return list
}

// Analyze answers what holds the memory of a graph, which it reads and keeps, for the Analysis to answer further
// questions. For 10 million objects it takes about two seconds, and 30 bytes an object beside the graph. When the context
// ends, it returns the context's cause.
//
// What the runtime holds for its own sake (who waits for what, frames of its functions, finalizers, words that may be no
// pointers) counts as held by it only where nothing else holds it: a program's channel is not shared with the
// runtime's list of those who wait on it.
func Analyze(ctx context.Context, g *graph.Graph, o Options) (*Analysis, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	h, err := newHeap(ctx, g, o)
	if err != nil {
		return nil, err
	}
	a := h.header()
	o.Progress("retained", 0, 1)
	census := newCensus(len(h.types.names))
	var counting sync.WaitGroup
	counting.Go(func() {
		census.add(h, 0)
		types := census.take(h)
		a.Types, a.TypeCount = cut(types, o.MaxTypes), len(types)
	})
	least := uint64(o.SuspectShare * float64(h.reached))
	sharing, shared := newSharing(h, max(least, 1), 50)
	counting.Wait()
	if err := cancelled(ctx); err != nil {
		return nil, err
	}
	a.Shared = cut(shared, o.MaxShared)
	a.Roots, a.Goroutines = h.owners(sharing)
	a.RootCount, a.GoroutineCount = len(a.Roots), len(g.Goroutines)
	a.Roots, a.Goroutines = cut(a.Roots, o.MaxRoots), cut(a.Goroutines, o.MaxGoroutines)
	o.Progress("retained", 1, 1)
	if err := a.suspects(ctx, h, o, describer{h: h, census: census, shared: sharing}); err != nil {
		return nil, err
	}
	a.Pins = cut(h.pins(), o.MaxPins)
	o.Progress("suspects", 1, 1)
	return a, nil
}

// runtimeShare is the share from which on the runtime's own objects are suspicious: nobody can do much about them.
const runtimeShare = 0.2

func (a *Analysis) suspects(ctx context.Context, h *heap, o Options, d describer) error {
	groups := findGroups(h, uint64(o.SuspectShare*float64(h.reached)))
	a.Suspects = []Suspect{}
	for i, group := range groups {
		if err := cancelled(ctx); err != nil {
			return err
		}
		if o.MaxSuspects >= 0 && len(a.Suspects) >= o.MaxSuspects {
			break
		}
		o.Progress("suspects", uint64(i), uint64(len(groups)))
		if s := d.suspect(group); s.Share >= runtimeShare || !strings.Contains(s.Type, "runtime.") || strings.Contains(s.Type, timerType) {
			a.Suspects = append(a.Suspects, s)
		}
	}
	sorting.By(a.Suspects, func(a, b Suspect) int {
		return cmp.Or(cmp.Compare(b.RetainedBytes, a.RetainedBytes), cmp.Compare(a.Sentence, b.Sentence))
	})
	return nil
}

func cancelled(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("retain: %w", context.Cause(ctx))
	}
	return nil
}

// header is what the snapshot says of itself.
func (h *heap) header() *Analysis {
	g := h.g
	a := &Analysis{
		GoVersion: g.Header.GoVersion, OS: g.Header.OS, Arch: g.Header.Arch, Executable: g.Header.Executable,
		BuildID: g.Header.BuildID, PID: g.Header.PID, TakenAt: g.Header.TakenAt, Method: g.Header.Method,
		PauseSeconds: g.Summary.PauseSeconds, RSSBytes: g.Header.RSSBytes, StackBytes: g.Summary.StackBytes,
		Objects: g.Summary.Objects, Bytes: g.Summary.AllocatedBytes, Edges: g.Summary.Edges,
		ReachedObjects: g.ReachedObjects(), ReachedBytes: g.ReachedBytes(), ReachedRatio: ratio(g.ReachedBytes(), g.Summary.AllocatedBytes),
		RuntimeLiveBytes: g.Summary.RuntimeLiveBytes, LiveRatio: ratio(g.ReachedBytes(), g.Summary.RuntimeLiveBytes),
		TypedRatio: g.TypedRatio(), InferredRatio: g.InferredRatio(), Warnings: cut(g.Summary.Warnings, -1), heap: h,
	}
	return a
}

// owners lists roots and groups of goroutines, with those of the same label as one.
func (h *heap) owners(s *sharing) ([]Root, []Goroutine) {
	retained, count := make([]uint64, len(h.labels.list)), make([]uint64, len(h.labels.list))
	for i, id := range h.labels.roots {
		count[id]++
		if p := h.places[h.g.RootNode(i)]; p != nowhere {
			retained[id] += h.retained.at(p)
		}
	}
	for i, id := range h.labels.goroutines {
		count[id]++
		if p := h.places[h.g.GoroutineNode(i)]; p != nowhere {
			retained[id] += h.retained.at(p)
		}
	}
	var roots []Root
	var goroutines []Goroutine
	for id, l := range h.labels.list {
		if l.kind == goroutineKind {
			goroutines = append(goroutines, Goroutine{
				Function: l.function, State: l.state, CreatedBy: l.createdBy, Count: count[id], RetainedBytes: retained[id],
				SharedBytes: s.direct[id],
			})
			continue
		}
		roots = append(roots, Root{
			Kind: l.kind, Name: l.name, RetainedBytes: retained[id], SharedBytes: s.direct[id], Count: count[id],
			Conservative: l.conservative,
		})
	}
	sorting.By(roots, func(a, b Root) int {
		return cmp.Or(cmp.Compare(b.RetainedBytes, a.RetainedBytes), cmp.Compare(b.SharedBytes, a.SharedBytes),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	sorting.By(goroutines, func(a, b Goroutine) int {
		return cmp.Or(cmp.Compare(b.RetainedBytes, a.RetainedBytes), cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.Function, b.Function), cmp.Compare(a.State, b.State))
	})
	return roots, goroutines
}
