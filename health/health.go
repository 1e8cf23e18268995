// Package health answers whether a program is alive, ready, started and well.
//
// It knows checks, how old their results may get, and when a failing check takes readiness off. It does not know HTTP,
// and of memory only what memory checks are given: samples of package memstat and levels of package pressure. Package
// memhttp and the service's API stand above it.
package health

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
)

const (
	defaultTimeout      = 2 * time.Second
	defaultTTL          = 5 * time.Second
	defaultFailAfter    = 2
	defaultRecoverAfter = 2
	defaultMaxChecks    = 100
	maxName             = 128
	maxMessage          = 1 << 10
)

// Level is how well a part of a program is.
type Level uint8

// The levels, from good to bad.
const (
	OK       Level = iota
	Degraded       // works, but not as it should: tells people, fails no probe
	Down           // does not work
)

var levelNames = [...]string{"ok", "degraded", "down"}

// String returns the level's name in lower case.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("level(%d)", uint8(l))
}

// MarshalText writes the level's name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Probe is a question that a program is asked about its health, or a set of such.
type Probe uint8

// The probes, as Kubernetes asks them.
const (
	Live    Probe = 1 << iota // must it be restarted? Nothing that a restart does not mend belongs here
	Ready                     // may it get traffic?
	Startup                   // has it started?
	// All asks every check, whatever probes it belongs to, and is what /api/health shows.
	All Probe = 0
)

// String returns the name that the probe has as a route: livez, readyz, startupz, and health for All.
func (p Probe) String() string {
	switch p {
	case Live:
		return "livez"
	case Ready:
		return "readyz"
	case Startup:
		return "startupz"
	case All:
		return "health"
	}
	return fmt.Sprintf("probe(%d)", uint8(p))
}

// Result is what a check has found out.
type Result struct {
	Level Level
	// Message says in words what is the matter, to everyone who asks; of more than 1 KiB the rest is cut off.
	Message string
	// Err is why, in words that are not for everyone, such as a driver's with addresses in them: it is logged when the
	// level changes, and is in no report.
	Err error
	// Details are figures, with units in their names. The keys of Entry's JSON are taken. The map must not
	// be changed after it is returned, and should be small: the registry keeps it.
	Details map[string]any
}

// Check is one thing that can be well or not.
type Check struct {
	// Name identifies the check: lower-case letters, digits, '_', '.' and '-', at most 128 of them. Required, unique.
	Name string
	// Probes are those that the check can fail. Default none: it is shown by All only.
	Probes Probe
	// Timeout is when the context of a run ends, and the check counts as down if it has not returned; default 2 s.
	Timeout time.Duration
	// TTL is how old a result may get before a report asks again; default 5 s.
	TTL time.Duration
	// FailAfter is how many results in a row must be Down before readiness goes off, and RecoverAfter how many must not
	// be before it comes back; default 2 each. The first result of all counts at once. Reports for other probes show the
	// last result as it is.
	FailAfter, RecoverAfter int
	// Run finds out. It must return soon after its context ends. It runs on a goroutine of its own and never twice at a
	// time. Required.
	Run func(ctx context.Context) Result
}

// Options are the settings of a Registry. They are read once, by New.
type Options struct {
	// MaxChecks bounds the checks that are registered, and those that were removed and still run; default 100.
	MaxChecks int
	// Logger is told when a check's level changes and when one panics; default: nobody is.
	Logger *slog.Logger
}

// ErrClosed is returned by Add after Close.
var ErrClosed = errors.New("the registry is closed")

// Registry holds checks and the last result of each. It is safe for concurrent use. It asks when a report needs a
// result that is older than its TTL: without reports nothing runs. Each check has at most one goroutine.
type Registry struct {
	options Options
	log     *slog.Logger
	life    context.Context // ends with Close
	end     context.CancelFunc
	work    sync.WaitGroup
	idle    chan struct{} // closed by Close's helper when work is done

	mu           sync.Mutex
	checks       []*check // in the order of Add
	strays       int      // checks that were removed and still run
	started      bool
	shuttingDown bool
	closed       bool
}

// New returns a registry without checks. Close it.
func New(options Options) (*Registry, error) {
	if options.MaxChecks < 0 {
		return nil, fmt.Errorf("health: max checks %d: want 1 or more", options.MaxChecks)
	}
	options.MaxChecks = cmp.Or(options.MaxChecks, defaultMaxChecks)
	options.Logger = cmp.Or(options.Logger, slog.New(slog.DiscardHandler))
	r := &Registry{options: options, log: options.Logger, idle: make(chan struct{})}
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// Add registers a check, or returns an error that lists every mistake in it. The check is first run by the first
// report that needs it. remove takes it out again and does not wait for a run under way; it may be called more than
// once.
func (r *Registry) Add(added Check) (remove func(), err error) {
	if err := added.check(); err != nil {
		return nil, err
	}
	added.Timeout = cmp.Or(added.Timeout, defaultTimeout)
	added.TTL = cmp.Or(added.TTL, defaultTTL)
	added.FailAfter = cmp.Or(added.FailAfter, defaultFailAfter)
	added.RecoverAfter = cmp.Or(added.RecoverAfter, defaultRecoverAfter)
	c := &check{Check: added}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fmt.Errorf("health: check %q: %w", c.Name, ErrClosed)
	}
	for _, other := range r.checks {
		if other.Name == c.Name {
			return nil, fmt.Errorf("health: check %q: there is one of this name", c.Name)
		}
	}
	if len(r.checks)+r.strays >= r.options.MaxChecks {
		return nil, fmt.Errorf("health: check %q: there are %d checks already, the most there may be", c.Name, r.options.MaxChecks)
	}
	r.checks = append(r.checks, c)
	return func() { r.remove(c) }, nil
}

func (r *Registry) remove(c *check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.checks, c); i >= 0 {
		r.checks = slices.Delete(r.checks, i, i+1)
		c.removed = true
		if c.run != nil {
			r.strays++
		}
	}
}

// check returns every mistake in a check.
func (c Check) check() error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("health: check %.*q: "+format, append([]any{maxName, c.Name}, args...)...))
	}
	if c.Name == "" || len(c.Name) > maxName || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
		mistake("name: want 1 to %d lower-case letters, digits, '_', '.' and '-'", maxName)
	}
	if c.Name == startupEntry || c.Name == shutdownEntry {
		mistake("the name is the registry's own")
	}
	if c.Probes&^(Live|Ready|Startup) != 0 {
		mistake("unknown %s", c.Probes)
	}
	if c.Timeout < 0 {
		mistake("timeout %s: want above 0", c.Timeout)
	}
	if c.TTL < 0 {
		mistake("ttl %s: want above 0", c.TTL)
	}
	if c.FailAfter < 0 || c.RecoverAfter < 0 {
		mistake("fail after %d, recover after %d: want 1 or more", c.FailAfter, c.RecoverAfter)
	}
	if c.Run == nil {
		mistake("no function to run")
	}
	return errors.Join(mistakes...)
}

// MarkStarted says that the program has started: until then the probes Startup and Ready, and All, report it as down.
func (r *Registry) MarkStarted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started = true
}

// SetShuttingDown turns readiness off for good. Reports for Ready and All have the status shutting_down from then on;
// those for Live are ok, because a restart is no answer to a program that ends. No check is run any more.
func (r *Registry) SetShuttingDown() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shuttingDown = true
}

// Close ends the contexts of checks under way and waits for them, but no longer than ctx lasts: then it returns an
// error. Reports go on to work with what is known, and run nothing.
func (r *Registry) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		r.end()
		go func() { r.work.Wait(); close(r.idle) }() // no work is added from here on
	}
	r.mu.Unlock()
	select {
	case <-r.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("health: close: checks still run: %w", context.Cause(ctx))
	}
}
