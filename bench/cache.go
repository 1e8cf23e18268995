package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/memwarden/memwarden/bench/internal/caches"
	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/traces"
)

// traceDir has the recorded traces.
const traceDir = "testdata/traces"

// cachePlan is how much caches are asked.
type cachePlan struct {
	writes  int // of each of four writers
	replays int // of each trace
	longest int // keys of a trace
	rounds  int // of reads
	reads   int // of each of two readers in a round
	read    int // entries that reads are of
	entries int // whose memory is measured
}

var cacheDefaults = cachePlan{
	writes: 400, replays: 3, longest: math.MaxInt, rounds: 10, reads: 2_000_000, read: 50_000, entries: 1_000_000,
}

// ratio has two digits behind the point: goals of ratios are that close.
var ratio figure.Unit = func(v float64) string { return fmt.Sprintf("%.2f ×", v) }

// points are a difference of percentages.
var points figure.Unit = func(v float64) string { return fmt.Sprintf("%.2f points", v*100) }

// nanoseconds and wholeBytes are small.
var (
	nanoseconds figure.Unit = func(v float64) string { return fmt.Sprintf("%.1f ns", v) }
	wholeBytes  figure.Unit = func(v float64) string { return fmt.Sprintf("%.1f B", v) }
)

// measureCache holds our cache beside those of others.
func measureCache(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	var s series
	w.note("bytes at a bound are those of values whose Set has returned, until the cache tells by its callback for removed values " +
		"(otter: OnAtomicDeletion) that they have left; golang-lru has no bound in bytes and holds 100 entries here; " +
		"freecache takes no values of 1 MiB in 100 MiB")
	w.note("traces are replayed by one goroutine, a miss is stored; theine and ristretto are waited for after each, otter does its " +
		"maintenance in the call. freecache cannot be so small as the recorded traces ask for")
	w.note("reads: keys by a zipf distribution that all are there; time of a round by the operations of both threads together; rounds of all caches take turns; " +
		"ours and theine count hits and misses meanwhile, the others do not unless they are asked to")
	return s, errors.Join(
		cachePeaks(ctx, p.cache, &s),
		cacheHits(ctx, p.cache, &s),
		cacheReads(ctx, p.cache, &s, w.progress),
		cacheMemory(ctx, p.cache, &s),
	)
}

const (
	peakBound   = 100 << 20
	peakValue   = 1 << 20
	peakWriters = 4
)

// cachePeaks has writers store large values, each under a new key.
func cachePeaks(ctx context.Context, p cachePlan, s *series) error {
	for _, kind := range caches.AllSized() {
		var ledger caches.Ledger
		set, stop, err := kind.New(peakBound, &ledger)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.Name, err)
		}
		var writers sync.WaitGroup
		for writer := range uint64(peakWriters) {
			writers.Go(func() {
				for i := range uint64(p.writes) {
					if ctx.Err() != nil {
						return
					}
					set(writer<<32|i, &caches.Block{Data: make([]byte, peakValue)})
				}
			})
		}
		writers.Wait()
		stop()
		goal := none
		if kind.Ours {
			goal = figure.EveryAtMost(peakBound)
		}
		s.add("peak at a bound of 100 MiB, values of 1 MiB, 4 writers: "+kind.Name, figure.Bytes, goal, float64(ledger.Peak()))
	}
	return ctx.Err()
}

// cacheHits replays the traces.
func cacheHits(ctx context.Context, p cachePlan, s *series) error {
	all, err := traces.All(traceDir)
	if err != nil {
		return err
	}
	won, behind := 0, 0.0
	for _, trace := range all {
		trace.Keys = trace.Keys[:min(len(trace.Keys), p.longest)]
		best, own := 0.0, 0.0
		for _, kind := range caches.All() {
			if !kind.Generic {
				continue
			}
			f := figure.Figure{
				Name: fmt.Sprintf("hits, %s, %d entries: %s", trace.Name, trace.Capacity, kind.Name), Unit: figure.Percent,
			}
			for range p.replays {
				hits, err := replay(ctx, kind, trace)
				if err != nil {
					return err
				}
				f.Values = append(f.Values, hits)
			}
			*s = append(*s, f)
			switch {
			case kind.Name == caches.TinyLFU:
				own = f.Median()
			case !kind.Ours:
				best = max(best, f.Median())
			}
		}
		if own >= best {
			won++
		}
		behind = max(behind, best-own)
	}
	s.add("traces on which "+caches.TinyLFU+" has as many hits as the best peer, of 6", figure.Count, figure.AtLeast(4), float64(won))
	s.add("… most behind it", points, figure.AtMost(0.01), behind)
	return nil
}

// replay asks a cache for what is in a trace, and returns the share that was there.
func replay(ctx context.Context, kind caches.Kind, trace traces.Trace) (hits float64, err error) {
	c, err := kind.New(trace.Capacity, true)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", kind.Name, err)
	}
	defer c.Close()
	found := 0
	for i, key := range trace.Keys {
		if c.Get(key) {
			found++
		} else {
			c.Set(key)
		}
		if i%1000 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return float64(found) / float64(max(1, len(trace.Keys))), nil
}

// cacheReads has two threads read, in two workloads.
func cacheReads(ctx context.Context, p cachePlan, s *series, progress io.Writer) error {
	source := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.001, 1, uint64(p.read-1))
	keys := make([]uint64, 1<<18)
	for i := range keys {
		keys[i] = source.Uint64()
	}
	for _, workload := range []struct {
		name   string
		writes int // of 10 operations
	}{{"reads, all hits", 0}, {"9 reads, 1 write", 1}} {
		fmt.Fprintf(progress, "bench: cache: %s …\n", workload.name)
		kinds := caches.All()
		figures := make([]figure.Figure, len(kinds))
		for range p.rounds {
			for i, kind := range kinds {
				c, err := full(kind, p.read)
				if err != nil {
					return err
				}
				took := race(c, keys, p.reads, workload.writes)
				c.Close()
				figures[i].Values = append(figures[i].Values, float64(took.Nanoseconds())/float64(2*p.reads))
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		fastest := math.Inf(1)
		for i, kind := range kinds {
			figures[i].Name, figures[i].Unit = workload.name+", 2 threads: "+kind.Name, nanoseconds
			if !kind.Ours {
				fastest = min(fastest, figures[i].Median())
			}
		}
		*s = append(*s, figures...)
		for i, kind := range kinds {
			if kind.Ours {
				s.add(fmt.Sprintf("%s: %s ÷ the fastest peer", workload.name, kind.Name), ratio, figure.AtMost(1.05), figures[i].Median()/fastest)
			}
		}
	}
	return nil
}

// full returns a cache with so many keys, and room for as many more: some caches refuse what would just fit.
func full(kind caches.Kind, keys int) (caches.Cache, error) {
	c, err := kind.New(2*keys, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind.Name, err)
	}
	for range 10 {
		missing := 0
		for key := range uint64(keys) {
			if !c.Get(key) {
				missing++
				c.Set(key)
			}
			if key%1000 == 0 {
				c.Settle() // queues of writes are dropped when they are full
			}
		}
		c.Settle()
		if missing == 0 {
			break
		}
	}
	return c, nil
}

// race has two threads at once read and write a cache.
func race(c caches.Cache, keys []uint64, operations, writes int) time.Duration {
	var threads sync.WaitGroup
	start := make(chan struct{})
	for thread := range 2 {
		threads.Go(func() {
			<-start
			at := thread * len(keys) / 2
			for i := range operations {
				key := keys[(at+i)%len(keys)]
				if i%10 < writes {
					c.Set(key)
				} else {
					c.Get(key)
				}
			}
		})
	}
	runtime.GC() // what was left behind so far is not the cost of this one
	began := time.Now()
	close(start)
	threads.Wait()
	return time.Since(began)
}

// cacheMemory fills caches with numbers.
func cacheMemory(ctx context.Context, p cachePlan, s *series) error {
	leanest := math.Inf(1)
	var figures []figure.Figure
	for _, kind := range caches.All() {
		before := liveHeap()
		c, err := kind.New(p.entries, false)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.Name, err)
		}
		for key := range uint64(p.entries) {
			c.Set(key)
			if key%1000 == 0 {
				c.Settle()
			}
		}
		c.Settle()
		bytes := liveHeap() - before
		held := 0
		for key := range uint64(p.entries) {
			if c.Get(key) {
				held++
			}
		}
		c.Close()
		f := figure.Figure{Name: "memory of an entry, numbers: " + kind.Name, Unit: wholeBytes, Values: []float64{bytes / float64(max(1, held))}}
		if !kind.Ours && kind.Generic {
			leanest = min(leanest, f.Median())
		}
		figures = append(figures, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for i, kind := range caches.All() {
		if kind.Name == caches.LRU {
			figures[i].Goal = figure.AtMost(leanest)
		}
	}
	*s = append(*s, figures...)
	return nil
}

// liveHeap is what is reachable now.
func liveHeap() float64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}
