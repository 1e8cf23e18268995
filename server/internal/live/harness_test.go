package live

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/memhttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret is the token where one is asked for.
const secret = "correct horse battery staple"

// service is a warden with its live stream behind an HTTP server. The connections are pipes without any buffer, so that
// in a testing/synctest bubble time passes only when everyone waits.
type service struct {
	warden  *memwarden.Warden
	stream  *memhttp.Live
	handler *Handler
	network *network
	server  *http.Server
}

func start(t *testing.T, most int, token string) *service {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	w, err := memwarden.Start(context.Background(), memwarden.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := memhttp.NewLive("live", w, most)
	if err != nil {
		t.Fatal(err)
	}
	admins, err := memhttp.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := New(Options{Stream: stream, Token: admins, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{warden: w, stream: stream, handler: handler, network: newNetwork()}
	s.server = &http.Server{Handler: s.handler}
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(s.network) }()
	t.Cleanup(func() {
		if err := errors.Join(s.handler.Close(context.Background()), s.server.Close(), w.Close(context.Background())); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if use := stream.Usage().Entries; use != 0 {
			t.Errorf("%d places are not given back", use)
		}
	})
	return s
}

// dial opens a WebSocket that is closed at the end of the test.
func (s *service) dial(t *testing.T, header ...string) *websocket.Conn {
	t.Helper()
	conn, response, err := s.tryDial(t, header...)
	if err != nil {
		t.Fatalf("%v: %v", err, response)
	}
	return conn
}

func (s *service) tryDial(t *testing.T, header ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return s.open(t, websocket.Dialer{}, h)
}

// dialBuffered opens a WebSocket whose client writes frames of so many bytes at most.
func (s *service) dialBuffered(t *testing.T, size int) *websocket.Conn {
	t.Helper()
	conn, response, err := s.open(t, websocket.Dialer{WriteBufferSize: size}, nil)
	if err != nil {
		t.Fatalf("%v: %v", err, response)
	}
	return conn
}

func (s *service) open(t *testing.T, dialer websocket.Dialer, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	dialer.NetDialContext = s.network.dial
	conn, response, err := dialer.DialContext(t.Context(), "ws://memwarden.test/live", header)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() }) // most tests have ended it
	}
	return conn, response, err
}

// message is what the protocol promises of each.
type message struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

func read1(t *testing.T, conn *websocket.Conn) message {
	t.Helper()
	kind, text, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(text, &m); err != nil || kind != websocket.TextMessage {
		t.Fatalf("message of kind %d: %v: %s", kind, err, text)
	}
	return m
}

func send(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// closed reads until the connection ends and returns the code that it ended with, or -1, and how long that took.
func closed(t *testing.T, conn *websocket.Conn) (code int, after time.Duration) {
	t.Helper()
	start := time.Now()
	for {
		_, _, err := conn.ReadMessage()
		if err == nil {
			continue
		}
		var end *websocket.CloseError
		if errors.As(err, &end) {
			return end.Code, time.Since(start)
		}
		return -1, time.Since(start)
	}
}

// follow reads until the connection ends.
func follow(conn *websocket.Conn) {
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
	}
}

// network is a listener whose connections are pipes.
type network struct {
	offered chan net.Conn
	closed  chan struct{}
	close   func()
}

func newNetwork() *network {
	n := &network{offered: make(chan net.Conn), closed: make(chan struct{})}
	n.close = sync.OnceFunc(func() { close(n.closed) })
	return n
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case n.offered <- there:
		return here, nil
	case <-n.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.offered:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error   { n.close(); return nil }
func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
