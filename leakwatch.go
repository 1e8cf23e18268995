package memwarden

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/memstat"
)

// LeakStatus is what is thought of the process.
type LeakStatus struct {
	CheckedAt time.Time
	Paused    bool           // what is thought is of CheckedAt, and nothing is looked at now
	Verdict   leak.Verdict   // the worst of the findings that were not dismissed
	Findings  []leak.Finding // by kind; none while detection is off, or another process is watched
	Inputs    []LeakInputs   // what each of the findings was made from
}

// LeakInputs are what a finding was made from, and what comes of it. What is not known is NaN.
type LeakInputs struct {
	// Value is what the figure is: bytes, or how many; of the heap what is live less Owned, the bytes that owners account
	// for. Owned is 0 for other kinds, and NaN where owners claim more than there is: then nothing is taken off.
	Value, Owned float64
	// Load is what Options.Load said.
	Load float64
	// Window is the one that the finding is about, or the shortest.
	Window time.Duration
	// Limit is what the figure can grow to as all else stands, in bytes or how many, and TimeToLimitSeconds how long it takes
	// until then if it goes on like this.
	Limit, TimeToLimitSeconds float64
}

// LeakFinding is a finding and what it was made from.
type LeakFinding struct {
	leak.Finding

	Inputs LeakInputs
}

// Leaks returns what is thought of the process; it computes nothing.
func (w *Warden) Leaks() LeakStatus {
	if s := w.leakStatus.Load(); s != nil {
		return *s
	}
	return LeakStatus{}
}

// CheckLeaks forces a collection, looks at the process at once, and returns what is thought of it then. It makes no window
// shorter: what was not watched for long enough is not known better by it. ErrLeaksOff: detection is switched off;
// ErrLeaksPaused: it is paused.
func (w *Warden) CheckLeaks(ctx context.Context) (LeakStatus, error) {
	if w.Remote() {
		return LeakStatus{}, ErrRemote
	}
	answer := make(chan LeakStatus, 1)
	select {
	case w.leakChecks <- answer:
	case <-ctx.Done():
		return LeakStatus{}, context.Cause(ctx)
	case <-w.done:
		return LeakStatus{}, ErrClosed
	}
	select {
	case status := <-answer:
		switch {
		case status.CheckedAt.IsZero():
			return status, ErrLeaksOff
		case status.Paused:
			return status, ErrLeaksPaused
		}
		return status, nil
	case <-ctx.Done():
		return LeakStatus{}, context.Cause(ctx)
	case <-w.done:
		return LeakStatus{}, ErrClosed
	}
}

const (
	// collectionsPerWindow is how often in a window the live heap must be known anew; where the program collects less
	// often, collections are forced.
	collectionsPerWindow = 8
	// quickWindow is up to where it is done twice as often: by two or three times in a third of the window it is hardly
	// known how much that rose. Longer windows have more, as programs collect by themselves at least each two minutes.
	quickWindow = 2 * time.Minute
	// collectionShare is the share of one processor that forced collections may take.
	collectionShare = 0.05
	// readsPerWindow is how often in a window descriptors and threads must be counted.
	readsPerWindow = 24
)

// leakWatch looks at the process, time and again. Only the goroutine of watchLeaks touches it.
type leakWatch struct {
	w        *Warden
	config   LeakConfig
	detector *leak.Detector // nil: off
	told     []leak.Finding // last, by kind
	waiting  []leakCase     // for which the investigator has no room yet, the newest of each kind
	read     []metrics.Sample
	cycles   uint64    // collections so far
	known    time.Time // since when the live heap has not been known anew
	swept    time.Time // when abandoned goroutines were last to be looked for
	notUntil time.Time // before that no collection may be forced
	owned    float64   // what owners accounted for when the live heap was known anew; NaN: they were not believed
	counted  uint64    // collections by then
	doubted  bool      // the owners are not believed, which was told
	silent   string    // an owner that could not tell what it holds, which was told; empty: all could
	overdue  bool      // there were tracked objects that should be gone, when it was last looked
	refused  int64     // objects that could not be tracked, as was told last
	kept     time.Time // when it was last seen to that reports of what goes on are kept
}

// askPatience is how long it is waited for what is dismissed before a leak is told of.
const askPatience = 2 * time.Second

// What leakWatch reads from the runtime, in this order.
const (
	readLive = iota
	readGoroutines
	readCycles
	readCPU
	readObjects
)

// newLeakWatch is ready to look; what is thought of the process before it has is that nothing is known.
func (w *Warden) newLeakWatch() *leakWatch {
	l := &leakWatch{w: w, read: []metrics.Sample{
		readLive: {Name: "/gc/heap/live:bytes"}, readGoroutines: {Name: "/sched/goroutines:goroutines"},
		readCycles: {Name: "/gc/cycles/total:gc-cycles"}, readCPU: {Name: "/cpu/classes/gc/total:cpu-seconds"},
		readObjects: {Name: "/memory/classes/heap/objects:bytes"},
	}}
	l.adopt(w.config.config().Leaks)
	if l.detector != nil {
		findings := l.detector.Findings()
		w.leakStatus.Store(&LeakStatus{CheckedAt: w.o.Now(), Findings: findings, Inputs: l.inputs(findings, leak.NothingSeen(), math.NaN())})
	}
	return l
}

// watchLeaks looks at each interval, and at once when it is asked to.
func (w *Warden) watchLeaks(ctx context.Context, l *leakWatch) {
	interval := l.config.interval()
	ticker := time.NewTicker(interval) // see loop
	defer ticker.Stop()
	for {
		var asked chan<- LeakStatus
		select {
		case <-ticker.C:
		case asked = <-w.leakChecks:
		case <-ctx.Done():
			return
		}
		l.adopt(w.config.config().Leaks)
		status := LeakStatus{}
		switch {
		case l.detector == nil:
		case l.config.Paused:
			status = w.Leaks()
			status.Paused = true
		default:
			status = l.look(ctx, w.o.Now(), asked != nil)
			l.lookAtTracked(status.CheckedAt)
		}
		w.leakStatus.Store(&status)
		if l.detector == nil {
			w.openLeaks.watch(w.o.Now(), nil)
		}
		l.keepOpen(w.o.Now())
		if asked != nil {
			asked <- status
		}
		if now := l.config.interval(); now != interval {
			interval = now
			ticker.Reset(interval)
		}
	}
}

// adopt takes in a configuration. Of one that judges by other times nothing that was seen is of use but the leaks that are
// suspected; who follows the events is told of all other figures that it is watched anew.
func (l *leakWatch) adopt(c LeakConfig) {
	defer func() { l.w.leakDetector.Store(l.detector) }()
	old := l.config
	l.config = c
	if old.Paused && !c.Paused && l.detector != nil {
		l.detector.Resume()
	}
	// They change nothing about what was seen.
	old.Paused, old.Snapshots, old.GoroutineProfile = c.Paused, c.Snapshots, c.GoroutineProfile
	old.TrackCollections, old.AutoCleanup = c.TrackCollections, c.AutoCleanup
	if c == old {
		return
	}
	if !c.Enabled {
		l.detector, l.waiting = nil, nil
		l.w.cleaner.forget()
		return
	}
	o := leak.Options{Window: seconds(c.WindowSeconds), Interval: c.interval(), MinRise: c.MinRiseRatio}
	var err error
	switch before := l.detector; {
	case before == nil:
		l.detector, err = leak.NewDetector(o)
		l.told = make([]leak.Finding, len(leak.Kinds()))
		l.begin()
	case old.WindowSeconds == c.WindowSeconds && old.interval() == c.interval():
		err = before.SetMinRise(c.MinRiseRatio)
	default:
		l.detector, err = before.Anew(o)
		l.begin()
		l.w.o.Logger.Info("memory leak detection begins anew, as its times were changed: leaks that were suspected are so still",
			"window", o.Window, "interval", o.Interval)
	}
	if err != nil {
		l.detector = nil
		l.w.o.Logger.Error("memory leak detection: the configuration is refused", "error", err)
	}
}

// begin counts from now what is done at times, and has the detector know what there is now.
func (l *leakWatch) begin() {
	l.known, l.notUntil, l.swept = l.w.o.Now(), time.Time{}, l.w.o.Now()
	if l.detector != nil && !l.config.Paused {
		l.detector.Add(l.w.o.Now(), leak.NothingSeen()) // time counts from here on
		l.addSites()
	}
}

// addSites tells the detector of sites where it is due.
func (l *leakWatch) addSites() {
	if l.detector.SitesDue(leak.Heap) {
		sites, _ := heapSites()
		l.detector.AddSites(leak.Heap, sites)
	}
	if l.detector.SitesDue(leak.Goroutines) {
		sites, _ := goroutineSites()
		l.detector.AddSites(leak.Goroutines, sites)
	}
}

// look reads, judges and tells.
func (l *leakWatch) look(ctx context.Context, now time.Time, asked bool) LeakStatus {
	metrics.Read(l.read)
	if now.Before(l.known) { // a clock was set back
		l.known, l.notUntil = now, now
	}
	if cycles := l.read[readCycles].Value.Uint64(); cycles != l.cycles {
		l.cycles, l.known = cycles, now
	}
	every := seconds(l.config.WindowSeconds) / collectionsPerWindow
	if every <= quickWindow/collectionsPerWindow {
		every /= 2
	}
	if due := now.Sub(l.known) >= every && !now.Before(l.notUntil); due || asked {
		l.collect(now)
	}
	seen, owned := l.observe()
	l.detector.Add(now, seen)
	l.addSites()
	if since := now.Sub(l.swept); l.config.GoroutineProfile && (asked || since < 0 || since >= seconds(l.config.WindowSeconds)) {
		l.swept = now
		l.w.dueSweep()
	}
	status := LeakStatus{CheckedAt: now, Findings: l.detector.Findings()}
	status.Inputs = l.inputs(status.Findings, seen, owned)
	var open []isOpen
	for i, f := range status.Findings {
		if f.Verdict >= leak.Suspect {
			left := status.Inputs[i].TimeToLimitSeconds
			if math.IsNaN(left) {
				left = 0
			}
			open = append(open, isOpen{f, left})
		}
	}
	l.w.openLeaks.watch(now, open)
	for i, f := range status.Findings {
		another := f.Verdict >= leak.Suspect && !f.Since.Equal(l.told[i].Since) // in the place of one that is still suspected
		if another || f.Verdict != l.told[i].Verdict {
			l.tell(ctx, LeakFinding{f, status.Inputs[i]}, l.told[i])
			l.told[i] = f
		}
		if f.Verdict < leak.Suspect || !l.w.quietLeaks.has(caseOf(f)) {
			status.Verdict = max(status.Verdict, f.Verdict)
		}
	}
	l.handOver()
	return status
}

// inputs are what findings were made from.
func (l *leakWatch) inputs(findings []leak.Finding, seen leak.Observation, owned float64) []LeakInputs {
	all := make([]LeakInputs, len(findings))
	for i, f := range findings {
		in := LeakInputs{Value: seen.Values[f.Kind], Load: seen.Load, Window: f.Window, Limit: math.NaN(), TimeToLimitSeconds: math.NaN()}
		if f.Kind == leak.Heap {
			in.Owned = owned
		}
		if in.Load < 0 || math.IsInf(in.Load, 0) {
			in.Load = math.NaN() // as the detector has it
		}
		if in.Window == 0 {
			in.Window = seconds(l.config.WindowSeconds)
		}
		limited := f
		if f.Verdict < leak.Watch {
			limited.To = in.Value
		}
		if limit := l.w.ceiling(limited); limit > 0 {
			in.Limit = limit
		}
		if left, ok := f.Left(in.Limit); ok {
			in.TimeToLimitSeconds = left.Seconds()
		}
		all[i] = in
	}
	return all
}

// keepOpen has it seen to, now and then, that the leaks that go on are among the reports that are kept.
func (l *leakWatch) keepOpen(now time.Time) {
	interval, _ := l.w.refreshPauses()
	if l.w.openLeaks.anyUntold() {
		interval = min(interval, untoldInterval)
	}
	if since := now.Sub(l.kept); since >= 0 && since < interval || !l.w.openLeaks.any() {
		return
	}
	l.kept = now
	select {
	case l.w.refreshDue <- struct{}{}:
	default: // it is due already
	}
}

// slowInterval is how old may be what is read less often: not so old that the shortest window would show it as stairs.
func (w *Warden) slowInterval(c Config) time.Duration {
	slow := c.Sampling.SlowIntervalSeconds
	if c.Leaks.Enabled && !w.Remote() {
		slow = min(slow, max(c.Sampling.IntervalSeconds, c.Leaks.WindowSeconds/readsPerWindow))
	}
	return seconds(slow)
}

// collect forces a collection, without which nothing is known of the live heap, and sees to it that such collections
// take no more than their share of a processor.
func (l *leakWatch) collect(now time.Time) {
	before := l.read[readCPU].Value.Float64()
	taken, known := processorSeconds()
	runtime.GC()
	metrics.Read(l.read)
	cost := max(0, l.read[readCPU].Value.Float64()-before)
	if now, ok := processorSeconds(); known && ok {
		cost = min(cost, now-taken) // the runtime goes by the clock, also while it waits for a processor
	}
	l.cycles, l.known = l.read[readCycles].Value.Uint64(), now
	l.notUntil = now.Add(seconds(cost / collectionShare))
}

// observe is what is seen now, and what owners account for within their bounds; NaN: they are not believed, or the live heap
// is not known.
func (l *leakWatch) observe() (o leak.Observation, owned float64) {
	o = leak.NothingSeen()
	state := l.w.State()
	owned = math.NaN()
	if live := float64(l.read[readLive].Value.Uint64()); live > 0 { // there was a collection
		if l.counted != l.cycles {
			l.counted, l.owned = l.cycles, l.count(state.Owners)
		}
		if owned = l.owned; l.silent == "" {
			o.Owned = owned
		}
		o.Values[leak.Heap] = live
		if owned > 0 { // else nothing, or it is not believed
			o.Values[leak.Heap] = max(0, live-owned)
		}
	}
	o.Values[leak.Goroutines] = float64(l.read[readGoroutines].Value.Uint64())
	process := &state.Sample.Process
	for _, figure := range [...]struct {
		kind  leak.Kind
		value memstat.Int
	}{{leak.Native, process.OffHeapBytes}, {leak.Descriptors, process.FileDescriptors}, {leak.Threads, process.Threads}} {
		if n, ok := figure.value.Get(); ok {
			o.Values[figure.kind] = float64(n)
		}
	}
	if l.w.o.Load != nil {
		o.Load = l.load()
	}
	return o, owned
}

// count adds up what owners account for on the heap. It is done when the live heap is known anew, so that both are of one
// time: an owner that grows would else account for what that heap does not have yet. NaN: owners that claim more than all
// objects there are, within their bounds or not, are not believed, which is logged when it begins. So is that an owner cannot
// tell what it holds: the others account for what is theirs, but no site is judged by itself, because it could be that one's.
func (l *leakWatch) count(owners []OwnerUsage) float64 {
	owned, claimed, silent := 0.0, 0.0, ""
	for i := range owners {
		u := &owners[i]
		owned += u.accounted()
		switch {
		case u.OutsideHeap:
		case u.Err != nil:
			silent = u.Name
		default:
			claimed += float64(max(0, u.Usage.Bytes))
		}
	}
	if silent != "" && l.silent == "" {
		l.w.o.Logger.Warn("memory leak detection: an owner cannot tell what it holds: no site is judged by itself meanwhile", "owner", silent)
	}
	l.silent = silent
	objects := float64(l.read[readObjects].Value.Uint64())
	if claimed <= objects {
		l.doubted = false
		return owned
	}
	if !l.doubted {
		l.doubted = true
		l.w.o.Logger.Warn("memory leak detection: owners account for more than there is: what they say is left out",
			"owned", sizeOf(memstat.Known(int64(claimed))), "objects", sizeOf(memstat.Known(int64(objects))))
	}
	return math.NaN()
}

// load asks the program for its load. One that panics has none.
func (l *leakWatch) load() (load float64) {
	defer func() {
		if reason := recover(); reason != nil {
			load = math.NaN()
			l.w.o.Logger.Error("memory leak detection: Options.Load panicked", "reason", fmt.Sprint(reason))
		}
	}()
	return l.w.o.Load()
}
