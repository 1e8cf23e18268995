package bounded

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var _ Owner = (*RateLimiter)(nil)

// handClock is a clock that the test moves.
type handClock struct{ elapsed atomic.Int64 }

func (c *handClock) now() time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(c.elapsed.Load()))
}
func (c *handClock) advance(pause time.Duration) { c.elapsed.Add(int64(pause)) }

func newLimiter(t testing.TB, options RateLimiterOptions) (*RateLimiter, *handClock) {
	t.Helper()
	clock := new(handClock)
	options.Name, options.Now = "test", clock.now
	limiter, err := NewRateLimiter(options)
	if err != nil {
		t.Fatal(err)
	}
	return limiter, clock
}

func TestRateLimiterAnswersAsHeadersNeedIt(t *testing.T) {
	limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 2, Burst: 3})
	for _, step := range []struct {
		pause time.Duration
		want  RateDecision
	}{
		{0, RateDecision{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: 500 * time.Millisecond}},
		{0, RateDecision{Allowed: true, Limit: 3, Remaining: 1, ResetAfter: 1000 * time.Millisecond}},
		{0, RateDecision{Allowed: true, Limit: 3, Remaining: 0, ResetAfter: 1500 * time.Millisecond}},
		{0, RateDecision{Limit: 3, ResetAfter: 1500 * time.Millisecond, RetryAfter: 500 * time.Millisecond}},
		{499 * time.Millisecond, RateDecision{Limit: 3, ResetAfter: 1001 * time.Millisecond, RetryAfter: time.Millisecond}},
		{time.Millisecond, RateDecision{Allowed: true, Limit: 3, Remaining: 0, ResetAfter: 1500 * time.Millisecond}},
		{1500 * time.Millisecond, RateDecision{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: 500 * time.Millisecond}},
	} {
		clock.advance(step.pause)
		if got := limiter.Allow("a client"); got != step.want {
			t.Errorf("after %s: %+v, want %+v", step.pause, got, step.want)
		}
	}
}

// leakyBucket is the twin of the limiter, from Annex A.2 of the same Recommendation: a continuous-state leaky bucket
// for each key, which forgets none.
type leakyBucket struct {
	interval, tolerance int64
	content, last       map[string]int64
}

func (b *leakyBucket) allow(key string, now int64) bool {
	content := max(0, b.content[key]-(now-b.last[key]))
	if content > b.tolerance {
		return false
	}
	b.content[key], b.last[key] = content+b.interval, now
	return true
}

func TestRateLimiterAgainstLeakyBuckets(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range 50 {
		rate, burst := math.Exp(random.Float64()*8-3), 1+random.IntN(20) // from one in 20 s to 148 a second
		options := RateLimiterOptions{Rate: rate, Burst: burst}
		interval, refill := options.intervals()
		options.IdleExpiry = 2 * refill // the least there may be: forgetting must not show
		limiter, clock := newLimiter(t, options)
		twin := &leakyBucket{int64(interval), int64(burst-1) * int64(interval), map[string]int64{}, map[string]int64{}}
		allowed, first := map[string]int{}, map[string]time.Duration{}

		for step := range 3000 {
			key := "key " + strconv.Itoa(int(random.ExpFloat64()*5))
			now := time.Duration(clock.elapsed.Load())
			got := limiter.Allow(key)
			if want := twin.allow(key, int64(now)); got.Allowed != want {
				t.Fatalf("round %d (rate %v, burst %d), step %d: %q at %s: allowed %t, want %t", round, rate, burst, step, key, now, got.Allowed, want)
			}
			if got.Allowed {
				allowed[key]++
				if _, seen := first[key]; !seen {
					first[key] = now
				}
				if most := burst + int((now-first[key])/interval); allowed[key] > most {
					t.Fatalf("round %d, step %d: %q passed %d times by %s, at most %d fit", round, step, key, allowed[key], now, most)
				}
			}
			checkDecision(t, got, refill)
			switch random.IntN(40) {
			case 0:
				limiter.Shrink(t.Context(), 1)
			case 1:
				clock.advance(time.Duration(random.Float64() * 3 * float64(refill)))
			default:
				clock.advance(time.Duration(random.ExpFloat64() * float64(interval) / 5))
			}
		}
	}
}

// checkDecision reports fields that contradict each other.
func checkDecision(t *testing.T, d RateDecision, refill time.Duration) {
	t.Helper()
	if d.Allowed != (d.RetryAfter == 0) || d.RetryAfter < 0 || d.Remaining < 0 || d.Remaining >= d.Limit ||
		!d.Allowed && d.Remaining != 0 || d.ResetAfter <= 0 || d.ResetAfter > refill || d.RetryAfter > d.ResetAfter {
		t.Fatalf("inconsistent: %+v", d)
	}
}

func TestRateLimiterRetryAfterIsExact(t *testing.T) {
	limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 3, Burst: 2}) // T is not a whole number of nanoseconds
	for range 1000 {
		decision := limiter.Allow("k")
		if decision.Allowed {
			continue
		}
		clock.advance(decision.RetryAfter - 1)
		if limiter.Allow("k").Allowed {
			t.Fatal("allowed a nanosecond before RetryAfter")
		}
		clock.advance(1)
		if !limiter.Allow("k").Allowed {
			t.Fatal("refused after RetryAfter")
		}
	}
}

func TestRateLimiterForgetsIdleKeys(t *testing.T) {
	const expiry = 60 * time.Second
	limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 10, Burst: 10}) // the default expiry
	for _, offset := range []time.Duration{0, 1 * time.Second, 29 * time.Second, 30 * time.Second, 59 * time.Second} {
		clock.advance(offset)
		limiter.Allow("idle")
		entries := func() int64 { return limiter.Usage().Entries }
		clock.advance(expiry/2 - 1)
		if entries() != 1 {
			t.Errorf("used %s after a rotation: forgotten before half of the expiry", offset)
		}
		clock.advance(expiry/2 + 1)
		if entries() != 0 {
			t.Errorf("used %s after a rotation: still remembered after the expiry", offset)
		}
	}
}

func TestRateLimiterForgetsOnTimeHoweverRarelyItIsCalled(t *testing.T) {
	for _, poll := range []time.Duration{time.Second, 17 * time.Second, 21 * time.Second, 29 * time.Second, 45 * time.Second} {
		limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 10, Burst: 10})
		limiter.Allow("idle")
		for idle := poll; idle < 60*time.Second+poll; idle += poll {
			clock.advance(poll)
			if got := limiter.Usage().Entries; got != 0 && idle >= 60*time.Second {
				t.Errorf("called each %s: still remembered after %s", poll, idle)
			}
		}
	}
}

func TestRateLimiterKeepsKeysInUse(t *testing.T) {
	limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 0.1, Burst: 3}) // 30 s to refill
	for range 3 {
		limiter.Allow("busy")
	}
	for second := range 600 {
		clock.advance(time.Second)
		if got, want := limiter.Allow("busy").Allowed, second%10 == 9; got != want {
			t.Fatalf("after %d s: allowed %t, want %t", second+1, got, want)
		}
	}
}

func TestRateLimiterUnderAFloodOfNewKeys(t *testing.T) {
	const maxKeys = 100
	limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 1, Burst: 5, MaxKeys: maxKeys})
	for range 5 {
		limiter.Allow("known")
	}
	shared := 0
	for i := range 10_000 {
		if limiter.Allow("flood "+strconv.Itoa(i)).Allowed && i >= maxKeys-1 {
			shared++
		}
	}
	if shared != 5 {
		t.Errorf("%d requests passed through the shared bucket, want its burst of 5", shared)
	}
	if limiter.Allow("known").Allowed {
		t.Error("a known key lost its state: allowed beyond its burst")
	}
	if usage := limiter.Usage(); usage.Entries != maxKeys || usage.PeakEntries != maxKeys || usage.MaxEntries != maxKeys {
		t.Errorf("usage %+v, want %d entries", usage, maxKeys)
	}
	// The flood goes on; the known key is asked for every second and keeps its own rate for as long.
	for second := range 300 {
		clock.advance(time.Second)
		for i := range 300 {
			limiter.Allow(fmt.Sprintf("flood %d/%d", second, i))
		}
		if decision := limiter.Allow("known"); !decision.Allowed || decision.Remaining != 0 {
			t.Fatalf("after %d s: known key got %+v, want its one request a second", second+1, decision)
		}
		if usage := limiter.Usage(); usage.Entries > maxKeys || usage.Bytes > usage.MaxBytes || usage.PeakBytes > usage.MaxBytes {
			t.Fatalf("after %d s: a bound is passed: %+v", second+1, usage)
		}
	}
	clock.advance(time.Hour)
	if usage := limiter.Usage(); usage.Entries != 0 || usage.Bytes != limiterBytes {
		t.Errorf("after the flood: %+v, want nothing left", usage)
	}
}

func TestRateLimiterShrinkDropsOnlyFullBuckets(t *testing.T) {
	limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 1, Burst: 2, IdleExpiry: time.Hour})
	for i := range 1000 {
		limiter.Allow(strconv.Itoa(i))
	}
	clock.advance(time.Second)
	limiter.Allow("busy")
	limiter.Allow("busy")
	before := limiter.Usage()
	if freed := limiter.Shrink(t.Context(), 0); freed != 0 || limiter.Usage() != before {
		t.Errorf("asked for nothing: freed %d", freed)
	}
	freed := limiter.Shrink(t.Context(), 1)
	after := limiter.Usage()
	if freed != before.Bytes-after.Bytes || after.Entries != 1 || after.PeakEntries != 1001 || after.PeakBytes != before.Bytes {
		t.Errorf("freed %d, from %+v to %+v", freed, before, after)
	}
	if limiter.Allow("busy").Allowed {
		t.Error("an exhausted key was forgotten")
	}
}

// TestRateLimiterMemory compares Usage with the heap, and sees to it that memory comes back.
func TestRateLimiterMemory(t *testing.T) {
	for _, keys := range []int{1000, 9000, 10_000, 50_000} {
		limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 10, Burst: 10, MaxKeys: keys})
		names := make([]string, keys)
		for i := range names {
			names[i] = strings.Repeat("long ", 100) + strconv.Itoa(i)
		}
		before := heapBytes()
		for _, name := range names {
			limiter.Allow(name)
		}
		clock.advance(31 * time.Second)
		for _, name := range names { // all are in use through a sweep
			limiter.Allow(name)
		}
		held, usage := heapBytes()-before, limiter.Usage()
		t.Logf("%d keys: %d bytes on the heap, %d in Usage", keys, held, usage.Bytes)
		if held > usage.Bytes+limiterBytes || held < usage.Bytes-3*limiterBytes || usage.Bytes > usage.MaxBytes {
			t.Errorf("%d keys: %d bytes on the heap, Usage says %+v", keys, held, usage)
		}
		clock.advance(61 * time.Second)
		limiter.Usage()
		if left := heapBytes() - before; left > 16<<10 {
			t.Errorf("%d keys: %d bytes left after they expired", keys, left)
		}
		runtime.KeepAlive(names)
		runtime.KeepAlive(limiter)
	}
}

func heapBytes() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestRateLimiterConcurrently(t *testing.T) {
	const workers, calls, burst = 8, 2000, 100
	limiter, _ := newLimiter(t, RateLimiterOptions{Rate: 10, Burst: burst, MaxKeys: 50})
	var allowed atomic.Int64
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for i := range calls {
				if limiter.Allow("shared").Allowed {
					allowed.Add(1)
				}
				limiter.Allow(strconv.Itoa(worker*calls + i))
				if usage := limiter.Usage(); usage.Entries > usage.MaxEntries {
					t.Errorf("a bound is passed: %+v", usage)
				}
				if i%100 == 0 {
					limiter.Shrink(t.Context(), 1)
				}
			}
		})
	}
	group.Wait()
	if allowed.Load() != burst {
		t.Errorf("the clock stood still: %d passed, want the burst of %d", allowed.Load(), burst)
	}
}

func TestRateLimiterUsageDoesNotAllocate(t *testing.T) {
	limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 10, Burst: 10})
	for i := range 100 {
		limiter.Allow(strconv.Itoa(i))
	}
	if n := testing.AllocsPerRun(100, func() { clock.advance(time.Second); limiter.Usage() }); n != 0 {
		t.Errorf("Usage makes %v allocations, want none", n)
	}
	limiter.Allow("known")
	if n := testing.AllocsPerRun(100, func() { limiter.Allow("known") }); n != 0 {
		t.Errorf("Allow makes %v allocations for a known key, want none", n)
	}
}

func TestNewRateLimiterListsEveryMistake(t *testing.T) {
	for _, test := range []struct {
		options RateLimiterOptions
		want    []string
	}{
		{RateLimiterOptions{}, []string{`name ""`, "rate 0 per second", "burst 0"}},
		{
			RateLimiterOptions{Name: "Upper Case", Rate: math.NaN(), Burst: -1, MaxKeys: -1, IdleExpiry: -1},
			[]string{`name "Upper Case"`, "rate NaN", "burst -1", "max keys -1", "idle expiry -1ns"},
		},
		{RateLimiterOptions{Name: "a", Rate: math.Inf(1), Burst: 1}, []string{"rate +Inf"}},
		{RateLimiterOptions{Name: "a", Rate: 1e-6, Burst: 1}, []string{"takes 1000000 s to refill: want at most 24h0m0s"}},
		{RateLimiterOptions{Name: "a", Rate: 1, Burst: math.MaxInt}, []string{"to refill"}},
		{RateLimiterOptions{Name: "a", Rate: 1, Burst: 10, IdleExpiry: 19 * time.Second}, []string{"idle expiry 19s: want at least 20s"}},
	} {
		_, err := NewRateLimiter(test.options)
		if err == nil {
			t.Errorf("%+v: accepted", test.options)
			continue
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) != len(test.want) {
			t.Errorf("%+v: %d mistakes, want %d:\n%v", test.options, len(lines), len(test.want), err)
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v\nlacks %q", test.options, err, want)
			}
		}
	}
}

func TestNewRateLimiterDefaults(t *testing.T) {
	limiter, err := NewRateLimiter(RateLimiterOptions{Name: "plain", Rate: 1e6, Burst: 1})
	if err != nil {
		t.Fatal(err)
	}
	if limiter.Name() != "plain" || limiter.Usage().MaxEntries != 10_000 || limiter.half != 30*time.Second || !limiter.Allow("").Allowed {
		t.Errorf("defaults: %+v", limiter.Usage())
	}
	slow, err := NewRateLimiter(RateLimiterOptions{Name: "slow", Rate: 1.0 / 3600, Burst: 10})
	if err != nil {
		t.Fatal(err)
	}
	if slow.half != 10*time.Hour {
		t.Errorf("a key that takes 10 h to refill is sure for %s, want 10h", slow.half)
	}
}
