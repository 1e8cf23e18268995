// Package websocket keeps WebSocket connections within bounds: how many there are, what waits for each and for all of
// them, how long a silent or a slow one is put up with, and how long their end may take.
//
// It knows connections and nothing of what is said over them. It stands on github.com/gorilla/websocket, which none of
// its exported names mention, and is a bounded.Owner, so that a warden sees it. Programs stand above it.
package websocket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/memwarden/memwarden/bounded"
)

// Errors of a Hub: why a request was refused, a message was not taken, or a connection ended.
var (
	ErrFull            = errors.New("there are as many connections as there may be")
	ErrOrigin          = errors.New("the request comes from a page of another origin")
	ErrClosed          = errors.New("the server is shutting down")
	ErrTooLarge        = errors.New("the message is larger than a client's queue")
	ErrNoRoom          = errors.New("as much as may wait for all clients together is waiting")
	ErrGone            = errors.New("the client has gone")
	ErrSlow            = errors.New("the client does not keep up")
	ErrVanished        = errors.New("the client shows no sign of life")
	ErrOversized       = errors.New("the client's message is larger than it may be")
	ErrUnauthenticated = errors.New("the client did not authenticate")
)

// Codes of close messages (RFC 6455, section 7.4.1, and its registry) that a hub sends.
const (
	CodeNormal        = websocket.CloseNormalClosure   // 1000
	CodeGoingAway     = websocket.CloseGoingAway       // 1001: at Close
	CodePolicy        = websocket.ClosePolicyViolation // 1008: not authenticated, no sign of life
	CodeTooLarge      = websocket.CloseMessageTooBig   // 1009: Options.MaxMessage
	CodeInternal      = websocket.CloseInternalServerErr
	CodeTryAgainLater = websocket.CloseTryAgainLater // 1013: too slow
)

// Hub holds WebSocket connections. It is an http.Handler and a bounded.Owner, and safe for concurrent use.
//
// A connection that does nothing has one goroutine, which reads, and a timer: the handler returns once the connection
// is upgraded, which frees what the HTTP server held for it, and a second goroutine is there only while something is
// written. Such a connection takes less than 8 KiB of memory in all, see BenchmarkIdleConnection.
//
// http.Server.Shutdown forgets connections that were upgraded: close the hub before the server.
type Hub struct {
	o        Options
	origins  map[string]bool
	upgrader websocket.Upgrader
	account  account
	counts   counters

	mu        sync.Mutex
	closed    bool
	grace     time.Duration        // of Close
	forced    bool                 // Close waits for nobody any more
	clients   map[*Client]struct{} // every connection
	listening map[*Client]struct{} // those that get broadcasts
	open      sync.WaitGroup       // handshakes and connections; Add under mu while closed is false
}

// New returns a Hub, or an error that lists every mistake in the options. It starts nothing; Close ends what comes.
func New(o Options) (*Hub, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	h := &Hub{
		o: o, origins: make(map[string]bool, len(o.Origins)),
		account: account{maxClients: int64(o.MaxClients), maxQueued: o.MaxQueuedBytes},
		clients: map[*Client]struct{}{}, listening: map[*Client]struct{}{},
	}
	for _, origin := range o.Origins {
		normal, err := normalOrigin(origin)
		if err != nil {
			return nil, err
		}
		h.origins[normal] = true
	}
	h.upgrader = websocket.Upgrader{
		// All messages are prepared: the write buffers serve the handshake alone, and come from a pool.
		HandshakeTimeout: o.WriteTimeout, ReadBufferSize: 256, WriteBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true }, // Upgrade has checked it
		Error: func(w http.ResponseWriter, r *http.Request, status int, reason error) {
			h.refuse(w, r, status, reason)
		},
	}
	return h, nil
}

// ServeHTTP upgrades a request. It returns when the connection is open, or was refused.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = h.Upgrade(w, r, nil) // a refusal is answered
}

// Upgrade makes a request a connection that carries a value of the caller's, see Client.Value. It returns when the
// connection is open, and so must the HTTP handler soon: until then the server keeps its buffers. After an error the
// request is answered, and Leave will not be called.
func (h *Hub) Upgrade(w http.ResponseWriter, r *http.Request, value any) (*Client, error) {
	if !allowed(r, h.origins) {
		h.refuse(w, r, http.StatusForbidden, ErrOrigin)
		return nil, ErrOrigin
	}
	if err := h.enter(); err != nil {
		h.refuse(w, r, http.StatusServiceUnavailable, err)
		return nil, err
	}
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		h.account.leave()
		h.open.Done()
		return nil, fmt.Errorf("websocket: upgrade: %w", err)
	}
	c := newClient(h, conn, value)
	h.mu.Lock()
	closed, grace, forced := h.closed, h.grace, h.forced
	h.clients[c] = struct{}{}
	h.mu.Unlock()
	switch { // while the handshake was under way: Close did not see it
	case forced:
		c.cut(ErrClosed)
	case closed:
		c.end(ErrClosed, CodeGoingAway, ErrClosed.Error(), grace)
	}
	h.counts.accepted.Add(1)
	go c.run()
	return c, nil
}

// enter takes a place for a connection.
func (h *Hub) enter() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	if !h.account.enter() {
		return ErrFull
	}
	h.open.Add(1)
	return nil
}

// remove forgets a connection that has ended.
func (h *Hub) remove(c *Client) {
	h.mu.Lock()
	delete(h.clients, c)
	delete(h.listening, c)
	h.mu.Unlock()
	h.account.leave()
}

func (h *Hub) refuse(w http.ResponseWriter, r *http.Request, status int, reason error) {
	h.counts.refused.Add(1)
	h.o.Refuse(w, r, status, reason)
}

// Broadcast puts a message into the queue of every client that listens, and returns how many those are. It never waits
// for a client; it takes time in proportion to the clients, about a microsecond for each. An error (ErrTooLarge,
// ErrNoRoom) means that nobody gets it.
func (h *Hub) Broadcast(m *Message) (clients int, err error) {
	d, err := h.deliver(m)
	if err != nil {
		return 0, err
	}
	defer d.release()
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.listening {
		if c.enqueue(d) == nil {
			clients++
		}
	}
	return clients, nil
}

// deliver puts a message on the account; the caller holds it and must release it.
func (h *Hub) deliver(m *Message) (*delivery, error) {
	if m.bytes > h.o.QueueBytes {
		return nil, ErrTooLarge
	}
	for !h.account.take(m.bytes) {
		if h.lighten(m.bytes) == 0 {
			return nil, ErrNoRoom // it is all in the hands of writers, whose time is bounded
		}
	}
	d := &delivery{Message: m, hub: h}
	d.waiting.Add(1)
	return d, nil
}

// lighten takes their queues from the clients with the longest ones, until so many bytes are free, and returns how many
// are. A broadcast is free only when the last one has lost it.
func (h *Hub) lighten(bytes int64) (freed int64) {
	before := h.account.waiting()
	for _, c := range h.slowest() {
		if freed = before - h.account.waiting(); freed >= bytes {
			break
		}
		c.lighten()
	}
	return max(0, before-h.account.waiting())
}

// slowest returns the clients for which something waits, those with the most first.
func (h *Hub) slowest() []*Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	waiting := make(map[*Client]int64)
	for c := range h.clients {
		if bytes := c.waiting(); bytes > 0 {
			waiting[c] = bytes
		}
	}
	return slices.SortedFunc(maps.Keys(waiting), func(a, b *Client) int { return int(waiting[b] - waiting[a]) })
}

// Disconnect begins to end every connection with a close message, after what waits for each, and returns at once.
// New connections are not refused. A client that has not answered within CloseGrace is cut off.
func (h *Hub) Disconnect(code int, reason string) { h.disconnect(code, reason, h.o.CloseGrace) }

func (h *Hub) disconnect(code int, reason string, grace time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		c.end(ErrClosed, code, reason, grace)
	}
}

// callbackPatience is how long Close waits for callbacks of the program when nothing else is left.
const callbackPatience = time.Second

// Close refuses new connections, sends every client a close message with code 1001, all at the same time, and waits for
// them to answer and end. Who has not done so within CloseGrace, or half of the time that ctx leaves, is cut off, and
// so is everyone when ctx ends: that is no error, and none of them holds up the end of a program. An error says that
// callbacks of the program have not returned. Close may be called more than once.
func (h *Hub) Close(ctx context.Context) error {
	grace := h.o.CloseGrace
	if deadline, ok := ctx.Deadline(); ok {
		grace = min(grace, time.Until(deadline)/2)
	}
	h.mu.Lock()
	h.closed, h.grace = true, grace
	h.mu.Unlock()
	h.disconnect(CodeGoingAway, ErrClosed.Error(), grace)
	ended := make(chan struct{})
	go func() { h.open.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	h.forced = true
	for c := range h.clients {
		c.cut(ErrClosed)
	}
	h.mu.Unlock()
	patience := time.NewTimer(callbackPatience)
	defer patience.Stop()
	select {
	case <-ended:
		return nil
	case <-patience.C:
		return fmt.Errorf("websocket: close: callbacks of %d connections have not returned", h.Usage().Entries)
	}
}

// Name returns the name from the options.
func (h *Hub) Name() string { return h.o.Name }

// Usage returns the connections, and an estimate of their memory: ConnectionBytes for each, and the bytes of the messages
// that wait or are being written, a broadcast one once.
func (h *Hub) Usage() bounded.Usage { return h.account.usage() }

// Shrink takes their queues from the clients that are furthest behind, as Options.Overflow says: they lose messages or
// the connection. Who keeps up loses nothing.
func (h *Hub) Shrink(_ context.Context, bytes int64) (freed int64) {
	if bytes <= 0 {
		return 0
	}
	return h.lighten(bytes)
}
