package graph

import (
	"bytes"
	"flag"
	"runtime"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

var long = flag.Bool("long", false, "also test and measure graphs of ten million objects")

// scale is the number of objects of the large graphs.
func scale() uint64 {
	if *long {
		return 10_000_000
	}
	return 200_000
}

func sessionsFile(tb testing.TB, objects uint64) *snapshot.Reader {
	tb.Helper()
	var file bytes.Buffer
	if err := heaptest.WriteSessions(&file, objects/10); err != nil {
		tb.Fatal(err)
	}
	return openFile(tb, file.Bytes())
}

func bytesReader(data []byte) *bytes.Reader { return bytes.NewReader(data) }

func openFile(tb testing.TB, data []byte) *snapshot.Reader {
	tb.Helper()
	r, err := snapshot.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func BenchmarkLoad(b *testing.B) {
	r := sessionsFile(b, scale())
	objects := float64(r.Totals().Objects)
	b.ResetTimer()
	for b.Loop() {
		if _, err := load(b.Context(), r, Options{Progress: func(string, uint64, uint64) {}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/objects, "ns/object")
}

func BenchmarkReach(b *testing.B) {
	g, err := load(b.Context(), sessionsFile(b, scale()), Options{Progress: func(string, uint64, uint64) {}})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		g.reachedObjects, g.reachedBytes = 0, 0
		if err := g.reach(b.Context(), func(string, uint64, uint64) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(g.objects), "ns/object")
}

func BenchmarkTyping(b *testing.B) {
	r := sessionsFile(b, scale())
	g, err := Load(b.Context(), r, Options{WithoutTypes: true})
	if err != nil {
		b.Fatal(err)
	}
	types, err := r.Types()
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		g.clues = new(clues)
		if err := g.typeAll(b.Context(), types, func(string, uint64, uint64) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(g.objects), "ns/object")
	b.ReportMetric(100*g.TypedRatio(), "%typed")
}

// BenchmarkMemory tells what a loaded graph takes, and what loading allocates in all.
func BenchmarkMemory(b *testing.B) {
	r := sessionsFile(b, scale())
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		g, err := Load(b.Context(), r, Options{})
		if err != nil {
			b.Fatal(err)
		}
		g.ReleaseTyping()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(g.objects), "B/object")
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(g.objects), "allocated-B/object")
		runtime.KeepAlive(g)
	}
}
