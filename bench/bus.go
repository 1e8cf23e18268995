package main

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bounded"
)

// listeners of the topic.
const listeners = 8

// measureBus publishes events to a topic.
func measureBus(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	var s series
	w.note(fmt.Sprintf("bus: one goroutine publishes a pointer to a topic with %d listeners that count; the time ends when all have what they get. "+
		"Block: a publisher waits for room, so that every listener gets every event; drop oldest: who lags loses some, and only what was "+
		"delivered counts. Allocations are whole ones for each publish, as Go's benchmarks count them", listeners))
	for range p.parts.rounds {
		for _, policy := range []struct {
			name     string
			overflow bounded.OverflowPolicy
			goal     figure.Goal
		}{{"block", bounded.Block, figure.AtLeast(5e6)}, {"drop oldest", bounded.DropOldest, none}} {
			rate, allocations, err := publish(ctx, policy.overflow, p.parts.events)
			if err != nil {
				return s, fmt.Errorf("%s: %w", policy.name, err)
			}
			s.add(fmt.Sprintf("deliveries, 1 topic, %d listeners, %s", listeners, policy.name), figure.PerS, policy.goal, rate)
			s.add("allocations for each publish, "+policy.name, figure.Count, figure.EveryAtMost(0), float64(allocations))
		}
	}
	return s, nil
}

// counter has a cache line for itself.
type counter struct {
	atomic.Int64
	_ [56]byte
}

// publish returns deliveries a second and the whole allocations for each publish.
func publish(ctx context.Context, overflow bounded.OverflowPolicy, events int) (rate float64, allocations uint64, err error) {
	topic, err := bounded.NewTopic[*int](bounded.TopicOptions{Name: "bench"})
	if err != nil {
		return 0, 0, err
	}
	var delivered [listeners]counter
	for i := range listeners {
		_, err := topic.Subscribe(bounded.ListenerOptions{Overflow: overflow}, func(context.Context, *int) { delivered[i].Add(1) })
		if err != nil {
			return 0, 0, err
		}
	}
	event := new(int)
	var before, after runtime.MemStats
	runtime.GC() // what was left behind so far is not the cost of this one
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range events {
		if err := topic.Publish(ctx, event); err != nil {
			return 0, 0, err
		}
	}
	if err := topic.Close(ctx); err != nil {
		return 0, 0, err
	}
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	sum := int64(0)
	for i := range delivered {
		sum += delivered[i].Load()
	}
	if want := int64(events * listeners); overflow == bounded.Block && sum != want {
		return 0, 0, fmt.Errorf("%d deliveries of %d", sum, want)
	}
	return float64(sum) / took.Seconds(), (after.Mallocs - before.Mallocs) / uint64(events), nil
}
