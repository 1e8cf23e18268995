// Package stages takes and analyses a heap snapshot with the library's own parts, and tells how long each stage takes
// and how well the heap was understood.
//
// It knows the order of the parts; cmd/heapstages is what runs it, in a process of its own. The benchmarks stand above.
package stages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/scan"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// Report is what Run has to say. Durations are in seconds.
type Report struct {
	// Of the capture, unless there was none:
	Pause float64 `json:"pause_seconds"` // for which the process stood still
	Life  float64 `json:"life_seconds"`  // of the frozen child, from when the process ran on
	Start float64 `json:"start_seconds"` // finding the runtime's structures, spans and roots
	Pass  float64 `json:"pass_seconds"`  // over the spans
	Types float64 `json:"types_seconds"` // of the binary, while the child lives
	Names float64 `json:"names_seconds"` // after it

	// Of the analysis:
	Load       float64 `json:"load_seconds"`       // from the file to rows of pointers (CSR)
	Reach      float64 `json:"reach_seconds"`      // what the roots reach
	Type       float64 `json:"type_seconds"`       // exact types
	Infer      float64 `json:"infer_seconds"`      // inferred ones, and what slices and strings pin
	Dominators float64 `json:"dominators_seconds"` // and shortest paths, at the same time
	Retained   float64 `json:"retained_seconds"`
	Suspects   float64 `json:"suspects_seconds"`

	Whole float64 `json:"whole_seconds"` // from when the process ran on, or else from the file, to the analysis

	Objects       uint64 `json:"objects"`
	Pointers      uint64 `json:"pointers"`
	Bytes         uint64 `json:"bytes"`
	ReachedBytes  uint64 `json:"reached_bytes"`
	LiveBytes     uint64 `json:"live_bytes"` // that the last completed collection marked
	ExactBytes    uint64 `json:"exact_bytes"`
	InferredBytes uint64 `json:"inferred_bytes"`
	NoScanBytes   uint64 `json:"noscan_bytes"` // of no known type, without pointers

	// How inference did on objects whose type is known anyway:
	Tried   int `json:"tried"`
	Decided int `json:"decided"` // as one type
	Wrong   int `json:"wrong"`   // of those
}

// Options of Run.
type Options struct {
	PID    int    // of the process to capture; 0: the file is there
	File   string // of the snapshot
	Sample int    // of objects to hold inference against; 0: none
	Now    func() time.Time
}

// Run captures and analyses.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := &Report{}
	began := o.Now()
	if o.PID != 0 {
		var err error
		if began, err = r.capture(ctx, o); err != nil {
			return nil, fmt.Errorf("capture of %d: %w", o.PID, err)
		}
	}
	if err := r.analyze(ctx, o, began); err != nil {
		return nil, fmt.Errorf("analysis of %s: %w", o.File, err)
	}
	return r, nil
}

// lap returns the time since the last lap, in seconds.
type lap func() float64

func newLap(now func() time.Time) lap {
	last := now()
	return func() float64 {
		at := now()
		d := at.Sub(last)
		last = at
		return d.Seconds()
	}
}

// capture writes the file and returns the time at which the process ran on.
func (r *Report) capture(ctx context.Context, o Options) (ranOn time.Time, err error) {
	image, err := capture.Attach(ctx, o.PID, capture.AttachOptions{NoStop: true})
	if err != nil {
		return ranOn, err
	}
	ranOn = o.Now()
	defer func() { err = errors.Join(err, image.Close()) }()
	binary, err := os.Open(fmt.Sprintf("/proc/%d/exe", o.PID)) // names are looked up when the image is closed
	if err != nil {
		return ranOn, err
	}
	defer func() { _ = binary.Close() }() // only read
	image.Process.Binary = binary
	file, err := os.Create(o.File)
	if err != nil {
		return ranOn, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r.Pause = image.Pause.Seconds()
	next := newLap(o.Now)
	_, err = scan.Write(ctx, image.Process, file, scan.Options{
		Header: snapshot.Header{PID: int64(o.PID), TakenAt: ranOn.UnixNano(), Method: snapshot.InjectedFork, RSSBytes: -1},
		Pause:  func() time.Duration { return image.Pause },
		Progress: func(uint64, uint64) {
			if r.Start == 0 { // a thousandth of the pass is done: nobody is told when it begins
				r.Start = next()
			} else {
				r.Pass += next()
			}
		},
		Released: func() {
			r.Types = next()
			_ = image.Close() // the deferred one tells
			r.Life = o.Now().Sub(ranOn).Seconds()
		},
	})
	r.Names = next()
	return ranOn, err
}

// analyze reads the file as memwarden analyze does.
func (r *Report) analyze(ctx context.Context, o Options, began time.Time) error {
	file, err := os.Open(o.File)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	reader, err := snapshot.Open(file, size)
	if err != nil {
		return err
	}
	undo, err := retain.Prepare(reader)
	if err != nil {
		return err
	}
	defer undo()
	watch := newStopwatch(o.Now, map[string]*float64{
		"load": &r.Load, "reach": &r.Reach, "type": &r.Type, "infer": &r.Infer,
		"dominators": &r.Dominators, "retained": &r.Retained, "suspects": &r.Suspects,
	})
	watch.show("load", 0, 0)
	g, err := graph.Load(ctx, reader, graph.Options{Progress: watch.show})
	if err != nil {
		return err
	}
	watch.show("dominators", 0, 0)
	analysis, err := retain.Analyze(ctx, g, retain.Options{Progress: watch.show})
	if err != nil {
		return err
	}
	watch.stop()
	r.Whole = o.Now().Sub(began).Seconds()
	stats := g.Stats()
	r.Objects, r.Pointers, r.Bytes = reader.Totals().Objects, analysis.Edges, analysis.Bytes
	r.ReachedBytes, r.LiveBytes = analysis.ReachedBytes, analysis.RuntimeLiveBytes
	r.ExactBytes, r.InferredBytes, r.NoScanBytes = stats.ExactBytes, stats.InferredBytes, stats.NoScanBytes
	if o.Sample == 0 {
		return nil
	}
	check, err := g.CheckInference(ctx, o.Sample)
	r.Tried, r.Decided, r.Wrong = check.Tried, check.Decided, check.Wrong
	return err
}

// stopwatch adds up the time that is spent in each stage.
type stopwatch struct {
	next  lap
	spent map[string]*float64
	stage string
}

func newStopwatch(now func() time.Time, spent map[string]*float64) *stopwatch {
	return &stopwatch{next: newLap(now), spent: spent}
}

// show is told the stage now and then. Stages that nobody asked for count as the one before.
func (s *stopwatch) show(stage string, _, _ uint64) {
	if stage == s.stage || s.spent[stage] == nil {
		return
	}
	s.stop()
	s.stage = stage
}

func (s *stopwatch) stop() {
	if d := s.next(); s.stage != "" {
		*s.spent[s.stage] += d
	}
}
