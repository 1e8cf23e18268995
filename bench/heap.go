package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/service"
	"github.com/memwarden/memwarden/bench/internal/sessions"
	"github.com/memwarden/memwarden/bench/internal/stages"
)

// heapPlan is how large the heaps are, and how often they are looked at.
type heapPlan struct {
	rounds int
	// captured, attached and typed are the sessions of the program that captures itself, of the one that is captured and
	// analysed from outside, and of the one whose types are looked at.
	captured, attached, typed int
	connections               int // to Caddy
	messages                  int // for NATS
	sample                    int // objects to hold inference against
	strangers                 bool
	peer                      time.Duration // that goref may take; 0: it is not asked
	timeout                   time.Duration // of a section
}

var heapDefaults = heapPlan{
	rounds: 5, captured: 1_500_000, attached: 1_000_000, typed: 400_000, connections: 500, messages: 400_000, sample: 5000,
	strangers: true, peer: 5 * time.Minute, timeout: 20 * time.Minute,
}

func (p heapPlan) check() error {
	if p.rounds < 1 || p.captured < 1 || p.attached < 1 || p.typed < 1 || p.timeout <= 0 {
		return errors.New("heaps: want 1 of everything at least")
	}
	return nil
}

// Bytes of a session's page: with the large one 1.5 million sessions are a heap of 1 GB and 15 million objects.
const (
	smallPage = 16
	largePage = 384
)

// series collects figures in the order in which they are first measured.
type series []figure.Figure

// add adds a value to a figure.
func (s *series) add(name string, unit figure.Unit, goal figure.Goal, value float64) {
	for i := range *s {
		if f := &(*s)[i]; f.Name == name {
			f.Values = append(f.Values, value)
			return
		}
	}
	*s = append(*s, figure.Figure{Name: name, Unit: unit, Goal: goal, Values: []float64{value}})
}

// none is the goal of figures that are there for comparison.
var none figure.Goal

// command builds a program of this module as users do, or for deployment, without debug information.
func (w workshop) command(ctx context.Context, name string, stripped bool) (file string, err error) {
	dir, err := w.room()
	if err != nil {
		return "", err
	}
	if stripped {
		return service.Build(ctx, ".", "./cmd/"+name, dir)
	}
	return service.BuildWith(ctx, ".", "./cmd/"+name, dir)
}

// sessions builds and starts a program with sessions, with more in its environment.
func (w workshop) sessions(ctx context.Context, name string, stripped bool, n, page int, more ...string) (*sessions.Process, error) {
	file, err := w.command(ctx, name, stripped)
	if err != nil {
		return nil, err
	}
	p, err := sessions.Start(ctx, file, n, page, append(service.Clean(), more...))
	if err != nil {
		return nil, err
	}
	if _, err := p.Ask("gc"); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// atRest is the longest latency of a program that is left alone for some time.
func atRest(ctx context.Context, p *sessions.Process, d time.Duration) (time.Duration, error) {
	if _, err := p.Longest(); err != nil {
		return 0, err
	}
	if err := wait(ctx, d); err != nil {
		return 0, err
	}
	return p.Longest()
}

// during is the longest latency of a program while something is done, and how long that takes.
func during(p *sessions.Process, do func() error) (longest, took time.Duration, err error) {
	if _, err := p.Longest(); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	longest, err = p.Longest()
	return longest, took, err
}

// runCommand runs a command to its end and returns it with its output.
func runCommand(ctx context.Context, file string, arguments ...string) (*exec.Cmd, []byte, error) {
	command := exec.CommandContext(ctx, file, arguments...)
	command.Env = service.Clean()
	command.WaitDelay = 10 * time.Second
	out, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		text := ""
		if exit != nil {
			text = string(exit.Stderr)
		}
		return nil, nil, fmt.Errorf("%s %q: %w\n%s", filepath.Base(file), arguments, err, text)
	}
	return command, out, nil
}

// readStages runs cmd/heapstages.
func readStages(ctx context.Context, file string, pid, sample int, snapshot string) (r stages.Report, err error) {
	_, out, err := runCommand(ctx, file, "-pid", strconv.Itoa(pid), "-sample", strconv.Itoa(sample), snapshot)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("heapstages: %w: %.200s", err, out)
	}
	return r, nil
}
