package bounded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	defaultMaxListeners  = 1000
	defaultMaxQueue      = 1024
	defaultQueue         = 64
	defaultWarnListeners = 16
	// topicBytes is a topic without its listeners.
	topicBytes = 512
)

// Errors of a Topic. Those returned wrap them.
var (
	// ErrTopicClosed refuses listeners and events after Close.
	ErrTopicClosed = errors.New("topic is closed")
	// ErrTooManyListeners refuses a listener beyond MaxListeners.
	ErrTooManyListeners = errors.New("too many listeners")
)

// OverflowPolicy is what Publish does with an event for a listener whose queue is full.
type OverflowPolicy uint8

// The policies.
const (
	// DropOldest drops the event that has waited the longest: a listener that lags sees what is newest.
	DropOldest OverflowPolicy = iota
	// DropNewest drops the event that is published: a listener that lags sees what came first.
	DropNewest
	// Block lets Publish wait for room, until its context is done or the listener is removed. A listener that
	// publishes to its own topic must not use it: it would wait for itself.
	Block
)

// TopicOptions are the settings of a Topic. They are read once, by NewTopic.
type TopicOptions struct {
	// Name identifies the topic as an Owner: lower-case letters, digits, '_', '.' and '-'. Required.
	Name string
	// MaxListeners bounds the listeners; default 1,000.
	MaxListeners int
	// MaxQueue bounds the queue that a listener may ask for; default 1,024 events.
	MaxQueue int
	// EventBytes is what an event holds beside its own value of type T (what its pointers lead to), estimated, 0 to
	// 1 GiB. An event is counted in each queue that it waits in. Default 0.
	EventBytes int64
	// WarnListeners is the number of listeners that OnGrowth is told of, and again whenever it has doubled; default
	// 16, or MaxListeners where that is less.
	WarnListeners int
	// OnGrowth is called, by Subscribe, when more and more listen: most often somebody subscribes again and again
	// and never cancels. It must not panic.
	OnGrowth func(TopicGrowth)
	// OnPanic is called when a listener panicked, on the listener's goroutine, before it goes on with the next event.
	// It must not panic. Without it such panics only show in Stats.
	OnPanic func(ListenerPanic)
}

// ListenerOptions are the settings of one listener.
type ListenerOptions struct {
	// Queue is how many events may wait for the listener, beside the one that it is working on; default 64, or the
	// topic's MaxQueue where that is less. Its memory is taken at once.
	Queue int
	// Overflow is what happens to an event when the queue is full; default DropOldest.
	Overflow OverflowPolicy
	// Dropped grows by one for each event that the listener did not get, as TopicStats.Dropped does for all listeners
	// together. Default: only they are counted.
	Dropped *atomic.Uint64
	// OnEnd is called once when the listener has been removed, by cancel or with its topic: handle is not called any
	// more. Whoever waits for that, by cancel or Close, waits for OnEnd too. It must not panic.
	OnEnd func()
	// Skip is how many callers there are between Subscribe and who subscribes, whom TopicGrowth names: 1 for a function
	// that calls Subscribe for its own caller. At most 100.
	Skip int
}

// Topic hands each event that is published to every listener, each with a bounded queue and one call at a time. It is
// safe for concurrent use and implements Owner: an entry is a listener or an event in a listener's queue.
//
// A listener gets the events of one publishing goroutine in the order of publication. Its goroutine lives only while
// events wait, so that an idle listener has no stack, and a topic that is let go without Close leaves nothing behind.
//
// Publish takes time in proportion to the listeners, some 100 ns each, and allocates nothing.
type Topic[T any] struct {
	options   TopicOptions
	eventSize int64 // of a T in a queue

	mu        sync.Mutex // for changes of listeners, and for what follows
	listeners atomic.Pointer[[]*listener[T]]
	closed    atomic.Bool
	warnAt    int
	past      TopicStats // of listeners that are gone

	entries, bytes    gauge
	published, panics atomic.Uint64
}

// TopicStats are counts since the topic was made, but for Listeners and Queued, which are of now.
type TopicStats struct {
	Listeners int    // not removed yet, or still at work
	Queued    int    // events in queues
	Published uint64 // calls of Publish
	Delivered uint64 // calls of listeners
	Dropped   uint64 // events that a listener did not get, by its policy, by Shrink or because it was removed
	Panics    uint64 // calls of listeners that panicked, or ended their goroutine
}

// NewTopic returns a topic without listeners, or an error that lists every mistake in the options.
func NewTopic[T any](options TopicOptions) (*Topic[T], error) {
	t := &Topic[T]{options: options, eventSize: int64(reflect.TypeFor[T]().Size())}
	t.options.setDefaults()
	if err := t.options.check(t.eventSize); err != nil {
		return nil, err
	}
	t.warnAt = t.options.WarnListeners
	t.listeners.Store(new([]*listener[T]))
	t.bytes.add(topicBytes)
	return t, nil
}

func (o *TopicOptions) setDefaults() {
	if o.MaxListeners == 0 {
		o.MaxListeners = defaultMaxListeners
	}
	if o.MaxQueue == 0 {
		o.MaxQueue = defaultMaxQueue
	}
	if o.WarnListeners == 0 {
		o.WarnListeners = min(defaultWarnListeners, o.MaxListeners)
	}
}

// check returns every mistake in the options, once they have their defaults.
func (o TopicOptions) check(eventSize int64) error {
	const most = 1_000_000
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("bounded: topic: "+format, args...))
	}
	if !validName(o.Name) {
		mistake("name %q: want lower-case letters, digits, '_', '.' and '-'", o.Name)
	}
	if o.MaxListeners < 1 || o.MaxListeners > most {
		mistake("max listeners %d: want 1 to %d", o.MaxListeners, most)
	}
	if o.MaxQueue < 1 || o.MaxQueue > most {
		mistake("max queue %d: want 1 to %d", o.MaxQueue, most)
	}
	if o.EventBytes < 0 || o.EventBytes > 1<<30 {
		mistake("event bytes %d: want 0 to 1 GiB", o.EventBytes)
	}
	if o.WarnListeners < 1 || o.WarnListeners > max(1, o.MaxListeners) {
		mistake("warn listeners %d: want 1 to the %d that there may be", o.WarnListeners, o.MaxListeners)
	}
	if float64(o.MaxListeners)*float64(o.MaxQueue)*float64(eventSize+o.EventBytes) > math.MaxInt64/4 {
		mistake("%d listeners with queues of %d events of %d bytes: no machine holds that",
			o.MaxListeners, o.MaxQueue, eventSize+o.EventBytes)
	}
	return errors.Join(mistakes...)
}

// Publish puts an event into the queue of every listener. It does not wait for listeners to handle it, but waits for
// room in the queues of those that ask for that (Block), after all others have the event. If ctx is done before there
// is room, or the topic is closed, those without room miss the event, and the error tells how many. It wraps the cause
// of ctx, or ErrTopicClosed, as it does after Close.
func (t *Topic[T]) Publish(ctx context.Context, event T) error {
	if t.closed.Load() {
		return fmt.Errorf("bounded: topic %s: %w", t.options.Name, ErrTopicClosed)
	}
	t.published.Add(1)
	missed := 0
	for _, l := range *t.listeners.Load() {
		if !l.push(ctx, event) {
			missed++
		}
	}
	if missed == 0 {
		return nil
	}
	cause := context.Cause(ctx)
	if cause == nil {
		cause = ErrTopicClosed
	}
	return fmt.Errorf("bounded: topic %s: %d listeners missed an event: %w", t.options.Name, missed, cause)
}

// Subscribe calls handle with each event that is published from now on, one at a time. handle gets a context that is
// done when the listener is removed; a panic in it is told to OnPanic, and the listener goes on.
//
// cancel removes the listener: events in its queue are dropped, and once cancel returns nil, handle is not running and
// will not be called again. It returns an error if ctx is done while handle still runs. Within handle itself, call it
// with the context that handle got: it does not wait for its own caller then. It may be called more than once.
//
// The error wraps ErrTopicClosed or ErrTooManyListeners, or lists mistakes in the options.
func (t *Topic[T]) Subscribe(options ListenerOptions, handle func(context.Context, T)) (cancel func(ctx context.Context) error, err error) {
	if options.Queue == 0 {
		options.Queue = min(defaultQueue, t.options.MaxQueue)
	}
	if err := t.checkListener(options, handle != nil); err != nil {
		return nil, err
	}
	l := newListener(t, options, handle)
	l.site = callSite(options.Skip)
	growth, err := t.add(l)
	if err != nil {
		l.onEnd = nil // it has not begun
		l.shut(true)
		return nil, err
	}
	if growth != nil && t.options.OnGrowth != nil {
		t.options.OnGrowth(*growth)
	}
	return l.cancel, nil
}

// checkListener returns every mistake in the settings of a listener.
func (t *Topic[T]) checkListener(o ListenerOptions, handles bool) error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("bounded: listener of topic "+t.options.Name+": "+format, args...))
	}
	if o.Queue < 1 || o.Queue > t.options.MaxQueue {
		mistake("queue %d: want 1 to the topic's %d", o.Queue, t.options.MaxQueue)
	}
	if o.Overflow > Block {
		mistake("overflow policy %d: want DropOldest, DropNewest or Block", o.Overflow)
	}
	if o.Skip < 0 || o.Skip > 100 {
		mistake("skip %d: want 0 to 100", o.Skip)
	}
	if !handles {
		mistake("no function to call")
	}
	return errors.Join(mistakes...)
}

// add enters a listener, and tells of growth if it is time to.
func (t *Topic[T]) add(l *listener[T]) (*TopicGrowth, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed.Load() {
		return nil, fmt.Errorf("bounded: topic %s: %w", t.options.Name, ErrTopicClosed)
	}
	old := *t.listeners.Load()
	if len(old) >= t.options.MaxListeners {
		most := sites(old)[0]
		return nil, fmt.Errorf("bounded: topic %s: %w: there are %d, %d of them from %s:%d",
			t.options.Name, ErrTooManyListeners, len(old), most.Listeners, most.File, most.Line)
	}
	at := len(old)
	if l.overflow != Block { // those that Publish may have to wait for come last
		if first := slices.IndexFunc(old, func(l *listener[T]) bool { return l.overflow == Block }); first >= 0 {
			at = first
		}
	}
	listeners := slices.Insert(slices.Clip(slices.Clone(old)), at, l)
	t.listeners.Store(&listeners)
	t.entries.add(1)
	t.bytes.add(l.bytes())
	if len(listeners) < t.warnAt {
		return nil, nil
	}
	t.warnAt = 2 * len(listeners)
	return &TopicGrowth{t.options.Name, len(listeners), sites(listeners)}, nil
}

// remove takes a listener out that has ended.
func (t *Topic[T]) remove(l *listener[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := *t.listeners.Load()
	at := slices.Index(old, l)
	if at < 0 { // it was never entered
		return
	}
	listeners := slices.Delete(slices.Clone(old), at, at+1)
	t.listeners.Store(&listeners)
	l.mu.Lock()
	t.past.Delivered += l.delivered
	t.past.Dropped += l.dropped
	l.mu.Unlock()
	t.bytes.add(-l.bytes())
	t.entries.add(-1)
}

// Close refuses events and listeners from now on, waits until every listener has handled what is in its queue, and
// removes them all. If ctx is done before, the contexts of the listeners are cancelled, what is queued is dropped, and
// the error tells how many listeners were still at work. Publishers that wait for room stop waiting. Within a listener,
// call it with the context that the listener got: it does not wait then, for two listeners that close would wait for
// each other. It may be called again, to wait again.
func (t *Topic[T]) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closed.Store(true)
	listeners := *t.listeners.Load()
	t.mu.Unlock()
	within := false
	for _, l := range listeners {
		within = within || l.calls(ctx)
		l.shut(false)
	}
	if within {
		return nil
	}
	left := 0
	for _, l := range listeners {
		if l.wait(ctx) != nil {
			left++
			l.shut(true)
		}
	}
	if left > 0 {
		return fmt.Errorf("bounded: topic %s: closed with %d listeners at work: %w", t.options.Name, left, context.Cause(ctx))
	}
	return nil
}

// Stats returns counts of the topic. It takes time in proportion to the listeners.
func (t *Topic[T]) Stats() TopicStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	stats := t.past
	listeners := *t.listeners.Load()
	for _, l := range listeners {
		l.mu.Lock()
		stats.Queued += l.count
		stats.Delivered += l.delivered
		stats.Dropped += l.dropped
		l.mu.Unlock()
	}
	stats.Listeners, stats.Published, stats.Panics = len(listeners), t.published.Load(), t.panics.Load()
	return stats
}

// Name returns the name from the options.
func (t *Topic[T]) Name() string { return t.options.Name }

// Usage returns the listeners and the events in their queues together as entries, and an estimate of their memory:
// queues at their full length, and EventBytes for each event in them.
func (t *Topic[T]) Usage() Usage {
	listeners, queue := int64(t.options.MaxListeners), int64(t.options.MaxQueue)
	return Usage{
		Entries:     t.entries.now.Load(),
		MaxEntries:  listeners * (1 + queue),
		PeakEntries: t.entries.peak.Load(),
		Bytes:       t.bytes.now.Load(),
		MaxBytes:    topicBytes + listeners*(listenerBytes+queue*(t.eventSize+t.options.EventBytes)),
		PeakBytes:   t.bytes.peak.Load(),
	}
}

// Shrink drops events from the queues of listeners that may lose some (DropOldest, DropNewest), oldest first, until
// their EventBytes come to so many bytes. Without EventBytes there is nothing that it could free.
func (t *Topic[T]) Shrink(_ context.Context, bytes int64) (freed int64) {
	if t.options.EventBytes == 0 {
		return 0
	}
	for _, l := range *t.listeners.Load() {
		if freed >= bytes {
			break
		}
		if l.overflow != Block {
			freed += l.dropSome(bytes - freed)
		}
	}
	return freed
}
