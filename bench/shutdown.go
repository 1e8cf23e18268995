package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/load"
	"github.com/memwarden/memwarden/bench/internal/service"
)

// beforeTerminate is how long the service is under load before it is told to end.
const beforeTerminate = 300 * time.Millisecond

// maxExamples is how many lost requests are told of one by one.
const maxExamples = 5

// measureShutdown ends the service under load, with its default settings, and counts what became of the requests.
func measureShutdown(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	file, err := w.service(ctx)
	if err != nil {
		return nil, err
	}
	figures := []figure.Figure{
		{Name: "requests lost: accepted and not answered", Unit: figure.Count, Goal: figure.EveryAtMost(0)},
		{Name: "answered", Unit: figure.Count},
		{Name: "of which with a request to connect anew", Unit: figure.Count},
		{Name: "not accepted: reset in the listener's queue", Unit: figure.Count},
		{Name: "not sent: the connection had been closed", Unit: figure.Count},
		{Name: "from SIGTERM to the end of the process", Unit: figure.Seconds},
	}
	told := 0
	for range p.shutdowns {
		room, err := w.room()
		if err != nil {
			return nil, err
		}
		tally, took, err := shutDown(ctx, file, room)
		if err != nil {
			return nil, err
		}
		for _, example := range tally.Examples[:min(len(tally.Examples), maxExamples-told)] {
			told++
			fmt.Fprintln(w.progress, "bench: a request was lost:", example)
		}
		for i, value := range []int64{tally.Lost, tally.Answered, tally.Turned, tally.Unaccepted, tally.Unsent} {
			figures[i].Values = append(figures[i].Values, float64(value))
		}
		figures[5].Values = append(figures[5].Values, took.Seconds())
	}
	return figures, nil
}

// shutDown starts the service, ends it under load, and returns what became of the requests and how long it took.
func shutDown(ctx context.Context, file, room string) (load.Tally, time.Duration, error) {
	s, err := service.Start(ctx, file, room, "MEMWARDEN_RATE_LIMIT=0")
	if err != nil {
		return load.Tally{}, 0, err
	}
	tallies := make(chan load.Tally, 1)
	go func() { tallies <- load.Drain(ctx, s.Address, load.Get(s.Address, service.StatsPath), connections) }()
	if err := wait(ctx, beforeTerminate); err != nil {
		return load.Tally{}, 0, errors.Join(err, s.Stop())
	}
	told := time.Now()
	if err := s.Terminate(); err != nil {
		return load.Tally{}, 0, errors.Join(err, s.Stop())
	}
	<-s.Exited()
	took := time.Since(told)
	tally := <-tallies
	return tally, took, s.Stop()
}
