package memwarden

import (
	"sync"
	"time"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events.
const (
	EventSample   EventKind = "sample"   // a new State; Data is the *State
	EventPressure EventKind = "pressure" // the level changed; Data is the pressure.Decision
	EventLimit    EventKind = "limit"    // the memory limit changed; Data is the limit.Decision
	EventGC       EventKind = "gc"       // a forced collection ended; Data is the gcpolicy.Result
	EventConfig   EventKind = "config"   // the configuration changed; Data is the ConfigDocument
)

// Event is something that happened in a warden. Its Data must not be changed.
type Event struct {
	Kind EventKind
	At   time.Time
	Data any
}

// Subscription receives events until it is closed. Its queue is bounded: when the reader is slow the oldest event is
// dropped for the newest.
type Subscription struct {
	// Events is closed when the subscription or the warden is.
	Events <-chan Event

	events  chan Event
	bus     *events
	dropped int64
}

// Close ends the subscription and closes Events. It may be called more than once.
func (s *Subscription) Close() { s.bus.remove(s) }

// Dropped tells how many events the reader was too slow for.
func (s *Subscription) Dropped() int64 {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return s.dropped
}

// events hands each event to every subscription without ever waiting for one.
type events struct {
	mu     sync.Mutex
	subs   map[*Subscription]struct{}
	closed bool
}

// eventQueue is how many events wait for a subscriber: some seconds of samples and what happens between them.
const eventQueue = 16

func (b *events) subscribe() *Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue := make(chan Event, eventQueue)
	s := &Subscription{Events: queue, events: queue, bus: b}
	if b.closed {
		close(queue)
		return s
	}
	if b.subs == nil {
		b.subs = map[*Subscription]struct{}{}
	}
	b.subs[s] = struct{}{}
	return s
}

func (b *events) remove(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.subs[s]; ok {
		delete(b.subs, s)
		close(s.events)
	}
}

func (b *events) publish(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		for {
			select {
			case s.events <- e:
			default:
				// Only publish sends, under the lock: after one receive there is room.
				select {
				case <-s.events:
					s.dropped++
				default:
				}
				continue
			}
			break
		}
	}
}

func (b *events) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for s := range b.subs {
		delete(b.subs, s)
		close(s.events)
	}
}
