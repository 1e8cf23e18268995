package memwarden

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	inputs    LeakInputs
	snapshots bool
	sweeps    bool // the runtime may be asked for abandoned goroutines
	told      bool // it was logged and published
}

const (
	// snapshotPatience is how long a snapshot waits for its turn: for another that is taken, and for the least time between
	// two.
	snapshotPatience = time.Minute
	// analysisPatience is how long its analysis may take, in which nothing else is looked into. Ten million objects take some
	// four seconds.
	analysisPatience = 2 * time.Minute
)

// investigator finds out what leaks. Only the goroutine of investigate touches it.
type investigator struct {
	w      *Warden
	before analyzed // the snapshot that the suspicion of the heap has led to, until it is confirmed; maybe without analysis
	// tracked is what was told of released objects that are still held.
	tracked map[trackKey]*toldTracked
}

// analyzed is a snapshot that was analyzed.
type analyzed struct {
	id string
	*retain.Analysis
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
		case <-w.sweepDue:
			i.sweep(ctx)
		case <-w.refreshDue:
			i.refresh(ctx)
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
	stack, what := site(f)
	r.AllocStack, r.Signature = stack, signature(f, stack)
	if len(stack) > 0 && i.quiet(ctx, r) {
		return
	}
	owner, past := i.w.pastItsBound(f)
	r.Owner = owner
	r.TimeToLimitSeconds = i.w.secondsLeft(f)
	if f.Kind == leak.Goroutines {
		r.Evidence = append(r.Evidence, i.w.goroutineEvidence(c.sweeps)...)
	}
	if c.snapshots && (f.Kind == leak.Heap || f.Kind == leak.Goroutines) {
		what = i.name(ctx, f, &r, what)
	}
	if past != "" {
		what = strings.TrimPrefix(what+"; "+past, "; ")
	}
	r.Sentence = sentence(f, what, r.TimeToLimitSeconds)
	if i.quiet(ctx, r) {
		return
	}
	if !c.told && i.w.openLeaks.has(r.Case) {
		i.w.tellLeak(LeakFinding{f, c.inputs})
	}
	i.w.openLeaks.found(r, f, what)
	i.w.reportCase(r)
	if f.Verdict == leak.Confirmed {
		i.w.cleanUpConfirmed(ctx, f)
	}
}

// secondsLeft is when a limit is reached if it goes on like this; 0: never, or not known.
func (w *Warden) secondsLeft(f leak.Finding) float64 {
	left, _ := f.Left(w.ceiling(f))
	return left.Seconds()
}

// signature is that of a finding whose site is known, or of its kind alone.
func signature(f leak.Finding, stack []string) string {
	if len(stack) == 0 {
		return f.Kind.String()
	}
	return f.Kind.String() + " " + functionOf(ownFrame(stack))
}

// quiet reports whether somebody has dismissed leaks of a report's signature.
func (i *investigator) quiet(ctx context.Context, r LeakReport) bool {
	return i.w.quiet(ctx, quietCase{r.Case, r.Signature}, storeTimeout)
}

// alikeShare is the least part of what the first of some sites grew by that one has which grew as much.
const alikeShare = 0.95

// mostTelling is the site that grew most, the first of all. Of goroutines that grow alike, as those at both ends of a
// connection do, it is one in the program's own code, else one of which it is known what leaves them behind: by a few more or
// less it would be now this, now that.
func mostTelling(sites []leak.SiteGrowth, stacks siteStacks) leak.SiteGrowth {
	most, known := sites[0], false
	for _, site := range sites {
		if site.By < alikeShare*sites[0].By {
			break // the others are smaller still
		}
		stack := frames(stacks[site.Name])
		switch {
		case len(stack) == 0:
		case isOwn(ownFrame(stack)):
			return site
		case !known && hints[functionOf(stack[0])] != "":
			most, known = site, true
		}
	}
	return most
}

// site is the stack of the site that grew most, and what it tells in words.
func site(f leak.Finding) (stack []string, what string) {
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
		site = mostTelling(f.Sites, stacks)
	}
	pcs := stacks[site.Name]
	stack = frames(pcs)
	if len(stack) == 0 {
		return nil, ""
	}
	if f.Kind == leak.Goroutines {
		return stack, fmt.Sprintf("%.0f of them are %s", site.By, whereabouts(pcs, stack))
	}
	return stack, fmt.Sprintf("%.0f %% of it was allocated in %s", 100*site.Share, ownFrame(stack))
}

// name takes a snapshot and finds in it what holds what grew: by the difference to the one before where there is one, else
// by the site.
func (i *investigator) name(ctx context.Context, f leak.Finding, r *LeakReport, what string) string {
	after, err := i.snapshot(ctx)
	r.Evidence = append(r.Evidence, snapshotEvidence(ctx, after.id, err)...)
	if f.Kind == leak.Goroutines {
		return what // which their stack tells better
	}
	before := i.before
	i.before = analyzed{}
	if f.Verdict == leak.Suspect {
		before, i.before = analyzed{}, after
	}
	if before.id != "" {
		r.Evidence = append(r.Evidence, "snapshot "+before.id)
	}
	if err != nil {
		return what
	}
	suspect := culprit(before.Analysis, after.Analysis, r.AllocStack, f.PerSecond)
	if suspect == nil {
		return what
	}
	r.Type, r.Path, r.RetainedBytes = suspect.Type, suspect.Path, suspect.RetainedBytes
	if len(r.AllocStack) == 0 {
		r.AllocStack, r.Signature = suspect.AllocStack, r.Kind+" "+suspect.Signature
	}
	held := holding(after.Analysis, suspect)
	if what == "" {
		return held
	}
	return held + "; " + what
}

// holding says who holds what of a suspect, what most of it is, and whether most of that is kept for a small part of it.
func holding(a *retain.Analysis, s *retain.Suspect) string {
	text := fmt.Sprintf("%d objects of %s, %s with what they hold, are held by %s", s.Count, s.Type,
		bytesize.Format(int64(s.RetainedBytes)), strings.Join(s.Path, ""))
	if len(s.Consumers) > 0 {
		most := slices.MaxFunc(s.Consumers, func(a, b retain.Type) int { return cmp.Compare(a.ShallowBytes, b.ShallowBytes) })
		named := !strings.HasPrefix(most.Name, "[") && most.Name != "string" // of bytes it goes without saying
		if named && most.Name != s.Type && 2*most.ShallowBytes >= s.RetainedBytes {
			text += fmt.Sprintf(", most of it %d %s", most.Count, most.Name)
		}
	}
	for _, pin := range a.Pins {
		inside := slices.ContainsFunc(s.Consumers, func(t retain.Type) bool { return t.Name == pin.Type })
		if inside && 2*(pin.ObjectBytes-pin.UsedBytes) >= s.RetainedBytes {
			text += fmt.Sprintf(", of which strings and slices use %s and keep the rest", bytesize.Format(int64(pin.UsedBytes)))
		}
	}
	return text
}

// snapshotEvidence is the snapshot that was taken, and what could not be done: nothing of that at the end of all.
func snapshotEvidence(ctx context.Context, id string, err error) (lines []string) {
	failed := "no snapshot: "
	if id != "" {
		lines, failed = append(lines, "snapshot "+id), "it is not analysed: "
	}
	if err != nil && ctx.Err() == nil {
		lines = append(lines, failed+oneLine(err.Error()))
	}
	return lines
}

// snapshot takes and analyses a snapshot, each once it may. Where there is an error, there may be the snapshot alone.
func (i *investigator) snapshot(ctx context.Context) (a analyzed, err error) {
	record, err := i.patiently(ctx, i.w.StoreSnapshot)
	if err != nil {
		return a, err
	}
	a.id = record.ID
	ctx, cancel := context.WithTimeout(ctx, analysisPatience)
	defer cancel()
	_, err = i.patiently(ctx, func(ctx context.Context) (archive.Record, error) {
		a.Analysis, err = i.w.AnalyzeSnapshot(ctx, record.ID)
		return record, err
	})
	return a, err
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

const (
	// grownShare is the least part that something must have grown by of what the pace makes of the time between snapshots.
	grownShare = 0.25
	// unseenShare is the share of a heap below which an analysis tells of nothing: by up to that much less may something
	// have grown that is only told of afterwards.
	unseenShare = 0.05
)

// culprit is what leaks: of what grew between two snapshots by a good part of what the pace makes of that time, what the
// stack has allocated, else what grew most. Where there is one snapshot alone, or nothing grew by that much, it is the
// suspect that the stack has allocated, and where no stack is known the largest of one snapshot.
func culprit(before, after *retain.Analysis, stack []string, perSecond float64) *retain.Suspect {
	own := func(stack []string) string { return functionOf(ownFrame(stack)) }
	allocated := func(s *retain.Suspect) bool {
		return len(stack) > 0 && len(s.AllocStack) > 0 && own(s.AllocStack) == own(stack)
	}
	if before != nil {
		var grown *retain.Suspect
		most, least := 0.0, max(1, grownShare*perSecond*time.Duration(after.TakenAt-before.TakenAt).Seconds())
		for _, change := range retain.Diff(before, after).Suspects {
			unseen := max(0, change.PlacesAfter-change.PlacesBefore)
			growth := float64(change.RetainedGrowth) - float64(unseen)*unseenShare*float64(before.ReachedBytes)
			if change.After == nil || growth < least {
				continue
			}
			if allocated(change.After) {
				return change.After
			}
			if growth > most {
				grown, most = change.After, growth
			}
		}
		if grown != nil {
			return grown
		}
	}
	for i := range after.Suspects {
		if s := &after.Suspects[i]; allocated(s) {
			return s
		}
	}
	if len(stack) == 0 && before == nil && len(after.Suspects) > 0 {
		return &after.Suspects[0]
	}
	return nil
}

// pastItsBound is the owner that holds so much more than its own bound that this is at least half of what is told of the
// heap, and says so; empty: none does.
func (w *Warden) pastItsBound(f leak.Finding) (owner, text string) {
	if f.Kind != leak.Heap {
		return "", ""
	}
	most := f.Rise / 2
	for _, u := range w.State().Owners {
		if u.OutsideHeap || u.Err != nil {
			continue
		}
		if over := float64(u.Usage.Bytes) - u.accounted(); over >= most && over > 0 && over <= 2*f.To { // it has no more than there is
			most, owner = over, u.Name
			text = fmt.Sprintf("owner %s holds %s beyond its own bound", u.Name, bytesize.Format(int64(over)))
		}
	}
	return owner, text
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
