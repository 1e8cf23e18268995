package websocket

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestBroadcastAndSend(t *testing.T) {
	var one atomic.Pointer[Client]
	s := serveHub(t, Options{Join: func(c *Client) {
		one.Store(c)
		if err := c.Send(text(t, "first")); err != nil {
			t.Error(err)
		}
		c.Listen()
	}})
	conns := make([]*websocket.Conn, 5)
	for i := range conns {
		conns[i] = s.dial(t)
		wantText(t, conns[i], "first")
	}
	s.awaitListeners(t, len(conns))
	const many = 100
	for i := range many {
		m := text(t, fmt.Sprint("message ", i))
		if got, err := s.hub.Broadcast(m); got != len(conns) || err != nil {
			t.Fatalf("broadcast to %d clients, %v", got, err)
		}
		for _, conn := range conns {
			wantText(t, conn, fmt.Sprint("message ", i))
		}
	}
	binary, err := Binary([]byte{0, 1, 255})
	if err != nil || binary.Bytes() != 3+frameBytes {
		t.Fatalf("%v, %d bytes", err, binary.Bytes())
	}
	last := one.Load()
	if err := last.Send(binary); err != nil {
		t.Fatal(err)
	}
	if kind, data, err := conns[4].ReadMessage(); kind != websocket.BinaryMessage || len(data) != 3 || err != nil {
		t.Errorf("kind %d, %v, %v", kind, data, err)
	}
	if last.RemoteAddr() != conns[4].LocalAddr().String() || last.Value() != nil || last.Reason() != nil {
		t.Errorf("client %s: %v, %v", last.RemoteAddr(), last.Value(), last.Reason())
	}
	last.Close(CodeNormal, "x"+strings.Repeat("…", 100)) // the cut goes through a character
	var end *websocket.CloseError
	if _, _, err := conns[4].ReadMessage(); !errors.As(err, &end) || end.Code != CodeNormal || end.Text != "x"+strings.Repeat("…", 40) {
		t.Errorf("closed by %v", err)
	}
	s.awaitClients(t, 4)
	if err := last.Send(binary); !errors.Is(err, ErrGone) {
		t.Errorf("sending to one who has gone: %v", err)
	}
	last.Listen() // which it no longer can
	if !errors.Is(last.Reason(), ErrClosed) {
		t.Errorf("the reason is %v", last.Reason())
	}
	if _, err := s.hub.Broadcast(text(t, strings.Repeat("x", defaultQueueBytes))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a message above the bound: %v", err)
	}
	want := Statistics{Accepted: 5, Sent: 5*(many+1) + 1}
	if got := s.hub.Statistics(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if s.hub.Name() != "websocket" || s.hub.Usage().PeakEntries != 5 || s.hub.Usage().MaxEntries != defaultMaxClients {
		t.Errorf("%s: %+v", s.hub.Name(), s.hub.Usage())
	}
}

// TestReceive: messages come one at a time, in order and whole, whatever frames they were sent in.
func TestReceive(t *testing.T) {
	type note struct {
		value   any
		message string
	}
	got, left := make(chan note, 10), make(chan error, 1)
	hub, err := New(Options{Name: "h", MaxMessage: 1000,
		Receive: func(c *Client, message []byte) { got <- note{c.Value(), string(message)} },
		Leave:   func(_ *Client, reason error) { left <- reason },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := hub.Upgrade(w, r, "mine"); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	dialer := websocket.Dialer{WriteBufferSize: 100}
	conn, _, err := dialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, size := range []int{0, 1, 125, 126, 1000} {
		sent := strings.Repeat("y", size)
		if err := conn.WriteMessage(websocket.TextMessage, []byte(sent)); err != nil {
			t.Fatal(err)
		}
		if n := <-got; n.message != sent || n.value != "mine" {
			t.Errorf("%v: got %d bytes, want %d", n.value, len(n.message), size)
		}
	}
	conn.Close()
	if reason := <-left; !errors.Is(reason, ErrGone) {
		t.Errorf("the reason is %v", reason)
	}
	if err := hub.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFlood has many more clients at the door than places, at the same time and again and again.
func TestFlood(t *testing.T) {
	const places, clients = 10, 100
	s := serveHub(t, Options{MaxClients: places})
	var in, refused atomic.Int64
	for range 3 {
		var all sync.WaitGroup
		over := make(chan struct{})
		for range clients {
			all.Go(func() {
				conn, response, err := s.tryDial(t, nil)
				if err != nil {
					refused.Add(1)
					if response == nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
						t.Errorf("refused by %v: %v", err, response)
					}
					return
				}
				in.Add(1)
				<-over
				conn.Close()
			})
		}
		await(t, "everyone is in or refused", func() bool { return in.Load()+refused.Load() == clients })
		if in.Load() != places || s.hub.Usage().Entries != places {
			t.Fatalf("%d of %d are in, the hub counts %d", in.Load(), places, s.hub.Usage().Entries)
		}
		close(over)
		all.Wait()
		s.awaitClients(t, 0)
		in.Store(0)
		refused.Store(0)
	}
	u := s.hub.Usage()
	if u.PeakEntries != places || u.MaxEntries != places || u.PeakBytes != places*ConnectionBytes {
		t.Errorf("%+v", u)
	}
	if got := s.hub.Statistics(); got.Accepted != 3*places || got.Refused != 3*(clients-places) {
		t.Errorf("%+v", got)
	}
}

func TestOrigins(t *testing.T) {
	s := serveHub(t, Options{Origins: []string{"https://App.example.com", "http://localhost:3000"}})
	for origin, in := range map[string]bool{
		"":                                 true, // no page
		"http://hub.test":                  true,
		"https://HUB.test":                 true,
		"https://app.example.com":          true,
		"HTTPS://APP.EXAMPLE.COM":          true,
		"http://app.example.com":           false,
		"https://app.example.com:444":      false,
		"http://localhost:3000":            true,
		"http://localhost:3001":            false,
		"https://app.example.com.evil.net": false,
		"null":                             false,
		"http://%zz":                       false,
		"http://hub.test.evil.net":         false,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		_, response, err := s.tryDial(t, header)
		if (err == nil) != in {
			t.Errorf("from %q: in is %v: %v", origin, err == nil, err)
		}
		if !in && (response == nil || response.StatusCode != http.StatusForbidden) {
			t.Errorf("from %q: %v", origin, response)
		}
	}
	if _, _, err := s.tryDial(t, http.Header{"Origin": {"http://hub.test", "https://evil.net"}}); err == nil {
		t.Error("of two origins one got in")
	}
}

// TestBadHandshake: what is no WebSocket is answered, and takes no place.
func TestBadHandshake(t *testing.T) {
	hub, err := New(Options{Name: "h"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method string
		header http.Header
		status int
	}{
		{http.MethodGet, nil, http.StatusBadRequest},
		{http.MethodPost, upgradeHeader(), http.StatusMethodNotAllowed},
		{http.MethodGet, upgradeHeader(), http.StatusInternalServerError}, // a server that cannot hand over its connection
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.Header = c.header
		w := httptest.NewRecorder()
		if _, err := hub.Upgrade(w, r, nil); err == nil || w.Code != c.status {
			t.Errorf("%s %v: status %d, %v, want %d", c.method, c.header, w.Code, err, c.status)
		}
	}
	if u := hub.Usage(); u.Entries != 0 || hub.Statistics().Refused != 3 {
		t.Errorf("%+v, %+v", u, hub.Statistics())
	}
	if err := hub.Close(t.Context()); err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	hub.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "shutting down") {
		t.Errorf("after the end: status %d: %s", w.Code, w.Body)
	}
}

func upgradeHeader() http.Header {
	return http.Header{
		"Upgrade": {"websocket"}, "Connection": {"upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
}

// TestOversized sends much more than may be, over a real connection: the client gets the close message although
// the hub reads none of the rest.
func TestOversized(t *testing.T) {
	left := make(chan error, 1)
	s := serveHub(t, Options{MaxMessage: 1000, Leave: func(_ *Client, reason error) { left <- reason }})
	conn := s.dial(t)
	sent := make(chan error, 1)
	go func() { sent <- conn.WriteMessage(websocket.BinaryMessage, make([]byte, 100_000)) }()
	if code, _ := closed(conn); code != CodeTooLarge {
		t.Errorf("closed with code %d, want %d", code, CodeTooLarge)
	}
	if err := <-sent; err != nil {
		t.Logf("sending broke off: %v", err)
	}
	conn.Close()
	if reason := <-left; !errors.Is(reason, ErrOversized) {
		t.Errorf("the reason is %v", reason)
	}
}

// TestPanics: a callback that panics costs its own client the connection, and nobody else anything.
func TestPanics(t *testing.T) {
	left := make(chan error, 1)
	s := serveHub(t, Options{
		Receive: func(*Client, []byte) { panic("out of luck") },
		Leave:   func(_ *Client, reason error) { left <- reason },
	})
	good, bad := s.dial(t), s.dial(t)
	s.awaitListeners(t, 2)
	if err := bad.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if code, _ := closed(bad); code != CodeInternal {
		t.Errorf("closed with code %d, want %d", code, CodeInternal)
	}
	bad.Close()
	if reason := <-left; reason == nil || !strings.Contains(reason.Error(), "out of luck") || !strings.Contains(reason.Error(), "TestPanics") {
		t.Errorf("the reason is %v", reason)
	}
	if _, err := s.hub.Broadcast(text(t, "still here")); err != nil {
		t.Fatal(err)
	}
	wantText(t, good, "still here")
	go func() { _, _, _ = good.ReadMessage() }() // answers the close message
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		says []string
	}{
		"nothing": {Options{}, []string{`name ""`}},
		"negative": {Options{Name: "h", MaxClients: -1, QueueMessages: -1, QueueBytes: -1, MaxMessage: -1, PingInterval: -1, PongTimeout: -1,
			WriteTimeout: -1, CloseGrace: -1, AuthTimeout: -1, Overflow: 7},
			[]string{"max clients", "queue messages", "queue bytes", "max message", "ping interval", "pong timeout", "write timeout",
				"close grace", "authentication timeout", "overflow 7"}},
		"room":    {Options{Name: "h", QueueBytes: 100, MaxQueuedBytes: 99}, []string{"max queued bytes 99"}},
		"origins": {Options{Name: "h", Origins: []string{"example.com", "https://x/y", "https://u@x", "https://"}}, []string{`"example.com"`, `"https://x/y"`, `"https://u@x"`, `"https://"`}},
	} {
		_, err := New(c.o)
		for _, part := range c.says {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error is %v, want %q in it", name, err, part)
			}
		}
	}
	if _, err := New(Options{Name: "h", QueueBytes: 1 << 30}); err != nil {
		t.Errorf("a large queue alone: %v", err)
	}
}

// TestHalfOpen has a client that is there no more, though its connection is: nothing comes, not even an end.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	left := make(chan error, 2)
	s := serveHub(t, Options{PingInterval: 20 * time.Millisecond, PongTimeout: time.Second, Leave: func(_ *Client, reason error) { left <- reason }})
	good, gone := s.dial(t), s.dial(t)
	pings := make(chan struct{}, 1000)
	answer := good.PingHandler()
	good.SetPingHandler(func(data string) error { pings <- struct{}{}; return answer(data) })
	go func() { _, _, _ = good.ReadMessage() }()
	go func() { _, _ = io.Copy(io.Discard, gone.NetConn()) }() // takes in the pings, says nothing
	if reason := <-left; !errors.Is(reason, ErrVanished) {
		t.Errorf("the reason is %v", reason)
	}
	for range 5 {
		<-pings
	}
	if u, st := s.hub.Usage(), s.hub.Statistics(); u.Entries != 1 || st.Vanished != 1 || st.Slow != 0 {
		t.Errorf("%d clients are left, %+v", u.Entries, st)
	}
}
