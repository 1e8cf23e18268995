package bounded

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"sync/atomic"
	"time"
)

const (
	defaultMaxKeys    = 10_000
	defaultIdleExpiry = time.Minute
	// maxRate keeps the interval between two requests at a microsecond or more, so that rounding it to whole
	// nanoseconds changes a rate by less than 0.1 %.
	maxRate = 1e6
	// maxRefill bounds how long a key must be remembered.
	maxRefill = 24 * time.Hour
	// limiterBytes is the limiter without its keys' slots.
	limiterBytes = 5 << 10
)

// RateLimiterOptions are the settings of a RateLimiter. They are read once, by NewRateLimiter.
type RateLimiterOptions struct {
	// Name identifies the limiter as an Owner: lower-case letters, digits, '_', '.' and '-'. Required.
	Name string
	// Rate is how many requests a second each key may make for good; above 0, at most 1e6. Required.
	Rate float64
	// Burst is how many requests a key may make at once after a pause; at least 1. Required.
	Burst int
	// MaxKeys bounds the keys that are remembered; default 10,000. They take 40 bytes of memory each at most,
	// and some 25 where they are many.
	MaxKeys int
	// IdleExpiry is how long a key that is not asked for is remembered at most; at least half of it is sure. A
	// forgotten key has its whole burst again, so this must be at least twice the time that Burst takes to refill
	// (Burst / Rate). Default: 60 s, or twice the time to refill where that is longer.
	IdleExpiry time.Duration
	// Now is the clock, which must not run backwards; default time.Now.
	Now func() time.Time
}

// RateLimiter limits how often each key (a client's address, an account) may do something. It is safe for concurrent
// use, starts no goroutine and implements Owner.
//
// Each key follows the generic cell rate algorithm: ITU-T Recommendation I.371 (03/2004), Annex A.1, virtual
// scheduling, with T = 1/Rate and τ = (Burst − 1)·T. It needs one time per key and no timer, and spaces requests
// exactly, where counters of fixed windows let twice the rate pass at a window's edge.
//
// Keys are remembered as 62-bit hashes under a seed of the limiter's own, so that the length of a key does not matter,
// and no key's text is kept. Among 10,000 keys two share their state with a probability of 1e-11.
//
// Time is cut into pieces of half of IdleExpiry. With each new piece the keys are dropped that were not asked for in
// the whole of the last one, and their memory with them. This happens in Allow, Usage and Shrink: a limiter that
// nobody calls keeps what it has.
//
// Under a flood of new keys the known ones keep their state for as long as they are in use; beyond MaxKeys all new keys
// together share one bucket of Rate and Burst, until others are dropped. MaxKeys is never passed, whoever calls.
type RateLimiter struct {
	name     string
	interval time.Duration // T: between two requests of one key at Rate
	refill   time.Duration // τ + T: from an empty bucket to a full one
	half     time.Duration // of IdleExpiry; at least refill, so that only keys with a full bucket are dropped
	burst    int
	maxKeys  int64
	clock    func() time.Duration // since the limiter was made, as all times below
	seed     maphash.Seed

	// Each key belongs to one of the shards, by its hash, so that calls for different keys seldom wait for each other.
	shards [rateShards]rateShard

	keys, bytes gauge        // over all shards: slots are given back before their keys, taken after them
	due         atomic.Int64 // a time.Duration, at or before the due of every shard
	overflow    atomic.Int64 // theoretical arrival time of the bucket that keys beyond maxKeys share
}

// RateDecision is the answer to one request. Its fields fill the RateLimit and Retry-After headers.
type RateDecision struct {
	Allowed bool
	// Limit is Burst; Remaining is how many more requests would be allowed at once.
	Limit, Remaining int
	// ResetAfter is the time until the whole burst is there again.
	ResetAfter time.Duration
	// RetryAfter is the time until a request would be allowed; 0 if this one was.
	RetryAfter time.Duration
}

// NewRateLimiter returns a limiter, or an error that lists every mistake in the options.
func NewRateLimiter(options RateLimiterOptions) (*RateLimiter, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	l := &RateLimiter{
		name: options.Name, burst: options.Burst, maxKeys: int64(options.MaxKeys), clock: sinceNow(options.Now),
		seed: maphash.MakeSeed(),
	}
	l.interval, l.refill = options.intervals()
	if options.IdleExpiry == 0 {
		options.IdleExpiry = max(defaultIdleExpiry, 2*l.refill)
	}
	l.half = options.IdleExpiry / 2
	if l.maxKeys == 0 {
		l.maxKeys = defaultMaxKeys
	}
	l.bytes.add(limiterBytes)
	l.due.Store(int64(l.half))
	for i := range l.shards {
		l.shards[i].due.Store(int64(l.half))
	}
	return l, nil
}

// sinceNow returns a clock that tells the time since this call by clock, or by the runtime's monotonic clock if that
// is nil: reading it alone takes half of what time.Now takes.
func sinceNow(clock func() time.Time) func() time.Duration {
	if clock == nil {
		epoch := time.Now()
		return func() time.Duration { return time.Since(epoch) }
	}
	epoch := clock()
	return func() time.Duration { return clock().Sub(epoch) }
}

// check returns every mistake in the options.
func (o RateLimiterOptions) check() error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("bounded: rate limiter: "+format, args...))
	}
	if !validName(o.Name) {
		mistake("name %q: want lower-case letters, digits, '_', '.' and '-'", o.Name)
	}
	if o.MaxKeys < 0 {
		mistake("max keys %d: want 1 or more", o.MaxKeys)
	}
	if o.Burst < 1 {
		mistake("burst %d: want 1 or more", o.Burst)
	}
	if o.IdleExpiry < 0 {
		mistake("idle expiry %s: want above 0", o.IdleExpiry)
	}
	if !(o.Rate > 0 && o.Rate <= maxRate) { // NaN too
		mistake("rate %v per second: want above 0 and at most %g", o.Rate, maxRate)
	} else if seconds := float64(o.Burst) / o.Rate; seconds > maxRefill.Seconds() {
		mistake("burst %d at a rate of %v per second takes %.0f s to refill: want at most %s", o.Burst, o.Rate, seconds, maxRefill)
	} else if _, refill := o.intervals(); o.IdleExpiry > 0 && o.IdleExpiry < 2*refill {
		mistake("idle expiry %s: want at least %s, twice what a burst takes to refill: a key forgotten earlier would have its burst anew",
			o.IdleExpiry, 2*refill)
	}
	return errors.Join(mistakes...)
}

// intervals returns T and the time that an empty bucket takes to refill.
func (o RateLimiterOptions) intervals() (interval, refill time.Duration) {
	interval = time.Duration(math.Round(float64(time.Second) / o.Rate))
	return interval, time.Duration(o.Burst) * interval
}

// Allow counts a request of a key and decides on it. A request that is not allowed costs the key nothing. It takes
// some 80 ns, or two cache misses more among a million keys, takes no lock for a key that is known, and allocates only
// where room for new keys is made. The first call after half of IdleExpiry for a shard, a 64th of the keys, looks through
// them: 0.2 ms for a million keys.
func (l *RateLimiter) Allow(key string) RateDecision {
	tag := tagOf(maphash.String(l.seed, key))
	now := l.clock()
	s := &l.shards[tag.shard()]
	if now < time.Duration(s.due.Load()) {
		if decision, known := l.allowKnown(s.slots(), tag, now); known {
			return decision
		}
	}
	decision, known := l.allow(s, tag, now)
	if !known && l.sweep(now) {
		decision, known = l.allow(s, tag, now)
	}
	if !known {
		return l.allowTogether(now)
	}
	return decision
}

// allowKnown decides by the key's own bucket, without a lock. It returns false if the key is not in the table, or has just
// been moved out of it. That a key was asked for is noted first: when the arrival was still there after that, then whoever
// moves it later sees the note.
func (l *RateLimiter) allowKnown(slots []rateSlot, tag keyTag, now time.Duration) (decision RateDecision, known bool) {
	slot, found := find(slots, tag)
	if found == 0 {
		return decision, false
	}
	slot.touch(found)
	for {
		arrival := slot.arrival.Load()
		if arrival == moved {
			return decision, false
		}
		decision, next := l.decide(time.Duration(arrival), now)
		if !decision.Allowed || slot.arrival.CompareAndSwap(arrival, int64(next)) {
			return decision, true
		}
	}
}

// allow decides by the key's own bucket, which it makes for a key that is new. It returns false if there is no room for it.
func (l *RateLimiter) allow(s *rateShard, tag keyTag, now time.Duration) (decision RateDecision, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.sweepShard(s, now)
	if decision, known := l.allowKnown(s.slots(), tag, now); known {
		return decision, true
	}
	if !l.keys.reserve(l.maxKeys) {
		return decision, false
	}
	l.bytes.add(s.makeRoom())
	s.keys++
	slot, _ := find(s.slots(), tag)
	decision, next := l.decide(0, now)
	slot.put(rateKey{tag | tagRecent, next})
	return decision, true
}

// allowTogether decides by the bucket of all keys that there is no room for.
func (l *RateLimiter) allowTogether(now time.Duration) RateDecision {
	for {
		arrival := l.overflow.Load()
		decision, next := l.decide(time.Duration(arrival), now)
		if !decision.Allowed || l.overflow.CompareAndSwap(arrival, int64(next)) {
			return decision
		}
	}
}

// decide is the algorithm: arrival is the theoretical arrival time of the next request, which a request made by then
// conforms to; requests may be early by what the burst allows. It returns the decision and the new theoretical time.
func (l *RateLimiter) decide(arrival, now time.Duration) (RateDecision, time.Duration) {
	next := max(arrival, now) + l.interval
	if early := next - now - l.refill; early > 0 {
		return RateDecision{Limit: l.burst, ResetAfter: arrival - now, RetryAfter: early}, arrival
	}
	return RateDecision{
		Allowed:    true,
		Limit:      l.burst,
		Remaining:  int((l.refill - (next - now)) / l.interval),
		ResetAfter: next - now,
	}, next
}

// sweep drops what has expired from all shards, and reports whether it was time to.
func (l *RateLimiter) sweep(now time.Duration) bool {
	due := l.due.Load()
	if int64(now) < due {
		return false
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		l.sweepShard(s, now)
		s.mu.Unlock()
	}
	l.due.CompareAndSwap(due, int64(l.nextSweep(now)))
	return true
}

// sweepShard drops what has expired from a shard, if that is due. A key last used at time t is recent until the first
// multiple of half after t, and kept for another half: it goes between t+half and t+2·half. s.mu is held.
func (l *RateLimiter) sweepShard(s *rateShard, now time.Duration) {
	due := time.Duration(s.due.Load())
	if now < due {
		return
	}
	all := now >= due+l.half
	s.due.Store(int64(l.nextSweep(now)))
	l.retain(s, func(key rateKey) bool { return !all && key.tag&tagRecent != 0 })
	for i := range s.slots() {
		s.slots()[i].tag.And(^uint64(tagRecent))
	}
}

// nextSweep returns the first multiple of half after now.
func (l *RateLimiter) nextSweep(now time.Duration) time.Duration { return now - now%l.half + l.half }

// retain drops the keys of a shard that keep does not keep, and returns the bytes that this freed. s.mu is held.
func (l *RateLimiter) retain(s *rateShard, keep func(rateKey) bool) (freed int64) {
	dropped, freed := s.retain(keep)
	l.bytes.add(-freed)
	l.keys.add(-int64(dropped))
	return freed
}

// Name returns the name from the options.
func (l *RateLimiter) Name() string { return l.name }

// Usage returns the keys remembered and their memory. It drops what has expired, which takes some microseconds every
// half of IdleExpiry, or 10 ms for a million keys, and allocates where some keys of a shard go and some stay.
func (l *RateLimiter) Usage() Usage {
	l.sweep(l.clock())
	return Usage{
		Entries:     l.keys.now.Load(),
		MaxEntries:  l.maxKeys,
		PeakEntries: l.keys.peak.Load(),
		Bytes:       l.bytes.now.Load(),
		MaxBytes:    limiterBytes + rateShards*rateMinSlots*rateSlotBytes + keyBytes*l.maxKeys,
		PeakBytes:   l.bytes.peak.Load(),
	}
}

// Shrink forgets all keys that have their whole burst, whatever the number of bytes asked for: they lose nothing but
// their place among MaxKeys. It takes time in proportion to the keys, a tenth of a millisecond for 10,000.
func (l *RateLimiter) Shrink(_ context.Context, bytes int64) (freed int64) {
	if bytes <= 0 {
		return 0
	}
	now := l.clock()
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		freed += l.retain(s, func(key rateKey) bool { return key.arrival > now })
		s.mu.Unlock()
	}
	return freed
}
