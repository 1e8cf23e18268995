package memhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/incident"
)

// Errors of Live.Join.
var (
	ErrTooManyClients = errors.New("the live stream has as many clients as it may have")
	ErrLiveClosed     = errors.New("the live stream is closed: the server shuts down")
)

// Live hands a warden's events to those who follow, of whom there may be a limited number. Each follower has a
// bounded queue: a slow one loses the oldest events, and harms nobody else. A sample is encoded once for all.
// It is safe for concurrent use.
type Live struct {
	name   string
	warden *memwarden.Warden
	stats  cachedBody

	max         int64
	count, peak atomic.Int64
	over        context.Context // ends at Close
	close       context.CancelFunc
}

// NewLive returns a Live for at most max followers, which must be positive. The name is that of the bounded.Owner.
func NewLive(name string, w *memwarden.Warden, max int) (*Live, error) {
	if max <= 0 {
		return nil, fmt.Errorf("memhttp: live stream: at most %d clients: want 1 or more", max)
	}
	over, end := context.WithCancel(context.Background())
	return &Live{name: name, warden: w, max: int64(max), over: over, close: end}, nil
}

// Close ends the stream for everyone who follows, without an error, and lets nobody join any more. It does not wait. A
// Handler does it in the hubs phase of the warden's shutdown.
func (l *Live) Close() { l.close() }

// LiveEvent is one event as it is sent: a kind and a JSON document of the kind.
type LiveEvent struct {
	Kind memwarden.EventKind
	Data json.RawMessage
}

// Join takes a follower's place, or returns ErrTooManyClients or ErrLiveClosed. The follower must leave.
func (l *Live) Join() (*Follower, error) {
	if l.over.Err() != nil {
		return nil, ErrLiveClosed
	}
	count := l.count.Add(1)
	if count > l.max {
		l.count.Add(-1)
		return nil, ErrTooManyClients
	}
	for peak := l.peak.Load(); count > peak && !l.peak.CompareAndSwap(peak, count); peak = l.peak.Load() {
	}
	return &Follower{live: l, leave: sync.OnceFunc(func() { l.count.Add(-1) })}, nil
}

// Follower is one who follows the stream.
type Follower struct {
	live  *Live
	leave func()
}

// Leave gives the place back. It may be called more than once.
func (f *Follower) Leave() { f.leave() }

// Run is Live.Run.
func (f *Follower) Run(ctx context.Context, send func(LiveEvent) error) error {
	return f.live.Run(ctx, send)
}

// Run calls send for every event, beginning with the state as it is, until send fails, the context ends, or the stream
// or the warden closes, which is no error. The stream is never idle for long: samples keep it alive. It takes no place:
// it is for who hands the events on to others, each of whom has a Follower's.
func (l *Live) Run(ctx context.Context, send func(LiveEvent) error) error {
	subscription, err := l.warden.Subscribe()
	if errors.Is(err, bounded.ErrTopicClosed) {
		return nil
	} else if err != nil {
		return err
	}
	defer subscription.Close()
	next := memwarden.Event{Kind: memwarden.EventSample, Data: l.warden.State()}
	for {
		data, err := l.encode(next)
		if err != nil {
			return err
		}
		if err := send(LiveEvent{next.Kind, data}); err != nil {
			return err
		}
		var open bool
		select {
		case next, open = <-subscription.Events:
			if !open {
				return nil
			}
		case <-l.over.Done():
			return nil
		case <-l.warden.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Live) encode(e memwarden.Event) ([]byte, error) {
	document := e.Data
	switch data := e.Data.(type) {
	case *memwarden.State:
		return l.statsBody(data)
	case memwarden.ConfigDocument: // the configuration itself is for admins, the stream is for everyone
		document = configEvent{data.Version, data.ChangedAt}
	case memwarden.LeakFinding:
		document = newFindingDocument(data)
	case incident.Record:
		document = incidentEvent{data.ID, data.At, data.Cause.Rule}
	case memwarden.KeptLeak:
		document = newLeakDocument(data)
	}
	data, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("memhttp: encode %s event: %w", e.Kind, err)
	}
	return data, nil
}

// configEvent says that the configuration changed.
type configEvent struct {
	Version   int64     `json:"version"`
	ChangedAt time.Time `json:"changed_at"`
}

// statsBody is the encoded statistics of a state.
func (l *Live) statsBody(state *memwarden.State) ([]byte, error) {
	return l.stats.get(state.Sequence, func() ([]byte, error) { return json.Marshal(newStatsDocument(state, l.warden.Uptime())) })
}

// Name identifies the followers among the owners of memory.
func (l *Live) Name() string { return l.name }

// Usage counts the followers.
func (l *Live) Usage() bounded.Usage {
	return bounded.Usage{
		Entries: l.count.Load(), MaxEntries: l.max, PeakEntries: l.peak.Load(),
		Bytes: bounded.NotApplicable, MaxBytes: bounded.NotApplicable, PeakBytes: bounded.NotApplicable,
	}
}

// Shrink frees nothing: followers hold no more than their queues.
func (l *Live) Shrink(context.Context, int64) int64 { return 0 }

const (
	// liveWriteTimeout is how long one event may take to reach a client before the client is dropped.
	liveWriteTimeout = 10 * time.Second
	// liveEndTimeout is the same once the stream is closed: who reads nothing must not hold up a shutdown.
	liveEndTimeout = time.Second
	// liveEnd is the name of the last event of a stream that ends in order, which no EventSource could tell from a broken
	// connection otherwise.
	liveEnd = "end"
)

// serveStream streams events as text/event-stream: an event's name is its kind, its data a JSON document.
func (h *handler) serveStream(w http.ResponseWriter, r *http.Request) {
	follower, err := h.o.Live.Join()
	if err != nil {
		p := NewProblem(http.StatusServiceUnavailable, err.Error())
		p.RetryAfter = liveWriteTimeout
		p.ServeHTTP(w, r)
		return
	}
	defer follower.Leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies would hold events back
	w.WriteHeader(http.StatusOK)              // a router may have set another status before
	if r.Method == http.MethodHead {
		return
	}
	out := &eventWriter{w: w, control: http.NewResponseController(w)}
	defer out.release()
	defer context.AfterFunc(h.o.Live.over, out.hurry)()
	err = follower.Run(r.Context(), func(e LiveEvent) error { return out.send(string(e.Kind), e.Data) })
	if err == nil {
		err = out.send(liveEnd, []byte(`{"reason":"the server is shutting down"}`))
	}
	if err != nil && r.Context().Err() == nil {
		h.o.Logger.Debug("memory live stream: a client was dropped", "client", h.client(r), "error", err)
	}
}

// eventWriter writes server-sent events with a deadline for each.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController

	mu       sync.Mutex
	hurried  bool // less time from now on
	released bool // the connection is another request's
}

func (e *eventWriter) send(kind string, data []byte) error {
	if err := e.allowTime(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", kind, data); err != nil {
		return err
	}
	return e.control.Flush()
}

// allowTime sets the deadline of a write that begins now.
func (e *eventWriter) allowTime() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	timeout := liveWriteTimeout
	if e.hurried {
		timeout = liveEndTimeout
	}
	err := e.control.SetWriteDeadline(time.Now().Add(timeout))
	if errors.Is(err, http.ErrNotSupported) {
		return nil // a writer that knows no deadlines
	}
	return err
}

// hurry leaves a write that is under way no more than liveEndTimeout. It is called at the end of the stream.
func (e *eventWriter) hurry() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hurried = true
	if !e.released {
		_ = e.control.SetWriteDeadline(time.Now().Add(liveEndTimeout)) // where that cannot be set, none was
	}
}

func (e *eventWriter) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.released = true
}

// cachedBody keeps the encoding of the newest sequence number.
type cachedBody struct{ newest atomic.Pointer[encoded] }

type encoded struct {
	sequence int64
	body     []byte
}

// get returns the body of a sequence number, encoding it if it is not the newest one kept. Two callers may both
// encode a new one; the body must not be changed.
func (c *cachedBody) get(sequence int64, encode func() ([]byte, error)) ([]byte, error) {
	if kept := c.newest.Load(); kept != nil && kept.sequence == sequence {
		return kept.body, nil
	}
	body, err := encode()
	if err == nil {
		c.newest.Store(&encoded{sequence, body})
	}
	return body, err
}
