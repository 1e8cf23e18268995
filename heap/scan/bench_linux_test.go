//go:build linux && (amd64 || arm64)

package scan

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// BenchmarkPass reads a frozen heap of ten million objects and measures its stages: in processor seconds, as other
// programs may run beside it.
func BenchmarkPass(b *testing.B) {
	for _, test := range []struct {
		name      string
		arguments []string
	}{{"list", []string{"list", "10000000"}}, {"sessions", []string{"sessions", "2500000"}}} {
		b.Run(test.name, func(b *testing.B) {
			process := freeze(b, start(b, build(b), test.arguments...), capture.AttachOptions{})
			ctx := context.Background()
			for b.Loop() {
				watch := stopwatch{b: b, at: processor()}
				s, err := open(ctx, process)
				if err != nil {
					b.Fatal(err)
				}
				watch.lap("open")
				out := new(countingWriter)
				if s.out, err = snapshot.NewWriter(out, snapshot.Header{}); err != nil {
					b.Fatal(err)
				}
				if err := s.writeSpans(); err != nil {
					b.Fatal(err)
				}
				if err := s.roots.collect(ctx, s.spans); err != nil {
					b.Fatal(err)
				}
				watch.lap("roots")
				pass := s.pass(nil)
				began := time.Now()
				if err := pass.run(ctx, 2); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(began).Seconds(), "pass-wall-s")
				watch.lap("pass")
				if err := s.types.LoadAll(ctx); err != nil {
					b.Fatal(err)
				}
				watch.lap("types")
				b.ReportMetric(float64(s.index.objects), "objects")
				b.ReportMetric(float64(pass.edgeCount), "edges")
				b.ReportMetric(float64(out.n)/1e6, "MB")
			}
		})
	}
}

// stopwatch reports how much processor time passes between calls.
type stopwatch struct {
	b  *testing.B
	at time.Duration
}

func (s *stopwatch) lap(name string) {
	now := processor()
	s.b.ReportMetric((now - s.at).Seconds(), name+"-cpu-s")
	s.at = now
}

// processor returns the processor time that this process has taken.
func processor() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
