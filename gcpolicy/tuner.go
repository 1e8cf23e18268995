package gcpolicy

import (
	"fmt"
	"math"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/memstat"
)

// TunerConfig says how GOGC follows the live heap.
type TunerConfig struct {
	// Enabled switches the tuner on; off by default, since GOGC is the program's affair.
	Enabled bool
	// ThresholdRatio is the share of the memory limit, or of the container's, up to which the heap may grow between two
	// collections.
	ThresholdRatio float64
	// MinPercent and MaxPercent clamp GOGC.
	MinPercent, MaxPercent int
	// HysteresisRatio is the relative change of GOGC that is worth making.
	HysteresisRatio float64
	// MinInterval is the time from any change to the next raise. Lowering does not wait: it keeps the heap in bounds.
	MinInterval time.Duration
}

// DefaultTuner lets the heap grow to 70 % of the limit, with GOGC between 50 and 500: the figures of the services that
// have tuned GOGC so in the field. A change of less than 10 % saves less than a collection in ten. A live heap that
// varies within half a minute does not raise GOGC each time.
func DefaultTuner() TunerConfig {
	return TunerConfig{ThresholdRatio: 0.70, MinPercent: 50, MaxPercent: 500, HysteresisRatio: 0.10, MinInterval: 30 * time.Second}
}

// Validate returns every mistake, joined, each a *settings.FieldError.
func (c TunerConfig) Validate() error {
	var m mistakes
	c.check(&m)
	return m.err()
}

func (c TunerConfig) check(m *mistakes) {
	m.share("tuner.threshold_ratio", c.ThresholdRatio)
	m.reject(c.MinPercent < 1, "tuner.min_percent", "%d: want 1 or more", c.MinPercent)
	m.reject(c.MaxPercent < c.MinPercent || c.MaxPercent > math.MaxInt32, "tuner.max_percent", "%d: want at least min_percent (%d)",
		c.MaxPercent, c.MinPercent)
	m.reject(!(c.HysteresisRatio >= 0 && c.HysteresisRatio < 1), "tuner.hysteresis_ratio", "%v: want 0 or more, less than 1", c.HysteresisRatio)
	m.duration("tuner.min_interval_seconds", c.MinInterval)
}

// TunerState is what Tune remembers. The zero value is the beginning.
type TunerState struct {
	percent int       // what it set last; 0: nothing
	changed time.Time // when
}

// TunerDecision is the GOGC that is to be in force.
type TunerDecision struct {
	At time.Time `json:"at"`
	// Percent is GOGC once the decision is applied; 0 where it is off or not known.
	Percent int `json:"gogc_percent,omitzero"`
	// Apply says that Percent is not in force yet: hand it to debug.SetGCPercent.
	Apply bool `json:"apply"`
	// ThresholdBytes is up to where the heap may grow.
	ThresholdBytes memstat.Int `json:"threshold_bytes,omitzero"`
	Reason         string      `json:"reason"`
}

// Tune decides on GOGC: (threshold − live heap) / live heap × 100, clamped, so that a collection begins at about the
// threshold however large the live heap is. The stacks that the runtime adds to its goal are not counted. The caller
// must apply the decision when it says Apply. Tune is pure.
func Tune(state TunerState, cfg TunerConfig, s *memstat.Sample, now time.Time) (TunerState, TunerDecision) {
	d := TunerDecision{At: now, Percent: state.percent}
	gogc, on := s.Go.GOGCPercent.Get()
	if d.Percent == 0 {
		d.Percent = int(gogc)
	}
	limit, limited := lowest(s.Go.MemoryLimitBytes, s.Cgroup.MaxBytes, s.Cgroup.HighBytes)
	live := s.Go.HeapLiveBytes.Or(0)
	switch {
	case !cfg.Enabled:
		d.Reason = "GOGC left alone: the tuner is switched off"
		return state, d
	case !on || d.Percent <= 0:
		d.Reason = "GOGC left alone: it is off, or not known"
		return state, d
	case !limited:
		d.Reason = fmt.Sprintf("GOGC stays at %d: no limit is known", d.Percent)
		return state, d
	case live <= 0:
		d.Reason = fmt.Sprintf("GOGC stays at %d: no live heap is known before the first collection", d.Percent)
		return state, d
	}
	if now.Before(state.changed) {
		state.changed = now // the clock was set back
	}

	threshold := cfg.ThresholdRatio * float64(limit)
	d.ThresholdBytes = memstat.Known(int64(threshold))
	room := math.Round((threshold - float64(live)) / float64(live) * 100)
	want := int(min(max(room, float64(cfg.MinPercent)), float64(cfg.MaxPercent)))
	figures := fmt.Sprintf("%s live, to grow to %s (%s of %s)", bytesize.Format(live), bytesize.Format(int64(threshold)),
		percent(cfg.ThresholdRatio), bytesize.Format(limit))
	wait := cfg.MinInterval - now.Sub(state.changed)
	switch {
	case math.Abs(float64(want-d.Percent)) < max(cfg.HysteresisRatio*float64(d.Percent), 1):
		d.Reason = fmt.Sprintf("GOGC stays at %d: %s would make it %d, too small a change", d.Percent, figures, want)
	case want > d.Percent && state.percent != 0 && wait > 0:
		d.Reason = fmt.Sprintf("GOGC stays at %d for %s: %s would raise it to %d", d.Percent, seconds(wait), figures, want)
	default:
		d.Reason = fmt.Sprintf("GOGC from %d to %d: %s", d.Percent, want, figures)
		d.Percent, d.Apply = want, true
		state.percent, state.changed = want, now
	}
	return state, d
}

// lowest is the lowest of the figures that are known and more than 0.
func lowest(figures ...memstat.Int) (int64, bool) {
	lowest, known := int64(0), false
	for _, figure := range figures {
		if value, ok := figure.Get(); ok && value > 0 && (!known || value < lowest) {
			lowest, known = value, true
		}
	}
	return lowest, known
}
