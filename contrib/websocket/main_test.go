package websocket

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

var long = flag.Bool("long", false, "as many connections as are promised")

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		serveAsChild()
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is for what must come, on however busy a machine.
const patience = 30 * time.Second

// site is a hub behind an HTTP server, which ends with the test.
type site struct {
	hub      *Hub
	address  string
	listener net.Listener
	dialer   websocket.Dialer
}

// serveHub serves on loopback; the sockets have small buffers, so that who does not read is soon noticed.
func serveHub(t testing.TB, o Options) *site {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serveOn(t, o, smallBuffers{listener})
	s.dialer.NetDialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, s.address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(smallBuffer)
		}
		return conn, err
	}
	return s
}

const smallBuffer = 4 << 10

type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetWriteBuffer(smallBuffer)
	}
	return conn, err
}

// servePipes serves over connections without any buffer, so that in a testing/synctest bubble time passes only when
// everyone waits.
func servePipes(t testing.TB, o Options) *site {
	t.Helper()
	n := &network{offered: make(chan net.Conn), closed: make(chan struct{})}
	n.close = sync.OnceFunc(func() { close(n.closed) })
	s := serveOn(t, o, n)
	s.dialer.NetDialContext = n.dial
	return s
}

func serveOn(t testing.TB, o Options, listener net.Listener) *site {
	t.Helper()
	if o.Name == "" {
		o.Name = "websocket"
	}
	hub, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{hub: hub, address: listener.Addr().String(), listener: listener}
	s.dialer.ReadBufferSize, s.dialer.WriteBufferSize = 256, 256
	server := &http.Server{Handler: hub}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(hub.Close(context.Background()), server.Close()); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if u := hub.Usage(); u.Entries != 0 || u.Bytes != 0 {
			t.Errorf("at the end %d connections and %d bytes are on the account", u.Entries, u.Bytes)
		}
		if len(hub.clients)+len(hub.listening) > 0 {
			t.Errorf("at the end the hub knows %d clients, %d listen", len(hub.clients), len(hub.listening))
		}
	})
	return s
}

// dial opens a WebSocket that is closed at the end of the test.
func (s *site) dial(t testing.TB) *websocket.Conn {
	t.Helper()
	conn, response, err := s.tryDial(t, nil)
	if err != nil {
		t.Fatalf("%v: %v", err, response)
	}
	return conn
}

func (s *site) tryDial(t testing.TB, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, response, err := s.dialer.DialContext(ctx, "ws://hub.test/", header)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() }) // most tests have ended it
	}
	return conn, response, err
}

// text makes a text message.
func text(t testing.TB, data string) *Message {
	t.Helper()
	m, err := Text([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func wantText(t *testing.T, conn *websocket.Conn, want string) {
	t.Helper()
	kind, data, err := conn.ReadMessage()
	if err != nil || kind != websocket.TextMessage || string(data) != want {
		t.Fatalf("message of kind %d, %v: %.40q, want %.40q", kind, err, data, want)
	}
}

// closed reads until the connection ends and returns the code that it ended with, or -1, and the messages before.
func closed(conn *websocket.Conn) (code int, before []string) {
	for {
		_, message, err := conn.ReadMessage()
		if err == nil {
			before = append(before, string(message))
			continue
		}
		var end *websocket.CloseError
		if errors.As(err, &end) {
			return end.Code, before
		}
		return -1, before
	}
}

// await polls until something is so that is on its way.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (s *site) awaitClients(t testing.TB, want int64) {
	t.Helper()
	await(t, "the number of clients", func() bool { return s.hub.Usage().Entries == want })
}

func (s *site) awaitListeners(t testing.TB, want int) {
	t.Helper()
	await(t, "the number of listeners", func() bool {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		return len(s.hub.listening) == want
	})
}

// network is a listener whose connections are pipes.
type network struct {
	offered chan net.Conn
	closed  chan struct{}
	close   func()
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
