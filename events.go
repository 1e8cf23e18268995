package memwarden

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events.
const (
	EventSample   EventKind = "sample"   // a new State; Data is the *State
	EventPressure EventKind = "pressure" // the level changed; Data is the pressure.Decision
	EventLimit    EventKind = "limit"    // the memory limit changed; Data is the limit.Decision
	EventGC       EventKind = "gc"       // a forced collection ended; Data is the gcpolicy.Result
	EventLeak     EventKind = "leak"     // a verdict about leaks changed, and was not dismissed; Data is the LeakFinding
	EventIncident EventKind = "incident" // an incident bundle was written; Data is its incident.Record, more parts may follow
	EventConfig   EventKind = "config"   // the configuration changed; Data is the ConfigDocument
	// EventLeakReport: a leak report was kept, or somebody has settled a leak; Data is the KeptLeak.
	EventLeakReport EventKind = "leak_report"
)

// Event is something that happened in a warden. Its Data must not be changed.
type Event struct {
	Kind EventKind
	At   time.Time
	Data any
}

// Subscription receives events until it is closed. Its queue is bounded: when the reader is slow the oldest event is
// dropped for the newest. Whoever subscribes must close it, or read until Events is closed.
type Subscription struct {
	// Events is closed when the subscription or the warden is; what the reader has not got by then is dropped.
	Events <-chan Event

	events  chan Event // not buffered: the queue is the topic's
	cancel  func(context.Context) error
	dropped atomic.Uint64
}

// Close ends the subscription and closes Events. It may be called more than once.
func (s *Subscription) Close() {
	_ = s.cancel(context.Background()) // fails only if that context ended: handle waits for the reader no longer
}

// Dropped tells how many events the reader did not get: those that it was too slow for, and those that waited for it at
// the end.
func (s *Subscription) Dropped() int64 { return int64(s.dropped.Load()) }

// handle gives an event to the reader, or drops it when the subscription ends.
func (s *Subscription) handle(ctx context.Context, e Event) {
	select {
	case s.events <- e:
	case <-ctx.Done():
		s.dropped.Add(1)
	}
}

const (
	// maxSubscribers is above the followers that a live stream may have.
	maxSubscribers = 16_384
	// eventQueue is how many events wait for a subscriber, beside the one that he is offered: some seconds of samples and
	// what happens between them.
	eventQueue             = 16
	defaultWarnSubscribers = 256
)

// events hands each event to every subscription without ever waiting for one.
type events struct{ topic *bounded.Topic[Event] }

// newEvents has grow told, by who subscribes, when there are so many subscriptions, and whenever they have doubled.
func newEvents(warnAt int, grow func(bounded.TopicGrowth), logger *slog.Logger) (events, error) {
	// What an event leads to is held by the warden too: its State is the newest or was so some seconds ago.
	topic, err := bounded.NewTopic[Event](bounded.TopicOptions{
		Name: "event_bus", MaxListeners: maxSubscribers, MaxQueue: eventQueue, WarnListeners: warnAt, OnGrowth: grow,
		OnPanic: func(p bounded.ListenerPanic) {
			logger.Error("memory events: handing one on panicked", "reason", fmt.Sprint(p.Value), "stack", string(p.Stack))
		},
	})
	return events{topic}, err
}

// subscribe is called by Warden.Subscribe, whose caller is named if there are too many.
func (b events) subscribe() (*Subscription, error) {
	s := &Subscription{events: make(chan Event)}
	s.Events = s.events
	var err error
	s.cancel, err = b.topic.Subscribe(bounded.ListenerOptions{
		Queue: eventQueue, Overflow: bounded.DropOldest, Dropped: &s.dropped, Skip: 2,
		OnEnd: func() { close(s.events) }, // handle was the only sender, and is not called any more
	}, s.handle)
	switch {
	case errors.Is(err, bounded.ErrTopicClosed):
		return nil, fmt.Errorf("memwarden: subscribe: the warden is closed: there are no more events: %w", err)
	case err != nil:
		return nil, fmt.Errorf("memwarden: subscribe: close subscriptions that are not needed any more: %w", err)
	}
	return s, nil
}

// followed reports whether there are subscriptions.
func (b events) followed() bool { return b.topic.Usage().Entries > 0 }

// publish fails only once the bus is closed, when there is nobody to hear of it.
func (b events) publish(e Event) { _ = b.topic.Publish(context.Background(), e) }

// close ends every subscription, whether its reader reads or not. Nothing is published or subscribed to any more.
func (b events) close() {
	_ = b.topic.Close(done()) // its error would tell of slow readers, which now nobody waits for any more
	_ = b.topic.Close(context.Background())
}
