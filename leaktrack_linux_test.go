package memwarden

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/leak/track"
)

// trackedSession is what the tests below track.
type trackedSession struct {
	user string
	data [40]int64
}

// forgotten is where the tests leak to.
var forgotten map[string]*trackedSession

// trackedSessions tracks and releases so many sessions, and keeps them if they are to leak.
func trackedSessions(t *testing.T, w *Warden, owner string, n int, leak bool) {
	t.Helper()
	var all []*track.Handle // released together, so that they are overdue together
	for i := range n {
		s := &trackedSession{user: fmt.Sprint(owner, i)}
		if leak {
			forgotten[s.user] = s
		}
		h, err := Track(w, s, owner)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	for _, h := range all {
		h.Release()
	}
}

// collecting has collections happen until the test ends.
func collecting(t *testing.T) {
	t.Helper()
	forgotten = map[string]*trackedSession{}
	t.Cleanup(func() { forgotten = nil })
	leaking(t, runtime.GC)
}

// awaitRetained waits for the report of an owner's objects.
func awaitRetained(t *testing.T, w *Warden, owner string, like func(KeptLeak) bool) KeptLeak {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, l := range leaksOf(t, w, 0, 100) {
			if l.Kind == KindRetained && l.Owner == owner && like(l) {
				return l
			}
		}
	}
	t.Fatalf("objects of %s were not reported as they should be: %+v, %+v", owner, leaksOf(t, w, 0, 100), w.Tracked())
	return KeptLeak{}
}

func confirmed(l KeptLeak) bool { return l.Status == "confirmed" }

// quickly tracks with the least patience, and takes no snapshots.
func quickly() *Config {
	c := ofSeconds()
	c.Leaks.Snapshots, c.Leaks.TrackCollections = false, 3
	return c
}

// TestRetainedObjectsAreNamed: what was released and is held is told with its path from a snapshot, once for all of a
// type; what is healthy is not told of.
func TestRetainedObjectsAreNamed(t *testing.T) {
	c := quickly()
	c.Leaks.Snapshots = true
	w := beginPatient(t, Options{Config: c, Snapshot: SnapshotOptions{Dir: filepath.Join(t.TempDir(), "snapshots"), Cooldown: -1}})
	collecting(t)
	trackedSessions(t, w, "sessions", 12, true)
	trackedSessions(t, w, "healthy", 50, false)
	for range 5 {
		h, err := Track(w, &trackedSession{}, "in_use")
		if err != nil {
			t.Fatal(err)
		}
		defer h.Release()
	}
	l := awaitRetained(t, w, "sessions", confirmed)
	path := strings.Join(l.Path, "")
	if l.Type != "memwarden.trackedSession" || l.RetainedBytes < 12*344 || !strings.HasSuffix(path, "[…]") ||
		!strings.Contains(path, "forgotten") && !strings.Contains(path, "bss") { // a test program has no symbols
		t.Errorf("%s, %q, %d bytes", l.Type, l.Path, l.RetainedBytes)
	}
	if !strings.HasPrefix(l.Sentence, "12 objects of memwarden.trackedSession (owner sessions) are still held ") ||
		!strings.Contains(l.Sentence, "collections after they were released, by "+path+"; with what they hold, ") {
		t.Error(l.Sentence)
	}
	if len(l.AllocStack) == 0 || !strings.Contains(l.AllocStack[0], "trackedSessions (leaktrack_linux_test.go:") || len(l.Evidence) == 0 ||
		!strings.HasPrefix(l.Evidence[0], "snapshot ") || l.Signature != "retained sessions memwarden.trackedSession" {
		t.Errorf("%+v", l)
	}
	cases := map[string]int{}
	for _, l := range leaksOf(t, w, 0, 100) {
		if l.Kind == KindRetained {
			cases[l.Owner]++
		}
	}
	if len(cases) != 1 || cases["sessions"] != 1 {
		t.Errorf("cases by owner: %v", cases)
	}
	kept, err := w.Snapshots()
	if err != nil || len(kept.List()) != 1 || !kept.List()[0].Analyzed {
		t.Errorf("%+v, %v: want one snapshot, analysed", kept.List(), err)
	}
	t.Log(l.Sentence)
}

// TestRetainedObjectsWithoutSnapshots are told too; more of them are told again, and their end ends the case.
func TestRetainedObjectsWithoutSnapshots(t *testing.T) {
	log := &logBook{}
	w := begin(t, Options{Config: quickly(), Logger: slog.New(slog.NewJSONHandler(log, nil))})
	collecting(t)
	trackedSessions(t, w, "sessions", 1, true)
	first := awaitRetained(t, w, "sessions", confirmed)
	if !strings.HasPrefix(first.Sentence, "1 object of memwarden.trackedSession (owner sessions) is still held ") ||
		!strings.HasSuffix(first.Sentence, " collections after it was released") || len(first.Evidence) != 1 ||
		!strings.Contains(first.Evidence[0], "MEMWARDEN_LEAK_SNAPSHOTS") || first.Path != nil {
		t.Errorf("%+v", first)
	}
	for i := range 4 {
		s := &trackedSession{}
		forgotten[fmt.Sprint("more", i)] = s
		ctx, end := TrackScope(t.Context())
		if _, err := TrackContext(ctx, w, s, "sessions"); err != nil {
			t.Fatal(err)
		}
		end()
	}
	more := awaitRetained(t, w, "sessions", func(l KeptLeak) bool { return l.ID > first.ID && strings.HasPrefix(l.Sentence, "5 objects") })
	if more.Case != first.Case || more.Status != "confirmed" {
		t.Errorf("%+v", more)
	}
	clear(forgotten)
	awaitLog(t, log, "memory leak is over")
}

// TestDismissedRetainedObjectsStayQuiet while those of another owner are told.
func TestDismissedRetainedObjectsStayQuiet(t *testing.T) {
	log := &logBook{}
	w := begin(t, Options{Config: quickly(), Logger: slog.New(slog.NewJSONHandler(log, nil))})
	collecting(t)
	trackedSessions(t, w, "sessions", 1, true)
	first := awaitRetained(t, w, "sessions", confirmed)
	if _, err := w.SettleLeak(t.Context(), first.ID, LeakDismissed); err != nil {
		t.Fatal(err)
	}
	clear(forgotten)
	awaitLog(t, log, "memory leak is over")
	trackedSessions(t, w, "sessions", 3, true)
	awaitLog(t, log, "memory leak is one that was dismissed")
	trackedSessions(t, w, "others", 3, true)
	awaitRetained(t, w, "others", confirmed)
	for _, l := range leaksOf(t, w, 0, 100) {
		if l.Owner == "sessions" && l.Status != LeakDismissed {
			t.Errorf("%+v", l)
		}
	}
}

// TestASnapshotThatCannotBeTaken: the report says why.
func TestASnapshotThatCannotBeTaken(t *testing.T) {
	c := quickly()
	c.Leaks.Snapshots = true
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	w := begin(t, Options{Config: c}) // which has no directory for them, and can make none
	collecting(t)
	trackedSessions(t, w, "sessions", 2, true)
	if l := awaitRetained(t, w, "sessions", confirmed); len(l.Evidence) != 1 || !strings.HasPrefix(l.Evidence[0], "no snapshot: the directory of heap snapshots cannot be used") ||
		!strings.Contains(l.Evidence[0], "no directory is set") {
		t.Errorf("%+v", l)
	}
}

// TestTrackingIsBounded: what is beyond the bound is refused, counted and logged, and shown among the limits.
func TestTrackingIsBounded(t *testing.T) {
	log := &logBook{}
	w := begin(t, Options{Config: quickly(), MaxTracked: 3, Logger: slog.New(slog.NewJSONHandler(log, nil))})
	held := make([]*trackedSession, 5)
	refused := 0
	for i := range held {
		held[i] = &trackedSession{}
		h, err := Track(w, held[i], "sessions")
		if errors.Is(err, track.ErrFull) {
			refused++
		}
		h.Release() // also of one that was refused
	}
	if refused != 2 {
		t.Errorf("%d were refused, want 2", refused)
	}
	awaitLog(t, log, `"msg":"memory tracking: objects were refused (Options.MaxTracked)","refused":2,"tracked":3`)
	for _, o := range w.owners.usage(nil) {
		if o.Name == "tracked_objects" && (o.Usage.Entries != 3 || o.Usage.MaxEntries != 3 || o.OutsideHeap) {
			t.Errorf("%+v", o)
		}
	}
	if list := w.Tracked(); len(list) != 1 || list[0].Released != 3 {
		t.Errorf("%+v", list)
	}
	runtime.KeepAlive(held)
	if _, err := Start(t.Context(), Options{MaxTracked: -1}); err == nil || !strings.Contains(err.Error(), "MaxTracked -1") {
		t.Error(err)
	}
}

// TestTrackingWhereItCannotBe says so.
func TestTrackingWhereItCannotBe(t *testing.T) {
	remote := begin(t, Options{PID: os.Getpid()})
	if h, err := Track(remote, &trackedSession{}, "sessions"); !errors.Is(err, ErrRemote) || h != nil || len(remote.Tracked()) != 0 {
		t.Errorf("%v, %v", h, err)
	}
	w := begin(t, Options{})
	if _, err := TrackContext(context.Background(), w, &trackedSession{}, "sessions"); !errors.Is(err, ErrEndlessContext) {
		t.Error(err)
	}
	if _, err := TrackContext(t.Context(), w, new(int64), "sessions"); !errors.Is(err, track.ErrUntrackable) {
		t.Error(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Track(w, &trackedSession{}, "sessions"); !errors.Is(err, track.ErrClosed) {
		t.Error(err)
	}
}

// TestScopes: what is tracked in a scope is released at its end, and not when the context around it is done.
func TestScopes(t *testing.T) {
	w := begin(t, Options{})
	releasedOf := func() int { return w.Tracked()[0].Released }
	outer, cancel := context.WithCancel(t.Context())
	scoped, end := TrackScope(outer)
	defer end()
	derived, stop := context.WithTimeout(scoped, time.Hour)
	defer stop()
	inScope, outside := &trackedSession{}, &trackedSession{}
	for s, ctx := range map[*trackedSession]context.Context{inScope: derived, outside: outer} {
		if _, err := TrackContext(ctx, w, s, "sessions"); err != nil {
			t.Fatal(err)
		}
	}
	if n := releasedOf(); n != 0 {
		t.Errorf("%d are released already", n)
	}
	released := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); releasedOf() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d are released, want %d", releasedOf(), want)
			}
		}
	}
	cancel()
	released(1)
	end()
	released(2)
	runtime.KeepAlive(inScope)
	runtime.KeepAlive(outside)
}

// TestTrackingCanBeSwitchedOff at run time, without what was watched being forgotten.
func TestTrackingCanBeSwitchedOff(t *testing.T) {
	w := begin(t, Options{Config: quickly()})
	collecting(t)
	trackedSessions(t, w, "sessions", 1, true)
	awaitRetained(t, w, "sessions", confirmed)
	before := w.Leaks().Findings
	document, err := w.PatchConfig(t.Context(), ConfigPatch{Actor: "test", Patch: []byte(`{"leaks":{"track_collections":0}}`)})
	if err != nil || document.Config.Leaks.TrackCollections != 0 {
		t.Fatal(document, err)
	}
	if _, err := w.CheckLeaks(t.Context()); err != nil {
		t.Fatal(err)
	}
	trackedSessions(t, w, "others", 3, true)
	for range 8 {
		if _, err := w.CheckLeaks(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range leaksOf(t, w, 0, 100) {
		if l.Owner == "others" {
			text, _ := json.Marshal(l)
			t.Errorf("%s", text)
		}
	}
	if len(before) != len(w.Leaks().Findings) {
		t.Errorf("findings %+v", w.Leaks().Findings)
	}
}

// TestObjectsThatWentLate are not told of: those that are gone when the snapshot is taken, and those that nothing holds
// in it, unless they stay.
func TestObjectsThatWentLate(t *testing.T) {
	log := &logBook{}
	w := beginPatient(t, Options{
		Logger: slog.New(slog.NewJSONHandler(log, nil)), Snapshot: SnapshotOptions{Dir: filepath.Join(t.TempDir(), "snapshots"), Cooldown: -1},
	})
	i := &investigator{w: w, tracked: map[trackKey]*toldTracked{}}
	gone, err := Track(w, &trackedSession{}, "gone")
	if err != nil {
		t.Fatal(err)
	}
	for gone.Address() != 0 {
		runtime.GC()
	}
	overdue := track.Overdue{Owner: "gone", Type: "memwarden.trackedSession", Count: 1, Collections: 3, Objects: []*track.Handle{gone}}
	i.lookTracked(t.Context(), trackCase{[]track.Overdue{overdue}, track.Patience{Collections: 3}, true})
	overdue.Collections = 6
	i.lookTracked(t.Context(), trackCase{[]track.Overdue{overdue}, track.Patience{Collections: 3}, false})
	if n := strings.Count(log.String(), "released objects went late"); n != 2 {
		t.Errorf("it is logged %d times:\n%s", n, log)
	}
	if list := leaksOf(t, w, 0, 10); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	alive := &trackedSession{}
	h, err := Track(w, alive, "alive")
	if err != nil {
		t.Fatal(err)
	}
	held := &retain.Held{Found: 1}
	unheld := tracked{track.Overdue{Objects: []*track.Handle{h}}, &toldTracked{verdict: leak.Suspect, held: held}}
	if !unheld.going() {
		t.Error("what nothing holds is told of at once")
	}
	unheld.told.verdict = leak.Confirmed
	if unheld.going() {
		t.Error("what stays is never told of")
	}
	if r := i.trackReport(unheld); !strings.Contains(r.Sentence, "the snapshot shows nothing that holds them") {
		t.Error(r.Sentence)
	}
	runtime.KeepAlive(alive)
}

// TestMoreRetainedObjectsAreLookedAtAnew: what was found of the first few is not told of all; where nothing more can be
// found it is said of how many it was.
func TestMoreRetainedObjectsAreLookedAtAnew(t *testing.T) {
	w := beginPatient(t, Options{Snapshot: SnapshotOptions{Dir: filepath.Join(t.TempDir(), "snapshots"), Cooldown: -1}})
	i := &investigator{w: w, tracked: map[trackKey]*toldTracked{}}
	overdue := track.Overdue{Owner: "sessions", Type: "memwarden.trackedSession", Collections: 3, Since: time.Now()}
	forgotten = map[string]*trackedSession{}
	t.Cleanup(func() { forgotten = nil })
	grow := func(to int) {
		for n := overdue.Count; n < to; n++ {
			s := &trackedSession{user: fmt.Sprint(n)}
			forgotten[s.user] = s
			h, err := Track(w, s, overdue.Owner)
			if err != nil {
				t.Fatal(err)
			}
			overdue.Objects = append(overdue.Objects, h)
		}
		overdue.Count = to
	}
	for _, step := range []struct {
		objects, looked int
		allowed         bool
	}{{2, 2, true}, {12, 12, true}, {24, 12, false}} {
		grow(step.objects)
		i.lookTracked(t.Context(), trackCase{[]track.Overdue{overdue}, track.Patience{Collections: 3}, step.allowed})
		l := awaitRetained(t, w, overdue.Owner, func(l KeptLeak) bool {
			return strings.HasPrefix(l.Sentence, fmt.Sprintf("%d objects of ", step.objects))
		})
		if want := uint64(step.looked * 344); uint64(l.RetainedBytes) < want || uint64(l.RetainedBytes) > 2*want {
			t.Errorf("%d objects: %d bytes, want some %d", step.objects, l.RetainedBytes, want)
		}
		if partly := strings.HasSuffix(l.Sentence, fmt.Sprintf("stay of the %d that were looked at", step.looked)); partly == step.allowed {
			t.Errorf("%d objects: %s", step.objects, l.Sentence)
		}
		if !strings.HasPrefix(l.Evidence[0], "snapshot ") || step.allowed != (len(l.Evidence) == 1) {
			t.Errorf("%d objects: %q", step.objects, l.Evidence)
		}
	}
}

// TestSentencesOfRetainedObjects say by what most are held, that there are others, and what they are a part of.
func TestSentencesOfRetainedObjects(t *testing.T) {
	w := begin(t, Options{})
	i := &investigator{w: w}
	path := func(count uint64, steps ...string) retain.Path { return retain.Path{Steps: steps, Count: count} }
	n := tracked{track.Overdue{Owner: "sessions", Type: "main.session", Count: 12, Collections: 4}, &toldTracked{
		verdict: leak.Confirmed, caseName: "a", evidence: []string{"snapshot 1"},
		held: &retain.Held{
			Found: 12, Reached: 12, Objects: 10, Inner: 9, Type: "[]main.session", RetainedBytes: 2 << 20,
			Paths: []retain.Path{path(7, "main.cache", ".m", "[…]"), path(2, "main.last"), path(1, "main.other")},
		},
	}}
	r := i.trackReport(n)
	if want := "12 objects of main.session (owner sessions) are still held 4 collections after they were released, 7 of 10 by main.cache.m[…], " +
		"as a part of []main.session; with what they hold, 2.0 MiB stay"; r.Sentence != want {
		t.Errorf("%s\nwant\n%s", r.Sentence, want)
	}
	n.told.held.Found = 11
	if r := i.trackReport(n); !strings.HasSuffix(r.Sentence, "; with what they hold, 2.0 MiB stay of the 11 that were looked at") {
		t.Error(r.Sentence)
	}
	if strings.Join(r.Evidence, "; ") != "snapshot 1; 2 by main.last; 1 by main.other" || len(n.told.evidence) != 1 || r.check() != nil {
		t.Errorf("%q, %v", r.Evidence, r.check())
	}
}
