package memwarden

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
}

// KeptLeak is a leak report that was kept, with its number: higher than those before.
type KeptLeak struct {
	ID int64 `json:"id"`
	LeakReport
}

const (
	maxLeakKind     = 64
	maxLeakOwner    = 128
	maxLeakSentence = 1000
	maxLeakFrames   = 32
	maxLeakFrame    = 400
	// maxLeakBytes is above what a report takes as JSON, in which a byte may be two.
	maxLeakBytes = 32 << 10
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
	if len(r.Owner) > maxLeakOwner || !isLine(r.Owner) {
		mistake("owner %.80q: want one line of at most %d bytes", r.Owner, maxLeakOwner)
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
	frames := make([]string, 0, maxLeakFrames)
	for _, frame := range r.AllocStack[:min(len(r.AllocStack), maxLeakFrames)] {
		frame = strings.ToValidUTF8(frame[:min(len(frame), maxLeakFrame)], "")
		frames = append(frames, strings.Map(func(c rune) rune {
			if unicode.IsControl(c) {
				return ' '
			}
			return c
		}, frame))
	}
	r.AllocStack = frames
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // it would make six bytes of one
	if err := encoder.Encode(r); err != nil {
		return nil, err // a year that JSON has no form for
	}
	return bytes.TrimSpace(text.Bytes()), nil
}

// buildLeaks makes the store of leak reports, if the options have none, and the queue before it.
func (w *Warden) buildLeaks() error {
	if w.o.LeakReports == nil {
		inMemory, err := NewMemoryReports("leak_reports", w.o.Now)
		if err != nil {
			return err
		}
		if _, err := w.owners.register(inMemory); err != nil {
			return err
		}
		w.o.LeakReports = inMemory
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
	_, refused := w.owners.register(queue)
	_, err = queue.Subscribe(bounded.ListenerOptions{Queue: leakQueue, Overflow: bounded.Block, Dropped: &w.lostLeaks}, w.keepLeak)
	return errors.Join(refused, err)
}

// ReportLeak has a leak report kept among Options.LeakReports. It returns once the report is in the queue before them, and
// waits neither for the store nor, if the queue of 32 reports is full and ctx is done, for room in it: what has found the
// leak must not be held up, nor fail, because the store cannot take it. A report that the store then refuses is logged.
// The error lists every mistake in the report, or says that there was no room before ctx was done, or that the warden is
// closed. It may be called from anywhere, a callback that must not block for one, with a context that is done.
func (w *Warden) ReportLeak(ctx context.Context, r LeakReport) error {
	data, err := r.encode(w.o.Now())
	if err != nil {
		return fmt.Errorf("memwarden: report a leak: %w", err)
	}
	err = w.leaks.Publish(ctx, data)
	switch {
	case errors.Is(err, bounded.ErrTopicClosed):
		return fmt.Errorf("memwarden: report a leak: the warden is closed: %w", err)
	case err != nil:
		return fmt.Errorf("memwarden: report a leak: %d reports wait to be kept already: %w", leakQueue, err)
	}
	return nil
}

// keepLeak stores a report. It is called for one after the other.
func (w *Warden) keepLeak(ctx context.Context, report []byte) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := w.o.LeakReports.Add(ctx, report); err != nil {
		w.o.Logger.Error("memory leak report could not be kept", "error", err, "report", string(report))
	}
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

// LeakReports returns leak reports newest first: those whose number is below before (0: the newest), at most limit of
// them. One that cannot be read, as another version has written it, is left out and logged.
func (w *Warden) LeakReports(ctx context.Context, before int64, limit int) ([]KeptLeak, error) {
	kept, err := w.o.LeakReports.List(ctx, before, limit)
	if err != nil {
		return nil, fmt.Errorf("memwarden: read leak reports: %w", err)
	}
	list := make([]KeptLeak, 0, len(kept))
	for _, one := range kept {
		l := KeptLeak{ID: one.ID}
		if err := json.Unmarshal(one.Value, &l.LeakReport); err != nil {
			w.o.Logger.Error("memory leak report cannot be read and is left out", "id", one.ID, "error", err)
			continue
		}
		list = append(list, l)
	}
	return list, nil
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
