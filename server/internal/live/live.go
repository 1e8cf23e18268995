// Package live serves a warden's live stream over WebSocket.
//
// It knows the protocol: one JSON message an event, {"type":…,"data":…}; where reads need a token, the client's first
// message is {"type":"auth","token":…}. What the events are, and how many clients there may be, is package memhttp's
// business, which answers the same route with server-sent events. The connections are a hub's of contrib/websocket.
package live

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/contrib/websocket"
	"github.com/memwarden/memwarden/memhttp"
)

// Options of a Handler.
type Options struct {
	Stream *memhttp.Live
	// Token is asked for in the first message, if it is set.
	Token memhttp.Token
	// TrustedProxies are those of the memhttp.Handler, which has refused a request of which the client is not known.
	TrustedProxies []netip.Prefix
	Logger         *slog.Logger
}

const (
	authTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
	pingInterval = 30 * time.Second
	pongTimeout  = pingInterval + writeTimeout
	closeGrace   = time.Second // for a client to take note of the end
	maxMessage   = 4 << 10     // of a client, which has little to say
	queue        = 16          // some seconds of samples and what happens between them
)

// Handler upgrades requests and streams to each client until it leaves, is too slow, or the stream closes. It follows the
// stream once for all clients, each of which holds a place in it.
type Handler struct {
	o    Options
	hub  *websocket.Hub
	stop context.CancelFunc
	// known is closed once newest is, or will never be; ended once the stream has been followed to its end.
	known, ended chan struct{}

	// mu is held while an event goes to all clients and while one comes in: nobody misses one or gets it twice.
	mu     sync.Mutex
	newest *websocket.Message // the newest sample
	over   bool
}

// New returns a Handler, which follows the stream from now on; close it.
func New(o Options) (*Handler, error) {
	h := &Handler{o: o, known: make(chan struct{}), ended: make(chan struct{})}
	options := websocket.Options{
		Name: "websocket", MaxClients: int(o.Stream.Usage().MaxEntries),
		QueueMessages: queue, Overflow: websocket.DropOldest, MaxMessage: maxMessage,
		PingInterval: pingInterval, PongTimeout: pongTimeout - pingInterval, WriteTimeout: writeTimeout, CloseGrace: closeGrace,
		AuthTimeout: authTimeout, Join: h.join, Leave: h.leave, Refuse: refuse,
	}
	if o.Token.IsSet() {
		options.Authenticate = h.authenticate
	}
	var err error
	if h.hub, err = websocket.New(options); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	go h.follow(ctx)
	return h, nil
}

// Owner is what the connections hold.
func (h *Handler) Owner() bounded.Owner { return h.hub }

// Close closes the stream, which tells every client that the server goes away, and waits for their connections to end.
// Who has not taken note after a second, or half of the time that ctx leaves, is cut off, and so is everyone when ctx
// ends: a client that reads slowly, or has not said its token yet, does not hold up the end of the server.
func (h *Handler) Close(ctx context.Context) error {
	h.o.Stream.Close()
	h.stop()
	err := h.hub.Close(ctx)
	<-h.ended // at once: it waits for nobody
	return err
}

// ServeHTTP upgrades the connection, which then goes on by itself.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A place is taken before the token is known, so that clients who only connect are bounded too.
	place, err := h.o.Stream.Join()
	if err != nil {
		refuse(w, r, http.StatusServiceUnavailable, err)
		return
	}
	address, _ := memhttp.ClientAddress(r, h.o.TrustedProxies)
	if _, err := h.hub.Upgrade(w, r, follower{place, address}); err != nil {
		place.Leave() // and refuse has answered
	}
}

// follower is who is at the other end of a connection.
type follower struct {
	place   *memhttp.Follower
	address string
}

// refuse answers a request that does not become a connection.
func refuse(w http.ResponseWriter, r *http.Request, status int, reason error) {
	p := memhttp.NewProblem(status, reason.Error())
	if status == http.StatusServiceUnavailable {
		p.RetryAfter = writeTimeout
	}
	p.ServeHTTP(w, r)
}

// follow hands every event of the stream to the clients, until the stream ends, and ends them.
func (h *Handler) follow(ctx context.Context) {
	defer close(h.ended)
	first := sync.OnceFunc(func() { close(h.known) })
	err := h.o.Stream.Run(ctx, func(e memhttp.LiveEvent) error {
		defer first()
		return h.handOn(e)
	})
	if err != nil && ctx.Err() == nil {
		h.o.Logger.Error("memory live stream ended over WebSocket", "error", err)
	}
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	first()
	h.hub.Disconnect(websocket.CodeGoingAway, websocket.ErrClosed.Error())
}

// handOn encodes an event once and sends it to all.
func (h *Handler) handOn(e memhttp.LiveEvent) error {
	data, err := json.Marshal(struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}{string(e.Kind), e.Data})
	if err != nil {
		return err
	}
	message, err := websocket.Text(data)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Kind == memwarden.EventSample {
		h.newest = message
	}
	if _, err := h.hub.Broadcast(message); err != nil { // larger than a queue: the next one may not be
		h.o.Logger.Warn("memory live stream: an event was left out over WebSocket", "kind", e.Kind, "bytes", len(data), "error", err)
	}
	return nil
}

// join begins with the newest sample.
func (h *Handler) join(c *websocket.Client) {
	<-h.known
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.newest != nil && c.Send(h.newest) != nil {
		return // it has gone
	}
	c.Listen()
	if h.over {
		c.Close(websocket.CodeGoingAway, websocket.ErrClosed.Error())
	}
}

// leave gives the client's place back.
func (h *Handler) leave(c *websocket.Client, reason error) {
	if f, ok := c.Value().(follower); ok {
		f.place.Leave()
		h.o.Logger.Debug("memory live stream: a client has gone or was dropped", "client", f.address, "reason", reason)
	}
}

var errNotAuthorized = errors.New(`the first message must be {"type":"auth","token":…} with the admin token, within 5 seconds`)

// authenticate judges the client's first message.
func (h *Handler) authenticate(_ *websocket.Client, message []byte) error {
	var first struct {
		Type  string `json:"type"`
		Token string `json:"token"`
	}
	if err := json.Unmarshal(message, &first); err != nil || first.Type != "auth" || !h.o.Token.Matches(first.Token) {
		return errNotAuthorized
	}
	return nil
}
