package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// fill broadcasts messages that have a number each until so is true.
func (s *site) fill(t *testing.T, size int, sent func(int), so func() bool) {
	t.Helper()
	for i := 0; !so(); i++ {
		if i > 100_000 {
			t.Fatal("nothing fills the queue")
		}
		if _, err := s.hub.Broadcast(text(t, numbered(i, size))); err != nil {
			t.Fatal(err)
		}
		sent(i)
	}
}

func numbered(i, size int) string { return fmt.Sprintf("%0*d", size, i) }

// TestDisconnectSlow has a client that never reads beside one that reads everything.
func TestDisconnectSlow(t *testing.T) {
	left := make(chan error, 2)
	s := serveHub(t, Options{QueueMessages: 4, Leave: func(_ *Client, reason error) { left <- reason }})
	good, slow := s.dial(t), s.dial(t)
	s.awaitListeners(t, 2)
	const size = 1000
	s.fill(t, size, func(i int) { wantText(t, good, numbered(i, size)) }, func() bool { return s.hub.Statistics().Slow == 1 })
	// Now it reads: what the system had already, and why it was dropped.
	code, before := closed(slow)
	if code != CodeTryAgainLater {
		t.Errorf("closed with code %d, want %d", code, CodeTryAgainLater)
	}
	for i, message := range before {
		if message != numbered(i, size) {
			t.Fatalf("message %d is %.40q", i, message)
		}
	}
	if reason := <-left; !errors.Is(reason, ErrSlow) {
		t.Errorf("the reason is %v", reason)
	}
	s.awaitClients(t, 1)
	if got := s.hub.Statistics(); got.Lost < 4 {
		t.Errorf("%+v: want the whole queue lost", got)
	}
}

// TestDropOldest: who does not read for a while gets the newest, in order, and keeps the connection.
func TestDropOldest(t *testing.T) {
	s := serveHub(t, Options{QueueMessages: 4, Overflow: DropOldest, WriteTimeout: time.Hour})
	good, slow := s.dial(t), s.dial(t)
	s.awaitListeners(t, 2)
	const size = 1000
	last := 0
	s.fill(t, size, func(i int) { wantText(t, good, numbered(i, size)); last = i }, func() bool { return s.hub.Statistics().Lost >= 10 })
	newest, missed := -1, 0
	for newest < last {
		_, data, err := slow.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		i, err := strconv.Atoi(string(data))
		if err != nil || i <= newest {
			t.Fatalf("after %d came %.40q, %v", newest, data, err)
		}
		missed += i - newest - 1
		newest = i
	}
	if lost := s.hub.Statistics().Lost; int64(missed) != lost {
		t.Errorf("%d messages did not come, %d are counted as lost", missed, lost)
	}
}

// TestWriteTimeout: what cannot be written in time ends a connection, on the dot.
func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan error, 1)
		s := servePipes(t, Options{WriteTimeout: 7 * time.Second, Leave: func(_ *Client, reason error) { left <- reason }})
		s.dial(t)
		synctest.Wait()
		before := time.Now()
		if got, err := s.hub.Broadcast(text(t, "x")); got != 1 || err != nil {
			t.Fatal(got, err)
		}
		if reason := <-left; !errors.Is(reason, ErrSlow) || time.Since(before) != 7*time.Second {
			t.Errorf("left after %v: %v", time.Since(before), reason)
		}
		if got := s.hub.Statistics(); got.Slow != 1 || got.Lost != 1 || got.Sent != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// TestPingTimes: pings come on the dot, and who does not answer goes on the dot.
func TestPingTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan error, 1)
		s := servePipes(t, Options{PingInterval: 20 * time.Second, PongTimeout: 5 * time.Second, Leave: func(_ *Client, reason error) { left <- reason }})
		conn := s.dial(t)
		begin := time.Now()
		answers, pings := 3, []time.Duration{}
		conn.SetPingHandler(func(string) error {
			pings = append(pings, time.Since(begin))
			if len(pings) > answers {
				return nil
			}
			return conn.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
		})
		code, _ := closed(conn)
		reason := <-left
		if code != CodePolicy || !errors.Is(reason, ErrVanished) || time.Since(begin) != 85*time.Second {
			t.Errorf("closed with code %d after %v: %v", code, time.Since(begin), reason)
		}
		if want := "[20s 40s 1m0s 1m20s]"; fmt.Sprint(pings) != want {
			t.Errorf("pings came after %v, want %s", pings, want)
		}
	})
}

// TestMessagesAreSignsOfLife: a client that speaks is there, whether it answers pings or not.
func TestMessagesAreSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := servePipes(t, Options{PingInterval: 20 * time.Second, PongTimeout: 5 * time.Second})
		conn := s.dial(t)
		conn.SetPingHandler(func(string) error { return nil })
		go func() { closed(conn) }()
		for range 20 {
			time.Sleep(24 * time.Second)
			if err := conn.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.hub.Usage().Entries; got != 1 {
			t.Errorf("%d clients are left", got)
		}
	})
}

// TestRoomForAll: what waits for all clients together is bounded; who is furthest behind makes room.
func TestRoomForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := map[any]*Client{}
		var mu sync.Mutex
		s := servePipes(t, Options{
			QueueMessages: 100, QueueBytes: 5000, MaxQueuedBytes: 10_000, Overflow: DropOldest, WriteTimeout: time.Hour,
			Join: func(c *Client) { mu.Lock(); defer mu.Unlock(); clients[len(clients)] = c },
		})
		for range 3 {
			s.dial(t)
		}
		synctest.Wait()
		kilo := text(t, strings.Repeat("x", 1000-frameBytes))
		put := func(i, count int) {
			for range count {
				if err := clients[i].Send(kilo); err != nil {
					t.Fatalf("client %d: %v", i, err)
				}
				synctest.Wait() // the first one is on its way to be written
			}
		}
		held := func() string {
			return fmt.Sprint(clients[0].waiting(), clients[1].waiting(), clients[2].waiting(), s.hub.account.waiting())
		}
		put(0, 6) // five wait
		put(1, 3)
		if got := held(); got != "5000 2000 0 9000" {
			t.Errorf("held %s", got)
		}
		put(0, 1) // of its own queue the oldest goes
		put(2, 1)
		if got := held(); got != "5000 2000 0 10000" {
			t.Errorf("held %s", got)
		}
		put(2, 1) // the longest queue goes
		if got := held(); got != "0 2000 1000 6000" {
			t.Errorf("held %s", got)
		}
		if freed := s.hub.Shrink(t.Context(), 0); freed != 0 {
			t.Errorf("asked for nothing, freed %d", freed)
		}
		if freed := s.hub.Shrink(t.Context(), 1500); freed != 2000 || held() != "0 0 1000 4000" {
			t.Errorf("freed %d, held %s", freed, held())
		}
		if freed := s.hub.Shrink(t.Context(), 1<<40); freed != 1000 || held() != "0 0 0 3000" {
			t.Errorf("freed %d, held %s", freed, held())
		}
		u := s.hub.Usage()
		if u.Bytes != 3*ConnectionBytes+3000 || u.PeakBytes != 3*ConnectionBytes+10_000 || u.MaxBytes != defaultMaxClients*ConnectionBytes+10_000 {
			t.Errorf("%+v", u)
		}
	})
}

// TestNoRoom: what is being written cannot be taken back.
func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := servePipes(t, Options{QueueBytes: 1000, MaxQueuedBytes: 1000, Overflow: DropOldest, WriteTimeout: time.Hour})
		s.dial(t)
		synctest.Wait()
		if _, err := s.hub.Broadcast(text(t, strings.Repeat("x", 600))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := s.hub.Broadcast(text(t, strings.Repeat("x", 600))); !errors.Is(err, ErrNoRoom) {
			t.Errorf("the error is %v", err)
		}
	})
}

// TestShrinkDisconnects where nothing may be missing of a stream.
func TestShrinkDisconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := servePipes(t, Options{WriteTimeout: time.Hour, CloseGrace: time.Second})
		s.dial(t)
		synctest.Wait()
		for range 2 {
			if _, err := s.hub.Broadcast(text(t, "x")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if freed := s.hub.Shrink(t.Context(), 1); freed != 1+frameBytes {
			t.Errorf("freed %d", freed)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if u := s.hub.Usage(); u.Entries != 0 || s.hub.Statistics().Slow != 1 {
			t.Errorf("%+v, %+v", u, s.hub.Statistics())
		}
	})
}

// TestBoundsUnderLoad sends at random from several goroutines to clients that read, pause, leave and come, and looks at
// the bounds all the time.
func TestBoundsUnderLoad(t *testing.T) {
	t.Parallel()
	for _, overflow := range []Overflow{Disconnect, DropOldest} {
		t.Run(fmt.Sprint(overflow), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			s := serveHub(t, Options{
				MaxClients: 8, QueueMessages: 5, QueueBytes: 6000, MaxQueuedBytes: 8000, Overflow: overflow,
				WriteTimeout: 200 * time.Millisecond, CloseGrace: 100 * time.Millisecond,
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			loaded := func() bool {
				got := s.hub.Statistics()
				return got.Sent > 0 && got.Lost > 0 && got.Refused > 0
			}
			var all sync.WaitGroup
			for i := range 12 {
				all.Go(func() { s.comeAndGo(ctx, t, rand.New(rand.NewPCG(seed, uint64(i)))) })
			}
			for i := range 3 {
				all.Go(func() { s.sendAtRandom(ctx, t, rand.New(rand.NewPCG(seed, 100+uint64(i)))) })
			}
			for began := time.Now(); ctx.Err() == nil && (time.Since(began) < time.Second/2 || !loaded()); {
				s.checkBounds(t)
			}
			cancel()
			all.Wait()
			t.Logf("%+v, %+v", s.hub.Statistics(), s.hub.Usage())
			if !loaded() {
				t.Errorf("%+v: the load was none", s.hub.Statistics())
			}
		})
	}
}

// comeAndGo is a client that reads at random.
func (s *site) comeAndGo(ctx context.Context, t *testing.T, random *rand.Rand) {
	for ctx.Err() == nil {
		conn, _, err := s.tryDial(t, nil)
		if err != nil {
			time.Sleep(time.Millisecond) // no place
			continue
		}
		for ctx.Err() == nil && random.IntN(50) > 0 {
			if random.IntN(10) == 0 {
				time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
			}
			if conn.SetReadDeadline(time.Now().Add(10*time.Millisecond)) != nil {
				break
			}
			if _, _, err := conn.ReadMessage(); err != nil {
				break
			}
		}
		conn.Close()
	}
}

func (s *site) sendAtRandom(ctx context.Context, t *testing.T, random *rand.Rand) {
	for ctx.Err() == nil {
		m := text(t, strings.Repeat("x", random.IntN(3000)))
		if random.IntN(2) == 0 {
			if _, err := s.hub.Broadcast(m); err != nil && !errors.Is(err, ErrNoRoom) {
				t.Error(err)
			}
			continue
		}
		s.hub.mu.Lock()
		var one *Client
		for one = range s.hub.clients {
			break
		}
		s.hub.mu.Unlock()
		if one == nil {
			continue
		}
		err := one.Send(m)
		if err != nil && !errors.Is(err, ErrNoRoom) && !errors.Is(err, ErrGone) && !errors.Is(err, ErrSlow) {
			t.Error(err)
		}
		if random.IntN(500) == 0 {
			s.hub.Shrink(ctx, int64(random.IntN(4000)))
		}
	}
}

// checkBounds looks at every bound at one moment.
func (s *site) checkBounds(t *testing.T) {
	h := s.hub
	u := h.Usage()
	if u.Entries > 8 || u.Bytes > u.MaxBytes || u.Bytes < 0 || u.PeakBytes > u.MaxBytes || u.PeakEntries > 8 {
		t.Errorf("the bounds are passed: %+v", u)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		c.mu.Lock()
		sum := int64(0)
		for _, d := range c.queue {
			sum += d.bytes
		}
		if len(c.queue) > 5 || c.bytes > 6000 || c.bytes != sum {
			t.Errorf("a queue has %d messages of %d bytes, accounted %d", len(c.queue), sum, c.bytes)
		}
		c.mu.Unlock()
	}
}

// TestAuthenticate has first messages of every kind.
func TestAuthenticate(t *testing.T) {
	wrong := errors.New("who are you?")
	o := Options{
		MaxMessage: 100, AuthTimeout: 3 * time.Second, CloseGrace: time.Second,
		Authenticate: func(_ *Client, first []byte) error {
			if string(first) != "open sesame" {
				return wrong
			}
			return nil
		},
	}
	for name, c := range map[string]struct {
		first  string
		code   int
		reason error
		after  time.Duration
	}{
		"right":     {"open sesame", CodeGoingAway, ErrClosed, 30 * time.Second},
		"wrong":     {"open barley", CodePolicy, wrong, 0},
		"silence":   {"", CodePolicy, ErrUnauthenticated, 3 * time.Second},
		"too large": {strings.Repeat("x", 101), CodeTooLarge, ErrOversized, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := make(chan error, 1)
				o.Leave = func(_ *Client, reason error) { left <- reason }
				s := servePipes(t, o)
				conn := s.dial(t)
				begin := time.Now()
				synctest.Wait()
				if got, err := s.hub.Broadcast(text(t, "for those who are in")); got != 0 || err != nil {
					t.Errorf("it got to %d, %v", got, err)
				}
				if c.first != "" {
					if err := conn.WriteMessage(websocket.TextMessage, []byte(c.first)); err != nil {
						t.Fatal(err)
					}
				}
				if c.code == CodeGoingAway {
					go func() {
						time.Sleep(30 * time.Second)
						s.hub.Disconnect(CodeGoingAway, "enough")
					}()
				}
				code, _ := closed(conn)
				if code != c.code || time.Since(begin) != c.after {
					t.Errorf("closed with code %d after %v, want %d after %v", code, time.Since(begin), c.code, c.after)
				}
				conn.Close()
				if reason := <-left; !errors.Is(reason, c.reason) {
					t.Errorf("the reason is %v, want %v", reason, c.reason)
				}
				if want := c.code == CodePolicy; (s.hub.Statistics().Unauthenticated == 1) != want {
					t.Errorf("%+v", s.hub.Statistics())
				}
			})
		})
	}
}

// TestLeaveBeforeAuthentication: a connection that breaks is no failed attempt.
func TestLeaveBeforeAuthentication(t *testing.T) {
	left := make(chan error, 1)
	s := serveHub(t, Options{
		Authenticate: func(*Client, []byte) error { return io.EOF },
		Leave:        func(_ *Client, reason error) { left <- reason },
	})
	s.dial(t).Close()
	if reason := <-left; !errors.Is(reason, ErrGone) || s.hub.Statistics().Unauthenticated != 0 {
		t.Errorf("the reason is %v, %+v", reason, s.hub.Statistics())
	}
}
