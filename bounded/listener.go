package bounded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// listenerBytes is a listener without its queue: its channels, its context and its places in two lists.
const listenerBytes = 1024

// errRemoved is the cause that a listener's context is done for.
var errRemoved = errors.New("the listener was removed")

// listener is a queue, and a goroutine while there is something in it.
type listener[T any] struct {
	topic    *Topic[T]
	handle   func(context.Context, T)
	overflow OverflowPolicy
	site     uintptr                 // who subscribed
	ctx      context.Context         // with the listener itself as a key, so that it knows its own calls
	stop     context.CancelCauseFunc // of ctx
	start    func()                  // run, as a value: a go statement with a method would allocate
	lost     *atomic.Uint64          // grows with dropped; nil: nobody asks
	onEnd    func()                  // nil: nobody is told

	room chan struct{} // holds one token when a publisher that waits should look again
	shed chan struct{} // closed with closed: publishers need not wait any longer
	done chan struct{} // closed when the listener was shut, its queue is empty and handle has returned

	mu                 sync.Mutex
	ring               []T // of fixed length; events are in count places from head on, all others are zero
	head, count        int
	running            bool // there is a goroutine; always while count > 0
	closed             bool // no event is taken any more
	waiting            int  // publishers that wait for room
	delivered, dropped uint64
}

func newListener[T any](t *Topic[T], options ListenerOptions, handle func(context.Context, T)) *listener[T] {
	l := &listener[T]{
		topic: t, handle: handle, overflow: options.Overflow, ring: make([]T, options.Queue),
		lost: options.Dropped, onEnd: options.OnEnd,
		room: make(chan struct{}, 1), shed: make(chan struct{}), done: make(chan struct{}),
	}
	l.start = l.run
	l.ctx, l.stop = context.WithCancelCause(context.Background())
	l.ctx = context.WithValue(l.ctx, l, true)
	return l
}

// bytes is what the listener takes without EventBytes.
func (l *listener[T]) bytes() int64 { return listenerBytes + int64(len(l.ring))*l.topic.eventSize }

// push queues an event as the policy says. It returns false if the listener misses it because ctx was done before there
// was room, or the topic was closed. A listener that was cancelled misses nothing.
func (l *listener[T]) push(ctx context.Context, event T) bool {
	l.mu.Lock()
	for l.count == len(l.ring) && !l.closed {
		switch l.overflow {
		case DropOldest:
			l.take()
			l.drop()
		case DropNewest:
			l.drop()
			l.mu.Unlock()
			return true
		case Block:
			if roomy := l.waitForRoom(ctx); !roomy && !l.closed {
				l.drop()
				l.mu.Unlock()
				return false
			}
		}
	}
	if l.closed {
		l.mu.Unlock()
		return !l.topic.closed.Load()
	}
	at := l.head + l.count
	if at >= len(l.ring) {
		at -= len(l.ring)
	}
	l.ring[at] = event
	l.count++
	l.account(1)
	l.passRoom()
	start := !l.running
	l.running = true
	l.mu.Unlock()
	if start {
		go l.start()
	}
	return true
}

// waitForRoom returns when there may be room or the listener was shut, or false when ctx is done. mu is held, but not
// while it waits.
func (l *listener[T]) waitForRoom(ctx context.Context) bool {
	l.waiting++
	l.mu.Unlock()
	roomy := true
	select {
	case <-l.room:
	case <-l.shed:
	case <-ctx.Done():
		roomy = false
	}
	l.mu.Lock()
	l.waiting-- // a token that came for a publisher that goes is taken by the next
	return roomy
}

// passRoom wakes a publisher if there is one that waits, and room for it. mu is held.
func (l *listener[T]) passRoom() {
	if l.waiting > 0 && l.count < len(l.ring) {
		select {
		case l.room <- struct{}{}:
		default: // somebody is being woken already, and will wake the next
		}
	}
}

// take removes the oldest event. mu is held.
func (l *listener[T]) take() T {
	var zero T
	event := l.ring[l.head]
	l.ring[l.head] = zero
	if l.head++; l.head == len(l.ring) {
		l.head = 0
	}
	l.count--
	l.account(-1)
	return event
}

// drop counts an event that the listener does not get. mu is held.
func (l *listener[T]) drop() {
	l.dropped++
	if l.lost != nil {
		l.lost.Add(1)
	}
}

// account enters events that came or went into the topic's usage. mu is held.
func (l *listener[T]) account(events int64) {
	l.topic.entries.add(events)
	if each := l.topic.options.EventBytes; each > 0 {
		l.topic.bytes.add(events * each)
	}
}

// run handles events until there are none.
func (l *listener[T]) run() {
	exited := true
	defer func() {
		if exited { // by runtime.Goexit in handle, which nothing can stop
			go l.start()
		}
	}()
	for !l.drain() {
	}
	exited = false
}

// drain handles events until there are none, which it returns true for, or handle panics.
func (l *listener[T]) drain() (empty bool) {
	defer func() {
		if !empty {
			l.topic.panicked(l.site, recover())
		}
	}()
	for {
		event, more := l.next()
		if !more {
			return true
		}
		l.handle(l.ctx, event)
	}
}

// next takes an event from the queue, or ends the goroutine's term.
func (l *listener[T]) next() (event T, more bool) {
	l.mu.Lock()
	if l.count > 0 {
		event = l.take()
		l.delivered++
		l.passRoom()
		l.mu.Unlock()
		return event, true
	}
	l.running = false
	end := l.closed
	l.mu.Unlock()
	if end {
		l.end()
	}
	return event, false
}

// shut takes no more events, drops those in the queue if asked to, and sees to it that the listener ends: now, or when
// the queue is empty and handle has returned.
func (l *listener[T]) shut(drop bool) {
	l.mu.Lock()
	first := !l.closed
	if first {
		l.closed = true
		close(l.shed)
	}
	if drop {
		for l.count > 0 {
			l.take()
			l.drop()
		}
	}
	end := first && !l.running
	l.mu.Unlock()
	if drop {
		l.stop(errRemoved)
	}
	if end {
		l.end()
	}
}

// end is called once: by shut if there is no goroutine, by the goroutine otherwise.
func (l *listener[T]) end() {
	l.stop(errRemoved)
	if l.onEnd != nil { // while the topic still has the listener: Close waits for it
		l.onEnd()
		l.onEnd = nil
	}
	l.topic.remove(l)
	l.handle = nil // whoever keeps cancel keeps the listener, but no more of it than that
	l.mu.Lock()
	l.ring, l.lost = nil, nil
	l.mu.Unlock()
	close(l.done)
}

// calls reports whether ctx is the one that handle got, or made from it.
func (l *listener[T]) calls(ctx context.Context) bool { return ctx.Value(l) != nil }

// wait returns when the listener has ended, or with an error when ctx is done.
func (l *listener[T]) wait(ctx context.Context) error {
	select {
	case <-l.done:
		return nil
	default:
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// cancel removes the listener from its topic.
func (l *listener[T]) cancel(ctx context.Context) error {
	l.shut(true)
	if l.calls(ctx) {
		return nil
	}
	if err := l.wait(ctx); err != nil {
		return fmt.Errorf("bounded: topic %s: a removed listener is still at work: %w", l.topic.options.Name, err)
	}
	return nil
}

// dropSome drops events, oldest first, until their EventBytes come to so many bytes, and returns what they come to.
func (l *listener[T]) dropSome(bytes int64) (freed int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.count > 0 && freed < bytes {
		l.take()
		l.drop()
		freed += l.topic.options.EventBytes
	}
	return freed
}
