package memwarden

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/gcpolicy"
	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/internal/sorting"
	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/limit"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// The parts of a bundle, in the order in which they are written: those that are there in any case, then, once the bundle
// has its name, those that take time or may fail.
const (
	partHeap       = "heap.pb.gz"
	partGoroutines = "goroutine.pb.gz"
	partCgroup     = "cgroup.txt"
	partState      = "state.json"
	partConfig     = "config.json"
	partTrace      = "trace.out"
	partStacks     = "goroutines.txt"
	partHeapAfter  = "heap-after-gc.pb.gz"
	partAbandoned  = "goroutineleak.pb.gz"
	partSnapshot   = "heap.snapshot"

	goroutinesAre = "goroutines by their stacks: go tool pprof"
)

const (
	// lateLead is what must be left until the limit for parts that cost more than they may bring: a stopped world, a
	// collection, a fork.
	lateLead = 4.0 // seconds
	// afterPatience is how long the second heap profile waits for a collection to end.
	afterPatience  = 20 * time.Second
	collectionLook = 20 * time.Millisecond
)

// writeIncident writes a bundle's first parts and gives it its name, which takes some tens of milliseconds; then it has
// the rest added by a goroutine that ends with the warden.
func (w *Warden) writeIncident(ctx context.Context, r incident.Reading, v incident.Verdict) (incident.Record, error) {
	began := w.o.Now()
	record, draft, err := w.publishIncident(r, v)
	if err != nil {
		err = fmt.Errorf("memwarden: incident bundle: %w", err)
		w.o.Logger.Error("memory incident bundle could not be written", "rule", v.Rule, "reason", v.Reason, "error", err)
		return incident.Record{}, err
	}
	w.events.publish(Event{EventIncident, record.At, record})
	w.o.Logger.Warn("memory incident bundle written", "id", record.ID, "rule", v.Rule, "reason", v.Reason,
		"growing", strings.Join(record.Cause.Growing, "; "), "took", w.o.Now().Sub(began), "missing", missingNames(record))
	w.loops.Go(func() { w.completeIncident(ctx, draft, v) }) // the caller is one of loops: none is waited for in vain
	return record, nil
}

func missingNames(r incident.Record) (names []string) {
	for _, m := range r.Missing {
		names = append(names, m.Name)
	}
	return names
}

// publishIncident writes what is there in any case.
func (w *Warden) publishIncident(r incident.Reading, v incident.Verdict) (record incident.Record, draft *incident.Draft, err error) {
	i := w.incidents
	cause := incident.Cause{
		Rule: v.Rule, Reason: v.Reason, Extent: v.Extent.String(), UsedBytes: r.UsedBytes, TotalBytes: r.TotalBytes, LimitBytes: r.LimitBytes,
		EstimatedBytes: v.EstimatedBytes, GrowthPerSecond: v.GrowthPerSecond, Collections: r.Collections,
	}
	if !math.IsInf(v.SecondsToLimit, 0) {
		cause.SecondsToLimit = &v.SecondsToLimit
	}
	if draft, err = i.store.Begin(cause, i.program); err != nil {
		return record, nil, err
	}
	// A part that fails is missing, which the manifest says.
	_ = draft.Add(partHeap, "heap profile as of the last collection: go tool pprof", incident.Profile("heap"))
	// A profile of 100,000 goroutines takes half a second and more, and what there is by then must not wait for it.
	if runtime.NumGoroutine() < incident.MaxStacks {
		_ = draft.Add(partGoroutines, goroutinesAre, incident.Profile("goroutine"))
	} else {
		draft.Expect(partGoroutines)
	}
	if i.group != "" {
		_ = draft.Add(partCgroup, "the kernel's account of the control group's memory", incident.Cgroup(i.group))
	} else {
		draft.Miss(partCgroup, "the process is in no memory control group that can be read")
	}
	_ = draft.Add(partState, "what the warden knew last: figures, pressure, owners by what they hold, leaks", w.writeState)
	_ = draft.Add(partConfig, "the configuration in force", func(out io.Writer) error { return writeJSON(out, w.Config()) })
	draft.Expect(partTrace, partStacks, partHeapAfter, partAbandoned, partSnapshot)
	room := int64(math.MaxInt64)
	if r.LimitBytes > 0 {
		room = r.LimitBytes - r.TotalBytes
	}
	draft.NoteGrowing(w.growing(room)) // after what cannot be done without
	record, err = draft.Publish()
	return record, draft, err
}

// incidentState is state.json.
type incidentState struct {
	Sample    memstat.Sample          `json:"sample"`
	Pressure  pressure.Decision       `json:"pressure"`
	Limit     limit.Decision          `json:"limit"`
	Relief    gcpolicy.ReliefDecision `json:"relief"`
	Owners    []incidentOwner         `json:"owners"` // those that hold most first
	Verdict   leak.Verdict            `json:"leak_verdict"`
	Findings  []leak.Finding          `json:"leak_findings"`
	Problems  []memstat.Problem       `json:"problems,omitzero"`
	CPUs      int                     `json:"gomaxprocs"`
	Sequence  int64                   `json:"sequence"`
	WrittenAt time.Time               `json:"written_at"`
}

type incidentOwner struct {
	Name        string        `json:"name"`
	Usage       bounded.Usage `json:"usage"`
	OutsideHeap bool          `json:"outside_heap"`
	Error       string        `json:"error,omitzero"`
}

func (w *Warden) writeState(out io.Writer) error {
	state, leaks := w.State(), w.Leaks()
	document := incidentState{
		Sample: state.Sample, Pressure: state.Pressure, Limit: state.Limit, Relief: state.Relief, Verdict: leaks.Verdict,
		Findings: leaks.Findings, Problems: state.Problems, CPUs: runtime.GOMAXPROCS(0), Sequence: state.Sequence, WrittenAt: w.o.Now().UTC(),
	}
	for _, o := range state.Owners {
		owner := incidentOwner{Name: o.Name, Usage: o.Usage, OutsideHeap: o.OutsideHeap}
		if o.Err != nil {
			owner.Error = o.Err.Error()
		}
		document.Owners = append(document.Owners, owner)
	}
	sorting.StableBy(document.Owners, func(a, b incidentOwner) int { return int(max(-1, min(1, b.Usage.Bytes-a.Usage.Bytes))) })
	return writeJSON(out, document)
}

func writeJSON(out io.Writer, document any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

// latePart is one that follows once the bundle has its name.
type latePart struct {
	name, what string
	// cheap parts are taken however near the limit is.
	cheap bool
	write func(context.Context, *incident.Draft) func(io.Writer) error
}

// lateParts are in the order in which they are taken: the snapshot, which takes longest and most, is last.
func (w *Warden) lateParts() []latePart {
	plain := func(write func(io.Writer) error) func(context.Context, *incident.Draft) func(io.Writer) error {
		return func(context.Context, *incident.Draft) func(io.Writer) error { return write }
	}
	return []latePart{
		{partGoroutines, goroutinesAre, true, w.writeGoroutines},
		{partTrace, "execution trace of the last seconds: go tool trace", true, plain(w.incidents.writeTrace)},
		{partStacks, "the stack of each goroutine", false, plain(incident.Stacks)},
		{partHeapAfter, "heap profile as of the collection after that", true, w.writeHeapAfter},
		{partAbandoned, "goroutines that wait for what nobody can do any more: go tool pprof", false, plain(w.writeAbandoned)},
		{partSnapshot, "heap snapshot: memwarden analyze", false, w.writeSnapshot},
	}
}

// completeIncident adds the other parts, or says why there are none. Those of one bundle at a time are taken.
func (w *Warden) completeIncident(ctx context.Context, draft *incident.Draft, v incident.Verdict) {
	i, free := w.incidents, false
	select {
	case i.late <- struct{}{}:
		free = true
		defer func() { <-i.late }()
	default:
	}
	problems := []error{draft.Sync()}
	for _, part := range w.lateParts() {
		if !draft.Expects(part.name) {
			continue // it is there
		}
		why := notNow(part, v)
		switch {
		case ctx.Err() != nil:
			why = "the warden was closed"
		case !free:
			why = "those of the bundle before were still being taken"
		}
		if why != "" {
			draft.Miss(part.name, why)
			continue
		}
		err := draft.Add(part.name, part.what, part.write(ctx, draft)) // the manifest says why it failed
		if errors.Is(err, incident.ErrNotFound) {
			break // nobody waits for the others
		}
	}
	err := errors.Join(append(problems, draft.Finish())...)
	switch {
	case errors.Is(err, incident.ErrNotFound):
		w.o.Logger.Info("memory incident bundle was removed before it was complete", "id", draft.ID())
		return
	case err != nil:
		w.o.Logger.Error("memory incident bundle could not be completed", "id", draft.ID(), "error", err)
		return
	}
	record, err := i.store.Get(draft.ID())
	if err != nil {
		return // it had to make room already
	}
	w.o.Logger.Info("memory incident bundle is complete", "id", record.ID, "parts", len(record.Parts), "missing", missingNames(record),
		"bytes", bytesize.Format(record.Bytes))
}

// notNow says why a part is not taken; empty: it is.
func notNow(part latePart, v incident.Verdict) string {
	switch {
	case v.Extent == incident.Smallest:
		return "there is too little memory left: only the smallest parts are taken"
	case v.Extent == incident.Quick && !part.cheap:
		return "what has grown may be garbage: only what costs little is taken"
	case v.SecondsToLimit < lateLead && !part.cheap:
		return fmt.Sprintf("the limit is %.1f s away: there is no time", v.SecondsToLimit)
	}
	return ""
}

// writeGoroutines is refused where what the profile takes would itself be the end.
func (w *Warden) writeGoroutines(context.Context, *incident.Draft) func(io.Writer) error {
	return func(out io.Writer) error {
		if err := w.goroutineRoom(incident.GoroutineBytes); err != nil {
			return err
		}
		return incident.Goroutines(w.o.Now())(out)
	}
}

// writeHeapAfter waits for a collection to end. It forces none: near the limit the next one is near too.
func (w *Warden) writeHeapAfter(ctx context.Context, _ *incident.Draft) func(io.Writer) error {
	return func(out io.Writer) error {
		ctx, cancel := context.WithTimeout(ctx, afterPatience)
		defer cancel()
		look := time.NewTicker(collectionLook)
		defer look.Stop()
		for before := collections(); collections() == before; {
			select {
			case <-look.C:
			case <-ctx.Done():
				return fmt.Errorf("no collection has ended for %v: %w", afterPatience, context.Cause(ctx))
			}
		}
		return incident.Profile("heap")(out)
	}
}

// collections counts those that have ended.
func collections() uint64 {
	cycles := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(cycles)
	return cycles[0].Value.Uint64()
}

// writeAbandoned is refused where there are so many goroutines that the runtime may look for long.
func (w *Warden) writeAbandoned(out io.Writer) error {
	if n := runtime.NumGoroutine(); n >= incident.MaxStacks {
		return fmt.Errorf("there are %d goroutines: it is looked for abandoned ones among fewer than %d", n, incident.MaxStacks)
	}
	w.sweeps.mu.Lock()
	defer w.sweeps.mu.Unlock()
	return incident.Profile("goroutineleak")(out)
}

// writeSnapshot takes a heap snapshot within its own bounds of memory and time.
func (w *Warden) writeSnapshot(ctx context.Context, draft *incident.Draft) func(io.Writer) error {
	return func(out io.Writer) error {
		if w.o.Incidents.NoSnapshots {
			return errors.New("snapshots are left out (MEMWARDEN_INCIDENT_SNAPSHOTS)")
		}
		release, err := w.beginSnapshot()
		if err != nil {
			return err
		}
		defer release()
		_, err = w.takeSnapshot(ctx, incident.Underlying(out), taking{maxBytes: draft.Room(), urgent: true})
		return err
	}
}
