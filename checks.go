package memwarden

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// maxSilence is how long the sampling loop may be silent before only a restart helps: five times its longest interval.
const maxSilence = 5 * time.Minute

// buildHealth makes the checks of what the warden itself knows. Of all of them only the heartbeat can fail liveness.
func (w *Warden) buildHealth() (err error) {
	if w.health, err = health.New(health.Options{Logger: w.log}); err != nil {
		return err
	}
	sample := func() *memstat.Sample { return &w.State().Sample }
	checks := []health.Check{
		health.Heartbeat("sampling", maxSilence, func() time.Time { return time.Unix(0, w.beat.Load()) }),
		health.CgroupCheck(sample, w.levelBy(pressure.SignalContainer, pressure.SignalProcess)),
		health.SystemMemoryCheck(sample, w.levelBy(pressure.SignalSystem)),
		health.CleanupCheck(w.taskStates),
	}
	if w.Remote() {
		checks = append(checks, w.targetCheck())
	} else {
		checks = append(checks, health.HeapCheck(sample, w.levelBy(pressure.SignalGoLimit)))
	}
	if w.o.Store != nil {
		checks = append(checks, w.storeCheck())
	}
	for _, check := range checks {
		if _, err := w.health.Add(check); err != nil {
			return err
		}
	}
	return nil
}

// levelBy returns the level in force as far as some signals make it, so that each check tells of its own memory: the
// strongest signal has it all, another no more than it shows by itself.
func (w *Warden) levelBy(names ...pressure.SignalName) func() (pressure.Level, string) {
	return func() (pressure.Level, string) {
		p := w.State().Pressure
		strongest, ok := p.Strongest()
		if ok && slices.Contains(names, strongest.Name) {
			return p.Level, p.Reason()
		}
		own := pressure.Normal
		for _, signal := range p.Signals() {
			if slices.Contains(names, signal.Name) {
				own = max(own, signal.Level)
			}
		}
		if own = min(own, p.Level); own > pressure.Normal {
			return own, p.Reason()
		}
		return pressure.Normal, ""
	}
}

func (w *Warden) taskStates() []health.TaskState {
	status := w.cleanup.Status()
	states := make([]health.TaskState, len(status))
	for i, s := range status {
		states[i] = health.TaskState{Name: s.Name, Stuck: s.Stuck, ConsecutiveFailures: s.ConsecutiveFailures}
	}
	return states
}

// targetCheck is down once the process that is watched from outside has ended.
func (w *Warden) targetCheck() health.Check {
	return health.Check{Name: "process", Probes: health.Ready, FailAfter: 1, Run: func(context.Context) health.Result {
		if w.State().Gone {
			return health.Result{Level: health.Down, Message: fmt.Sprintf("process %d has ended", w.o.PID)}
		}
		return health.Result{Details: map[string]any{"pid": w.o.PID}}
	}}
}

// storeCheck is degraded while the history cannot be kept, or the store holds what cannot be used. It asks nobody, so that
// it may be asked often.
func (w *Warden) storeCheck() health.Check {
	return health.Check{Name: "store", TTL: time.Second, Run: func(context.Context) health.Result {
		if err := w.store.get(); err != nil {
			return health.Result{Level: health.Degraded, Message: "the store cannot be used; the log says why", Err: err}
		}
		return health.Result{}
	}}
}
