package memwarden

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/memwarden/memwarden/bounded"
)

// LeakReport tells of something that is taken again and again and not given back. It must hold no secret.
type LeakReport struct {
	// Kind is what leaks, for programs: 1 to 64 lower-case letters, digits and '_', the first of them a letter.
	Kind string `json:"kind"`
	// Owner is the name of the owner that it belongs to; empty: none, or it is not known. At most 128 bytes.
	Owner string `json:"owner"`
	// Sentence is what leaks, for people: one line of 1 to 1,000 bytes.
	Sentence string `json:"sentence"`
	// AllocStack is who took it, the one who took it first and its callers after it, as "function file:line". What is
	// beyond 32 functions, or 400 bytes of one, is left out.
	AllocStack []string `json:"alloc_stack"`
	// FirstSeen is since when it leaks, as far as is known; zero: now.
	FirstSeen time.Time `json:"first_seen"`
	// LastSeen is when it was last seen to; zero: not later than FirstSeen.
	LastSeen time.Time `json:"last_seen,omitzero"`
	// Case is the same in all reports of one leak, of which the newest alone is listed. At most 128 bytes; empty: there is
	// only this report.
	Case string `json:"case,omitzero"`
	// Status is "suspect" or "confirmed" of what the warden has found itself, and "acknowledged" or "dismissed" once
	// somebody has said so.
	Status string `json:"status,omitzero"`
	// Signature is the same for leaks of the same kind at the same place, in other processes too: what was dismissed once
	// is known by it. At most 400 bytes.
	Signature string `json:"signature,omitzero"`
	// Type is what is held too long, Path leads to it from a variable or goroutine, RetainedBytes is what all of it holds.
	Type          string   `json:"type,omitzero"`
	Path          []string `json:"path,omitzero"`
	RetainedBytes uint64   `json:"retained_bytes,omitzero"`
	// GrowthPerSecond is by how many bytes it grows, or by how many where Kind is counted.
	GrowthPerSecond float64 `json:"growth_bytes_per_second,omitzero"`
	// TimeToLimitSeconds is when a limit is reached if it goes on like this; 0: never, or not known.
	TimeToLimitSeconds float64 `json:"time_to_limit_seconds,omitzero"`
	// Evidence is where more is to be found, such as "snapshot ID", and what could not be found out. Actions are what was
	// done. Lines beyond 8 are left out.
	Evidence []string `json:"evidence,omitzero"`
	Actions  []string `json:"actions,omitzero"`
}

// The statuses of a leak report.
const (
	LeakAcknowledged = "acknowledged"
	LeakDismissed    = "dismissed"
)

// KeptLeak is a leak report that was kept, with its number: higher than those before.
type KeptLeak struct {
	ID int64 `json:"id"`
	LeakReport
}

// caseName is the case, or one that no other report has.
func (l KeptLeak) caseName() string {
	if l.Case != "" {
		return l.Case
	}
	return fmt.Sprintf("report-%d", l.ID)
}

const (
	maxLeakKind     = 64
	maxLeakOwner    = 128
	maxLeakSentence = 1000
	maxLeakFrames   = 32
	maxLeakSteps    = 24 // of a path
	maxLeakLines    = 8
	maxLeakFrame    = 400 // bytes of one of them
	// maxLeakBytes is above what a report takes as JSON, in which a byte may be two.
	maxLeakBytes = 62 << 10
	// leakPage is how many reports are read at once.
	leakPage = 50
	// leakQueue is how many reports wait to be kept.
	leakQueue = 32
)

// check returns every reason why a report cannot be kept.
func (r LeakReport) check() error {
	var mistakes []error
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	const letters, more = "abcdefghijklmnopqrstuvwxyz", "0123456789_"
	if r.Kind == "" || len(r.Kind) > maxLeakKind || !strings.Contains(letters, r.Kind[:1]) || strings.Trim(r.Kind, letters+more) != "" {
		mistake("kind %.80q: want 1 to %d lower-case letters, digits and '_', the first a letter", r.Kind, maxLeakKind)
	}
	for _, text := range []struct {
		name, text string
		most       int
	}{
		{"owner", r.Owner, maxLeakOwner}, {"case", r.Case, maxLeakOwner}, {"status", r.Status, maxLeakOwner},
		{"signature", r.Signature, maxLeakFrame}, {"type", r.Type, maxLeakFrame},
	} {
		if len(text.text) > text.most || !isLine(text.text) {
			mistake("%s %.80q: want one line of at most %d bytes", text.name, text.text, text.most)
		}
	}
	if math.IsNaN(r.GrowthPerSecond) || math.IsInf(r.GrowthPerSecond, 0) || math.IsNaN(r.TimeToLimitSeconds) || math.IsInf(r.TimeToLimitSeconds, 0) {
		mistake("growth %v or time to the limit %v: want numbers", r.GrowthPerSecond, r.TimeToLimitSeconds)
	}
	if strings.TrimSpace(r.Sentence) == "" || len(r.Sentence) > maxLeakSentence || !isLine(r.Sentence) {
		mistake("sentence %.80q: want one line of 1 to %d bytes", r.Sentence, maxLeakSentence)
	}
	return errors.Join(mistakes...)
}

// isLine reports whether a text is UTF-8 without line ends and other controls.
func isLine(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// encode returns what is kept of a report, at most maxLeakBytes.
func (r LeakReport) encode(now time.Time) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.FirstSeen.IsZero() {
		r.FirstSeen = now
	}
	r.FirstSeen = r.FirstSeen.UTC()
	if !r.LastSeen.IsZero() {
		r.LastSeen = r.LastSeen.UTC()
	}
	r.trim()
	if r.AllocStack == nil {
		r.AllocStack = []string{}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // it would make six bytes of one
	if err := encoder.Encode(r); err != nil {
		return nil, err // a year that JSON has no form for
	}
	return bytes.TrimSpace(text.Bytes()), nil
}

// trim leaves of each list as much as is kept, in an array of its own.
func (r *LeakReport) trim() {
	r.AllocStack, r.Path = leakLines(r.AllocStack, maxLeakFrames), leakLines(r.Path, maxLeakSteps)
	r.Evidence, r.Actions = leakLines(r.Evidence, maxLeakLines), leakLines(r.Actions, maxLeakLines)
}

// leakLines are the first lines, each without what a line cannot have; nil if there are none.
func leakLines(all []string, most int) (lines []string) {
	for _, line := range all[:min(len(all), most)] {
		line = strings.ToValidUTF8(line[:min(len(line), maxLeakFrame)], "")
		lines = append(lines, strings.Map(func(c rune) rune {
			if unicode.IsControl(c) {
				return ' '
			}
			return c
		}, line))
	}
	return lines
}

// buildLeaks makes the store of leak reports, if the options have none, and the queue before it.
func (w *Warden) buildLeaks() error {
	if w.o.LeakReports == nil {
		if err := w.buildLeakMemory(); err != nil {
			return err
		}
	}
	queue, err := bounded.NewTopic[[]byte](bounded.TopicOptions{
		Name: "leak_report_queue", MaxListeners: 1, MaxQueue: leakQueue, EventBytes: maxLeakBytes,
		OnPanic: func(p bounded.ListenerPanic) {
			w.o.Logger.Error("memory leak report: keeping one panicked", "reason", fmt.Sprint(p.Value), "stack", string(p.Stack))
		},
	})
	if err != nil {
		return err
	}
	w.leaks = queue
	refused := w.owners.registerKept(queue)
	_, err = queue.Subscribe(bounded.ListenerOptions{Queue: leakQueue, Overflow: bounded.Block, Dropped: &w.lostLeaks}, w.keepLeak)
	return errors.Join(refused, err)
}

// ReportLeak has a leak report kept among Options.LeakReports, unless leaks of its signature were dismissed. It returns
// once the report is in the queue before them, and waits neither for the store nor, if the queue of 32 reports is full
// and ctx is done, for room in it: what has found the leak must not be held up, nor fail, because the store cannot take
// it. A report that the store then refuses is logged. The error lists every mistake in the report, or says that there
// was no room before ctx was done, or that the warden is closed. It may be called from anywhere, a callback that must
// not block for one, with a context that is done.
func (w *Warden) ReportLeak(ctx context.Context, r LeakReport) error {
	if r.Kind == KindBrowser {
		return fmt.Errorf("memwarden: report a leak: kind %q is that of pages: see ReportBrowserLeak", r.Kind)
	}
	data, err := r.encode(w.o.Now())
	if err != nil {
		return fmt.Errorf("memwarden: report a leak: %w", err)
	}
	err = w.leaks.Publish(ctx, data)
	switch {
	case errors.Is(err, bounded.ErrTopicClosed):
		return fmt.Errorf("memwarden: report a leak: the warden is closed: %w", err)
	case err != nil:
		w.openLeaks.lost(r.Case)
		return fmt.Errorf("memwarden: report a leak: %d reports wait to be kept already: %w", leakQueue, err)
	}
	return nil
}

// keepLeak stores a report and tells of it, unless leaks of its signature were dismissed; where the store refuses it, refresh does
// both once it can. It is called for one after the other.
func (w *Warden) keepLeak(ctx context.Context, report []byte) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var r LeakReport
	if err := json.Unmarshal(report, &r); err != nil {
		w.o.Logger.Error("memory leak report cannot be read and is not kept", "error", err, "report", string(report))
		return
	}
	release, err := w.settle(ctx)
	if err == nil {
		defer release()
		err = w.keepSettled(ctx, r, report)
	}
	if err != nil {
		w.o.Logger.Error("memory leak report could not be kept", "error", err, "report", string(report))
		w.openLeaks.lost(r.Case)
	}
}

// keepSettled is keepLeak while nobody settles a leak: what somebody has said of this one, while the report was in the queue,
// stands.
func (w *Warden) keepSettled(ctx context.Context, r LeakReport, report []byte) (err error) {
	c := quietCase{signature: r.Signature}
	if w.openLeaks.has(r.Case) { // of others it is not known when they are over
		c.name = r.Case
	}
	if r.Status != LeakDismissed && w.quiet(ctx, c, storeTimeout/2) {
		return nil
	}
	if w.openLeaks.acknowledged(r.Case) {
		r.Status = LeakAcknowledged
		if report, err = r.encode(w.o.Now()); err != nil {
			return err
		}
	}
	id, err := w.o.LeakReports.Add(ctx, report)
	if err != nil {
		return err
	}
	w.tellKept(id, report)
	return nil
}

// settle waits until nobody settles a leak and no report is kept, and keeps others from both until release is called.
func (w *Warden) settle(ctx context.Context) (release func(), err error) {
	select {
	case w.settling <- struct{}{}:
		return func() { <-w.settling }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// tellKept tells of a report that is kept.
func (w *Warden) tellKept(id int64, report []byte) {
	kept := KeptLeak{ID: id}
	if err := json.Unmarshal(report, &kept.LeakReport); err != nil {
		w.o.Logger.Error("memory leak report cannot be read and is not told of", "id", id, "error", err)
		return
	}
	w.openLeaks.told(kept)
	w.events.publish(Event{EventLeakReport, w.o.Now(), kept})
}

// closeLeaks waits until the reports in the queue are kept, but no longer than the store may take for one.
func (w *Warden) closeLeaks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	refused := w.lostLeaks.Load() // their callers know
	if err := w.leaks.Close(ctx); err != nil {
		return fmt.Errorf("%d leak reports are lost: %w", w.lostLeaks.Load()-refused, err)
	}
	return nil
}

// LeakQuery chooses leak reports.
type LeakQuery struct {
	Before int64 // those whose number is below it; 0: the newest
	Limit  int   // so many of them at most
	// Browser chooses those of pages alone, or all others; nil: both.
	Browser *bool
}

// LeakReports returns leak reports newest first, of those of one Case the newest alone: when it was last seen, and its
// figures, are those of now while it is. One that cannot be read, as another version has written it, is left out and logged.
func (w *Warden) LeakReports(ctx context.Context, q LeakQuery) ([]KeptLeak, error) {
	list := []KeptLeak{}
	err := w.eachLeak(ctx, func(l KeptLeak, newest bool) bool {
		if newest && (q.Before == 0 || l.ID < q.Before) && (q.Browser == nil || *q.Browser == (l.Kind == KindBrowser)) {
			l.LeakReport = w.openLeaks.current(l.LeakReport)
			list = append(list, l)
		}
		return len(list) < q.Limit
	})
	return list, err
}

// eachLeak calls see for each report, newest first, until it returns false: with whether it is the newest of its case. It
// reads no more of them at once than a page, which may take some MiB.
func (w *Warden) eachLeak(ctx context.Context, see func(l KeptLeak, newest bool) bool) error {
	cases := map[string]bool{}
	for before := int64(0); ; {
		page, err := w.o.LeakReports.List(ctx, before, leakPage)
		if err != nil {
			return fmt.Errorf("memwarden: read leak reports: %w", err)
		}
		for _, one := range page {
			before = one.ID
			l := KeptLeak{ID: one.ID}
			if err := json.Unmarshal(one.Value, &l.LeakReport); err != nil {
				w.o.Logger.Error("memory leak report cannot be read and is left out", "id", one.ID, "error", err)
				continue
			}
			newest := !cases[l.caseName()]
			cases[l.caseName()] = true
			if !see(l, newest) {
				return nil
			}
		}
		if len(page) < leakPage {
			return nil
		}
	}
}

// ErrNoLeakReport: there is no leak report of this number, or it was removed as too old or one too many.
var ErrNoLeakReport = errors.New("there is no such leak report")

// LeakReport returns the newest report of the case that the report of a number belongs to; ErrNoLeakReport.
func (w *Warden) LeakReport(ctx context.Context, id int64) (KeptLeak, error) {
	var found KeptLeak
	newest := map[string]KeptLeak{}
	err := w.eachLeak(ctx, func(l KeptLeak, first bool) bool {
		if first {
			newest[l.caseName()] = l
		}
		if l.ID == id {
			found = newest[l.caseName()]
			found.LeakReport = w.openLeaks.current(found.LeakReport)
		}
		return found.ID == 0
	})
	if err == nil && found.ID == 0 {
		err = fmt.Errorf("memwarden: leak report %d: %w", id, ErrNoLeakReport)
	}
	return found, err
}

// SettleLeak notes that somebody has acknowledged a leak (LeakAcknowledged), or has dismissed it (LeakDismissed): then leaks
// of its signature stay quiet, here and wherever the same reports are kept, until one of them is acknowledged. It returns
// the report as it is then, within ten seconds; ErrNoLeakReport.
func (w *Warden) SettleLeak(ctx context.Context, id int64, status string) (KeptLeak, error) {
	if status != LeakAcknowledged && status != LeakDismissed {
		return KeptLeak{}, fmt.Errorf("memwarden: settle a leak: status %.80q: want %s or %s", status, LeakAcknowledged, LeakDismissed)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout) // as others wait meanwhile
	defer cancel()
	release, err := w.settle(ctx)
	if err != nil {
		return KeptLeak{}, fmt.Errorf("memwarden: settle a leak: %w", err)
	}
	defer release()
	l, err := w.LeakReport(ctx, id)
	if err != nil {
		return KeptLeak{}, err
	}
	l.Status, l.Case = status, l.caseName()
	data, err := l.encode(w.o.Now())
	if err != nil {
		return KeptLeak{}, fmt.Errorf("memwarden: settle a leak: %w", err)
	}
	switch {
	case w.o.DismissedLeaks == nil || l.Signature == "":
		l.ID, err = w.o.LeakReports.Add(ctx, data)
	case status == LeakDismissed:
		l.ID, err = w.o.DismissedLeaks.Dismiss(ctx, l.Signature, data)
	default:
		l.ID, err = w.o.DismissedLeaks.Readmit(ctx, l.Signature, data)
	}
	if err != nil {
		return KeptLeak{}, fmt.Errorf("memwarden: settle a leak: %w", err)
	}
	if status == LeakDismissed {
		w.quietLeaks.add(quietCase{l.Case, l.Signature})
	} else {
		w.quietLeaks.readmit(quietCase{l.Case, l.Signature})
	}
	w.openLeaks.keep(l, w.o.Now())
	w.events.publish(Event{EventLeakReport, w.o.Now(), l})
	return l, nil
}

// subscribersGrow tells of subscriptions to events that become more and more. It is called by who subscribes, and waits
// for nothing.
func (w *Warden) subscribersGrow(g bounded.TopicGrowth) {
	from := make([]string, len(g.Sites))
	for i, site := range g.Sites {
		from[i] = fmt.Sprintf("%d from %s %s:%d", site.Listeners, site.Function, site.File, site.Line)
	}
	w.o.Logger.Warn("memory events have more and more subscribers: perhaps some never close", "subscribers", g.Listeners, "from", from)
	most := g.Sites[0]
	err := w.ReportLeak(done(), LeakReport{
		Kind: "subscriptions", Owner: g.Topic,
		Sentence: fmt.Sprintf("%d subscriptions to events are open, more than ever before, %d of them from one place, "+
			"which perhaps never closes them", g.Listeners, most.Listeners),
		AllocStack: []string{fmt.Sprintf("%s %s:%d", most.Function, most.File, most.Line)},
		Signature:  "subscriptions " + most.Function,
	})
	if err != nil {
		w.o.Logger.Error("memory leak report could not be kept", "error", err)
	}
}

// done is a context for who waits for nothing.
func done() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
