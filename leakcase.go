package memwarden

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/leak"
)

// leakCase is a suspicion, or its confirmation, to be looked into.
type leakCase struct {
	finding   leak.Finding
	snapshots bool
}

// snapshotPatience is how long a snapshot waits for its turn: for another that is taken, and for the least time between
// two.
const snapshotPatience = time.Minute

// investigator finds out what leaks. Only the goroutine of investigate touches it.
type investigator struct {
	w      *Warden
	before *retain.Analysis // of the snapshot that the suspicion of the heap has led to, until it is confirmed
	// tracked is what was told of released objects that are still held.
	tracked map[trackKey]*toldTracked
}

// investigate looks into one case after the other.
func (w *Warden) investigate(ctx context.Context) {
	i := &investigator{w: w, tracked: map[trackKey]*toldTracked{}}
	for {
		select {
		case c := <-w.leakCases:
			i.look(ctx, c)
		case c := <-w.trackCases:
			i.lookTracked(ctx, c)
		case <-ctx.Done():
			return
		}
	}
}

// look finds out what it can, and reports it. What it cannot do is told in the report.
func (i *investigator) look(ctx context.Context, c leakCase) {
	f := c.finding
	r := LeakReport{
		Kind: f.Kind.String(), Status: f.Verdict.String(), Case: caseOf(f),
		FirstSeen: f.Since, LastSeen: i.w.o.Now(), GrowthPerSecond: f.PerSecond,
	}
	stack, what := i.site(f)
	r.AllocStack = stack
	if len(stack) > 0 {
		r.Signature = r.Kind + " " + functionOf(ownFrame(stack))
	}
	if i.quiet(ctx, r) {
		return
	}
	if left, ok := f.Left(i.w.ceiling(f)); ok {
		r.TimeToLimitSeconds = left.Seconds()
	}
	if f.Kind == leak.Goroutines {
		if n, ok := abandonedGoroutines(); ok {
			r.Evidence = append(r.Evidence, fmt.Sprintf("goroutineleak profile: %d goroutines wait for what nobody can do any more", n))
		}
	}
	if c.snapshots && (f.Kind == leak.Heap || f.Kind == leak.Goroutines) {
		what = i.name(ctx, f, &r, what)
	}
	r.Sentence = sentence(f, what, r.TimeToLimitSeconds)
	if r.Signature == "" {
		r.Signature = r.Kind
	}
	if i.quiet(ctx, r) {
		return
	}
	i.w.reportCase(r)
	if f.Verdict == leak.Confirmed {
		i.w.cleanUpConfirmed(ctx, f)
	}
}

// quiet reports whether somebody has dismissed leaks of a report's signature, as far as it has one, and quiets its case
// then.
func (i *investigator) quiet(ctx context.Context, r LeakReport) bool {
	if r.Signature == "" || !i.w.dismissed(ctx, r.Signature) {
		return false
	}
	i.w.quietLeaks.Store(r.Case, true)
	i.w.o.Logger.Info("memory leak is one that was dismissed", "kind", r.Kind, "signature", r.Signature)
	return true
}

// site is the stack of the site that grew most, and what it tells in words.
func (i *investigator) site(f leak.Finding) (stack []string, what string) {
	if len(f.Sites) == 0 {
		return nil, ""
	}
	site := f.Sites[0]
	var stacks siteStacks
	switch f.Kind {
	case leak.Heap:
		_, stacks = heapSites()
	case leak.Goroutines:
		_, stacks = goroutineSites()
	}
	pcs := stacks[site.Name]
	stack = frames(pcs)
	if len(stack) == 0 {
		return nil, ""
	}
	if f.Kind == leak.Goroutines {
		state := doing(pcs)
		if state == "" {
			state = "at work"
		}
		return stack, fmt.Sprintf("%.0f of them are %s in %s", site.By, state, ownFrame(stack))
	}
	return stack, fmt.Sprintf("%.0f %% of it was allocated in %s", 100*site.Share, ownFrame(stack))
}

// name takes a snapshot and finds in it what holds what grew: by the difference to the one before where there is one, else
// by the site.
func (i *investigator) name(ctx context.Context, f leak.Finding, r *LeakReport, what string) string {
	id, after, err := i.snapshot(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.Evidence = append(r.Evidence, "no snapshot: "+oneLine(err.Error()))
		}
		return what
	}
	r.Evidence = append(r.Evidence, "snapshot "+id)
	if f.Kind == leak.Goroutines {
		return what // which their stack tells better
	}
	var before *retain.Analysis
	if f.Verdict == leak.Suspect {
		i.before = after
	} else {
		before, i.before = i.before, nil
	}
	suspect := culprit(before, after, r.AllocStack)
	if suspect == nil {
		return what
	}
	r.Type, r.Path, r.RetainedBytes = suspect.Type, suspect.Path, suspect.RetainedBytes
	if len(r.AllocStack) == 0 {
		r.AllocStack, r.Signature = suspect.AllocStack, r.Kind+" "+suspect.Signature
	}
	held := fmt.Sprintf("%d objects of %s, %s with what they hold, are held by %s", suspect.Count, suspect.Type,
		bytesize.Format(int64(suspect.RetainedBytes)), strings.Join(suspect.Path, ""))
	if what == "" {
		return held
	}
	return held + "; " + what
}

// snapshot takes and analyses a snapshot, once it may.
func (i *investigator) snapshot(ctx context.Context) (id string, a *retain.Analysis, err error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	record, err := i.patiently(ctx, i.w.StoreSnapshot)
	if err == nil {
		a, err = i.w.AnalyzeSnapshot(ctx, record.ID)
	}
	return record.ID, a, err
}

// patiently waits while other snapshots are taken, or were a moment ago, but no longer than snapshotPatience.
func (i *investigator) patiently(ctx context.Context, try func(context.Context) (archive.Record, error)) (archive.Record, error) {
	over := time.After(snapshotPatience)
	for {
		record, err := try(ctx)
		if err == nil {
			return record, nil
		}
		wait := time.Second
		var cooldown *SnapshotCooldownError
		switch {
		case errors.As(err, &cooldown):
			wait = cooldown.RetryAfter
		case !errors.Is(err, ErrSnapshotBusy):
			return record, err
		}
		select {
		case <-time.After(wait):
		case <-over:
			return record, err
		case <-ctx.Done():
			return record, err
		}
	}
}

// culprit is the suspect that grew most between two snapshots. Where there is only one, or nothing grew, it is the one that
// was allocated by the stack, and without such a one the largest.
func culprit(before, after *retain.Analysis, stack []string) *retain.Suspect {
	if before != nil {
		for _, change := range retain.Diff(before, after).Suspects {
			if change.After != nil && change.RetainedGrowth > 0 {
				return change.After
			}
		}
	}
	for i := range after.Suspects {
		s := &after.Suspects[i]
		if len(stack) > 0 && len(s.AllocStack) > 0 && functionOf(s.AllocStack[0]) == functionOf(stack[0]) {
			return s
		}
	}
	if len(stack) == 0 && len(after.Suspects) > 0 {
		return &after.Suspects[0]
	}
	return nil
}

// caseOf is the case that a suspicion belongs to.
func caseOf(f leak.Finding) string { return fmt.Sprintf("%s-%d", f.Kind, f.Since.Unix()) }

// ceiling is what a figure can grow to, as all else stands now; 0: that is not known.
func (w *Warden) ceiling(f leak.Finding) float64 {
	state := w.State()
	switch f.Kind {
	case leak.Heap, leak.Native:
		if signal, ok := state.Pressure.Strongest(); ok {
			return f.To + max(0, float64(signal.LimitBytes-signal.UsedBytes))
		}
	case leak.Descriptors:
		return float64(state.Sample.Process.MaxFileDescriptors.Or(0))
	}
	return 0
}

// sentence says what leaks.
func sentence(f leak.Finding, what string, left float64) string {
	text := f.Reason
	if what != "" {
		text += "; " + what
	}
	if left > 0 {
		text += fmt.Sprintf("; at this pace the limit is reached in %s", seconds(left).Round(time.Second))
	}
	return oneLine(strings.ToUpper(text[:1]) + text[1:])
}

// oneLine is a text within the bounds of a report's sentence.
func oneLine(text string) string {
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "")
	if len(text) > maxLeakSentence {
		text = strings.ToValidUTF8(text[:maxLeakSentence-3], "") + "..."
	}
	return text
}
