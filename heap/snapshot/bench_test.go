package snapshot

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// benchObjects is how many objects the benchmarks' snapshot has: 64 to a span, five in six with 1.5 edges.
const benchObjects = 1 << 20

// benchFile writes a graph that looks like a service's: most pointers lead to what was allocated near by, in spans of
// another size, some across the heap, few into the middle of an object.
func benchFile(tb testing.TB) []byte {
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{GoVersion: "go1.26", Method: Synthetic})
	if err != nil {
		tb.Fatal(err)
	}
	records := 0
	for i := range benchObjects / 64 {
		noscan := i%6 == 5
		if !noscan {
			records += 64
		}
		err := w.Spans([]Span{{
			Start: uint64(i+1) * pageBytes, Pages: 1, ElemSize: 128, Slots: 64, NoScan: noscan, Live: []uint64{^uint64(0)},
		}})
		if err != nil {
			tb.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	var b Block
	for record := 0; record < records; {
		b.Reset(uint64(record))
		for b.Size() < 1<<20 && record < records {
			b.Object(ShapeID(record%3), 0)
			for _, e := range benchEdges(random, record) {
				b.Edge(e)
			}
			b.End()
			record++
		}
		if err := w.Objects(&b); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Shapes(make([]Shape, 2)); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(Summary{}); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func benchEdges(random *rand.Rand, record int) []Edge {
	edges := make([]Edge, random.IntN(4))
	for i := range edges {
		target := (record + 1000*(i+1) + random.IntN(64)) % benchObjects
		if random.IntN(8) == 0 {
			target = random.IntN(benchObjects)
		}
		edges[i] = Edge{Slot: uint64(i * 2), Target: ObjectID(target)}
		if random.IntN(16) == 0 {
			edges[i].Offset = 64
		}
	}
	return edges
}

func BenchmarkBlockEdge(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var edges []Edge
	for i := range 1 << 16 {
		edges = append(edges, benchEdges(random, i)...)
	}
	var block Block
	n := 0
	b.ResetTimer()
	for b.Loop() {
		if n == 0 {
			block.Reset(0)
			block.Object(1, 0)
		}
		edges[n].Slot = block.expected
		block.Edge(edges[n])
		n = (n + 1) % len(edges)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/edge")
}

func BenchmarkDecode(b *testing.B) {
	file := benchFile(b)
	r, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		b.Fatal(err)
	}
	t := r.Totals()
	for _, workers := range []int{1, 2} {
		b.Run(map[int]string{1: "one", 2: "two"}[workers], func(b *testing.B) {
			for b.Loop() {
				decodeAll(b, r, workers)
			}
			entries := float64(t.Records+t.Edges) * float64(b.N)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/entries, "ns/entry")
			b.ReportMetric(float64(len(file))/float64(t.Objects), "B/object")
		})
	}
}

func decodeAll(tb testing.TB, r *Reader, workers int) {
	var next, edges atomic.Int64
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			var c Cursor
			n := int64(0)
			for i := int(next.Add(1)) - 1; i < r.Totals().Blocks; i = int(next.Add(1)) - 1 {
				if err := c.Load(r, i); err != nil {
					tb.Error(err)
					return
				}
				var e Edge
				for _, _, ok := c.Object(); ok; _, _, ok = c.Object() {
					for c.Edge(&e) {
						n++
					}
				}
				if c.Err() != nil {
					tb.Error(c.Err())
				}
			}
			edges.Add(n)
		})
	}
	running.Wait()
	if uint64(edges.Load()) != r.Totals().Edges {
		tb.Errorf("%d edges of %d", edges.Load(), r.Totals().Edges)
	}
}

func BenchmarkOpen(b *testing.B) {
	file := benchFile(b)
	for b.Loop() {
		if _, err := Open(bytes.NewReader(file), int64(len(file))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteBlock(b *testing.B) {
	var block Block
	block.Reset(0)
	block.Object(0, 0)
	for i := range 200_000 {
		block.Edge(Edge{Slot: uint64(i), Target: ObjectID(i * 7 % 100_000)})
	}
	block.End()
	b.SetBytes(int64(block.Size()))
	for b.Loop() {
		w, err := NewWriter(io.Discard, Header{})
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Objects(&block); err != nil {
			b.Fatal(err)
		}
	}
}
