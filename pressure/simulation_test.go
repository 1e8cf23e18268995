package pressure

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/memwarden/memwarden/memstat"
)

// run is a simulated load under the judgement, one sample a second.
type run struct {
	changes int
	level   Level
	changed []time.Duration // when the level changed, since the start
	levels  []Level         // after each sample
}

func simulate(cfg Config, seconds int, sample func(second int) *memstat.Sample) run {
	var (
		r     run
		state State
		d     Decision
	)
	for second := range seconds {
		state, d = Next(state, cfg, sample(second), epoch.Add(time.Duration(second)*time.Second))
		if d.Changed {
			r.changes++
			r.changed = append(r.changed, time.Duration(second)*time.Second)
		}
		r.level = d.Level
		r.levels = append(r.levels, d.Level)
	}
	return r
}

func ratios(ratio func(second int) float64) func(int) *memstat.Sample {
	return func(second int) *memstat.Sample { return use(ratio(second)) }
}

func TestSimulatedSteady(t *testing.T) {
	for ratio, want := range map[float64]Level{0.1: Normal, 0.699: Normal, 0.701: Elevated, 0.75: Elevated, 0.81: High, 0.89: High, 0.91: Critical, 1: Critical} {
		r := simulate(Default(), 3600, ratios(func(int) float64 { return ratio }))
		if r.level != want || r.changes > 1 {
			t.Errorf("steady at %v: %d changes to %s, want %s", ratio, r.changes, r.level, want)
		}
		if want != Normal && r.changed[0] > 2*time.Second {
			t.Errorf("steady at %v: settled after %v", ratio, r.changed[0])
		}
	}
}

func TestSimulatedStep(t *testing.T) {
	// Each step settles in one change: upwards after 2 s, or at once when the container is full, downwards after 30 s.
	for from, low := range []float64{0.4, 0.75, 0.85, 0.95} {
		for to, high := range []float64{0.4, 0.75, 0.85, 0.95} {
			r := simulate(Default(), 400, ratios(func(second int) float64 {
				if second < 200 {
					return low
				}
				return high
			}))
			after := 30 * time.Second
			if to > from {
				after = 2 * time.Second
			}
			if to == int(Critical) {
				after = 0
			}
			changes := 0
			for _, at := range r.changed {
				if at >= 200*time.Second {
					changes++
					if at-200*time.Second != after {
						t.Errorf("step %v to %v: settled after %v, want %v", low, high, at-200*time.Second, after)
					}
				}
			}
			if r.level != Level(to) || changes > 1 || (changes == 1) == (from == to) {
				t.Errorf("step %v to %v: %d changes to %s", low, high, changes, r.level)
			}
		}
	}
}

func TestSimulatedOscillation(t *testing.T) {
	for _, period := range []int{2, 3, 5, 10, 20, 40, 55, 120, 600} {
		for _, amplitude := range []float64{0.01, 0.03, 0.05, 0.15} {
			r := simulate(Default(), 3600, ratios(func(second int) float64 {
				return 0.8 + amplitude*math.Sin(2*math.Pi*float64(second)/float64(period)+0.1)
			}))
			// Inside the hysteresis, or faster than the dwell of a fall, the level is taken once and kept; else every
			// period may raise and lower it through the levels that it crosses.
			most := 3
			if amplitude > 0.03 && period > 30 {
				most = 2 * 3 * (3600/period + 1)
			}
			if r.changes > most {
				t.Errorf("period %d s, amplitude %v: %d changes, want at most %d", period, amplitude, r.changes, most)
			}
		}
	}
}

// TestSimulatedSlowOscillation: a load that really comes and goes is followed, once up and once down each time.
func TestSimulatedSlowOscillation(t *testing.T) {
	r := simulate(Default(), 3600, ratios(func(second int) float64 {
		if second/300%2 == 1 {
			return 0.85
		}
		return 0.5
	}))
	if r.changes != 12-1 { // six rises, and a fall between each two
		t.Errorf("%d changes in six busy spells", r.changes)
	}
}

func TestSimulatedJitter(t *testing.T) {
	for _, center := range []float64{0.70, 0.80, 0.90, 0.685, 0.785, 0.885} {
		for seed := range uint64(8) {
			random := rand.New(rand.NewPCG(seed, 3))
			r := simulate(Default(), 1200, ratios(func(int) float64 { return center + 0.015*random.NormFloat64() }))
			// Up to the level that the peaks show, and never down: a fall needs 30 samples in a row that are three
			// points under the threshold.
			if r.changes > 3 {
				t.Errorf("seed %d: %d changes under jitter around %v", seed, r.changes, center)
			}
		}
	}
}

func TestSimulatedRamp(t *testing.T) {
	for _, rate := range []float64{0.001, 0.003, 0.01} { // per second
		up := int(1 / rate)
		r := simulate(Default(), 2*up, ratios(func(second int) float64 {
			return 1 - math.Abs(float64(second-up))*rate
		}))
		if len(r.changed) < 3 {
			t.Fatalf("rate %v: %d changes on the way to 100 %%", rate, r.changes)
		}
		for i, threshold := range []float64{0.7, 0.8, 0.9} {
			ideal := time.Duration(math.Round(threshold/rate)) * time.Second
			if late := r.changed[i] - ideal; late < 0 || late > 3*time.Second {
				t.Errorf("rate %v: level %d is taken %v after its threshold", rate, i+1, late)
			}
		}
		if r.changes != 6 && rate < 0.01 || r.changes > 6 {
			t.Errorf("rate %v: %d changes, want one for each level up and down", rate, r.changes)
		}
	}
}

// TestSimulatedCollector: the sawtooth of the Go heap makes no pressure where a memory limit governs it.
func TestSimulatedCollector(t *testing.T) {
	for _, period := range []int{2, 7, 30, 120} {
		sawtooth := func(goLimit int64) func(int) *memstat.Sample {
			return func(second int) *memstat.Sample {
				const live, goal = 200, 400
				objects := live + int64(goal-live)*int64(second%period)/int64(period)
				free := goal - objects // of earlier collections
				return withGo(contained(goal+40), live, objects, free, goal+20, goLimit)
			}
		}
		if r := simulate(Default(), 3600, sawtooth(460)); r.changes > 0 {
			t.Errorf("period %d s: %d changes under a memory limit", period, r.changes)
		}
		if r := simulate(Default(), 3600, sawtooth(0)); r.level != High || r.changes > 1 {
			t.Errorf("period %d s: %d changes to %s without a memory limit", period, r.changes, r.level)
		}
	}
}

// judged is what the twin remembers of a sample.
type judged struct {
	at         time.Time
	seen, kept Level
	urgent     bool
}

// twin says by looking through all that was seen what Next says by its marks.
func twin(cfg Config, history []judged, level Level) Level {
	now := history[len(history)-1]
	// lasted is for how long something has held without a break.
	lasted := func(holds func(judged) bool) (time.Duration, bool) {
		i := len(history)
		for i > 0 && holds(history[i-1]) {
			i--
		}
		if i == len(history) {
			return 0, false
		}
		return now.at.Sub(history[i].at), true
	}
	for to := Critical; to > level; to-- {
		long, ok := lasted(func(j judged) bool { return j.seen >= to })
		if ok && (long >= cfg.RiseDwell || to == Critical && now.urgent) {
			return to
		}
	}
	for level > Normal {
		long, ok := lasted(func(j judged) bool { return j.kept < level })
		if !ok || long < cfg.FallDwell {
			break
		}
		level--
	}
	return level
}

// TestSimulatedRandomWalk compares with the twin, whatever the load and the configuration, and bounds the changes: a
// fall takes FallDwell, and between two falls of a level there is one rise.
func TestSimulatedRandomWalk(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 4))
			cfg := Default()
			cfg.Hysteresis = 0.09 * random.Float64()
			cfg.RiseDwell = time.Duration(random.IntN(6)) * time.Second
			cfg.FallDwell = time.Duration(1+random.IntN(40)) * time.Second
			ratio, volatility := 0.7, 0.04*random.Float64()
			var (
				state   State
				d       Decision
				history []judged
				level   Level
				falls   [Critical + 1]int
			)
			now := epoch
			for range 800 {
				now = now.Add(time.Duration(1+random.IntN(3)) * 500 * time.Millisecond)
				ratio = min(max(ratio+volatility*random.NormFloat64(), 0.3), 1)
				s := use(ratio)
				if random.IntN(50) == 0 {
					s = &memstat.Sample{}
				}
				before := d.Level
				state, d = Next(state, cfg, s, now)
				history = append(history, judged{now, d.Seen, d.kept, d.urgent()})
				if level = twin(cfg, history, level); d.Level != level {
					t.Fatalf("%s, the twin says %s", d.Reason(), level)
				}
				for left := before; left > d.Level; left-- {
					falls[left]++
				}
				if d.Changed != (before != d.Level) || d.Reason() == "" {
					t.Fatalf("changed %v from %s to %s", d.Changed, before, d.Level)
				}
			}
			for level, n := range falls {
				if most := int(now.Sub(epoch)/cfg.FallDwell) + 1; n > most {
					t.Errorf("level %d was left %d times, want at most %d", level, n, most)
				}
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	cfg := Default()
	s := withGo(contained(450), 200, 400, 20, 440, 460)
	s.PSI.Scope, s.PSI.SomeAvg10Ratio = "cgroup", memstat.Known(0.01)
	var state State
	b.ReportAllocs()
	for b.Loop() {
		state, _ = Next(state, cfg, s, epoch)
	}
}

func BenchmarkReason(b *testing.B) {
	_, d := Next(State{}, Default(), withGo(contained(450), 200, 400, 20, 440, 460), epoch)
	b.ReportAllocs()
	for b.Loop() {
		_ = d.Reason()
	}
}

// TestNextDoesNotAllocate holds on the way through all levels, changes included.
func TestNextDoesNotAllocate(t *testing.T) {
	samples := []*memstat.Sample{use(0.5), use(0.95), use(0.85), withGo(contained(450), 200, 400, 20, 440, 460), machine(50, 300), {}}
	var state State
	now := epoch
	if n := testing.AllocsPerRun(200, func() {
		for _, s := range samples {
			state, _ = Next(state, Default(), s, now)
			now = now.Add(time.Minute)
		}
		now = now.Add(-3 * time.Minute)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
