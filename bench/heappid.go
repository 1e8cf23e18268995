package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/sessions"
	"github.com/memwarden/memwarden/bench/internal/strangers"
	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	gorefPackage = "github.com/cloudwego/goref/cmd/grf@v0.0.11"
	// gorefPause is for how long goref made a process stand still that had 9.6 million objects in 400 MB, on two
	// processors: the shorter of two times.
	gorefPause = 58 * time.Second
)

// measurePID takes snapshots of a program from outside, and has goref look at it where that can be had.
func measurePID(ctx context.Context, p plan, w workshop) (figures []figure.Figure, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.heap.timeout)
	defer cancel()
	memwarden, err := w.service(ctx)
	if err != nil {
		return nil, err
	}
	room, err := w.room()
	if err != nil {
		return nil, err
	}
	program, err := w.sessions(ctx, "sessions", false, p.heap.attached, smallPage)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	var s series
	file := filepath.Join(room, "snapshot")
	for range p.heap.rounds {
		if err := pidRound(ctx, &s, memwarden, program, file); err != nil {
			return s, err
		}
	}
	pause := s[0].Median() // as the snapshots say
	peer, err := measureGoref(ctx, &s, p.heap.peer, w, program)
	if err != nil {
		w.note("goref: " + err.Error())
		w.note(fmt.Sprintf("instead of goref's pause stands what it once took for 9.6 million objects: %v", gorefPause))
		peer = gorefPause
	}
	s.add("goref's pause over memwarden's", figure.Multiple, figure.AtLeast(500), peer.Seconds()/pause)
	return s, nil
}

func pidRound(ctx context.Context, s *series, memwarden string, program *sessions.Process, file string) error {
	latency, took, err := during(program, func() error {
		_, _, err := runCommand(ctx, memwarden, "snapshot", "--pid", strconv.Itoa(program.PID), "-o", file, "--force")
		return err
	})
	if err != nil {
		return err
	}
	resting, err := atRest(ctx, program, took)
	if err != nil {
		return err
	}
	header, summary, err := readSnapshot(file)
	if err != nil {
		return err
	}
	if header.Method != snapshot.InjectedFork {
		return fmt.Errorf("the snapshot was taken by %v: want a fork", header.Method)
	}
	s.add("pause, as memwarden snapshot says", figure.Seconds, figure.AtMost(0.1), summary.PauseSeconds)
	s.add("longest latency of the target meanwhile", figure.Seconds, figure.AtMost(0.1), latency.Seconds())
	s.add("longest latency at rest, for as long", figure.Seconds, none, resting.Seconds())
	s.add("memwarden snapshot, from beginning to end", figure.Seconds, none, took.Seconds())
	s.add("objects", figure.Count, none, float64(summary.Objects))
	return nil
}

// readSnapshot reads what a snapshot says of itself.
func readSnapshot(name string) (h snapshot.Header, s snapshot.Summary, err error) {
	file, err := os.Open(name)
	if err != nil {
		return h, s, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return h, s, err
	}
	r, err := snapshot.Open(file, info.Size())
	if err != nil {
		return h, s, err
	}
	return r.Header(), r.Summary(), nil
}

// errNotAsked is why goref did not run.
var errNotAsked = errors.New("it was not asked for")

// measureGoref returns for how long goref makes the program stand still.
func measureGoref(ctx context.Context, s *series, timeout time.Duration, w workshop, program *sessions.Process) (time.Duration, error) {
	if timeout == 0 {
		return 0, errNotAsked
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	room, err := w.room()
	if err != nil {
		return 0, err
	}
	goref, err := strangers.Install(ctx, gorefPackage, room)
	if err != nil {
		return 0, err
	}
	latency, took, err := during(program, func() error {
		_, _, err := runCommand(ctx, goref, "attach", strconv.Itoa(program.PID), "-o", filepath.Join(room, "grf.out"))
		if err != nil && ctx.Err() != nil { // it has been killed: what it took so far counts
			w.note(fmt.Sprintf("goref was broken off after %v", timeout))
			return nil
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	s.add("goref, from beginning to end", figure.Seconds, none, took.Seconds())
	s.add("longest latency of the target under goref", figure.Seconds, none, latency.Seconds())
	return latency, nil
}
