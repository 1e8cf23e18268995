package incident

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const (
	mib   = 1 << 20
	gib   = 1 << 30
	speed = 1e6 // bytes a second, of a MB/s
)

var epoch = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// program is a simulated heap, collected as the Go runtime does it.
type program struct {
	limit float64
	// live is what the program holds at a time, garbage what it allocates and lets go of, a second.
	live    func(at float64) float64
	garbage float64
	pace    float64 // seconds of a step

	at          float64
	marked      float64 // live at the last collection
	waste       float64 // garbage since
	collections int64
}

func (p *program) step() {
	p.at += p.pace
	p.waste += p.garbage * p.pace
	if goal := min(2*max(p.marked, 4*mib), 0.9*p.limit); p.total() >= goal {
		p.marked, p.waste = p.live(p.at), 0
		p.collections++
	}
}

func (p *program) total() float64 { return p.live(p.at) + p.waste }

func (p *program) reading() Reading {
	return Reading{
		At: epoch.Add(time.Duration(p.at * float64(time.Second))), UsedBytes: int64(min(p.marked, p.total())), TotalBytes: int64(p.total()),
		LimitBytes: int64(p.limit), Collections: p.collections,
	}
}

// bundle is one that a simulation led to.
type bundle struct {
	Verdict

	at float64
}

// run reads as a warden does, each second and more often when asked to, until the time is over or the program is killed,
// which takes as long as it takes.
func (p *program) run(trigger *Trigger, seconds float64) (bundles []bundle, died float64) {
	next := 0.0
	for p.at < seconds {
		p.step()
		if p.total() >= p.limit {
			return bundles, p.at
		}
		if p.at < next {
			continue
		}
		r := p.reading()
		v := trigger.Judge(r)
		if v.Extent != Nothing {
			bundles = append(bundles, bundle{v, p.at})
			trigger.Took(v, r.At)
		}
		next = p.at + 1
		if v.Next > 0 {
			next = p.at + v.Next.Seconds()
		}
	}
	return bundles, math.Inf(1)
}

func newTrigger(t *testing.T) *Trigger {
	t.Helper()
	trigger, err := NewTrigger(DefaultRule())
	if err != nil {
		t.Fatal(err)
	}
	return trigger
}

// rising holds base bytes, and after start seconds grows.
func rising(base, start, perSecond float64) func(float64) float64 {
	return func(at float64) float64 { return base + max(0, at-start)*perSecond }
}

// TestLeaksAreSeenInTime: whatever the speed, from nothing or from a full heap, with garbage or without, there is a bundle
// that was begun half a second before the end or earlier, and a late one is not far from it.
func TestLeaksAreSeenInTime(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 20 {
		base, rate := random.Float64()*600*mib, math.Exp(random.Float64()*math.Log(100))*2*speed
		p := &program{limit: gib, pace: 0.01, live: rising(base, 20+random.Float64()*10, rate), garbage: random.Float64() * random.Float64() * 200 * speed}
		p.marked = base
		bundles, died := p.run(newTrigger(t), 4000)
		where := fmt.Sprintf("seed %d, program %d: %.0f MiB and %.1f MB/s, %.1f of garbage", seed, i, base/mib, rate/speed, p.garbage/speed)
		switch {
		case math.IsInf(died, 1):
			t.Fatalf("%s: it does not die", where)
		case len(bundles) == 0:
			t.Errorf("%s: no bundle before the end at %.1f s", where, died)
		case died-bundles[0].at < 0.5:
			t.Errorf("%s: the first bundle comes %.2f s before the end: %+v", where, died-bundles[0].at, bundles)
		case len(bundles) > DefaultRule().MaxPerRamp+1:
			t.Errorf("%s: %d bundles", where, len(bundles))
		}
	}
}

// TestSlowLeaksLeaveRoomForASnapshot: between collections that are minutes apart the growth goes on.
func TestSlowLeaksLeaveRoomForASnapshot(t *testing.T) {
	for _, rate := range []float64{1, 2, 5} {
		p := &program{limit: gib, pace: 0.1, live: rising(50*mib, 0, rate*speed), marked: 50 * mib}
		bundles, died := p.run(newTrigger(t), 4000)
		if math.IsInf(died, 1) || len(bundles) == 0 || bundles[0].Extent != Whole || p.live(bundles[0].at) > 0.83*gib {
			t.Errorf("%v MB/s, dead at %.0f s: %+v", rate, died, bundles)
		}
	}
}

// TestTheHealthyAreLeftAlone: what is collected in time, fills up to a bound or comes and goes leads to no bundle, or where
// the growth cannot be told from a leak to a few, once.
func TestTheHealthyAreLeftAlone(t *testing.T) {
	const day = 3700
	for name, c := range map[string]struct {
		program program
		most    int
	}{
		"steady":          {program{live: rising(400*mib, 0, 0), garbage: 20 * speed}, 0},
		"full of garbage": {program{live: rising(300*mib, 0, 0), garbage: 300 * speed}, 0},
		"a cache fills": {program{live: func(at float64) float64 {
			return 700 * mib * (1 - math.Exp(-at/600))
		}, garbage: 5 * speed}, 0},
		"daily load": {program{live: func(at float64) float64 {
			return 400*mib + 200*mib*math.Sin(at*2*math.Pi/day)
		}, garbage: 10 * speed}, 0},
		// The next three cannot be told from a leak when they begin; that they go on for ever does not add to it.
		"warm-up at once":        {program{live: func(at float64) float64 { return min(at*300*speed, 600*mib) }, garbage: 20 * speed}, 5},
		"much garbage, low room": {program{live: rising(600*mib, 0, 0), garbage: 400 * speed}, 2}, // one an hour
		"steady at nine tenths":  {program{live: rising(890*mib, 0, 0), garbage: 5 * speed}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := c.program
			p.limit, p.pace = gib, 0.1
			p.marked = p.live(0)
			bundles, died := p.run(newTrigger(t), day)
			if !math.IsInf(died, 1) || len(bundles) > c.most {
				t.Errorf("died at %v; %d bundles, want at most %d; the first: %+v", died, len(bundles), c.most, bundles[:min(3, len(bundles))])
			}
		})
	}
}

// judge feeds readings of so many percent used, one each interval, and returns the extents.
func judge(trigger *Trigger, from time.Time, every time.Duration, percents ...float64) (rules []string) {
	for i, percent := range percents {
		used := int64(percent / 100 * gib)
		r := Reading{At: from.Add(time.Duration(i) * every), UsedBytes: used, TotalBytes: used, LimitBytes: gib, Collections: int64(i)}
		v := trigger.Judge(r)
		rule := v.Rule
		if v.Dying {
			rule = "dying"
		} else if v.Extent != Nothing {
			trigger.Took(v, r.At)
			if v.Extent == Smallest {
				rule += " smallest"
			}
		}
		rules = append(rules, rule)
	}
	return rules
}

func TestHighWaterMarks(t *testing.T) {
	const hw = "high_water"
	for name, c := range map[string]struct {
		every    time.Duration
		percents []float64
		want     string
	}{
		"cooldown":             {10 * time.Second, []float64{86, 86.5, 87, 87.5, 88, 88.5, 89.1}, hw + ",,,,,," + hw},
		"override":             {10 * time.Second, []float64{86, 90, 94.7, 94.8}, hw + ",," + hw + ","},
		"step":                 {2 * time.Minute, []float64{86, 87, 88, 89.1, 90, 92.2}, hw + ",,," + hw + ",," + hw},
		"five a ramp":          {2 * time.Minute, []float64{85.1, 88.2, 91.3, 94.4, 96.6, 97.5, 98.9}, strings.Repeat(hw+",", 4) + "," + hw + " smallest,"},
		"dying":                {time.Minute, []float64{10, 99.5}, ",dying"},
		"smallest":             {time.Minute, []float64{10, 98}, "," + hw + " smallest"},
		"a dip is no new ramp": {2 * time.Minute, []float64{86, 60, 86, 60, 86}, hw + ",,,,"},
		"a calm is":            {2 * time.Minute, []float64{86, 60, 60, 60, 60, 86}, hw + ",,,,," + hw},
		"forgotten":            {31 * time.Minute, []float64{86, 86, 86, 86}, hw + ",," + hw + ","},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(judge(newTrigger(t), epoch, c.every, c.percents...), ","); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTriggerSaysWhy(t *testing.T) {
	trigger := newTrigger(t)
	judge(trigger, epoch, time.Second, 30, 45)
	v := trigger.Judge(Reading{At: epoch.Add(2 * time.Second), UsedBytes: 6 * gib / 10, TotalBytes: 6 * gib / 10, LimitBytes: gib, Collections: 3})
	if v.Rule != "growth" || v.Extent != Whole || v.Next < 100*time.Millisecond || v.Next > 200*time.Millisecond || v.Reason != "about 614.4 MiB of 1.0 GiB are used (60 %); at the pace of the last seconds the limit is 2.7 s away" {
		t.Errorf("got %+v", v)
	}
	trigger.Took(v, epoch.Add(2*time.Second))
	v = trigger.Judge(Reading{At: epoch.Add(3 * time.Second), UsedBytes: 7 * gib / 10, TotalBytes: 7 * gib / 10, LimitBytes: gib, Collections: 4})
	if v.Rule != "growth" || !strings.HasSuffix(v.Reason, "; bundle 2 of at most 5 of this ramp") {
		t.Errorf("got %+v", v)
	}
	trigger = newTrigger(t)
	for i := range 4 {
		v = trigger.Judge(Reading{At: epoch.Add(time.Duration(i) * time.Second), UsedBytes: gib / 10, TotalBytes: int64(4+2*i) * gib / 10, LimitBytes: gib})
	}
	if v.Rule != "growth_unproven" || v.Extent != Quick && v.Extent != Nothing || !strings.Contains(v.Reason, "1.0 GiB of 1.0 GiB are taken, and what has come since the last collection may be garbage or not") {
		t.Errorf("got %+v", v)
	}
}

// TestClockJumps: a clock that is set back, by however much, makes no bundles of its own and does not stop them.
func TestClockJumps(t *testing.T) {
	trigger := newTrigger(t)
	if got := judge(trigger, epoch, time.Minute, 86); got[0] != "high_water" {
		t.Fatal(got)
	}
	if got := strings.Join(judge(trigger, epoch.Add(-100*time.Hour), 30*time.Second, 86, 86, 86, 86, 90), ","); got != ",,,,high_water" {
		t.Errorf("after the jump back: %s", got)
	}
	if got := strings.Join(judge(trigger, epoch.Add(10000*time.Hour), 30*time.Second, 70, 70, 86), ","); got != ",,high_water" {
		t.Errorf("after the jump on: %s", got)
	}
	// Two of one moment.
	r := Reading{At: epoch.Add(20000 * time.Hour), UsedBytes: 1, TotalBytes: 1, LimitBytes: gib}
	trigger.Judge(r)
	r.UsedBytes, r.TotalBytes = gib/2, gib/2
	if v := trigger.Judge(r); v.GrowthPerSecond != 0 || math.IsNaN(v.SecondsToLimit) {
		t.Errorf("got %+v", v)
	}
}

func TestFailedIsTriedAgain(t *testing.T) {
	trigger := newTrigger(t)
	r := Reading{At: epoch, UsedBytes: 9 * gib / 10, TotalBytes: 9 * gib / 10, LimitBytes: gib}
	if v := trigger.Judge(r); v.Extent != Whole {
		t.Fatalf("got %+v", v)
	}
	trigger.Failed(r.At)
	for _, seconds := range []int{1, 9} {
		r.At = epoch.Add(time.Duration(seconds) * time.Second)
		if v := trigger.Judge(r); v.Extent != Nothing {
			t.Errorf("after %d s: %+v", seconds, v)
		}
	}
	if r.At = epoch.Add(11 * time.Second); trigger.Judge(r).Extent != Whole {
		t.Error("it is not tried again")
	}
}

func TestNoLimitNoIncident(t *testing.T) {
	trigger := newTrigger(t)
	for i := range 100 {
		if v := trigger.Judge(Reading{At: epoch.Add(time.Duration(i) * time.Second), UsedBytes: int64(i) * gib, TotalBytes: int64(i) * gib}); v.Extent != Nothing || v.Next != 0 {
			t.Fatalf("got %+v", v)
		}
	}
}

func TestRuleMistakes(t *testing.T) {
	_, err := NewTrigger(Rule{FloorRatio: 2, HighRatio: math.NaN(), SmallBytes: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"FloorRatio 2", "HighRatio NaN", "StepRatio 0", "Lead 0s", "DyingBytes 0 and SmallBytes -1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	r := DefaultRule()
	r.FloorRatio = 0.9
	if _, err := NewTrigger(r); err == nil || !strings.Contains(err.Error(), "is above HighRatio") {
		t.Errorf("got %v", err)
	}
	if text := fmt.Sprint(Nothing, Smallest, Quick, Whole); text != "nothing smallest quick whole" {
		t.Error(text)
	}
}
