package gcpolicy

import (
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/limit"
	"github.com/memwarden/memwarden/memstat"
)

// heapUnderLimit is a sample of a heap with a live part and a goal, in MiB, under a memory limit.
func heapUnderLimit(live, goal int64, cpu float64) *memstat.Sample {
	var s memstat.Sample
	s.Go.HeapLiveBytes, s.Go.HeapGoalBytes, s.Go.MemoryLimitBytes = mebibytes(live), mebibytes(goal), mebibytes(460)
	s.Go.GCCPURatio, s.Go.GCCycles, s.Go.GOGCPercent = memstat.Known(cpu), memstat.Known(int64(100)), memstat.Known(int64(100))
	return &s
}

func limiterAt(s *memstat.Sample, last, newest int64) *memstat.Sample {
	s.Go.GCLimiterLastCycle, s.Go.GCCycles = memstat.Known(last), memstat.Known(newest)
	return s
}

var ours = limit.Decision{Source: limit.SourceDerived, LimitBytes: 460 * mib, WantedBytes: 460 * mib, CeilingBytes: 496 * mib}

// relief decides on samples, one a second.
type relief struct {
	t     *testing.T
	cfg   ReliefConfig
	state ReliefState
	in    limit.Decision
	now   time.Time
	last  ReliefDecision
}

func newRelief(t *testing.T) *relief {
	return &relief{t: t, cfg: DefaultRelief(), in: ours, now: epoch}
}

func (r *relief) see(s *memstat.Sample) ReliefDecision {
	r.state, r.last = Relieve(r.state, r.cfg, s, r.in, r.now)
	r.now = r.now.Add(time.Second)
	return r.last
}

func (r *relief) want(spiral, relieve bool, reason string, s *memstat.Sample) {
	r.t.Helper()
	if d := r.see(s); d.Spiral != spiral || d.Relieve != relieve || !strings.Contains(d.Reason, reason) {
		r.t.Errorf("spiral %v, relieve %v: %s\nwant %v, %v, …%s…", d.Spiral, d.Relieve, d.Reason, spiral, relieve, reason)
	}
}

func TestReliefBySqueezedHeap(t *testing.T) {
	r := newRelief(t)
	squeezed := heapUnderLimit(440, 450, 0.2)
	r.want(false, false, "no death spiral: the effective GOGC is 100.0 and the collector takes 2 % of the CPU", heapUnderLimit(200, 400, 0.02))
	r.want(false, false, "the effective GOGC of 2.3, with the collector at 20 % of the CPU, has lasted 0s", squeezed)
	r.want(false, false, "has lasted 1s", squeezed)
	r.want(false, false, "", heapUnderLimit(200, 400, 0.2)) // a break: the dwell begins anew
	for range 3 {
		r.want(false, false, "has lasted", squeezed)
	}
	r.want(true, true, "death spiral, limit to be raised to 110 % for 1m0s: for 3s the memory limit has left an effective GOGC below 10 (now 2.3), "+
		"and the collector takes 20 % of the CPU", squeezed)
	if d := r.last; d.Factor != 1.1 || !d.Until.Equal(d.At.Add(time.Minute)) || d.SpiralsTotal != 1 || d.ReliefsTotal != 1 || d.ImpossibleTotal != 0 {
		t.Errorf("%+v", d)
	}
	for range 59 {
		r.want(true, false, "death spiral in spite of the relief that began", squeezed)
	}
	for range 540 {
		r.want(true, false, "death spiral, the next relief may begin in", squeezed)
	}
	r.want(true, true, "limit to be raised", squeezed)
	if d := r.last; d.SpiralsTotal != 1 || d.ReliefsTotal != 2 {
		t.Errorf("one long spiral, two reliefs: %+v", d)
	}
}

func TestNoReliefWithoutASpiral(t *testing.T) {
	for name, test := range map[string]struct {
		sample *memstat.Sample
		reason string
	}{
		"collector at rest":   {heapUnderLimit(440, 450, 0.09), "takes 9 % of the CPU"},
		"room to grow":        {heapUnderLimit(400, 440, 0.9), "the effective GOGC is 10.0"},
		"goal below the live": {heapUnderLimit(450, 440, 0.05), "the effective GOGC is 0.0"},
		"chosen by the program": {func() *memstat.Sample {
			s := heapUnderLimit(100, 105, 0.9)
			s.Go.GOGCPercent = memstat.Known(int64(5))
			return s
		}(), "the effective GOGC is 5.0"},
		"no limit": {func() *memstat.Sample {
			s := limiterAt(heapUnderLimit(440, 450, 0.9), 100, 100)
			s.Go.MemoryLimitBytes = memstat.Int{}
			return s
		}(), "no memory limit is in force"},
		"nothing known":  {&memstat.Sample{}, "no memory limit is in force"},
		"no heap known":  {func() *memstat.Sample { s := heapUnderLimit(0, 450, 0.9); return s }(), "is not known"},
		"limiter of old": {limiterAt(heapUnderLimit(200, 400, 0.02), 90, 100), "the effective GOGC is 100.0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelief(t)
			for range 10 {
				r.want(false, false, test.reason, test.sample)
			}
		})
	}
}

func TestReliefWhereGOGCIsOff(t *testing.T) {
	r := newRelief(t)
	s := heapUnderLimit(440, 450, 0.5)
	s.Go.GOGCPercent = memstat.Int{}
	for range 3 {
		r.want(false, false, "", s)
	}
	r.want(true, true, "effective GOGC below 10", s)
}

func TestReliefByLimiter(t *testing.T) {
	r := newRelief(t)
	calm := func(last, newest int64) *memstat.Sample {
		return limiterAt(heapUnderLimit(200, 400, 0.02), last, newest)
	}
	r.want(false, false, "", calm(90, 100))
	r.want(true, true, "the collector's CPU limiter was active in collection 130", calm(130, 160))
	r.want(false, false, "", calm(130, 161))
	r.want(true, false, "in spite of the relief", calm(170, 170))
	if r.last.SpiralsTotal != 1 {
		t.Errorf("%d spirals within 3 s", r.last.SpiralsTotal)
	}
	r.now = r.now.Add(30 * time.Second)
	r.want(true, false, "in spite of the relief", calm(180, 180))
	if r.last.SpiralsTotal != 2 {
		t.Errorf("%d spirals, the second 30 s later", r.last.SpiralsTotal)
	}
	r = newRelief(t)
	r.want(true, true, "collection 101", calm(101, 100)) // under way when the first sample is taken
	r = newRelief(t)
	never := heapUnderLimit(200, 400, 0.02)
	r.want(false, false, "", never)
	r.want(true, true, "collection 105", calm(105, 140)) // for the first time
}

func TestReliefImpossible(t *testing.T) {
	squeezed := heapUnderLimit(440, 450, 0.5)
	for name, test := range map[string]struct {
		in     limit.Decision
		reason string
	}{
		"explicit": {limit.Decision{Source: limit.SourceExplicit, Reason: "left alone: GOMEMLIMIT=460MiB is set in the environment"},
			"the memory limit is not ours to raise: left alone: GOMEMLIMIT=460MiB is set in the environment"},
		"no room": {limit.Decision{Source: limit.SourceDerived, WantedBytes: 500 * mib, CeilingBytes: 500 * mib, Reason: "limit 500.0 MiB: 98 %"},
			"there is no room to raise it: limit 500.0 MiB: 98 %"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelief(t)
			r.in = test.in
			for range 3 {
				r.see(squeezed)
			}
			for range 20 {
				r.want(true, false, test.reason, squeezed)
			}
			if d := r.last; d.SpiralsTotal != 1 || d.ImpossibleTotal != 1 || d.ReliefsTotal != 0 {
				t.Errorf("%+v", d)
			}
			r.in = ours // as soon as it becomes possible it is given
			r.want(true, true, "limit to be raised", squeezed)
		})
	}
	r := newRelief(t)
	r.cfg.Enabled = false
	for range 3 {
		r.see(squeezed)
	}
	r.want(true, false, "relief is switched off", squeezed)
}

func TestReliefClockSetBack(t *testing.T) {
	r := newRelief(t)
	squeezed := heapUnderLimit(440, 450, 0.5)
	for range 4 {
		r.see(squeezed)
	}
	if !r.last.Relieve {
		t.Fatal(r.last.Reason)
	}
	r.now = r.now.Add(-24 * time.Hour)
	reliefs := 0
	for range 900 {
		if r.see(squeezed).Relieve {
			reliefs++
		}
	}
	if reliefs != 1 { // after one cooldown, not after a day
		t.Errorf("%d reliefs in 15 minutes after the clock was set back", reliefs)
	}
}
