// Command snapshotted is the program of package sessions with a warden in it. Besides that package's commands it knows
// "snapshot FILE", which takes a heap snapshot, "freeze", which takes and drops the frozen copy that a snapshot is read
// from, both with what that took in JSON, and "dump FILE", which has the runtime write its own heap dump.
//
//	snapshotted N PAGE
//
// The environment may say how snapshots are taken, by MEMWARDEN_SNAPSHOT_….
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"runtime/debug"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bench/internal/sessions"
	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/settings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(arguments []string) (err error) {
	ctx := context.Background()
	values, err := settings.Resolve(memwarden.SnapshotSettings(), settings.Layer{Source: "environment", Lookup: os.LookupEnv})
	if err != nil {
		return err
	}
	warden, err := memwarden.Start(ctx, memwarden.Options{Snapshot: memwarden.SnapshotOptionsFrom(values)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, warden.Close(ctx)) }()
	return sessions.Main(arguments, os.Stdin, os.Stdout, sessions.Commands{
		"snapshot": func(name string) (answer string, err error) {
			err = write(name, func(file *os.File) error {
				info, err := warden.Snapshot(ctx, file)
				if err != nil {
					return err
				}
				answer, err = encode(info)
				return err
			})
			return answer, err
		},
		"freeze": func(string) (string, error) { return freeze(ctx) },
		"dump": func(name string) (string, error) {
			return "", write(name, func(file *os.File) error {
				debug.WriteHeapDump(file.Fd())
				return nil
			})
		},
	})
}

// freeze makes a frozen copy of this process and drops it.
func freeze(ctx context.Context) (string, error) {
	child, err := capture.Self(ctx, capture.Options{})
	if err != nil {
		return "", err
	}
	if err := child.Close(); err != nil {
		return "", err
	}
	return encode(map[string]float64{
		"wait_seconds": child.Wait.Seconds(), "pause_seconds": child.Pause.Seconds(), "fork_seconds": child.Fork.Seconds(),
	})
}

func write(name string, do func(*os.File) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(do(file), file.Close())
}

func encode(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}
