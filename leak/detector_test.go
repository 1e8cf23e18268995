package leak

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func newDetector(t *testing.T, o Options) *Detector {
	t.Helper()
	d, err := NewDetector(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// process is a made-up process, seen every half second through windows of 45 s and more.
type process struct {
	t   *testing.T
	d   *Detector
	now time.Time
	o   Observation
}

func newProcess(t *testing.T) *process {
	return &process{t, newDetector(t, Options{Window: 45 * time.Second, Interval: 500 * time.Millisecond}), time.Unix(1000, 0), NothingSeen()}
}

// run goes on for some time, and calls step for each half second with the seconds that have passed.
func (p *process) run(d time.Duration, step func(second float64)) {
	for at := time.Duration(0); at < d; at += 500 * time.Millisecond {
		p.now = p.now.Add(500 * time.Millisecond)
		step(at.Seconds())
		p.d.Add(p.now, p.o)
	}
}

func (p *process) want(kind Kind, verdict Verdict) Finding {
	p.t.Helper()
	f := p.d.Findings()[kind]
	if f.Verdict != verdict {
		p.t.Errorf("%s: %s (%s), want %s", kind, f.Verdict, f.Reason, verdict)
	}
	return f
}

// TestFastLeak: a leak of seconds is found with windows of seconds, within two minutes, by its site; it is confirmed, and
// forgotten when all is given back.
func TestFastLeak(t *testing.T) {
	const mib = 1 << 20
	p := newProcess(t)
	p.o.Values[Heap] = 12 * mib
	p.run(20*time.Second, func(float64) {})
	p.want(Heap, Insufficient)
	p.run(70*time.Second, func(float64) {})
	p.want(Heap, Healthy)
	suspected, confirmed := math.Inf(1), math.Inf(1)
	p.run(120*time.Second, func(second float64) {
		p.o.Values[Heap] += 0.125 * mib
		if p.d.SitesDue(Heap) {
			p.d.AddSites(Heap, []Site{{"leaks", p.o.Values[Heap] - 12*mib}, {"stays", 10 * mib}, {"small", mib + second}})
		}
		switch p.d.Findings()[Heap].Verdict {
		case Suspect:
			suspected = min(suspected, second)
		case Confirmed:
			confirmed = min(confirmed, second)
		}
	})
	if suspected > 93 || confirmed > 108 {
		t.Errorf("suspected after %.1f s, confirmed after %.1f s", suspected, confirmed)
	}
	f := p.want(Heap, Confirmed)
	if f.Rule != Fast || len(f.Sites) != 1 || f.Sites[0].Name != "leaks" || f.Sites[0].Share < 0.5 || math.Abs(f.PerSecond/mib-0.25) > 0.05 {
		t.Errorf("%+v", f)
	}
	if left, ok := f.Left(f.To + 15*mib); !ok || math.Abs(left.Seconds()-60) > 12 {
		t.Errorf("left: %s, %v", left, ok)
	}
	if _, ok := f.Left(0); ok {
		t.Error("something is left of no limit")
	}
	p.run(45*time.Second, func(float64) {}) // it rests for a window: what is told is the rise as a whole
	if rested := p.want(Heap, Confirmed); rested.To <= f.To || rested.PerSecond < f.PerSecond/3 || rested.Rise != rested.To-rested.From {
		t.Errorf("%s; %v a second before", rested.Reason, f.PerSecond)
	}
	p.o.Values[Heap] = 12 * mib
	p.run(45*time.Second, func(float64) {})
	p.want(Heap, Healthy)
}

// TestGoroutineLeak: ten goroutines a second, from the start; they are never said to be well.
func TestGoroutineLeak(t *testing.T) {
	p := newProcess(t)
	p.o.Values[Goroutines] = 20
	p.run(120*time.Second, func(second float64) {
		if f := p.d.Findings()[Goroutines]; f.Verdict == Healthy {
			t.Fatalf("%s after %.1f s: %s", f.Verdict, second, f.Reason)
		}
		p.o.Values[Goroutines] += 5
		if p.d.SitesDue(Goroutines) {
			p.d.AddSites(Goroutines, []Site{{"chan receive at main.wait", p.o.Values[Goroutines] - 20}})
		}
	})
	if f := p.want(Goroutines, Confirmed); len(f.Sites) != 1 || !strings.HasPrefix(f.Reason, "goroutines rose from ") {
		t.Errorf("%+v", f)
	}
	p.want(Heap, Insufficient)
}

// TestALeakThatStops: what has stopped to grow is no longer suspected, even if nothing was given back.
func TestALeakThatStops(t *testing.T) {
	p := newProcess(t)
	p.o.Values[Descriptors] = 50
	p.run(88*time.Second, func(float64) { p.o.Values[Descriptors]++ })
	p.want(Descriptors, Suspect)
	p.run(200*time.Second, func(float64) {})
	p.want(Descriptors, Healthy)
}

// TestLookAlikes of seconds are quiet.
func TestLookAlikes(t *testing.T) {
	const mib = 1 << 20
	random := rand.New(rand.NewPCG(1, 2))
	for name, value := range map[string]func(second float64) float64{
		"flat":     func(float64) float64 { return 30*mib + random.Float64()*mib },
		"warm-up":  func(s float64) float64 { return 10*mib + 100*mib*(1-math.Exp(-s/20)) },
		"step":     func(s float64) float64 { return 10*mib + 50*mib*math.Floor(s/100) },
		"sawtooth": func(s float64) float64 { return 10*mib + mib*math.Mod(s, 40) },
		"small":    func(s float64) float64 { return 1*mib + s*4096 },
	} {
		p := newProcess(t)
		p.run(290*time.Second, func(s float64) {
			p.o.Values[Heap] = value(s)
			if f := p.d.Findings()[Heap]; f.Verdict >= Suspect {
				t.Fatalf("%s: %+v", name, f)
			}
		})
	}
}

// TestOddClocksAndValues: a clock that jumps and a process that was stopped make no leak, and what is no number is left
// out.
func TestOddClocksAndValues(t *testing.T) {
	p := newProcess(t)
	p.o.Values[Threads] = 10
	for range 20 {
		p.run(5*time.Second, func(float64) {})
		p.now = p.now.Add(time.Hour) // as long as it was stopped, it did nothing
		p.run(5*time.Second, func(float64) {})
		p.now = p.now.Add(-2 * time.Hour)
	}
	p.want(Threads, Healthy)
	before := fmt.Sprint(p.d.Findings())
	for _, odd := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1} {
		for kind := range p.o.Values {
			p.o.Values[kind] = odd
		}
		p.o.Load = odd
		p.run(100*time.Second, func(float64) {})
	}
	if after := fmt.Sprint(p.d.Findings()); after != before {
		t.Errorf("%s\nwas\n%s", after, before)
	}
}

// TestBounds: neither time nor sites make a detector larger than it may be.
func TestBounds(t *testing.T) {
	p := newProcess(t)
	p.o.Values[Heap] = 1
	for round := range 40 {
		var sites []Site
		for i := range 2 * MaxSites {
			sites = append(sites, Site{fmt.Sprint(round, i), float64(i)})
		}
		p.d.AddSites(Heap, sites)
	}
	p.run(3*time.Hour, func(float64) {})
	s := p.d.series[Heap]
	for _, scale := range s.scales {
		if len(scale.buckets) > horizonBuckets {
			t.Errorf("%d buckets", len(scale.buckets))
		}
	}
	for i, h := range s.sites {
		if most := []int{MaxSites, maxLongSites, maxLongSites}[i]; len(h.at) == 0 || len(h.at) > siteSamples || len(h.rows) > len(h.at)*most {
			t.Errorf("%d samples of %d sites in all, want %d at most in each", len(h.at), len(h.rows), most)
		}
	}
	if h := s.sites[0]; len(h.at) != siteSamples || len(h.rows) != siteSamples*MaxSites {
		t.Errorf("%d samples of %d sites in all", len(h.at), len(h.rows))
	}
}

func TestOptions(t *testing.T) {
	_, err := NewDetector(Options{Window: time.Millisecond, Interval: time.Hour, MinRise: math.NaN()})
	if err == nil || strings.Count(err.Error(), "leak: ") != 3 {
		t.Errorf("%v", err)
	}
	for _, name := range []string{Verdict(9).String(), Kind(9).String()} {
		if !strings.HasSuffix(name, "(9)") {
			t.Error(name)
		}
	}
	for _, kind := range Kinds() {
		if text, err := kind.MarshalText(); err != nil || len(text) == 0 {
			t.Errorf("%q, %v", text, err)
		}
	}
	if text, err := Confirmed.MarshalText(); err != nil || string(text) != "confirmed" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestEffectOfLoad: what the load takes is found beside growth of its own, and not where the two cannot be told apart.
func TestEffectOfLoad(t *testing.T) {
	var told, together, still []bucket
	for i := range 200 {
		load := 100 + 50*math.Sin(float64(i)/10)
		told = append(told, bucket{least: 1000 + 3*load + 2*float64(i), load: load})
		together = append(together, bucket{least: 1000 + 3*float64(i), load: float64(i)})
		still = append(still, bucket{least: float64(i), load: 100})
	}
	if e, known := effectOf(told); !known || math.Abs(float64(e)-3) > 1e-6 {
		t.Errorf("%v, %v, want 3", e, known)
	}
	var beside []bucket
	for i := range 200 { // what warms up, and a load that has nothing to do with it
		beside = append(beside, bucket{least: 1000 * (1 - math.Exp(-float64(i)/60)), load: 100 + 50*math.Sin(float64(i)/30)})
	}
	if e, known := effectOf(beside); !known || e != 0 {
		t.Errorf("a load beside a warm-up: %v, %v, want 0", e, known)
	}
	if _, known := effectOf(together); known {
		t.Error("load and time went together: want nothing known")
	}
	if e := effectAtMost(together); math.Abs(float64(e)-3) > 1e-6 {
		t.Errorf("at most %v, want 3", e)
	}
	if e := effectAtMost(still); e != 0 {
		t.Errorf("a load that is still: %v", e)
	}
	if e := effectAtMost([]bucket{{1, math.NaN()}}); e != 0 {
		t.Errorf("no load: %v", e)
	}
}

// BenchmarkAdd is a second of a process that is watched for long.
func BenchmarkAdd(b *testing.B) {
	d, err := NewDetector(Options{})
	if err != nil {
		b.Fatal(err)
	}
	o, now := NothingSeen(), time.Unix(0, 0)
	for kind := range o.Values {
		o.Values[kind] = 1e8
	}
	second := func() {
		now = now.Add(time.Second)
		o.Values[Heap] += 1000
		d.Add(now, o)
	}
	for range 200_000 {
		second()
	}
	for b.Loop() {
		second()
	}
}
