//go:build linux && (amd64 || arm64)

package scan

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// TestWrite holds snapshots of a program against what it says that it holds.
func TestWrite(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings []string
		options  capture.AttachOptions
	}{
		{"default", nil, capture.AttachOptions{}},
		{"stripped", []string{"-ldflags=-s -w"}, capture.AttachOptions{}},
		{"position independent, stopped", []string{"-buildmode=pie"}, capture.AttachOptions{NoFork: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			running := start(t, build(t, test.settings...))
			process := freeze(t, running, test.options)
			c := &check{t, scan(t, process, Options{Header: snapshot.Header{PID: int64(running.Pid)}}), running}
			if c.header.ContainsDWARF != (test.name != "stripped") || c.header.PID != int64(running.Pid) ||
				c.header.GoVersion != runtime.Version() || c.header.OS != "linux" || c.header.Arch != runtime.GOARCH {
				t.Errorf("header %+v", c.header)
			}
			c.summaryAdds()
			c.objects()
			want := c.expected()
			c.elements("nodes", nodesLen, 8, want.nodeEdges)
			c.elements("odds", oddLen, 24, want.oddEdges)
			c.elements("oddArray", oddLen, 24, want.oddEdges)
			c.elements("mixed", mixedLen, 56, want.mixedEdges)
			c.special()
			c.closures(c.header.ContainsDWARF)
			c.allocated()
			if c.header.ContainsDWARF {
				c.names()
			}
		})
	}
}

// What testdata/target has.
const (
	listLen  = 20_000
	oddLen   = 100_000
	mixedLen = 84_000
	nodesLen = 300_000
)

// check compares a snapshot with what the target says.
type check struct {
	*testing.T
	*picture
	target *target
}

// named returns the object that the target calls by a name.
func (c *check) named(name string) place {
	c.Helper()
	at, known := c.target.at[name]
	p := c.find(at)
	if !known || !p.ok {
		c.Fatalf("no object %q at %#x", name, at)
	}
	return p
}

// slots returns an object's edges as text: "0>list 1>list.text".
func (c *check) slots(id snapshot.ObjectID, targets ...string) string {
	c.Helper()
	names := make(map[snapshot.ObjectID]string)
	for _, name := range targets {
		names[c.named(name).id] = name
	}
	var all []string
	for _, e := range c.edges[id] {
		text := fmt.Sprintf("%d>%s", e.Slot, names[e.Target])
		if e.Offset != 0 {
			text += fmt.Sprintf("+%d", e.Offset)
		}
		switch e.Evidence {
		case snapshot.DynamicType:
			text += " is " + c.types[e.Type].Name
		case snapshot.Length:
			text += fmt.Sprintf(" of %d, %d", e.Len, e.Cap)
		case snapshot.NoEvidence:
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func (c *check) summaryAdds() {
	reached, total := c.reached()
	marked := float64(c.target.marked)
	if ratio := float64(total) / float64(c.summary.RuntimeLiveBytes); ratio < 0.99 || ratio > 1.01 {
		c.Errorf("%d bytes reached, %d marked", total, c.summary.RuntimeLiveBytes)
	}
	if ratio := float64(c.summary.RuntimeLiveBytes) / marked; ratio < 0.99 || ratio > 1.01 {
		c.Errorf("%d bytes marked by the summary, %.0f by the program", c.summary.RuntimeLiveBytes, marked)
	}
	bytes := uint64(0)
	for i := range c.spans {
		bytes += uint64(c.first[i+1]-c.first[i]) * c.spans[i].ElemSize
	}
	if bytes != c.summary.AllocatedBytes || c.summary.StackBytes == 0 || c.summary.GCCycles == 0 {
		c.Errorf("%d bytes in spans; summary %+v", bytes, c.summary)
	}
	if reached[c.named("finalized.next").id] != true {
		c.Error("what a finalizer keeps is not reached")
	}
}

func (c *check) objects() {
	list := c.named("list")
	at, n := list.id, 1
	for ; len(c.edges[at]) > 0; n++ {
		edge := c.edges[at][0]
		if edge.Slot != 0 || edge.Offset != 0 || n > 1 && len(c.edges[at]) != 1 {
			c.Fatalf("node %d has edges %+v", n, c.edges[at])
		}
		at = edge.Target
	}
	if n != listLen || list.span.ElemSize != 48 {
		c.Errorf("a list of %d nodes of %d bytes, want %d of 48", n, list.span.ElemSize, listLen)
	}
	if mask := c.shapes[c.shape[list.id]].Mask; len(mask) != 1 || mask[0] != 3 {
		c.Errorf("a node has the pointers %b", mask)
	}
	for _, test := range []struct{ object, want string }{
		{"list", "0>; 1>list.text of 300, 512"},
		// A header of one word, then the struct of 81.
		{"wide", "1>node; 78>node is *main.Node; 79>wide.name of 600, 0"},
		{"box", "1>node is *main.Node; 3>failed is *main.failure"},
		{"failed", "0>node"},
	} {
		p := c.named(test.object)
		if got := c.slots(p.id, "node", "failed", "wide.name", "list.text"); got != test.want {
			c.Errorf("%s points to %q, want %q", test.object, got, test.want)
		}
	}
	wide := c.named("wide")
	if !wide.span.Header || wide.offset != headerBytes || c.types[c.shapes[c.shape[wide.id]].Type].Name != "main.Wide" {
		c.Errorf("wide is %+v of shape %+v", wide.span, c.shapes[c.shape[wide.id]])
	}
	wides := c.named("wides")
	if n := len(c.edges[wides.id]); n != 3*40 || c.types[c.shapes[c.shape[wides.id]].Type].Name != "main.Mixed" {
		c.Errorf("wides has %d pointers, want 120; shape %+v", n, c.shapes[c.shape[wides.id]])
	}
	coarse := c.named("coarse")
	if !coarse.span.NoScan || coarse.span.ElemSize != 3<<20 || len(c.edges[coarse.id]) != 0 || coarse.offset != 0 {
		c.Errorf("coarse is %+v with %d edges", coarse.span, len(c.edges[coarse.id]))
	}
	if c.continued < 2+2+2+4 {
		c.Errorf("%d blocks of %d go on with a record", c.continued, c.blocks)
	}
}

// elements compares the edges of a large object, all of them, with what its elements hold.
func (c *check) elements(name string, n, size uint64, element func(i uint64) []snapshot.Edge) {
	c.Helper()
	object := c.named(name)
	got := c.edges[object.id]
	if object.span.ElemSize <= 2*unitBytes {
		c.Fatalf("%s has only %d bytes", name, object.span.ElemSize)
	}
	at := 0
	for i := range n {
		for _, e := range element(i) {
			e.Slot += i * size / wordSize
			if at == len(got) || got[at] != e {
				c.Fatalf("%s: pointer %d of %d is not %+v, but %+v", name, at, len(got), e, got[at:min(at+1, len(got))])
			}
			at++
		}
	}
	if at != len(got) {
		c.Fatalf("%s has %d pointers, want %d", name, len(got), at)
	}
}

// expected makes the edges that the elements of the target's large objects have. What it asks the snapshot for, it asks
// once: there are hundreds of thousands of elements.
type expected struct {
	keeper      []snapshot.Edge
	other, text place
	node, wide  snapshot.TypeID // of pointers to them
}

func (c *check) expected() *expected {
	c.Helper()
	return &expected{
		keeper: c.edges[c.named("keeper").id], other: c.named("mixed.other"), text: c.named("mixed.text"),
		node: c.typeNamed("*main.Node"), wide: c.typeNamed("*main.Wide"),
	}
}

func (x *expected) nodeEdges(i uint64) []snapshot.Edge {
	if i%3 == 0 {
		return nil
	}
	return []snapshot.Edge{{Target: x.keeper[i%100].Target}}
}

func (x *expected) oddEdges(i uint64) []snapshot.Edge {
	return []snapshot.Edge{{Slot: 1, Target: x.keeper[i%100].Target}}
}

func (x *expected) mixedEdges(i uint64) []snapshot.Edge {
	value := snapshot.Edge{Slot: 1, Evidence: snapshot.DynamicType, Target: x.keeper[i%100].Target, Type: x.node}
	if i%2 != 0 {
		value.Target, value.Offset, value.Type = x.other.id, x.other.offset, x.wide
	}
	return []snapshot.Edge{value, {Slot: 2, Target: x.keeper[(i+1)%100].Target}, {
		Slot: 3, Target: x.text.id, Offset: x.text.offset + i%1000, Evidence: snapshot.Length, Len: i % 500, Cap: 600,
	}}
}

func (c *check) typeNamed(name string) snapshot.TypeID {
	c.Helper()
	id := slices.IndexFunc(c.types, func(t snapshot.Type) bool { return t.Name == name && !t.DebugOnly })
	if id < 0 {
		c.Fatalf("no type %s", name)
	}
	return snapshot.TypeID(id)
}

// rootOf returns the roots of a kind that point to an object.
func (c *check) rootOf(kind snapshot.RootKind, id snapshot.ObjectID) []snapshot.Root {
	var found []snapshot.Root
	for _, root := range c.roots {
		if root.Kind == kind && slices.ContainsFunc(root.Edges, func(e snapshot.Edge) bool { return e.Target == id }) {
			found = append(found, root)
		}
	}
	return found
}

// special looks for what is not a variable.
func (c *check) special() {
	finalized := c.named("finalized").id
	if !slices.ContainsFunc(c.roots, func(r snapshot.Root) bool { return r.Kind == snapshot.Finalizer && r.Object == finalized }) {
		c.Error("the finalizer is missing")
	}
	// Since Go 1.26 the argument is in a box of its own; before, the closure has it.
	cleaned, argument := c.named("cleaned").id, c.named("argument").id
	if !slices.ContainsFunc(c.roots, func(r snapshot.Root) bool {
		return r.Kind == snapshot.Cleanup && r.Object == cleaned && c.leads(r.Edges, argument)
	}) {
		c.Error("no cleanup holds its argument")
	}
	node := c.named("node").id
	if !slices.Contains(c.weak, snapshot.Weak{Object: node}) {
		c.Error("the weak pointer is missing")
	}
	if !slices.ContainsFunc(c.roots, func(r snapshot.Root) bool { return r.Name == "handles of weak pointers" && len(r.Edges) > 0 }) {
		c.Error("the handles of weak pointers are missing")
	}
	reached, _ := c.reached()
	for _, name := range []string{"timed", "deferred", "local", "argument", "captured"} {
		if !reached[c.named(name).id] {
			c.Errorf("%s is not reached", name)
		}
	}
	deferred := c.named("deferred").id
	if !slices.ContainsFunc(c.roots, func(r snapshot.Root) bool { return r.Goroutine != 0 && c.leads(r.Edges, deferred) }) {
		c.Error("no root of a goroutine leads to the deferred calls")
	}
}

// leads tells whether one of the edges is to an object that has an edge to another.
func (c *check) leads(edges []snapshot.Edge, to snapshot.ObjectID) bool {
	return slices.ContainsFunc(edges, func(e snapshot.Edge) bool {
		return slices.ContainsFunc(c.edges[e.Target], func(e snapshot.Edge) bool { return e.Target == to })
	})
}

// closures looks at the closure in main.call.
func (c *check) closures(debug bool) {
	call := c.named("call.object")
	function := c.functions[c.closure[call.id]]
	if function.Name != "main.capture.func1" || !strings.HasSuffix(function.File, "main.go") || function.Line == 0 {
		c.Errorf("the closure is of %+v", function)
	}
	if got := c.slots(call.id, "captured"); got != "2>captured" && got != "1>captured" {
		c.Errorf("the closure points to %q", got)
	}
	if !debug {
		return
	}
	var captured []string
	for _, f := range c.types[function.Closure].Fields {
		captured = append(captured, f.Name+" "+c.types[f.Type].Name)
	}
	if slices.Sort(captured); !slices.Equal(captured, []string{"n int", "node *main.Node"}) {
		c.Errorf("the closure captures %q", captured)
	}
}

// allocated looks at where a sampled object was allocated.
func (c *check) allocated() {
	id := c.named("sampled").id
	i := slices.IndexFunc(c.sampled, func(s snapshot.Sampled) bool { return s.Object == id })
	if i < 0 {
		c.Fatal("the sampled object is missing")
	}
	var names []string
	for _, frame := range c.stacks[c.sampled[i].Stack].Frames {
		if name := c.functions[frame.Func].Name; strings.HasPrefix(name, "main.") {
			names = append(names, name)
			if frame.Line == 0 {
				c.Errorf("%s has no line", name)
			}
		}
	}
	if want := []string{"main.inlined", "main.allocate", "main.fill", "main.main"}; !slices.Equal(names, want) {
		c.Errorf("allocated in %q, want %q", names, want)
	}
}

// names looks for the names of variables.
func (c *check) names() {
	for _, test := range []struct{ name, typ, holds string }{
		{"main.list", "*main.Node", "0>list"},
		{"main.wide", "*main.Wide", "0>wide+8"},
		{"main.mixed", "[]main.Mixed", fmt.Sprintf("0>mixed of %d, %d", mixedLen, mixedLen)},
		{"main.coarse", "[]uint8", fmt.Sprintf("0>coarse of %d, %d", 3<<20, 3<<20)},
		{"main.call", "func() int", "0>call.object"},
	} {
		i := slices.IndexFunc(c.roots, func(r snapshot.Root) bool { return r.Kind == snapshot.Global && r.Name == test.name })
		if i < 0 {
			c.Errorf("%s is missing", test.name)
			continue
		}
		root := &c.roots[i]
		c.edges = append(c.edges, root.Edges) // for slots: an object of its own
		got := c.slots(snapshot.ObjectID(len(c.edges)-1), "list", "wide", "mixed", "coarse", "call.object")
		if got != test.holds || c.types[root.Type].Name != test.typ {
			c.Errorf("%s of type %s holds %q, want %q", test.name, c.types[root.Type].Name, got, test.holds)
		}
	}
	roots := c.rootOf(snapshot.StackRoot, c.named("local").id)
	i := slices.IndexFunc(roots, func(r snapshot.Root) bool { return r.Name == "local" })
	if i < 0 {
		c.Fatalf("main.wait's local is held by %+v", roots)
	}
	g := c.goroutines[roots[i].Goroutine-1]
	frame := c.functions[g.Frames[roots[i].Frame].Func]
	if c.types[roots[i].Type].Name != "*main.Node" || frame.Name != "main.wait" || g.State != "sleep" ||
		c.functions[g.CreatedBy].Name != "main.fill" {
		c.Errorf("local %+v in %s, goroutine %s by %s", roots[i], frame.Name, g.State, c.functions[g.CreatedBy].Name)
	}
}

// TestSelf takes a snapshot of the test itself, which goes on meanwhile.
func TestSelf(t *testing.T) {
	type link struct {
		next *link
		n    [4]int
	}
	head := &link{next: &link{}}
	child, err := capture.Self(t.Context(), capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	process, err := child.Process()
	if err != nil {
		t.Fatal(err)
	}
	p := scan(t, process, Options{Workers: 1})
	at := p.find(uint64(reflect.ValueOf(head).Pointer()))
	next := p.find(uint64(reflect.ValueOf(head.next).Pointer()))
	if !at.ok || !next.ok || len(p.edges[at.id]) != 1 || p.edges[at.id][0].Target != next.id {
		t.Errorf("a pointer from %+v to %+v is %+v", at, next, p.edges[at.id])
	}
	reached, _ := p.reached()
	if !reached[at.id] || !reached[next.id] {
		t.Error("a variable of the goroutine that forked is not reached")
	}
	runtime.KeepAlive(head)
}

// TestWorkers writes the same bytes whatever the number of workers.
func TestWorkers(t *testing.T) {
	process := freeze(t, start(t, build(t)), capture.AttachOptions{})
	var files [3]bytes.Buffer
	for i, workers := range []int{1, 4, 0} {
		if _, err := Write(t.Context(), process, &files[i], Options{Workers: workers}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0].Bytes(), files[1].Bytes()) || !bytes.Equal(files[0].Bytes(), files[2].Bytes()) {
		t.Error("one, two and four workers write different bytes")
	}
}

// TestWithoutType reads an object of 2 MiB that is being made: the runtime has not noted its type.
func TestWithoutType(t *testing.T) {
	running := start(t, build(t))
	process := freeze(t, running, capture.AttachOptions{})
	var file bytes.Buffer
	s, err := open(t.Context(), process)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.spans {
		if span := &s.spans[i]; span.Start == running.at["odds"] {
			span.Type = 0
		} else if span.Start == running.at["nodes"] {
			span.Type = span.Start // no descriptor
		}
	}
	if s.out, err = snapshot.NewWriter(&file, snapshot.Header{}); err != nil {
		t.Fatal(err)
	}
	if err := s.read(t.Context(), Options{Workers: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.finish(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	c := &check{t, load(t, file.Bytes()), running}
	for _, name := range []string{"odds", "nodes"} {
		if id := c.named(name).id; c.shape[id] != 0 || len(c.edges[id]) != 0 {
			t.Errorf("%s has shape %d and %d pointers", name, c.shape[id], len(c.edges[id]))
		}
	}
	c.elements("mixed", mixedLen, 56, c.expected().mixedEdges)
	if !slices.ContainsFunc(c.summary.Warnings, func(w string) bool { return strings.Contains(w, "no readable type word") }) {
		t.Errorf("warnings %q", c.summary.Warnings)
	}
}
