package limit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/memwarden/memwarden/bytesize"
)

// Input is what is known at one moment.
type Input struct {
	// ContainerBytes is the strictest limit of the container; it counts only where HasContainer says that there is one.
	ContainerBytes int64
	HasContainer   bool
	// ExplicitEnv is the value of GOMEMLIMIT in the environment; empty where it is not set.
	ExplicitEnv string
	// Derived says that a launcher derived ExplicitEnv from the container, so that it is managed further.
	Derived bool
	// CurrentBytes is the limit in force, debug.SetMemoryLimit(-1); None where there is none.
	CurrentBytes int64
}

// State is what Decide remembers from one call to the next. The zero value is the beginning.
type State struct {
	started  bool
	original int64 // in force before the first decision
	expected int64 // in force now, unless the program has changed it
	ours     bool  // expected was derived here
	program  bool  // the program has set a limit of its own; for good

	container     int64     // the container's last limit; 0: none was seen
	containerSeen time.Time // when it was seen last

	relief struct {
		factor      float64
		from, until time.Time // active at from ≤ now < until: a clock set back ends it
	}
}

// Relieve asks for a limit raised by a factor from now to until; a factor of 1 or less, or a time that has passed,
// ends a relief. The decisions that follow apply it, within the bound that Decide states.
func Relieve(state State, factor float64, now, until time.Time) State {
	state.relief.factor, state.relief.from, state.relief.until = factor, now, until
	return state
}

// relieved reports whether a relief is active.
func (s *State) relieved(now time.Time) bool {
	return s.relief.factor > 1 && !now.Before(s.relief.from) && now.Before(s.relief.until)
}

// Decision is the limit that is to be in force, who decided on it, and why.
type Decision struct {
	At     time.Time `json:"at"`
	Source Source    `json:"source"`
	// LimitBytes is in force once the decision is applied; None (absent in JSON) where there is no limit.
	LimitBytes int64 `json:"limit_bytes"`
	// BasisBytes is the container's limit, or the override, that the limit is derived from; 0 where it is not.
	BasisBytes int64 `json:"basis_bytes,omitzero"`
	// WantedBytes is the derived limit without relief, and CeilingBytes the highest that relief may make of it.
	WantedBytes  int64 `json:"wanted_bytes,omitzero"`
	CeilingBytes int64 `json:"ceiling_bytes,omitzero"`
	// ReliefUntil is when an active relief ends.
	ReliefUntil time.Time `json:"relief_until,omitzero"`
	// Apply says that LimitBytes is not in force yet: hand it to debug.SetMemoryLimit.
	Apply bool `json:"apply"`
	// Reason is one sentence with figures.
	Reason string `json:"reason"`
}

// Ours reports whether the limit in force is derived, and so may be relieved.
func (d Decision) Ours() bool { return d.Source == SourceDerived || d.Source == SourceOverride }

// MarshalJSON leaves limit_bytes out where there is no limit.
func (d Decision) MarshalJSON() ([]byte, error) {
	type plain Decision
	shadow := struct {
		plain
		LimitBytes *int64 `json:"limit_bytes,omitempty"`
	}{plain: plain(d)}
	if d.LimitBytes != None {
		shadow.LimitBytes = &d.LimitBytes
	}
	return json.Marshal(shadow)
}

// Decide returns the limit that is to be in force: Ratio × (container − reserve), where that is ours to set. Relief
// raises it, but not above 97 % of (container − reserve). The caller must apply the decision when it says Apply: the
// next one takes any other limit for the program's.
//
// A container's limit that is absent is given up after 10 s; a limit that leaves Go less than its smallest heap of
// 4 MiB is refused. Decide is pure.
func Decide(state State, cfg Config, in Input, now time.Time) (State, Decision) {
	state.observe(in, now)
	d := Decision{At: now, LimitBytes: in.CurrentBytes}
	switch {
	case state.program:
		d.Source = SourceProgram
		d.Reason = fmt.Sprintf("left alone: the program has set the limit to %s by debug.SetMemoryLimit", format(in.CurrentBytes))
	case in.ExplicitEnv != "" && !in.Derived:
		d.Source = SourceExplicit
		d.Reason = fmt.Sprintf("left alone: GOMEMLIMIT=%s is set in the environment", in.ExplicitEnv)
	case !cfg.Manage:
		d.Source = SourceDisabled
		state.release(&d, state.original, "managing the limit is switched off")
	default:
		state.derive(&d, cfg, in, now)
	}
	return state, d
}

// observe notes what the input tells of the program and the container.
func (s *State) observe(in Input, now time.Time) {
	if !s.started {
		s.started, s.original, s.expected = true, in.CurrentBytes, in.CurrentBytes
		// The runtime began with the environment's limit. Any other was set by the program since.
		atStart, ok := parse(in.ExplicitEnv)
		s.program = ok && in.CurrentBytes != atStart
	}
	if in.CurrentBytes != s.expected {
		s.program, s.ours, s.expected = true, false, in.CurrentBytes
	}
	switch {
	case in.HasContainer:
		s.container, s.containerSeen = max(in.ContainerBytes, 1), now // a limit of 0 is a limit
	case now.Before(s.containerSeen):
		s.containerSeen = now // the clock was set back
	case now.Sub(s.containerSeen) >= absenceDwell:
		s.container = 0
	}
}

// release goes back to a limit that is not derived here.
func (s *State) release(d *Decision, limit int64, why string) {
	if !s.ours {
		d.Reason = "no limit: " + why
		if d.LimitBytes != None {
			d.Reason = fmt.Sprintf("limit left at %s: %s", format(d.LimitBytes), why)
		}
		return
	}
	s.ours, s.expected = false, limit
	d.Apply, d.LimitBytes = d.LimitBytes != limit, limit
	d.Reason = fmt.Sprintf("limit put back to %s: %s", format(limit), why)
}

// derive decides where the limit is ours to set.
func (s *State) derive(d *Decision, cfg Config, in Input, now time.Time) {
	what := "the container's"
	d.Source, d.BasisBytes = SourceDerived, s.container
	if d.BasisBytes == 0 {
		what = "the configured"
		d.Source, d.BasisBytes = SourceOverride, cfg.BytesOverride
	}
	if d.BasisBytes == 0 {
		d.Source = SourceNone
		limit := s.original
		if in.Derived {
			limit = None // the launcher's limit came from the container too
		}
		s.release(d, limit, "the container has no limit and none is configured")
		return
	}

	usable := d.BasisBytes - cfg.ReserveBytes
	basis := fmt.Sprintf("%s %s", what, bytesize.Format(d.BasisBytes))
	if cfg.ReserveBytes > 0 {
		basis = fmt.Sprintf("%s (%s %s less a reserve of %s)", bytesize.Format(max(usable, 0)), what,
			bytesize.Format(d.BasisBytes), bytesize.Format(cfg.ReserveBytes))
	}
	wanted := scale(usable, cfg.Ratio)
	if wanted < minBytes {
		d.Source = SourceRefused
		d.Reason = fmt.Sprintf("limit left at %s: refused to set it to %s of %s, as Go needs at least %s",
			format(d.LimitBytes), percent(cfg.Ratio), basis, bytesize.Format(minBytes))
		return
	}

	d.WantedBytes, d.CeilingBytes = wanted, max(wanted, scale(usable, maxReliefRatio))
	limit := wanted
	d.Reason = fmt.Sprintf("limit %s: %s of %s", bytesize.Format(wanted), percent(cfg.Ratio), basis)
	if s.relieved(now) && d.CeilingBytes > wanted {
		limit = min(scale(wanted, s.relief.factor), d.CeilingBytes)
		d.ReliefUntil = s.relief.until
		d.Reason = fmt.Sprintf("limit raised to %s for another %s: relief of %s, which is %s of %s", bytesize.Format(limit),
			s.relief.until.Sub(now).Round(time.Second), bytesize.Format(wanted), percent(cfg.Ratio), basis)
	}
	if s.container != 0 && !in.HasContainer {
		d.Reason += fmt.Sprintf(", which was last seen %s ago", now.Sub(s.containerSeen).Round(time.Second))
	}
	s.ours, s.expected = true, limit
	d.Apply, d.LimitBytes = limit != in.CurrentBytes, limit
}

func format(limit int64) string {
	if limit == None {
		return "none"
	}
	return bytesize.Format(limit)
}

func percent(ratio float64) string { return strconv.FormatFloat(ratio*100, 'g', 4, 64) + " %" }
