package memstat

import (
	"math"
	"runtime"
	"runtime/metrics"
)

// The runtime/metrics that are read at every call. /sched/goroutines is not among them: it takes the scheduler's
// lock and looks at each processor, for what runtime.NumGoroutine tells in a few nanoseconds.
const (
	heapObjectBytes = iota
	heapUnused
	heapFree
	heapReleased
	heapGoal
	heapObjects
	heapStacks
	osStacks
	totalMapped
	memoryLimit
	gogc
	allocated
	cycles
	scalarMetrics
)

var scalarNames = [scalarMetrics]string{
	heapObjectBytes: "/memory/classes/heap/objects:bytes",
	heapUnused:      "/memory/classes/heap/unused:bytes",
	heapFree:        "/memory/classes/heap/free:bytes",
	heapReleased:    "/memory/classes/heap/released:bytes",
	heapGoal:        "/gc/heap/goal:bytes",
	heapObjects:     "/gc/heap/objects:objects",
	heapStacks:      "/memory/classes/heap/stacks:bytes",
	osStacks:        "/memory/classes/os-stacks:bytes",
	totalMapped:     "/memory/classes/total:bytes",
	memoryLimit:     "/gc/gomemlimit:bytes",
	gogc:            "/gc/gogc:percent",
	allocated:       "/gc/heap/allocs:bytes",
	cycles:          "/gc/cycles/total:gc-cycles",
}

// The runtime/metrics that change when a collection ends, or within one, and are read when one has ended.
const (
	heapLive = iota
	forcedCycles
	limiterCycle
	cpuTotal
	cpuGC
	cpuIdleMark
	cycleMetrics
)

var cycleNames = [cycleMetrics]string{
	heapLive:     "/gc/heap/live:bytes",
	forcedCycles: "/gc/cycles/forced:gc-cycles",
	limiterCycle: "/gc/limiter/last-enabled:gc-cycle",
	cpuTotal:     "/cpu/classes/total:cpu-seconds",
	cpuGC:        "/cpu/classes/gc/total:cpu-seconds",
	cpuIdleMark:  "/cpu/classes/gc/mark/idle:cpu-seconds",
}

// pauseName is the one histogram; it costs as much as all the others together.
const pauseName = "/sched/pauses/total/gc:seconds"

// goRuntime reads the Go runtime of the calling process. A metric that the runtime does not have is absent.
type goRuntime struct {
	scalars [scalarMetrics]metrics.Sample
	cycle   [cycleMetrics]metrics.Sample
	pauses  [1]metrics.Sample
	counts  []uint64 // of pauses per bucket, when last read; nil: the process's start
	seen    Int      // collections, when cycle was last read
}

func newGoRuntime() *goRuntime {
	r := &goRuntime{}
	for i, name := range scalarNames {
		r.scalars[i].Name = name
	}
	for i, name := range cycleNames {
		r.cycle[i].Name = name
	}
	r.pauses[0].Name = pauseName
	return r
}

// scalar is a metric of whole numbers. What is too large stands for "none" or "off": the runtime has no memory limit
// below 2^63−1, no GOGC below 2^64−1, and without both a heap goal a little under the former.
func scalar(s *metrics.Sample) Int {
	if s.Value.Kind() != metrics.KindUint64 || s.Value.Uint64() >= unlimited {
		return Int{}
	}
	return Known(int64(s.Value.Uint64()))
}

// read fills dst, which must be what it filled the last time; the pauses stay as they are.
func (r *goRuntime) read(dst *Go) {
	metrics.Read(r.scalars[:])
	dst.HeapObjectsBytes = scalar(&r.scalars[heapObjectBytes])
	dst.HeapUnusedBytes = scalar(&r.scalars[heapUnused])
	dst.HeapFreeBytes = scalar(&r.scalars[heapFree])
	dst.HeapReleasedBytes = scalar(&r.scalars[heapReleased])
	dst.HeapGoalBytes = scalar(&r.scalars[heapGoal])
	dst.HeapObjects = scalar(&r.scalars[heapObjects])
	dst.TotalBytes = scalar(&r.scalars[totalMapped])
	dst.MemoryLimitBytes = scalar(&r.scalars[memoryLimit])
	dst.GOGCPercent = scalar(&r.scalars[gogc])
	dst.AllocatedBytes = scalar(&r.scalars[allocated])
	dst.GCCycles = scalar(&r.scalars[cycles])
	dst.Goroutines = Known(int64(runtime.NumGoroutine()))
	r.derive(dst)
	if dst.GCCycles.IsZero() || dst.GCCycles != r.seen {
		r.seen = dst.GCCycles
		r.readCycle(dst)
	}
}

// derive computes the sums. The classes of memory add up to the total by definition, so that the runtime's own
// structures are what the others leave of it, for the price of none of their seven metrics.
func (r *goRuntime) derive(dst *Go) {
	stacks, ok1 := scalar(&r.scalars[heapStacks]).Get()
	system, ok2 := scalar(&r.scalars[osStacks]).Get()
	total, ok3 := dst.TotalBytes.Get()
	released, ok4 := dst.HeapReleasedBytes.Get()
	objects, ok5 := dst.HeapObjectsBytes.Get()
	unused, ok6 := dst.HeapUnusedBytes.Get()
	free, ok7 := dst.HeapFreeBytes.Get()
	dst.StacksBytes, dst.UsedBytes, dst.MetadataBytes = Int{}, Int{}, Int{}
	if ok1 && ok2 {
		dst.StacksBytes = Known(stacks + system)
	}
	if ok3 && ok4 {
		dst.UsedBytes = Known(max(0, total-released))
	}
	if ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7 {
		dst.MetadataBytes = Known(max(0, total-released-objects-unused-free-stacks-system))
	}
}

// readCycle fills in what a collection changes.
func (r *goRuntime) readCycle(dst *Go) {
	metrics.Read(r.cycle[:])
	dst.GCForcedCycles = scalar(&r.cycle[forcedCycles])
	dst.HeapLiveBytes = scalar(&r.cycle[heapLive])
	if dst.GCCycles.Or(0) == 0 {
		dst.HeapLiveBytes = Int{} // until the first collection it is an assumption of the pacer's
	}
	dst.GCLimiterLastCycle = scalar(&r.cycle[limiterCycle])
	if dst.GCLimiterLastCycle.Or(0) == 0 {
		dst.GCLimiterLastCycle = Int{}
	}
	for _, i := range [...]int{cpuTotal, cpuGC, cpuIdleMark} {
		if r.cycle[i].Value.Kind() != metrics.KindFloat64 {
			dst.GCCPUSeconds, dst.CPUSeconds, dst.GCCPURatio = Float{}, Float{}, Float{}
			return
		}
	}
	total := r.cycle[cpuTotal].Value.Float64()
	collector := max(0, r.cycle[cpuGC].Value.Float64()-r.cycle[cpuIdleMark].Value.Float64())
	dst.GCCPURatio = share(collector-dst.GCCPUSeconds.Or(0), total-dst.CPUSeconds.Or(0), dst.GCCPURatio)
	dst.GCCPUSeconds, dst.CPUSeconds = Known(collector), Known(total)
}

// share is part of whole between 0 and 1, or before where there is no whole to have a share of.
func share(part, whole float64, before Float) Float {
	if !(whole > 0) || math.IsInf(whole, 0) || math.IsNaN(part) {
		return before
	}
	return Known(min(1, max(0, part/whole)))
}

// readPauses fills in the pauses since they were last read; where there was none, the last ones stay.
func (r *goRuntime) readPauses(dst *Go) {
	metrics.Read(r.pauses[:])
	if r.pauses[0].Value.Kind() != metrics.KindFloat64Histogram {
		return
	}
	histogram := r.pauses[0].Value.Float64Histogram()
	if len(r.counts) != len(histogram.Counts) {
		r.counts = make([]uint64, len(histogram.Counts))
	}
	if q, ok := since(r.counts, histogram); ok {
		dst.GCPauseP50Seconds, dst.GCPauseP99Seconds, dst.GCPauseMaxSeconds = Known(q.p50), Known(q.p99), Known(q.max)
	}
	copy(r.counts, histogram.Counts)
}

// quantiles of a distribution: each the upper bound of the bucket that it lies in.
type quantiles struct{ p50, p99, max float64 }

// since returns the quantiles of what a cumulative histogram has counted since its counts were as before; not ok where
// that is nothing.
func since(before []uint64, now *metrics.Float64Histogram) (quantiles, bool) {
	grown := func(i int) uint64 { return now.Counts[i] - min(before[i], now.Counts[i]) }
	var all uint64
	for i := range now.Counts {
		all += grown(i)
	}
	if all == 0 {
		return quantiles{}, false
	}
	var q quantiles
	var sum uint64
	for i := range now.Counts {
		n := grown(i)
		if n == 0 {
			continue
		}
		bound := upperBound(now.Buckets, i)
		if sum < (all+1)/2 {
			q.p50 = bound
		}
		if sum < all-all/100 {
			q.p99 = bound
		}
		q.max = bound
		sum += n
	}
	return q, true
}

// upperBound is the upper bound of a bucket of durations; the last, which has none, is represented by its lower one.
func upperBound(buckets []float64, i int) float64 {
	bound := buckets[i+1]
	if math.IsInf(bound, 1) {
		bound = buckets[i]
	}
	return max(0, bound)
}
