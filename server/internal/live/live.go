// Package live serves a warden's live stream over WebSocket.
//
// It knows the protocol: one JSON message an event, {"type":…,"data":…}; where reads need a token, the client's first
// message is {"type":"auth","token":…}. What the events are, and how many clients there may be, is package memhttp's
// business, which answers the same route with server-sent events.
package live

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/memwarden/memwarden/memhttp"
)

// Options of a Handler.
type Options struct {
	Stream *memhttp.Live
	// Token is asked for in the first message, if it is set.
	Token  memhttp.Token
	Logger *slog.Logger
}

const (
	authTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
	pingInterval = 30 * time.Second
	pongTimeout  = pingInterval + writeTimeout
	closeGrace   = time.Second // for a client to take note of the end
	maxMessage   = 4 << 10     // of a client, which has little to say
)

// Handler upgrades requests and streams to each client until it leaves, is too slow, or the stream closes.
type Handler struct {
	o        Options
	upgrader websocket.Upgrader

	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup
	over   context.Context // ends when the connections that are left are cut
	cut    context.CancelFunc
}

// New returns a Handler; close it.
func New(o Options) *Handler {
	h := &Handler{o: o}
	h.over, h.cut = context.WithCancel(context.Background())
	h.upgrader = websocket.Upgrader{
		HandshakeTimeout: writeTimeout, ReadBufferSize: 1 << 10, WriteBufferSize: 4 << 10, WriteBufferPool: &sync.Pool{},
		Error: func(w http.ResponseWriter, r *http.Request, status int, reason error) {
			detail := reason.Error()
			if status == http.StatusForbidden {
				detail = "the request comes from a page of another origin"
			}
			memhttp.NewProblem(status, detail).ServeHTTP(w, r)
		},
		// CheckOrigin is left at its default: a browser's page must come from the same host.
	}
	return h
}

// Close closes the stream, which tells every client that the server goes away, and waits for their connections to end.
// Who has not taken note after a second, or half of the time that ctx leaves, is cut off, and so is everyone when ctx
// ends: a client that reads slowly, or has not said its token yet, does not hold up the end of the server.
func (h *Handler) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.o.Stream.Close()
	ended := make(chan struct{})
	go func() { h.open.Wait(); close(ended) }()

	grace, now := closeGrace, time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		grace = min(grace, deadline.Sub(now)/2)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	case <-ctx.Done():
	}
	h.cut()
	<-ended // at once: what they wait for is cut
	return nil
}

// ServeHTTP upgrades the connection and holds it until its end.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		memhttp.NewProblem(http.StatusServiceUnavailable, "the server is shutting down").ServeHTTP(w, r)
		return
	}
	defer h.open.Done()
	// A place is taken before the token is known, so that clients who only connect are bounded too.
	follower, err := h.o.Stream.Join()
	if err != nil {
		p := memhttp.NewProblem(http.StatusServiceUnavailable, err.Error())
		p.RetryAfter = writeTimeout
		p.ServeHTTP(w, r)
		return
	}
	defer follower.Leave()
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	h.hold(conn, follower)
}

func (h *Handler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.open.Add(1)
	}
	return !h.closed
}

// hold streams to a client and ends the connection in order: a close message, a second for the client's own, the end.
func (h *Handler) hold(conn *websocket.Conn, follower *memhttp.Follower) {
	hangUp := func() { _ = conn.Close() } // of a client that has gone already there is nothing to tell
	defer hangUp()
	defer context.AfterFunc(h.over, hangUp)()
	conn.SetReadLimit(maxMessage)
	if h.o.Token.IsSet() {
		if err := h.authenticate(conn); err != nil {
			sayGoodbye(conn, websocket.ClosePolicyViolation, err.Error())
			return
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer hangUp() // wakes the helpers
	defer cancel()
	gone := make(chan struct{})
	helpers.Go(func() { defer close(gone); defer cancel(); read(conn) })
	helpers.Go(func() { ping(ctx, conn) })

	err := follower.Run(ctx, func(e memhttp.LiveEvent) error { return write(conn, e) })
	if err != nil {
		h.o.Logger.Debug("memory live stream: a client has gone or was dropped", "client", conn.RemoteAddr().String(), "reason", err)
		return
	}
	sayGoodbye(conn, websocket.CloseGoingAway, "the server is shutting down")
	select {
	case <-gone:
	case <-time.After(closeGrace):
	}
}

// sayGoodbye sends a close message. A client that has gone cannot be told, and that is no error.
func sayGoodbye(conn *websocket.Conn, code int, reason string) {
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeGrace))
}

func write(conn *websocket.Conn, e memhttp.LiveEvent) error {
	message, err := json.Marshal(struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}{string(e.Kind), e.Data})
	if err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return conn.WriteMessage(websocket.TextMessage, message)
}

var errNotAuthorized = errors.New(`the first message must be {"type":"auth","token":…} with the admin token, within 5 seconds`)

// authenticate reads the client's first message.
func (h *Handler) authenticate(conn *websocket.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(authTimeout)); err != nil {
		return errNotAuthorized
	}
	var first struct {
		Type  string `json:"type"`
		Token string `json:"token"`
	}
	if err := conn.ReadJSON(&first); err != nil || first.Type != "auth" || !h.o.Token.Matches(first.Token) {
		return errNotAuthorized
	}
	return nil
}

// read drops what the client says, so that pings, pongs and closing are handled, until the connection ends.
func read(conn *websocket.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(pongTimeout))
	conn.SetPongHandler(func(string) error { return conn.SetReadDeadline(time.Now().Add(pongTimeout)) })
	for {
		_, message, err := conn.NextReader()
		if err == nil {
			_, err = io.Copy(io.Discard, message) // through the reader, which counts the parts of a message together
		}
		if err != nil {
			return
		}
	}
}

// ping keeps the connection alive and finds out when the client has vanished: its pongs stop, and read ends.
func ping(ctx context.Context, conn *websocket.Conn) {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
