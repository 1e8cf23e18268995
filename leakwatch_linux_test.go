package memwarden

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/leak"
)

// leakySession is what the test below leaks.
type leakySession struct {
	name [200]byte
	next *leakySession
}

var leakySessions *leakySession

//go:noinline
func openLeakySession() { leakySessions = &leakySession{next: leakySessions} }

// leaking does something in each hundredth of a second until the test ends.
func leaking(t *testing.T, what func()) {
	t.Helper()
	stop := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				what()
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		ended.Wait()
	})
}

// ofSeconds looks for leaks of seconds.
func ofSeconds() *Config {
	c := DefaultConfig()
	c.Leaks = LeakConfig{Enabled: true, IntervalSeconds: 0.1, WindowSeconds: 2, MinRiseRatio: 0.05, Snapshots: true}
	return &c
}

// TestAHeapLeakIsNamed: a list that grows is confirmed and told with its type, who holds it, who allocated it and the
// snapshots that show it.
func TestAHeapLeakIsNamed(t *testing.T) {
	t.Cleanup(func() { leakySessions = nil }) // after the last was opened
	c := ofSeconds()
	c.Leaks.WindowSeconds = 4 // a starved machine collects less often than it should for less
	w := beginPatient(t, Options{Config: c, Snapshot: SnapshotOptions{Dir: filepath.Join(t.TempDir(), "snapshots"), Cooldown: -1}})
	leaking(t, func() {
		for range 100 {
			openLeakySession()
		}
	})
	l := awaitLeak(t, w, leak.Heap, "confirmed")
	if !strings.HasSuffix(l.Type, "memwarden.leakySession") || !strings.Contains(strings.Join(l.Path, ""), "leakySessions") &&
		!strings.Contains(strings.Join(l.Path, ""), "bss") || l.RetainedBytes < 1<<20 {
		t.Errorf("type %s, path %q, %d bytes", l.Type, l.Path, l.RetainedBytes)
	}
	if !strings.Contains(strings.Join(l.AllocStack, " "), "openLeakySession") || l.GrowthPerSecond < 100_000 ||
		!strings.Contains(l.Sentence, "leakySession") || len(l.Evidence) != 2 {
		t.Errorf("%+v", l)
	}
	kept, err := w.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, record := range kept.List() {
		all = append(all, "snapshot "+record.ID)
	}
	for i, line := range l.Evidence { // that of the confirmation and that of the suspicion, whose difference it was made from
		if !slices.Contains(all, line) || slices.Index(l.Evidence, line) != i {
			t.Errorf("evidence %q, snapshots %q", l.Evidence, all)
		}
	}
	t.Log(l.Sentence)
}

// TestADescriptorLeakIsFound: by its kind and pace.
func TestADescriptorLeakIsFound(t *testing.T) {
	var open []*os.File
	c := ofSeconds()
	c.Sampling.IntervalSeconds, c.Sampling.SlowIntervalSeconds = 0.1, 1
	c.Leaks.WindowSeconds = 4 // descriptors are counted once a second
	w := begin(t, Options{Config: c})
	t.Cleanup(func() {
		for _, f := range open {
			_ = f.Close()
		}
	})
	turns := 0
	leaking(t, func() {
		if turns++; turns%4 == 0 && len(open) < 900 {
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Error(err)
			}
			open = append(open, f)
		}
	})
	l := awaitLeak(t, w, leak.Descriptors, "suspect")
	if !strings.HasPrefix(l.Sentence, "Open descriptors rose from ") || l.GrowthPerSecond < 1 || l.GrowthPerSecond > 50 {
		t.Errorf("%+v", l)
	}
}

// liar says that it has more than there is, and then panics.
type liar struct{ panics bool }

func (*liar) Name() string { return "liar" }

func (l *liar) Usage() bounded.Usage {
	if l.panics {
		panic("no")
	}
	return bounded.Usage{Bytes: math.MaxInt64}
}

func (*liar) Shrink(context.Context, int64) int64 { return 0 }

// TestWatchingWithBadParts: an owner that lies and one that panics are left out, a load that panics is none, and all goes on.
func TestWatchingWithBadParts(t *testing.T) {
	log := &logBook{}
	w := begin(t, Options{Config: ofSeconds(), Logger: slog.New(slog.NewJSONHandler(log, nil)), Load: func() float64 { panic("no load") }})
	l := &liar{}
	if _, err := w.Register(l); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Register(&named{&liar{panics: true}, "panics"}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		status, err := w.CheckLeaks(t.Context())
		if err != nil || len(status.Findings) != len(leak.Kinds()) || status.CheckedAt.IsZero() {
			t.Fatalf("%+v, %v", status, err)
		}
		time.Sleep(100 * time.Millisecond) // so that the owners are asked
	}
	awaitLog(t, log, "owners account for more than there is")
	awaitLog(t, log, "Options.Load panicked")
}

// TestOwnersAreCountedWhenTheHeapIsKnown: what owners account for is of the time of the live heap, and they are believed up
// to all that there is: a cache may be nearly all of a program.
func TestOwnersAreCountedWhenTheHeapIsKnown(t *testing.T) {
	w := begin(t, Options{})
	l := w.newLeakWatch()
	metrics.Read(l.read)
	l.collect(w.o.Now())
	objects := l.read[readObjects].Value.Uint64()
	claim := func(share float64) []OwnerUsage {
		return []OwnerUsage{{Usage: bounded.Usage{Bytes: int64(share * float64(objects)), MaxBytes: math.MaxInt64}}}
	}
	if got := l.count(claim(0.99)); got < 0.98*float64(objects) || got > float64(objects) || l.doubted {
		t.Errorf("of %d bytes 99 %% are counted as %.0f", objects, got)
	}
	if got := l.count(claim(1.01)); !math.IsNaN(got) || !l.doubted {
		t.Errorf("of %d bytes 101 %% are counted as %.0f", objects, got)
	}
	live := float64(l.read[readLive].Value.Uint64())
	l.counted, l.owned = l.cycles, 1000
	for _, c := range []struct{ owned, taken float64 }{{1000, 1000}, {2 * live, live}, {math.NaN(), 0}} {
		l.owned = c.owned
		o, _ := l.observe()
		if o.Values[leak.Heap] != live-c.taken || o.Owned != c.owned && !math.IsNaN(c.owned) || math.IsNaN(o.Owned) != math.IsNaN(c.owned) {
			t.Errorf("with %.0f of %.0f it sees %.0f and %.0f", c.owned, live, o.Values[leak.Heap], o.Owned)
		}
	}
	l.collect(w.o.Now())
	if o, _ := l.observe(); math.IsNaN(o.Owned) || l.counted != l.cycles {
		t.Errorf("after a collection owners are not counted anew: %.0f", o.Owned)
	}
}

// TestOwnersThatAreNotBelieved: what they account for is not known, and each time that it begins the log says so once.
func TestOwnersThatAreNotBelieved(t *testing.T) {
	log := &logBook{}
	w := begin(t, Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	l := w.newLeakWatch()
	metrics.Read(l.read)
	l.collect(w.o.Now())
	objects := float64(l.read[readObjects].Value.Uint64())
	said := 0
	for i, c := range []struct {
		share float64
		says  bool
	}{{0.5, false}, {1.5, true}, {1.2, false}, {0.9, false}, {1.1, true}, {2, false}} {
		got := l.count([]OwnerUsage{{Usage: bounded.Usage{Bytes: int64(c.share * objects)}}})
		if (got > 0) == (c.share > 1) || math.IsNaN(got) != (c.share > 1) {
			t.Errorf("step %d: of %.1f of all objects %v is counted", i, c.share, got)
		}
		if c.says {
			said++
		}
		if n := strings.Count(log.String(), "owners account for more than there is"); n != said {
			t.Errorf("step %d: it is said %d times, want %d", i, n, said)
		}
	}
	live := float64(l.read[readLive].Value.Uint64())
	for _, err := range []error{nil, errors.New("it panicked"), errors.New("it panicked"), nil} {
		l.counted, l.owned = l.cycles, l.count([]OwnerUsage{{Usage: bounded.Usage{Bytes: 1000}}, {Name: "broken", Err: err}})
		if o, owned := l.observe(); owned != 1000 || o.Values[leak.Heap] != live-1000 || math.IsNaN(o.Owned) != (err != nil) {
			t.Errorf("%v: of %v bytes it sees %v, %v are owned, and %v told to the detector", err, live, o.Values[leak.Heap], owned, o.Owned)
		}
	}
	if n := strings.Count(log.String(), "an owner cannot tell what it holds"); n != 1 {
		t.Errorf("it is said %d times that an owner cannot tell, want once", n)
	}
	l.counted, l.owned = l.cycles, math.NaN()
	if o, owned := l.observe(); !math.IsNaN(owned) || o.Values[leak.Heap] != live {
		t.Errorf("of %v bytes it sees %v, and %v are owned", live, o.Values[leak.Heap], owned)
	}
}

// named is an owner by another name.
type named struct {
	bounded.Owner
	name string
}

func (n *named) Name() string { return n.name }

// TestChecksWhereNothingIsWatched say so.
func TestChecksWhereNothingIsWatched(t *testing.T) {
	c := DefaultConfig()
	c.Leaks.Enabled = false
	w := begin(t, Options{Config: &c})
	if _, err := w.CheckLeaks(t.Context()); err != ErrLeaksOff {
		t.Errorf("%v", err)
	}
	patched, err := w.PatchConfig(t.Context(), ConfigPatch{Actor: "test", Patch: []byte(`{"leaks":{"enabled":true}}`)})
	if err != nil || !patched.Config.Leaks.Enabled {
		t.Fatal(patched, err)
	}
	if status, err := w.CheckLeaks(t.Context()); err != nil || status.Verdict != leak.Insufficient || len(status.Findings) == 0 {
		t.Errorf("%+v, %v", status, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.CheckLeaks(ended); err == nil {
		t.Error("nobody waits, and yet there is an answer")
	}
	remote := begin(t, Options{PID: os.Getpid()})
	if _, err := remote.CheckLeaks(t.Context()); err != ErrRemote || remote.Leaks().Verdict != leak.Insufficient {
		t.Errorf("%v", err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CheckLeaks(t.Context()); err != ErrClosed {
		t.Errorf("%v", err)
	}
	runtime.KeepAlive(w)
}

// TestSettledLeaks: who dismisses a leak hears no more of those like it; who acknowledges one is told no less.
func TestSettledLeaks(t *testing.T) {
	w := begin(t, Options{})
	r := found(1)
	r.Signature = "held main.take"
	for range 2 {
		if err := w.ReportLeak(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	var list []KeptLeak
	for deadline := time.Now().Add(time.Minute); len(list) < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		list = leaksOf(t, w, 0, 10)
	}
	dismissed := func(want bool) {
		t.Helper()
		if got, err := w.dismissed(t.Context(), r.Signature); got != want || err != nil {
			t.Errorf("dismissed %v, %v: want %v", got, err, want)
		}
	}
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	dismissed(false)
	for _, status := range []string{LeakAcknowledged, LeakDismissed} {
		settled, err := w.SettleLeak(t.Context(), list[1].ID, status)
		if err != nil || settled.Status != status || settled.ID <= list[0].ID {
			t.Errorf("%+v, %v", settled, err)
		}
		dismissed(status == LeakDismissed)
	}
	now := leaksOf(t, w, 0, 10)
	if len(now) != 2 || now[0].Status != LeakDismissed || now[1].ID != list[0].ID {
		t.Errorf("%+v", now)
	}
	if l, err := w.LeakReport(t.Context(), list[1].ID); err != nil || l.Status != LeakDismissed {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := w.LeakReport(t.Context(), 1000); err == nil {
		t.Error("a report that is not there was found")
	}
	if _, err := w.SettleLeak(t.Context(), list[0].ID, "forgotten"); err == nil {
		t.Error("a status that there is not was taken")
	}
}

// TestADismissedLeakStaysQuiet: it is not reported again, and counts for no verdict, while others are and do.
func TestADismissedLeakStaysQuiet(t *testing.T) {
	w := begin(t, Options{})
	i := &investigator{w: w}
	f := leak.Finding{Kind: leak.Threads, Verdict: leak.Suspect, Rule: leak.Fast, Since: time.Unix(1000, 0), Reason: "threads rose", PerSecond: 1}
	i.look(t.Context(), leakCase{finding: f})
	first := awaitLeak(t, w, leak.Threads, "suspect")
	if _, err := w.SettleLeak(t.Context(), first.ID, LeakDismissed); err != nil {
		t.Fatal(err)
	}
	again := f
	again.Since = time.Unix(2000, 0)
	i.look(t.Context(), leakCase{finding: again})
	other := f
	other.Kind = leak.Descriptors
	i.look(t.Context(), leakCase{finding: other})
	awaitLeak(t, w, leak.Descriptors, "suspect") // reports are kept one after the other
	if list := leaksOf(t, w, 0, 10); len(list) != 2 || list[1].Status != LeakDismissed {
		t.Errorf("%+v", list)
	}
	for _, quiet := range []leak.Finding{f, again} {
		if !w.quietLeaks.has(caseOf(quiet)) {
			t.Errorf("%s is not quiet", caseOf(quiet))
		}
	}
	if w.quietLeaks.has(caseOf(other)) {
		t.Error("a leak that nobody dismissed is quiet")
	}
}

// TestTimeToTheLimit counts what else is used.
func TestTimeToTheLimit(t *testing.T) {
	o, _ := newContainer(t, "1048576").options()
	w := begin(t, o)
	signal, ok := w.State().Pressure.Strongest()
	if !ok {
		t.Fatal("no limit is seen")
	}
	f := leak.Finding{Kind: leak.Heap, To: 1000, PerSecond: 1}
	if left, ok := f.Left(w.ceiling(f)); !ok && signal.UsedBytes < signal.LimitBytes || left.Seconds() != max(0, float64(signal.LimitBytes-signal.UsedBytes)) {
		t.Errorf("%v is left of %+v", left, signal)
	}
	f.Kind = leak.Threads
	if _, ok := f.Left(w.ceiling(f)); ok {
		t.Error("threads have a limit")
	}
}
