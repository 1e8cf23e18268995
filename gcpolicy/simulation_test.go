package gcpolicy

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/memwarden/memwarden/limit"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// heap simulates a Go heap after the rules of runtime/mgcpacer.go and runtime/mgclimit.go: the goal, the memory limit,
// a collector that costs CPU by the live heap, and the CPU limiter. Sizes are in MiB.
type heap struct {
	live func(second float64) float64 // what the program holds
	rate float64                      // allocated each second

	percent     float64 // GOGC
	memoryLimit float64 // +Inf: none
	container   float64

	objects, marked, free float64
	cycles, limiterCycle  int64
	bucket                float64 // of the CPU limiter, in seconds
	gcSeconds, second     float64
	peak                  float64 // of objects
}

const (
	overhead   = 10.0  // stacks and metadata
	notGo      = 8.0   // in the container beside Go
	procs      = 2.0   // CPUs
	markSecond = 0.001 // of CPU to mark a MiB
	smallest   = 4.0   // heap
)

func newHeap(live func(float64) float64, rate float64) *heap {
	return &heap{live: live, rate: rate, percent: 100, memoryLimit: math.Inf(1), container: 512, marked: smallest, objects: live(0)}
}

func (h *heap) goal() float64 {
	goal := max(h.marked*(1+h.percent/100), smallest)
	return max(min(goal, h.memoryLimit-overhead), h.marked)
}

// collect runs a collection. Unless it is forced it happens within the CPU limiter: a bucket that fills with the
// collector's time and drains with the program's.
func (h *heap) collect(forced bool) {
	h.cycles++
	cost := markSecond * h.live(h.second)
	h.gcSeconds += cost
	if h.bucket += cost; h.bucket > procs && !forced {
		h.limiterCycle = h.cycles
	}
	before := h.objects
	h.marked = h.live(h.second)
	h.objects = h.marked
	h.free += max(before-h.objects, 0)
}

// run lets a second pass and returns the sample at its end.
func (h *heap) run() *memstat.Sample {
	const step = 0.01
	spent := h.gcSeconds
	for range int(1 / step) {
		h.second += step
		grown := max(h.objects+h.rate*step, h.live(h.second))
		h.free = max(h.free-(grown-h.objects), 0)
		h.objects = grown
		h.bucket = max(h.bucket-procs*step/2, 0)
		if h.objects >= h.goal() && h.bucket < procs {
			h.collect(false)
		}
		// The scavenger keeps Go below the memory limit, as far as free heap goes.
		h.free = max(min(h.free, h.memoryLimit-overhead-h.objects), 0)
		h.peak = max(h.peak, h.objects)
	}
	return h.sample(h.gcSeconds - spent)
}

func (h *heap) sample(gcSeconds float64) *memstat.Sample {
	var s memstat.Sample
	bytes := func(n float64) memstat.Int { return memstat.Known(int64(n * float64(mib))) }
	s.At = epoch.Add(time.Duration(h.second * float64(time.Second)))
	s.Go.HeapLiveBytes, s.Go.HeapObjectsBytes, s.Go.HeapGoalBytes = bytes(h.marked), bytes(h.objects), bytes(h.goal())
	s.Go.HeapFreeBytes, s.Go.UsedBytes = bytes(h.free), bytes(h.objects+h.free+overhead)
	s.Go.HeapReleasedBytes = memstat.Known(int64(0))
	s.Go.GOGCPercent, s.Go.GCCycles = memstat.Known(int64(h.percent)), memstat.Known(h.cycles)
	s.Go.GCCPURatio = memstat.Known(min(gcSeconds/procs, 1))
	if h.limiterCycle > 0 {
		s.Go.GCLimiterLastCycle = memstat.Known(h.limiterCycle)
	}
	if !math.IsInf(h.memoryLimit, 1) {
		s.Go.MemoryLimitBytes = bytes(h.memoryLimit)
	}
	s.Cgroup.MaxBytes, s.Cgroup.WorkingSetBytes = bytes(h.container), bytes(h.objects+h.free+overhead+notGo)
	return &s
}

// loads are the shapes that every control loop has to bear, around a live heap and with a swing, in MiB.
func loads(around, swing float64, seed uint64) map[string]func(float64) float64 {
	random := rand.New(rand.NewPCG(seed, 5))
	noise := make([]float64, 7200)
	for i := range noise {
		noise[i] = random.NormFloat64() / 2
	}
	return map[string]func(float64) float64{
		"steady": func(float64) float64 { return around },
		"step": func(s float64) float64 {
			if s < 900 {
				return around - swing
			}
			return around + swing
		},
		"slow oscillation": func(s float64) float64 { return around + swing*math.Sin(2*math.Pi*s/600) },
		"fast oscillation": func(s float64) float64 { return around + swing*math.Sin(2*math.Pi*s/7) },
		"jitter":           func(s float64) float64 { return around + swing*max(min(noise[int(s)%len(noise)], 1), -1) },
	}
}

// governed is a heap under a derived memory limit, with relief.
type governed struct {
	*heap
	owned limit.State
	owner limit.Decision
	in    limit.Input
	state ReliefState
	last  ReliefDecision
}

func newGoverned(h *heap) *governed {
	return &governed{heap: h, in: limit.Input{ContainerBytes: int64(h.container) * mib, HasContainer: true, CurrentBytes: limit.None}}
}

// govern lets a second pass, decides and applies.
func (g *governed) govern(second int) (s *memstat.Sample, raised bool) {
	s = g.run()
	now := epoch.Add(time.Duration(second) * time.Second)
	g.decide(now)
	if g.state, g.last = Relieve(g.state, DefaultRelief(), s, g.owner, now); g.last.Relieve {
		g.owned = limit.Relieve(g.owned, g.last.Factor, now, g.last.Until)
		g.decide(now)
	}
	return s, g.owner.LimitBytes > g.owner.WantedBytes
}

func (g *governed) decide(now time.Time) {
	g.owned, g.owner = limit.Decide(g.owned, limit.Default(), g.in, now)
	g.in.CurrentBytes = g.owner.LimitBytes
	g.memoryLimit = float64(g.owner.LimitBytes) / float64(mib)
}

// TestSimulatedRelief runs heaps on the edge of the limit: relief helps, ends, and comes seldom.
func TestSimulatedRelief(t *testing.T) {
	const hour = 3600
	for name, live := range loads(446, 4, 1) {
		t.Run(name, func(t *testing.T) {
			g := newGoverned(newHeap(live, 20))
			var cpu [2]float64 // of the collector, without relief and with
			var seconds [2]int
			began, reliefs := math.MinInt32, 0
			for second := range hour {
				s, raised := g.govern(second)
				if g.last.Relieve {
					if second-began < 600 {
						t.Fatalf("second %d: relief %d s after the last", second, second-began)
					}
					began, reliefs = second, reliefs+1
				}
				if raised != (second-began < 60) || g.memoryLimit > 0.97*g.container {
					t.Fatalf("second %d of relief: limit %.1f MiB", second-began, g.memoryLimit)
				}
				if second > 60 && second-began > 1 && second-began != 60 { // what the last second was spent under
					i := 0
					if raised {
						i = 1
					}
					cpu[i] += s.Go.GCCPURatio.Or(0)
					seconds[i]++
				}
			}
			if reliefs == 0 || reliefs > 6 || g.last.ReliefsTotal != int64(reliefs) || g.last.SpiralsTotal == 0 {
				t.Errorf("%d reliefs in an hour, counted %+v", reliefs, g.last)
			}
			if without, with := cpu[0]/float64(seconds[0]), cpu[1]/float64(seconds[1]); with > 0.5*without {
				t.Errorf("collector at %.3f of the CPU during relief, at %.3f else: no relief", with, without)
			}
		})
	}
}

// TestSimulatedCalm: heaps with room are never taken for a spiral, whatever they allocate.
func TestSimulatedCalm(t *testing.T) {
	for name, live := range loads(150, 100, 2) {
		for _, rate := range []float64{1, 50, 300} {
			h := newHeap(live, rate)
			h.memoryLimit = 460
			var state ReliefState
			var d ReliefDecision
			for second := range 1800 {
				if state, d = Relieve(state, DefaultRelief(), h.run(), ours, epoch.Add(time.Duration(second)*time.Second)); d.Spiral {
					t.Fatalf("%s at %v MiB/s, second %d: %s", name, rate, second, d.Reason)
				}
			}
		}
	}
}

// TestSimulatedTuner: GOGC settles, the heap stays at the threshold, and the collector works less.
func TestSimulatedTuner(t *testing.T) {
	const seconds = 1800
	for name, live := range loads(80, 30, 3) {
		t.Run(name, func(t *testing.T) {
			cfg := enabledTuner()
			tuned, plain := newHeap(live, 100), newHeap(live, 100)
			tuned.memoryLimit, plain.memoryLimit = 460, 460
			var (
				state                       TunerState
				d                           TunerDecision
				changes, raises, lastChange int
			)
			for second := range seconds {
				s := tuned.run()
				plain.run()
				if state, d = Tune(state, cfg, s, epoch.Add(time.Duration(second)*time.Second)); d.Apply {
					changes++
					lastChange = second
					if float64(d.Percent) > tuned.percent {
						raises++
					}
					if last := tuned.percent; math.Abs(float64(d.Percent)-last) < cfg.HysteresisRatio*last {
						t.Errorf("from %v to %d", last, d.Percent)
					}
					tuned.percent = float64(d.Percent)
				}
			}
			if most := seconds/30 + 1; raises > most {
				t.Errorf("%d raises, want at most %d", raises, most)
			}
			switch name {
			case "steady":
				if changes != 1 || lastChange > 5 {
					t.Errorf("%d changes, the last in second %d", changes, lastChange)
				}
			case "step":
				if changes > 3 || lastChange > 910 {
					t.Errorf("%d changes, the last in second %d", changes, lastChange)
				}
			}
			// The heap passes the threshold at most by what a live heap that has grown since the last collection adds.
			if threshold := cfg.ThresholdRatio * 460; tuned.peak > threshold*1.25 {
				t.Errorf("peak %.0f MiB, threshold %.0f", tuned.peak, threshold)
			}
			if tuned.gcSeconds > 0.7*plain.gcSeconds {
				t.Errorf("collector took %.1f s, untuned %.1f s", tuned.gcSeconds, plain.gcSeconds)
			}
		})
	}
}

// TestSimulatedBackoff: whoever asks each second, forced collections keep to their share of the time.
func TestSimulatedBackoff(t *testing.T) {
	const hour = 3600
	for name, test := range map[string]struct {
		live, rate  float64
		force       bool
		least, most int
	}{
		"nothing to reclaim":       {400, 0.01, false, 12, 18},
		"much to reclaim":          {100, 37, false, 200, 360},
		"nothing, but forced":      {400, 0.01, true, 300, 3600 / 8},
		"much after a longer wait": {400, 1, false, 30, 200},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeap(func(float64) float64 { return test.live }, test.rate)
			cfg := DefaultBackoff()
			var state BackoffState
			n := 0
			spent := 0.0
			for second := range hour {
				h.run()
				now := epoch.Add(time.Duration(second) * time.Second)
				if ok, _, _ := Allow(state, test.force, now); !ok {
					continue
				}
				before, cpu := h.objects, h.gcSeconds
				h.collect(true)
				took := h.gcSeconds - cpu // on one CPU
				lasted := time.Duration(took * float64(time.Second))
				spent += took
				n++
				state = Record(state, cfg, (before-h.objects)/before, lasted, now.Add(lasted))
			}
			if n < test.least || n > test.most {
				t.Errorf("%d forced collections in an hour, want %d to %d", n, test.least, test.most)
			}
			if spent/hour > cfg.MaxTimeRatio {
				t.Errorf("forced collections took %.3f of the time", spent/hour)
			}
		})
	}
}

// automatic runs a heap without a memory limit under automatic collections, and returns how many were forced and for
// how many seconds use was high.
func automatic(cfg AutomaticConfig, h *heap, seconds int) (forced, high int) {
	var (
		levels  pressure.State
		p       pressure.Decision
		backoff BackoffState
	)
	for second := range seconds {
		s := h.run()
		now := epoch.Add(time.Duration(second) * time.Second)
		levels, p = pressure.Next(levels, pressure.Default(), s, now)
		if p.Seen >= pressure.High {
			high++
		}
		request, ok := Automate(cfg, p, s).Request()
		if !ok {
			continue
		}
		if ok, _, _ := Allow(backoff, false, now); !ok {
			continue
		}
		before := h.objects
		h.collect(true)
		if request.ReturnToOS {
			h.free = 0
		}
		forced++
		backoff = Record(backoff, DefaultBackoff(), (before-h.objects)/before, 100*time.Millisecond, now)
	}
	return forced, high
}

// TestSimulatedAutomatic: without a memory limit garbage makes pressure, and automatic collections take it away, no
// more often than the backoff allows.
func TestSimulatedAutomatic(t *testing.T) {
	const seconds = 1200
	for name, live := range loads(230, 15, 4) {
		t.Run(name, func(t *testing.T) {
			off := DefaultAutomatic()
			off.Enabled = false
			none, alone := automatic(off, newHeap(live, 10), seconds)
			forced, high := automatic(DefaultAutomatic(), newHeap(live, 10), seconds)
			if none != 0 || forced == 0 || forced > seconds/10 || high > alone/2 {
				t.Errorf("%d forced collections, %d s at high; alone %d, %d s", forced, high, none, alone)
			}
		})
	}
}

// TestSimulatedAutomaticRestraint: what is live, and what makes no pressure, is left alone.
func TestSimulatedAutomaticRestraint(t *testing.T) {
	for around, percent := range map[float64]float64{420: 3, 100: 100} {
		for name, live := range loads(around, 2, 6) {
			h := newHeap(live, 5)
			h.percent = percent
			if forced, high := automatic(DefaultAutomatic(), h, 1200); forced > 0 || (high > 0) != (around > 400) {
				t.Errorf("%s around %v MiB: %d forced collections, %d s at high", name, around, forced, high)
			}
		}
	}
}

func BenchmarkRelieve(b *testing.B) {
	s := heapUnderLimit(200, 400, 0.02)
	var state ReliefState
	b.ReportAllocs()
	for b.Loop() {
		state, _ = Relieve(state, DefaultRelief(), s, ours, epoch)
	}
}

func BenchmarkTune(b *testing.B) {
	s := liveHeap(200)
	var state TunerState
	b.ReportAllocs()
	for b.Loop() {
		state, _ = Tune(state, enabledTuner(), s, epoch)
	}
}
