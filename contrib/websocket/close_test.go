package websocket

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// TestClose closes a hub of which a third of the clients never reads and has its buffers full: the memory is within what
// was allowed, on the heap as on the account, the end takes no longer than it may, and each of the others is told.
func TestClose(t *testing.T) {
	t.Parallel()
	clients, allowed := 200, 2*time.Second
	if *long {
		clients, allowed = 5000, 20*time.Second
	}
	var joined clientsByAddress
	s := serveHub(t, Options{
		MaxClients: clients, QueueMessages: 64, MaxQueuedBytes: defaultQueueBytes, Overflow: DropOldest, WriteTimeout: time.Minute,
		CloseGrace: time.Minute, PingInterval: time.Hour, Join: joined.join,
	})
	var good, bad []*websocket.Conn
	for i := range clients {
		if conn := s.dial(t); i%3 > 0 {
			good = append(good, conn)
		} else {
			bad = append(bad, conn)
		}
	}
	s.awaitListeners(t, clients)
	read := readAll(good)
	filler := text(t, strings.Repeat("x", 1000))
	before := liveHeap()
	for range 64 { // far more than the sockets hold
		if _, err := s.hub.Broadcast(filler); err != nil {
			t.Fatal(err)
		}
		if u := s.hub.Usage(); u.Bytes > u.MaxBytes {
			t.Fatalf("%+v", u)
		}
	}
	await(t, "only those wait that do not read", func() bool { return len(s.hub.slowest()) == len(bad) })
	offered := s.sendEach(t, joined.of(bad), 32)
	grown, u := liveHeap()-before, s.hub.Usage()
	// Few clients hold less than what else comes and goes on the heap.
	if u.PeakBytes > u.MaxBytes || *long && grown > u.MaxBytes || offered < 2*u.MaxBytes {
		t.Errorf("the heap has grown by %d bytes of %d that were offered to those who do not read: %+v", grown, offered, u)
	}
	ctx, cancel := context.WithTimeout(t.Context(), allowed)
	defer cancel()
	begin := time.Now()
	if err := s.hub.Close(ctx); err != nil {
		t.Error(err)
	}
	took := time.Since(begin)
	told, received := read()
	if told != len(good) {
		t.Errorf("%d of %d clients were told", told, len(good))
	}
	if ctx.Err() != nil {
		t.Errorf("it took %v of %v", took, allowed)
	}
	t.Logf("%d clients, %d of them stuck: %d messages received, the heap grown by %d of %d bytes that may be, closed in %v",
		clients, len(bad), received, grown, u.MaxBytes, took)
}

// readAll has clients read until the connection ends. The result waits for that, and counts who was told that the server
// goes away, and messages.
func readAll(conns []*websocket.Conn) (ended func() (told, received int)) {
	var all sync.WaitGroup
	var told, received atomic.Int64
	for _, conn := range conns {
		all.Go(func() {
			var err error
			for err == nil { // what it gets it lets go
				if _, _, err = conn.ReadMessage(); err == nil {
					received.Add(1)
				}
			}
			if websocket.IsCloseError(err, CodeGoingAway) {
				told.Add(1)
			}
		})
	}
	return func() (int, int) {
		all.Wait()
		return int(told.Load()), int(received.Load())
	}
}

// clientsByAddress are a hub's clients, by the address of the other end.
type clientsByAddress struct{ sync.Map }

// join lets a client listen.
func (m *clientsByAddress) join(c *Client) {
	m.Store(c.RemoteAddr(), c)
	c.Listen()
}

// of returns the clients at the other ends of connections.
func (m *clientsByAddress) of(conns []*websocket.Conn) (clients []*Client) {
	for _, conn := range conns {
		c, _ := m.Load(conn.LocalAddr().String())
		clients = append(clients, c.(*Client))
	}
	return clients
}

// sendEach sends so many messages to each client, none of them shared, and returns the bytes of all.
func (s *site) sendEach(t *testing.T, clients []*Client, count int) (bytes int64) {
	t.Helper()
	for range count {
		for _, c := range clients {
			m := text(t, strings.Repeat("x", 2000))
			if err := c.Send(m); err != nil {
				t.Fatal(err)
			}
			bytes += m.Bytes()
		}
	}
	return bytes
}

func liveHeap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestCloseTimes: who answers ends at once, who does not is cut off on the dot.
func TestCloseTimes(t *testing.T) {
	const grace = 4 * time.Second
	forever := func(c *Client, _ []byte) error { return nil }
	for name, c := range map[string]struct {
		reads        bool
		authenticate func(*Client, []byte) error
		allowed      time.Duration // 0: no deadline
		want         time.Duration
	}{
		"reads":         {reads: true, want: 0},
		"slow":          {want: grace},
		"silent":        {authenticate: forever, want: grace},
		"slow, hurry":   {allowed: grace, want: grace / 2},
		"silent, hurry": {authenticate: forever, allowed: grace, want: grace / 2},
		"slow, forced":  {allowed: -1, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := servePipes(t, Options{CloseGrace: grace, AuthTimeout: time.Hour, Authenticate: c.authenticate})
				conn := s.dial(t)
				synctest.Wait()
				code := make(chan int, 1)
				if c.reads {
					go func() { got, _ := closed(conn); code <- got }()
				}
				ctx, cancel := context.WithCancel(t.Context())
				if c.allowed != 0 {
					ctx, cancel = context.WithTimeout(t.Context(), c.allowed)
				}
				defer cancel()
				begin := time.Now()
				if err := s.hub.Close(ctx); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took != c.want {
					t.Errorf("took %v, want %v", took, c.want)
				}
				if c.reads {
					if got := <-code; got != CodeGoingAway {
						t.Errorf("closed with code %d", got)
					}
				}
				if _, response, err := s.tryDial(t, nil); err == nil || response.StatusCode != 503 {
					t.Errorf("after the end: %v, %v", response, err)
				}
			})
		})
	}
}

// TestCloseHurries a connection that ends already.
func TestCloseHurries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := servePipes(t, Options{CloseGrace: time.Hour, WriteTimeout: time.Hour})
		s.dial(t)
		synctest.Wait()
		s.hub.Disconnect(CodeNormal, "enough")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if err := s.hub.Close(ctx); err != nil || time.Since(begin) != time.Minute/2 {
			t.Errorf("closed after %v, %v", time.Since(begin), err)
		}
	})
}

// TestCloseDeliversFirst: what waits is written before the close message.
func TestCloseDeliversFirst(t *testing.T) {
	s := serveHub(t, Options{})
	conn := s.dial(t)
	s.awaitListeners(t, 1)
	for _, data := range []string{"a", "b", "c"} {
		if _, err := s.hub.Broadcast(text(t, data)); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- s.hub.Close(t.Context()) }()
	if code, before := closed(conn); code != CodeGoingAway || strings.Join(before, "") != "abc" {
		t.Errorf("closed with code %d after %q", code, before)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestStuckCallback: a callback that does not return is told of, and not waited for without end.
func TestStuckCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := servePipes(t, Options{Join: func(*Client) { <-release }})
		s.dial(t)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		err := s.hub.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "callbacks of 1 connections") || time.Since(begin) != 2*time.Second {
			t.Errorf("closed after %v: %v", time.Since(begin), err)
		}
		close(release)
	})
}
