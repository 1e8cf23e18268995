package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/process"
	"github.com/memwarden/memwarden/bench/internal/sessions"
)

// measureCapture has programs with a large heap take a snapshot of themselves, and has the runtime write its heap dump of
// the same heap.
func measureCapture(ctx context.Context, p plan, w workshop) ([]figure.Figure, error) {
	ctx, cancel := context.WithTimeout(ctx, p.heap.timeout)
	defer cancel()
	room, err := w.room()
	if err != nil {
		return nil, err
	}
	// Each round's programs take turns, so that both meet the same machine.
	byPages := []struct {
		name        string
		environment []string
		compared    bool // no goal is for it
		figures     series
	}{
		{name: ""},
		{name: ", huge pages asked for", environment: []string{"MEMWARDEN_SNAPSHOT_HUGE_PAGES=4GiB"}},
		{name: ", small pages left as they are", environment: []string{"MEMWARDEN_SNAPSHOT_COLLAPSE=0s"}, compared: true},
	}
	for range p.heap.rounds {
		for i := range byPages {
			one := &byPages[i]
			if err := captureAnew(ctx, &one.figures, p, w, room, one.environment...); err != nil {
				return one.figures, err
			}
		}
	}
	var s series
	for _, one := range byPages {
		for _, f := range one.figures {
			f.Name += one.name
			if one.compared {
				f.Goal = none
			}
			s = append(s, f)
		}
	}
	return s, nil
}

// captureAnew starts a program for a round of its own: a snapshot splits huge pages, which come back in their own time,
// and a program that is seldom asked for one should not be judged by the fifth in a minute.
func captureAnew(ctx context.Context, s *series, p plan, w workshop, room string, environment ...string) (err error) {
	program, err := w.sessions(ctx, "snapshotted", false, p.heap.captured, largePage, environment...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	return captureRound(ctx, s, program, room)
}

// captureRound takes one snapshot and one dump, with the same time at rest between them.
func captureRound(ctx context.Context, s *series, program *sessions.Process, room string) error {
	file := filepath.Join(room, "snapshot")
	var info memwarden.SnapshotInfo
	life, stop := watchChild(program.PID)
	latency, took, err := during(program, func() error {
		answer, err := program.Ask("snapshot " + file)
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(answer), &info)
	})
	close(stop)
	lived, lifeErr := life()
	if err := errors.Join(err, lifeErr); err != nil {
		return err
	}
	resting, err := atRest(ctx, program, took)
	if err != nil {
		return err
	}
	s.add("longest latency of the service during a capture", figure.Seconds, figure.AtMost(0.05), latency.Seconds())
	s.add("longest latency at rest, for as long", figure.Seconds, none, resting.Seconds())
	dump := filepath.Join(room, "dump")
	dumping, dumpTook, err := during(program, func() error {
		_, err := program.Ask("dump " + dump)
		return err
	})
	if err != nil {
		return err
	}
	s.add("longest latency during WriteHeapDump", figure.Seconds, none, dumping.Seconds())
	s.add("… over that during a capture", figure.Multiple, figure.AtLeast(100), dumping.Seconds()/latency.Seconds())
	s.add("pause, as the snapshot says", figure.Seconds, none, info.Summary.PauseSeconds)
	s.add("life of the frozen child", figure.Seconds, none, lived.Seconds())
	s.add("capture, from beginning to end", figure.Seconds, none, took.Seconds())
	s.add("WriteHeapDump, from beginning to end", figure.Seconds, none, dumpTook.Seconds())
	if err := freezeRound(s, program); err != nil {
		return err
	}
	s.add("objects", figure.Count, none, float64(info.Summary.Objects))
	s.add("heap", figure.Bytes, none, float64(info.Summary.AllocatedBytes))
	s.add("file of the snapshot", figure.Bytes, none, float64(info.Bytes))
	return sizeAndRemove(s, "file of WriteHeapDump", dump, file)
}

// freezeRound has the program freeze a copy of itself that nobody reads.
func freezeRound(s *series, program *sessions.Process) error {
	var frozen struct {
		Wait  float64 `json:"wait_seconds"`
		Pause float64 `json:"pause_seconds"`
		Fork  float64 `json:"fork_seconds"`
	}
	latency, _, err := during(program, func() error {
		answer, err := program.Ask("freeze")
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(answer), &frozen)
	})
	if err != nil {
		return err
	}
	s.add("freezing alone: longest latency", figure.Seconds, none, latency.Seconds())
	s.add("freezing alone: wait for a collection", figure.Seconds, none, frozen.Wait)
	s.add("freezing alone: pause", figure.Seconds, none, frozen.Pause)
	s.add("freezing alone: fork, of the pause", figure.Seconds, none, frozen.Fork)
	return nil
}

// sizeAndRemove adds the size of a file, and removes it and others.
func sizeAndRemove(s *series, name, file string, others ...string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	s.add(name, figure.Bytes, none, float64(info.Size()))
	for _, each := range append(others, file) {
		err = errors.Join(err, os.Remove(each))
	}
	return err
}

// watchChild watches for the frozen child of a process until stop is closed; then life tells how long it lived.
func watchChild(pid int) (life func() (time.Duration, error), stop chan struct{}) {
	type outcome struct {
		life time.Duration
		err  error
	}
	stop = make(chan struct{})
	outcomes := make(chan outcome, 1)
	go func() {
		life, err := process.SilentChild("/proc", pid, stop)
		if err == nil && life == 0 {
			err = fmt.Errorf("process %d had no frozen child", pid)
		}
		outcomes <- outcome{life, err}
	}()
	return func() (time.Duration, error) {
		o := <-outcomes
		return o.life, o.err
	}, stop
}
