package scan

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/memwarden/memwarden/heap/functab"
	"github.com/memwarden/memwarden/heap/gotype"
	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/sorting"
)

// roots collects what keeps objects alive without being one. It reads the frozen memory in collect; names, which come
// from debug information, are given afterwards, when the memory may be gone.
type roots struct {
	rt        *layout.Runtime
	types     *gotype.Table
	functions *functions
	index     *index
	edges     edges

	segments   []foundSegment
	goroutines []snapshot.Goroutine
	frames     []foundFrame
	specials   []snapshot.Root
	handles    snapshot.Root // of weak pointers
	weak       []snapshot.Weak
	sampled    []snapshot.Sampled
	stacks     *stacks
	allocated  *allocations
	warnings   []string
}

// foundSegment is a data segment with its pointers into the heap.
type foundSegment struct {
	name  string
	start uint64
	words []foundWord
}

// foundWord is a word outside the heap that points into it. The edge's slot is not set.
type foundWord struct {
	address uint64
	edge    snapshot.Edge
}

// foundFrame is a frame of a goroutine's stack with its pointers into the heap.
type foundFrame struct {
	goroutine, frame uint32 // as in snapshot.Root
	kind             snapshot.RootKind
	what             functab.FrameKind
	entry, pc        uint64 // of the function, 0 if unknown
	base, cfa        uint64 // stack pointer in the frame, and in the caller before the call
	conservative     bool
	name             string // of the function
	words            []foundWord
}

// segmentBytes is how much of a data segment is read at a time.
const segmentBytes = 1 << 20

// collect reads all roots from the frozen memory.
func (r *roots) collect(ctx context.Context, spans []layout.Span) error {
	for i := range r.rt.Modules {
		m := &r.rt.Modules[i]
		for _, segment := range []struct {
			name string
			at   layout.Range
			mask uint64
		}{{"data", m.Data, m.DataMask}, {"bss", m.BSS, m.BSSMask}} {
			found, err := r.segment(segment.at, segment.mask)
			if err != nil {
				return fmt.Errorf("scan: read the %s segment: %w", segment.name, err)
			}
			r.segments = append(r.segments, foundSegment{segment.name, segment.at.Start, found})
		}
	}
	if err := r.collectGoroutines(ctx); err != nil {
		return err
	}
	if err := r.collectSpecials(spans); err != nil {
		return err
	}
	return r.collectQueued(ctx)
}

// segment finds the pointers into the heap in a data segment. The mask has a bit for each word.
func (r *roots) segment(at layout.Range, mask uint64) ([]foundWord, error) {
	if at.Start >= at.End || mask == 0 {
		return nil, nil
	}
	var found []foundWord
	bitmap := make([]byte, (at.End-at.Start)/wordSize/8+1)
	if err := r.rt.Read(mask, bitmap[:((at.End-at.Start)/wordSize+7)/8]); err != nil {
		return nil, fmt.Errorf("pointer mask: %w", err)
	}
	pointer := func(word int) bool { return bitmap[word/8]>>(word%8)&1 != 0 }
	data := make([]byte, at.End-at.Start)
	for from := 0; from < len(data); from += segmentBytes {
		if err := r.rt.Read(at.Start+uint64(from), data[from:min(from+segmentBytes, len(data))]); err != nil {
			return nil, err
		}
	}
	words := len(data) / wordSize
	for word := range words {
		if !pointer(word) {
			continue
		}
		beside := neighbours{before: word > 0 && !pointer(word-1)}
		for beside.after < 2 && word+1+int(beside.after) < words && !pointer(word+1+int(beside.after)) {
			beside.after++
		}
		if edge, ok := r.edges.at(data, word, beside); ok {
			found = append(found, foundWord{at.Start + uint64(word)*wordSize, edge})
		}
	}
	return found, nil
}

// collectGoroutines unwinds every stack.
func (r *roots) collectGoroutines(ctx context.Context) error {
	gs, err := r.rt.Goroutines(ctx)
	if err != nil {
		return err
	}
	r.goroutines = make([]snapshot.Goroutine, 0, len(gs))
	for i := range gs {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		g := &gs[i]
		r.goroutines = append(r.goroutines, snapshot.Goroutine{ID: g.ID, State: g.State, CreatedBy: r.functions.containing(g.GoPC)})
		if err := r.functions.table.Unwind(*g, func(f functab.Frame) error { r.frame(f); return nil }); err != nil {
			return fmt.Errorf("scan: stack of goroutine %d: %w", g.ID, err)
		}
	}
	return nil
}

// frame notes a frame of the goroutine that was added last.
func (r *roots) frame(f functab.Frame) {
	g := &r.goroutines[len(r.goroutines)-1]
	found := foundFrame{
		goroutine: uint32(len(r.goroutines)), kind: snapshot.StackRoot, what: f.Kind,
		entry: f.Func.Entry, pc: f.PC, base: f.SP, cfa: f.CFA, conservative: f.Conservative, name: f.Func.Name,
	}
	switch f.Kind {
	case functab.Registers:
		found.kind = snapshot.Register
	case functab.Deferred:
		found.kind = snapshot.Deferred
	}
	if f.PC != 0 {
		g.Frames = r.functions.frames(g.Frames, f.PC)
	}
	for _, word := range f.Words {
		if edge, ok := r.stackWord(word); ok {
			found.words = append(found.words, foundWord{word.Addr, edge})
		}
	}
	if len(found.words) == 0 {
		return
	}
	if len(g.Frames) == 0 {
		g.Frames = append(g.Frames, snapshot.Frame{}) // the stack could not be unwound
	}
	// Of calls that were inlined into the function, it is the outermost frame that holds the variables. What lies in no
	// frame goes with the last one.
	found.frame = uint32(len(g.Frames) - 1)
	r.frames = append(r.frames, found)
}

// stackWord returns the edge of a word on a stack, with what the words beside it say: whether that is so depends on the
// variable, which is known later.
func (r *roots) stackWord(word functab.Word) (snapshot.Edge, bool) {
	if !r.index.inHeap(word.Value) {
		return snapshot.Edge{}, false
	}
	var window [4 * wordSize]byte
	at, beside := 0, neighbours{}
	if word.Addr != 0 {
		// Words in registers have no neighbours; those at the end of a stack may have no readable ones.
		if err := r.rt.Read(word.Addr-wordSize, window[:]); err == nil {
			at, beside = 1, neighbours{before: true, after: 2}
		}
	}
	binary.LittleEndian.PutUint64(window[at*wordSize:], word.Value)
	return r.edges.at(window[:], at, beside)
}

// collectSpecials reads what is attached to objects: finalizers, cleanups, weak handles, and where sampled objects
// were allocated.
func (r *roots) collectSpecials(spans []layout.Span) error {
	return r.rt.Specials(spans, func(s layout.Special) error {
		id, _, what := r.index.find(s.Object)
		if what != object {
			return nil
		}
		switch s.Kind {
		case layout.FinalizerSpecial:
			r.special(snapshot.Finalizer, "finalizer", id, s.Func)
		case layout.CleanupSpecial:
			r.special(snapshot.Cleanup, "cleanup", id, s.Func, s.Arg, s.Adapter)
		case layout.WeakSpecial:
			r.weak = append(r.weak, snapshot.Weak{Object: id})
			r.handle(s.Handle)
		case layout.ProfileSpecial:
			pcs, err := r.rt.ProfileStack(s.Bucket)
			if err != nil {
				return fmt.Errorf("scan: allocation stack of the object at %#x: %w", s.Object, err)
			}
			sampled := snapshot.Sampled{Object: id, Stack: r.stacks.id(pcs)}
			if typ := r.allocated.typeOf(pcs); r.allocated.fits(typ, &spans[s.Span]) {
				sampled.Type = typ
			}
			r.sampled = append(r.sampled, sampled)
		}
		return nil
	})
}

// special notes a root of a kind with the objects that some words point to.
func (r *roots) special(kind snapshot.RootKind, name string, owner snapshot.ObjectID, words ...uint64) {
	root := snapshot.Root{Kind: kind, Name: name, Object: owner}
	for i, word := range words {
		if target, offset, what := r.index.find(word); what == object {
			root.Edges = append(root.Edges, snapshot.Edge{Slot: uint64(i), Target: target, Offset: offset})
		}
	}
	r.specials = append(r.specials, root)
}

// handle notes what weak pointers to an object share: it lives as long as the object.
func (r *roots) handle(word uint64) {
	if target, offset, what := r.index.find(word); what == object {
		r.handles.Edges = append(r.handles.Edges, snapshot.Edge{Slot: uint64(len(r.handles.Edges)), Target: target, Offset: offset})
	}
}

// collectQueued reads the finalizers and cleanups that wait to be run.
func (r *roots) collectQueued(ctx context.Context) error {
	words, err := r.rt.Queued(ctx)
	if err != nil {
		r.warnings = append(r.warnings, fmt.Sprintf("the queue of finalizers and cleanups could not be read (%v): what only it holds counts as garbage", err))
		return nil
	}
	root := snapshot.Root{Kind: snapshot.Queued, Name: "finalizers and cleanups waiting to run"}
	for _, word := range words {
		if target, offset, what := r.index.find(word.Value); what == object {
			root.Edges = append(root.Edges, snapshot.Edge{Slot: uint64(len(root.Edges)), Target: target, Offset: offset})
		}
	}
	if len(root.Edges) > 0 {
		r.specials = append(r.specials, root)
	}
	return nil
}

// named gives the roots their names and types, for which it reads the executable alone.
func (r *roots) named(ctx context.Context) ([]snapshot.Root, error) {
	globals, err := r.types.Globals(ctx)
	if err != nil {
		r.warnings = append(r.warnings, fmt.Sprintf("the names of global variables could not be read: %v", err))
	}
	sorting.By(globals, func(a, b gotype.Variable) int {
		if a.Addr < b.Addr {
			return -1
		}
		return 1
	})
	var all []snapshot.Root
	for _, segment := range r.segments {
		all = append(all, nameSegment(segment, globals)...)
	}
	for i := range r.frames {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		all = append(all, r.nameFrame(&r.frames[i])...)
	}
	if len(r.handles.Edges) > 0 {
		r.handles.Kind, r.handles.Name = snapshot.OtherRoot, "handles of weak pointers"
		all = append(all, r.handles)
	}
	return append(all, r.specials...), nil
}

// nameSegment makes a root of each variable with pointers into the heap, and of each word that belongs to none.
func nameSegment(segment foundSegment, globals []gotype.Variable) []snapshot.Root {
	var all []snapshot.Root
	current := -1 // of globals: the one that the last root is of
	next := 0
	for _, word := range segment.words {
		for next < len(globals) && globals[next].Addr+globals[next].Size <= word.address {
			next++
		}
		edge := word.edge
		if next == len(globals) || word.address < globals[next].Addr {
			name := fmt.Sprintf("%s+%#x", segment.name, word.address-segment.start)
			all = append(all, snapshot.Root{Kind: snapshot.Global, Name: name, Edges: []snapshot.Edge{edge}})
			continue
		}
		g := &globals[next]
		if current != next {
			current = next
			all = append(all, snapshot.Root{Kind: snapshot.Global, Name: g.Name, Type: g.Type})
		}
		edge.Slot = (word.address - g.Addr) / wordSize
		root := &all[len(all)-1]
		root.Edges = append(root.Edges, edge)
	}
	return all
}

// nameFrame makes a root of each variable in a frame, and one of the words that belong to none.
func (r *roots) nameFrame(f *foundFrame) []snapshot.Root {
	var locals []gotype.Local
	if f.entry != 0 && !f.conservative {
		var err error
		if locals, err = r.types.Locals(f.entry, f.pc); err != nil {
			r.warnings = append(r.warnings, fmt.Sprintf("the variables of %s could not be read: %v", f.name, err))
		}
	}
	root := func(name string, id snapshot.TypeID) snapshot.Root {
		return snapshot.Root{
			Kind: f.kind, Name: name, Type: id, Conservative: f.conservative, Goroutine: f.goroutine, Frame: f.frame,
		}
	}
	unnamed := root("", 0)
	named := make(map[int]*snapshot.Root)
	var order []int
	for _, word := range f.words {
		edge := word.edge
		at := int64(word.address - f.cfa)
		i := slices.IndexFunc(locals, func(l gotype.Local) bool { return at >= l.Offset && at < l.Offset+int64(l.Size) })
		if i < 0 {
			edge.Slot = uint64(len(unnamed.Edges))
			if word.address >= f.base && f.base != 0 {
				edge.Slot = (word.address - f.base) / wordSize
			}
			// A dead variable beside the word may look like a type or a length.
			edge.Evidence, edge.Type, edge.Len, edge.Cap = snapshot.NoEvidence, 0, 0, 0
			unnamed.Edges = append(unnamed.Edges, edge)
			continue
		}
		if named[i] == nil {
			local := root(locals[i].Name, locals[i].Type)
			named[i] = &local
			order = append(order, i)
		}
		edge.Slot = (locals[i].Start + uint64(at-locals[i].Offset)) / wordSize
		named[i].Edges = append(named[i].Edges, edge)
	}
	var all []snapshot.Root
	for _, i := range order {
		all = append(all, *named[i])
	}
	if len(unnamed.Edges) > 0 {
		unnamed.Name = unnamedWords(f)
		all = append(all, unnamed)
	}
	return all
}

// unnamedWords is what words of a frame are called that belong to no known variable.
func unnamedWords(f *foundFrame) string {
	if f.what != functab.Call || f.name == "" {
		return f.what.String()
	}
	return "stack of " + f.name
}
