package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// recorder remembers whom it accepted, by the address of the client.
type recorder struct {
	net.Listener
	accepted sync.Map
}

func (r *recorder) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	if err == nil {
		r.accepted.Store(conn.RemoteAddr().String(), true)
	}
	return conn, err
}

// TestNoAcceptedRequestIsLost stops a server under clients that use a connection for one request or for several. Every
// request on a connection that was accepted must be answered: of those that came too late the system itself has told
// the clients.
func TestNoAcceptedRequestIsLost(t *testing.T) {
	for round := range 10 {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		doors := &recorder{Listener: inner}
		c := newConnections(doors)
		answered := make(chan struct{}, 1000)
		server := &http.Server{ConnState: c.note, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			fmt.Fprintf(w, "hello %s", r.RemoteAddr)
			select {
			case answered <- struct{}{}:
			default:
			}
		})}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(c) }()

		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for ask(t, doors, inner.Addr().String()) {
				}
			})
		}
		for range 50 + 17*round {
			<-answered
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := errors.Join(c.Close(), c.settle(ctx), server.Shutdown(ctx)); err != nil {
			t.Error(err)
		}
		cancel()
		clients.Wait()
		if err := <-ended; !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if busy := c.busy.Load(); busy != 0 {
			t.Errorf("%d connections are counted that are no more", busy)
		}
	}
}

// ask sends a request on a connection of its own. It returns false once nobody accepts any more.
func ask(t *testing.T, doors *recorder, address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if err == nil {
		var response *http.Response
		if response, err = http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
	}
	if _, accepted := doors.accepted.Load(conn.LocalAddr().String()); accepted && err != nil {
		t.Errorf("a connection was accepted and its request was not answered: %v", err)
	}
	return err == nil
}

func TestSettleIsBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newConnections(inner)
	conn, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted, err := c.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, err := c.Accept(); err == nil {
		t.Error("a closed listener accepts")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.settle(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a new connection counts as settled: %v", err)
	}
	for _, state := range []http.ConnState{http.StateNew, http.StateIdle, http.StateActive, http.StateActive, http.StateIdle, http.StateClosed, http.StateClosed} {
		c.note(accepted, state)
		want := int64(0)
		if state == http.StateNew || state == http.StateActive {
			want = 1
		}
		if got := c.busy.Load(); got != want {
			t.Errorf("in state %v %d are busy, want %d", state, got, want)
		}
	}
	c.note(conn, http.StateActive) // not one of the listener's
	if err := c.settle(t.Context()); err != nil {
		t.Error(err)
	}
	accepted.Close()
}
