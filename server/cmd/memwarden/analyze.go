package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/report"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/memstat"
)

// analyzeFlags are the flags of the analyze command.
type analyzeFlags struct {
	asJSON bool
	typ    string
	pathTo string
	top    int
}

const defaultTop = 20

func newAnalyzeCommand(w *world) *cobra.Command {
	var f analyzeFlags
	cmd := &cobra.Command{
		Use:   "analyze FILE",
		Short: "Say what holds the memory in a snapshot of a heap",
		Long: `Reads a file that memwarden snapshot, the API or the library has written, on any machine,
and says what holds the memory: suspects first, in plain words with the path that holds
them and where they were allocated; then types, roots and goroutines with what each
retains, and strings and slices that keep more than they use.

It takes about 60 bytes of memory for each object, and up to 28 for each pointer beyond the
usual five to four objects. It does not begin where that is more than is free.`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	flags.StringVar(&f.typ, "type", "", "look closer at the type of this `name`, or of the only name that ends so")
	flags.StringVar(&f.pathTo, "path-to", "", "show what holds the objects of the type of this `name`")
	flags.IntVar(&f.top, "top", defaultTop, "entries that each list has at most; 0: all")
	cmd.MarkFlagsMutuallyExclusive("type", "path-to")
	cmd.RunE = action(func(ctx context.Context, args []string) error {
		if f.top < 0 {
			return &exit{exitUsage, fmt.Errorf("--top %d: want 0 or more", f.top)}
		}
		ctx, stop := w.interruptible(ctx)
		defer stop()
		a, err := analyzeFile(ctx, w, args[0], &f)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		return f.print(w, a)
	})
	return cmd
}

// analyzeFile reads a snapshot and finds what holds the memory.
func analyzeFile(ctx context.Context, w *world, path string, f *analyzeFlags) (*retain.Analysis, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	r, err := snapshot.Open(file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := enoughMemory(w, r.Totals()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	undo, err := retain.Prepare(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer undo()
	bar := w.newProgress()
	defer bar.end()
	g, err := graph.Load(ctx, r, graph.Options{Progress: bar.show})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	o := retain.Options{Progress: bar.show}
	if f.top != defaultTop {
		most := f.top
		if most == 0 {
			most = -1
		}
		o.MaxSuspects, o.MaxTypes, o.MaxRoots, o.MaxShared, o.MaxGoroutines, o.MaxPins = most, most, most, most, most, most
	}
	a, err := retain.Analyze(ctx, g, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// enoughMemory wants room for an analysis of as much as a file says that it has. Where it cannot be told how much
// room there is, there is enough.
func enoughMemory(w *world, t snapshot.Totals) error {
	meter, err := memstat.NewRoomMeter(0, w.root)
	if err != nil {
		return err
	}
	defer func() { _ = meter.Close() }() // only read
	room, need := meter.Read(w.now()), retain.MemoryBytes(t)
	if room.Known && room.Bytes < need {
		return fmt.Errorf("the analysis of %d objects with %d pointers needs about %s of memory, and only %s are free (%s): analyse it where there is more",
			t.Objects, t.Edges, bytesize.Format(need), bytesize.Format(max(0, room.Bytes)), room.Limit)
	}
	return nil
}

// print writes what was asked for.
func (f *analyzeFlags) print(w *world, a *retain.Analysis) error {
	o := report.Options{Top: f.top}
	if f.top == 0 {
		o.Top = 1 << 30
	}
	switch {
	case f.typ != "":
		closer, err := a.ByType(f.typ)
		if err != nil {
			return err
		}
		if f.asJSON {
			return writeJSON(w.stdout, closer)
		}
		return report.WriteType(w.stdout, closer, o)
	case f.pathTo != "":
		paths, err := a.PathTo(f.pathTo)
		if err != nil {
			return err
		}
		if f.asJSON {
			return writeJSON(w.stdout, pathsDocument{f.pathTo, paths})
		}
		return report.WritePaths(w.stdout, f.pathTo, paths, o)
	case f.asJSON:
		return writeJSON(w.stdout, a)
	}
	return report.Write(w.stdout, a, o)
}

// pathsDocument is what --path-to prints with --json.
type pathsDocument struct {
	Type  string        `json:"type"`
	Paths []retain.Path `json:"paths"`
}
