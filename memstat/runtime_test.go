package memstat

import (
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"testing"
	"time"
)

// TestNamesExist: each metric is one that the running Go version has.
func TestNamesExist(t *testing.T) {
	known := map[string]metrics.ValueKind{}
	for _, d := range metrics.All() {
		known[d.Name] = d.Kind
	}
	for _, name := range scalarNames {
		if known[name] != metrics.KindUint64 {
			t.Errorf("%s: kind %v", name, known[name])
		}
	}
	for i, name := range cycleNames {
		want := metrics.KindUint64
		if i >= cpuTotal {
			want = metrics.KindFloat64
		}
		if known[name] != want {
			t.Errorf("%s: kind %v, want %v", name, known[name], want)
		}
	}
	if known[pauseName] != metrics.KindFloat64Histogram {
		t.Errorf("%s: kind %v", pauseName, known[pauseName])
	}
}

func TestReadGo(t *testing.T) {
	runtime.GC()
	r := newGoRuntime()
	var g Go
	r.read(&g)
	finite(t, g)
	for name, v := range map[string]Int{
		"live": g.HeapLiveBytes, "objects": g.HeapObjectsBytes, "goal": g.HeapGoalBytes, "stacks": g.StacksBytes,
		"metadata": g.MetadataBytes, "total": g.TotalBytes, "used": g.UsedBytes, "goroutines": g.Goroutines,
		"allocated": g.AllocatedBytes, "cycles": g.GCCycles, "forced": g.GCForcedCycles, "count": g.HeapObjects,
	} {
		if v.Or(0) <= 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	sum := g.HeapObjectsBytes.Or(0) + g.HeapUnusedBytes.Or(0) + g.HeapFreeBytes.Or(0) + g.HeapReleasedBytes.Or(0) +
		g.StacksBytes.Or(0) + g.MetadataBytes.Or(0)
	check(t, "sum of the classes", sum, g.TotalBytes.Or(0))
	check(t, "used", g.UsedBytes.Or(0), g.TotalBytes.Or(0)-g.HeapReleasedBytes.Or(0))
	// Not the same moment, but the runtime's structures hardly move.
	var metadata int64
	for _, name := range []string{"metadata/mcache/free", "metadata/mcache/inuse", "metadata/mspan/free",
		"metadata/mspan/inuse", "metadata/other", "other", "profiling/buckets"} {
		s := []metrics.Sample{{Name: "/memory/classes/" + name + ":bytes"}}
		metrics.Read(s)
		metadata += int64(s[0].Value.Uint64())
	}
	if diff := math.Abs(float64(metadata - g.MetadataBytes.Or(0))); diff > mib {
		t.Errorf("metadata is %v, its classes' sum %d", g.MetadataBytes, metadata)
	}
}

func TestReadGoSettings(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	defer func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}()
	r := newGoRuntime()
	var g Go
	debug.SetMemoryLimit(math.MaxInt64)
	debug.SetGCPercent(-1)
	r.read(&g)
	check(t, "no limit", g.MemoryLimitBytes, Int{})
	check(t, "GOGC off", g.GOGCPercent, Int{})
	check(t, "no goal", g.HeapGoalBytes, Int{})
	debug.SetMemoryLimit(3 * gib)
	debug.SetGCPercent(150)
	r.read(&g)
	check(t, "limit", g.MemoryLimitBytes, Known(int64(3*gib)))
	check(t, "GOGC", g.GOGCPercent, Known(int64(150)))
}

// TestUnknownMetrics: a runtime without a metric makes it absent, and what is computed from it.
func TestUnknownMetrics(t *testing.T) {
	r := newGoRuntime()
	for i := range r.scalars {
		r.scalars[i].Name += "-that-no-runtime-has"
	}
	for i := range r.cycle {
		r.cycle[i].Name += "-that-no-runtime-has"
	}
	r.pauses[0].Name += "-that-no-runtime-has"
	var g Go
	r.read(&g)
	r.readCycle(&g)
	r.readPauses(&g)
	check(t, "go", g, Go{Goroutines: g.Goroutines})
}

func TestGCCPURatio(t *testing.T) {
	r := newGoRuntime()
	var g Go
	runtime.GC()
	r.read(&g)
	first := g
	finite(t, g)
	r.read(&g)
	if g.GCCycles == first.GCCycles {
		check(t, "ratio without a collection", g.GCCPURatio, first.GCCPURatio)
	}
	keep := make([][]byte, 0, 10000)
	for range cap(keep) {
		keep = append(keep, make([]byte, 100))
	}
	runtime.GC()
	runtime.KeepAlive(keep)
	r.read(&g)
	finite(t, g)
	if g.CPUSeconds.Or(0) <= first.CPUSeconds.Or(0) {
		t.Errorf("CPU seconds went from %v to %v over a collection", first.CPUSeconds, g.CPUSeconds)
	}
	want := (g.GCCPUSeconds.Or(0) - first.GCCPUSeconds.Or(0)) / (g.CPUSeconds.Or(0) - first.CPUSeconds.Or(0))
	if got := g.GCCPURatio.Or(-1); math.Abs(got-min(1, max(0, want))) > 1e-9 {
		t.Errorf("ratio: got %v, want %v", got, want)
	}
}

func TestShare(t *testing.T) {
	before := Known(0.25)
	for _, c := range []struct {
		part, whole float64
		want        Float
	}{
		{1, 2, Known(0.5)},
		{0, 2, Known(0.0)},
		{3, 2, Known(1.0)},
		{-1, 2, Known(0.0)},
		{1, 0, before},
		{0, 0, before},
		{1, -1, before},
		{math.NaN(), 1, before},
		{1, math.NaN(), before},
		{1, math.Inf(1), before},
	} {
		if got := share(c.part, c.whole, before); got != c.want {
			t.Errorf("share(%v, %v) = %v, want %v", c.part, c.whole, got, c.want)
		}
	}
}

func TestReadPauses(t *testing.T) {
	r := newGoRuntime()
	var g Go
	runtime.GC()
	r.readPauses(&g)
	finite(t, g)
	p50, p99, longest := g.GCPauseP50Seconds.Or(-1), g.GCPauseP99Seconds.Or(-1), g.GCPauseMaxSeconds.Or(-1)
	if !(0 < p50 && p50 <= p99 && p99 <= longest) {
		t.Errorf("pauses: p50 %v, p99 %v, max %v", p50, p99, longest)
	}
}

// TestSince compares with a sorted list of the values themselves.
func TestSince(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	buckets := []float64{math.Inf(-1), 0, 1, 2, 4, 8, 16, math.Inf(1)}
	bounds := []float64{0, 1, 2, 4, 8, 16, 16} // as upperBound represents them
	for range 300 {
		before := make([]uint64, len(bounds))
		now := &metrics.Float64Histogram{Buckets: buckets, Counts: make([]uint64, len(bounds))}
		for i := range before {
			before[i] = random.Uint64N(50)
			now.Counts[i] = before[i]
		}
		var values []float64
		for range random.IntN(250) {
			i := random.IntN(len(bounds))
			now.Counts[i]++
			values = append(values, bounds[i])
		}
		slices.Sort(values)
		got, ok := since(before, now)
		if ok != (len(values) > 0) {
			t.Fatalf("seed %d: ok is %v for %d values", seed, ok, len(values))
		}
		if !ok {
			continue
		}
		n := len(values)
		rank := func(q float64) float64 { return values[max(0, int(math.Ceil(q*float64(n)))-1)] }
		want := quantiles{p50: rank(0.5), p99: rank(0.99), max: values[n-1]}
		if got != want {
			t.Fatalf("seed %d: %d values: got %+v, want %+v", seed, n, got, want)
		}
	}
	// Counts that went back, which none does, are no reason to panic.
	if _, ok := since([]uint64{5}, &metrics.Float64Histogram{Buckets: []float64{0, 1}, Counts: []uint64{3}}); ok {
		t.Error("fewer than before are none")
	}
}
