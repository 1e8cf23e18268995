package limit

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const mib = int64(1) << 20

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// process is a program's memory limit and the decisions on it, one a second.
type process struct {
	t       *testing.T
	cfg     Config
	state   State
	in      Input
	now     time.Time
	changes int
}

func newProcess(t *testing.T) *process {
	return &process{t: t, cfg: Default(), now: epoch, in: Input{CurrentBytes: None}}
}

func (p *process) container(bytes int64) *process {
	p.in.ContainerBytes, p.in.HasContainer = bytes, bytes >= 0
	return p
}

// step decides, applies, and lets a second pass.
func (p *process) step() Decision {
	p.t.Helper()
	var d Decision
	p.state, d = Decide(p.state, p.cfg, p.in, p.now)
	if d.Apply == (d.LimitBytes == p.in.CurrentBytes) {
		p.t.Errorf("apply %v although %d is in force and %d wanted", d.Apply, p.in.CurrentBytes, d.LimitBytes)
	}
	if d.Apply {
		p.changes++
	}
	if d.Reason == "" || d.Source == "" {
		p.t.Errorf("a decision without reason or source: %+v", d)
	}
	p.in.CurrentBytes = d.LimitBytes
	p.now = p.now.Add(time.Second)
	return d
}

func (p *process) want(source Source, limit int64, reason string) Decision {
	p.t.Helper()
	d := p.step()
	if d.Source != source || d.LimitBytes != limit || !strings.Contains(d.Reason, reason) {
		p.t.Errorf("%s: limit %d (%s), want %s, %d, …%s…", d.Source, d.LimitBytes, d.Reason, source, limit, reason)
	}
	return d
}

func TestDecideSources(t *testing.T) {
	for name, test := range map[string]struct {
		cfg    func(*Config)
		in     Input
		source Source
		limit  int64
		reason string
	}{
		"derived": {nil, Input{ContainerBytes: 512 * mib, HasContainer: true, CurrentBytes: None},
			SourceDerived, scale(512*mib, 0.9), "limit 460.8 MiB: 90 % of the container's 512.0 MiB"},
		"reserve": {func(c *Config) { c.ReserveBytes = 112 * mib },
			Input{ContainerBytes: 512 * mib, HasContainer: true, CurrentBytes: None},
			SourceDerived, 360 * mib, "90 % of 400.0 MiB (the container's 512.0 MiB less a reserve of 112.0 MiB)"},
		"no container": {nil, Input{CurrentBytes: None}, SourceNone, None, "no limit: the container has no limit"},
		"override": {func(c *Config) { c.BytesOverride = 100 * mib }, Input{CurrentBytes: None},
			SourceOverride, 90 * mib, "90 % of the configured 100.0 MiB"},
		"container before override": {func(c *Config) { c.BytesOverride = 100 * mib },
			Input{ContainerBytes: 50 * mib, HasContainer: true, CurrentBytes: None},
			SourceDerived, 45 * mib, "container's 50.0 MiB"},
		"explicit": {nil, Input{ContainerBytes: 512 * mib, HasContainer: true, ExplicitEnv: "400MiB", CurrentBytes: 400 * mib},
			SourceExplicit, 400 * mib, "left alone: GOMEMLIMIT=400MiB is set in the environment"},
		"explicitly off": {nil, Input{ContainerBytes: 512 * mib, HasContainer: true, ExplicitEnv: "off", CurrentBytes: None},
			SourceExplicit, None, "GOMEMLIMIT=off"},
		"derived by a launcher": {nil, Input{ContainerBytes: 512 * mib, HasContainer: true, ExplicitEnv: "400MiB", Derived: true,
			CurrentBytes: 400 * mib}, SourceDerived, scale(512*mib, 0.9), "460.8 MiB"},
		"launcher's, but set by the program": {nil, Input{ContainerBytes: 512 * mib, HasContainer: true, ExplicitEnv: "400MiB",
			Derived: true, CurrentBytes: 300 * mib}, SourceProgram, 300 * mib, "the program has set the limit to 300.0 MiB"},
		"set by the program": {nil, Input{ContainerBytes: 512 * mib, HasContainer: true, CurrentBytes: 300 * mib},
			SourceProgram, 300 * mib, "by debug.SetMemoryLimit"},
		"explicit, but set by the program": {nil, Input{ContainerBytes: 512 * mib, HasContainer: true, ExplicitEnv: "400MiB",
			CurrentBytes: 300 * mib}, SourceProgram, 300 * mib, "by debug.SetMemoryLimit"},
		"malformed in the environment": {nil, Input{ContainerBytes: 512 * mib, HasContainer: true, ExplicitEnv: "lots",
			CurrentBytes: None}, SourceExplicit, None, "GOMEMLIMIT=lots"},
		"reserve takes all": {func(c *Config) { c.ReserveBytes = 512 * mib },
			Input{ContainerBytes: 512 * mib, HasContainer: true, CurrentBytes: None}, SourceRefused, None,
			"refused to set it to 90 % of 0 B (the container's 512.0 MiB less a reserve of 512.0 MiB)"},
		"reserve takes more than all": {func(c *Config) { c.ReserveBytes = 600 * mib },
			Input{ContainerBytes: 512 * mib, HasContainer: true, CurrentBytes: None}, SourceRefused, None, "of 0 B"},
		"reserve leaves too little": {func(c *Config) { c.ReserveBytes = 510 * mib },
			Input{ContainerBytes: 512 * mib, HasContainer: true, CurrentBytes: None}, SourceRefused, None, "Go needs at least 4.0 MiB"},
		"container of 0": {nil, Input{HasContainer: true, CurrentBytes: None}, SourceRefused, None, "refused"},
		"switched off": {func(c *Config) { c.Manage = false },
			Input{ContainerBytes: 512 * mib, HasContainer: true, CurrentBytes: None}, SourceDisabled, None, "switched off"},
		"largest numbers": {func(c *Config) { c.Ratio = 1 },
			Input{ContainerBytes: math.MaxInt64, HasContainer: true, CurrentBytes: None}, SourceDerived, None, "100 %"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProcess(t)
			if test.cfg != nil {
				test.cfg(&p.cfg)
			}
			p.in = test.in
			p.want(test.source, test.limit, test.reason)
			p.want(test.source, test.limit, test.reason) // and it stays so
			if p.changes > 1 {
				t.Errorf("%d changes in two equal steps", p.changes)
			}
		})
	}
}

func TestDecideFollowsResize(t *testing.T) {
	p := newProcess(t).container(100 * mib)
	p.want(SourceDerived, 90*mib, "")
	p.container(200*mib).want(SourceDerived, 180*mib, "")
	p.container(50*mib).want(SourceDerived, 45*mib, "")
	// Too small to follow: what is in force stays.
	p.container(mib).want(SourceRefused, 45*mib, "limit left at 45.0 MiB: refused")
	p.container(100*mib).want(SourceDerived, 90*mib, "")
}

func TestDecideContainerLimitDisappears(t *testing.T) {
	for name, test := range map[string]struct {
		env      string
		derived  bool
		start    int64
		override int64
		source   Source
		limit    int64
	}{
		"to none":               {"", false, None, 0, SourceNone, None},
		"launcher's goes too":   {"70MiB", true, 70 * mib, 0, SourceNone, None},
		"to the override":       {"", false, None, 40 * mib, SourceOverride, 36 * mib},
		"launcher's, override":  {"70MiB", true, 70 * mib, 40 * mib, SourceOverride, 36 * mib},
		"explicit is untouched": {"70MiB", false, 70 * mib, 0, SourceExplicit, 70 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProcess(t).container(100 * mib)
			p.cfg.BytesOverride = test.override
			p.in.ExplicitEnv, p.in.Derived, p.in.CurrentBytes = test.env, test.derived, test.start
			p.step()
			p.container(-1)
			if test.source != SourceExplicit {
				// One reading that failed changes nothing, nor do nine.
				for i := range 9 {
					d := p.want(SourceDerived, 90*mib, "last seen")
					if d.BasisBytes != 100*mib {
						t.Fatalf("step %d: derived from %d", i, d.BasisBytes)
					}
				}
				// It comes back: the wait begins anew.
				p.container(100*mib).want(SourceDerived, 90*mib, "container's 100.0 MiB")
				p.container(-1)
				for range 9 {
					p.want(SourceDerived, 90*mib, "last seen")
				}
			}
			p.want(test.source, test.limit, "")
			p.want(test.source, test.limit, "")
		})
	}
}

func TestDecideTakenOverByTheProgram(t *testing.T) {
	p := newProcess(t).container(100 * mib)
	p.want(SourceDerived, 90*mib, "")
	p.in.CurrentBytes = 77 * mib
	p.want(SourceProgram, 77*mib, "program")
	// For good: not by a resize, by relief, by configuration, nor when it sets what we would have.
	p.container(200*mib).want(SourceProgram, 77*mib, "program")
	p.state = Relieve(p.state, 1.1, p.now, p.now.Add(time.Minute))
	p.want(SourceProgram, 77*mib, "program")
	p.cfg.Manage = false
	p.want(SourceProgram, 77*mib, "program")
	p.cfg.Manage, p.in.CurrentBytes = true, 180*mib
	p.want(SourceProgram, 180*mib, "program")
	p.in.CurrentBytes = None
	p.want(SourceProgram, None, "set the limit to none")
	if p.changes != 1 {
		t.Errorf("%d changes, want the first alone", p.changes)
	}

	p = newProcess(t)
	p.want(SourceNone, None, "")
	p.in.CurrentBytes = 50 * mib // before we have ever set one
	p.container(100*mib).want(SourceProgram, 50*mib, "program")
}

func TestDecideSwitchedOffAndOn(t *testing.T) {
	p := newProcess(t).container(100 * mib)
	p.in.ExplicitEnv, p.in.Derived, p.in.CurrentBytes = "70MiB", true, 70*mib
	p.want(SourceDerived, 90*mib, "")
	p.cfg.Manage = false
	p.want(SourceDisabled, 70*mib, "limit put back to 70.0 MiB: managing the limit is switched off")
	p.want(SourceDisabled, 70*mib, "limit left at 70.0 MiB")
	p.cfg.Manage = true
	p.want(SourceDerived, 90*mib, "")
}

func TestDecideRelief(t *testing.T) {
	p := newProcess(t).container(100 * mib)
	p.want(SourceDerived, 90*mib, "")
	p.state = Relieve(p.state, 1.05, p.now, p.now.Add(time.Minute))
	d := p.want(SourceDerived, scale(90*mib, 1.05), "limit raised to 94.5 MiB for another 1m0s: relief of 90.0 MiB")
	if !d.ReliefUntil.Equal(epoch.Add(61*time.Second)) || d.WantedBytes != 90*mib || d.CeilingBytes != 97*mib {
		t.Errorf("relief until %v, wanted %d, ceiling %d", d.ReliefUntil, d.WantedBytes, d.CeilingBytes)
	}
	for range 59 {
		p.want(SourceDerived, scale(90*mib, 1.05), "relief")
	}
	p.want(SourceDerived, 90*mib, "limit 90.0 MiB")

	t.Run("never above the ceiling", func(t *testing.T) {
		p.state = Relieve(p.state, math.Inf(1), p.now, p.now.Add(time.Minute))
		p.want(SourceDerived, 97*mib, "relief")
		p.container(200*mib).want(SourceDerived, 194*mib, "relief") // a resize is followed meanwhile
		p.container(100 * mib)
		p.cfg.Ratio = 0.98
		p.want(SourceDerived, scale(100*mib, 0.98), "limit 98.0 MiB: 98 %")
		p.cfg.Ratio = 0.9
		p.want(SourceDerived, 97*mib, "relief")
	})
	t.Run("ended early", func(t *testing.T) {
		p.state = Relieve(p.state, 1, p.now, p.now.Add(time.Minute))
		p.want(SourceDerived, 90*mib, "limit 90.0 MiB")
		p.state = Relieve(p.state, math.NaN(), p.now, p.now.Add(time.Minute))
		p.want(SourceDerived, 90*mib, "limit 90.0 MiB")
	})
	t.Run("clock set back", func(t *testing.T) {
		p.state = Relieve(p.state, 1.05, p.now, p.now.Add(time.Minute))
		p.want(SourceDerived, scale(90*mib, 1.05), "relief")
		p.now = p.now.Add(-time.Hour)
		p.want(SourceDerived, 90*mib, "limit 90.0 MiB")
	})
}

func TestDecideAbsenceWithClockSetBack(t *testing.T) {
	p := newProcess(t).container(100 * mib)
	p.want(SourceDerived, 90*mib, "")
	p.now = p.now.Add(-time.Hour)
	p.container(-1)
	for range 10 {
		p.want(SourceDerived, 90*mib, "")
	}
	p.want(SourceNone, None, "put back to none")
}

// TestDecideRandomly: whatever happens, the limit is the program's, or never leaves less than the reserve and 3 % of
// the rest to what is not Go.
func TestDecideRandomly(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := newProcess(t).container(512 * mib)
		p.cfg.ReserveBytes = random.Int64N(100) * mib
		for range 500 {
			switch random.IntN(20) {
			case 0:
				p.container((64 + random.Int64N(1000)) * mib)
			case 1:
				p.container(-1)
			case 2:
				p.state = Relieve(p.state, 1+random.Float64(), p.now, p.now.Add(time.Duration(random.IntN(90))*time.Second))
			case 3:
				p.cfg.Ratio = 0.1 + 0.87*random.Float64()
			case 4:
				p.now = p.now.Add(time.Duration(random.IntN(200)-100) * time.Second)
			}
			d := p.step()
			if d.Ours() && float64(d.LimitBytes) > 0.97*float64(d.BasisBytes-p.cfg.ReserveBytes) {
				t.Fatalf("seed %d: %s", seed, d.Reason)
			}
			if d.Source == SourceProgram {
				t.Fatalf("seed %d: takes its own limit for the program's: %s", seed, d.Reason)
			}
		}
	}
}

func TestDecisionJSON(t *testing.T) {
	for limit, want := range map[int64]string{
		None:     `{"at":"2026-01-02T03:04:05Z","source":"none","apply":false,"reason":"r"}`,
		90 * mib: `{"at":"2026-01-02T03:04:05Z","source":"none","apply":false,"reason":"r","limit_bytes":94371840}`,
	} {
		text, err := json.Marshal(Decision{At: epoch, Source: SourceNone, LimitBytes: limit, Reason: "r"})
		if err != nil || string(text) != want {
			t.Errorf("%s, %v, want %s", text, err, want)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Ratio: math.NaN(), ReserveBytes: -1, BytesOverride: -2}.Validate()
	want := "ratio: NaN: want 0.1 to 1\nreserve_bytes: -1: want 0 or more\nbytes_override: -2: want 0 (none) or more"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	for _, ratio := range []float64{0, 0.09, 1.01, 90} {
		if err := (Config{Ratio: ratio}).Validate(); err == nil {
			t.Errorf("ratio %v is valid", ratio)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	state, cfg := State{}, Default()
	in := Input{ContainerBytes: 512 * mib, HasContainer: true, CurrentBytes: scale(512*mib, 0.9)}
	in.ExplicitEnv, in.Derived = "483183820", true
	b.ReportAllocs()
	for b.Loop() {
		state, _ = Decide(state, cfg, in, epoch)
	}
}
