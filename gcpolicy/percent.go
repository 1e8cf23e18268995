package gcpolicy

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/memwarden/memwarden/memstat"
)

// runtimePercent is the runtime's GOGC where the environment sets none.
const runtimePercent = 100

// PercentOptions are what a Percent begins with.
type PercentOptions struct {
	Config TunerConfig // validated by NewPercent
	// ExplicitEnv is the value of GOGC in the environment; empty where it is not set.
	ExplicitEnv string
	// SetGCPercent sets GOGC and returns the one before. Default debug.SetGCPercent.
	SetGCPercent func(percent int) int
}

// Percent owns GOGC and applies what Tune decides. A GOGC in the environment, and one that the program sets by
// debug.SetGCPercent, stay for good. There should be one in a process. It starts no goroutine; its methods are safe for
// concurrent use.
type Percent struct {
	set func(int) int

	mu       sync.Mutex
	cfg      TunerConfig
	state    TunerState
	foreign  string // why GOGC is not ours; empty: it is
	expected int    // in force, unless the program has changed it
	decision TunerDecision
	closed   bool
}

// NewPercent returns a Percent that has changed nothing yet.
func NewPercent(options PercentOptions) (*Percent, error) {
	if err := options.Config.Validate(); err != nil {
		return nil, fmt.Errorf("gcpolicy: GOGC: %w", err)
	}
	p := &Percent{set: options.SetGCPercent, cfg: options.Config, expected: runtimePercent}
	if p.set == nil {
		p.set = debug.SetGCPercent
	}
	if options.ExplicitEnv != "" {
		p.foreign = fmt.Sprintf("GOGC=%s is set in the environment", options.ExplicitEnv)
	}
	p.decision.Reason = "GOGC left alone: no sample was seen yet"
	return p, nil
}

// Update decides by a sample, which must not be nil, and applies the decision.
func (p *Percent) Update(s *memstat.Sample, now time.Time) TunerDecision {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return p.decision
	}
	if p.foreign == "" && !p.cfg.Enabled {
		p.restore()
	}
	if p.foreign == "" {
		p.state, p.decision = Tune(p.state, p.cfg, s, now)
		if p.decision.Apply {
			p.swap(p.decision.Percent)
		}
	}
	if p.foreign != "" {
		gogc := s.Go.GOGCPercent.Or(0)
		p.decision = TunerDecision{At: now, Percent: int(gogc), Reason: "GOGC left alone: " + p.foreign}
	}
	return p.decision
}

// SetConfig replaces the configuration, from the next Update on. An error leaves the old one in place.
func (p *Percent) SetConfig(cfg TunerConfig) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("gcpolicy: GOGC: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg = cfg
	return nil
}

// Decision returns the last decision.
func (p *Percent) Decision() TunerDecision {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.decision
}

// Close puts the runtime's own GOGC back, unless the program has set one since, and ends the Percent: what is called
// later changes nothing.
func (p *Percent) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	if p.foreign == "" {
		p.restore()
	}
	p.decision.Apply, p.decision.Reason = false, "GOGC left alone: tuning has ended"
	if p.foreign == "" {
		p.decision.Percent = p.expected
	}
}

// restore puts the runtime's GOGC back where Tune has set another.
func (p *Percent) restore() {
	if p.state.percent != 0 && p.swap(runtimePercent) {
		p.state = TunerState{}
	}
}

// swap sets GOGC where the one expected is still in force. Otherwise the program has set one: it goes back in its
// place, and stays from now on.
func (p *Percent) swap(percent int) bool {
	previous := p.set(percent)
	if previous != p.expected {
		p.set(previous)
		p.foreign = "the program has set it by debug.SetGCPercent"
		return false
	}
	p.expected = percent
	return true
}
