package memstat

import (
	"runtime"
	"strconv"
	"testing"
	"time"
)

// program stands for what a sampler is part of: some heap and a few goroutines that wait.
func program(b *testing.B) {
	b.Helper()
	heap := make([][]byte, 20_000)
	for i := range heap {
		heap[i] = make([]byte, 512)
	}
	stop := make(chan struct{})
	for range 8 {
		go func() { <-stop }()
	}
	b.Cleanup(func() {
		close(stop)
		runtime.KeepAlive(heap)
	})
	runtime.GC()
}

// benchmarkRead takes samples so far apart.
func benchmarkRead(b *testing.B, step time.Duration) {
	program(b)
	s, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	var sample Sample
	now := time.Unix(1_700_000_000, 0)
	s.Read(&sample, now)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(step)
		s.Read(&sample, now)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSample is the sample that reads no files, as all do between two fast intervals.
func BenchmarkSample(b *testing.B) { benchmarkRead(b, 0) }

// BenchmarkSampleWithFiles reads the fast tier every time, and the slow one every tenth, as one sample a second does.
func BenchmarkSampleWithFiles(b *testing.B) { benchmarkRead(b, DefaultFastInterval) }

// BenchmarkSampleWithAllFiles reads both tiers every time.
func BenchmarkSampleWithAllFiles(b *testing.B) { benchmarkRead(b, DefaultSlowInterval) }

// BenchmarkReadMemStats is what samples are compared with: it stops the world.
func BenchmarkReadMemStats(b *testing.B) {
	program(b)
	var stats runtime.MemStats
	b.ReportAllocs()
	for b.Loop() {
		runtime.ReadMemStats(&stats)
	}
}

// BenchmarkSampleWithParents reads the fast tier every time, of a group whose parents, so many, all have limits.
func BenchmarkSampleWithParents(b *testing.B) {
	for _, parents := range []int{0, 1, MaxParents} {
		b.Run(strconv.Itoa(parents), func(b *testing.B) {
			tr := newTree(b)
			group := ""
			for i := range parents + 1 {
				group += "/" + strconv.Itoa(i)
				tr.parentV2("cg"+group, strconv.Itoa(gib), "max", 100*mib, 10*mib, "high 0\nmax 0\noom 0")
			}
			tr.process("self")
			tr.write("proc/self/cgroup", "0::"+group+"\n")
			tr.write("proc/self/mountinfo", mount("/", "/cg", "cgroup2", ""))
			s := tr.sampler(Options{SlowInterval: time.Hour})
			var sample Sample
			s.Read(&sample, start)
			b.ReportAllocs()
			for now := start; b.Loop(); s.Read(&sample, now) {
				now = now.Add(DefaultFastInterval - DefaultFastInterval/10)
			}
		})
	}
}
