package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/process"
	"github.com/memwarden/memwarden/bench/internal/stages"
)

// What an analysis may take: bytes for each object, and bytes besides.
const (
	bytesPerObject = 60
	bytesBesides   = 32 << 20
)

// analysisTools are the programs that take and analyse.
type analysisTools struct{ memwarden, stages, file string }

// measureAnalysis takes snapshots of a program with ten million objects and analyses them: stage by stage, and with the
// commands that users have.
func measureAnalysis(ctx context.Context, p plan, w workshop) (figures []figure.Figure, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.heap.timeout)
	defer cancel()
	room, err := w.room()
	if err != nil {
		return nil, err
	}
	tools := analysisTools{file: filepath.Join(room, "snapshot")}
	if tools.memwarden, err = w.service(ctx); err != nil {
		return nil, err
	}
	if tools.stages, err = w.command(ctx, "heapstages", true); err != nil {
		return nil, err
	}
	program, err := w.sessions(ctx, "sessions", false, p.heap.attached, smallPage)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	if _, err := program.Ask("rest"); err != nil { // an analysis has the processors for itself
		return nil, err
	}
	var s series
	for range p.heap.rounds {
		r, err := readStages(ctx, tools.stages, program.PID, 0, tools.file)
		if err != nil {
			return s, err
		}
		addStages(&s, &r)
		if err := tools.round(ctx, &s, program.PID); err != nil {
			return s, err
		}
	}
	return s, nil
}

// addStages adds what the stages took, and the sums for which there are goals.
func addStages(s *series, r *stages.Report) {
	one := func(name string, goal figure.Goal, value float64) { s.add(name, figure.Seconds, goal, value) }
	one("from the frozen child to the analysis", figure.AtMost(6), r.Whole)
	one("spans to rows of pointers (CSR): pass and load", figure.AtMost(1), r.Pass+r.Load)
	one("CSR to retained sizes: paths, dominators, sums", figure.AtMost(2), r.Dominators+r.Retained)
	one("life of the frozen child", figure.AtMost(2), r.Life)
	one("1. the runtime's structures, spans, roots", none, r.Start)
	one("2. pass over the spans, written to the file", none, r.Pass)
	one("3. types of the binary; the child is let go", none, r.Types)
	one("4. names", none, r.Names)
	one("5. load: file to CSR", none, r.Load)
	one("6. what is reached", none, r.Reach)
	one("7. exact types", none, r.Type)
	one("8. inferred types, pins", none, r.Infer)
	one("9. shortest paths and dominators", none, r.Dominators)
	one("10. retained sizes by type and owner", none, r.Retained)
	one("11. suspects", none, r.Suspects)
	s.add("objects", figure.Count, none, float64(r.Objects))
	s.add("pointers between objects", figure.Count, none, float64(r.Pointers))
}

// round takes a snapshot and analyses it as a user does.
func (t analysisTools) round(ctx context.Context, s *series, pid int) error {
	began := time.Now()
	if _, _, err := runCommand(ctx, t.memwarden, "snapshot", "--pid", strconv.Itoa(pid), "-o", t.file, "--force"); err != nil {
		return err
	}
	taken := time.Since(began)
	command, out, err := runCommand(ctx, t.memwarden, "analyze", "--json", t.file)
	if err != nil {
		return err
	}
	whole := time.Since(began)
	var analysis struct{ Objects int64 }
	if err := json.Unmarshal(out, &analysis); err != nil {
		return fmt.Errorf("memwarden analyze --json: %w", err)
	}
	peak, err := process.MaxRSS(command.ProcessState)
	if err != nil {
		return err
	}
	s.add("memwarden snapshot, from beginning to end", figure.Seconds, none, taken.Seconds())
	s.add("memwarden analyze, from beginning to end", figure.Seconds, none, (whole - taken).Seconds())
	s.add("both", figure.Seconds, none, whole.Seconds())
	s.add("peak RSS of memwarden analyze", figure.Bytes, figure.AtMost(bytesPerObject*float64(analysis.Objects)+bytesBesides), float64(peak))
	return nil
}
