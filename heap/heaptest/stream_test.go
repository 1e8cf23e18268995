package heaptest

import (
	"bytes"
	"io"
	"testing"

	"github.com/memwarden/memwarden/heap/snapshot"
)

func open(t *testing.T, data []byte) *snapshot.Reader {
	t.Helper()
	r, err := snapshot.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reach follows the edges from the roots.
func (l *loaded) reach() map[snapshot.ObjectID]int {
	depth := make(map[snapshot.ObjectID]int)
	var queue []snapshot.ObjectID
	visit := func(id snapshot.ObjectID, d int) {
		if _, seen := depth[id]; !seen {
			depth[id] = d
			queue = append(queue, id)
		}
	}
	for _, root := range l.roots {
		for _, e := range root.Edges {
			visit(e.Target, 1)
		}
	}
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		for _, e := range l.edges[id] {
			visit(e.Target, depth[id]+1)
		}
	}
	return depth
}

func TestWriteList(t *testing.T) {
	const n = 5000
	var out bytes.Buffer
	if err := WriteList(&out, n); err != nil {
		t.Fatal(err)
	}
	l := loadReader(t, open(t, out.Bytes()))
	deepest := 0
	for _, d := range l.reach() {
		deepest = max(deepest, d)
	}
	if got := l.Totals(); got.Objects != n || got.Edges != n-1 || deepest != n {
		t.Errorf("%d objects, %d edges, depth %d, want %d, %d, %d", got.Objects, got.Edges, deepest, n, n-1, n)
	}
	if l.size[0] != 16 {
		t.Errorf("nodes have %d bytes, want 16", l.size[0])
	}
}

func TestWriteSessions(t *testing.T) {
	const n = 2000
	var out bytes.Buffer
	if err := WriteSessions(&out, n); err != nil {
		t.Fatal(err)
	}
	l := loadReader(t, open(t, out.Bytes()))
	// Four tables: header, directory, tables and groups; the edges between them are one fewer than the objects.
	wantObjects, wantEdges := uint64(10*n+2+2*4), uint64(n*25/2+1+2*4)
	if got := l.Totals(); got.Objects != wantObjects || got.Edges != wantEdges {
		t.Errorf("%d objects, %d edges, want %d, %d", got.Objects, got.Edges, wantObjects, wantEdges)
	}
	if got := uint64(len(l.reach())); got != wantObjects {
		t.Errorf("%d objects reached of %d", got, wantObjects)
	}
	checkShapes(t, l)
}

func TestWriteDense(t *testing.T) {
	for _, c := range []struct{ n, pointers uint64 }{{1000, 20}, {500, 100}, {2, 2}} {
		var out bytes.Buffer
		if err := WriteDense(&out, c.n, c.pointers); err != nil {
			t.Fatal(err)
		}
		l := loadReader(t, open(t, out.Bytes()))
		inside := uint64(0)
		for _, edges := range l.edges {
			for _, e := range edges {
				if e.Offset%16 == 8 == (l.size[0] <= 512) { // the type word before a larger object is no offset
					inside++
				}
			}
		}
		if got := l.Totals(); got.Objects != c.n || got.Edges != c.n*c.pointers || inside != c.n*(c.pointers/2) {
			t.Errorf("%+v: %d objects, %d edges, %d of them into the middle", c, got.Objects, got.Edges, inside)
		}
		if got := uint64(len(l.reach())); got != c.n {
			t.Errorf("%+v: %d objects reached", c, got)
		}
		checkShapes(t, l)
	}
}

func TestStreamsTellErrors(t *testing.T) {
	for name, write := range map[string]func(io.Writer, uint64) error{"list": WriteList, "sessions": WriteSessions} {
		for _, room := range []int{0, 10, 500, 10_000} {
			if err := write(&short{room}, 5000); err == nil {
				t.Errorf("%s: no error where only %d bytes fit", name, room)
			}
		}
	}
}

// short is a writer with little room.
type short struct{ room int }

func (s *short) Write(p []byte) (int, error) {
	if s.room -= len(p); s.room < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func BenchmarkWriteSessions(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		counted := new(counter)
		if err := WriteSessions(counted, n); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(counted.bytes)/(10*n), "B/object")
	}
}

type counter struct{ bytes int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return len(p), nil
}
