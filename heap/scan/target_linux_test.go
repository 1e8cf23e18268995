//go:build linux && (amd64 || arm64)

package scan

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/testprogram"
)

// build builds the program in testdata.
func build(t testing.TB, settings ...string) string {
	t.Helper()
	return testprogram.Build(t, filepath.Join("testdata", "target"), "", settings...)
}

// target is the program in testdata while it waits.
type target struct {
	*os.Process
	at     map[string]uint64 // addresses of what it holds
	marked uint64            // bytes that its last collection left
}

// start runs the program until it has said what it holds. It ends with the test.
func start(t testing.TB, path string, arguments ...string) *target {
	t.Helper()
	cmd := exec.Command(path, arguments...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the target after its snapshot: %v\n%s", err, problems.Bytes())
		}
	})
	p := &target{Process: cmd.Process}
	decoder := json.NewDecoder(bufio.NewReader(out))
	for _, part := range []any{&p.at, &p.marked} {
		if err := decoder.Decode(part); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, problems.Bytes())
		}
	}
	return p
}

// freeze captures a process until the test ends.
func freeze(t testing.TB, p *target, o capture.AttachOptions) layout.Process {
	t.Helper()
	if o.Deadline == 0 {
		o.Deadline = time.Hour // the target waits for the test, and the test may be slow
	}
	image, err := capture.Attach(t.Context(), p.Pid, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := image.Close(); err != nil {
			t.Error(err)
		}
	})
	return image.Process
}

// countingWriter counts what it throws away.
type countingWriter struct{ n int64 }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return len(p), nil
}

// picture is a snapshot in memory.
type picture struct {
	header     snapshot.Header
	summary    snapshot.Summary
	spans      []snapshot.Span
	first      []snapshot.ObjectID
	types      []snapshot.Type
	functions  []snapshot.Function
	shapes     []snapshot.Shape
	stacks     []snapshot.Stack
	goroutines []snapshot.Goroutine
	roots      []snapshot.Root
	weak       []snapshot.Weak
	sampled    []snapshot.Sampled
	blocks     int
	continued  int
	shape      []snapshot.ShapeID // of each object
	closure    []snapshot.FuncID
	edges      [][]snapshot.Edge
}

// scan writes the snapshot of a process and reads it.
func scan(t testing.TB, p layout.Process, o Options) *picture {
	t.Helper()
	var file bytes.Buffer
	summary, err := Write(t.Context(), p, &file, o)
	if err != nil {
		t.Fatal(err)
	}
	read := load(t, file.Bytes())
	if got := read.summary; got.Objects != summary.Objects || got.Edges != summary.Edges || got.AllocatedBytes != summary.AllocatedBytes {
		t.Errorf("returned %+v, written %+v", summary, got)
	}
	return read
}

func load(t testing.TB, file []byte) *picture {
	t.Helper()
	r, err := snapshot.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	p := &picture{header: r.Header(), summary: r.Summary(), blocks: r.Totals().Blocks}
	n := r.Totals().Objects
	p.shape, p.closure, p.edges = make([]snapshot.ShapeID, n), make([]snapshot.FuncID, n), make([][]snapshot.Edge, n)
	var problems [9]error
	p.spans, problems[0] = r.Spans()
	p.first, problems[1] = r.FirstObjects()
	p.types, problems[2] = r.Types()
	p.functions, problems[3] = r.Functions()
	p.shapes, problems[4] = r.Shapes()
	p.stacks, problems[5] = r.Stacks()
	p.goroutines, problems[6] = r.Goroutines()
	p.weak, problems[7] = r.Weak()
	p.sampled, problems[8] = r.Sampled()
	if err := errors.Join(problems[:]...); err != nil {
		t.Fatal(err)
	}
	if p.roots, err = r.Roots(); err != nil {
		t.Fatal(err)
	}
	for i := range p.blocks {
		c, err := r.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		for {
			shape, closure, ok := c.Object()
			if !ok {
				break
			}
			id := c.ID()
			if c.Continued() {
				p.continued++
			} else {
				p.shape[id], p.closure[id] = shape, closure
			}
			for e := (snapshot.Edge{}); c.Edge(&e); {
				p.edges[id] = append(p.edges[id], e)
			}
		}
		if err := c.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// place is an object, and where in it.
type place struct {
	id     snapshot.ObjectID
	offset uint64
	span   *snapshot.Span
	ok     bool
}

// find returns what lies at an address, by a search that is simpler than the index's.
func (p *picture) find(address uint64) place {
	i := sort.Search(len(p.spans), func(i int) bool { return p.spans[i].Start > address }) - 1
	if i < 0 || address >= p.spans[i].Start+p.spans[i].Pages*pageSize {
		return place{}
	}
	span := &p.spans[i]
	slot := (address - span.Start) / span.ElemSize
	if slot >= uint64(span.Slots) || span.Live[slot/64]>>(slot%64)&1 == 0 {
		return place{}
	}
	id := p.first[i] + snapshot.ObjectID(bits.OnesCount64(span.Live[slot/64]&(1<<(slot%64)-1)))
	for _, word := range span.Live[:slot/64] {
		id += snapshot.ObjectID(bits.OnesCount64(word))
	}
	return place{id, (address - span.Start) % span.ElemSize, span, true}
}

// reached returns the objects that the roots reach, and their bytes.
func (p *picture) reached() (reached []bool, total uint64) {
	reached = make([]bool, len(p.edges))
	var queue []snapshot.ObjectID
	add := func(edges []snapshot.Edge) {
		for _, e := range edges {
			if !reached[e.Target] {
				reached[e.Target] = true
				queue = append(queue, e.Target)
			}
		}
	}
	for _, root := range p.roots {
		add(root.Edges)
		if root.Kind == snapshot.Finalizer {
			add(p.edges[root.Object]) // what the object reaches is kept, though the object is not
		}
	}
	for len(queue) > 0 {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		add(p.edges[id])
	}
	for i := range p.spans {
		for id := p.first[i]; id < p.first[i+1]; id++ {
			if reached[id] {
				total += p.spans[i].ElemSize
			}
		}
	}
	return reached, total
}
