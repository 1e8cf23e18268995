package memwarden

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/gcpolicy"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/limit"
	"github.com/memwarden/memwarden/pressure"
	"github.com/memwarden/memwarden/shutdown"
)

func sortedInts[V any](m map[int64]V) []int64 {
	keys := make([]int64, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// withoutLimit makes sure that a test begins and ends without a memory limit.
func withoutLimit(t *testing.T) {
	t.Helper()
	before := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
}

func TestLimitFollowsTheContainerAndIsGivenBack(t *testing.T) {
	withoutLimit(t)
	synctest.Test(t, func(t *testing.T) {
		c := newContainer(t, "1073741824")
		o, log := c.options()
		w := begin(t, o)
		if got := debug.SetMemoryLimit(-1); got != 1073741824*9/10 {
			t.Errorf("limit %d after the start, want 90 %% of 1 GiB", got)
		}
		c.write("sys/fs/cgroup/memory.max", "2147483648\n")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := debug.SetMemoryLimit(-1); got != 2147483648*9/10 {
			t.Errorf("limit %d half a minute after the resize, want 90 %% of 2 GiB", got)
		}
		if got := w.State().Limit; got.Source != limit.SourceDerived {
			t.Errorf("source %q: %s", got.Source, got.Reason)
		}
		if err := w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
			t.Errorf("limit %d after closing, want none", got)
		}
		if !strings.Contains(log.String(), "memory limit") {
			t.Errorf("the limit is not logged:\n%s", log)
		}
	})
}

func TestExplicitLimitIsNeverTouched(t *testing.T) {
	withoutLimit(t)
	synctest.Test(t, func(t *testing.T) {
		debug.SetMemoryLimit(700 << 20)
		o, _ := newContainer(t, "1073741824").options("GOMEMLIMIT=700MiB")
		w := begin(t, o)
		time.Sleep(time.Minute)
		if got := debug.SetMemoryLimit(-1); got != 700<<20 || w.State().Limit.Source != limit.SourceExplicit {
			t.Errorf("limit %d, %+v", got, w.State().Limit)
		}
	})
}

func TestLimitThatALauncherDerivedIsManagedFurther(t *testing.T) {
	withoutLimit(t)
	synctest.Test(t, func(t *testing.T) {
		debug.SetMemoryLimit(700 << 20)
		o, _ := newContainer(t, "1073741824").options("GOMEMLIMIT=700MiB", DerivedMark+"=1")
		w := begin(t, o)
		if got := debug.SetMemoryLimit(-1); got != 1073741824*9/10 {
			t.Errorf("limit %d: %s", got, w.State().Limit.Reason)
		}
	})
}

// hoard is an owner that gives back all that it is asked for.
type hoard struct{ held, asked atomic.Int64 }

func (h *hoard) Name() string { return "hoard" }
func (h *hoard) Usage() bounded.Usage {
	return bounded.Usage{Entries: bounded.NotApplicable, Bytes: h.held.Load(), MaxBytes: 1 << 30, PeakBytes: 1 << 30}
}
func (h *hoard) Shrink(_ context.Context, bytes int64) int64 {
	h.asked.Add(bytes)
	h.held.Add(-bytes)
	return bytes
}

func TestPressureShrinksOwnersRunsTasksAndTells(t *testing.T) {
	withoutLimit(t)
	synctest.Test(t, func(t *testing.T) {
		c := newContainer(t, "1000000000")
		o, log := c.options()
		w := begin(t, o)
		owner := &hoard{}
		owner.held.Store(900 << 20)
		if _, err := w.Register(owner); err != nil {
			t.Fatal(err)
		}
		var ran atomic.Int64
		if _, err := w.Cleanup().Add(cleanup.Task{Name: "trim", AtLevel: pressure.High, Run: func(context.Context, cleanup.Trigger) (int64, error) {
			return ran.Add(1), nil
		}}); err != nil {
			t.Fatal(err)
		}
		events := subscribe(t, w)
		defer events.Close()
		c.use(850_000_000)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if level := w.State().Pressure.Level; level != pressure.High {
			t.Fatalf("level %v: %s", level, w.State().Pressure.Reason())
		}
		if owner.asked.Load() < 140_000_000 {
			t.Errorf("the owner was asked for %d bytes, want what is above the elevated level", owner.asked.Load())
		}
		if ran.Load() == 0 {
			t.Error("the cleanup task did not run")
		}
		var changed bool
		for _, e := range waiting(events) {
			changed = e.Kind == EventPressure || changed
		}
		if !changed || !strings.Contains(log.String(), "memory pressure changed") {
			t.Errorf("the change of level was not told; log:\n%s", log)
		}
		if report := w.Health().Report(t.Context(), health.Ready); !report.OK() {
			t.Errorf("high pressure took readiness off: %s", report.Text())
		}

		c.use(960_000_000)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if report := w.Health().Report(t.Context(), health.Ready); report.OK() {
			t.Errorf("critical pressure left readiness on: %s", w.State().Pressure.Reason())
		}
		if report := w.Health().Report(t.Context(), health.Live); !report.OK() {
			t.Errorf("memory failed liveness: %s", report.Text())
		}

		c.use(100_000_000)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if report := w.Health().Report(t.Context(), health.Ready); !report.OK() || w.State().Pressure.Level != pressure.Normal {
			t.Errorf("not ready again: %s", w.State().Pressure.Reason())
		}
	})
}

func TestGCFreesWhatIsGarbage(t *testing.T) {
	w := begin(t, Options{})
	garbage := make([][]byte, 64)
	for i := range garbage {
		garbage[i] = make([]byte, 1<<20)
	}
	runtime.KeepAlive(garbage) // and nobody needs it from here on
	result, err := w.GC(t.Context(), "a test", true)
	if err != nil || !result.Ran || !result.ReturnedToOS {
		t.Fatalf("%+v, %v", result, err)
	}
	if freed, ok := result.FreedBytes.Get(); !ok || freed < 32<<20 {
		t.Errorf("freed %v, want most of 64 MiB", result.FreedBytes)
	}
	if again, err := w.GC(t.Context(), "again", false); err != nil || again.Ran || again.RetryAfter <= 0 {
		t.Errorf("a second collection at once: %+v, %v; want it backed off", again, err)
	}
}

func TestOwnersAreShownAndGuarded(t *testing.T) {
	w := begin(t, Options{})
	remove, err := w.Register(&hoard{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Register(&hoard{}); err == nil {
		t.Error("a name was taken twice")
	}
	if _, err := w.Register(broken{name: ""}); err == nil {
		t.Error("an owner without a name was taken")
	}
	if _, err := w.Register(broken{name: "broken"}); err != nil {
		t.Fatal(err)
	}
	usage := w.owners.usage(nil)
	if len(usage) != 9 || usage[0].Name != "broken" || usage[0].Err == nil || usage[0].Usage.Bytes != bounded.NotApplicable ||
		usage[1].Name != "browser_leaks" || usage[2].Name != "dismissed_leaks" || usage[3].Name != "event_bus" {
		t.Errorf("owners: %+v", usage)
	}
	if freed := w.owners.shrink(t.Context(), 5); len(freed) != 1 || freed[0].bytes != 5 {
		t.Errorf("freed %+v, want 5: the owner that panics must harm nobody", freed)
	}
	remove()
	remove()
	if usage := w.owners.usage(nil); len(usage) != 8 {
		t.Errorf("owners after one was removed: %+v", usage)
	}
	for i := range MaxOwners {
		if _, err = w.Register(broken{name: string(rune('a' + i))}); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("there is no bound on owners")
	}
}

// TestUsageIsToldAgain: what owners hold is the list of the last time while nothing changes, and that list is never changed.
func TestUsageIsToldAgain(t *testing.T) {
	all := &owners{}
	changing := &counted{name: "b"}
	for _, owner := range []bounded.Owner{&counted{name: "a"}, changing, &counted{name: "c"}} {
		if _, err := all.register(owner); err != nil {
			t.Fatal(err)
		}
	}
	first := all.usage(nil)
	if again := all.usage(first); &again[0] != &first[0] {
		t.Error("nothing has changed, and the list is another")
	}
	was := slices.Clone(first)
	changing.held = 5
	second := all.usage(first)
	if !slices.Equal(first, was) {
		t.Errorf("the list of the last time has become %+v", first)
	}
	if bytes := second[1].Usage.Bytes; len(second) != 3 || bytes != 5 || second[0] != first[0] || second[2] != first[2] {
		t.Errorf("owners: %+v", second)
	}
	if _, err := all.register(&counted{name: "d"}); err != nil {
		t.Fatal(err)
	}
	if third := all.usage(second); len(third) != 4 || third[3].Name != "d" || !slices.Equal(third[:3], second) {
		t.Errorf("owners: %+v", third)
	}
}

// counted holds so many bytes.
type counted struct {
	name string
	held int64
}

func (c *counted) Name() string                      { return c.name }
func (c *counted) Usage() bounded.Usage              { return bounded.Usage{Bytes: c.held} }
func (*counted) Shrink(context.Context, int64) int64 { return 0 }

// broken panics whatever it is asked.
type broken struct{ name string }

func (b broken) Name() string                          { return b.name }
func (broken) Usage() bounded.Usage                    { panic("no usage") }
func (broken) Shrink(context.Context, int64) (n int64) { panic("no shrinking") }

func TestHistorySurvivesARestart(t *testing.T) {
	withoutLimit(t)
	synctest.Test(t, func(t *testing.T) {
		store := &mapStore{}
		o, log := newContainer(t, "max").options()
		o.Store = store
		w := begin(t, o)
		time.Sleep(2*time.Minute + 500*time.Millisecond)
		synctest.Wait()
		if until := w.History().SavedUntil(time.Second); time.Since(until) > 10*time.Second {
			t.Errorf("history is stored up to %v ago", time.Since(until))
		}
		before, _ := w.History().Points(time.Second, time.Time{}, time.Time{})
		if err := w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if store.count(time.Second) != len(before) {
			t.Errorf("%d rows are stored, %d points were there", store.count(time.Second), len(before))
		}
		again := begin(t, o)
		after, _ := again.History().Points(time.Second, time.Time{}, time.Time{})
		if len(after) < len(before) || after[0] != before[0] {
			t.Errorf("%d points after the restart, %d before", len(after), len(before))
		}

		store.set(true, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if report := again.Health().Report(t.Context(), health.All); !report.OK() || levelOf(report, "store") != health.Degraded {
			t.Errorf("a store that is down: %s", report.Text())
		}
		if n := strings.Count(log.String(), "cannot be stored"); n != 1 {
			t.Errorf("the outage was logged %d times", n)
		}
		store.set(false, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if until := again.History().SavedUntil(time.Second); time.Since(until) > 10*time.Second {
			t.Errorf("after the outage history is stored up to %v ago", time.Since(until))
		}
		if report := again.Health().Report(t.Context(), health.All); levelOf(report, "store") != health.OK {
			t.Errorf("the store is back: %s", report.Text())
		}
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if n := store.count(time.Second); n > 700 {
			t.Errorf("%d rows of a second are stored: they are not trimmed", n)
		}
	})
}

func levelOf(report health.Report, name string) health.Level {
	for _, entry := range report.Entries {
		if entry.Name == name {
			return entry.Level
		}
	}
	return 255
}

func TestAnotherProcessIsWatchedFromOutside(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("watching another process needs /proc")
	}
	sleeper := exec.Command("sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	config := DefaultConfig()
	config.Sampling.IntervalSeconds = 0.1
	w := begin(t, Options{PID: sleeper.Process.Pid, Config: &config})
	state := w.State()
	if rss, ok := state.Sample.Process.RSSBytes.Get(); !ok || rss <= 0 {
		t.Errorf("resident size %v", state.Sample.Process.RSSBytes)
	}
	if !state.Sample.Go.UsedBytes.IsZero() {
		t.Error("Go figures of a program that is not ours")
	}
	if _, err := w.GC(t.Context(), "", false); !errors.Is(err, ErrRemote) {
		t.Errorf("GC: %v", err)
	}
	if err := sleeper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = sleeper.Wait() // killed
	for !w.State().Gone {
		if t.Context().Err() != nil {
			t.Fatal("the end of the process is not noticed")
		}
		runtime.Gosched()
	}
	if report := w.Health().Report(t.Context(), health.Ready); report.OK() {
		t.Errorf("ready without a process: %s", report.Text())
	}
}

func TestStartRefusesWhatCannotWork(t *testing.T) {
	wrong := DefaultConfig()
	wrong.Pressure.ElevatedRatio = 0.95
	wrong.GC.MinIntervalSeconds = -1
	for name, c := range map[string]struct {
		o    Options
		want []string
	}{
		"options":  {Options{PID: -1, FlushInterval: -1, LogInterval: -1, WarnSubscribers: -1}, []string{"PID -1", "FlushInterval", "LogInterval", "WarnSubscribers -1"}},
		"config":   {Options{Config: &wrong}, []string{"pressure.elevated_ratio", "gc.min_interval_seconds"}},
		"process":  {Options{PID: 1 << 30}, []string{"1073741824"}},
		"root":     {Options{Root: "/nowhere/at/all"}, []string{"/nowhere/at/all"}},
		"shutdown": {Options{Shutdown: shutdown.Options{DrainDelay: -1}}, []string{"drain delay"}},
	} {
		w, err := Start(t.Context(), c.o)
		if err == nil {
			_ = w.Close(t.Context())
			t.Errorf("%s: started", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not name %s", name, err, want)
			}
		}
	}
}

func TestTheEndOfTheContextStopsTheWarden(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o, _ := newContainer(t, "max").options()
	w, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-w.Done()
	if err := w.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if w.State() == nil || w.Uptime() <= 0 {
		t.Error("a closed warden has forgotten what it knew")
	}
}

func TestSummaryLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, log := newContainer(t, "1073741824").options("GOMEMLIMIT=1GiB")
		o.LogInterval = time.Minute
		begin(t, o)
		time.Sleep(5*time.Minute - time.Second)
		synctest.Wait()
		if n := strings.Count(log.String(), "msg=memory "); n != 5 {
			t.Errorf("%d summaries in five minutes:\n%s", n, log)
		}
		for _, figure := range []string{"pressure=normal", `container="20.0 MiB"`, `container_limit="1.0 GiB"`, `rss="20.0 MiB"`, " goroutines=", ` leaks="insufficient data"`} {
			if !strings.Contains(log.String(), figure) {
				t.Errorf("no %s in:\n%s", figure, log)
			}
		}
	})
}

// giver gives a little whenever it is asked to.
type giver struct{}

func (giver) Name() string                        { return "giver" }
func (giver) Usage() bounded.Usage                { return bounded.Usage{Bytes: 1 << 30, MaxBytes: 1 << 31} }
func (giver) Shrink(context.Context, int64) int64 { return 1 << 20 }

// TestRepeatedLinesAreFew: pressure that stays for hours, with an owner that shrinks each second, does not fill the log;
// the line says how many were left out, and the summaries go on.
func TestRepeatedLinesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContainer(t, "1073741824")
		o, log := c.options("GOMEMLIMIT=1GiB")
		o.LogInterval = time.Second
		w := begin(t, o)
		if _, err := w.Register(giver{}); err != nil {
			t.Fatal(err)
		}
		c.use(880 << 20)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		text := log.String()
		if n := strings.Count(text, "memory owners shrank"); n < 50 || n > 70 {
			t.Errorf("%d lines about shrinking in ten minutes, want ten and one in ten seconds", n)
		}
		if !strings.Contains(text, "suppressed=9") {
			t.Error("it is not said that nine lines were left out each time")
		}
		if n := strings.Count(text, "msg=memory "); n < 599 {
			t.Errorf("%d summaries of one a second", n)
		}
		for line := range strings.Lines(text) {
			if !strings.Contains(line, "health check changed") && !strings.Contains(line, `msg="memory`) && !strings.Contains(line, "msg=memory") {
				t.Errorf("grep memory does not find by its message: %s", line)
			}
		}
	})
}

func TestReliefOfADeathSpiralIsTold(t *testing.T) {
	withoutLimit(t)
	o, log := newContainer(t, "1073741824").options()
	w := begin(t, o)
	state := *w.State()
	state.Relief = gcpolicy.ReliefDecision{Relieve: true, Reason: "the collector spirals"}
	w.tell(&watch{}, w.State(), &state)
	if !strings.Contains(log.String(), "the collector spirals") {
		t.Errorf("not told:\n%s", log)
	}
}

func TestRunUntilSignal(t *testing.T) {
	if os.Getenv("MEMWARDEN_TEST_SIGNAL") != "" {
		runUntilSignal()
	}
	for name, exit := range map[string]int{"one signal": 0, "many signals": 3} {
		child := exec.Command(os.Args[0], "-test.run=^TestRunUntilSignal$")
		child.Env = append(os.Environ(), "MEMWARDEN_TEST_SIGNAL="+name)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		child.Stderr = &log
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // it takes signals now
			t.Fatalf("%s: %v\n%s", name, err, log.String())
		}
		ended := make(chan struct{})
		go func() {
			_ = child.Wait() // its exit code is looked at
			close(ended)
		}()
		if err := child.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		for again := name == "many signals"; again; {
			select {
			case <-ended:
				again = false
			case <-time.After(20 * time.Millisecond):
				_ = child.Process.Signal(os.Interrupt) // it may have ended meanwhile
			}
		}
		<-ended
		if code := child.ProcessState.ExitCode(); code != exit {
			t.Errorf("%s: exit code %d, want %d\n%s", name, code, exit, log.String())
		}
	}
}

// runUntilSignal is the child: it ends its process.
func runUntilSignal() {
	w, err := Start(context.Background(), Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		panic(err)
	}
	if _, err := w.Cleanup().Add(cleanup.Task{Name: "last", AtShutdown: true, Run: func(context.Context, cleanup.Trigger) (int64, error) { return 1, nil }}); err != nil {
		panic(err)
	}
	if _, err := w.Shutdown().Add(shutdown.Hubs, "slow", func(ctx context.Context) error {
		if os.Getenv("MEMWARDEN_TEST_SIGNAL") == "many signals" {
			<-ctx.Done()
		}
		return nil
	}); err != nil {
		panic(err)
	}
	// As many programs have it: the signal ends the context too, and must not count twice.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Stdout.Write([]byte("1"))
	os.Exit(w.RunUntilSignal(ctx).ExitCode())
}
