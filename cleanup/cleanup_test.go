package cleanup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/internal/leakcheck"
	"github.com/memwarden/memwarden/pressure"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// bench is a registry under test and a record of what its tasks did, and when.
type bench struct {
	*Registry
	t     *testing.T
	log   bytes.Buffer
	start time.Time
	mu    sync.Mutex
	lines []string
}

// newBench must be called in a synctest bubble. It closes the registry at the end of the test.
func newBench(t *testing.T, options Options) *bench {
	t.Helper()
	b := &bench{t: t, start: time.Now()}
	options.Logger = slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	registry, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	b.Registry = registry
	return b
}

func (b *bench) close() {
	b.t.Helper()
	if err := b.Close(b.t.Context()); err != nil {
		b.t.Error(err)
	}
}

func (b *bench) write(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, fmt.Sprintf("%5s ", time.Since(b.start))+fmt.Sprintf(format, args...))
}

// check compares the lines since the last check, sorted by time and then text.
func (b *bench) check(want ...string) {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.lines)
	if !slices.Equal(b.lines, want) {
		b.t.Errorf("got:\n%s\nwant:\n%s", strings.Join(b.lines, "\n"), strings.Join(want, "\n"))
	}
	b.lines = nil
}

func (b *bench) add(task Task) (remove func()) {
	b.t.Helper()
	remove, err := b.Add(task)
	if err != nil {
		b.t.Fatal(err)
	}
	return remove
}

// status returns that of one task.
func (b *bench) status(name string) Status {
	b.t.Helper()
	for _, s := range b.Status() {
		if s.Name == name {
			return s
		}
	}
	b.t.Fatalf("no status of %q", name)
	return Status{}
}

// works returns a function that takes so long, heeds its context, and frees so many bytes.
func (b *bench) works(name string, work time.Duration, frees int64) func(context.Context, Trigger) (int64, error) {
	return func(ctx context.Context, why Trigger) (int64, error) {
		b.write("%s: %s", name, why)
		select {
		case <-time.After(work):
			return frees, nil
		case <-ctx.Done():
			b.write("%s is cut: %v", name, context.Cause(ctx))
			return 0, ctx.Err()
		}
	}
}

// stuck returns a function that heeds nothing until release is closed.
func (b *bench) stuck(name string, release <-chan struct{}, frees int64) func(context.Context, Trigger) (int64, error) {
	return func(_ context.Context, why Trigger) (int64, error) {
		b.write("%s: %s", name, why)
		<-release
		return frees, nil
	}
}

func TestScheduleCountsFromTheEndOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		b.add(Task{Name: "slow", Interval: 10 * time.Second, Run: b.works("slow", 5*time.Second, 7)})
		b.add(Task{Name: "by_hand", Run: b.works("by_hand", 0, 0)})
		time.Sleep(time.Minute)
		b.check() // nothing runs by itself before Start
		b.start = time.Now()
		if err := errors.Join(b.Start(), b.Start()); err != nil {
			t.Fatal(err)
		}
		b.add(Task{Name: "added_later", Interval: 12 * time.Second, Run: b.works("added_later", 0, 0)})
		time.Sleep(41 * time.Second)
		b.check("  10s slow: schedule", "  12s added_later: schedule", "  24s added_later: schedule",
			"  25s slow: schedule", "  36s added_later: schedule", "  40s slow: schedule")
		s := b.status("slow")
		if s.RunningSince != b.start.Add(40*time.Second) || !s.NextRun.IsZero() || s.Runs != 2 || s.FreedBytes != 14 || s.Stuck {
			t.Errorf("status while it runs: %+v", s)
		}
		if s := b.status("added_later"); s.NextRun != b.start.Add(48*time.Second) || !s.RunningSince.IsZero() {
			t.Errorf("status between runs: %+v", s)
		}
		if _, err := b.Run(t.Context(), "added_later", Manual); err != nil { // puts the next scheduled run off
			t.Error(err)
		}
		time.Sleep(8 * time.Second)
		b.check("  41s added_later: manual")
		b.close()
	})
}

func TestPressureRunsAtRisesAndWhileItStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{PressureInterval: 30 * time.Second})
		b.add(Task{Name: "elevated", AtLevel: pressure.Elevated, Run: b.works("elevated", 0, 0)})
		b.add(Task{Name: "critical", AtLevel: pressure.Critical, Run: b.works("critical", 0, 0)})
		b.add(Task{Name: "never", Run: b.works("never", 0, 0)})
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			level pressure.Level
			pause time.Duration
			want  []string
		}{
			{pressure.Normal, 10 * time.Second, nil},
			{pressure.Elevated, 65 * time.Second, []string{"  10s elevated: pressure", "  40s elevated: pressure", "1m10s elevated: pressure"}},
			{pressure.Elevated, 5 * time.Second, nil},                              // told again: nothing new
			{pressure.High, 5 * time.Second, []string{"1m20s elevated: pressure"}}, // a rise above its level
			{pressure.Elevated, time.Second, nil},
			{pressure.High, time.Second, nil},   // it flaps: the interval since the run at High holds
			{pressure.Normal, time.Minute, nil}, // it does not stay
			{pressure.Critical, time.Second, []string{"2m27s critical: pressure", "2m27s elevated: pressure"}},
			{pressure.Normal, time.Hour, nil},
		} {
			b.OnLevel(step.level)
			time.Sleep(step.pause)
			b.check(step.want...)
		}
		b.OnLevel(pressure.High)
		synctest.Wait()
		b.check("1h2m28s elevated: pressure")
		b.add(Task{Name: "late", AtLevel: pressure.High, Run: b.works("late", 0, 0)})
		b.check("1h2m28s late: pressure")
		b.close()
	})
}

func TestPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		release := make(chan struct{})
		level := pressure.High
		b.add(Task{Name: "low", Priority: -1, AtLevel: level, Run: b.works("low", time.Second, 0)})
		b.add(Task{Name: "mid_a", AtLevel: level, Run: b.works("mid_a", 2*time.Second, 0)})
		b.add(Task{Name: "mid_b", AtLevel: level, Timeout: 4 * time.Second, Run: b.stuck("mid_b", release, 0)})
		b.add(Task{Name: "high", Priority: 9, AtLevel: level, Run: b.works("high", 3*time.Second, 0)})
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		b.OnLevel(level)
		time.Sleep(20 * time.Second)
		b.check("   0s high: pressure", "   3s mid_a: pressure", "   3s mid_b: pressure",
			"   7s low: pressure") // when mid_b was cut, not when it returned
		if s := b.status("mid_b"); !s.Stuck || s.RunningSince != b.start.Add(3*time.Second) || !s.LastResult.TimedOut {
			t.Errorf("stuck task: %+v", s)
		}
		close(release)
		b.close()
	})
}

func TestPressureTakesOverFromASlowScheduledBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		b.add(Task{Name: "slow", Priority: 1, Interval: 10 * time.Second, Run: b.works("slow", 20*time.Second, 0)})
		b.add(Task{Name: "waiting", Interval: 10 * time.Second, AtLevel: pressure.High, Run: b.works("waiting", 0, 0)})
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		b.check("  10s slow: schedule") // the batch waits for it
		b.OnLevel(pressure.High)
		b.check("  15s waiting: pressure")
		time.Sleep(6 * time.Second)
		b.OnLevel(pressure.Normal)
		b.check()
		time.Sleep(5 * time.Second)
		b.check("  25s waiting: schedule") // once, on its own schedule: the first batch has let go of it
		time.Sleep(5 * time.Second)        // the first batch's end
		b.check()
		b.close()
	})
}

func TestStuckTaskBlocksNobodyAndIsNotStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		release := make(chan struct{})
		b.add(Task{Name: "stuck", Interval: 5 * time.Second, AtLevel: pressure.High, Timeout: 2 * time.Second, Run: b.stuck("stuck", release, 64)})
		b.add(Task{Name: "other", Interval: 10 * time.Second, Run: b.works("other", 0, 0)})
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Second)
		b.OnLevel(pressure.Critical)
		b.check("   5s stuck: schedule", "  10s other: schedule", "  20s other: schedule")
		_, err := b.Run(t.Context(), "stuck", Manual)
		if !errors.Is(err, ErrRunning) {
			t.Errorf("Run of a stuck task: %v, want ErrRunning", err)
		}
		s := b.status("stuck")
		want := `cleanup: task "stuck": timed out after 2s`
		if !s.Stuck || s.LastResult.Duration != 2*time.Second || s.LastResult.Err.Error() != want || !errors.Is(s.LastResult.Err, ErrTimeout) ||
			s.Runs != 1 || s.Failures != 1 || s.Timeouts != 1 || s.ConsecutiveFailures != 1 {
			t.Errorf("status %+v", s)
		}

		close(release) // it returns, and the pressure that has come since makes it run at once
		b.check("  25s stuck: pressure")
		s = b.status("stuck")
		if s.Stuck || s.FreedBytes != 128 || s.Failures != 1 || s.ConsecutiveFailures != 0 || s.LastResult.Err != nil {
			t.Errorf("status after it returned and ran again: %+v", s)
		}
		if !strings.Contains(b.log.String(), "does not end") {
			t.Errorf("the log does not tell:\n%s", &b.log)
		}
		b.close()
	})
}

func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{MaxTasks: 2})
		release := make(chan struct{})
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		remove := b.add(Task{Name: "idle", Interval: time.Second, Run: b.works("idle", 0, 0)})
		remove()
		remove()
		stuck := Task{Name: "stuck", Run: b.stuck("stuck", release, 0)}
		removeStuck := b.add(stuck)
		failed := make(chan error, 1)
		go func() { _, err := b.Run(t.Context(), "stuck", Manual); failed <- err }()
		synctest.Wait()
		removeStuck()
		if err := <-failed; err == nil || !strings.Contains(err.Error(), "was removed") {
			t.Errorf("the run of a removed task: %v", err)
		}
		b.add(stuck) // the name is free
		if _, err := b.Add(Task{Name: "more", Run: stuck.Run}); err == nil || !strings.Contains(err.Error(), "there are 2 tasks already") {
			t.Errorf("a removed task that still runs does not count: %v", err)
		}
		time.Sleep(time.Minute)
		b.check("   0s stuck: manual")
		close(release)
		synctest.Wait()
		b.add(Task{Name: "more", Run: stuck.Run})
		b.close()
	})
}

func TestRemoveWhileItWaitsInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		b.add(Task{Name: "first", Priority: 1, Interval: time.Second, Run: b.works("first", 10*time.Second, 0)})
		b.add(Task{Name: "by_hand", Interval: time.Second, Run: b.works("by_hand", 0, 0)})
		remove := b.add(Task{Name: "removed", Interval: time.Second, Run: b.works("removed", 0, 0)})
		time.Sleep(2 * time.Second)
		remove()
		if _, err := b.Run(t.Context(), "by_hand", Manual); err != nil {
			t.Error(err)
		}
		time.Sleep(500 * time.Millisecond)
		b.check("   1s first: schedule", "   2s by_hand: manual")
		b.close()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		release := make(chan struct{})
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		b.add(Task{Name: "obedient", AtLevel: pressure.High, Run: b.works("obedient", time.Hour, 0)})
		b.add(Task{Name: "stuck", AtLevel: pressure.High, Run: b.stuck("stuck", release, 0)})
		b.OnLevel(pressure.High)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := b.Close(ctx)
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `["stuck"] and 0 removed`) {
			t.Errorf("Close with a stuck task: %v", err)
		}
		b.check("   0s obedient is cut: the registry is closed", "   0s obedient: pressure", "   0s stuck: pressure")
		if _, err := b.Run(t.Context(), "obedient", Manual); !errors.Is(err, ErrClosed) {
			t.Errorf("Run after Close: %v", err)
		}
		if _, err := b.Add(Task{Name: "late", Run: b.works("late", 0, 0)}); !errors.Is(err, ErrClosed) {
			t.Errorf("Add after Close: %v", err)
		}
		if err := b.Start(); !errors.Is(err, ErrClosed) {
			t.Errorf("Start after Close: %v", err)
		}
		b.OnLevel(pressure.Critical) // does nothing
		close(release)
		b.close()
		b.close()
	})
}

func TestCloseWithoutStart(t *testing.T) {
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStatusAsJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got, err := json.Marshal([]Status{
		{Name: "plain", Timeout: 30 * time.Second},
		{
			Name: "full", Interval: 90 * time.Second, AtLevel: pressure.High, AtShutdown: true, Priority: -2,
			Timeout: 500 * time.Millisecond, RunningSince: at, Stuck: true, NextRun: at, ConsecutiveFailures: 1,
			LastResult: Result{Task: "full", Trigger: Manual, At: at, Duration: time.Second, FreedBytes: 5, Err: errors.New(strings.Repeat("e", 2000)), TimedOut: true},
			Counts:     Counts{Runs: 1, Failures: 2, Timeouts: 3, Panics: 4, FreedBytes: 5},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"plain","on_leak":false,"at_shutdown":false,"priority":0,"stuck":false,"consecutive_failures":0,` +
		`"runs_total":0,"failures_total":0,"timeouts_total":0,"panics_total":0,"freed_bytes_total":0,"timeout_seconds":30},` +
		`{"name":"full","at_level":"high","on_leak":false,"at_shutdown":true,"priority":-2,` +
		`"running_since":"2026-01-02T03:04:05Z","stuck":true,"next_run_at":"2026-01-02T03:04:05Z",` +
		`"last_result":{"task":"full","trigger":"manual","at":"2026-01-02T03:04:05Z","freed_bytes":5,"timed_out":true,"panicked":false,` +
		`"duration_seconds":1,"error":"` + strings.Repeat("e", 1024) + `"},"consecutive_failures":1,` +
		`"runs_total":1,"failures_total":2,"timeouts_total":3,"panics_total":4,"freed_bytes_total":5,"interval_seconds":90,"timeout_seconds":0.5}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMistakesAreListed(t *testing.T) {
	_, err := New(Options{PressureInterval: -1, MaxTasks: -1})
	if want := "cleanup: pressure interval -1ns: want above 0\ncleanup: max tasks -1: want 1 or more"; err == nil || err.Error() != want {
		t.Errorf("New: %v\nwant %s", err, want)
	}
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Add(Task{Name: "Upper Case", Interval: time.Microsecond, AtLevel: 9, Timeout: -1})
	want := `cleanup: task "Upper Case": name: want 1 to 128 lower-case letters, digits, '_', '.' and '-'
cleanup: task "Upper Case": interval 1µs: want 0 or at least 1ms
cleanup: task "Upper Case": unknown pressure level(9)
cleanup: task "Upper Case": timeout -1ns: want above 0
cleanup: task "Upper Case": no function to run`
	if err == nil || err.Error() != want {
		t.Errorf("Add:\n%v\nwant:\n%s", err, want)
	}
	task := Task{Name: "twice", Run: func(context.Context, Trigger) (int64, error) { return 0, nil }}
	_, first := b.Add(task)
	if _, err := b.Add(task); first != nil || err == nil || !strings.Contains(err.Error(), "there is one of this name") {
		t.Errorf("Add twice: %v, %v", first, err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestManyAtOnce lets everything happen together: no task may run twice at a time, and Close must end it all.
func TestManyAtOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{PressureInterval: 20 * time.Millisecond})
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		var runs atomic.Int64
		for i := range 20 {
			var running atomic.Bool
			work, obeys := time.Duration(random.IntN(30))*time.Millisecond, random.IntN(4) > 0
			b.add(Task{
				Name: fmt.Sprint("task", i), Interval: time.Duration(1+random.IntN(40)) * time.Millisecond, Priority: random.IntN(3),
				AtLevel: pressure.Level(random.IntN(4)), AtShutdown: i%2 == 0, Timeout: time.Duration(1+random.IntN(20)) * time.Millisecond,
				Run: func(ctx context.Context, _ Trigger) (int64, error) {
					if !running.CompareAndSwap(false, true) {
						t.Errorf("task %d runs twice at a time", i)
					}
					defer running.Store(false)
					runs.Add(1)
					end := ctx.Done()
					if !obeys {
						end = nil
					}
					select {
					case <-time.After(work):
					case <-end:
					}
					if i%7 == 0 {
						panic("boom")
					}
					return 1, nil
				},
			})
		}
		var callers sync.WaitGroup
		for worker := range uint64(4) {
			callers.Go(func() {
				random := rand.New(rand.NewPCG(seed, worker+1))
				for range 200 {
					b.OnLevel(pressure.Level(random.IntN(4)))
					switch random.IntN(4) {
					case 0:
						b.Run(t.Context(), fmt.Sprint("task", random.IntN(20)), Manual)
					case 1:
						b.RunAll(t.Context(), Shutdown)
					case 2:
						b.Status()
					}
					time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
				}
			})
		}
		callers.Wait()
		b.close()
		total := int64(0)
		for _, s := range b.Status() {
			total += s.Runs
			if s.Stuck || !s.RunningSince.IsZero() {
				t.Errorf("after Close: %+v", s)
			}
		}
		if total != runs.Load() || total < 1000 {
			t.Errorf("%d runs counted, %d made; want as many, and at least 1000", total, runs.Load())
		}
	})
}
