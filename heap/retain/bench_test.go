package retain

import (
	"os"
	"testing"

	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// BenchmarkAnalyze: 10 million objects, from the graph to the finished analysis.
func BenchmarkAnalyze(b *testing.B) {
	for _, shape := range []struct {
		name  string
		write func(file *os.File) error
	}{
		{"sessions", func(file *os.File) error { return heaptest.WriteSessions(file, 1_000_000) }},
		{"list", func(file *os.File) error { return heaptest.WriteList(file, 10_000_000) }},
	} {
		b.Run(shape.name, func(b *testing.B) {
			file, err := os.Create(b.TempDir() + "/snapshot")
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			if err := shape.write(file); err != nil {
				b.Fatal(err)
			}
			size, err := file.Seek(0, 1)
			if err != nil {
				b.Fatal(err)
			}
			reader, err := snapshot.Open(file, size)
			if err != nil {
				b.Fatal(err)
			}
			g, err := graph.Load(b.Context(), reader, graph.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(g.Objects()), "objects")
			b.ResetTimer()
			for b.Loop() {
				if _, err := Analyze(b.Context(), g, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
