//go:build linux && (amd64 || arm64)

package scan

import (
	"flag"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/gotype"
	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// long asks for the number of captures that is promised, rather than for a fast part of it.
var long = flag.Bool("long", false, "200 captures of a program that changes all the time")

// twin reads a frozen heap word by word, without any of the ways in which the pass is fast.
type twin struct {
	*testing.T
	*picture
	rt    *layout.Runtime
	types *gotype.Table
	all   []snapshot.Type

	pointers int
	dangling int // pointers of reached objects to slots that are not allocated
}

func newTwin(t *testing.T, process layout.Process) *twin {
	t.Helper()
	w := &twin{T: t, picture: scan(t, process, Options{})}
	var err error
	if w.rt, err = layout.Open(process); err != nil {
		t.Fatal(err)
	}
	if w.types, err = gotype.New(w.rt); err != nil {
		t.Fatal(err)
	}
	if err := w.types.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// compare compares all records.
func (w *twin) compare() {
	w.Helper()
	spans, err := w.rt.Spans(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	reached := w.reachedPrecisely()
	id := snapshot.ObjectID(0)
	for i := range spans {
		span := &spans[i]
		for slot := range span.Slots {
			if !span.Allocated(slot) {
				continue
			}
			if !span.NoScan {
				want := w.object(span, slot, reached[id])
				if !slices.Equal(w.edges[id], want) {
					w.Fatalf("object %d at %#x of %d bytes has pointers\n%+v, want\n%+v", id, span.Start+slot*span.ElemSize, span.ElemSize, w.edges[id], want)
				}
			} else if len(w.edges[id]) > 0 {
				w.Fatalf("object %d without pointers has %+v", id, w.edges[id])
			}
			id++
		}
	}
	if int(id) != len(w.edges) || w.pointers == 0 {
		w.Errorf("%d objects, want %d; %d pointers", len(w.edges), id, w.pointers)
	}
	if w.dangling > 0 {
		w.Errorf("%d of %d pointers of reached objects point to freed ones", w.dangling, w.pointers)
	}
}

// reachedPrecisely returns what is reached from roots that are known to be pointers to objects. In the allocator's own
// frames, where a thread was stopped, they point to an object that still has the words of the one before it.
func (w *twin) reachedPrecisely() []bool {
	precise := *w.picture
	precise.roots = slices.DeleteFunc(slices.Clone(w.roots), func(r snapshot.Root) bool {
		return r.Conservative || strings.HasPrefix(w.function(&r), "runtime.mallocgc")
	})
	reached, _ := precise.reached()
	return reached
}

// function returns the function whose frame a root is in.
func (w *twin) function(root *snapshot.Root) string {
	if root.Goroutine == 0 {
		return ""
	}
	return w.functions[w.goroutines[root.Goroutine-1].Frames[root.Frame].Func].Name
}

// object returns the edges of an object.
func (w *twin) object(span *layout.Span, slot uint64, reached bool) []snapshot.Edge {
	at := span.Start + slot*span.ElemSize
	pointer := make([]bool, span.ElemSize/wordSize)
	period := uint64(len(pointer)) // neighbours are looked for in the same element
	header := uint64(0)
	switch {
	case span.HeapBits != 0:
		for i := range pointer {
			bit := (at-span.Start)/wordSize + uint64(i)
			word := w.word(span.HeapBits + bit/64*8)
			pointer[i] = word>>(bit%64)&1 != 0
		}
	default:
		typeWord := span.Type
		if span.Header {
			typeWord, header = w.word(at), 1
		}
		if typeWord == 0 {
			return nil
		}
		id, err := w.types.ByAddress(typeWord)
		if err != nil && !reached {
			return nil // it is being made, and has what was there before
		}
		if err != nil {
			w.Fatalf("type of the object at %#x: %v", at, err)
		}
		w.all = w.types.Types()
		for w.all[id].Kind == snapshot.Array {
			id = w.all[id].Elem
		}
		period = w.all[id].Size / wordSize
		for base := header; base < uint64(len(pointer)); base += period {
			w.mark(pointer, base, id)
		}
	}
	var edges []snapshot.Edge
	for i := range pointer {
		if pointer[i] {
			w.edge(&edges, at, uint64(i), pointer, header, period, reached)
		}
	}
	return edges
}

// mark marks the pointers of a value that begins at a word, as far as there are words.
func (w *twin) mark(pointer []bool, at uint64, id snapshot.TypeID) {
	t := &w.all[id]
	switch {
	case t.PtrBytes == 0 || at >= uint64(len(pointer)):
	case t.Kind == snapshot.Struct:
		for _, f := range t.Fields {
			w.mark(pointer, at+f.Offset/wordSize, f.Type)
		}
	case t.Kind == snapshot.Array:
		for i := range t.Len {
			w.mark(pointer, at+i*w.all[t.Elem].Size/wordSize, t.Elem)
		}
	case t.Kind == snapshot.Interface:
		if at+1 < uint64(len(pointer)) {
			pointer[at+1] = true
		}
	default:
		pointer[at] = true
	}
}

// edge appends the edge of a pointer word.
func (w *twin) edge(edges *[]snapshot.Edge, object, i uint64, pointer []bool, header, period uint64, reached bool) {
	value := w.word(object + i*wordSize)
	w.pointers++
	target := w.find(value)
	if !target.ok {
		if reached && w.freed(value) {
			w.dangling++
			w.Logf("word %d of the object at %#x points to the freed slot at %#x", i, object, value)
		}
		return
	}
	edge := snapshot.Edge{Slot: i, Target: target.id, Offset: target.offset}
	defer func() { *edges = append(*edges, edge) }()
	first := header + (i-header)/period*period
	last := min(first+period, uint64(len(pointer)))
	if i > first && !pointer[i-1] {
		if id, ok := w.types.Dynamic(w.word(object + (i-1)*wordSize)); ok {
			edge.Evidence, edge.Type = snapshot.DynamicType, id
			return
		}
	}
	if size := target.span.ElemSize; size >= snapshot.PinBytes && i+1 < last && !pointer[i+1] {
		length := w.word(object + (i+1)*wordSize)
		if length > size {
			return
		}
		edge.Evidence, edge.Len = snapshot.Length, length
		if i+2 < last && !pointer[i+2] {
			if capacity := w.word(object + (i+2)*wordSize); capacity >= length && capacity <= size {
				edge.Cap = capacity
			}
		}
	}
}

// freed tells whether an address lies in a slot that is not allocated.
func (w *twin) freed(address uint64) bool {
	return slices.ContainsFunc(w.spans, func(s snapshot.Span) bool {
		return address >= s.Start && address < s.Start+s.ElemSize*uint64(s.Slots)
	})
}

func (w *twin) word(address uint64) uint64 {
	v, err := w.rt.Uint64(address)
	if err != nil {
		w.Fatal(err)
	}
	return v
}

// TestTwin compares the records of a whole heap.
func TestTwin(t *testing.T) {
	for _, arguments := range [][]string{nil, {"sessions", "20000"}} {
		newTwin(t, freeze(t, start(t, build(t), arguments...), capture.AttachOptions{})).compare()
	}
}

// TestChurn captures a program again and again that changes what it has and collects garbage all the time.
func TestChurn(t *testing.T) {
	captures := 3
	if *long {
		captures = 200
	}
	running := start(t, build(t), "churn")
	for i := range captures {
		captureOnce(t, running, capture.AttachOptions{NoFork: i%3 == 2, Deadline: time.Hour})
		if t.Failed() {
			t.Fatalf("in capture %d", i)
		}
	}
}

func captureOnce(t *testing.T, running *target, o capture.AttachOptions) {
	t.Helper()
	image, err := capture.Attach(t.Context(), running.Pid, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := image.Close(); err != nil {
			t.Error(err)
		}
	}()
	if !o.NoFork { // what is captured is a copy, so the program need not run while it is looked at
		signal(t, running, syscall.SIGSTOP)
		defer signal(t, running, syscall.SIGCONT) // before Close, which needs it
	}
	newTwin(t, image.Process).compare()
}

func signal(t *testing.T, running *target, s syscall.Signal) {
	t.Helper()
	if err := running.Signal(s); err != nil {
		t.Error(err)
	}
}
