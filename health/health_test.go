package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// newRegistry returns a registry that has started, and its log.
func newRegistry(t *testing.T) (*Registry, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	r, err := New(Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r.MarkStarted()
	return r, log
}

func closeRegistry(t *testing.T, r *Registry) {
	t.Helper()
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func add(t *testing.T, r *Registry, check Check) (remove func()) {
	t.Helper()
	remove, err := r.Add(check)
	if err != nil {
		t.Fatal(err)
	}
	return remove
}

// says returns a check's function that returns what result holds.
func says(result *Result) func(context.Context) Result {
	return func(context.Context) Result { return *result }
}

// line is a report in one line: the status, and each entry with its level and message.
func line(report Report) string {
	text := string(report.Status)
	for _, entry := range report.Entries {
		text += fmt.Sprintf("; %s %s %s", entry.Name, entry.Level, entry.Message)
	}
	return text
}

func checkLine(t *testing.T, r *Registry, probe Probe, want string) {
	t.Helper()
	report := r.Report(t.Context(), probe)
	if got := line(report); got != want {
		t.Errorf("%s: %q, want %q", probe, got, want)
	}
	if report.OK() != strings.HasPrefix(want, "ok") {
		t.Errorf("%s: OK() = %t for %q", probe, report.OK(), want)
	}
}

func TestProbesShowTheirChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkLine(t, r, Live, "ok")
		checkLine(t, r, Ready, "error; startup down not started yet")
		checkLine(t, r, Startup, "error; startup down not started yet")
		checkLine(t, r, All, "error; startup down not started yet")

		down := &Result{Level: Down, Message: "gone"}
		add(t, r, Check{Name: "live", Probes: Live, Run: says(&Result{})})
		add(t, r, Check{Name: "database", Probes: Ready | Startup, Run: says(&Result{Level: Degraded, Message: "slow"})})
		add(t, r, Check{Name: "shown", Run: says(down)})
		r.MarkStarted()
		checkLine(t, r, Live, "ok; live ok ")
		checkLine(t, r, Ready, "ok; database degraded slow")
		checkLine(t, r, Startup, "ok; startup ok started; database degraded slow")
		checkLine(t, r, All, "error; live ok ; database degraded slow; shown down gone")

		r.SetShuttingDown()
		checkLine(t, r, Live, "ok")
		checkLine(t, r, Ready, "shutting_down; database degraded slow")
		checkLine(t, r, All, "shutting_down; live ok ; database degraded slow; shown down gone")
		closeRegistry(t, r)
	})
}

func TestNothingRunsOnceShuttingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRegistry(t)
		var runs atomic.Int64
		add(t, r, Check{Name: "database", Probes: Live | Ready, Run: func(context.Context) Result { runs.Add(1); return Result{} }})
		add(t, r, Check{Name: "never_asked", Run: says(&Result{})})
		checkLine(t, r, Ready, "ok; database ok ")
		r.SetShuttingDown()
		time.Sleep(time.Hour)
		checkLine(t, r, Live, "ok")
		checkLine(t, r, All, "shutting_down; database ok ; never_asked down no result yet")
		if runs.Load() != 1 {
			t.Errorf("the check ran %d times, want once, before the shutdown", runs.Load())
		}
		closeRegistry(t, r)
	})
}

func TestResultsAreCachedAndRunsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRegistry(t)
		var runs atomic.Int64
		add(t, r, Check{Name: "slow", Probes: Ready, TTL: 10 * time.Second, Run: func(context.Context) Result {
			time.Sleep(time.Second)
			return Result{Message: fmt.Sprint("run ", runs.Add(1))}
		}})
		start := time.Now()
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() { checkLine(t, r, Ready, "ok; slow ok run 1") })
		}
		callers.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("100 reports at once took %s, want the time of one", took)
		}
		time.Sleep(9 * time.Second)
		checkLine(t, r, All, "ok; slow ok run 1")
		if entry := r.Report(t.Context(), All).Entries[0]; entry.CheckedAt != start.Add(time.Second) {
			t.Errorf("checked at %s, want %s", entry.CheckedAt, start.Add(time.Second))
		}
		time.Sleep(time.Second)
		checkLine(t, r, All, "ok; slow ok run 2")
		closeRegistry(t, r)
	})
}

func TestCheckThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log := newRegistry(t)
		start := time.Now()
		release := make(chan struct{})
		var runs atomic.Int64
		add(t, r, Check{Name: "database", Probes: Ready, Run: func(context.Context) Result {
			if runs.Add(1) == 2 {
				<-release
			}
			return Result{}
		}})
		add(t, r, Check{Name: "other", Probes: Ready, Run: says(&Result{})})
		checkLine(t, r, Ready, "ok; database ok ; other ok ")
		time.Sleep(5 * time.Second)
		checkLine(t, r, Ready, "ok; database degraded down 1 of 2 times in a row that take readiness off: timed out after 2s; other ok ")
		if waited := time.Since(start); waited != 7*time.Second {
			t.Errorf("the report took until %s, want 7s: the check's timeout", waited)
		}
		checkLine(t, r, All, "error; database down timed out after 2s; other ok ")
		time.Sleep(5 * time.Second)
		before := time.Now()
		checkLine(t, r, Ready, "error; database down timed out after 2s; other ok ") // hanging goes on counting
		if entry := r.Report(t.Context(), Ready).Entries[0]; entry.LastUpAt != start || entry.CheckedAt != before {
			t.Errorf("last up at %s, checked at %s; want %s and %s", entry.LastUpAt, entry.CheckedAt, start, before)
		}
		if time.Now() != before || runs.Load() != 2 {
			t.Errorf("a hanging check: waited %s, %d runs; want no wait and no run beside it", time.Since(before), runs.Load())
		}

		close(release)
		time.Sleep(5 * time.Second)
		checkLine(t, r, Ready, "error; database down up 1 of 2 times in a row that bring readiness back: ; other ok ")
		time.Sleep(5 * time.Second)
		checkLine(t, r, Ready, "ok; database ok ; other ok ")
		synctest.Wait() // it is logged after the result is there
		if got := log.String(); strings.Count(got, "health check changed") != 2 || !strings.Contains(got, `health=down before=ok message="timed out after 2s"`) {
			t.Errorf("log:\n%s", got)
		}
		closeRegistry(t, r)
	})
}

func TestCheckThatHeedsItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRegistry(t)
		add(t, r, Check{Name: "obedient", Timeout: time.Second, Run: func(ctx context.Context) Result {
			<-ctx.Done()
			return Result{Message: "too late to be believed"}
		}})
		for range 3 {
			checkLine(t, r, All, "error; obedient down timed out after 1s")
			time.Sleep(6 * time.Second)
		}
		closeRegistry(t, r)
	})
}

func TestReadinessFlappingIsDamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRegistry(t)
		up, down := Result{Message: "fine"}, Result{Level: Down, Message: "refused"}
		now := up
		add(t, r, Check{Name: "database", Probes: Ready, FailAfter: 3, TTL: time.Second, Run: says(&now)})
		for i, step := range []struct {
			result Result
			want   string
		}{
			{up, "ok; database ok fine"},
			{down, "ok; database degraded down 1 of 3 times in a row that take readiness off: refused"},
			{up, "ok; database ok fine"},
			{down, "ok; database degraded down 1 of 3 times in a row that take readiness off: refused"},
			{down, "ok; database degraded down 2 of 3 times in a row that take readiness off: refused"},
			{down, "error; database down refused"},
			{up, "error; database down up 1 of 2 times in a row that bring readiness back: fine"},
			{down, "error; database down refused"},
			{up, "error; database down up 1 of 2 times in a row that bring readiness back: fine"},
			{up, "ok; database ok fine"},
		} {
			now = step.result
			for range 10 { // many reports within the TTL count as one result
				checkLine(t, r, Ready, step.want)
			}
			if got, want := r.Report(t.Context(), All).OK(), step.result.Level != Down; got != want {
				t.Errorf("step %d: All says %t, want %t: it has no hysteresis", i, got, want)
			}
			time.Sleep(time.Second)
		}
		closeRegistry(t, r)
	})
}

func TestPanicsAndExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log := newRegistry(t)
		add(t, r, Check{Name: "panics", Run: func(context.Context) Result { panic(strings.Repeat("x", 5000)) }})
		add(t, r, Check{Name: "exits", Run: func(context.Context) Result { runtime.Goexit(); return Result{} }})
		add(t, r, Check{Name: "rambles", Run: says(&Result{Message: strings.Repeat("y", 5000)})})
		add(t, r, Check{Name: "off_scale", Run: says(&Result{Level: 9})})
		checkLine(t, r, All, "error; panics down the check panicked: "+strings.Repeat("x", 256)+
			"; exits down the check ended its goroutine without returning; rambles ok "+strings.Repeat("y", 1024)+"; off_scale down ")
		synctest.Wait()
		if !strings.Contains(log.String(), "TestPanicsAndExits") {
			t.Errorf("the log lacks the panic's stack:\n%s", log)
		}
		closeRegistry(t, r)
	})
}

func TestReportHeedsItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRegistry(t)
		add(t, r, Check{Name: "slow", TTL: time.Second, Run: func(context.Context) Result { time.Sleep(time.Second); return Result{Message: "done"} }})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if got, want := line(r.Report(ctx, All)), "error; slow down no result yet"; got != want {
			t.Errorf("a caller that gives up: %q, want %q", got, want)
		}
		checkLine(t, r, All, "ok; slow ok done") // the run went on
		time.Sleep(time.Minute)
		if got, want := line(r.Report(ctx, All)), "ok; slow ok done"; got != want {
			t.Errorf("a caller that gives up: %q, want the last result, %q", got, want)
		}
		time.Sleep(time.Second)
		closeRegistry(t, r)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRegistry(t)
		release := make(chan struct{})
		add(t, r, Check{Name: "obedient", Run: func(ctx context.Context) Result { <-ctx.Done(); return Result{} }})
		add(t, r, Check{Name: "hangs", Run: func(context.Context) Result { <-release; return Result{} }})
		go r.Report(t.Context(), All)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close beside a check that hangs: %v", err)
		}
		time.Sleep(time.Minute)
		const cut = "cut off: the registry was closed"
		checkLine(t, r, All, "error; obedient down "+cut+"; hangs down "+cut)
		if _, err := r.Add(Check{Name: "late", Run: says(&Result{})}); !errors.Is(err, ErrClosed) {
			t.Errorf("Add after Close: %v", err)
		}
		close(release)
		closeRegistry(t, r)
		closeRegistry(t, r)
	})
}

func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New(Options{MaxChecks: 2})
		if err != nil {
			t.Fatal(err)
		}
		r.MarkStarted()
		release := make(chan struct{})
		hangs := Check{Name: "hangs", Run: func(context.Context) Result { <-release; return Result{} }}
		removeHanging := add(t, r, hangs)
		removeIdle := add(t, r, Check{Name: "idle", Run: says(&Result{})})
		checkLine(t, r, All, "error; hangs down timed out after 2s; idle ok ")
		removeIdle()
		removeIdle()
		removeHanging()
		checkLine(t, r, All, "ok")
		add(t, r, Check{Name: "hangs", Run: says(&Result{})}) // the name is free
		if _, err := r.Add(Check{Name: "more", Run: says(&Result{})}); err == nil || !strings.Contains(err.Error(), "there are 2 checks already") {
			t.Errorf("a removed check that still runs does not count: %v", err)
		}
		checkLine(t, r, All, "ok; hangs ok ")
		close(release)
		synctest.Wait()
		add(t, r, Check{Name: "more", Run: says(&Result{})})
		closeRegistry(t, r)
	})
}

func TestMistakesAreListed(t *testing.T) {
	if _, err := New(Options{MaxChecks: -1}); err == nil || err.Error() != "health: max checks -1: want 1 or more" {
		t.Errorf("New: %v", err)
	}
	r, _ := newRegistry(t)
	defer closeRegistry(t, r)
	_, err := r.Add(Check{Name: "Upper Case", Probes: 64, Timeout: -1, TTL: -1, FailAfter: -1})
	want := `health: check "Upper Case": name: want 1 to 128 lower-case letters, digits, '_', '.' and '-'
health: check "Upper Case": unknown probe(64)
health: check "Upper Case": timeout -1ns: want above 0
health: check "Upper Case": ttl -1ns: want above 0
health: check "Upper Case": fail after -1, recover after 0: want 1 or more
health: check "Upper Case": no function to run`
	if err == nil || err.Error() != want {
		t.Errorf("Add:\n%v\nwant:\n%s", err, want)
	}
	for _, name := range []string{"startup", "shutdown"} {
		if _, err := r.Add(Check{Name: name, Run: says(&Result{})}); err == nil || !strings.Contains(err.Error(), "the registry's own") {
			t.Errorf("Add(%q): %v", name, err)
		}
	}
	add(t, r, Check{Name: "twice", Run: says(&Result{})})
	if _, err := r.Add(Check{Name: "twice", Run: says(&Result{})}); err == nil || !strings.Contains(err.Error(), "there is one of this name") {
		t.Errorf("Add twice: %v", err)
	}
}

func TestErrIsLoggedAndInNoReport(t *testing.T) {
	var log bytes.Buffer
	r, err := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(Check{Name: "database", Probes: Ready, Run: func(context.Context) Result {
		return Result{Level: Down, Message: "it does not answer", Err: errors.New("dial db.internal:5432")}
	}}); err != nil {
		t.Fatal(err)
	}
	r.MarkStarted()
	report := r.Report(t.Context(), All)
	if err := r.Close(t.Context()); err != nil { // the log is written by then
		t.Fatal(err)
	}
	body, err := json.Marshal(report)
	if err != nil || strings.Contains(string(body)+report.Text(), "db.internal") {
		t.Errorf("%s, %v", body, err)
	}
	if !strings.Contains(log.String(), "dial db.internal:5432") {
		t.Errorf("log:\n%s", log.String())
	}
}
