//go:build linux

package layout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// mode is a way to build the program.
type mode struct {
	toolchain string
	settings  []string
}

func (m mode) String() string {
	return strings.Join(append([]string{m.toolchain}, m.settings...), " ")
}

// modes returns the build matrix: a fast part of it, or with -long all of it.
func modes() []mode {
	if !*long {
		return []mode{{"", nil}, {"", []string{"-ldflags=-s -w"}}}
	}
	var all []mode
	for _, toolchain := range toolchains {
		for _, settings := range [][]string{
			nil,
			{"-ldflags=-s -w"},
			{"-ldflags=-w", "-trimpath"},
			{"-buildmode=pie"},
			{"-buildmode=pie", "-ldflags=-s -w"},
			{"-race"},
			{"-race", "-ldflags=-s -w"},
			{"CGO_ENABLED=0"},
			{"CGO_ENABLED=1", "-ldflags=-linkmode=external"},
			{"CGO_ENABLED=1", "-ldflags=-linkmode=external -s -w", "-buildmode=pie"},
		} {
			all = append(all, mode{toolchain, settings})
		}
		experiment := "GOEXPERIMENT=nogreenteagc"
		if minorOf(toolchain) < 25 {
			continue
		}
		if minorOf(toolchain) == 25 {
			experiment = "GOEXPERIMENT=greenteagc"
		}
		all = append(all, mode{toolchain, []string{experiment}}, mode{toolchain, []string{experiment, "-ldflags=-s -w"}})
	}
	return all
}

// TestProcesses freezes the program in each build mode and holds what is decoded against what it said.
func TestProcesses(t *testing.T) {
	for _, m := range modes() {
		t.Run(m.String(), func(t *testing.T) {
			process, said := freeze(t, build(t, "target", m.toolchain, m.settings...))
			r, err := Open(process)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Warnings) > 0 {
				t.Errorf("warnings: %v", r.Warnings)
			}
			spans, err := r.Spans(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			checkOffsets(t, r)
			checkCollector(t, r, spans, said)
			checkSpans(t, r, spans, said)
			checkGoroutines(t, r)
			checkSpecials(t, r, spans, said)
			checkQueues(t, r, said)
		})
	}
}

// checkOffsets holds the debug information of the process's binary against the table of its version.
func checkOffsets(t *testing.T, r *Runtime) {
	t.Helper()
	if !r.ContainsDWARF {
		return
	}
	found, err := readOffsets(r.ELF)
	if err != nil || len(found) == 0 {
		t.Fatalf("%d offsets: %v", len(found), err)
	}
	var table offsets
	table.load(r.names, r.Arch)
	for _, f := range table.fields() {
		if at, ok := found[firstName(f.name)]; ok && uint64(at) != *f.at {
			t.Errorf("%s is at %d, in the table at %d", f.name, at, *f.at)
		}
	}
}

// checkCollector holds the marked bytes of the spans against what runtime/metrics said after the collection.
func checkCollector(t *testing.T, r *Runtime, spans []Span, said report) {
	t.Helper()
	if marked := countedByCollector(t, r, spans); marked != said.Live {
		t.Errorf("spans have %d marked bytes, the runtime says %d: %d more", marked, said.Live, int64(marked-said.Live))
	}
	if r.KnownMarked && r.HeapMarked != said.Live {
		t.Errorf("HeapMarked is %d, the runtime says %d", r.HeapMarked, said.Live)
	}
	if r.Cycles != said.Cycles {
		t.Errorf("%d cycles, the runtime says %d", r.Cycles, said.Cycles)
	}
}

// countedByCollector returns the marked bytes as the collector counts them: it scans what has a finalizer once more,
// and counts it each time.
func countedByCollector(t *testing.T, r *Runtime, spans []Span) uint64 {
	t.Helper()
	marked := uint64(0)
	for i := range spans {
		marked += spans[i].MarkedBytes
	}
	err := r.Specials(spans, func(s Special) error {
		if s.Kind == FinalizerSpecial && !spans[s.Span].NoScan {
			marked += spans[s.Span].ElemSize
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return marked
}

func spanOf(t *testing.T, spans []Span, addr uint64) *Span {
	t.Helper()
	i := slices.IndexFunc(spans, func(s Span) bool { return s.Start <= addr && addr < s.End() })
	if i < 0 {
		t.Fatalf("no span holds %#x", addr)
	}
	return &spans[i]
}

func checkSpans(t *testing.T, r *Runtime, spans []Span, said report) {
	t.Helper()
	node := spanOf(t, spans, said.Node)
	if node.ElemSize != 48 || node.NoScan || node.Header || node.HeapBits == 0 || node.Stack {
		t.Errorf("the span of a node: %+v", *node)
	}
	slot := (said.Node - node.Start) * uint64(node.DivMul) >> 32
	if !node.Allocated(slot) || node.Start+slot*node.ElemSize != said.Node {
		t.Errorf("the node at %#x is not slot %d of %+v", said.Node, slot, *node)
	}
	// A node's words: next, text's pointer, length, capacity, two integers.
	bit := (said.Node - node.Start) / wordSize
	word, err := r.Uint64(node.HeapBits + bit/64*8)
	if err != nil {
		t.Fatal(err)
	}
	if got := word >> (bit % 64) & 3; got != 3 {
		t.Errorf("pointer bits of the node at %#x: %b", said.Node, got)
	}
	if wide := spanOf(t, spans, said.Wide); !wide.Header || wide.NoScan || wide.HeapBits != 0 || wide.ElemSize != 640 {
		t.Errorf("the span of a wide object: %+v", *wide)
	}
	large := spanOf(t, spans, said.Large)
	if large.Slots != 1 || large.Type == 0 || large.Header || large.NoScan || !large.Allocated(0) {
		t.Errorf("the span of a large object: %+v", *large)
	}
	if large.Type != 0 && !r.Modules[0].Types.Contains(large.Type) {
		t.Errorf("the type of a large object at %#x is no type", large.Type)
	}
	stacks := 0
	for _, s := range spans {
		if s.Stack {
			stacks++
		}
	}
	if stacks == 0 {
		t.Error("no span of stacks")
	}
}

func checkGoroutines(t *testing.T, r *Runtime) {
	t.Helper()
	gs, err := r.Goroutines(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, g := range gs {
		state := g.State
		if g.System {
			state = "system " + state
		}
		states = append(states, state)
	}
	for _, want := range []string{"chan receive", "sleep", "system force gc (idle)"} {
		if !slices.Contains(states, want) {
			t.Errorf("no goroutine is in state %q: %q", want, states)
		}
	}
	main := slices.IndexFunc(gs, func(g G) bool { return g.ID == 1 })
	if main < 0 || gs[main].System || r.functionName(gs[main].StartPC) != "runtime.main" {
		t.Errorf("goroutine 1: %+v", gs)
	}
}

func checkSpecials(t *testing.T, r *Runtime, spans []Span, said report) {
	t.Helper()
	found := make(map[SpecialKind]int)
	var deepest int
	err := r.Specials(spans, func(s Special) error {
		found[s.Kind]++
		switch {
		case s.Kind == ProfileSpecial:
			stack, err := r.ProfileStack(s.Bucket)
			if err != nil {
				return err
			}
			deepest = max(deepest, len(stack))
		case s.Object == said.Cleaned && s.Kind == CleanupSpecial:
			found[100]++
			return r.verifyFunc(s.Func)
		case s.Object == said.Finalized && s.Kind == FinalizerSpecial:
			found[101]++
			return r.verifyFunc(s.Func)
		case s.Object == said.Weak && s.Kind == WeakSpecial:
			found[102]++
			if value, err := r.Uint64(s.Handle); err != nil || value != said.Weak {
				return fmt.Errorf("weak handle holds %#x: %v", value, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found[100] != 1 || found[101] != 1 || found[102] != 1 || found[ProfileSpecial] == 0 || deepest < 2 {
		t.Errorf("specials: %v, deepest stack %d", found, deepest)
	}
}

func checkQueues(t *testing.T, r *Runtime, said report) {
	t.Helper()
	words, err := r.Queued(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// A finalizer has four words, the types of its argument among them; a cleanup has one, since 1.26 three. One of each
	// runs.
	cleanup := uint64(1)
	if r.Minor >= 26 {
		cleanup = 3
	}
	if want := said.Queued*4 + 39*cleanup; uint64(len(words)) < want {
		t.Errorf("%d words are queued, want %d: %v", len(words), want, words)
	}
}
