package bounded

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync"
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
	// keyBytes is what a key costs at most: 16 bytes and a control byte in a slot of a Go map, which is filled to
	// between 7/16 and 7/8 unless it is tiny. keyBytes errs on the high side.
	keyBytes = 40
	// limiterBytes is the limiter without its keys, with two maps of the smallest size.
	limiterBytes = 768
)

// RateLimiterOptions are the settings of a RateLimiter. They are read once, by NewRateLimiter.
type RateLimiterOptions struct {
	// Name identifies the limiter as an Owner: lower-case letters, digits, '_', '.' and '-'. Required.
	Name string
	// Rate is how many requests a second each key may make for good; above 0, at most 1e6. Required.
	Rate float64
	// Burst is how many requests a key may make at once after a pause; at least 1. Required.
	Burst int
	// MaxKeys bounds the keys that are remembered; default 10,000. They take 80 bytes of memory each at most.
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
// Keys are remembered as 64-bit hashes under a seed of the limiter's own, so that the length of a key does not matter,
// and no key's text is kept. Among 10,000 keys two share their state with a probability of 3e-12.
//
// Keys live in two generations. Half of IdleExpiry after the last time, the older one is dropped as a whole (a Go map
// never gives memory back by deletes) and the younger one takes its place; a key that is asked for moves to the
// younger one. This happens in Allow, Usage and Shrink: a limiter that nobody calls keeps what it has.
//
// Under a flood of new keys the known ones keep their state for as long as they are in use; beyond MaxKeys all new keys
// together share one bucket of Rate and Burst, until a generation is dropped.
type RateLimiter struct {
	name     string
	interval time.Duration // T: between two requests of one key at Rate
	refill   time.Duration // τ + T: from an empty bucket to a full one
	half     time.Duration // of IdleExpiry; at least refill, so that only keys with a full bucket are dropped
	burst    int
	maxKeys  int
	clock    func() time.Time
	epoch    time.Time // all times below are since then
	seed     maphash.Seed

	// One mutex for all keys: a call holds it for about as long as it takes to read the clock, some 50 ns.
	mu       sync.Mutex
	young    map[uint64]time.Duration // theoretical arrival times; nothing is ever deleted from it
	old      map[uint64]time.Duration // keys of the generation before, disjoint from young; len(young)+len(old) <= maxKeys
	oldSlots int                      // keys that old had when it was young: its memory
	rotated  time.Duration
	overflow time.Duration // theoretical arrival time of the bucket that keys beyond maxKeys share

	peakKeys, peakBytes int64
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
		name: options.Name, burst: options.Burst, maxKeys: options.MaxKeys, clock: options.Now,
		seed: maphash.MakeSeed(), peakBytes: limiterBytes,
	}
	l.interval, l.refill = options.intervals()
	if options.IdleExpiry == 0 {
		options.IdleExpiry = max(defaultIdleExpiry, 2*l.refill)
	}
	l.half = options.IdleExpiry / 2
	if l.maxKeys == 0 {
		l.maxKeys = defaultMaxKeys
	}
	if l.clock == nil {
		l.clock = time.Now
	}
	l.epoch = l.clock()
	return l, nil
}

// check returns every mistake in the options.
func (o RateLimiterOptions) check() error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("bounded: rate limiter: "+format, args...))
	}
	if o.Name == "" || strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
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
// some 100 ns, and allocates only where a generation grows.
func (l *RateLimiter) Allow(key string) RateDecision {
	hash := maphash.String(l.seed, key)
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rotate(now)

	arrival, young := l.young[hash]
	if !young {
		var known bool
		if arrival, known = l.old[hash]; known {
			delete(l.old, hash)
		} else if len(l.young)+len(l.old) >= l.maxKeys {
			var decision RateDecision
			decision, l.overflow = l.decide(l.overflow, now)
			return decision
		}
	}
	decision, next := l.decide(arrival, now)
	if l.young == nil {
		l.young = make(map[uint64]time.Duration)
	}
	l.young[hash] = next
	if !young {
		l.peakKeys = max(l.peakKeys, int64(len(l.young)+len(l.old)))
		l.peakBytes = max(l.peakBytes, l.bytes())
	}
	return decision
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

// rotate drops the older generation if it is due. A key last used at time t is in young until the first multiple of
// half after t and in old for another half: it goes between t+half and t+2·half.
func (l *RateLimiter) rotate(now time.Duration) {
	switch age := now - l.rotated; {
	case age >= 2*l.half:
		l.old, l.young, l.oldSlots = nil, nil, 0
		l.rotated = now
	case age >= l.half:
		l.old, l.young, l.oldSlots = l.young, nil, len(l.young)
		l.rotated += l.half
	}
}

// now returns the time since the limiter was made.
func (l *RateLimiter) now() time.Duration { return l.clock().Sub(l.epoch) }

// bytes estimates the memory held now. mu is held.
func (l *RateLimiter) bytes() int64 { return limiterBytes + keyBytes*int64(len(l.young)+l.oldSlots) }

// Name returns the name from the options.
func (l *RateLimiter) Name() string { return l.name }

// Usage returns the keys remembered and an upper estimate of their memory. It drops what has expired.
func (l *RateLimiter) Usage() Usage {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rotate(now)
	return Usage{
		Entries:     int64(len(l.young) + len(l.old)),
		MaxEntries:  int64(l.maxKeys),
		PeakEntries: l.peakKeys,
		Bytes:       l.bytes(),
		MaxBytes:    limiterBytes + 2*keyBytes*int64(l.maxKeys), // a key in use leaves its slot in old behind
		PeakBytes:   l.peakBytes,
	}
}

// Shrink forgets all keys that have their whole burst, whatever the number of bytes asked for: they lose nothing but
// their place among MaxKeys. It takes time in proportion to the keys, a millisecond for 10,000.
func (l *RateLimiter) Shrink(_ context.Context, bytes int64) (freed int64) {
	if bytes <= 0 {
		return 0
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.bytes()
	l.rotate(now)
	l.young, l.old = pending(l.young, now), pending(l.old, now)
	l.oldSlots = len(l.old)
	return before - l.bytes()
}

// pending returns the keys whose bucket is not full at now, in a map of their own size.
func pending(keys map[uint64]time.Duration, now time.Duration) map[uint64]time.Duration {
	count := 0
	for _, arrival := range keys {
		if arrival > now {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	kept := make(map[uint64]time.Duration, count)
	for hash, arrival := range keys {
		if arrival > now {
			kept[hash] = arrival
		}
	}
	return kept
}
