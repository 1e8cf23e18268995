package redis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/memwarden/memwarden/bounded"
)

const (
	defaultPrefix = "memwarden:"
	// defaultPatience is how long an exchange may take before an instance goes on alone.
	defaultPatience = 50 * time.Millisecond
	maxPrefix       = 128
)

// MaxRate is the highest rate that a RateLimiter shares, in requests a second. It keeps the interval between two of them
// at 100 µs or more, so that rounding it to whole microseconds changes a rate by 0.5 % at most.
const MaxRate = 1e4

// RateLimiterOptions are the settings of a RateLimiter. They are read once, by NewRateLimiter. Instances that share
// limits have the same Prefix, Name, Rate and Burst.
type RateLimiterOptions struct {
	// Client is where the limits are shared; Redis 5 or later. Required; the limiter does not close it.
	Client goredis.Scripter
	// Prefix begins the keys in Redis; default "memwarden:", at most 128 bytes. They go on with "rate:", Name and a hash.
	Prefix string
	// Name identifies the limiter in Redis and as an Owner: lower-case letters, digits, '_', '.' and '-'. Required.
	Name string
	// Rate is how many requests a second each key may make for good; above 0, at most MaxRate. Required.
	Rate float64
	// Burst is how many requests a key may make at once after a pause; at least 1. Required.
	Burst int
	// MaxKeys bounds the keys that this instance remembers for when it is alone; default 10,000. In Redis keys are not
	// counted: each is gone once its burst is refilled.
	MaxKeys int
	// Timeout is how long Redis may take to decide; at least 1 ms, default 50 ms.
	Timeout time.Duration
	// Now is the clock of this instance, which must not run backwards; default time.Now. Shared limits go by the clock
	// of Redis.
	Now func() time.Time
}

// RateLimiter limits how often each key may do something, over all instances of a service together. It is safe for
// concurrent use, starts no goroutine and implements Owner for what it remembers itself.
//
// It follows the algorithm of bounded.RateLimiter (ITU-T I.371, virtual scheduling), kept in Redis: one time per key,
// in microseconds, read and written by one script in one round trip. Keys are known there by a hash of 128 bits, so
// that neither their length nor their text matters. They expire when their burst is refilled.
//
// When Redis is gone, or slower than Timeout, each instance decides alone with the same Rate and Burst, and asks Redis
// again after 100 ms, then less and less often, until every 5 s. It has counted what it let pass before, so that nobody
// gets a new burst from an instance he is known to; of n instances each may let Rate pass while they are alone.
type RateLimiter struct {
	client   goredis.Scripter
	script   *goredis.Script
	local    *bounded.RateLimiter
	circuit  circuit
	prefix   string
	burst    int
	interval int64 // µs
	timeout  time.Duration

	shared, alone atomic.Int64
}

// decide is the algorithm. Lua counts in doubles, which hold a time in microseconds exactly for 200 years to come.
const decide = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local refill = tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
-- A time beyond a whole burst is of a clock that was ahead: another server took over.
arrival = math.min(math.max(arrival, now), now + refill)
local following = arrival + interval
local early = following - now - refill
if early > 0 then
	return {0, arrival - now, early}
end
redis.call('SET', KEYS[1], string.format('%.0f', following), 'PX', math.ceil((following - now) / 1000))
return {1, following - now, 0}
`

// NewRateLimiter returns a limiter, or an error that lists every mistake in the options. It does not ask Redis.
func NewRateLimiter(o RateLimiterOptions) (*RateLimiter, error) {
	local, err := bounded.NewRateLimiter(bounded.RateLimiterOptions{
		Name: o.Name, Rate: o.Rate, Burst: o.Burst, MaxKeys: o.MaxKeys, Now: o.Now,
	})
	mistakes := []error{err}
	if o.Client == nil {
		mistakes = append(mistakes, errors.New("redis: rate limiter: client: missing"))
	}
	if len(o.Prefix) > maxPrefix {
		mistakes = append(mistakes, fmt.Errorf("redis: rate limiter: prefix of %d bytes: want at most %d", len(o.Prefix), maxPrefix))
	}
	if o.Rate > MaxRate {
		mistakes = append(mistakes, fmt.Errorf("redis: rate limiter: rate %v per second: want at most %g", o.Rate, MaxRate))
	}
	if o.Timeout != 0 && o.Timeout < minTimeout {
		mistakes = append(mistakes, fmt.Errorf("redis: rate limiter: %w", timeoutMistake(o.Timeout)))
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Timeout == 0 {
		o.Timeout = defaultPatience
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &RateLimiter{
		client: o.Client, script: goredis.NewScript(decide), local: local, circuit: circuit{now: o.Now}, prefix: o.Prefix + "rate:" + o.Name + ":",
		burst: o.Burst, interval: int64(math.Round(1e6 / o.Rate)), timeout: o.Timeout,
	}, nil
}

// Allow counts a request of a key and decides on it. A request that is not allowed costs the key nothing. It takes a
// round trip, at most Timeout; while Redis is left alone, 200 ns. If ctx ends first, this instance decides.
func (l *RateLimiter) Allow(ctx context.Context, key string) bounded.RateDecision {
	if round, ok := l.circuit.enter(); ok {
		decision, err := l.ask(ctx, key)
		l.circuit.leave(round, judge(ctx, err))
		if err == nil {
			l.shared.Add(1)
			if decision.Allowed {
				l.local.Allow(key) // for when Redis is gone; here its answer does not matter
			}
			return decision
		}
	}
	l.alone.Add(1)
	return l.local.Allow(key)
}

// ask has Redis decide.
func (l *RateLimiter) ask(ctx context.Context, key string) (bounded.RateDecision, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	refill := int64(l.burst) * l.interval
	answer, err := l.script.Run(ctx, l.client, []string{l.key(key)}, l.interval, refill).Int64Slice()
	if err != nil {
		return bounded.RateDecision{}, err
	}
	if len(answer) != 3 {
		return bounded.RateDecision{}, fmt.Errorf("redis: rate limiter: the script answers %d numbers", len(answer))
	}
	allowed, reset, retry := answer[0] == 1, answer[1], answer[2]
	decision := bounded.RateDecision{
		Allowed: allowed, Limit: l.burst,
		ResetAfter: time.Duration(reset) * time.Microsecond, RetryAfter: time.Duration(retry) * time.Microsecond,
	}
	if allowed {
		decision.Remaining = int((refill - reset) / l.interval)
	}
	return decision, nil
}

// key is what a key is called in Redis.
func (l *RateLimiter) key(text string) string {
	hash := sha256.Sum256([]byte(text))
	return l.prefix + base64.RawURLEncoding.EncodeToString(hash[:16])
}

// Name returns the name from the options.
func (l *RateLimiter) Name() string { return l.local.Name() }

// Usage returns the keys that this instance remembers.
func (l *RateLimiter) Usage() bounded.Usage { return l.local.Usage() }

// Shrink forgets the keys that have their whole burst.
func (l *RateLimiter) Shrink(ctx context.Context, bytes int64) int64 {
	return l.local.Shrink(ctx, bytes)
}

// RateLimiterStats tells who decided.
type RateLimiterStats struct {
	Shared   int64 `json:"shared_total"` // decisions of Redis
	Local    int64 `json:"local_total"`  // decisions of this instance alone
	Degraded bool  `json:"degraded"`     // Redis failed last
}

// Stats does no I/O.
func (l *RateLimiter) Stats() RateLimiterStats {
	return RateLimiterStats{Shared: l.shared.Load(), Local: l.alone.Load(), Degraded: l.circuit.open()}
}
