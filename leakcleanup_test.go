package memwarden

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/pressure"
)

// cleaned is a warden that may clean up and looks at nothing for an hour, so that what the test says of leaks stays.
func cleaned(t *testing.T, o Options, change ...func(*Config)) *Warden {
	t.Helper()
	c := DefaultConfig()
	c.Leaks.AutoCleanup, c.Leaks.IntervalSeconds, c.Leaks.WindowSeconds = true, 3600, 7*86400
	for _, change := range change {
		change(&c)
	}
	o.Config = &c
	return begin(t, o)
}

// heapLeak is a leak of 48 MiB.
func heapLeak(v leak.Verdict) leak.Finding {
	return leak.Finding{Kind: leak.Heap, Verdict: v, Rule: leak.Fast, Since: time.Unix(1000, 0), Rise: 48 << 20, Reason: "the heap rose", PerSecond: 1}
}

func goroutineLeak() leak.Finding {
	return leak.Finding{Kind: leak.Goroutines, Verdict: leak.Confirmed, Since: time.Unix(1000, 0), Rise: 500, Reason: "goroutines rose"}
}

// says has a warden think of leaks.
func (w *Warden) says(leaks ...leak.Finding) {
	w.leakStatus.Store(&LeakStatus{CheckedAt: time.Now(), Verdict: leak.Confirmed, Findings: leaks})
}

// pile holds memory until it is asked for some.
type pile struct{ held [][]byte }

func newPile(mib int) *pile {
	p := &pile{}
	for range mib {
		p.held = append(p.held, make([]byte, 1<<20))
	}
	return p
}

func (*pile) Name() string { return "pile" }

func (p *pile) Usage() bounded.Usage {
	return bounded.Usage{Entries: bounded.NotApplicable, Bytes: int64(len(p.held)) << 20, MaxBytes: 1 << 30}
}

func (p *pile) Shrink(_ context.Context, bytes int64) (freed int64) {
	for ; len(p.held) > 0 && freed < bytes; freed += 1 << 20 {
		p.held = p.held[:len(p.held)-1]
	}
	p.held = slices.Clone(p.held)
	return freed
}

// sampled collects, and waits until a sample knows of it.
func sampled(t *testing.T, w *Warden) {
	t.Helper()
	runtime.GC() // what finalizers and cleanups of earlier tests held goes with the next one
	debug.FreeOSMemory()
	sequence := w.State().Sequence
	w.hurry()
	for deadline := time.Now().Add(time.Minute); w.State().Sequence < sequence+2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no samples are taken")
		}
	}
}

// actionsOf waits until something was done about a leak.
func actionsOf(t *testing.T, w *Warden, kind leak.Kind, most int) []string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, l := range leaksOf(t, w, 0, most) {
			if l.Kind == kind.String() && len(l.Actions) > 0 {
				return l.Actions
			}
		}
	}
	t.Fatal("nothing was done")
	return nil
}

func contains(t *testing.T, lines []string, want ...string) {
	t.Helper()
	if len(lines) != len(want) {
		t.Errorf("%d lines, want %d: %q", len(lines), len(want), lines)
		return
	}
	for i := range want {
		for _, part := range strings.Split(want[i], "…") {
			if !strings.Contains(lines[i], part) {
				t.Errorf("%q lacks %q", lines[i], part)
			}
		}
	}
}

// TestAConfirmedLeakIsCleanedUp: by tasks first, where one fails and another panics; what they say is told beside what was
// measured. There is no second time.
func TestAConfirmedLeakIsCleanedUp(t *testing.T) {
	w := cleaned(t, Options{Incidents: IncidentOptions{Dir: t.TempDir(), NoSnapshots: true}})
	sessions, ran := newPile(64), 0
	for _, task := range []cleanup.Task{
		{Name: "drop_sessions", OnLeak: true, Run: func(_ context.Context, why cleanup.Trigger) (int64, error) {
			ran++
			sessions.Shrink(t.Context(), 1<<40)
			return 1 << 50, nil // it lies
		}},
		{Name: "fails", OnLeak: true, Run: func(context.Context, cleanup.Trigger) (int64, error) { return 0, errors.New("no luck") }},
		{Name: "panics", OnLeak: true, Run: func(context.Context, cleanup.Trigger) (int64, error) { panic("no way") }},
		{Name: "not_meant", Run: func(context.Context, cleanup.Trigger) (int64, error) { t.Error("ran"); return 0, nil }},
	} {
		if _, err := w.Cleanup().Add(task); err != nil {
			t.Fatal(err)
		}
	}
	sampled(t, w) // the pile is known
	i, f := &investigator{w: w}, goroutineLeak()
	w.says(f)
	i.look(t.Context(), leakCase{finding: f})
	actions := actionsOf(t, w, leak.Goroutines, 10)
	contains(t, actions,
		"cleaned up at …: the leak is confirmed", "kept evidence: incident bundle ",
		`ran cleanup tasks: drop_sessions (…by its own account), cleanup: task "fails": no luck, …panicked: no way: 6… MiB freed, from `,
		"collected: … freed, … returned to the operating system; live heap …iB; resident memory ", "goroutines went from ")
	kept, err := w.Incidents()
	if err != nil {
		t.Fatal(err)
	}
	if list := kept.List(); len(list) != 1 || !strings.HasSuffix(actions[1], list[0].ID) || list[0].Cause.Rule != incident.Cleanup {
		t.Errorf("bundles: %+v", list)
	}
	if _, err := w.RecordIncident(t.Context(), "somebody asks a moment later"); err != nil {
		t.Error(err)
	}
	if l := leaksOf(t, w, 0, 10); ran != 1 || len(l) != 1 || l[0].Status != "confirmed" {
		t.Errorf("ran %d times; %+v", ran, l)
	}
	i.look(t.Context(), leakCase{finding: f}) // a moment later, for whatever reason
	if again := actionsOf(t, w, leak.Goroutines, 10); ran != 1 || !slices.Equal(again, actions) {
		t.Errorf("ran %d times: %q", ran, again)
	}
	runtime.KeepAlive(sessions)
}

// TestOwnersGiveWhatHasLeaked: where the heap leaks they are asked for that much.
func TestOwnersGiveWhatHasLeaked(t *testing.T) {
	w := cleaned(t, Options{})
	owner := newPile(64)
	if _, err := w.Register(owner); err != nil {
		t.Fatal(err)
	}
	sampled(t, w)
	w.says(heapLeak(leak.Confirmed))
	(&investigator{w: w}).look(t.Context(), leakCase{finding: heapLeak(leak.Confirmed)})
	contains(t, actionsOf(t, w, leak.Heap, 10), "cleaned up at ", "no cleanup task is meant for leaks",
		"shrank pile (48.0 MiB by its own account): 4… MiB freed, from ", "collected: ")
	if len(owner.held) != 16 {
		t.Errorf("the owner has %d MiB left", len(owner.held))
	}
	runtime.KeepAlive(owner)
}

// TestLittleComesOfIt is told, and the wait for another time is longer until the leak is over.
func TestLittleComesOfIt(t *testing.T) {
	// What other tests have left in this process is not to be returned either.
	w := cleaned(t, Options{}, func(c *Config) { c.GC.ReturnToOS = false })
	f := goroutineLeak()
	w.says(f)
	i := &investigator{w: w}
	sampled(t, w) // what earlier tests have left is gone
	i.look(t.Context(), leakCase{finding: f})
	contains(t, actionsOf(t, w, leak.Goroutines, 10), "cleaned up at ", "no cleanup task is meant for leaks", "collected: ", "goroutines went from ")
	if _, reason, after := leakBudget().Allow(w.cleaner.spent, time.Now()); !strings.Contains(reason, "little came of it") || after < 9*time.Minute {
		t.Errorf("%q, %v", reason, after)
	}
	w.cleaner.over(caseOf(f))
	if ok, reason, _ := leakBudget().Allow(w.cleaner.spent, time.Now()); !ok || len(w.cleaner.reports) != 0 {
		t.Errorf("after it was over: %s, %v", reason, w.cleaner.reports)
	}
}

// TestUnderPressureLeaksAreCleanedUp: by what pressure asks for anyway, which is told in the report, and then only that is
// done.
func TestUnderPressureLeaksAreCleanedUp(t *testing.T) {
	withoutLimit(t)
	c := newContainer(t, "1000000000")
	o, _ := c.options()
	w := cleaned(t, o)
	owner := &hoard{}
	owner.held.Store(900 << 20)
	if _, err := w.Register(owner); err != nil {
		t.Fatal(err)
	}
	stuck := make(chan struct{})
	if _, err := w.Cleanup().Add(cleanup.Task{Name: "slow", OnLeak: true, Timeout: time.Hour, Run: func(ctx context.Context, _ cleanup.Trigger) (int64, error) {
		close(stuck)
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}}); err != nil {
		t.Fatal(err)
	}
	f := heapLeak(leak.Suspect)
	(&investigator{w: w}).look(t.Context(), leakCase{finding: f})
	w.says(f)
	state := *w.State()
	c.use(960_000_000)
	<-stuck // the reaction to pressure has begun by itself
	if w.cleanUpUnderPressure(t.Context(), &state) {
		t.Error("it is cleaned up twice at a time")
	}
	actions := actionsOf(t, w, leak.Heap, 10)
	contains(t, actions, ": pressure is ", "ran cleanup tasks: …slow…deadline exceeded", "shrank hoard (", "together: …, from …", "collected: ")
	if held := owner.held.Load(); held > 800<<20 {
		t.Errorf("the owner has %d bytes", held)
	}
	before := owner.asked.Load()
	for deadline := time.Now().Add(time.Minute); owner.asked.Load() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("owners are not asked any more while pressure is " + w.State().Pressure.Level.String())
		}
	}
	if level := w.State().Pressure.Level; level < pressure.High {
		t.Errorf("pressure is %v", level)
	}
	if again := actionsOf(t, w, leak.Heap, 10); !slices.Equal(again, actions) {
		t.Errorf("cleaned up again: %q", again)
	}
}

// TestCleaningUpIsAllowed only where it was asked for, and after what is seen and was not dismissed.
func TestCleaningUpIsAllowed(t *testing.T) {
	w := cleaned(t, Options{})
	f := heapLeak(leak.Suspect)
	w.says(f, leak.Finding{Kind: leak.Native, Verdict: leak.Watch})
	if list := w.leaking(); len(list) != 1 || list[0].Kind != leak.Heap {
		t.Errorf("%+v", list)
	}
	for _, change := range []string{`{"leaks":{"auto_cleanup":false}}`, `{"leaks":{"auto_cleanup":true,"paused":true}}`} {
		if _, err := w.PatchConfig(t.Context(), ConfigPatch{Actor: "test", Patch: []byte(change)}); err != nil {
			t.Fatal(err)
		}
		if list := w.leaking(); len(list) != 0 {
			t.Errorf("%s: %+v", change, list)
		}
	}
	if _, err := w.PatchConfig(t.Context(), ConfigPatch{Actor: "test", Patch: []byte(`{"leaks":{"paused":false}}`)}); err != nil {
		t.Fatal(err)
	}
	w.quietLeaks.add(quietCase{name: caseOf(f)})
	if list := w.leaking(); len(list) != 0 {
		t.Errorf("dismissed: %+v", list)
	}
	w.quietLeaks.remove(caseOf(f))
	w.says()
	w.cleanUpConfirmed(t.Context(), f)
	if w.cleaner.busy || len(w.cleaner.reports) != 0 {
		t.Error("cleaned up after what is over")
	}
}

// TestActionsBeforeTheReport: what was done while a leak was still looked into stands on its report, once; not where it is over.
func TestActionsBeforeTheReport(t *testing.T) {
	o, _ := newContainer(t, "max").options()
	w := cleaned(t, o)
	f := heapLeak(leak.Suspect)
	w.openLeaks.watch(time.Now(), []isOpen{{f, 0}})
	w.noteActions(t.Context(), caseOf(f), []string{"first"})
	w.noteActions(t.Context(), caseOf(f), []string{"second"})
	w.noteActions(t.Context(), "of another", []string{"third"})
	(&investigator{w: w}).look(t.Context(), leakCase{finding: f})
	if l := awaitLeak(t, w, leak.Heap, "suspect"); !slices.Equal(l.Actions, []string{"first", "second"}) {
		t.Errorf("%q", l.Actions)
	}
	w.noteActions(t.Context(), caseOf(f), []string{"fourth"})
	for deadline := time.Now().Add(time.Minute); !slices.Equal(actionsOf(t, w, leak.Heap, 10), []string{"first", "second", "fourth"}); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q", actionsOf(t, w, leak.Heap, 10))
		}
	}
	if n := len(w.cleaner.early); n != 0 {
		t.Errorf("%d are kept", n)
	}
}

// TestActionsWhileTheStoreIsGone are done, and told in the log; what somebody has said of a leak stays.
func TestActionsWhileTheStoreIsGone(t *testing.T) {
	o, log := newContainer(t, "max").options()
	kept, err := NewMemoryReports("kept", nil)
	if err != nil {
		t.Fatal(err)
	}
	o.LeakReports = kept
	w := cleaned(t, o)
	f := heapLeak(leak.Suspect)
	(&investigator{w: w}).look(t.Context(), leakCase{finding: f})
	first := awaitLeak(t, w, leak.Heap, "suspect")
	if _, err := w.SettleLeak(t.Context(), first.ID, LeakAcknowledged); err != nil {
		t.Fatal(err)
	}
	w.noteActions(t.Context(), caseOf(f), []string{"done"})
	if actions := actionsOf(t, w, leak.Heap, 10); !slices.Equal(actions, []string{"done"}) || leaksOf(t, w, 0, 10)[0].Status != LeakAcknowledged {
		t.Errorf("%+v", leaksOf(t, w, 0, 10))
	}

	gone := &slowReports{goOn: make(chan struct{}), fail: errDown}
	close(gone.goOn)
	w.o.LeakReports = gone
	w.says(f)
	w.cleanUpConfirmed(t.Context(), f)
	awaitLog(t, log, "it is not known what was said of one")
	awaitLog(t, log, "memory leak report could not be kept")
	awaitLog(t, log, "memory leak is cleaned up after")
}
