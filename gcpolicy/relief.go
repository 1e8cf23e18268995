package gcpolicy

import (
	"fmt"
	"time"

	"github.com/memwarden/memwarden/limit"
	"github.com/memwarden/memwarden/memstat"
)

// ReliefConfig says what a death spiral is and how it is relieved.
type ReliefConfig struct {
	Enabled bool
	// Factor is by how much the memory limit is raised, within what limit.Decide allows, and Duration for how long.
	Factor   float64
	Duration time.Duration
	// Cooldown is the time from the beginning of one relief to that of the next: a program that lives beyond its limit
	// must not have the higher one for good.
	Cooldown time.Duration
	// MaxEffectivePercent and MinGCCPURatio together are a spiral, once they have held for Dwell: the heap may grow by
	// less than so many percent between two collections because of the memory limit (the effective GOGC), and the
	// collector takes at least such a share of the available CPU.
	MaxEffectivePercent float64
	MinGCCPURatio       float64
	Dwell               time.Duration
}

// DefaultRelief raises the limit to 110 % for a minute, as databases that manage their own memory do, and not again
// within ten. An effective GOGC below 10 costs ten times the collections of the default of 100.
//
// Measured with one allocating goroutine and a live heap without pointers on two CPUs: under a limit that left an
// effective GOGC of 0 to 4 the collector took 11 to 27 % of the CPU, under an effective GOGC of 100 it took 3 to 6 %. A
// tenth is between the two. The runtime's own CPU limiter, which begins at 50 %, was not active in any of these runs.
// Single collections show any effective GOGC, since what is allocated during one counts as live: hence the dwell of 3 s.
func DefaultRelief() ReliefConfig {
	return ReliefConfig{
		Enabled: true, Factor: 1.10, Duration: time.Minute, Cooldown: 10 * time.Minute,
		MaxEffectivePercent: 10, MinGCCPURatio: 0.10, Dwell: 3 * time.Second,
	}
}

// Validate returns every mistake, joined, each a *settings.FieldError.
func (c ReliefConfig) Validate() error {
	var m mistakes
	c.check(&m)
	return m.err()
}

func (c ReliefConfig) check(m *mistakes) {
	m.reject(!(c.Factor > 1 && c.Factor <= 2), "relief.factor_ratio", "%v: want more than 1, at most 2", c.Factor)
	m.duration("relief.duration_seconds", c.Duration)
	m.reject(c.Cooldown < c.Duration, "relief.cooldown_seconds", "%v: want at least duration_seconds (%v)",
		c.Cooldown.Seconds(), c.Duration.Seconds())
	m.reject(!(c.MaxEffectivePercent > 0 && c.MaxEffectivePercent <= 100), "relief.max_effective_percent",
		"%v: want more than 0, at most 100", c.MaxEffectivePercent)
	m.share("relief.min_gc_cpu_ratio", c.MinGCCPURatio)
	m.reject(c.Dwell < 0, "relief.dwell_seconds", "%v: want 0 or more", c.Dwell.Seconds())
}

// spellGap separates two spirals: evidence that comes again sooner belongs to the same one. It is as long as package
// pressure holds the limiter against the process.
const spellGap = 10 * time.Second

// ReliefState is what Relieve remembers. The zero value is the beginning.
type ReliefState struct {
	limiter      int64 // collection in which the CPU limiter was last active
	started      bool
	squeezed     time.Time // since when the heap has been squeezed without a break; zero: it is not
	spiral       time.Time // when there was evidence last; zero: never
	relieved     time.Time // when the last relief began; zero: none did
	spirals      int64
	reliefs      int64
	unrelievable int64
}

// ReliefDecision says whether the collector is in a death spiral and whether the limit is to be raised.
type ReliefDecision struct {
	At     time.Time `json:"at"`
	Spiral bool      `json:"spiral"`
	// Relieve asks for limit.Owner.Relieve(Factor, Until).
	Relieve bool      `json:"relieve"`
	Factor  float64   `json:"factor_ratio,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	// EffectivePercent is (heap goal / live heap − 1) × 100: GOGC with the memory limit taken into account.
	EffectivePercent memstat.Float `json:"effective_gogc_percent,omitzero"`
	GCCPURatio       memstat.Float `json:"gc_cpu_ratio,omitzero"`
	SpiralsTotal     int64         `json:"spirals_total"`
	ReliefsTotal     int64         `json:"reliefs_total"`
	ImpossibleTotal  int64         `json:"reliefs_impossible_total"` // spirals in which the limit was not ours to raise
	Reason           string        `json:"reason"`
}

// Relieve looks for a death spiral in a sample, which must not be nil, and decides whether the limit in force is to be
// raised: at most once in a cooldown, and only where the limit is derived, so ours. The evidence is that the runtime's
// collector CPU limiter has been active since the last sample, or a squeezed heap (see ReliefConfig). Without a memory
// limit there is no spiral. Relieve is pure.
func Relieve(state ReliefState, cfg ReliefConfig, s *memstat.Sample, in limit.Decision, now time.Time) (ReliefState, ReliefDecision) {
	d := ReliefDecision{At: now, EffectivePercent: effectivePercent(&s.Go), GCCPURatio: s.Go.GCCPURatio}
	for _, t := range []*time.Time{&state.squeezed, &state.spiral, &state.relieved} {
		if t.After(now) {
			*t = now // the clock was set back
		}
	}
	evidence := state.observe(cfg, s, &d, now)
	d.Spiral = evidence != ""
	if d.Spiral {
		begins := state.spiral.IsZero() || now.Sub(state.spiral) >= spellGap
		state.spiral = now
		state.answer(cfg, in, &d, evidence, begins)
	} else {
		d.Reason = "no death spiral: " + state.calm(s, &d)
	}
	d.SpiralsTotal, d.ReliefsTotal, d.ImpossibleTotal = state.spirals, state.reliefs, state.unrelievable
	return state, d
}

// observe returns the evidence of a spiral, or nothing.
func (r *ReliefState) observe(cfg ReliefConfig, s *memstat.Sample, d *ReliefDecision, now time.Time) string {
	newest, counted := s.Go.GCCycles.Get()
	if !counted {
		r.squeezed = time.Time{}
		return ""
	}
	active := s.Go.GCLimiterLastCycle.Or(0)
	limiting := active > r.limiter && (r.started || active >= newest)
	r.limiter, r.started = active, true

	_, limited := s.Go.MemoryLimitBytes.Get()
	effective, known := d.EffectivePercent.Get()
	squeezed := limited && known && effective < squeezePercent(cfg, &s.Go) && d.GCCPURatio.Or(0) >= cfg.MinGCCPURatio
	switch {
	case !squeezed:
		r.squeezed = time.Time{}
	case r.squeezed.IsZero():
		r.squeezed = now
	}
	switch {
	case limited && limiting:
		return fmt.Sprintf("the collector's CPU limiter was active in collection %d", active)
	case squeezed && now.Sub(r.squeezed) >= cfg.Dwell:
		return fmt.Sprintf("for %s the memory limit has left an effective GOGC below %.0f (now %.1f), and the collector takes %s of the CPU",
			seconds(now.Sub(r.squeezed)), squeezePercent(cfg, &s.Go), effective, percent(d.GCCPURatio.Or(0)))
	}
	return ""
}

// squeezePercent is the effective GOGC below which the limit squeezes the heap. A program that has chosen a small GOGC
// is not squeezed by what it chose.
func squeezePercent(cfg ReliefConfig, g *memstat.Go) float64 {
	if chosen, ok := g.GOGCPercent.Get(); ok {
		return min(cfg.MaxEffectivePercent, float64(chosen)/2)
	}
	return cfg.MaxEffectivePercent
}

// answer decides what is done about a spiral.
func (r *ReliefState) answer(cfg ReliefConfig, in limit.Decision, d *ReliefDecision, evidence string, begins bool) {
	if begins {
		r.spirals++
	}
	since := d.At.Sub(r.relieved)
	impossible := ""
	switch {
	case !in.Ours():
		impossible = "the memory limit is not ours to raise: " + in.Reason
	case in.CeilingBytes <= in.WantedBytes:
		impossible = "there is no room to raise it: " + in.Reason
	}
	switch {
	case !cfg.Enabled:
		d.Reason = "death spiral, relief is switched off: " + evidence
	case impossible != "":
		if begins {
			r.unrelievable++
		}
		d.Reason = fmt.Sprintf("death spiral, relief is impossible: %s; %s", evidence, impossible)
	case !r.relieved.IsZero() && since < cfg.Duration:
		d.Reason = fmt.Sprintf("death spiral in spite of the relief that began %s ago: %s", seconds(since), evidence)
	case !r.relieved.IsZero() && since < cfg.Cooldown:
		d.Reason = fmt.Sprintf("death spiral, the next relief may begin in %s: %s", seconds(cfg.Cooldown-since), evidence)
	default:
		r.relieved, r.reliefs = d.At, r.reliefs+1
		d.Relieve, d.Factor, d.Until = true, cfg.Factor, d.At.Add(cfg.Duration)
		d.Reason = fmt.Sprintf("death spiral, limit to be raised to %s for %s: %s", percent(cfg.Factor), cfg.Duration, evidence)
	}
}

// calm says why there is no spiral.
func (r *ReliefState) calm(s *memstat.Sample, d *ReliefDecision) string {
	_, limited := s.Go.MemoryLimitBytes.Get()
	effective, known := d.EffectivePercent.Get()
	cpu, measured := d.GCCPURatio.Get()
	switch {
	case !limited:
		return "no memory limit is in force"
	case !known || !measured:
		return "the heap goal, the live heap or the collector's CPU share is not known"
	case !r.squeezed.IsZero():
		return fmt.Sprintf("the effective GOGC of %.1f, with the collector at %s of the CPU, has lasted %s", effective,
			percent(cpu), seconds(d.At.Sub(r.squeezed)))
	default:
		return fmt.Sprintf("the effective GOGC is %.1f and the collector takes %s of the CPU", effective, percent(cpu))
	}
}

// effectivePercent is the growth of the heap between two collections.
func effectivePercent(g *memstat.Go) memstat.Float {
	goal, haveGoal := g.HeapGoalBytes.Get()
	live, haveLive := g.HeapLiveBytes.Get()
	if !haveGoal || !haveLive || live <= 0 {
		return memstat.Float{}
	}
	return memstat.Known(max(float64(goal)/float64(live)-1, 0) * 100)
}
