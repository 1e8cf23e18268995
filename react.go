package memwarden

import (
	"context"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/gcpolicy"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// react does what pressure asks for, one state at a time, in the order in which it hurts least: owners shrink, then
// a backed-off collection, memory returned to the operating system. Cleanup tasks
// run beside it, by their own registry; readiness follows by package health, liveness never.
func (w *Warden) react(ctx context.Context) {
	for {
		select {
		case state := <-w.act:
			w.relieve(ctx, state)
		case <-ctx.Done():
			return
		}
	}
}

func (w *Warden) relieve(ctx context.Context, state *State) {
	level := state.Pressure.Level
	if level >= pressure.High && w.cleanUpUnderPressure(ctx, state) {
		return
	}
	if level >= pressure.High && w.shrinking.TryLock() { // else they do already, for a leak
		w.shrinkOwners(ctx, state)
		w.shrinking.Unlock()
	}
	if w.Remote() {
		return
	}
	request, ok := gcpolicy.Automate(automaticConfig(w.config.config()), state.Pressure, &state.Sample).Request()
	if !ok {
		return
	}
	if _, err := w.collect(ctx, request); err != nil && ctx.Err() == nil {
		w.o.Logger.Error("memory collection under pressure failed", "error", err)
	}
}

// shrinkOwners asks the owners for what is too much.
func (w *Warden) shrinkOwners(ctx context.Context, state *State) {
	excess := w.excess(state)
	if excess <= 0 {
		return
	}
	freed := int64(0)
	for _, owner := range w.owners.shrink(ctx, excess) {
		freed += owner.bytes
	}
	if freed > 0 {
		w.o.Logger.Info("memory owners shrank", "asked", bytesize.Format(excess), "freed", bytesize.Format(freed), "pressure", state.Pressure.Level.String())
	}
}

// excess is by how much use is above the elevated level's share of its limit.
func (w *Warden) excess(state *State) int64 {
	signal, ok := state.Pressure.Strongest()
	if !ok {
		return 0
	}
	return signal.UsedBytes - int64(w.config.config().Pressure.ElevatedRatio*float64(signal.LimitBytes))
}

// collect runs a forced collection, or shares one that runs, and tells what it brought.
func (w *Warden) collect(ctx context.Context, request gcpolicy.Request) (gcpolicy.Result, error) {
	result, err := w.collector.Run(ctx, request)
	if err != nil {
		return result, err
	}
	if result.Ran && !result.Shared {
		w.events.publish(Event{EventGC, result.At, result})
		w.o.Logger.Info("memory collected", "reason", result.Reason, "freed", sizeOf(result.FreedBytes),
			"returned", sizeOf(result.ReturnedBytes), "took", result.Duration)
	}
	return result, nil
}

// sizeOf prints a number of bytes that may be absent.
func sizeOf(bytes memstat.Int) string {
	if known, ok := bytes.Get(); ok {
		return bytesize.Format(known)
	}
	return bytes.String()
}

// meter takes the figures before and after a collection. Its sampler is its own, because the loop's cannot be shared
// and reads the resident size once a second at most. The collector asks one at a time.
type meter struct {
	root    string
	sampler *memstat.Sampler // made when it is first needed
}

func (m *meter) figures() gcpolicy.Figures {
	if m.sampler == nil {
		sampler, err := memstat.New(memstat.Options{Root: m.root, FastInterval: time.Nanosecond, SlowInterval: 24 * time.Hour})
		if err != nil {
			return gcpolicy.Figures{} // absent, as all that cannot be read
		}
		m.sampler = sampler
	}
	var s memstat.Sample
	m.sampler.Read(&s, time.Now())
	return gcpolicy.FiguresOf(&s)
}

func (m *meter) close() error {
	if m.sampler == nil {
		return nil
	}
	return m.sampler.Close()
}
