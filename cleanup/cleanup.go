// Package cleanup runs named tasks that give memory back: by schedule, when memory pressure rises, after a leak was found,
// by hand, and at shutdown. Budget says how often the same may be cleaned up after.
//
// It knows tasks, their order and their time. It does not know what a task frees, nor how a pressure level comes
// about: levels are package pressure's, and whoever decides on them calls OnLevel. The facade and the service stand
// above it.
package cleanup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/memwarden/memwarden/pressure"
)

const (
	defaultTimeout          = 30 * time.Second
	defaultPressureInterval = 30 * time.Second
	defaultMaxTasks         = 256
	maxName                 = 128
	minInterval             = time.Millisecond
)

// Trigger is why a task runs.
type Trigger string

// The triggers.
const (
	Schedule Trigger = "schedule"
	Pressure Trigger = "pressure"
	Leak     Trigger = "leak"
	Manual   Trigger = "manual"
	Shutdown Trigger = "shutdown"
)

// Task is a piece of cleaning up. A task may have several triggers; each can be run by hand.
type Task struct {
	// Name identifies the task: lower-case letters, digits, '_', '.' and '-', at most 128 of them. Required, unique.
	Name string
	// Interval is the time from the end of a run, whatever its trigger, to the next run by schedule; at least 1 ms.
	// Default 0: never by schedule.
	Interval time.Duration
	// AtLevel makes pressure run the task: when the level rises to AtLevel or above it, and again each
	// Options.PressureInterval while it stays there. Default pressure.Normal: never by pressure.
	AtLevel pressure.Level
	// OnLeak makes RunAll with Leak run the task.
	OnLeak bool
	// AtShutdown makes RunAll with Shutdown run the task.
	AtShutdown bool
	// Priority orders tasks that are due at the same time: higher first, equal ones together.
	Priority int
	// Timeout is when the context of a run ends; default 30 s.
	Timeout time.Duration
	// Run does the work, and returns the bytes that it freed: 0 where it does not know. It must return soon after
	// its context ends. It runs on a goroutine of its own and never twice at a time. Required.
	Run func(ctx context.Context, why Trigger) (freedBytes int64, err error)
}

// Options are the settings of a Registry. They are read once, by New.
type Options struct {
	// PressureInterval is the time between two runs of a task by pressure, unless the level has risen above that of
	// the run before; default 30 s.
	PressureInterval time.Duration
	// MaxTasks bounds the tasks that are registered, and those that were removed and still run; default 256.
	MaxTasks int
	// Logger is told of each run's end; default: nobody is.
	Logger *slog.Logger
}

// Errors of a Registry, to be asked for by errors.Is.
var (
	ErrUnknownTask = errors.New("no such task")
	ErrRunning     = errors.New("the task is running")
	ErrClosed      = errors.New("the registry is closed")
	ErrTimeout     = errors.New("timed out")
)

// Registry holds tasks and runs them. It is safe for concurrent use. It starts no goroutine before Start but for runs
// that are asked for. One goroutine then watches the schedule; each run has one of its own, and so has each batch of
// tasks that became due together: in all, at most two for each task, and one.
type Registry struct {
	options Options
	log     *slog.Logger
	wake    chan struct{}   // tells the scheduler to look again; holds one
	life    context.Context // ends with Close
	end     context.CancelCauseFunc
	work    sync.WaitGroup // the scheduler, batches, runs
	idle    chan struct{}  // closed by Close's helper when work is done

	mu      sync.Mutex
	tasks   map[string]*task
	strays  int // tasks that were removed and still run
	level   pressure.Level
	started bool
	closed  bool
}

// task is a Task with its history. Registry.mu guards all but the embedded Task, which does not change.
type task struct {
	Task
	removed  bool
	run      *run           // the one under way
	batch    *batch         // the one that will start it
	next     time.Time      // by schedule; zero where there is no Interval
	pressed  time.Time      // start of the last run by pressure
	pressure pressure.Level // level at that time
	last     Result
	counts   Counts
	failing  int64 // failures since the last success
}

// New returns a registry without tasks, or an error that lists every mistake in the options. Close it.
func New(options Options) (*Registry, error) {
	var mistakes []error
	if options.PressureInterval < 0 {
		mistakes = append(mistakes, fmt.Errorf("cleanup: pressure interval %s: want above 0", options.PressureInterval))
	}
	if options.MaxTasks < 0 {
		mistakes = append(mistakes, fmt.Errorf("cleanup: max tasks %d: want 1 or more", options.MaxTasks))
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	options.PressureInterval = cmp.Or(options.PressureInterval, defaultPressureInterval)
	options.MaxTasks = cmp.Or(options.MaxTasks, defaultMaxTasks)
	options.Logger = cmp.Or(options.Logger, slog.New(slog.DiscardHandler))
	r := &Registry{
		options: options, log: options.Logger, tasks: make(map[string]*task),
		wake: make(chan struct{}, 1), idle: make(chan struct{}),
	}
	r.life, r.end = context.WithCancelCause(context.Background())
	return r, nil
}

// Add registers a task, or returns an error that lists every mistake in it. The first run by schedule is an Interval
// from now, or from Start; by pressure at once, if the level is high enough already.
//
// remove takes the task out: it does not start any more, and the context of a run under way ends. remove does not
// wait, and may be called more than once; the name is free at once.
func (r *Registry) Add(added Task) (remove func(), err error) {
	if err := added.check(); err != nil {
		return nil, err
	}
	added.Timeout = cmp.Or(added.Timeout, defaultTimeout)
	t := &task{Task: added}
	if added.Interval > 0 {
		t.next = time.Now().Add(added.Interval)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, fmt.Errorf("cleanup: task %q: %w", t.Name, ErrClosed)
	case r.tasks[t.Name] != nil:
		return nil, fmt.Errorf("cleanup: task %q: there is one of this name", t.Name)
	case len(r.tasks)+r.strays >= r.options.MaxTasks:
		return nil, fmt.Errorf("cleanup: task %q: there are %d tasks already, the most there may be", t.Name, r.options.MaxTasks)
	}
	r.tasks[t.Name] = t
	r.look()
	return func() { r.remove(t) }, nil
}

func (r *Registry) remove(t *task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.removed {
		return
	}
	t.removed = true
	delete(r.tasks, t.Name)
	if t.run != nil {
		r.strays++
		t.run.end(errors.New("the task was removed"))
	}
}

// check returns every mistake in a task.
func (t Task) check() error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("cleanup: task %.*q: "+format, append([]any{maxName, t.Name}, args...)...))
	}
	if t.Name == "" || len(t.Name) > maxName || strings.Trim(t.Name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
		mistake("name: want 1 to %d lower-case letters, digits, '_', '.' and '-'", maxName)
	}
	if t.Interval != 0 && t.Interval < minInterval {
		mistake("interval %s: want 0 or at least %s", t.Interval, minInterval)
	}
	if t.AtLevel > pressure.Critical {
		mistake("unknown pressure %s", t.AtLevel)
	}
	if t.Timeout < 0 {
		mistake("timeout %s: want above 0", t.Timeout)
	}
	if t.Run == nil {
		mistake("no function to run")
	}
	return errors.Join(mistakes...)
}

// Start makes schedule and pressure run tasks. Calling it again changes nothing; after Close it returns ErrClosed.
func (r *Registry) Start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return fmt.Errorf("cleanup: start: %w", ErrClosed)
	case r.started:
		return nil
	}
	r.started = true
	now := time.Now()
	for _, t := range r.tasks {
		if t.Interval > 0 {
			t.next = now.Add(t.Interval)
		}
	}
	r.work.Go(r.schedule)
	return nil
}

// Close stops the schedule, ends the contexts of runs under way and waits for them, but no longer than ctx lasts: then
// it returns an error that names the tasks it left behind. It may be called again, to go on waiting.
func (r *Registry) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		r.end(ErrClosed)
		go func() { r.work.Wait(); close(r.idle) }() // no work is added from here on
	}
	r.mu.Unlock()
	select {
	case <-r.idle:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var left []string
	for _, t := range r.tasks {
		if t.run != nil {
			left = append(left, t.Name)
		}
	}
	slices.Sort(left)
	return fmt.Errorf("cleanup: left behind on close: tasks %q and %d removed ones: %w", left, r.strays, context.Cause(ctx))
}

// OnLevel tells the registry the pressure level. It does not block; call it at each change, or more often. The tasks
// that a rise makes due start in their order, if the registry is started.
func (r *Registry) OnLevel(level pressure.Level) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if level != r.level {
		r.level = level
		r.look()
	}
}

// look wakes the scheduler.
func (r *Registry) look() {
	select {
	case r.wake <- struct{}{}:
	default: // it will look anyway
	}
}
