package serve

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestConnectionBound leaves files for the database and Redis, and some connections whatever the limit is.
func TestConnectionBound(t *testing.T) {
	for _, c := range []struct {
		files uint64
		want  int
	}{{0, 256 + 100 + idleConnections}, {1 << 40, 256 + 100 + idleConnections}, {20_000, 256 + 100 + idleConnections}, {256, 256 - 64 - 20 - 10}, {64, 8}, {1, 8}} {
		if got := connectionBound(256, 100, 5, 10, c.files); got != c.want {
			t.Errorf("with %d files %d connections are accepted, want %d", c.files, got, c.want)
		}
	}
}

// TestIdleConnectionsMakeRoom opens many times as many connections as there may be, silent ones and such as have had an
// answer: whoever asks next is answered, and there are never more than the bound.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	const most = 4
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newConnections(inner)
	c.most = most
	server := &http.Server{ConnState: c.note, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(c) }()
	var clients []*http.Client
	for range 3 * most {
		conn, err := net.DialTimeout("tcp", inner.Addr().String(), patience) // says nothing
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		one := &http.Client{Transport: &http.Transport{}, Timeout: patience} // keeps its connection
		clients = append(clients, one)
		answer, err := one.Get("http://" + inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	if u := c.Usage(); u.Entries > most || u.PeakEntries != most || u.MaxEntries != most || c.Name() == "" || c.Shrink(t.Context(), 1) != 0 {
		t.Errorf("%+v", u)
	}
	for _, one := range clients {
		one.CloseIdleConnections()
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}

// TestNoRoomEndsWithTheListener: a connection that waits while all are busy does not hold up a shutdown.
func TestNoRoomEndsWithTheListener(t *testing.T) {
	c := newConnections(nil)
	c.most = 1
	busy := &connection{of: c}
	busy.state.Store(int32(http.StateActive))
	c.open[busy] = struct{}{}
	if c.makeRoom(time.Now().Add(time.Hour)) {
		t.Fatal("a busy connection made room")
	}
	ended := make(chan struct{})
	go func() { c.waitForRoom(); close(ended) }()
	close(c.closed)
	<-ended
}
