package gcpolicy

import (
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/memstat"
)

func enabledTuner() TunerConfig {
	cfg := DefaultTuner()
	cfg.Enabled = true
	return cfg
}

// liveHeap is a sample of a live heap in MiB under a memory limit of 1000 MiB.
func liveHeap(live int64) *memstat.Sample {
	var s memstat.Sample
	s.Go.HeapLiveBytes, s.Go.MemoryLimitBytes, s.Go.GOGCPercent = mebibytes(live), mebibytes(1000), memstat.Known(int64(100))
	return &s
}

func TestTune(t *testing.T) {
	without := func(change func(*memstat.Sample)) *memstat.Sample {
		s := liveHeap(200)
		change(s)
		return s
	}
	for name, test := range map[string]struct {
		sample  *memstat.Sample
		percent int
		apply   bool
		reason  string
	}{
		"raise":          {liveHeap(200), 250, true, "GOGC from 100 to 250: 200.0 MiB live, to grow to 700.0 MiB (70 % of 1000.0 MiB)"},
		"lower":          {liveHeap(400), 75, true, "GOGC from 100 to 75"},
		"clamped above":  {liveHeap(10), 500, true, "to 500"},
		"clamped below":  {liveHeap(650), 50, true, "to 50"},
		"above the mark": {liveHeap(900), 50, true, "to 50"},
		"too small":      {liveHeap(365), 100, false, "GOGC stays at 100: 365.0 MiB live, to grow to 700.0 MiB (70 % of 1000.0 MiB) would make it 92, too small a change"},
		"no live heap":   {liveHeap(0), 100, false, "before the first collection"},
		"off":            {without(func(s *memstat.Sample) { s.Go.GOGCPercent = memstat.Int{} }), 0, false, "it is off"},
		"no limit":       {without(func(s *memstat.Sample) { s.Go.MemoryLimitBytes = memstat.Int{} }), 100, false, "no limit is known"},
		"container": {without(func(s *memstat.Sample) {
			s.Go.MemoryLimitBytes, s.Cgroup.MaxBytes, s.Cgroup.HighBytes = memstat.Int{}, mebibytes(1000), mebibytes(500)
		}), 75, true, "70 % of 500.0 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			state, d := Tune(TunerState{}, enabledTuner(), test.sample, epoch)
			if d.Percent != test.percent || d.Apply != test.apply || !strings.Contains(d.Reason, test.reason) {
				t.Errorf("%+v, want %d, %v, …%s…", d, test.percent, test.apply, test.reason)
			}
			if _, again := Tune(state, enabledTuner(), test.sample, epoch.Add(time.Hour)); again.Apply || again.Percent != test.percent {
				t.Errorf("the same sample again: %+v", again)
			}
			if _, off := Tune(TunerState{}, DefaultTuner(), test.sample, epoch); off.Apply || !strings.Contains(off.Reason, "switched off") {
				t.Errorf("switched off: %+v", off)
			}
		})
	}
}

func TestTuneInterval(t *testing.T) {
	cfg := enabledTuner()
	tune := func(state TunerState, live int64, after time.Duration) (TunerState, TunerDecision) {
		return Tune(state, cfg, liveHeap(live), epoch.Add(after))
	}
	state, d := tune(TunerState{}, 200, 0)
	if d.Percent != 250 {
		t.Fatal(d.Reason)
	}
	if state, d = tune(state, 400, time.Second); d.Percent != 75 || !d.Apply {
		t.Errorf("lowering waits: %+v", d)
	}
	if state, d = tune(state, 200, 21*time.Second); d.Percent != 75 || d.Apply ||
		!strings.HasPrefix(d.Reason, "GOGC stays at 75 for 10s: 200.0 MiB live") || !strings.HasSuffix(d.Reason, "would raise it to 250") {
		t.Errorf("raising does not wait: %+v", d)
	}
	if _, d = tune(state, 200, 31*time.Second); d.Percent != 250 || !d.Apply {
		t.Errorf("raising waits too long: %+v", d)
	}
	if state, d = tune(state, 200, -time.Hour); d.Apply {
		t.Errorf("a clock set back: %+v", d)
	}
	if _, d = tune(state, 200, 30*time.Second-time.Hour); !d.Apply {
		t.Errorf("a clock set back makes it wait for longer: %+v", d)
	}
}

// gogc stands in for the runtime's GOGC.
type gogc struct {
	mu      sync.Mutex
	percent int
}

func (g *gogc) set(percent int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	previous := g.percent
	g.percent = percent
	return previous
}

func newPercent(t *testing.T, g *gogc, env string) *Percent {
	t.Helper()
	p, err := NewPercent(PercentOptions{Config: enabledTuner(), ExplicitEnv: env, SetGCPercent: g.set})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPercent(t *testing.T) {
	g := &gogc{percent: 100}
	p := newPercent(t, g, "")
	if d := p.Decision(); d.Apply || !strings.Contains(d.Reason, "no sample") || g.percent != 100 {
		t.Errorf("%+v", d)
	}
	if d := p.Update(liveHeap(200), epoch); d.Percent != 250 || g.percent != 250 || p.Decision() != d {
		t.Errorf("%d: %+v", g.percent, d)
	}
	if err := p.SetConfig(DefaultTuner()); err != nil {
		t.Fatal(err)
	}
	if d := p.Update(liveHeap(200), epoch.Add(time.Second)); g.percent != 100 || !strings.Contains(d.Reason, "switched off") {
		t.Errorf("switched off: %d, %+v", g.percent, d)
	}
	if err := p.SetConfig(enabledTuner()); err != nil {
		t.Fatal(err)
	}
	if d := p.Update(liveHeap(300), epoch.Add(2*time.Second)); g.percent != 133 {
		t.Errorf("switched on again: %d, %+v", g.percent, d)
	}
	if err := p.SetConfig(TunerConfig{}); err == nil || !strings.HasPrefix(err.Error(), "gcpolicy: GOGC: tuner.threshold_ratio") {
		t.Errorf("%v", err)
	}
	p.Close()
	p.Close()
	if g.percent != 100 {
		t.Errorf("%d after Close", g.percent)
	}
	if d := p.Update(liveHeap(200), epoch.Add(time.Hour)); g.percent != 100 || d.Percent != 100 || !strings.Contains(d.Reason, "ended") {
		t.Errorf("after Close: %d, %+v", g.percent, d)
	}
}

func TestPercentLeavesAlone(t *testing.T) {
	untouched := func(g *gogc, p *Percent, want int, reason string) {
		t.Helper()
		for i := range 3 {
			d := p.Update(liveHeap(int64(100+100*i)), epoch.Add(time.Duration(i+1)*time.Hour))
			if g.percent != want || d.Apply || !strings.Contains(d.Reason, reason) {
				t.Errorf("GOGC %d, want %d: %+v", g.percent, want, d)
			}
		}
		p.Close()
		if g.percent != want {
			t.Errorf("GOGC %d after Close, want %d", g.percent, want)
		}
	}
	g := &gogc{percent: 100}
	untouched(g, newPercent(t, g, "100"), 100, "GOGC=100 is set in the environment")
	g = &gogc{percent: 300} // by the program, before
	untouched(g, newPercent(t, g, ""), 300, "the program has set it by debug.SetGCPercent")
	g = &gogc{percent: 100}
	p := newPercent(t, g, "")
	p.Update(liveHeap(200), epoch)
	g.set(300) // by the program, after
	untouched(g, p, 300, "the program has set it by debug.SetGCPercent")
	g = &gogc{percent: 100}
	p = newPercent(t, g, "")
	p.Update(liveHeap(200), epoch)
	g.set(300)
	p.Close()
	if g.percent != 300 {
		t.Errorf("Close takes the program's GOGC of 300 away: %d", g.percent)
	}
}

func TestPercentOnTheRuntime(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	p, err := NewPercent(PercentOptions{Config: enabledTuner()})
	if err != nil {
		t.Fatal(err)
	}
	p.Update(liveHeap(200), epoch)
	if got := debug.SetGCPercent(250); got != 250 {
		t.Errorf("GOGC is %d", got)
	}
	p.Close()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("GOGC is %d after Close", got)
	}
	if _, err := NewPercent(PercentOptions{}); err == nil {
		t.Error("no configuration is accepted")
	}
}
