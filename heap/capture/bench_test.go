//go:build linux && (amd64 || arm64)

package capture

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// worker is a service's loop: it notes the longest time between two turns.
type worker struct {
	longest atomic.Int64
	stop    atomic.Bool
	done    sync.WaitGroup
}

func startWorker() *worker {
	w := new(worker)
	w.done.Go(func() {
		last := time.Now()
		for !w.stop.Load() {
			now := time.Now()
			w.longest.Store(max(w.longest.Load(), int64(now.Sub(last))))
			last = now
			for i := range sink {
				sink[i]++
			}
			time.Sleep(100 * time.Microsecond)
		}
	})
	return w
}

var sink [1024]int

// end returns the longest latency since begin, in milliseconds.
func (w *worker) end() float64 {
	w.stop.Store(true)
	w.done.Wait()
	return float64(w.longest.Load()) / 1e6
}

// figures are milliseconds, one for each capture.
type figures []float64

func (f *figures) add(ms float64) { *f = append(*f, ms) }

// report tells the median and the largest; on a machine with other work the largest is that work's.
func (f *figures) report(b *testing.B, name string) {
	slices.Sort(*f)
	b.ReportMetric((*f)[len(*f)/2], name+"-p50-ms")
	b.ReportMetric((*f)[0], name+"-min-ms")
	b.ReportMetric((*f)[len(*f)-1], name+"-max-ms")
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

// BenchmarkSelf captures a heap of 1 GB and 15 M objects. It reports the longest latency of a loop that works and sleeps by
// turns, beside that without a capture (base).
func BenchmarkSelf(b *testing.B) {
	kept = heapOf(15_000_000)
	defer func() { kept = nil }()
	runtime.GC()
	var base, longest, wait, pause, fork figures
	for b.Loop() {
		w := startWorker()
		time.Sleep(300 * time.Millisecond)
		base.add(w.end())

		w = startWorker()
		time.Sleep(10 * time.Millisecond)
		c, err := Self(context.Background(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		longest.add(w.end())
		wait.add(milliseconds(c.Wait))
		pause.add(milliseconds(c.Pause))
		fork.add(milliseconds(c.Fork))
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
	base.report(b, "base")
	longest.report(b, "latency")
	wait.report(b, "wait")
	pause.report(b, "pause")
	fork.report(b, "fork")
}

// BenchmarkAttach captures a process of 10 M objects, 640 MB.
func BenchmarkAttach(b *testing.B) {
	target := startRole(b, "heap 10000000")
	var pause figures
	for b.Loop() {
		i, err := Attach(context.Background(), target.Process.Pid, AttachOptions{NoStop: true})
		if err != nil {
			b.Fatal(err)
		}
		pause.add(milliseconds(i.Pause))
		if err := i.Close(); err != nil {
			b.Fatal(err)
		}
	}
	pause.report(b, "pause")
}
