package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

// plan is how much of a soak there is.
type plan struct {
	measure time.Duration // after the warm-up
	warm    time.Duration // at most until all parts have been at their bounds
	settle  time.Duration // from when all parts have been at their bounds to the end of the warm-up
	every   time.Duration // between two samples
	samples int           // at least, however long they take on a busy machine
	faults  time.Duration // between two faults of the network
	calm    bool          // no faults while it is measured: to recover from one takes as long as that
	share   int           // bounds are this part of those of the full soak
	alpha   float64       // level of significance, two-sided
	seed    uint64
}

// patience is for the end, on however busy a machine.
const patience = 2 * time.Minute

// fullPlan is the soak that is promised. Of a hundred soaks of parts that do not leak one may fail.
func fullPlan(measure time.Duration) plan {
	every := max(measure/120, 250*time.Millisecond)
	return plan{
		measure: measure, warm: 10 * time.Minute, settle: max(20*time.Second, measure/10), every: every, samples: 60,
		faults: 30 * time.Second, share: 1, alpha: 0.01,
	}
}

// shortPlan is run with every change: so it must not fail by chance.
var shortPlan = plan{
	measure: 10 * time.Second, warm: 2 * time.Minute, settle: 3 * time.Second, every: 200 * time.Millisecond, samples: 50,
	faults: 3 * time.Second, calm: true, share: 16, alpha: 1e-4,
}

// TestSoak has all parts at their bounds under a random load, and the live heap must not grow. The short one then has
// one of the parts lose 128 KiB a second, which must be found in the same time.
func TestSoak(t *testing.T) {
	p := shortPlan
	switch {
	case *duration > 0:
		p = fullPlan(*duration)
	case *long:
		p = fullPlan(longDuration)
	}
	if p.seed = *seed; p.seed == 0 {
		p.seed = rand.Uint64()
	}
	fmt.Printf("soak: seed %d (-seed %d repeats the load)\n", p.seed, p.seed)
	s := begin(t, p)
	s.loss.rate(*leak)
	s.warmUp()
	report := s.measure()
	report.print(os.Stdout)
	if len(report.verdicts()) > 0 && p.share > 1 {
		// On a starved machine the parts may settle for longer than the short warm-up. What leaks leaks again.
		report = s.measure()
		report.print(os.Stdout)
	}
	for _, sentence := range report.verdicts() {
		t.Error(sentence)
	}
	if p.share > 1 && *leak == 0 {
		s.mustFindLeak(128 << 10)
	}
	s.end()
}

// mustFindLeak has a part lose so many bytes a second, without which the verdict before would mean nothing.
func (s *soak) mustFindLeak(bytes int64) {
	s.t.Helper()
	s.loss.rate(bytes)
	report := s.measure()
	heap := report.series[0].trend
	s.t.Logf("with a leak of %d B/s: slope %.0f B/s (%.0f to %.0f), p %.1g", bytes, heap.Slope, heap.Low, heap.High, heap.P)
	if !heap.Distinguishable(s.plan.alpha) || heap.Slope < float64(bytes)/2 || heap.Slope > float64(bytes)*3/2 {
		s.t.Errorf("a leak of %d B/s was not found: %+v", bytes, heap)
	}
}

// soak is the parts at their bounds, and what loads them.
type soak struct {
	t    *testing.T
	plan plan

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	closes []func(context.Context) error // in the order of opening

	// gate is held for reading by whoever does something to a part, and for writing while a sample is taken, so that the
	// requests of that moment are not taken for growth or for the lack of it.
	gate    sync.RWMutex
	streams uint64   // of random numbers, given out so far
	loads   []func() // begun once all parts are there
	random  *rand.Rand

	operations, failures atomic.Int64
	parts                []part
	servers              []string                       // what runs beside, with versions, or is left out
	faults               []func()                       // of networks; each is over when it returns
	recovery             func() (recovered func() bool) // from the faults so far; nil where there are none
	warm                 time.Duration
	loss                 loss
}

// part is an owner, and when it has been at its bound.
type part struct {
	bounded.Owner
	full func() bool
}

// begin starts all parts and their load.
func begin(t *testing.T, p plan) *soak {
	t.Helper()
	s := &soak{t: t, plan: p, random: rand.New(rand.NewPCG(p.seed, 0))}
	s.ctx, s.cancel = context.WithCancel(t.Context())
	t.Cleanup(s.cancel) // where the test ends early
	s.addCaches()
	s.addRetention()
	s.addRateLimiter()
	s.addTopic()
	s.addHTTP()
	s.addPostgres()
	s.addRedis()
	for _, load := range s.loads {
		s.work.Go(load)
	}
	return s
}

// end stops the load and closes all parts, those first that were opened last.
func (s *soak) end() {
	s.t.Helper()
	s.cancel()
	s.work.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), patience)
	defer cancel()
	for i := len(s.closes) - 1; i >= 0; i-- {
		if err := s.closes[i](ctx); err != nil {
			s.t.Error(err)
		}
	}
}

// add has an owner watched.
func (s *soak) add(o bounded.Owner, full func() bool) {
	s.parts = append(s.parts, part{o, full})
}

// closing has something closed at the end.
func (s *soak) closing(what string, end func(context.Context) error) {
	s.closes = append(s.closes, func(ctx context.Context) error {
		if err := end(ctx); err != nil {
			return fmt.Errorf("close %s: %w", what, err)
		}
		return nil
	})
}

// peaked reports whether an owner has had as many entries, or nearly as many bytes, as it may.
func peaked(o bounded.Owner) func() bool {
	return func() bool {
		u := o.Usage()
		return u.PeakEntries == u.MaxEntries || u.MaxBytes > 0 && u.PeakBytes >= u.MaxBytes/100*98
	}
}

// drive will have so many workers do something again and again with random numbers of their own and random pauses between.
// An operation is over when do returns, and do returns soon.
func (s *soak) drive(workers int, pause time.Duration, do func(*rand.Rand)) {
	for range workers {
		s.streams++
		random := rand.New(rand.NewPCG(s.plan.seed, s.streams))
		s.loads = append(s.loads, func() {
			for s.ctx.Err() == nil {
				s.gate.RLock()
				do(random)
				s.gate.RUnlock()
				s.operations.Add(1)
				time.Sleep(rand.N(pause))
			}
		})
	}
}

// fail tells of what must not happen, once for each operation.
func (s *soak) fail(err error) {
	if s.ctx.Err() == nil && s.failures.Add(1) <= 10 {
		s.t.Error(err)
	}
}

// warmUp returns when all parts have been at their bounds, and settled.
func (s *soak) warmUp() {
	s.t.Helper()
	began := time.Now()
	for {
		var waiting []string
		for _, p := range s.parts {
			if !p.full() {
				waiting = append(waiting, fmt.Sprintf("%s %+v", p.Name(), p.Usage()))
			}
		}
		if len(waiting) == 0 {
			break
		}
		if time.Since(began) > s.plan.warm {
			s.t.Fatalf("not at their bounds after %v: %q", s.plan.warm, waiting)
		}
		s.disturb(s.plan.every)
	}
	if s.plan.calm {
		s.recover(began)
	}
	s.disturb(s.plan.settle)
	s.warm = time.Since(began)
	fmt.Printf("soak: all parts have been at their bounds, after %v; measuring for %v\n", s.warm.Round(time.Second), s.plan.measure)
}

// recover has each fault once, waits until all have recovered, and ends the faults.
func (s *soak) recover(began time.Time) {
	s.t.Helper()
	for _, fault := range s.faults {
		fault()
	}
	s.faults = nil
	recovered := func() bool { return true }
	if s.recovery != nil {
		recovered = s.recovery()
	}
	for !recovered() {
		if time.Since(began) > s.plan.warm {
			s.t.Fatalf("not recovered from a fault of the network after %v", s.plan.warm)
		}
		time.Sleep(s.plan.every)
	}
}

// disturb lets time pass, with the networks' faults.
func (s *soak) disturb(d time.Duration) {
	deadline := time.Now().Add(d)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return
		}
		time.Sleep(min(left, s.plan.faults))
		if len(s.faults) > 0 && s.random.Float64() < float64(min(left, s.plan.faults))/float64(s.plan.faults) {
			s.faults[s.random.IntN(len(s.faults))]()
		}
	}
}

// measure takes samples.
func (s *soak) measure() report {
	s.t.Helper()
	began, done := time.Now(), s.operations.Load()
	r := newReport(s)
	for next := began; time.Since(began) <= s.plan.measure || len(r.at) < s.plan.samples; {
		s.sample(&r, time.Since(began))
		next = next.Add(s.plan.every)
		s.disturb(time.Until(next))
	}
	r.took, r.operations = time.Since(began), s.operations.Load()-done
	r.judge()
	return r
}

// sample stops the load and looks at what there is.
func (s *soak) sample(r *report, at time.Duration) {
	s.gate.Lock()
	defer s.gate.Unlock()
	for range 2 { // what lies in a sync.Pool outlives one collection
		runtime.GC()
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(live)
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Error(err)
	}
	r.add(at, float64(live[0].Value.Uint64()), float64(live[1].Value.Uint64()), float64(runtime.NumGoroutine()), float64(len(descriptors)))
	for i, p := range s.parts {
		u := p.Usage()
		if over(u) {
			s.t.Errorf("%s is beyond its bound: %+v", p.Name(), u)
		}
		r.usages[i] = u
	}
}

// over reports whether a bound is passed, now or before.
func over(u bounded.Usage) bool {
	entries := u.MaxEntries != bounded.NotApplicable && max(u.Entries, u.PeakEntries) > u.MaxEntries
	bytes := u.MaxBytes != bounded.NotApplicable && max(u.Bytes, u.PeakBytes) > u.MaxBytes
	return entries || bytes
}

// loss is a leak on demand: what a part gives it is never let go.
type loss struct {
	mu      sync.Mutex
	begun   time.Time
	perSec  int64
	lost    int64
	forever [][]byte
}

// rate begins to lose so many bytes a second.
func (l *loss) rate(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun, l.perSec, l.lost = time.Now(), bytes, 0
}

// take keeps a value, if that much is to be lost by now.
func (l *loss) take(value []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if float64(l.lost) < time.Since(l.begun).Seconds()*float64(l.perSec) {
		l.lost += int64(cap(value))
		l.forever = append(l.forever, value)
	}
}
