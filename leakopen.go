package memwarden

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/memwarden/memwarden/internal/sorting"
	"github.com/memwarden/memwarden/leak"
)

const (
	// maxOpenLeaks bounds the leaks that are known to go on; more of them are not reported anew, but for those of findings.
	maxOpenLeaks = 128
	// refreshInterval is how often it is seen to that the leaks that go on are among the reports that are kept, and
	// refreshAge how old such a report becomes: of each leak there are no more than 24 a day. Where reports are kept for
	// less than four hours it is a quarter and a half of that.
	refreshInterval = 10 * time.Minute
	refreshAge      = time.Hour
	// untoldInterval is how often it is tried to keep a report that the store has refused.
	untoldInterval = time.Minute
)

// openLeaks are the leaks that go on, by their cases: what was reported of each, and what is seen of it since. A report
// tells what was found when the verdict changed; who reads it is told what is so now. It is safe for concurrent use; the
// zero value is ready.
type openLeaks struct {
	mu     sync.Mutex
	by     map[string]*openLeak // at most maxOpenLeaks, and one of each kind of findings
	untold map[string]bool      // those whose last report the store refused, so that nobody was told of it; at most maxOpenLeaks
}

// openLeak is what is known of one.
type openLeak struct {
	report LeakReport // as it was reported last; zero: it was not yet
	kept   time.Time  // when that was
	id     int64      // of the newest report that the store has taken; 0: it has not taken any
	seen   time.Time

	// What follows is of those that a finding tells of.
	watched bool
	finding leak.Finding
	left    float64 // seconds to the limit; 0: not known
	what    string  // what the report says beyond the finding
	at      float64 // what the figure was when it said so
}

// isOpen is a finding that is a suspicion or worse, and the seconds to the limit.
type isOpen struct {
	finding leak.Finding
	left    float64
}

// watch takes in all findings that tell of a leak now; other leaks that findings told of are over.
func (o *openLeaks) watch(now time.Time, all []isOpen) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, known := range o.by {
		if known.watched && !slices.ContainsFunc(all, func(f isOpen) bool { return caseOf(f.finding) == name }) {
			delete(o.by, name)
			delete(o.untold, name)
		}
	}
	for _, f := range all {
		l := o.get(caseOf(f.finding), maxOpenLeaks+len(all))
		l.watched, l.seen, l.finding, l.left = true, now, f.finding, f.left
	}
}

// get returns a leak, a new one if there are fewer than most; nil if there are not. The caller holds mu.
func (o *openLeaks) get(name string, most int) *openLeak {
	if l := o.by[name]; l != nil {
		return l
	}
	if len(o.by) >= most {
		return nil
	}
	if o.by == nil {
		o.by = map[string]*openLeak{}
	}
	o.by[name] = &openLeak{}
	return o.by[name]
}

// see notes that a leak that no finding tells of goes on, if one was reported.
func (o *openLeaks) see(name string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.by[name]; l != nil {
		l.seen = now
	}
}

// reported notes what was reported of a leak that no finding tells of.
func (o *openLeaks) reported(r LeakReport, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.get(r.Case, maxOpenLeaks); l != nil {
		l.take(r)
		l.kept, l.seen = now, now
	}
}

// found notes what was reported of a leak that a finding tells of, while it does, and what the report says beyond that.
func (o *openLeaks) found(r LeakReport, f leak.Finding, what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.by[r.Case]; l != nil {
		l.take(r)
		l.kept, l.what, l.at = r.LastSeen, what, f.To
	}
}

// take notes the newest report. What somebody has acknowledged stays so.
func (l *openLeak) take(r LeakReport) {
	if l.report.Status == LeakAcknowledged {
		r.Status = LeakAcknowledged
	}
	l.report = r
}

// keep notes that a report of a leak was kept, or is to be and has no number yet, that differs from the last one in its status or
// actions.
func (o *openLeaks) keep(r KeptLeak, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.by[r.Case]; l != nil && l.report.Case != "" {
		l.report.Status, l.report.Actions, l.kept, l.id = r.Status, r.Actions, now, max(l.id, r.ID)
		if r.LastSeen.After(l.report.LastSeen) {
			l.report.LastSeen = r.LastSeen
		}
	}
}

// over forgets a leak.
func (o *openLeaks) over(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.by, name)
	delete(o.untold, name)
}

// lost notes that the store has refused a report of a leak.
func (o *openLeaks) lost(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if name == "" || len(o.untold) >= maxOpenLeaks {
		return
	}
	if o.untold == nil {
		o.untold = map[string]bool{}
	}
	o.untold[name] = true
}

// told notes that a report of a leak was kept, and told of. Where the store has refused a newer one, that is yet to be told.
func (o *openLeaks) told(kept KeptLeak) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.by[kept.Case]
	if l != nil {
		l.id = max(l.id, kept.ID)
	}
	if l == nil || !kept.LastSeen.Before(l.report.LastSeen) {
		delete(o.untold, kept.Case)
	}
}

// isUntold reports whether a leak has yet to be told of.
func (o *openLeaks) isUntold(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.untold[name]
}

// anyUntold reports whether a leak that goes on has yet to be told of.
func (o *openLeaks) anyUntold() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name := range o.untold {
		if o.by[name] == nil {
			delete(o.untold, name) // it was over before the store refused its report
		}
	}
	return len(o.untold) > 0
}

// has reports whether a leak goes on.
func (o *openLeaks) has(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.by[name] != nil
}

// any reports whether a leak goes on.
func (o *openLeaks) any() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.by) > 0
}

// names are those of all that were reported, with when that was.
func (o *openLeaks) names() map[string]time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := map[string]time.Time{}
	for name, l := range o.by {
		if l.report.Case != "" {
			names[name] = l.kept
		}
	}
	return names
}

// last is the report of a leak as it was reported last; its case is empty if there is none.
func (o *openLeaks) last(name string) LeakReport {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.by[name]; l != nil {
		return l.report
	}
	return LeakReport{}
}

// acknowledged reports whether somebody has acknowledged a leak: he knows of it when it is confirmed or has doubled, too.
func (o *openLeaks) acknowledged(name string) bool { return o.last(name).Status == LeakAcknowledged }

// current returns a report with what is so now, if its leak goes on. What was held by a snapshot has grown by what the
// heap has since.
func (o *openLeaks) current(r LeakReport) LeakReport {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.by[r.Case]; l != nil && r.Case != "" {
		return l.current(r)
	}
	return r
}

// current is openLeaks.current of a leak that goes on.
func (l *openLeak) current(r LeakReport) LeakReport {
	if l.seen.After(r.LastSeen) {
		r.LastSeen = l.seen.UTC()
	}
	if !l.watched || l.report.Case == "" {
		return r
	}
	r.GrowthPerSecond, r.TimeToLimitSeconds = l.finding.PerSecond, l.left
	r.Sentence = sentence(l.finding, l.what, l.left)
	if l.report.RetainedBytes > 0 {
		r.RetainedBytes = l.report.RetainedBytes + uint64(max(0, l.finding.To-l.at))
	}
	return r
}

// all are those that were reported, the newest first, with what is so now.
func (o *openLeaks) all() (list []KeptLeak) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.by {
		if l.report.Case != "" {
			r := l.current(l.report)
			r.trim()
			list = append(list, KeptLeak{l.id, r})
		}
	}
	sorting.By(list, func(a, b KeptLeak) int { return cmp.Or(b.FirstSeen.Compare(a.FirstSeen), cmp.Compare(a.Case, b.Case)) })
	return list
}

// OpenLeaks are the leaks that go on, once they were looked into, the newest first, with figures of now. It asks no store, so
// that it has nothing to say of those that are over, nor of what programs and pages report, and leaves out of what was dismissed
// what this process knows of; those that no store has taken yet have the number 0. It may be called from anywhere.
func (w *Warden) OpenLeaks() []KeptLeak {
	return slices.DeleteFunc(w.openLeaks.all(), func(l KeptLeak) bool {
		return l.Status == LeakDismissed || w.quietLeaks.has(l.Case)
	})
}

// LeakGoesOn reports whether the leak of a LeakReport.Case goes on, as far as the warden has found it itself; of more than 128
// at a time it knows but the first. It may be called from anywhere, and waits for nothing but a lock that is held for moments.
func (w *Warden) LeakGoesOn(name string) bool { return w.openLeaks.has(name) }

// reportHeld reports objects or goroutines that should have gone, of which no finding tells. The case of goroutines is the same
// in another process of the program: that somebody has acknowledged it may be known to the store alone.
func (w *Warden) reportHeld(ctx context.Context, r LeakReport) {
	w.o.Logger.Warn("memory leak "+r.Status, "kind", r.Kind, "reason", r.Sentence)
	if !w.openLeaks.has(r.Case) && w.settledAs(ctx, r.Case) == LeakAcknowledged {
		r.Status = LeakAcknowledged
	}
	w.openLeaks.reported(r, r.LastSeen)
	w.queueReport(r)
}

// refreshPauses are how often it is looked for reports of leaks that go on, and how old one may be then.
func (w *Warden) refreshPauses() (interval, age time.Duration) {
	return min(refreshInterval, w.o.LeakReportsMaxAge/4), min(refreshAge, w.o.LeakReportsMaxAge/2)
}

// refresh keeps reports anew of leaks that go on: where the last one is no longer kept, and else before it is too old.
// Nobody is told: nothing has changed; but of what the store has refused before they are. Whether leaks are still dismissed is
// asked, too, as it may be said elsewhere.
func (i *investigator) refresh(ctx context.Context) {
	w := i.w
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := w.reviewQuiet(ctx)
	if err == nil {
		err = w.keepOpen(ctx)
	}
	if err != nil && !w.stopped() {
		w.o.Logger.Error("memory leaks that go on cannot be kept among the reports", "error", err)
	}
}

// keepOpen keeps reports anew.
func (w *Warden) keepOpen(ctx context.Context) error {
	release, err := w.settle(ctx)
	if err != nil {
		return err
	}
	defer release()
	names, kept := w.openLeaks.names(), map[string]LeakReport{}
	if len(names) == 0 {
		return nil
	}
	err = w.eachLeak(ctx, func(l KeptLeak, newest bool) bool {
		if _, open := names[l.Case]; open && newest {
			kept[l.Case] = l.LeakReport
		}
		return len(kept) < len(names)
	})
	if err != nil {
		return err
	}
	now := w.o.Now()
	_, age := w.refreshPauses()
	for name, at := range names {
		r, found := kept[name]
		untold := w.openLeaks.isUntold(name)
		if since := now.Sub(at); found && !untold && since >= 0 && since < age || w.quietLeaks.has(name) {
			continue
		}
		if !found || untold {
			r = w.openLeaks.last(name)
		}
		if r.Case == "" || r.Status == LeakDismissed || w.quiet(ctx, quietCase{name, r.Signature}, storeTimeout) {
			continue
		}
		var id int64
		data, err := w.openLeaks.current(r).encode(now)
		if err == nil {
			id, err = w.o.LeakReports.Add(ctx, data)
		}
		if err != nil {
			return err
		}
		w.openLeaks.keep(KeptLeak{id, r}, now)
		if untold {
			w.tellKept(id, data)
		}
	}
	return nil
}
