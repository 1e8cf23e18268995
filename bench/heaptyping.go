package main

import (
	"context"
	"errors"
	"math"
	"path/filepath"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/stages"
	"github.com/memwarden/memwarden/bench/internal/strangers"
)

// measureTyping looks at how well the heaps of several programs are understood.
func measureTyping(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	ctx, cancel := context.WithTimeout(ctx, p.heap.timeout)
	defer cancel()
	look, err := w.command(ctx, "heapstages", true)
	if err != nil {
		return nil, err
	}
	t := typing{plan: p.heap, workshop: w, look: look}
	err = errors.Join(
		t.sessions(ctx, "sessions", false, 0.99),
		t.sessions(ctx, "sessions, stripped", true, 0.95),
	)
	if p.heap.strangers {
		err = errors.Join(err, t.caddy(ctx), t.nats(ctx, "nats-server", 0.99), t.nats(ctx, "nats-server, stripped", 0.95, "-ldflags=-s -w"))
	}
	return t.series, err
}

// typing collects figures of one program after the other.
type typing struct {
	series
	plan     heapPlan
	workshop workshop
	look     string // cmd/heapstages
}

// sessions looks at a program with sessions.
func (t *typing) sessions(ctx context.Context, name string, stripped bool, least float64) (err error) {
	program, err := t.workshop.sessions(ctx, "sessions", stripped, t.plan.typed, smallPage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	return t.measure(ctx, name, program.PID, least)
}

// caddy looks at Caddy with connections that wait: a small heap.
func (t *typing) caddy(ctx context.Context) error {
	return t.stranger(ctx, "caddy", strangers.CaddyPackage, 0.95, func(file, dir string) (*strangers.Program, error) {
		return strangers.Caddy(ctx, file, dir, t.plan.connections)
	})
}

// nats looks at a NATS server with messages in memory.
func (t *typing) nats(ctx context.Context, name string, least float64, flags ...string) error {
	return t.stranger(ctx, name, strangers.NATSPackage, least, func(file, dir string) (*strangers.Program, error) {
		return strangers.NATS(ctx, file, dir, 300, t.plan.messages)
	}, flags...)
}

// stranger builds a program from the module proxy, starts it and looks at it.
func (t *typing) stranger(
	ctx context.Context, name, command string, least float64, start func(file, dir string) (*strangers.Program, error),
	flags ...string,
) (err error) {
	room, err := t.workshop.room()
	if err != nil {
		return err
	}
	file, err := strangers.Install(ctx, command, room, flags...)
	if err != nil {
		return err
	}
	data, err := t.workshop.room()
	if err != nil {
		return err
	}
	program, err := start(file, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	if err := program.Collect(); err != nil {
		return err
	}
	return t.measure(ctx, name, program.PID, least)
}

// measure takes a snapshot of a program and adds how well it is understood.
func (t *typing) measure(ctx context.Context, name string, pid int, least float64) error {
	room, err := t.workshop.room()
	if err != nil {
		return err
	}
	r, err := readStages(ctx, t.look, pid, t.plan.sample, filepath.Join(room, "snapshot"))
	if err != nil {
		return err
	}
	addTyping(&t.series, name, &r, least)
	return nil
}

// Bounds of what a heap is understood: of inferences that are wrong, and of bytes reached that the collector did not
// mark, or the other way round.
const (
	mostWrong   = 0.01
	mostUnequal = 0.01
)

// addTyping adds the figures of one program, of whose bytes at least a share should be typed.
func addTyping(s *series, name string, r *stages.Report, least float64) {
	one := func(what string, unit figure.Unit, goal figure.Goal, value float64) {
		s.add(name+": "+what, unit, goal, value)
	}
	of := func(part, whole float64) float64 { return part / max(whole, 1) }
	reached := float64(r.ReachedBytes)
	one("heap that is reached", figure.Bytes, none, reached)
	one("typed, exact and inferred", figure.Percent, figure.AtLeast(least), of(float64(r.ExactBytes+r.InferredBytes), reached))
	one("… exact", figure.Percent, none, of(float64(r.ExactBytes), reached))
	one("… inferred", figure.Percent, none, of(float64(r.InferredBytes), reached))
	one("untyped: plain bytes or numbers", figure.Percent, none, of(float64(r.NoScanBytes), reached))
	one("inferences held against known types", figure.Count, none, float64(r.Tried))
	one("… of which decided", figure.Count, none, float64(r.Decided))
	one("… of which wrong, of those decided", figure.Percent, figure.AtMost(mostWrong), of(float64(r.Wrong), float64(r.Decided)))
	one("reached, beside what the collector marked", figure.Percent, figure.AtMost(mostUnequal),
		math.Abs(of(reached, float64(r.LiveBytes))-1))
}
