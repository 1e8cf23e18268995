package memwarden

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/testprogram"
)

// leakedSession is what the tests leak and look for.
type leakedSession struct {
	user string
	next *leakedSession
	data [40]int64
}

// leaked is the list that holds them.
var leaked *leakedSession

const sessionCount = 20_000

// hold holds sessionCount sessions until the test ends.
func hold(t *testing.T) {
	t.Helper()
	for i := range sessionCount {
		leaked = &leakedSession{user: strconv.Itoa(i), next: leaked}
	}
	t.Cleanup(func() { leaked = nil })
	runtime.GC()
	runtime.GC()
}

// findLeak wants the leak among an analysis' types and suspects.
func findLeak(t *testing.T, a *retain.Analysis) {
	t.Helper()
	found := false
	for _, e := range a.Types {
		if strings.HasSuffix(e.Name, "leakedSession") && e.Count == sessionCount && e.ShallowBytes >= sessionCount*344 {
			found = true
		}
	}
	named := false
	for _, s := range a.Suspects {
		// A test program has no symbols: the variable has no name.
		named = named || strings.Contains(s.Sentence, "leakedSession") && strings.Contains(strings.Join(s.AllocStack, " "), "hold (")
	}
	if !found || !named {
		t.Errorf("the leak is among the types: %v, among the suspects: %v\ntypes %+v", found, named, a.Types[:min(5, len(a.Types))])
		for _, s := range a.Suspects {
			t.Errorf("suspect: %s %s %s", s.Sentence, s.Path, s.AllocStack)
		}
	}
}

// children are the frozen copies and helpers of this process.
func children(t *testing.T) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			found = append(found, string(text))
		}
	}
	return found
}

func noChildren(t *testing.T) {
	t.Helper()
	if left := children(t); len(left) > 0 {
		t.Errorf("child processes are left:\n%s", strings.Join(left, ""))
	}
}

// beginPatient begins a warden whose snapshots may take as long as a busy machine makes them.
func beginPatient(t *testing.T, o Options) *Warden {
	t.Helper()
	if o.Snapshot.Deadline == 0 {
		o.Snapshot.Deadline = 10 * time.Minute
	}
	o.Snapshot.Helper = testprogram.SnapshotHelper(t)
	return begin(t, o)
}

// TestSnapshotNamesTheLeak: the helper is the program itself, as it is if nothing else is said.
func TestSnapshotNamesTheLeak(t *testing.T) {
	hold(t)
	w := begin(t, Options{Snapshot: SnapshotOptions{Deadline: 10 * time.Minute}})
	var file bytes.Buffer
	info, err := w.Snapshot(t.Context(), &file)
	if err != nil {
		t.Fatal(err)
	}
	noChildren(t)
	r, err := snapshot.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if h := r.Header(); h.Method != snapshot.Fork || h.PID != int64(os.Getpid()) || r.Summary().PauseSeconds <= 0 || !strings.HasPrefix(h.GoVersion, runtime.Version()) || h.RSSBytes <= 0 {
		t.Errorf("header %+v", h)
	}
	if info.Bytes != int64(file.Len()) || info.Summary.Objects < sessionCount || info.Summary.PauseSeconds != r.Summary().PauseSeconds {
		t.Errorf("info %+v of %d bytes", info, file.Len())
	}
	g, err := graph.Load(t.Context(), r, graph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := retain.Analyze(t.Context(), g, retain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	findLeak(t, a)
}

// gate is a writer that takes nothing until it is opened.
type gate struct{ reached, opened chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}, 1), make(chan struct{})} }

func (g *gate) Write(p []byte) (int, error) {
	select {
	case g.reached <- struct{}{}:
	default:
	}
	<-g.opened
	return len(p), nil
}

// heldUp begins a snapshot that waits at a gate.
func heldUp(t *testing.T, ctx context.Context, w *Warden) (g *gate, ended chan error) {
	t.Helper()
	g, ended = newGate(), make(chan error, 1)
	go func() {
		_, err := w.Snapshot(ctx, g)
		ended <- err
	}()
	select {
	case <-g.reached:
	case err := <-ended:
		if !errors.Is(err, ErrSnapshotDeadline) { // it may come at any time
			t.Fatalf("the snapshot ended before it wrote: %v", err)
		}
		ended <- err
	}
	return g, ended
}

func TestOneSnapshotAtATime(t *testing.T) {
	w := beginPatient(t, Options{Snapshot: SnapshotOptions{Dir: t.TempDir(), Cooldown: -1}})
	g, ended := heldUp(t, t.Context(), w)
	if _, err := w.Snapshot(t.Context(), new(bytes.Buffer)); !errors.Is(err, ErrSnapshotBusy) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := w.StoreSnapshot(t.Context()); !errors.Is(err, ErrSnapshotBusy) {
		t.Errorf("one to keep: %v", err)
	}
	other := beginPatient(t, Options{})
	if _, err := other.Snapshot(t.Context(), new(bytes.Buffer)); err != nil && !errors.Is(err, ErrSnapshotBusy) {
		t.Errorf("another warden's: %v", err)
	}
	close(g.opened)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := w.Snapshot(t.Context(), new(bytes.Buffer)); err != nil {
		t.Errorf("the next: %v", err)
	}
	noChildren(t)
}

// TestSnapshotsThatAreBrokenOff: whatever ends one, it says so, and nothing of it is left.
func TestSnapshotsThatAreBrokenOff(t *testing.T) {
	c := newContainer(t, "8589934592")
	for name, test := range map[string]struct {
		options SnapshotOptions
		end     func(w *Warden, cancel context.CancelFunc)
		want    error
		text    string
	}{
		"the caller goes":    {SnapshotOptions{}, func(_ *Warden, cancel context.CancelFunc) { cancel() }, context.Canceled, ""},
		"the room shrinks":   {SnapshotOptions{}, func(*Warden, context.CancelFunc) { c.use(8589934592 - 10<<20) }, ErrSnapshotRoom, "broken off with 10.0 MiB left"},
		"the deadline comes": {SnapshotOptions{Deadline: time.Second}, func(*Warden, context.CancelFunc) {}, ErrSnapshotDeadline, "1s"},
		"the warden closes": {SnapshotOptions{}, func(w *Warden, _ context.CancelFunc) {
			if err := w.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}, nil, "the warden was closed"},
	} {
		t.Run(name, func(t *testing.T) {
			c.use(20 << 20)
			o, log := c.options()
			o.Snapshot = test.options
			w := beginPatient(t, o)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			g, ended := heldUp(t, ctx, w)
			test.end(w, cancel)
			for begun := time.Now(); len(children(t)) > 0 && time.Since(begun) < time.Minute; {
				time.Sleep(5 * time.Millisecond)
			}
			noChildren(t) // although the writer is stuck
			close(g.opened)
			err := <-ended
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("ended with %v, want %v, %q", err, test.want, test.text)
			}
			if !strings.Contains(log.String(), "memory heap snapshot failed") {
				t.Errorf("the log says\n%s", log)
			}
		})
	}
}

func TestSnapshotsWithoutRoom(t *testing.T) {
	c := newContainer(t, "83886080") // 80 MiB, 20 of them in use
	o, _ := c.options()
	o.Snapshot.Dir = t.TempDir()
	w := beginPatient(t, o)
	_, err := w.Snapshot(t.Context(), new(bytes.Buffer))
	if !errors.Is(err, ErrSnapshotRoom) || !strings.Contains(err.Error(), "only 60.0 MiB are free (the container's limit: 20.0 MiB of 80.0 MiB are in use)") {
		t.Error(err)
	}
	w = beginPatient(t, Options{Snapshot: SnapshotOptions{BudgetBytes: 1 << 20}})
	if _, err := w.Snapshot(t.Context(), new(bytes.Buffer)); !errors.Is(err, ErrSnapshotRoom) || !strings.Contains(err.Error(), "may use 1.0 MiB (MEMWARDEN_SNAPSHOT_BUDGET)") {
		t.Error(err)
	}
	noChildren(t)
}

// brokenWriter is a writer that fails.
type brokenWriter struct{}

var errBroken = errors.New("the wire is cut")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestAWriterThatFails(t *testing.T) {
	w := beginPatient(t, Options{})
	if _, err := w.Snapshot(t.Context(), brokenWriter{}); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if _, err := w.Snapshot(t.Context(), full); err == nil || !strings.Contains(err.Error(), "no room for the snapshot file") {
		t.Errorf("a disk that is full: %v", err)
	}
	noChildren(t)
}

func TestSnapshotsAreKept(t *testing.T) {
	hold(t)
	dir := t.TempDir()
	o := SnapshotOptions{Dir: dir, Cooldown: time.Hour}
	w := beginPatient(t, Options{Snapshot: o})
	record, err := w.StoreSnapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var early *SnapshotCooldownError
	if _, err := w.StoreSnapshot(t.Context()); !errors.As(err, &early) || early.RetryAfter <= 59*time.Minute {
		t.Errorf("a second one at once: %v", err)
	}
	kept, err := w.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	if list := kept.List(); len(list) != 1 || list[0].ID != record.ID || list[0].Analyzed {
		t.Errorf("kept %+v", list)
	}
	a, err := w.AnalyzeSnapshot(t.Context(), record.ID)
	if err != nil {
		t.Fatal(err)
	}
	findLeak(t, a)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.BudgetBytes = 1 // what is found is kept: no memory is needed for it
	w = beginPatient(t, Options{Snapshot: o})
	if a, err = w.AnalyzeSnapshot(t.Context(), record.ID); err != nil {
		t.Fatal(err)
	}
	findLeak(t, a)
	noChildren(t)
}

// addSnapshot puts a made snapshot into a warden's directory.
func addSnapshot(t *testing.T, w *Warden, write func(*os.File) error) archive.Record {
	t.Helper()
	kept, err := w.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	draft, err := kept.Create(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(draft.File.File); err != nil {
		t.Fatal(err)
	}
	record, err := draft.Keep()
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestAnalysesThatFail(t *testing.T) {
	dir := t.TempDir()
	small := beginPatient(t, Options{Snapshot: SnapshotOptions{Dir: dir, BudgetBytes: 1 << 20, MaxAge: 100 * 365 * 24 * time.Hour}})
	good := addSnapshot(t, small, func(f *os.File) error { return heaptest.WriteSessions(f, 100) })
	if _, err := small.AnalyzeSnapshot(t.Context(), good.ID); !errors.Is(err, ErrSnapshotRoom) || !strings.Contains(err.Error(), "analyse it elsewhere") {
		t.Errorf("without room: %v", err)
	}
	var usage OwnerUsage
	for _, o := range small.owners.usage(nil) {
		if o.Name == "heap_snapshots" {
			usage = o
		}
	}
	if usage.Usage.Entries != 1 || usage.Usage.MaxEntries != 5 || usage.Usage.Bytes == bounded.NotApplicable {
		t.Errorf("the limits have %+v", usage)
	}
	if err := small.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := beginPatient(t, Options{Snapshot: SnapshotOptions{Dir: dir, MaxAge: 100 * 365 * 24 * time.Hour}})
	if _, err := w.AnalyzeSnapshot(t.Context(), good.ID); err != nil {
		t.Errorf("with room: %v", err)
	}
	bad := addSnapshot(t, w, func(f *os.File) error {
		if err := heaptest.WriteSessions(f, 100); err != nil {
			return err
		}
		_, err := f.WriteAt([]byte("????????????????"), 3000)
		return err
	})
	_, first := w.AnalyzeSnapshot(t.Context(), bad.ID)
	_, second := w.AnalyzeSnapshot(t.Context(), bad.ID)
	if first == nil || second == nil || !strings.Contains(first.Error(), second.Error()) {
		t.Errorf("a damaged one: first %v, then %v", first, second)
	}
	kept, err := w.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := kept.Get(bad.ID); err != nil || r.Failure == "" || r.Analyzed {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := w.Cleanup().Run(t.Context(), "heap_snapshots", "manual"); err != nil {
		t.Error(err)
	}
}

func TestAFileThatWouldBeTooLarge(t *testing.T) {
	hold(t)
	w := beginPatient(t, Options{Snapshot: SnapshotOptions{Dir: t.TempDir(), MaxBytes: leastFileSize}})
	if _, err := w.StoreSnapshot(t.Context()); !errors.Is(err, archive.ErrNoRoom) && err != nil {
		t.Errorf("ended with %v", err)
	}
	kept, err := w.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	draft, err := kept.Create(0)
	if err != nil {
		t.Fatal(err)
	}
	defer draft.Discard()
	release, err := w.beginSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := w.takeSnapshot(t.Context(), draft.File.File, taking{maxBytes: 1000}); err == nil || !strings.Contains(err.Error(), "more than 1000 B") {
		t.Errorf("above its bound: %v", err)
	}
	noChildren(t)
}

// TestHugePagesAreAskedFor: and where they cannot be had, the log says why and the warden starts.
func TestHugePagesAreAskedFor(t *testing.T) {
	for _, c := range []struct {
		bytes, limit int64
		want         string
	}{
		{256 << 20, 1 << 40, `the kernel was asked for huge pages" heap="256.0 MiB"`},
		{256 << 20, 256 << 20, "the memory limit is not above SNAPSHOT_HUGE_PAGES"},
		{1 << 47, math.MaxInt64, "there are no huge pages: snapshots halt the process for longer"},
		{0, math.MaxInt64, ""},
	} {
		t.Run(bytesize.Format(c.bytes)+" of "+bytesize.Format(c.limit), func(t *testing.T) {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(c.limit))
			log := &logBook{}
			begin(t, Options{
				Logger: slog.New(slog.NewTextHandler(log, nil)), Snapshot: SnapshotOptions{HugePageBytes: c.bytes},
			})
			if text := log.String(); !strings.Contains(text, c.want) || c.want == "" && strings.Contains(text, "huge") {
				t.Errorf("the log has no %q:\n%s", c.want, text)
			}
		})
	}
}

// TestLargeProcessesAreMovedToHugePages before they halt, and only where that is wanted.
func TestLargeProcessesAreMovedToHugePages(t *testing.T) {
	if _, err := capture.Collapse(t.Context()); err != nil {
		t.Skipf("NOT TESTED: the kernel moves nothing to huge pages (Linux 6.1, not where they are switched off): %v", err)
	}
	for _, c := range []struct {
		name   string
		limit  time.Duration
		urgent bool
		want   bool
	}{
		{"by default", 0, false, true},
		{"not at all", -1, false, false},
		{"no time for it", 0, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &logBook{}
			debugging := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			w := begin(t, Options{Logger: debugging, Snapshot: SnapshotOptions{Collapse: c.limit}})
			release, err := w.beginSnapshot()
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			large := make([]byte, collapseFrom)
			for i := 0; i < len(large); i += os.Getpagesize() {
				large[i] = 1
			}
			ctx := t.Context()
			if !c.want { // it is broken off before the fork: that it was not moved is known by then
				ended, end := context.WithCancel(ctx)
				end()
				ctx = ended
			}
			_, err = w.takeSnapshot(ctx, new(bytes.Buffer), taking{urgent: c.urgent})
			runtime.KeepAlive(large)
			if c.want && err != nil || !c.want && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if text := log.String(); strings.Contains(text, "while a heap snapshot was taken") != c.want || strings.Contains(text, "stays") {
				t.Errorf("want it moved: %v; the log has\n%s", c.want, text)
			}
		})
	}
	log := &logBook{}
	w := begin(t, Options{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	w.collapse(t.Context(), collapseFrom-1)()
	if text := log.String(); strings.Contains(text, "huge") {
		t.Errorf("a small process is moved:\n%s", text)
	}
}
