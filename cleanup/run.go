package cleanup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/memwarden/memwarden/internal/sorting"
)

const (
	maxPanicValue = 1 << 10
	maxStack      = 8 << 10
)

// run is one run of a task. Registry.mu guards it, but for result once settled is closed.
type run struct {
	why     Trigger
	start   time.Time
	end     context.CancelCauseFunc
	cut     bool          // its context ended before it returned: stuck, until it does
	settled chan struct{} // closed when it has returned or was cut
	result  Result
}

// Run runs a task now and waits until it has returned, or its context has ended: at its Timeout, with ctx, or by Close.
// A task that does not return then goes on and is stuck.
//
// The error is ErrUnknownTask, ErrRunning, ErrClosed or that of ctx where the task did not run; Result.At is zero then.
// Else it is Result.Err.
func (r *Registry) Run(ctx context.Context, name string, why Trigger) (Result, error) {
	u, err := r.beginNamed(ctx, name, why)
	if err != nil {
		return Result{Task: name, Trigger: why, Err: err}, err
	}
	<-u.settled
	return u.result, u.result.Err
}

func (r *Registry) beginNamed(ctx context.Context, name string, why Trigger) (*run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tasks[name]
	if t == nil {
		return nil, fmt.Errorf("cleanup: task %.*q: %w", maxName, name, ErrUnknownTask)
	}
	return r.begin(ctx, t, why)
}

// RunAll runs all tasks that a trigger is meant for, in groups of equal priority, and waits for them: with Shutdown
// those with AtShutdown, with Leak those with OnLeak, with Schedule those with an Interval, with Pressure those with a
// level, with any other trigger all of them. It waits for a run that is under way, and then runs the task once more,
// because what it has to clean up may have come since. Results are in the order of the runs; those of tasks that did not run say so in Err.
func (r *Registry) RunAll(ctx context.Context, why Trigger) []Result {
	r.mu.Lock()
	var chosen []item
	for _, t := range r.tasks {
		if t.meantFor(why) {
			chosen = append(chosen, item{t, why})
		}
	}
	r.mu.Unlock()

	var results []Result
	for _, group := range groups(chosen) {
		part := make([]Result, len(group))
		var wait sync.WaitGroup
		for i, it := range group {
			wait.Go(func() { part[i] = r.runNext(ctx, it) })
		}
		wait.Wait()
		results = append(results, part...)
	}
	return results
}

func (t *task) meantFor(why Trigger) bool {
	switch why {
	case Shutdown:
		return t.AtShutdown
	case Leak:
		return t.OnLeak
	case Schedule:
		return t.Interval > 0
	case Pressure:
		return t.AtLevel > 0
	}
	return true
}

// runNext runs a task as soon as the run under way, if there is one, has returned. It does not wait for a stuck one.
func (r *Registry) runNext(ctx context.Context, it item) Result {
	for {
		r.mu.Lock()
		before := it.task.run
		stuck := before != nil && before.cut
		u, err := r.begin(ctx, it.task, it.why)
		r.mu.Unlock()
		switch {
		case err == nil:
			<-u.settled
			return u.result
		case stuck || !errors.Is(err, ErrRunning):
			return Result{Task: it.task.Name, Trigger: it.why, Err: err}
		}
		select {
		case <-before.settled:
		case <-ctx.Done(): // the next begin says so
		}
	}
}

// item is a task that is due, and why.
type item struct {
	task *task
	why  Trigger
}

// groups sorts tasks by falling priority and then name, and cuts them where the priority changes.
func groups(items []item) [][]item {
	sorting.By(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(b.task.Priority, a.task.Priority), strings.Compare(a.task.Name, b.task.Name))
	})
	var all [][]item
	for i, it := range items {
		if i == 0 || it.task.Priority != items[i-1].task.Priority {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], it)
	}
	return all
}

// begin starts a task on a goroutine of its own. mu is held.
func (r *Registry) begin(parent context.Context, t *task, why Trigger) (*run, error) {
	switch {
	case r.closed:
		return nil, fmt.Errorf("cleanup: task %q: %w", t.Name, ErrClosed)
	case t.removed:
		return nil, fmt.Errorf("cleanup: task %q: %w", t.Name, ErrUnknownTask)
	case parent.Err() != nil:
		return nil, fmt.Errorf("cleanup: task %q: %w", t.Name, context.Cause(parent))
	case t.run != nil:
		return nil, fmt.Errorf("cleanup: task %q: %w since %s", t.Name, ErrRunning, t.run.start.Format(time.RFC3339))
	}
	base, end := context.WithCancelCause(parent)
	ctx, cancel := context.WithTimeoutCause(base, t.Timeout, ErrTimeout)
	u := &run{why: why, start: time.Now(), end: end, settled: make(chan struct{})}
	t.run, t.batch = u, nil
	if why == Pressure {
		t.pressed, t.pressure = u.start, r.level
	}
	stopLife := context.AfterFunc(r.life, func() { end(ErrClosed) })
	stopCut := context.AfterFunc(ctx, func() { r.cut(t, u, context.Cause(ctx)) })
	r.work.Go(func() {
		var freed int64
		err := errors.New("ended its goroutine without returning")
		defer func() { // also when the task calls runtime.Goexit
			cause := context.Cause(ctx)
			stopLife()
			stopCut()
			cancel()
			end(nil) // else the parent keeps base
			r.finish(t, u, freed, err, cause)
		}()
		freed, err = call(ctx, t, why)
	})
	return u, nil
}

// call runs the task's function and turns a panic into an error.
func call(ctx context.Context, t *task, why Trigger) (freed int64, err error) {
	defer func() {
		if value := recover(); value != nil {
			text, stack := fmt.Sprint(value), debug.Stack()
			freed, err = 0, &PanicError{
				Task: t.Name, Value: text[:min(len(text), maxPanicValue)], Stack: string(stack[:min(len(stack), maxStack)]),
			}
		}
	}()
	return t.Task.Run(ctx, why)
}

// cut settles a run whose context has ended while it has not returned: nobody waits for it any longer.
func (r *Registry) cut(t *task, u *run, cause error) {
	r.mu.Lock()
	if t.run != u { // it has just returned
		r.mu.Unlock()
		return
	}
	u.cut = true
	t.settle(u, t.outcome(u, 0, cause, cause))
	r.mu.Unlock()
	r.log.Warn("memory cleanup task does not end", "task", t.Name, "trigger", u.why, "error", u.result.Err)
}

// finish records that a run has returned. cause is why its context had ended by then, if it had.
func (r *Registry) finish(t *task, u *run, freed int64, err error, cause error) {
	freed = max(freed, 0)
	r.mu.Lock()
	if u.cut && err == nil {
		err = cause // it counts as failed already
	}
	result := t.outcome(u, freed, err, cause)
	if u.cut {
		t.last = result
	} else {
		t.settle(u, result)
	}
	t.counts.FreedBytes += freed
	if result.Panicked {
		t.counts.Panics++
	}
	t.run = nil
	if t.Interval > 0 {
		t.next = time.Now().Add(t.Interval)
	}
	if t.removed {
		r.strays--
	}
	r.look()
	r.mu.Unlock()
	r.report(result)
}

// outcome describes a run up to now: err is what the task returned, or why it was cut; cause why its context had ended.
func (t *task) outcome(u *run, freed int64, err, cause error) Result {
	result := Result{
		Task: t.Name, Trigger: u.why, At: u.start, Duration: time.Since(u.start), FreedBytes: freed, TimedOut: errors.Is(cause, ErrTimeout),
	}
	_, result.Panicked = errors.AsType[*PanicError](err)
	switch {
	case result.TimedOut && (err == nil || errors.Is(err, cause) || errors.Is(err, context.DeadlineExceeded)):
		result.Err = fmt.Errorf("cleanup: task %q: %w after %s", t.Name, ErrTimeout, t.Timeout)
	case result.TimedOut:
		result.Err = fmt.Errorf("cleanup: task %q: %w after %s: %w", t.Name, ErrTimeout, t.Timeout, err)
	case result.Panicked:
		result.Err = err // names the task
	case err != nil:
		result.Err = fmt.Errorf("cleanup: task %q: %w", t.Name, err)
	}
	return result
}

// settle makes a result the last one, counts it and lets go of those who wait for it.
func (t *task) settle(u *run, result Result) {
	u.result, t.last = result, result
	t.counts.Runs++
	t.failing++
	switch {
	case result.Err == nil:
		t.failing = 0
	case result.TimedOut:
		t.counts.Timeouts++
		fallthrough
	default:
		t.counts.Failures++
	}
	close(u.settled)
}

// report logs the end of a run.
func (r *Registry) report(result Result) {
	level := slog.LevelInfo
	attributes := []any{
		"task", result.Task, "trigger", result.Trigger, "duration_seconds", result.Duration.Seconds(), "freed_bytes", result.FreedBytes,
	}
	if result.Trigger == Schedule {
		level = slog.LevelDebug
	}
	if result.Err != nil {
		level = slog.LevelWarn
		attributes = append(attributes, "error", result.Err)
	}
	if panicked, ok := errors.AsType[*PanicError](result.Err); ok {
		level = slog.LevelError
		attributes = append(attributes, "stack", panicked.Stack)
	}
	r.log.Log(context.Background(), level, "memory cleanup task done", attributes...)
}
