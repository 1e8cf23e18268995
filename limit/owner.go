package limit

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Options are what an Owner begins with.
type Options struct {
	Config Config // validated by New
	// ExplicitEnv is the value of GOMEMLIMIT in the environment; empty where it is not set.
	ExplicitEnv string
	// Derived is the value of MEMWARDEN_GOMEMLIMIT_DERIVED: "1" where a launcher derived ExplicitEnv from the
	// container, so that the Owner manages it further.
	Derived string
	// SetMemoryLimit sets the limit and returns the one before; a negative limit only asks. Default
	// debug.SetMemoryLimit.
	SetMemoryLimit func(limit int64) int64
}

// Owner applies the decisions to the process. There should be one in a process: each takes the other's limits for the
// program's. It starts no goroutine; its methods are safe for concurrent use and cost about a microsecond.
type Owner struct {
	set func(int64) int64

	mu       sync.Mutex
	cfg      Config
	state    State
	in       Input // of the last Update
	now      time.Time
	decision Decision
	updated  bool
	closed   bool
}

// New returns an Owner that has changed nothing yet: the first Update does.
func New(options Options) (*Owner, error) {
	if err := options.Config.Validate(); err != nil {
		return nil, fmt.Errorf("limit: %w", err)
	}
	o := &Owner{
		cfg: options.Config,
		set: options.SetMemoryLimit,
		in:  Input{ExplicitEnv: options.ExplicitEnv, Derived: options.Derived == "1"},
	}
	if o.set == nil {
		o.set = debug.SetMemoryLimit
	}
	current := o.set(-1)
	o.decision = Decision{Source: SourceNone, LimitBytes: current,
		Reason: fmt.Sprintf("limit %s: nothing is known of the container yet", format(current))}
	return o, nil
}

// Update decides by the container's limit as it was read last (ok is false where there is none) and applies the
// decision. Call it with each sample.
func (o *Owner) Update(containerBytes int64, ok bool, now time.Time) Decision {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.in.ContainerBytes, o.in.HasContainer, o.now, o.updated = containerBytes, ok, now, true
	return o.decide()
}

// Relieve raises the limit by a factor until a time, at once, as far as Decide allows; the Update at that time or
// later ends it. A factor of 1 ends it at once. Where the limit is not ours nothing happens: the decision says so.
func (o *Owner) Relieve(factor float64, until time.Time) Decision {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = Relieve(o.state, factor, o.now, until)
	return o.decide()
}

// SetConfig replaces the configuration and applies it at once. An error leaves the old one in place.
func (o *Owner) SetConfig(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cfg = cfg
	o.decide()
	return nil
}

// Decision returns the last decision.
func (o *Owner) Decision() Decision {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.decision
}

// Close puts the original limit back, unless the program has set one since, and ends the Owner: what is called later
// changes nothing.
func (o *Owner) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.closed = true
	if !o.state.ours {
		return
	}
	why := "the program has set it since"
	if o.swap(o.state.expected, o.state.original) {
		why = "management has ended"
	}
	o.decision = Decision{At: o.now, Source: SourceDisabled, LimitBytes: o.set(-1)}
	o.decision.Reason = fmt.Sprintf("limit %s: %s", format(o.decision.LimitBytes), why)
}

// decide makes and applies a decision; it does nothing before the first Update and after Close.
func (o *Owner) decide() Decision {
	if !o.updated || o.closed {
		return o.decision
	}
	before := o.state
	o.in.CurrentBytes = o.set(-1)
	o.state, o.decision = Decide(before, o.cfg, o.in, o.now)
	if o.decision.Apply && !o.swap(o.in.CurrentBytes, o.decision.LimitBytes) {
		o.in.CurrentBytes = o.set(-1)
		o.state, o.decision = Decide(before, o.cfg, o.in, o.now) // it sees that the limit is the program's now
	}
	return o.decision
}

// swap sets a limit where the old one is still in force. The program may set one at the same moment: then that goes
// back in its place.
func (o *Owner) swap(old, limit int64) bool {
	previous := o.set(limit)
	if previous != old {
		o.set(previous)
	}
	return previous == old
}
