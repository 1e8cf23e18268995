package memwarden

import (
	"context"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/gcpolicy"
	"github.com/memwarden/memwarden/pressure"
)

// watch is what the sampling loop remembers between ticks. Only the loop's goroutine touches it.
type watch struct {
	applied  Config // the configuration that the parts have
	pressure pressure.State
	relief   gcpolicy.ReliefState
	rest     rest
	logged   time.Time // of the last summary
}

// loop takes a sample at each interval, and at once when the configuration or the owners change. It stays in step with
// the tickers of the goroutines that start beside it, whatever its pace: a process at rest that is woken once for all of
// them takes half the processor time.
func (w *Warden) loop(ctx context.Context, watch *watch) {
	began := time.Now()
	timer := time.NewTimer(seconds(watch.applied.Sampling.IntervalSeconds))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-w.changed:
		case <-ctx.Done():
			return
		}
		w.tick(watch, w.o.Now())
		pace := watch.rest.pace(seconds(watch.applied.Sampling.IntervalSeconds))
		timer.Reset(pace - time.Since(began)%pace)
	}
}

// tick reads, judges, decides and tells, in this order. It waits for nobody: what takes time is done by react.
func (w *Warden) tick(watch *watch, now time.Time) {
	if config := w.config.config(); config != watch.applied {
		if err := w.adopt(config); err != nil {
			// Validation has let something through that a part refuses: the part keeps what it had.
			w.o.Logger.Error("memory configuration: a part refuses it", "error", err)
		}
		watch.applied = config
	}
	config := watch.applied
	previous := w.state.Load()
	state := &State{Sequence: 1}
	var last []OwnerUsage
	if previous != nil {
		state.Sequence, last = previous.Sequence+1, previous.Owners
	}
	w.sampler.Read(&state.Sample, now)
	if w.Remote() {
		state.Gone = w.sampler.Gone()
	} else {
		w.govern(watch, config, state, now)
	}
	watch.pressure, state.Pressure = pressure.Next(watch.pressure, pressureConfig(config), &state.Sample, now)
	state.Owners = w.owners.usage(last)
	state.Problems = w.sampler.Problems()
	w.history.Add(now, &state.Sample, state.Pressure.Level)
	watch.rest.observe(state, w.events.followed(), now)

	w.state.Store(state)
	w.beat.Store(time.Now().UnixNano())
	w.tell(watch, previous, state)
	w.cleanup.OnLevel(state.Pressure.Level)
	if w.incidents != nil {
		replace(w.incidents.states, state)
	}
	if state.Pressure.Level > pressure.Normal {
		w.offer(state)
	}
}

// govern follows the container's limit, relieves a collector that spirals, and tunes GOGC.
func (w *Warden) govern(watch *watch, config Config, state *State, now time.Time) {
	container, limited := state.Sample.Cgroup.MaxBytes.Get()
	state.Limit = w.limit.Update(container, limited, now)

	watch.relief, state.Relief = gcpolicy.Relieve(watch.relief, reliefConfig(config), &state.Sample, state.Limit, now)
	if state.Relief.Relieve {
		state.Limit = w.limit.Relieve(state.Relief.Factor, state.Relief.Until)
	}
	w.tuner.Update(&state.Sample, now)
}

// tell publishes and logs what is new.
func (w *Warden) tell(watch *watch, previous, state *State) {
	at := state.Sample.At
	w.events.publish(Event{EventSample, at, state})
	if state.Pressure.Changed {
		w.events.publish(Event{EventPressure, at, state.Pressure})
		log := w.o.Logger.Info
		if state.Pressure.Level >= pressure.High {
			log = w.o.Logger.Warn
		}
		log("memory pressure changed", "pressure", state.Pressure.Level.String(), "previous", state.Pressure.Previous.String(), "reason", state.Pressure.Reason())
	}
	if !w.Remote() && (previous == nil || previous.Limit.LimitBytes != state.Limit.LimitBytes || previous.Limit.Source != state.Limit.Source) {
		w.events.publish(Event{EventLimit, at, state.Limit})
		w.o.Logger.Info("memory limit", "source", string(state.Limit.Source), "reason", state.Limit.Reason)
	}
	if state.Relief.Relieve {
		w.o.Logger.Warn("memory limit relieved", "reason", state.Relief.Reason)
	}
	if w.o.LogInterval > 0 && at.Sub(watch.logged) >= w.o.LogInterval {
		watch.logged = at
		w.logSummary(state)
	}
}

// logSummary writes one line with the figures that a person looks for first.
func (w *Warden) logSummary(state *State) {
	attributes := []any{"pressure", state.Pressure.Level.String()}
	add := func(name string, value interface{ Get() (int64, bool) }) {
		if bytes, ok := value.Get(); ok {
			attributes = append(attributes, name, bytesize.Format(bytes))
		}
	}
	s := &state.Sample
	add("heap_live", s.Go.HeapLiveBytes)
	add("go_used", s.Go.UsedBytes)
	add("go_limit", s.Go.MemoryLimitBytes)
	add("rss", s.Process.RSSBytes)
	add("off_heap", s.Process.OffHeapBytes)
	add("container", s.Cgroup.WorkingSetBytes)
	add("container_limit", s.Cgroup.MaxBytes)
	if n, ok := s.Go.Goroutines.Get(); ok {
		attributes = append(attributes, "goroutines", n)
	}
	if leaks := w.leakStatus.Load(); leaks != nil {
		attributes = append(attributes, "leaks", leaks.Verdict.String())
	}
	w.log.Info("memory", attributes...)
}

// offer hands the state to react; while that is busy the newest state replaces one that waits.
func (w *Warden) offer(state *State) { replace(w.act, state) }

// replace puts a state into a queue of one, in place of one that waits. Only the loop sends: emptied, the queue has room.
func replace(queue chan *State, state *State) {
	select {
	case <-queue:
	default:
	}
	queue <- state
}
