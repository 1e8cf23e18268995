package memhttp

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/memstat"
)

// Metric describes one metric family that /metrics exposes.
type Metric struct {
	Name  string // memwarden_…, with its unit; counters end in _total
	Label string // what tells its figures apart; empty: there is one figure
	Help  string
}

// MetricSource is a family of metrics beside those of this package (Metrics).
type MetricSource struct {
	Metric
	// Figures returns the figures as they are, those without a value left out. It is called for each scrape that comes
	// after a new sample, must be safe for concurrent use and wait for nothing.
	Figures func() []Figure
}

// Figure is one of a family: with the value of its label, which is empty where the family has none.
type Figure struct {
	Label string
	Value float64
}

// isMetricName reports whether a text may be the name of a metric or a label.
func isMetricName(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return text != "" && strings.IndexByte(letters, text[0]) >= 0 && strings.Trim(text, letters+"0123456789_") == ""
}

// checkMetrics returns every reason why families cannot be exposed beside those of this package.
func checkMetrics(sources []MetricSource) error {
	var mistakes []error
	taken := map[string]bool{}
	for _, m := range Metrics() {
		taken[m.Name] = true
	}
	for _, s := range sources {
		switch {
		case !isMetricName(s.Name) || s.Label != "" && !isMetricName(s.Label):
			mistakes = append(mistakes, fmt.Errorf("memhttp: metric %q with label %q: want lower-case letters, digits and '_'", s.Name, s.Label))
		case taken[s.Name]:
			mistakes = append(mistakes, fmt.Errorf("memhttp: metric %s stands twice", s.Name))
		case s.Figures == nil || s.Help == "" || strings.ContainsAny(s.Help, "\\\n"):
			mistakes = append(mistakes, fmt.Errorf("memhttp: metric %s: want figures, and one line of help without '\\'", s.Name))
		}
		taken[s.Name] = true
	}
	return errors.Join(mistakes...)
}

// Type is counter or gauge, as the name says.
func (m Metric) Type() string {
	if strings.HasSuffix(m.Name, "_total") {
		return "counter"
	}
	return "gauge"
}

// Unit is the unit that the name ends in: bytes, seconds, ratio (0 to 1) or percent; empty for plain numbers.
func (m Metric) Unit() string {
	name := strings.TrimSuffix(m.Name, "_total")
	switch unit := name[strings.LastIndexByte(name, '_')+1:]; unit {
	case "bytes", "seconds", "ratio", "percent":
		return unit
	}
	return ""
}

// gauge is a family with one figure, which a sample may not have.
type gauge struct {
	Metric
	of func(*memstat.Sample) (float64, bool)
}

func count(name, help string, of func(*memstat.Sample) memstat.Int) gauge {
	return gauge{Metric{Name: name, Help: help}, func(s *memstat.Sample) (float64, bool) { v, ok := of(s).Get(); return float64(v), ok }}
}

func ratio(name, help string, of func(*memstat.Sample) memstat.Float) gauge {
	return gauge{Metric{Name: name, Help: help}, func(s *memstat.Sample) (float64, bool) { return of(s).Get() }}
}

// stall is a figure of the pressure stall information, which is meaningless without its scope.
func stall(name, help string, of func(*memstat.Sample) memstat.Float) gauge {
	return gauge{Metric{Name: name, Label: "scope", Help: help}, func(s *memstat.Sample) (float64, bool) { return of(s).Get() }}
}

// sampleMetrics are the figures of a sample, in its order.
func sampleMetrics() []gauge {
	type S = *memstat.Sample
	return []gauge{
		count("memwarden_go_heap_live_bytes", "Heap marked live by the last completed collection.", func(s S) memstat.Int { return s.Go.HeapLiveBytes }),
		count("memwarden_go_heap_objects_bytes", "Heap in objects, live or not yet swept.", func(s S) memstat.Int { return s.Go.HeapObjectsBytes }),
		count("memwarden_go_heap_unused_bytes", "Heap in spans that hold objects, used by none.", func(s S) memstat.Int { return s.Go.HeapUnusedBytes }),
		count("memwarden_go_heap_free_bytes", "Free heap that is not returned to the operating system.", func(s S) memstat.Int { return s.Go.HeapFreeBytes }),
		count("memwarden_go_heap_released_bytes", "Free heap that is returned to the operating system.", func(s S) memstat.Int { return s.Go.HeapReleasedBytes }),
		count("memwarden_go_heap_goal_bytes", "Heap size at which the next collection ends.", func(s S) memstat.Int { return s.Go.HeapGoalBytes }),
		count("memwarden_go_heap_objects", "Objects on the heap, live or not yet swept.", func(s S) memstat.Int { return s.Go.HeapObjects }),
		count("memwarden_go_stacks_bytes", "Stacks of goroutines and of threads that the runtime made.", func(s S) memstat.Int { return s.Go.StacksBytes }),
		count("memwarden_go_metadata_bytes", "Structures of the runtime itself.", func(s S) memstat.Int { return s.Go.MetadataBytes }),
		count("memwarden_go_total_bytes", "All memory mapped by the Go runtime.", func(s S) memstat.Int { return s.Go.TotalBytes }),
		count("memwarden_go_used_bytes", "Memory of the Go runtime that its memory limit bounds.", func(s S) memstat.Int { return s.Go.UsedBytes }),
		count("memwarden_go_memory_limit_bytes", "Memory limit of the Go runtime (GOMEMLIMIT) in force.", func(s S) memstat.Int { return s.Go.MemoryLimitBytes }),
		count("memwarden_go_gogc_percent", "GOGC in force.", func(s S) memstat.Int { return s.Go.GOGCPercent }),
		count("memwarden_go_goroutines", "Live goroutines.", func(s S) memstat.Int { return s.Go.Goroutines }),
		count("memwarden_go_allocated_bytes_total", "Bytes allocated on the heap since the start.", func(s S) memstat.Int { return s.Go.AllocatedBytes }),
		count("memwarden_go_gc_cycles_total", "Completed collections.", func(s S) memstat.Int { return s.Go.GCCycles }),
		count("memwarden_go_gc_forced_cycles_total", "Completed collections that the program forced.", func(s S) memstat.Int { return s.Go.GCForcedCycles }),
		count("memwarden_go_gc_limiter_last_cycle", "Collection in which the collector's CPU limiter was last active.", func(s S) memstat.Int { return s.Go.GCLimiterLastCycle }),
		ratio("memwarden_go_gc_cpu_seconds_total", "CPU time that the collector took.", func(s S) memstat.Float { return s.Go.GCCPUSeconds }),
		ratio("memwarden_go_cpu_available_seconds_total", "CPU time available to Go code: GOMAXPROCS integrated over time.", func(s S) memstat.Float { return s.Go.CPUSeconds }),
		ratio("memwarden_go_gc_cpu_ratio", "Share of the available CPU that the collector took lately.", func(s S) memstat.Float { return s.Go.GCCPURatio }),
		ratio("memwarden_go_gc_pause_p50_seconds", "Median stop-the-world pause of the collector lately.", func(s S) memstat.Float { return s.Go.GCPauseP50Seconds }),
		ratio("memwarden_go_gc_pause_p99_seconds", "99th percentile of stop-the-world pauses lately.", func(s S) memstat.Float { return s.Go.GCPauseP99Seconds }),
		ratio("memwarden_go_gc_pause_max_seconds", "Longest stop-the-world pause lately.", func(s S) memstat.Float { return s.Go.GCPauseMaxSeconds }),

		count("memwarden_process_rss_bytes", "Resident memory of the process.", func(s S) memstat.Int { return s.Process.RSSBytes }),
		count("memwarden_process_off_heap_bytes", "Resident memory beyond what the Go runtime uses: cgo, mmap, text and data.", func(s S) memstat.Int { return s.Process.OffHeapBytes }),
		count("memwarden_process_peak_rss_bytes", "Highest resident memory so far.", func(s S) memstat.Int { return s.Process.PeakRSSBytes }),
		count("memwarden_process_pss_bytes", "Resident memory, shared pages counted in proportion.", func(s S) memstat.Int { return s.Process.PSSBytes }),
		count("memwarden_process_anonymous_bytes", "Resident memory that no file backs.", func(s S) memstat.Int { return s.Process.AnonymousBytes }),
		count("memwarden_process_swap_bytes", "Memory of the process in swap.", func(s S) memstat.Int { return s.Process.SwapBytes }),
		count("memwarden_process_file_descriptors", "Open file descriptors.", func(s S) memstat.Int { return s.Process.FileDescriptors }),
		count("memwarden_process_max_file_descriptors", "Soft limit of open file descriptors.", func(s S) memstat.Int { return s.Process.MaxFileDescriptors }),
		count("memwarden_process_threads", "Threads of the process.", func(s S) memstat.Int { return s.Process.Threads }),

		count("memwarden_cgroup_version", "Version of the cgroup's memory controller: 1 or 2.", func(s S) memstat.Int { return s.Cgroup.Version }),
		count("memwarden_cgroup_current_bytes", "Memory of the cgroup, page cache included.", func(s S) memstat.Int { return s.Cgroup.CurrentBytes }),
		count("memwarden_cgroup_inactive_file_bytes", "Page cache of the cgroup that can be taken back at once.", func(s S) memstat.Int { return s.Cgroup.InactiveFileBytes }),
		count("memwarden_cgroup_working_set_bytes", "Memory of the cgroup that cannot be taken back at once.", func(s S) memstat.Int { return s.Cgroup.WorkingSetBytes }),
		count("memwarden_cgroup_max_bytes", "Limit of the cgroup: the strictest of its own and its parents'.", func(s S) memstat.Int { return s.Cgroup.MaxBytes }),
		count("memwarden_cgroup_high_bytes", "Use at which the kernel throttles the cgroup.", func(s S) memstat.Int { return s.Cgroup.HighBytes }),
		count("memwarden_cgroup_peak_bytes", "Highest memory of the cgroup so far.", func(s S) memstat.Int { return s.Cgroup.PeakBytes }),
		count("memwarden_cgroup_swap_bytes", "Swap of the cgroup.", func(s S) memstat.Int { return s.Cgroup.SwapBytes }),
		count("memwarden_cgroup_high_events_total", "Times that use went past the throttling mark.", func(s S) memstat.Int { return s.Cgroup.HighEvents }),
		count("memwarden_cgroup_max_events_total", "Times that use was about to pass the limit.", func(s S) memstat.Int { return s.Cgroup.MaxEvents }),
		count("memwarden_cgroup_oom_events_total", "Times that an allocation was about to fail at the limit.", func(s S) memstat.Int { return s.Cgroup.OOMEvents }),
		count("memwarden_cgroup_oom_kill_events_total", "Processes of the cgroup that the kernel killed for memory.", func(s S) memstat.Int { return s.Cgroup.OOMKillEvents }),

		stall("memwarden_psi_some_avg10_ratio", "Share of the last 10 s in which some tasks were stalled on memory.", func(s S) memstat.Float { return s.PSI.SomeAvg10Ratio }),
		stall("memwarden_psi_some_avg60_ratio", "Share of the last 60 s in which some tasks were stalled on memory.", func(s S) memstat.Float { return s.PSI.SomeAvg60Ratio }),
		stall("memwarden_psi_full_avg10_ratio", "Share of the last 10 s in which all tasks were stalled on memory.", func(s S) memstat.Float { return s.PSI.FullAvg10Ratio }),
		stall("memwarden_psi_full_avg60_ratio", "Share of the last 60 s in which all tasks were stalled on memory.", func(s S) memstat.Float { return s.PSI.FullAvg60Ratio }),
		stall("memwarden_psi_some_seconds_total", "Time in which some tasks were stalled on memory.", func(s S) memstat.Float { return s.PSI.SomeSecondsTotal }),
		stall("memwarden_psi_full_seconds_total", "Time in which all tasks were stalled on memory.", func(s S) memstat.Float { return s.PSI.FullSecondsTotal }),

		count("memwarden_system_total_bytes", "Memory of the machine.", func(s S) memstat.Int { return s.System.TotalBytes }),
		count("memwarden_system_available_bytes", "Memory of the machine that can be had without swapping.", func(s S) memstat.Int { return s.System.AvailableBytes }),
		count("memwarden_system_swap_total_bytes", "Swap of the machine.", func(s S) memstat.Int { return s.System.SwapTotalBytes }),
		count("memwarden_system_swap_free_bytes", "Free swap of the machine.", func(s S) memstat.Int { return s.System.SwapFreeBytes }),
	}
}

// labelled is a family with one figure for each parent group, owner or cleanup task.
type labelled[T any] struct {
	Metric
	of func(T) int64
}

func parentMetrics() []labelled[memstat.Parent] {
	type P = memstat.Parent
	family := func(name, help string, of func(P) memstat.Int) labelled[P] {
		return labelled[P]{Metric{name, "group", help}, func(p P) int64 { return of(p).Or(bounded.NotApplicable) }}
	}
	return []labelled[P]{
		family("memwarden_cgroup_parent_max_bytes", "Limit of a parent of the cgroup, which its other groups share.", func(p P) memstat.Int { return p.MaxBytes }),
		family("memwarden_cgroup_parent_high_bytes", "Use at which the kernel throttles a parent of the cgroup.", func(p P) memstat.Int { return p.HighBytes }),
		family("memwarden_cgroup_parent_current_bytes", "Memory of all groups below a parent of the cgroup, page cache included.", func(p P) memstat.Int { return p.CurrentBytes }),
		family("memwarden_cgroup_parent_inactive_file_bytes", "Page cache below a parent of the cgroup that can be taken back at once.", func(p P) memstat.Int { return p.InactiveFileBytes }),
		family("memwarden_cgroup_parent_working_set_bytes", "Memory below a parent of the cgroup that cannot be taken back at once.", func(p P) memstat.Int { return p.WorkingSetBytes }),
		family("memwarden_cgroup_parent_high_events_total", "Times that use went past a parent's own throttling mark.", func(p P) memstat.Int { return p.HighEvents }),
		family("memwarden_cgroup_parent_max_events_total", "Times that use was about to pass a parent's own limit.", func(p P) memstat.Int { return p.MaxEvents }),
		family("memwarden_cgroup_parent_oom_events_total", "Times that an allocation was about to fail at a parent's own limit.", func(p P) memstat.Int { return p.OOMEvents }),
	}
}

func ownerMetrics() []labelled[bounded.Usage] {
	type U = bounded.Usage
	family := func(name, help string, of func(U) int64) labelled[U] {
		return labelled[U]{Metric{name, "owner", help}, of}
	}
	return []labelled[U]{
		family("memwarden_owner_entries", "Entries that an owner holds.", func(u U) int64 { return u.Entries }),
		family("memwarden_owner_max_entries", "Bound on the entries of an owner.", func(u U) int64 { return u.MaxEntries }),
		family("memwarden_owner_peak_entries", "Most entries that an owner held.", func(u U) int64 { return u.PeakEntries }),
		family("memwarden_owner_bytes", "Bytes that an owner holds.", func(u U) int64 { return u.Bytes }),
		family("memwarden_owner_max_bytes", "Bound on the bytes of an owner.", func(u U) int64 { return u.MaxBytes }),
		family("memwarden_owner_peak_bytes", "Most bytes that an owner held.", func(u U) int64 { return u.PeakBytes }),
	}
}

func taskMetrics() []labelled[cleanup.Counts] {
	type C = cleanup.Counts
	family := func(name, help string, of func(C) int64) labelled[C] {
		return labelled[C]{Metric{name, "task", help}, of}
	}
	return []labelled[C]{
		family("memwarden_cleanup_runs_total", "Runs of a cleanup task.", func(c C) int64 { return c.Runs }),
		family("memwarden_cleanup_failures_total", "Runs of a cleanup task that failed, timeouts and panics among them.", func(c C) int64 { return c.Failures }),
		family("memwarden_cleanup_timeouts_total", "Runs of a cleanup task that had not returned by its timeout.", func(c C) int64 { return c.Timeouts }),
		family("memwarden_cleanup_panics_total", "Runs of a cleanup task that panicked.", func(c C) int64 { return c.Panics }),
		family("memwarden_cleanup_freed_bytes_total", "Bytes that a cleanup task says it freed.", func(c C) int64 { return c.FreedBytes }),
	}
}

// stateMetric is a family with one figure of the state.
type stateMetric struct {
	Metric
	of       func(*memwarden.State) int64
	governed bool // there is none of a process watched from outside
}

func stateMetrics() []stateMetric {
	type S = *memwarden.State
	family := func(name, help string, of func(S) int64) stateMetric {
		return stateMetric{Metric{Name: name, Help: help}, of, strings.HasPrefix(name, "memwarden_gc_")}
	}
	return []stateMetric{
		family("memwarden_pressure_level", "Pressure level: 0 normal, 1 elevated, 2 high, 3 critical.", func(s S) int64 { return int64(s.Pressure.Level) }),
		family("memwarden_sample_problems", "Sources of figures that exist but could not be read or understood.", func(s S) int64 { return int64(len(s.Problems)) }),
		family("memwarden_gc_spirals_total", "Death spirals of the collector under its memory limit.", func(s S) int64 { return s.Relief.SpiralsTotal }),
		family("memwarden_gc_reliefs_total", "Times that the memory limit was raised to end a death spiral.", func(s S) int64 { return s.Relief.ReliefsTotal }),
		family("memwarden_gc_reliefs_impossible_total", "Death spirals in which the memory limit was not the warden's to raise.", func(s S) int64 { return s.Relief.ImpossibleTotal }),
	}
}

var (
	signalMetric = Metric{"memwarden_pressure_signal_ratio", "signal", "Use of a limit, by signal."}
	uptimeMetric = Metric{Name: "memwarden_uptime_seconds", Help: "Time since the warden started."}
	configMetric = Metric{Name: "memwarden_config_version", Help: "Version of the configuration in force."}
	leakMetric   = Metric{"memwarden_leak_verdict", "kind", "Does a figure grow as a leak does: 0 insufficient data, 1 healthy, 2 watch, 3 suspect, 4 confirmed."}
)

// Metrics lists every family that /metrics can expose by itself, in its order.
func Metrics() []Metric {
	var list []Metric
	for _, m := range sampleMetrics() {
		list = append(list, m.Metric)
	}
	for _, m := range parentMetrics() {
		list = append(list, m.Metric)
	}
	for _, m := range stateMetrics() {
		list = append(list, m.Metric)
	}
	list = append(list, signalMetric, uptimeMetric, configMetric, leakMetric)
	for _, m := range ownerMetrics() {
		list = append(list, m.Metric)
	}
	for _, m := range taskMetrics() {
		list = append(list, m.Metric)
	}
	return list
}

func (h *handler) serveMetrics(w http.ResponseWriter, r *http.Request) {
	state := h.warden.State()
	body, err := h.metrics.get(state.Sequence, func() ([]byte, error) { return h.encodeMetrics(state), nil })
	if err != nil {
		h.internal(w, r, "encode metrics", err)
		return
	}
	writeBody(w, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", body)
}

// encodeMetrics writes the Prometheus text format. Absent figures have no line.
func (h *handler) encodeMetrics(state *memwarden.State) []byte {
	out := exposition{text: make([]byte, 0, 16<<10)} // some 12 KiB
	for _, m := range sampleMetrics() {
		if value, ok := m.of(&state.Sample); ok {
			out.value(m.Metric, state.Sample.PSI.Scope, value)
		}
	}
	parents := state.Sample.Cgroup.Parents.List()
	for _, m := range parentMetrics() {
		for _, parent := range parents {
			if value := m.of(parent); value != bounded.NotApplicable {
				out.value(m.Metric, parent.Path, float64(value))
			}
		}
	}
	for _, m := range stateMetrics() {
		if !m.governed || !h.warden.Remote() {
			out.value(m.Metric, "", float64(m.of(state)))
		}
	}
	for _, s := range state.Pressure.Signals() {
		out.value(signalMetric, string(s.Name), s.Ratio)
	}
	out.value(uptimeMetric, "", h.warden.Uptime().Seconds())
	out.value(configMetric, "", float64(h.warden.Config().Version))
	for _, f := range h.warden.Leaks().Findings {
		out.value(leakMetric, f.Kind.String(), float64(f.Verdict))
	}
	for _, m := range ownerMetrics() {
		for _, owner := range state.Owners {
			if value := m.of(owner.Usage); value != bounded.NotApplicable {
				out.value(m.Metric, owner.Name, float64(value))
			}
		}
	}
	tasks := h.warden.Cleanup().Status()
	for _, m := range taskMetrics() {
		for _, task := range tasks {
			out.value(m.Metric, task.Name, float64(m.of(task.Counts)))
		}
	}
	for _, source := range h.o.Metrics {
		for _, figure := range source.Figures() {
			out.value(source.Metric, figure.Label, figure.Value)
		}
	}
	return out.text
}

// exposition is a text in Prometheus' format.
type exposition struct {
	text   []byte
	family string // the newest
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// value writes a figure, and what is to be known of its family before the first. label is left out by families without
// one.
func (e *exposition) value(m Metric, label string, value float64) {
	if e.family != m.Name {
		e.family = m.Name
		e.text = append(e.text, "# HELP "+m.Name+" "+m.Help+"\n# TYPE "+m.Name+" "+m.Type()+"\n"...)
	}
	e.text = append(e.text, m.Name...)
	if m.Label != "" {
		e.text = append(e.text, "{"+m.Label+`="`+labelEscaper.Replace(strings.ToValidUTF8(label, "\uFFFD"))+`"}`...)
	}
	e.text = append(e.text, ' ')
	if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
		e.text = strconv.AppendInt(e.text, int64(value), 10) // whole bytes read better than 5.36870912e+08
	} else {
		e.text = strconv.AppendFloat(e.text, value, 'g', -1, 64)
	}
	e.text = append(e.text, '\n')
}
