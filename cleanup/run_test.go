package cleanup

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/pressure"
)

func TestTimeoutHeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		b.add(Task{Name: "obedient", Timeout: time.Second, Run: b.works("obedient", time.Minute, 0)})
		result, err := b.Run(t.Context(), "obedient", Manual)
		want := `cleanup: task "obedient": timed out after 1s`
		if err == nil || err.Error() != want || !errors.Is(err, ErrTimeout) || !result.TimedOut || result.Duration != time.Second {
			t.Errorf("%v, %+v", err, result)
		}
		synctest.Wait()
		if s := b.status("obedient"); s.Stuck || !s.RunningSince.IsZero() || s.Timeouts != 1 || !s.LastResult.TimedOut {
			t.Errorf("status %+v", s)
		}
		broken := errors.New("connection lost")
		b.add(Task{Name: "explains", Timeout: time.Second, Run: func(ctx context.Context, _ Trigger) (int64, error) {
			<-ctx.Done()
			return 0, broken
		}})
		_, err = b.Run(t.Context(), "explains", Manual)
		synctest.Wait()
		if last := b.status("explains").LastResult; !errors.Is(err, ErrTimeout) || !errors.Is(last.Err, ErrTimeout) || !errors.Is(last.Err, broken) {
			t.Errorf("%v; last %+v", err, last)
		}
		b.close()
	})
}

func TestPanicsAndFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		broken := errors.New("disk full")
		b.add(Task{Name: "panics", Run: func(context.Context, Trigger) (int64, error) { panic(strings.Repeat("x", 5000)) }})
		b.add(Task{Name: "exits", Run: func(context.Context, Trigger) (int64, error) { runtime.Goexit(); return 0, nil }})
		b.add(Task{Name: "fails", Run: func(context.Context, Trigger) (int64, error) { return -5, broken }})

		result, err := b.Run(t.Context(), "panics", Manual)
		panicked, ok := errors.AsType[*PanicError](err)
		if !ok || !result.Panicked || panicked.Task != "panics" || len(panicked.Value) != 1024 || len(panicked.Stack) > 8<<10 ||
			!strings.Contains(panicked.Stack, "TestPanicsAndFailures") || !strings.HasPrefix(err.Error(), `cleanup: task "panics" panicked: xxx`) {
			t.Errorf("panic: %v, %+v", err, result)
		}
		if s := b.status("panics"); s.Panics != 1 || s.Failures != 1 || s.Stuck {
			t.Errorf("panic: %+v", s)
		}
		if _, err := b.Run(t.Context(), "exits", Manual); err == nil || !strings.Contains(err.Error(), `task "exits": ended its goroutine`) {
			t.Errorf("runtime.Goexit: %v", err)
		}
		for n := range int64(3) {
			result, err = b.Run(t.Context(), "fails", "leak") // a trigger of the caller's own
			if !errors.Is(err, broken) || result.FreedBytes != 0 || result.Trigger != "leak" {
				t.Errorf("failure: %v, %+v", err, result)
			}
			if s := b.status("fails"); s.ConsecutiveFailures != n+1 || s.FreedBytes != 0 {
				t.Errorf("failure %d: %+v", n+1, s)
			}
		}
		if _, err := b.Run(t.Context(), "none", Manual); !errors.Is(err, ErrUnknownTask) {
			t.Errorf("unknown task: %v", err)
		}
		synctest.Wait()
		for _, want := range []string{"level=ERROR", "TestPanicsAndFailures", "level=WARN", `disk full`, "memory cleanup task done"} {
			if !strings.Contains(b.log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, &b.log)
			}
		}
		b.close()
	})
}

func TestLatePanicIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		release := make(chan struct{})
		b.add(Task{Name: "late", Timeout: time.Second, Run: func(context.Context, Trigger) (int64, error) { <-release; panic("boom") }})
		if result, _ := b.Run(t.Context(), "late", Manual); !result.TimedOut || result.Panicked {
			t.Errorf("result %+v", result)
		}
		close(release)
		synctest.Wait()
		s := b.status("late")
		if s.Panics != 1 || s.Failures != 1 || s.Runs != 1 || !s.LastResult.Panicked || !s.LastResult.TimedOut || !errors.Is(s.LastResult.Err, ErrTimeout) {
			t.Errorf("status %+v", s)
		}
		b.close()
	})
}

func TestRunHeedsItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		release := make(chan struct{})
		b.add(Task{Name: "stuck", Run: b.stuck("stuck", release, 9)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result, err := b.Run(ctx, "stuck", Manual)
		if !errors.Is(err, context.DeadlineExceeded) || result.TimedOut || !b.status("stuck").Stuck {
			t.Errorf("a caller that gives up: %v, %+v", err, result)
		}
		if result, err := b.Run(ctx, "stuck", Manual); !errors.Is(err, context.DeadlineExceeded) || !result.At.IsZero() {
			t.Errorf("a context that has ended: %v, %+v", err, result)
		}
		close(release)
		synctest.Wait()
		if s := b.status("stuck"); s.LastResult.FreedBytes != 9 || s.LastResult.Err == nil || s.Failures != 1 {
			t.Errorf("the late end: %+v", s)
		}
		b.close()
	})
}

func TestRunAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		release := make(chan struct{})
		b.add(Task{Name: "flush", Priority: 1, AtShutdown: true, Run: b.works("flush", 2*time.Second, 5)})
		b.add(Task{Name: "busy", AtShutdown: true, Run: b.works("busy", 10*time.Second, 0)})
		b.add(Task{Name: "stuck", AtShutdown: true, Timeout: time.Second, Run: b.stuck("stuck", release, 0)})
		b.add(Task{Name: "quick", AtShutdown: true, Run: b.works("quick", 0, 0)})
		b.add(Task{Name: "other", Interval: time.Hour, Run: b.works("other", 0, 0)})
		b.add(Task{Name: "pressed", AtLevel: pressure.High, Run: b.works("pressed", 0, 0)})
		go b.Run(t.Context(), "busy", Manual)
		go b.Run(t.Context(), "stuck", Manual)
		time.Sleep(5 * time.Second)
		b.check("   0s busy: manual", "   0s stuck: manual")

		results := b.RunAll(t.Context(), Shutdown)
		b.check("   5s flush: shutdown", "   7s quick: shutdown", "  10s busy: shutdown")
		var got []string
		for _, result := range results {
			got = append(got, fmt.Sprint(result.Task, " ", result.Duration, " ", result.FreedBytes, " ", errors.Is(result.Err, ErrRunning), result.Err == nil))
		}
		want := []string{"flush 2s 5 false true", "busy 10s 0 false true", "quick 0s 0 false true", "stuck 0s 0 true false"}
		if !slices.Equal(got, want) {
			t.Errorf("results %q, want %q", got, want)
		}
		for why, want := range map[Trigger][]string{
			Schedule: {"other"}, Pressure: {"pressed"}, Manual: {"flush", "busy", "other", "pressed", "quick", "stuck"},
		} {
			var names []string
			for _, result := range b.RunAll(t.Context(), why) {
				names = append(names, result.Task)
			}
			if !slices.Equal(names, want) {
				t.Errorf("%s runs %q, want %q", why, names, want)
			}
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go b.Run(t.Context(), "busy", Manual)
		synctest.Wait()
		for _, result := range b.RunAll(ctx, Shutdown) { // flush is cut, busy not waited for
			if result.Err == nil {
				t.Errorf("%s ran to its end after its context's: %+v", result.Task, result)
			}
		}
		close(release)
		b.close()
	})
}
