// Package shutdown takes a program down in ordered phases, each with a deadline.
//
// It knows phases, steps and time. It knows nothing of signals, servers or pools: what a step does is a function that
// is added to it, and whoever owns the process calls Run, and Force at a second signal. The facade and the service
// stand above it.
package shutdown

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Phase is one stage of a shutdown. Stages run in the order of their values.
type Phase uint8

// The phases, in their order.
const (
	// ReadinessOff tells the world that no new work is wanted, while it still is accepted.
	ReadinessOff Phase = iota
	// Drain lets work under way end, while readiness is off and the load balancer notices (Options.DrainDelay).
	Drain
	// Hubs closes what holds connections or subscribers open: hubs, streams, listeners of an event bus.
	Hubs
	// Servers stops accepting, and waits for the requests that are left.
	Servers
	// Pools closes connections to databases and the like, which nobody uses by now.
	Pools
	// Flush writes down what is still in memory: logs, reports, final samples.
	Flush

	phaseCount = int(Flush) + 1
)

var phaseNames = [phaseCount]string{"readiness_off", "drain", "hubs", "servers", "pools", "flush"}

// String returns the phase's name in snake_case.
func (p Phase) String() string {
	if int(p) < phaseCount {
		return phaseNames[p]
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// MarshalText writes the phase's name.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

const (
	defaultForceGrace = time.Second
	defaultMaxSteps   = 256
	// lastWords is how long a step whose context has ended may take to return and say why.
	lastWords = 100 * time.Millisecond
)

// Deadlines bounds each phase. Together the defaults make 28 s: less than the 30 s that Kubernetes grants.
type Deadlines struct {
	ReadinessOff time.Duration // default 1 s
	Drain        time.Duration // default 8 s; Options.DrainDelay counts
	Hubs         time.Duration // default 3 s
	Servers      time.Duration // default 8 s
	Pools        time.Duration // default 3 s
	Flush        time.Duration // default 5 s
}

// Total returns the longest time that a shutdown takes that is not forced, but for a tenth of a second for each phase
// that overruns. Fields that are zero count with their default.
func (d Deadlines) Total() time.Duration {
	var total time.Duration
	for _, deadline := range d.byPhase() {
		total += deadline
	}
	return total
}

func (d Deadlines) byPhase() [phaseCount]time.Duration {
	deadlines := [phaseCount]time.Duration{d.ReadinessOff, d.Drain, d.Hubs, d.Servers, d.Pools, d.Flush}
	for i, fallback := range [phaseCount]time.Duration{
		time.Second, 8 * time.Second, 3 * time.Second, 8 * time.Second, 3 * time.Second, 5 * time.Second,
	} {
		if deadlines[i] == 0 {
			deadlines[i] = fallback
		}
	}
	return deadlines
}

// Options are the settings of a Sequence. They are read once, by New.
type Options struct {
	Deadlines Deadlines
	// DrainDelay is how long the Drain phase lasts at least: the time a load balancer needs to notice that readiness
	// is off, 5 s say. It runs beside the phase's steps and must not be longer than its deadline. Default 0.
	DrainDelay time.Duration
	// ForceGrace is what each phase that is left has, instead of its deadline, once Force was called; default 1 s.
	ForceGrace time.Duration
	// MaxSteps bounds the steps that are registered at one time; default 256.
	MaxSteps int
	// Logger is told of each phase's end and of each step that fails; default: nobody is.
	Logger *slog.Logger
}

// Errors of Add and of a Report, to be asked for by errors.Is.
var (
	// ErrStarted is returned for a step that comes too late.
	ErrStarted = errors.New("the shutdown has started")
	// ErrOverran marks a step that had not returned when its phase's time was over.
	ErrOverran = errors.New("overran its deadline")
	// ErrForced is part of the error of a shutdown that was forced, and the cause with which its steps' contexts ended.
	ErrForced = errors.New("forced before it was done")
)

// Sequence is a shutdown to come. It is safe for concurrent use, starts no goroutine before Run, and runs once.
type Sequence struct {
	options   Options
	deadlines [phaseCount]time.Duration
	log       *slog.Logger

	forced    chan struct{} // closed by Force
	forceOnce sync.Once
	done      chan struct{} // closed when report is set

	mu      sync.Mutex
	started bool
	count   int
	steps   [phaseCount][]*step
	report  Report // set before done is closed, not changed after
}

type step struct {
	name string
	run  func(context.Context) error
}

// New returns a sequence without steps, or an error that lists every mistake in the options.
func New(options Options) (*Sequence, error) {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("shutdown: "+format, args...))
	}
	deadlines := options.Deadlines.byPhase()
	for phase, deadline := range deadlines {
		if deadline < 0 {
			mistake("deadline of %s %s: want above 0", Phase(phase), deadline)
		}
	}
	if options.DrainDelay < 0 || deadlines[Drain] > 0 && options.DrainDelay > deadlines[Drain] {
		mistake("drain delay %s: want 0 to the deadline of drain, %s", options.DrainDelay, deadlines[Drain])
	}
	if options.ForceGrace < 0 {
		mistake("force grace %s: want above 0", options.ForceGrace)
	}
	if options.MaxSteps < 0 {
		mistake("max steps %d: want 1 or more", options.MaxSteps)
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	if options.ForceGrace == 0 {
		options.ForceGrace = defaultForceGrace
	}
	if options.MaxSteps == 0 {
		options.MaxSteps = defaultMaxSteps
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Sequence{
		options: options, deadlines: deadlines, log: options.Logger, forced: make(chan struct{}), done: make(chan struct{}),
	}, nil
}

// Add registers a step. The steps of one phase run at the same time; names are unique within it. The step must return
// soon after its context ends; that happens at the phase's deadline, or when the shutdown is forced.
//
// remove takes the step out again, for a part that is closed before the program is; it does nothing once the shutdown
// has started, and may be called more than once.
func (s *Sequence) Add(phase Phase, name string, run func(ctx context.Context) error) (remove func(), err error) {
	var mistakes []error
	if int(phase) >= phaseCount {
		mistakes = append(mistakes, fmt.Errorf("shutdown: step %q: unknown %s", name, phase))
	}
	if name == "" {
		mistakes = append(mistakes, fmt.Errorf("shutdown: a step of %s has no name", phase))
	}
	if run == nil {
		mistakes = append(mistakes, fmt.Errorf("shutdown: step %q has no function", name))
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.started:
		return nil, fmt.Errorf("shutdown: step %q: %w", name, ErrStarted)
	case s.count >= s.options.MaxSteps:
		return nil, fmt.Errorf("shutdown: step %q: there are %d steps already, the most there may be", name, s.count)
	case slices.ContainsFunc(s.steps[phase], func(other *step) bool { return other.name == name }):
		return nil, fmt.Errorf("shutdown: step %q: the phase %s has one of this name", name, phase)
	}
	added := &step{name: name, run: run}
	s.steps[phase] = append(s.steps[phase], added)
	s.count++
	return func() { s.remove(phase, added) }, nil
}

func (s *Sequence) remove(phase Phase, gone *step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.steps[phase], gone); i >= 0 && !s.started {
		s.steps[phase] = slices.Delete(s.steps[phase], i, i+1)
		s.count--
	}
}

// Started reports whether Run was called.
func (s *Sequence) Started() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

// Done returns a channel that is closed when the shutdown is over.
func (s *Sequence) Done() <-chan struct{} { return s.done }

// Force hurries the shutdown, as a second signal does. Contexts of steps that run end at once, the drain delay too.
// The phases that are left still come in their order, with ForceGrace instead of their deadline: up to Pools the
// steps are called with a context that has ended already, so that they close without waiting; Flush has a live
// context for its ForceGrace, because what it writes would be lost. Before Run, Force makes it run so from the start;
// after it, Force does nothing.
func (s *Sequence) Force() { s.forceOnce.Do(func() { close(s.forced) }) }
