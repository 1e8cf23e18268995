package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/load"
	"github.com/memwarden/memwarden/bench/internal/process"
	"github.com/memwarden/memwarden/bench/internal/service"
)

const (
	connections = 8
	// parts is in how many measurements the load is divided.
	parts = 5
	// noGrowth is what a request may leave behind, in bytes: room for parts of the program that are used for the first
	// time. A leak of a single pointer would be eight.
	noGrowth = 1
)

// holdings is what the service holds while nobody asks.
type holdings struct {
	service.State
	memory      process.Memory
	descriptors int
}

func take(ctx context.Context, s *service.Service) (h holdings, err error) {
	if h.State, err = s.Collect(ctx); err != nil {
		return h, err
	}
	if h.memory, err = process.ReadMemory("/proc", s.PID); err != nil {
		return h, err
	}
	h.descriptors, err = process.CountDescriptors("/proc", s.PID)
	return h, err
}

// takeAfter takes what is held after a load. What has grown is looked at again: a check or a save that was just under
// way goes by, a leak stays.
func takeAfter(ctx context.Context, s *service.Service, before holdings) (after holdings, err error) {
	const most = 5
	for range most {
		after, err = take(ctx, s)
		if err != nil || after.Goroutines <= before.Goroutines && after.descriptors <= before.descriptors {
			break
		}
	}
	return after, err
}

// measureStats asks for the statistics as fast as they are answered, and looks for what that leaves behind.
func measureStats(ctx context.Context, p plan, w workshop) (figures []figure.Figure, err error) {
	file, err := w.service(ctx)
	if err != nil {
		return nil, err
	}
	room, err := w.room()
	if err != nil {
		return nil, err
	}
	s, err := service.Start(ctx, file, room,
		"MEMWARDEN_RATE_LIMIT=0", "MEMWARDEN_GC_MIN_INTERVAL=1s", "MEMWARDEN_GC_MAX_INTERVAL=1s")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()

	rate := figure.Figure{Name: "requests a second", Unit: figure.PerS, Goal: figure.AtLeast(20_000)}
	median := figure.Figure{Name: "latency, median", Unit: figure.Seconds}
	p99 := figure.Figure{Name: "latency, p99", Unit: figure.Seconds, Goal: figure.AtMost(0.005)}
	longest := figure.Figure{Name: "latency, longest", Unit: figure.Seconds}
	o := load.Options{
		Address: s.Address, Request: load.Get(s.Address, service.StatsPath), Connections: connections, Requests: p.requests / 4,
		Check: func(a load.Answer) error {
			if !json.Valid(a.Body) {
				return errors.New("the body is not JSON")
			}
			return nil
		},
	}
	if _, err := load.Run(ctx, o); err != nil { // warm-up
		return nil, err
	}
	before, err := take(ctx, s)
	if err != nil {
		return nil, err
	}
	o.Requests = p.requests / parts
	for range parts {
		result, err := load.Run(ctx, o)
		if err != nil {
			return nil, err
		}
		rate.Values = append(rate.Values, result.PerSecond())
		median.Values = append(median.Values, result.Latency.Quantile(0.5).Seconds())
		p99.Values = append(p99.Values, result.Latency.Quantile(0.99).Seconds())
		longest.Values = append(longest.Values, result.Latency.Max().Seconds())
	}
	after, err := takeAfter(ctx, s, before)
	if err != nil {
		return nil, err
	}
	return append([]figure.Figure{rate, median, p99, longest}, growth(before, after, float64(parts*o.Requests))...), nil
}

// growth is what so many requests left behind.
func growth(before, after holdings, requests float64) []figure.Figure {
	allowed := noGrowth * requests
	one := func(name string, unit figure.Unit, goal figure.Goal, value float64) figure.Figure {
		return figure.Figure{Name: name, Unit: unit, Goal: goal, Values: []float64{value}}
	}
	of := " after " + figure.Count(requests) + " requests"
	return []figure.Figure{
		one("growth of the live heap"+of, figure.Bytes, figure.AtMost(allowed), float64(after.HeapLiveBytes-before.HeapLiveBytes)),
		one("growth of RSS"+of, figure.Bytes, figure.AtMost(allowed), float64(after.memory.RSS-before.memory.RSS)),
		one("growth in goroutines"+of, figure.Count, figure.AtMost(0), float64(after.Goroutines-before.Goroutines)),
		one("growth in file descriptors"+of, figure.Count, figure.AtMost(0), float64(after.descriptors-before.descriptors)),
		one("RSS of the service"+of, figure.Bytes, figure.Goal{}, float64(after.memory.RSS)),
		one("live heap of the service"+of, figure.Bytes, figure.Goal{}, float64(after.HeapLiveBytes)),
	}
}

// measureStartUp starts the service without data, and with the data of an earlier run.
func measureStartUp(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	file, err := w.service(ctx)
	if err != nil {
		return nil, err
	}
	const goal = 0.3
	cold := figure.Figure{Name: "without data", Unit: figure.Seconds, Goal: figure.AtMost(goal)}
	warm := figure.Figure{Name: "with the data of an earlier run", Unit: figure.Seconds, Goal: figure.AtMost(goal)}
	kept, err := w.room()
	if err != nil {
		return nil, err
	}
	if _, err := startOnce(ctx, file, kept); err != nil {
		return nil, err
	}
	for range p.starts {
		fresh, err := w.room()
		if err != nil {
			return nil, err
		}
		for f, room := range map[*figure.Figure]string{&cold: fresh, &warm: kept} {
			took, err := startOnce(ctx, file, room)
			if err != nil {
				return nil, err
			}
			f.Values = append(f.Values, took.Seconds())
		}
	}
	return []figure.Figure{cold, warm}, nil
}

func startOnce(ctx context.Context, file, room string) (time.Duration, error) {
	s, err := service.Start(ctx, file, room, "MEMWARDEN_DRAIN_DELAY=0s")
	if err != nil {
		return 0, err
	}
	return s.StartUp, s.Stop()
}
