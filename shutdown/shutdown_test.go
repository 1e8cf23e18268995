package shutdown

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func newSequence(t *testing.T, options Options) *Sequence {
	t.Helper()
	sequence, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return sequence
}

func add(t *testing.T, s *Sequence, phase Phase, name string, run func(context.Context) error) (remove func()) {
	t.Helper()
	remove, err := s.Add(phase, name, run)
	if err != nil {
		t.Fatal(err)
	}
	return remove
}

// diary is what the steps of a test did, and when.
type diary struct {
	mu    sync.Mutex
	start time.Time
	lines []string
}

func (d *diary) write(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%5s ", time.Since(d.start))+fmt.Sprintf(format, args...))
}

func (d *diary) check(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.lines) // by time; lines of one moment by text
	if !slices.Equal(d.lines, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(d.lines, "\n"), strings.Join(want, "\n"))
	}
}

// takes returns a step that works for so long and then returns result, or returns early when its context ends.
func takes(book *diary, name string, work time.Duration, result error) func(context.Context) error {
	return func(ctx context.Context) error {
		book.write("%s starts", name)
		select {
		case <-time.After(work):
			book.write("%s ends", name)
			return result
		case <-ctx.Done():
			book.write("%s is cut: %v", name, context.Cause(ctx))
			return ctx.Err()
		}
	}
}

func TestPhasesInOrderStepsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &diary{start: time.Now()}
		sequence := newSequence(t, Options{DrainDelay: 5 * time.Second})
		add(t, sequence, Flush, "logs", takes(book, "logs", time.Second, nil)) // added out of order
		add(t, sequence, Servers, "http", takes(book, "http", 2*time.Second, nil))
		add(t, sequence, Servers, "admin", takes(book, "admin", time.Second, nil))
		add(t, sequence, ReadinessOff, "health", takes(book, "health", 0, nil))
		add(t, sequence, Drain, "jobs", takes(book, "jobs", 3*time.Second, nil))
		removed := add(t, sequence, Pools, "gone", takes(book, "gone", 0, nil))
		removed()
		removed()

		if sequence.Started() || isClosed(sequence.Done()) {
			t.Error("started or done before Run")
		}
		report := sequence.Run(t.Context(), "SIGTERM")
		if !sequence.Started() || !isClosed(sequence.Done()) {
			t.Error("not started or not done after Run")
		}
		book.check(t,
			"   0s health ends", "   0s health starts", "   0s jobs starts",
			"   3s jobs ends", // the drain delay goes on
			"   5s admin starts", "   5s http starts",
			"   6s admin ends",
			"   7s http ends", "   7s logs starts",
			"   8s logs ends")
		if report.ExitCode() != ExitClean || report.Err() != nil || report.Forced {
			t.Errorf("exit code %d, error %v, forced %t; want a clean shutdown", report.ExitCode(), report.Err(), report.Forced)
		}
		var phases []string
		for _, phase := range report.Phases {
			phases = append(phases, fmt.Sprint(phase.Name, " ", phase.Duration, " ", len(phase.Steps)))
		}
		want := []string{"readiness_off 0s 1", "drain 5s 1", "hubs 0s 0", "servers 2s 2", "pools 0s 0", "flush 1s 1"}
		if !slices.Equal(phases, want) {
			t.Errorf("phases %q, want %q", phases, want)
		}
	})
}

func TestStepsThatOverrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &diary{start: time.Now()}
		sequence := newSequence(t, Options{Deadlines: Deadlines{Hubs: 2 * time.Second, Servers: 4 * time.Second}})
		release := make(chan struct{})
		add(t, sequence, Hubs, "stubborn", func(context.Context) error { <-release; return nil })
		add(t, sequence, Hubs, "quick", takes(book, "quick", time.Second, nil))
		add(t, sequence, Servers, "obedient", takes(book, "obedient", time.Hour, nil))
		add(t, sequence, Servers, "late but done", func(ctx context.Context) error { <-ctx.Done(); return nil })
		add(t, sequence, Flush, "logs", takes(book, "logs", 0, nil))

		report := sequence.Run(t.Context(), "test")
		book.check(t,
			"   0s quick starts", "   1s quick ends",
			" 2.1s obedient starts",
			" 6.1s logs ends", " 6.1s logs starts", " 6.1s obedient is cut: context deadline exceeded")
		if report.ExitCode() != ExitFailed || !errors.Is(report.Err(), ErrOverran) || !errors.Is(report.Err(), context.DeadlineExceeded) {
			t.Errorf("exit code %d, error %v", report.ExitCode(), report.Err())
		}
		got := report.Err().Error()
		want := `shutdown: hubs: stubborn: overran its deadline and was left behind
shutdown: servers: obedient: overran its deadline: context deadline exceeded
shutdown: servers: late but done: overran its deadline`
		if got != want {
			t.Errorf("error:\n%s\nwant:\n%s", got, want)
		}
		if quick := report.Phases[Hubs].Steps[1]; quick.TimedOut || quick.Err != nil || quick.Duration != time.Second {
			t.Errorf("a neighbour of a step that overran: %+v", quick)
		}
		if left := report.Phases[Hubs].Steps[0]; !left.TimedOut || left.Duration != 2*time.Second+lastWords {
			t.Errorf("the step left behind: %+v", left)
		}
		close(release)
	})
}

func TestFailuresAndPanicsAreKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		sequence := newSequence(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		broken := errors.New("disk full")
		add(t, sequence, Hubs, "panics", func(context.Context) error { panic("boom") })
		add(t, sequence, Hubs, "exits", func(context.Context) error { runtime.Goexit(); return nil })
		add(t, sequence, Flush, "fails", func(context.Context) error { return broken })
		ran := false
		add(t, sequence, Flush, "works", func(context.Context) error { ran = true; return nil })

		report := sequence.Run(t.Context(), "test")
		if !ran {
			t.Error("a step beside and after failures did not run")
		}
		if !errors.Is(report.Err(), broken) || report.ExitCode() != ExitFailed {
			t.Errorf("exit code %d, error %v", report.ExitCode(), report.Err())
		}
		want := `shutdown: hubs: panics: panic: boom
shutdown: hubs: exits: ended its goroutine without returning
shutdown: flush: fails: disk full`
		if got := report.Err().Error(); got != want {
			t.Errorf("error:\n%s\nwant:\n%s", got, want)
		}
		for _, want := range []string{"panic=boom", "TestFailuresAndPanicsAreKeptApart", "error=\"disk full\"", "exit_code=1", "reason=test"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, &log)
			}
		}
	})
}

func TestFurtherCallersShareTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		sequence := newSequence(t, Options{})
		add(t, sequence, Servers, "once", func(context.Context) error { calls++; time.Sleep(time.Second); return nil })
		reports := make(chan Report, 3)
		go func() { reports <- sequence.Run(t.Context(), "first") }()
		synctest.Wait()
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		go func() { reports <- sequence.Run(cancelled, "second") }()
		for range 2 {
			if report := <-reports; report.Reason != "first" || report.Forced || len(report.Phases) != phaseCount {
				t.Errorf("got %+v, want the first caller's report", report)
			}
		}
		if report := sequence.Run(t.Context(), "afterwards"); report.Reason != "first" || calls != 1 {
			t.Errorf("afterwards: %+v, %d calls", report, calls)
		}
		if _, err := sequence.Add(Flush, "too late", func(context.Context) error { return nil }); !errors.Is(err, ErrStarted) {
			t.Errorf("Add afterwards: %v, want ErrStarted", err)
		}
	})
}

func TestForceWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &diary{start: time.Now()}
		sequence := newSequence(t, Options{DrainDelay: 5 * time.Second, ForceGrace: 2 * time.Second})
		release := make(chan struct{})
		add(t, sequence, Drain, "jobs", takes(book, "jobs", time.Minute, nil))
		add(t, sequence, Hubs, "stubborn", func(context.Context) error { <-release; return nil })
		add(t, sequence, Servers, "http", takes(book, "http", time.Minute, nil))
		add(t, sequence, Flush, "quick", takes(book, "quick", time.Second, nil))
		add(t, sequence, Flush, "slow", takes(book, "slow", time.Minute, nil))
		time.AfterFunc(time.Second, sequence.Force)
		time.AfterFunc(time.Second, sequence.Force) // twice is once

		report := sequence.Run(t.Context(), "test")
		book.check(t,
			"   0s jobs starts",
			"   1s jobs is cut: forced before it was done",
			"   3s http is cut: forced before it was done", "   3s http starts", "   3s quick starts", "   3s slow starts",
			"   4s quick ends",
			"   5s slow is cut: context deadline exceeded")
		if !report.Forced || report.ExitCode() != ExitForced || !errors.Is(report.Err(), ErrForced) {
			t.Errorf("forced %t, exit code %d, error %v", report.Forced, report.ExitCode(), report.Err())
		}
		if step := report.Phases[Servers].Steps[0]; step.TimedOut || step.Err != context.Canceled {
			t.Errorf("a step cut off by force: %+v", step)
		}
		if step := report.Phases[Hubs].Steps[0]; !step.TimedOut || !errors.Is(step.Err, ErrOverran) {
			t.Errorf("a step that did not heed the force: %+v", step)
		}
		if step := report.Phases[Flush].Steps[1]; !step.TimedOut {
			t.Errorf("a flush beyond its grace: %+v", step)
		}
		close(release)
	})
}

func TestForceDuringFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &diary{start: time.Now()}
		sequence := newSequence(t, Options{})
		add(t, sequence, Flush, "slow", takes(book, "slow", time.Minute, nil))
		add(t, sequence, Flush, "quick", takes(book, "quick", 2500*time.Millisecond, nil))
		time.AfterFunc(2*time.Second, sequence.Force)
		report := sequence.Run(t.Context(), "test")
		book.check(t, "   0s quick starts", "   0s slow starts", "   3s slow is cut: context deadline exceeded", " 2.5s quick ends")
		if report.ExitCode() != ExitForced || !report.Phases[Flush].Steps[0].TimedOut {
			t.Errorf("report %+v", report)
		}
	})
}

func TestForceBeforeRunAndContextsThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(prepare func(*Sequence) context.Context) (*diary, Report) {
			book := &diary{start: time.Now()}
			sequence := newSequence(t, Options{DrainDelay: 5 * time.Second})
			add(t, sequence, Servers, "http", takes(book, "http", 2*time.Second, nil))
			add(t, sequence, Flush, "logs", takes(book, "logs", 500*time.Millisecond, nil))
			return book, sequence.Run(prepare(sequence), "test")
		}
		forcedAtOnce := []string{
			"   0s http is cut: forced before it was done", "   0s http starts", "   0s logs starts", "500ms logs ends",
		}
		book, report := run(func(s *Sequence) context.Context {
			s.Force()
			for i := range 200 {
				add(t, s, Pools, fmt.Sprint("pool ", i), func(ctx context.Context) error {
					if ctx.Err() == nil {
						t.Error("called with a context that has not ended yet")
					}
					return nil
				})
			}
			return t.Context()
		})
		book.check(t, forcedAtOnce...)
		if !report.Forced {
			t.Error("Force before Run: not forced")
		}

		book, report = run(func(*Sequence) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		})
		book.check(t, "   1s http is cut: forced before it was done", "   1s http starts", "   1s logs starts", " 1.5s logs ends")
		if !report.Forced {
			t.Error("a context that ended: not forced")
		}
	})
}

func TestForceAfterTheEndChangesNothing(t *testing.T) {
	sequence := newSequence(t, Options{})
	report := sequence.Run(t.Context(), "test")
	sequence.Force()
	if again := sequence.Run(t.Context(), "again"); again.Forced || report.ExitCode() != ExitClean {
		t.Errorf("forced after the end: %+v", again)
	}
}

func TestReportAsJSON(t *testing.T) {
	report := Report{
		Reason: "SIGTERM",
		Phases: []PhaseReport{
			{Name: ReadinessOff, Steps: []StepReport{}},
			{Name: Servers, Duration: 1500 * time.Millisecond, Steps: []StepReport{
				{Name: "http", Duration: 250 * time.Millisecond},
				{Name: "admin", Duration: 1500 * time.Millisecond, Err: ErrOverran, TimedOut: true},
			}},
		},
		Forced: true,
	}
	got, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"reason":"SIGTERM","phases":[` +
		`{"name":"readiness_off","steps":[],"duration_seconds":0},` +
		`{"name":"servers","steps":[` +
		`{"name":"http","timed_out":false,"duration_seconds":0.25},` +
		`{"name":"admin","timed_out":true,"duration_seconds":1.5,"error":"overran its deadline"}` +
		`],"duration_seconds":1.5}],"forced":true,"exit_code":3}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAddRefuses(t *testing.T) {
	sequence := newSequence(t, Options{MaxSteps: 2})
	nothing := func(context.Context) error { return nil }
	refused := func(phase Phase, name string, run func(context.Context) error, wants ...string) {
		t.Helper()
		_, err := sequence.Add(phase, name, run)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Add(%s, %q): %v, want %q", phase, name, err, want)
			}
		}
	}
	refused(Flush+1, "", nil, "unknown phase(6)", "has no name", "has no function")
	add(t, sequence, Flush, "logs", nothing)
	refused(Flush, "logs", nothing, "the phase flush has one of this name")
	remove := add(t, sequence, Drain, "logs", nothing) // another phase
	refused(Flush, "more", nothing, "there are 2 steps already")
	remove()
	add(t, sequence, Flush, "more", nothing)
}

func TestNewListsEveryMistake(t *testing.T) {
	_, err := New(Options{
		Deadlines: Deadlines{Hubs: -1, Flush: -time.Second}, DrainDelay: time.Minute, ForceGrace: -1, MaxSteps: -1,
	})
	want := `shutdown: deadline of hubs -1ns: want above 0
shutdown: deadline of flush -1s: want above 0
shutdown: drain delay 1m0s: want 0 to the deadline of drain, 8s
shutdown: force grace -1ns: want above 0
shutdown: max steps -1: want 1 or more`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestDefaultsFitKubernetes(t *testing.T) {
	if total := (Deadlines{}).Total() + time.Duration(phaseCount)*lastWords; total >= 30*time.Second {
		t.Errorf("the default phases take up to %s, Kubernetes kills after 30 s", total)
	}
	if total := (Deadlines{Drain: time.Minute}).Total(); total != 80*time.Second {
		t.Errorf("with a minute of drain: %s, want 1m20s", total)
	}
}
