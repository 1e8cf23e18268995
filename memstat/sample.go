// Package memstat takes one Sample of a process: what the Go runtime, the process, its cgroup, the kernel's pressure
// accounting and the machine say about its memory.
//
// It knows how to read and nothing of what the figures mean: levels are package pressure's, limits package limit's.
// A figure that cannot be read is absent, never zero and never NaN. Nothing here stops the world.
package memstat

import "time"

// Int is a count or a number of bytes that may be absent.
type Int = Optional[int64]

// Float is a ratio or a number of seconds that may be absent.
type Float = Optional[float64]

// Sample is what was known of a process at one moment. Each group is as old as its tier's interval allows (see
// Options). It holds no pointers into the sampler: copies may be kept.
type Sample struct {
	At      time.Time `json:"at"`
	Go      Go        `json:"go,omitzero"`
	Process Process   `json:"process,omitzero"`
	Cgroup  Cgroup    `json:"cgroup,omitzero"`
	PSI     PSI       `json:"psi,omitzero"`
	System  System    `json:"system,omitzero"`
}

// Go is the Go runtime's own account (runtime/metrics). All of it is absent when another process is watched.
type Go struct {
	HeapLiveBytes     Int `json:"heap_live_bytes,omitzero"`     // marked live by the last completed collection; absent before the first
	HeapObjectsBytes  Int `json:"heap_objects_bytes,omitzero"`  // live objects and garbage not yet swept
	HeapUnusedBytes   Int `json:"heap_unused_bytes,omitzero"`   // in spans that hold objects, not used by one
	HeapFreeBytes     Int `json:"heap_free_bytes,omitzero"`     // free, not returned to the OS
	HeapReleasedBytes Int `json:"heap_released_bytes,omitzero"` // free, returned to the OS
	HeapGoalBytes     Int `json:"heap_goal_bytes,omitzero"`     // heap size at which the next collection ends
	HeapObjects       Int `json:"heap_objects,omitzero"`        // objects, live or not yet swept
	StacksBytes       Int `json:"stacks_bytes,omitzero"`        // goroutine stacks and stacks from the OS
	MetadataBytes     Int `json:"metadata_bytes,omitzero"`      // mspan, mcache, GC and profiling structures, other
	TotalBytes        Int `json:"total_bytes,omitzero"`         // all memory mapped by the runtime
	// UsedBytes is TotalBytes − HeapReleasedBytes: what the memory limit (GOMEMLIMIT) bounds.
	UsedBytes        Int `json:"used_bytes,omitzero"`
	MemoryLimitBytes Int `json:"memory_limit_bytes,omitzero"` // GOMEMLIMIT in force; absent when there is none
	GOGCPercent      Int `json:"gogc_percent,omitzero"`       // absent when off
	Goroutines       Int `json:"goroutines,omitzero"`
	AllocatedBytes   Int `json:"allocated_bytes_total,omitzero"` // since the start of the process
	GCCycles         Int `json:"gc_cycles_total,omitzero"`
	GCForcedCycles   Int `json:"gc_forced_cycles_total,omitzero"`
	// GCLimiterLastCycle is the collection in which the CPU limiter was last switched on; absent when it never was.
	GCLimiterLastCycle Int `json:"gc_limiter_last_cycle,omitzero"`
	// GCCPUSeconds is CPU time of the collector, without marking by processors that had nothing else to do. The
	// runtime settles it and CPUSeconds when a collection ends.
	GCCPUSeconds Float `json:"gc_cpu_seconds_total,omitzero"`
	CPUSeconds   Float `json:"cpu_available_seconds_total,omitzero"` // GOMAXPROCS integrated over time
	// GCCPURatio is the share of CPUSeconds that the collector took, 0..1, between the last two ends of a collection
	// that were seen, or from the start of the process to the first. It does not fall before the next collection.
	GCCPURatio Float `json:"gc_cpu_ratio,omitzero"`
	// Pauses over the last slow interval in which there was one (slow tier), the first since the start of the process.
	// They are the upper bounds of a histogram's buckets, up to a quarter above the figure itself.
	GCPauseP50Seconds Float `json:"gc_pause_p50_seconds,omitzero"`
	GCPauseP99Seconds Float `json:"gc_pause_p99_seconds,omitzero"`
	GCPauseMaxSeconds Float `json:"gc_pause_max_seconds,omitzero"`
}

// Process is the kernel's account of the process.
type Process struct {
	RSSBytes Int `json:"rss_bytes,omitzero"`
	// OffHeapBytes is RSS − Go.UsedBytes, at least 0: cgo, mmap, and the program's text and data that are resident.
	OffHeapBytes    Int `json:"off_heap_bytes,omitzero"`
	PeakRSSBytes    Int `json:"peak_rss_bytes,omitzero"`
	PSSBytes        Int `json:"pss_bytes,omitzero"`        // slow tier (smaps_rollup)
	AnonymousBytes  Int `json:"anonymous_bytes,omitzero"`  // slow tier
	SwapBytes       Int `json:"swap_bytes,omitzero"`       // slow tier
	FileDescriptors Int `json:"file_descriptors,omitzero"` // handles on Windows
	// MaxFileDescriptors is the soft limit.
	MaxFileDescriptors Int `json:"max_file_descriptors,omitzero"`
	Threads            Int `json:"threads,omitzero"`
}

// Cgroup is the memory controller's account of the process's control group.
type Cgroup struct {
	Version      Int `json:"version,omitzero"` // 1 or 2
	CurrentBytes Int `json:"current_bytes,omitzero"`
	// InactiveFileBytes is page cache that the kernel can take back at once.
	InactiveFileBytes Int `json:"inactive_file_bytes,omitzero"`
	// WorkingSetBytes is CurrentBytes − InactiveFileBytes, at least 0: the share that cannot be reclaimed at once.
	WorkingSetBytes Int `json:"working_set_bytes,omitzero"`
	// MaxBytes and HighBytes are the strictest of the group's and its parents'; absent when none is set. What counts
	// against a parent's limit is the use of all groups below it: Parents has it, the other figures are the group's own.
	MaxBytes  Int `json:"max_bytes,omitzero"`
	HighBytes Int `json:"high_bytes,omitzero"`
	PeakBytes Int `json:"peak_bytes,omitzero"`
	SwapBytes Int `json:"swap_bytes,omitzero"`
	// Times that use went past the group's own high limit, was about to go past its own max limit (in cgroup v1:
	// allocations that met it), and that an allocation was about to fail there. A parent's limit shows at the parent.
	HighEvents    Int     `json:"high_events_total,omitzero"`
	MaxEvents     Int     `json:"max_events_total,omitzero"`
	OOMEvents     Int     `json:"oom_events_total,omitzero"`
	OOMKillEvents Int     `json:"oom_kill_events_total,omitzero"` // processes of the group killed, whoever's limit it was
	Parents       Parents `json:"parents,omitzero"`
}

// PSI is the memory pressure stall information: of the cgroup where it has one, else of the machine.
type PSI struct {
	// Scope is "cgroup" or "system"; empty when there is no PSI.
	Scope string `json:"scope,omitzero"`
	// Shares of time in which some, or all, tasks were stalled on memory; 0..1.
	SomeAvg10Ratio   Float `json:"some_avg10_ratio,omitzero"`
	SomeAvg60Ratio   Float `json:"some_avg60_ratio,omitzero"`
	FullAvg10Ratio   Float `json:"full_avg10_ratio,omitzero"`
	FullAvg60Ratio   Float `json:"full_avg60_ratio,omitzero"`
	SomeSecondsTotal Float `json:"some_seconds_total,omitzero"`
	FullSecondsTotal Float `json:"full_seconds_total,omitzero"`
}

// System is the machine's memory (slow tier).
type System struct {
	TotalBytes     Int `json:"total_bytes,omitzero"`
	AvailableBytes Int `json:"available_bytes,omitzero"`
	SwapTotalBytes Int `json:"swap_total_bytes,omitzero"`
	SwapFreeBytes  Int `json:"swap_free_bytes,omitzero"`
}
