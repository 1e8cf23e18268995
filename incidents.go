package memwarden

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/trace"
	"strings"
	"sync"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// Errors of incident bundles.
var (
	// ErrNoIncidents means that no bundles are written.
	ErrNoIncidents = errors.New("no incident bundles are written: they are switched off (MEMWARDEN_INCIDENT_ENABLED), or no directory is set for them (MEMWARDEN_INCIDENT_DIR)")
	// ErrIncidentDir means that the directory cannot be used.
	ErrIncidentDir = errors.New("the directory of incident bundles cannot be used (MEMWARDEN_INCIDENT_DIR)")
	// ErrIncidentRoom means that so little memory is left that a bundle would itself be the end.
	ErrIncidentRoom = errors.New("too little memory is left to write an incident bundle")
)

// IncidentCooldownError refuses a bundle that is asked for too soon after another.
type IncidentCooldownError struct {
	RetryAfter time.Duration
}

func (e *IncidentCooldownError) Error() string {
	return fmt.Sprintf("an incident bundle was asked for a moment ago: the next may be in %v", e.RetryAfter.Round(time.Second/10))
}

const (
	// askedCooldown is the least time between two bundles that somebody asks for: they make old ones go.
	askedCooldown = 10 * time.Second
	// traceAge is what a flight recorder keeps at least, within traceBytes.
	traceAge   = 5 * time.Second
	traceBytes = 8 << 20
)

// incidents is what the warden has for incident bundles. What is not said to be safe only the goroutine of
// watchIncidents touches.
type incidents struct {
	store    *incident.Store
	previous *incident.Previous    // how the run before has ended; nil: there was none
	tracing  sync.Mutex            // held while the recorder is read or stopped
	recorder *trace.FlightRecorder // nil: none
	trigger  *incident.Trigger
	sampler  *memstat.Sampler // for readings beside the loop's
	sample   memstat.Sample
	program  incident.Program
	group    string // directory of the control group; empty: none

	states chan *State          // the newest, from the loop
	asked  chan incidentRequest // who wants a bundle
	late   chan struct{}        // holds one while parts are added to a bundle
	run    incident.Run         // as it was noted last
	manual time.Time            // when somebody last got a bundle that he asked for
}

// incidentRequest is somebody's wish for a bundle.
type incidentRequest struct {
	rule, reason string
	answer       chan incidentAnswer // has room for one
}

type incidentAnswer struct {
	record incident.Record
	err    error
}

// buildIncidents opens the directory of bundles, shows it among the limits, and tells what the run before has left.
func (w *Warden) buildIncidents() (err error) {
	o := w.o.Incidents
	if o.Dir == "" || o.Disabled || w.Remote() {
		return nil
	}
	i := &incidents{
		states: make(chan *State, 1), asked: make(chan incidentRequest), late: make(chan struct{}, 1),
		program: incident.Program{
			Executable: executableName(), GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
			PID: os.Getpid(), StartedAt: w.o.Now().UTC(),
		},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		i.program.Version = info.Main.Version
	}
	if i.store, err = incident.Open(incident.Options{
		Dir: o.Dir, MaxCount: o.MaxCount, MaxAge: o.MaxAge, MaxBytes: o.MaxBytes, SpareBytes: spareDisk, Now: w.o.Now,
	}); err != nil {
		return fmt.Errorf("%w: %w", ErrIncidentDir, err)
	}
	if i.trigger, err = incident.NewTrigger(incident.DefaultRule()); err != nil {
		return err
	}
	if i.sampler, err = memstat.New(memstat.Options{Root: w.o.Root, FastInterval: time.Nanosecond, SlowInterval: time.Hour}); err != nil {
		return err
	}
	w.incidents = i // from here on dismantle closes it
	if o.Trace {
		i.recorder = trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: traceAge, MaxBytes: traceBytes})
		if err := i.recorder.Start(); err != nil {
			w.o.Logger.Warn("memory incident bundles have no trace: the flight recorder cannot be started", "error", err)
			i.recorder = nil
		}
	}
	w.beginRun()
	if _, err = w.owners.register(i.store); err != nil {
		return err
	}
	_, err = w.cleanup.Add(cleanup.Task{
		Name: i.store.Name(), Interval: pruneInterval,
		Run: func(context.Context, cleanup.Trigger) (int64, error) { return i.store.Prune() },
	})
	return err
}

// beginRun notes that this run has begun, and tells how the one before has ended.
func (w *Warden) beginRun() {
	i := w.incidents
	i.run = incident.Run{StartedAt: i.program.StartedAt, PID: i.program.PID}
	if limits, err := memstat.ReadCgroupLimits(w.o.Root, 0); err == nil {
		i.group = limits.Path
		i.run.Group, i.run.OOMKills = incident.GroupIdentity(w.root(), limits.Path), limits.OOMKillEvents
	}
	previous, err := i.store.BeginRun(i.run)
	if err != nil {
		w.o.Logger.Error("memory incidents: how the last run has ended is not known", "error", err)
	}
	if i.previous = previous; previous == nil || previous.Ended == incident.Closed {
		return
	}
	var growing []string
	for _, id := range previous.Bundles { // of the one that says most: the newest may have had no room to look
		if r, err := i.store.Get(id); err == nil && len(r.Cause.Growing) > len(growing) { // else it had to make room already
			growing = r.Cause.Growing
		}
	}
	w.o.Logger.Warn("memory incidents: the last run was not closed", "ended", string(previous.Ended), "pid", previous.PID,
		"oom_kills", previous.OOMKills.String(), "growing", strings.Join(growing, "; "), "bundles", previous.Bundles)
}

// root is where /proc and /sys are.
func (w *Warden) root() string {
	if w.o.Root == "" {
		return "/"
	}
	return w.o.Root
}

// close notes that the run has ended as it should.
func (i *incidents) close(now time.Time) error {
	i.endTrace()
	i.run.ClosedAt = now.UTC()
	return errors.Join(i.store.NoteRun(i.run), i.sampler.Close())
}

// Incidents are the bundles of evidence that are kept; ErrNoIncidents where none are written, ErrRemote where another
// process is watched.
func (w *Warden) Incidents() (*incident.Store, error) {
	switch {
	case w.Remote():
		return nil, ErrRemote
	case w.incidents == nil:
		return nil, ErrNoIncidents
	}
	return w.incidents.store, nil
}

// PreviousRun tells how the run before this one has ended, by what it has left in the directory of bundles; nil if there
// was none, or no bundles are written. It must not be changed.
func (w *Warden) PreviousRun() *incident.Previous {
	if w.incidents == nil {
		return nil
	}
	return w.incidents.previous
}

// RecordIncident writes a bundle now, and returns once profile, goroutines and figures are on disk; what takes longer, the
// profile of 10,000 goroutines or more for one, follows. The reason is kept in its manifest, as one line of at most 1,000
// bytes. It is refused a moment after another that was asked for (*IncidentCooldownError), and where too little memory
// (ErrIncidentRoom) or disk (incident.ErrNoRoom) is left. It takes some tens of milliseconds, and some MB for the time.
func (w *Warden) RecordIncident(ctx context.Context, reason string) (incident.Record, error) {
	return w.recordIncident(ctx, incident.Manual, reason)
}

// recordIncident is RecordIncident by another rule; of those that somebody asked for alone there may be one too many.
func (w *Warden) recordIncident(ctx context.Context, rule, reason string) (incident.Record, error) {
	if _, err := w.Incidents(); err != nil {
		return incident.Record{}, err
	}
	r := incidentRequest{rule, reason, make(chan incidentAnswer, 1)}
	select {
	case w.incidents.asked <- r:
	case <-ctx.Done():
		return incident.Record{}, context.Cause(ctx)
	case <-w.done:
		return incident.Record{}, ErrClosed
	}
	select {
	case answer := <-r.answer:
		return answer.record, answer.err
	case <-ctx.Done():
		return incident.Record{}, context.Cause(ctx)
	case <-w.done:
		return incident.Record{}, ErrClosed
	}
}

// watchIncidents judges each state, and more often by readings of its own while the limit comes near. What is written it
// writes itself: the loop waits for nothing.
func (w *Warden) watchIncidents(ctx context.Context) {
	i := w.incidents
	soon := time.NewTimer(time.Hour)
	soon.Stop()
	defer soon.Stop()
	alert := false // soon is running
	for {
		var reading incident.Reading
		select {
		case state := <-i.states:
			w.followKills(&state.Sample)
			if alert {
				continue // which is newer already
			}
			reading = readingOf(&state.Sample, state.Pressure)
		case <-soon.C:
			reading = w.readNow()
		case r := <-i.asked:
			record, err := w.recordAsked(ctx, r.rule, r.reason)
			r.answer <- incidentAnswer{record, err}
			continue
		case <-ctx.Done():
			return
		}
		v := w.judgeIncident(ctx, reading)
		if alert = v.Next > 0; alert {
			soon.Reset(v.Next)
		}
	}
}

// readNow takes a reading beside the loop's.
func (w *Warden) readNow() incident.Reading {
	i := w.incidents
	now := w.o.Now()
	i.sampler.Read(&i.sample, now)
	_, decision := pressure.Next(pressure.State{}, pressureConfig(w.config.config()), &i.sample, now)
	return readingOf(&i.sample, decision)
}

// readingOf is how near the process is to its end: by the container's limit or the stated one, without either by the
// machine's memory if the process holds much of it.
func readingOf(s *memstat.Sample, d pressure.Decision) incident.Reading {
	r := incident.Reading{At: s.At, Collections: s.Go.GCCycles.Or(0)}
	for _, signal := range d.Signals() {
		switch signal.Name {
		case pressure.SignalContainer, pressure.SignalProcess:
		case pressure.SignalSystem:
			if s.Process.RSSBytes.Or(0) < signal.LimitBytes/5 { // another one's shortage
				continue
			}
		default: // past the Go memory limit nobody is killed
			continue
		}
		r.UsedBytes, r.TotalBytes, r.LimitBytes = signal.UsedBytes, signal.UsedBytes+signal.GarbageBytes, signal.LimitBytes
	}
	return r
}

// judgeIncident writes a bundle if one is due.
func (w *Warden) judgeIncident(ctx context.Context, r incident.Reading) incident.Verdict {
	i := w.incidents
	v := i.trigger.Judge(r)
	switch {
	case v.Dying:
		i.trigger.Failed(r.At)
		w.o.Logger.Warn("memory incident: there is too little left to write a bundle", "free", bytesize.Format(max(0, r.LimitBytes-r.TotalBytes)), "reason", v.Reason)
	case v.Extent != incident.Nothing:
		if _, err := w.writeIncident(ctx, r, v); err != nil {
			i.trigger.Failed(w.o.Now())
		} else {
			i.trigger.Took(v, r.At)
		}
	}
	return v
}

// recordAsked writes the bundle that somebody asks for.
func (w *Warden) recordAsked(ctx context.Context, rule, reason string) (incident.Record, error) {
	i, now := w.incidents, w.o.Now()
	if wait := i.manual.Add(askedCooldown).Sub(now); rule == incident.Manual && !i.manual.IsZero() && wait > 0 && wait <= askedCooldown {
		return incident.Record{}, &IncidentCooldownError{RetryAfter: wait}
	}
	r := w.readNow()
	v := incident.Verdict{Extent: incident.Whole, Rule: rule, Reason: reason, EstimatedBytes: r.UsedBytes, SecondsToLimit: math.Inf(1)}
	bounds := incident.DefaultRule()
	if free := r.LimitBytes - r.TotalBytes; r.LimitBytes > 0 && free < bounds.SmallBytes {
		if v.Extent = incident.Smallest; free < bounds.DyingBytes {
			return incident.Record{}, fmt.Errorf("memwarden: %w: %s of %s", ErrIncidentRoom, bytesize.Format(max(0, free)), bytesize.Format(r.LimitBytes))
		}
	}
	record, err := w.writeIncident(ctx, r, v)
	if err == nil && rule == incident.Manual {
		i.manual = now
	}
	return record, err
}

// followKills keeps what the next run is told of the control group's kills: what it lost while this one lives is not
// this one's end.
func (w *Warden) followKills(s *memstat.Sample) {
	i := w.incidents
	if kills, ok := s.Cgroup.OOMKillEvents.Get(); !ok || kills == i.run.OOMKills.Or(kills) {
		return
	}
	i.run.OOMKills = s.Cgroup.OOMKillEvents
	if err := i.store.NoteRun(i.run); err != nil {
		w.o.Logger.Error("memory incidents: a kill in the control group cannot be noted", "error", err)
	}
}
