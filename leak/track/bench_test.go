package track

import (
	"runtime"
	"testing"
	"time"
)

// BenchmarkTrack is the life of an object that is tracked, released and collected; without is that of one that is not.
func BenchmarkTrack(b *testing.B) {
	b.Run("without", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sink = new(session)
		}
	})
	b.Run("one", func(b *testing.B) {
		tr := benchTracker(b)
		b.ReportAllocs()
		for b.Loop() {
			s := new(session)
			sink = s
			h, err := Track(tr, s, "sessions")
			if err != nil {
				b.Fatal(err)
			}
			h.Release()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		tr := benchTracker(b)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				s := new(session)
				h, err := Track(tr, s, "sessions")
				if err != nil {
					b.Error(err)
				}
				h.Release()
			}
		})
	})
}

var sink *session

func benchTracker(b *testing.B) *Tracker {
	b.Helper()
	tr, err := New(Options{MaxObjects: MostObjects})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(tr.Close)
	return tr
}

// BenchmarkLook looks at objects that were released and are held: waiting, or all of them overdue.
func BenchmarkLook(b *testing.B) {
	const n = 10_000
	tr := benchTracker(b)
	objects := make([]*session, n)
	for i := range objects {
		objects[i] = new(session)
		mustTrack(b, tr, objects[i], "sessions").Release()
	}
	now := time.Now()
	tr.Look(now, 0, Patience{})
	for _, c := range []struct {
		name   string
		cycles uint64
		want   int
	}{{"waiting", 0, 0}, {"overdue", 10, n}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				count := 0
				for _, o := range tr.Look(now, c.cycles, Patience{Collections: 3}) {
					count += o.Count
				}
				if count != c.want {
					b.Fatalf("%d are overdue, want %d", count, c.want)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/object")
		})
	}
	runtime.KeepAlive(objects)
}
