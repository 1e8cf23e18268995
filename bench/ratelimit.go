package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bounded"
)

// partsPlan is how much the parts with a bound are asked, but for the cache.
type partsPlan struct {
	rounds      int // of each measurement
	keys        int // of the rate limiter, many
	decisions   int // of each of two callers in a round
	events      int // published in a round
	connections int // rounds of the hub's connections, which take the longest
}

var partsDefaults = partsPlan{rounds: 5, keys: 1_000_000, decisions: 4_000_000, events: 1_000_000, connections: 3}

// callers are the goroutines that ask the rate limiter at the same time, one for each of two processors.
const callers = 2

// measureRateLimiter measures what a key takes, and how fast is decided.
func measureRateLimiter(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	var s series
	w.note("memory of a key is the live heap's growth divided by the keys, whose own bytes were there before; the larger of two: all keys new, " +
		"and all in use through a sweep")
	w.note(fmt.Sprintf("decisions: %d goroutines, each with the keys in its own order; the wall time of both together", callers))
	keys := addresses(p.parts.keys)
	return s, errors.Join(limiterMemory(ctx, p.parts, keys, &s), limiterSpeed(ctx, p.parts, keys, &s))
}

// addresses returns so many different keys of the length that peer addresses have.
func addresses(count int) []string {
	keys := make([]string, count)
	for i := range keys {
		keys[i] = "2001:db8::" + strconv.Itoa(i)
	}
	return keys
}

// limiterMemory fills limiters, and lets the keys expire.
func limiterMemory(ctx context.Context, p partsPlan, keys []string, s *series) error {
	for range p.rounds {
		var elapsed atomic.Int64
		begin := time.Now()
		before := liveHeap()
		l, err := bounded.NewRateLimiter(bounded.RateLimiterOptions{
			Name: "bench", Rate: 10, Burst: 10, MaxKeys: len(keys),
			Now: func() time.Time { return begin.Add(time.Duration(elapsed.Load())) },
		})
		if err != nil {
			return err
		}
		held := 0.0
		for range 2 {
			for _, key := range keys {
				l.Allow(key)
			}
			held = max(held, liveHeap()-before)
			elapsed.Add(int64(31 * time.Second)) // a sweep is due
		}
		if n := l.Usage().Entries; n != int64(len(keys)) {
			return fmt.Errorf("the limiter has %d keys of %d", n, len(keys))
		}
		elapsed.Add(int64(2 * time.Minute))
		if n := l.Usage().Entries; n != 0 {
			return fmt.Errorf("the limiter has %d keys that nobody asked for in two minutes", n)
		}
		left := liveHeap() - before
		runtime.KeepAlive(l)
		s.add(fmt.Sprintf("live heap of a key, %s keys", figure.Count(float64(len(keys)))), wholeBytes, figure.AtMost(64), held/float64(len(keys)))
		s.add("… all keys together, two minutes after their last use", kibibytes, figure.AtMost(64<<10), left)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// limiterSpeed has two callers ask for keys that the limiter knows.
func limiterSpeed(ctx context.Context, p partsPlan, all []string, s *series) error {
	const usual = 10_000 // the default bound
	for range p.rounds {
		for _, count := range []int{usual, 64, len(all)} {
			keys := all[:min(count, len(all))]
			l, err := bounded.NewRateLimiter(bounded.RateLimiterOptions{Name: "bench", Rate: 100, Burst: 100, MaxKeys: len(keys)})
			if err != nil {
				return err
			}
			for _, key := range keys {
				l.Allow(key)
			}
			took := decide(l, keys, p.decisions)
			goal := none
			if count == usual {
				goal = figure.AtLeast(10e6)
			}
			name := fmt.Sprintf("decisions, %s keys, %d processors", figure.Count(float64(len(keys))), callers)
			s.add(name, figure.PerS, goal, float64(callers*p.decisions)/took.Seconds())
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// decide has each caller ask so often.
func decide(l *bounded.RateLimiter, keys []string, decisions int) time.Duration {
	var asking sync.WaitGroup
	start := make(chan struct{})
	for caller := range callers {
		asking.Go(func() {
			at := caller * len(keys) / callers
			<-start
			for range decisions {
				l.Allow(keys[at])
				if at++; at == len(keys) {
					at = 0
				}
			}
		})
	}
	runtime.GC() // what was left behind so far is not the cost of this one
	began := time.Now()
	close(start)
	asking.Wait()
	return time.Since(began)
}
