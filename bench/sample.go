package main

import (
	"context"
	"strconv"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/gobench"
)

const nanosecond = 1e-9

// measureSample runs memstat's benchmarks round by round, so that each ratio is of one machine at one time.
func measureSample(ctx context.Context, p plan, _ workshop) ([]figure.Figure, error) {
	var results []gobench.Result
	for range p.count {
		round, err := gobench.Run(ctx, libraryDir, []string{"./memstat"},
			"-bench", "^Benchmark(Sample|SampleWithFiles|ReadMemStats)$", "-benchtime", "0.5s", "-count", "1")
		if err != nil {
			return nil, err
		}
		results = append(results, round...)
	}
	times := func(name string) []float64 { return scaled(gobench.Values(results, name, "ns/op"), nanosecond) }
	sample := figure.Figure{Name: "a sample, Go part", Unit: figure.Seconds, Goal: figure.AtMost(1e-6), Values: times("BenchmarkSample")}
	stopped := figure.Figure{Name: "runtime.ReadMemStats", Unit: figure.Seconds, Values: times("BenchmarkReadMemStats")}
	ratio := figure.Figure{Name: "ReadMemStats ÷ sample", Unit: figure.Multiple, Goal: figure.AtLeast(8)}
	for i, took := range sample.Values {
		if i < len(stopped.Values) {
			ratio.Values = append(ratio.Values, stopped.Values[i]/took)
		}
	}
	return []figure.Figure{
		sample,
		{Name: "allocations of a sample", Unit: figure.Count, Goal: figure.EveryAtMost(0), Values: gobench.Values(results, "BenchmarkSample", "allocs/op")},
		stopped,
		ratio,
		{Name: "a sample with the kernel's files, one a second", Unit: figure.Seconds, Values: times("BenchmarkSampleWithFiles")},
		{Name: "allocations of it", Unit: figure.Count, Goal: figure.EveryAtMost(0), Values: gobench.Values(results, "BenchmarkSampleWithFiles", "allocs/op")},
	}, nil
}

func scaled(values []float64, by float64) []float64 {
	for i := range values {
		values[i] *= by
	}
	return values
}

// tickPackages are those whose benchmarks are run as they are.
var tickPackages = []string{"./pressure", "./history", "./limit", "./gcpolicy", "./bounded", "./memhttp"}

// measurePackages runs the benchmarks of the packages that a tick goes through. Nothing was promised of them.
func measurePackages(ctx context.Context, p plan, _ workshop) ([]figure.Figure, error) {
	results, err := gobench.Run(ctx, libraryDir, tickPackages, "-bench", ".", "-benchtime", "0.1s", "-count", strconv.Itoa(min(p.count, 3)))
	if err != nil {
		return nil, err
	}
	var figures []figure.Figure
	seen := map[string]bool{}
	for _, r := range results {
		if !seen[r.Name] {
			seen[r.Name] = true
			figures = append(figures, figure.Figure{Name: r.Name, Unit: figure.Seconds, Values: scaled(gobench.Values(results, r.Name, "ns/op"), nanosecond)})
		}
	}
	return figures, nil
}
