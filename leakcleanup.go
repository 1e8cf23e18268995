package memwarden

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/gcpolicy"
	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/memstat"
)

const (
	// collectionPatience is how long is waited for forced collections to have had no more than their share of the time.
	collectionPatience = time.Minute
	// hurry is how long cleanup tasks, or that, may take under pressure, when owners wait to shrink.
	hurry = 2 * time.Second
	// worthwhile is the share of the live heap, of the resident memory or of goroutines that must go for it to be worth it,
	// leastWorth the least number of bytes, and leastGone of goroutines.
	worthwhile, leastWorth, leastGone = 0.05, 4 << 20, 20
)

// leakBudget keeps cleaning up from becoming a loop.
func leakBudget() cleanup.Budget {
	return cleanup.Budget{PerHour: 4, MinWait: 5 * time.Minute, MaxWait: 6 * time.Hour}
}

// leakCleaner knows what was done about the leaks that are seen now.
type leakCleaner struct {
	mu      sync.Mutex
	busy    bool // it is cleaned up at the moment
	spent   cleanup.Spent
	reports map[string]LeakReport // the newest by kind, as far as it is the warden's own
	early   map[string][]string   // what was done about cases that are still looked into, of which there are no more than kinds
}

// begin takes the right to clean up; end gives it back. It is refused while somebody has it, and by the budget; why says so.
func (c *leakCleaner) begin(now time.Time) (ok bool, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy {
		return false, "it is cleaned up at the moment"
	}
	allowed, reason, retryAfter := leakBudget().Allow(c.spent, now)
	if !allowed {
		return false, fmt.Sprintf("%s: not before %s", reason, retryAfter.Round(time.Second))
	}
	c.busy = true
	return true, ""
}

func (c *leakCleaner) end(worth bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.spent = false, leakBudget().Record(c.spent, worth, now)
}

// over forgets a case. What is found next need not wait because little came of this one.
func (c *leakCleaner) over(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.reports, func(_ string, r LeakReport) bool { return r.Case == name })
	delete(c.early, name)
	c.spent = c.spent.Renewed()
}

// forget forgets all cases.
func (c *leakCleaner) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports, c.early = nil, nil
}

// reportCase reports what was found about a case, with what was done about it before.
func (w *Warden) reportCase(r LeakReport) {
	c := &w.cleaner
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reports == nil {
		c.reports = map[string]LeakReport{}
	}
	if known := c.reports[r.Kind]; known.Case == r.Case {
		r.Actions = known.Actions
	} else {
		r.Actions = c.early[r.Case]
	}
	delete(c.early, r.Case)
	c.reports[r.Kind] = r
	w.queueReport(r)
}

// noteActions reports a case anew, with the newest of what was done about it.
func (w *Warden) noteActions(ctx context.Context, name string, actions []string) {
	settled := w.settledAs(ctx, name)
	c := &w.cleaner
	c.mu.Lock()
	defer c.mu.Unlock()
	var r LeakReport
	for _, known := range c.reports {
		if known.Case == name {
			r = known
		}
	}
	if r.Case == "" {
		if w.openLeaks.has(name) { // what it is of is still looked for
			if c.early == nil {
				c.early = map[string][]string{}
			}
			c.early[name] = newestLines(c.early[name], actions)
		}
		return
	}
	r.Actions = newestLines(r.Actions, actions)
	c.reports[r.Kind] = r
	r.LastSeen = w.o.Now()
	if settled != "" {
		r.Status = settled
	}
	w.openLeaks.keep(KeptLeak{LeakReport: r}, r.LastSeen)
	w.queueReport(w.openLeaks.current(r))
}

// newestLines are those that a report has room for, in an array of their own.
func newestLines(before, more []string) []string {
	all := append(slices.Clip(before), more...)
	return all[max(0, len(all)-maxLeakLines):]
}

// queueReport waits for nothing: reports of a case must come in their order.
func (w *Warden) queueReport(r LeakReport) {
	if err := w.ReportLeak(done(), r); err != nil && !w.stopped() {
		w.o.Logger.Error("memory leak report could not be kept", "error", err, "sentence", r.Sentence, "actions", r.Actions)
	}
}

// settledAs is what somebody has said of a case: acknowledged or dismissed, or nothing. Where the store does not say, it is what
// is known of it here.
func (w *Warden) settledAs(ctx context.Context, name string) (status string) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := w.eachLeak(ctx, func(l KeptLeak, newest bool) bool {
		if found := newest && l.Case == name; !found {
			return true
		} else if l.Status == LeakAcknowledged || l.Status == LeakDismissed {
			status = l.Status
		}
		return false
	})
	if err != nil {
		if !w.stopped() {
			w.o.Logger.Error("memory leak reports cannot be read, so that it is not known what was said of one", "case", name, "error", err)
		}
		if w.openLeaks.acknowledged(name) {
			return LeakAcknowledged
		}
	}
	return status
}

// leaking are the leaks that are seen now and were not dismissed, if it may be cleaned up after them.
func (w *Warden) leaking() (list []leak.Finding) {
	if c := w.config.config().Leaks; !c.Enabled || c.Paused || !c.AutoCleanup {
		return nil
	}
	for _, f := range w.Leaks().Findings {
		if f.Verdict >= leak.Suspect && !w.quietLeaks.has(caseOf(f)) {
			list = append(list, f)
		}
	}
	return list
}

// cleanUpConfirmed cleans up after a leak, if it may and the leak is still there. Owners are asked for what has leaked.
func (w *Warden) cleanUpConfirmed(ctx context.Context, f leak.Finding) {
	leaks := slices.DeleteFunc(w.leaking(), func(now leak.Finding) bool { return caseOf(now) != caseOf(f) })
	if len(leaks) == 0 {
		return
	}
	if ok, why := w.cleaner.begin(w.o.Now()); !ok {
		w.o.Logger.Info("memory leak is not cleaned up after", "kind", f.Kind.String(), "reason", why)
		return
	}
	c := &cleaning{w: w, leaks: leaks}
	if f.Kind == leak.Heap || f.Kind == leak.Native {
		c.bytes = int64(leaks[0].Rise)
	}
	c.run(ctx, "the leak is confirmed")
}

// cleanUpUnderPressure cleans up after the leaks that are seen, and reports whether it might and did. Owners are asked for
// what is too much.
func (w *Warden) cleanUpUnderPressure(ctx context.Context, state *State) bool {
	if w.Remote() {
		return false
	}
	leaks := w.leaking()
	if len(leaks) == 0 {
		return false
	}
	if ok, _ := w.cleaner.begin(w.o.Now()); !ok { // asked again with the next state: nothing to log
		return false
	}
	c := &cleaning{w: w, leaks: leaks, bytes: max(0, w.excess(state)), hurried: true}
	c.run(ctx, "pressure is "+state.Pressure.Level.String())
	return true
}

// cleaning is cleaning up once.
type cleaning struct {
	w       *Warden
	leaks   []leak.Finding
	bytes   int64 // that owners are asked for
	hurried bool  // nothing is measured but at the end

	last     gcpolicy.Figures // measured
	returned float64          // the share of the resident memory
	actions  []string
	pending  []string // actions that nothing is known of yet but what those who acted say
}

// run keeps evidence, has the cleanup tasks run that are meant for leaks, owners shrink, a collection forced, and memory returned to the
// operating system; each step with what it brought, by the live heap that collections find. It is called by who has begun.
func (c *cleaning) run(ctx context.Context, why string) {
	w, goroutines := c.w, runtime.NumGoroutine()
	first := gcpolicy.FiguresOf(&w.State().Sample)
	c.last = first
	c.note("cleaned up at %s: %s", w.o.Now().UTC().Format(time.RFC3339), why)
	c.keepEvidence(ctx, why)
	c.runTasks(ctx)
	c.shrink(ctx)
	c.measure(ctx, true)
	left := runtime.NumGoroutine()
	if slices.ContainsFunc(c.leaks, func(f leak.Finding) bool { return f.Kind == leak.Goroutines }) {
		c.note("goroutines went from %d to %d", goroutines, left)
	}
	worth := gone(first.HeapLiveBytes, c.last.HeapLiveBytes) >= worthwhile || c.returned >= worthwhile ||
		goroutines-left >= max(leastGone, int(worthwhile*float64(goroutines)))
	w.cleaner.end(worth, w.o.Now())
	w.o.Logger.Info("memory leak is cleaned up after", "actions", c.actions)
	if c.hurried {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, hurry) // the store may hang
		defer cancel()
	}
	for _, f := range c.leaks {
		w.noteActions(ctx, caseOf(f), c.actions)
	}
}

// gone is the share of a figure that is gone; 0 where that is not known, or hardly anything.
func gone(before, after memstat.Int) float64 {
	b, known := before.Get()
	a, knownToo := after.Get()
	if !known || !knownToo || b-a < leastWorth {
		return 0
	}
	return float64(b-a) / float64(b)
}

func (c *cleaning) note(format string, args ...any) {
	c.actions = append(c.actions, fmt.Sprintf(format, args...))
}

// keepEvidence writes an incident bundle, where any are written: what is cleaned away nobody can look at afterwards. The
// heap snapshot of a confirmed leak, where one is allowed, was taken when it was looked into; under pressure nothing waits for it.
func (c *cleaning) keepEvidence(ctx context.Context, why string) {
	ctx, cancel := context.WithTimeout(ctx, hurry)
	defer cancel()
	record, err := c.w.recordIncident(ctx, incident.Cleanup, "to be cleaned up after a leak: "+why)
	switch {
	case err == nil:
		c.note("kept evidence: incident bundle %s", record.ID)
	case !errors.Is(err, ErrNoIncidents):
		c.note("no incident bundle: %s", oneLine(err.Error()))
	}
}

// runTasks runs the cleanup tasks that are meant for leaks.
func (c *cleaning) runTasks(ctx context.Context) {
	limited, cancel := context.WithCancel(ctx)
	if c.hurried {
		limited, cancel = context.WithTimeout(ctx, hurry)
	}
	defer cancel()
	results := c.w.cleanup.RunAll(limited, cleanup.Leak)
	if len(results) == 0 {
		c.note("no cleanup task is meant for leaks")
		return
	}
	var did []string
	for _, r := range results {
		if r.Err != nil {
			did = append(did, oneLine(r.Err.Error()))
		} else {
			did = append(did, fmt.Sprintf("%s (%s by its own account)", r.Task, bytesize.Format(r.FreedBytes)))
		}
	}
	c.pending = append(c.pending, "ran cleanup tasks: "+strings.Join(did, ", "))
	if !c.hurried && c.bytes > 0 {
		c.measure(ctx, false)
	}
}

// shrink has owners shrink, while the reaction to pressure does not.
func (c *cleaning) shrink(ctx context.Context) {
	if c.bytes <= 0 {
		return
	}
	c.w.shrinking.Lock()
	defer c.w.shrinking.Unlock()
	var did []string
	for _, owner := range c.w.owners.shrink(ctx, c.bytes) {
		did = append(did, fmt.Sprintf("%s (%s by its own account)", owner.name, bytesize.Format(owner.bytes)))
	}
	if len(did) == 0 {
		c.note("no owner had anything to give")
		return
	}
	c.pending = append(c.pending, "shrank "+strings.Join(did, ", "))
}

// measure collects, and notes what came of what was done since it was measured last, and of the collection.
func (c *cleaning) measure(ctx context.Context, atLast bool) {
	result, err := c.collect(ctx, gcpolicy.Request{
		Reason: "to clean up after a leak", Force: true, ReturnToOS: atLast && c.w.config.config().GC.ReturnToOS,
	})
	effect := "not measured"
	if err == nil && result.Ran {
		effect = change(c.last.HeapLiveBytes, result.After.HeapLiveBytes)
		c.last = result.After
	}
	for _, did := range c.pending {
		if len(c.pending) == 1 {
			did += ": " + effect
		}
		c.note("%s", did)
	}
	if len(c.pending) > 1 {
		c.note("together: %s", effect)
	}
	c.pending = nil
	switch {
	case err != nil:
		c.note("not collected: %s", oneLine(err.Error()))
	case !result.Ran:
		c.note("not collected: %s", result.Reason)
	case atLast:
		c.returned = gone(result.Before.RSSBytes, result.After.RSSBytes)
		c.note("collected: %s freed, %s returned to the operating system; live heap %s; resident memory %s", sizeOf(result.FreedBytes),
			sizeOf(result.ReturnedBytes), sizeOf(result.After.HeapLiveBytes), change(result.Before.RSSBytes, result.After.RSSBytes))
	}
}

// change tells by how much a figure has become less.
func change(before, after memstat.Int) string {
	b, known := before.Get()
	a, knownToo := after.Get()
	switch {
	case !known || !knownToo:
		return "not known"
	case a < b:
		return fmt.Sprintf("%s freed, from %s to %s", bytesize.Format(b-a), bytesize.Format(b), bytesize.Format(a))
	}
	return fmt.Sprintf("nothing freed, from %s to %s", bytesize.Format(b), bytesize.Format(a))
}

// collect forces a collection as soon as forced collections have had no more than their share of the time.
func (c *cleaning) collect(ctx context.Context, request gcpolicy.Request) (gcpolicy.Result, error) {
	patience := collectionPatience
	if c.hurried {
		patience = hurry
	}
	for waited := time.Duration(0); ; {
		result, err := c.w.collect(ctx, request)
		if err != nil || result.Ran || waited+result.RetryAfter > patience {
			return result, err
		}
		wait := max(result.RetryAfter, time.Millisecond)
		select {
		case <-time.After(wait):
			waited += wait
		case <-ctx.Done():
			return result, context.Cause(ctx)
		}
	}
}
