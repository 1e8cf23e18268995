// Package pressure judges how close a process is to its memory limits, and says why.
//
// It knows samples of package memstat and thresholds. It does not read anything, does not act, and does not own the Go
// memory limit: package limit does. The facade stands above: it calls Next with each sample and hands the decisions to
// gcpolicy, cleanup and whoever listens.
//
// A level is judged from uses held against limits (see SignalName); the strongest counts. Corroboration raises it by
// one: tasks that are stalled on memory (PSI) for a tenth of the time where use is elevated already, and use that has
// been at the container's limit within 10 s with no page cache to trim. The collector's CPU limiter, active within 10 s
// under a Go memory limit, makes it at least high. The level in force follows what is seen with hysteresis and dwell,
// so that it does not flap.
package pressure

import (
	"time"

	"github.com/memwarden/memwarden/memstat"
)

const (
	// stallRatio is the share of time with some task stalled on memory that counts as evidence: a tenth is chosen, not
	// measured, so that short stalls do not count. It only raises a level that use has reached.
	stallRatio = 0.10
	// evidenceHold is how long a counter that went up remains evidence: as long as the kernel's avg10 looks back.
	evidenceHold = 10 * time.Second
	// cacheRatio is the share of the limit in page cache that the kernel can take back at once, from which on an event
	// at the limit is that cache being trimmed, which is no trouble.
	cacheRatio = 0.05
)

// State is what Next remembers from one sample to the next. The zero value is the beginning.
//
// Invariant: no time in it is after at.
type State struct {
	at              time.Time // of the last call
	since           time.Time // when level was taken
	level, previous Level
	// marks holds, for each level above the one in force, since when it has been seen without a break; for the others,
	// since when they have not been seen, hysteresis included. Zero: not at present.
	marks [Critical + 1]time.Time
	// held is since when the level in force has been seen without a break; zero: not at present.
	held    time.Time
	events  [maxGroups]atLimit
	limiter counter // collection in which the collector's CPU limiter was last active
}

// atLimit counts the times that a group's use was at its limit.
type atLimit struct {
	parent string // which group's, as in group
	counter
}

// lately notes a group's events, and reports whether there were any within evidenceHold.
func (a *atLimit) lately(g *group, now time.Time) bool {
	if g.judged() && a.parent != g.parent {
		*a = atLimit{parent: g.parent} // what was counted before was another group's
	}
	if rise := a.observe(g.events, g.counted); rise > 0 && g.judged() && !g.trimmed() {
		a.rose = now
	}
	return g.judged() && a.recent(now)
}

// counter notices when a figure goes up.
type counter struct {
	value int64
	known bool
	rose  time.Time // zero: not yet
}

// observe takes a reading and returns by how much it went up. One that is absent changes nothing; one that went down is
// another counter.
func (c *counter) observe(value int64, ok bool) int64 {
	if !ok {
		return 0
	}
	rise := int64(0)
	if c.known {
		rise = max(value-c.value, 0)
	}
	c.value, c.known = value, true
	return rise
}

func (c *counter) recent(now time.Time) bool {
	return !c.rose.IsZero() && now.Sub(c.rose) < evidenceHold
}

// evidence corroborates the signals of a decision. It never speaks without them beyond Elevated, but for the limiter:
// that is the runtime's own word that a memory limit makes it collect without end.
type evidence struct {
	stall   float64 // share of time with a task stalled on memory
	stalled bool    // it counts: raises by one level what is at least Elevated
	events  bool    // use was at a container's limit lately, with no cache to trim: raises by one level
	group   string  // the first such container, if it is a parent group
	limiter bool    // the collector's CPU limiter was active lately, under a memory limit: at least High
	cycle   int64   // in which it was active
}

// Next judges a sample, which must not be nil, and returns the level in force.
//
// A level is taken once it, or a higher one, has been seen for RiseDwell; Critical at once where the container is that
// full with garbage included. A level is left once it has not been seen, hysteresis included, for FallDwell; the level
// then in force is the highest that was seen within FallDwell. Rises and falls may skip levels.
//
// A sample without any signal counts as Normal, but a level in force is left only after FallDwell as always. If now is
// before the last call's, what began after now begins anew.
//
// Next is pure and does not allocate.
func Next(state State, cfg Config, s *memstat.Sample, now time.Time) (State, Decision) {
	state.begin(now)
	d := Decision{At: now, config: cfg}
	judged := groupsOf(&s.Cgroup)
	d.read(s, &judged)
	state.corroborate(&d, s, &judged)
	d.Seen, d.kept = d.judge(0), d.judge(cfg.Hysteresis)
	before := state.level
	state.mark(&d)
	state.move(&d)
	state.mark(&d) // anew for the levels between the old and the new: what their marks mean has changed
	d.Changed = state.level != before
	state.report(&d)
	return state, d
}

// begin sets the state's clock.
func (s *State) begin(now time.Time) {
	switch {
	case s.at.IsZero():
		s.since = now
	case now.Before(s.at): // the clock was set back: what began later begins now
		for _, t := range []*time.Time{&s.since, &s.held, &s.limiter.rose,
			&s.marks[Elevated], &s.marks[High], &s.marks[Critical]} {
			if t.After(now) {
				*t = now
			}
		}
		for i := range s.events {
			if s.events[i].rose.After(now) {
				s.events[i].rose = now
			}
		}
	}
	s.at = now
}

// corroborate notes the evidence of a sample.
func (s *State) corroborate(d *Decision, sample *memstat.Sample, judged *groups) {
	stall, ok := sample.PSI.SomeAvg10Ratio.Get()
	// Under a container's limit the machine's stalls may be the neighbours'.
	ours := d.container() == nil || sample.PSI.Scope == "cgroup"
	d.evidence.stall, d.evidence.stalled = stall, ok && ours && stall >= stallRatio

	for i := range judged {
		if s.events[i].lately(&judged[i], s.at) && !d.evidence.events {
			d.evidence.events, d.evidence.group = true, judged[i].parent
		}
	}

	cycle := sample.Go.GCLimiterLastCycle.Or(0) // absent until it was active for the first time
	newest, counted := sample.Go.GCCycles.Get()
	begins := !s.limiter.known && cycle > 0 && cycle >= newest
	if rise := s.limiter.observe(cycle, counted); rise > 0 || counted && begins {
		s.limiter.rose = s.at
	}
	_, limited := sample.Go.MemoryLimitBytes.Get()
	d.evidence.limiter, d.evidence.cycle = limited && s.limiter.recent(s.at), s.limiter.value
}

// mark keeps the marks: by what is seen for the levels above the one in force, by what is kept for the others.
func (s *State) mark(d *Decision) {
	for level := Elevated; level <= Critical; level++ {
		running := d.Seen >= level
		if level <= s.level {
			running = d.kept < level
		}
		start(&s.marks[level], running, s.at)
	}
	start(&s.held, d.Seen >= s.level, s.at)
}

// start notes when something began that may be running already, or that it is not running.
func start(t *time.Time, running bool, now time.Time) {
	switch {
	case !running:
		*t = time.Time{}
	case t.IsZero():
		*t = now
	}
}

// move changes the level in force where a dwell is over.
func (s *State) move(d *Decision) {
	to := s.level
	for level := Critical; level > s.level; level-- {
		mark := s.marks[level]
		if !mark.IsZero() && (s.at.Sub(mark) >= d.config.RiseDwell || level == Critical && d.urgent()) {
			to = level
			break
		}
	}
	if to == s.level {
		for to > Normal && !s.marks[to].IsZero() && s.at.Sub(s.marks[to]) >= d.config.FallDwell {
			to--
		}
	}
	if to == s.level {
		return
	}
	s.held = time.Time{}
	if to > s.level {
		s.held = s.marks[to]
	}
	s.previous, s.level, s.since = s.level, to, s.at
}

// report tells the decision how things stand.
func (s *State) report(d *Decision) {
	d.Level, d.Previous, d.Since = s.level, s.previous, s.since
	switch {
	case d.Seen > d.Level:
		d.running = s.at.Sub(s.marks[d.Seen])
	case d.Seen == d.Level:
		d.running = s.at.Sub(s.held)
	case d.kept < d.Level:
		d.running = s.at.Sub(s.marks[d.Level])
	}
}
