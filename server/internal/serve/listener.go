package serve

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

const (
	// idleConnections are how many connections may be open beside those with a request under way and those that follow the
	// live stream.
	idleConnections = 1024
	// leastConnections are accepted however few files the process may open.
	leastConnections = 8
	// reservedFiles are for what the service opens beside connections. The kernel's figures, which it keeps open, and its own
	// take some thirty; the rest is for snapshots, bundles and webhooks.
	reservedFiles = 64
	// filesPerDatabaseConnection is four for SQLite: the database and its journal, the directory while the journal is made, and
	// one to spare.
	filesPerDatabaseConnection = 4
	// newcomerGrace is how long a connection has to send the first byte of its first request before it makes room.
	newcomerGrace = 500 * time.Millisecond
	// roomInterval is how often room is looked for while there is none.
	roomInterval = 20 * time.Millisecond
)

// connections is a listener that knows how many of its connections have a request under way, or are new and may have
// one on the way. http.Server.Shutdown alone would lose those: from its first moment on the server drops every request
// that it has not read yet. So the listener is closed first, then what is busy is waited for, and only then the server
// is shut down.
//
// It also bounds how many are open: without that a few clients could take all the files that the process may open, and
// with them its database. The one that has been idle for longest makes room; where all are busy, new ones wait.
type connections struct {
	net.Listener
	most     int // 0: no bound
	closing  sync.Once
	closeErr error
	closed   chan struct{} // closed by Close
	// busy also counts a call of Accept that is under way, so that no connection can be between it and the count.
	busy atomic.Int64

	mu   sync.Mutex
	open map[*connection]struct{}
	peak int
}

// newConnections is a listener without a bound; set most before the first call of Accept.
func newConnections(listener net.Listener) *connections {
	return &connections{Listener: listener, closed: make(chan struct{}), open: make(map[*connection]struct{})}
}

// connectionBound is how many connections may be open: those that are used, some that are idle, and never more than the
// files that the process may open (0: without a bound) leave room for beside those of the database and of Redis.
func connectionBound(requests, streams, databaseConns, redisConns int, files uint64) int {
	most := requests + streams + idleConnections
	if files == 0 || files > 1<<30 {
		return most
	}
	left := int(files) - reservedFiles - filesPerDatabaseConnection*databaseConns - redisConns
	return max(leastConnections, min(most, left))
}

func (c *connections) Accept() (net.Conn, error) {
	c.busy.Add(1)
	conn, err := c.Listener.Accept()
	if err != nil {
		c.busy.Add(-1)
		return nil, err
	}
	added := &connection{Conn: conn, of: c}
	added.since.Store(time.Now().UnixNano())
	if c.most > 0 {
		c.waitForRoom()
		c.mu.Lock()
		c.open[added] = struct{}{}
		c.peak = max(c.peak, len(c.open))
		c.mu.Unlock()
	}
	return added, nil
}

// waitForRoom returns when another connection may be open, or the listener is closed.
func (c *connections) waitForRoom() {
	if c.makeRoom(time.Now()) {
		return
	}
	ticker := time.NewTicker(roomInterval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			if c.makeRoom(now) {
				return
			}
		case <-c.closed:
			return
		}
	}
}

// makeRoom closes, where there is no room, the connection that has been idle for longest, or else the one that has been
// silent for longest since it came, and tells whether there is room now.
func (c *connections) makeRoom(now time.Time) bool {
	c.mu.Lock()
	room := len(c.open) < c.most
	var idle, silent *connection
	if !room {
		for one := range c.open {
			switch http.ConnState(one.state.Load()) {
			case http.StateIdle:
				idle = older(idle, one)
			case http.StateNew:
				silent = older(silent, one)
			}
		}
	}
	c.mu.Unlock()
	if room {
		return true
	}
	if idle == nil && silent != nil && now.UnixNano()-silent.since.Load() >= int64(newcomerGrace) {
		idle = silent
	}
	if idle == nil {
		return false
	}
	_ = idle.Close() // its client sees what it sees when a connection has been idle for too long
	return true
}

func older(a, b *connection) *connection {
	if a == nil || b.since.Load() < a.since.Load() {
		return b
	}
	return a
}

// Close may be called more than once: the server does it, too, and would report an error.
func (c *connections) Close() error {
	c.closing.Do(func() {
		close(c.closed)
		c.closeErr = c.Listener.Close()
	})
	return c.closeErr
}

// connection is busy from its beginning until note says that it is not.
type connection struct {
	net.Conn
	of    *connections
	quiet atomic.Bool
	state atomic.Int32 // the http.ConnState, and since when in Unix nanoseconds
	since atomic.Int64
}

// Close gives the place back.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// note follows a connection's state: it is the server's ConnState.
func (c *connections) note(conn net.Conn, state http.ConnState) {
	counted, ok := conn.(*connection)
	if !ok {
		return
	}
	counted.since.Store(time.Now().UnixNano())
	counted.state.Store(int32(state))
	switch state {
	case http.StateActive:
		if counted.quiet.Swap(false) {
			c.busy.Add(1)
		}
	case http.StateIdle, http.StateHijacked, http.StateClosed:
		if !counted.quiet.Swap(true) {
			c.busy.Add(-1)
		}
	}
}

// settle waits until no connection is busy. The listener must be closed.
func (c *connections) settle(ctx context.Context) error {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for c.busy.Load() > 0 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Name, Usage and Shrink show the connections among the limits. Their memory is that of the requests and of the HTTP
// server.
func (c *connections) Name() string { return "connections" }

// Usage is that of bounded.Owner.
func (c *connections) Usage() bounded.Usage {
	const none = bounded.NotApplicable
	c.mu.Lock()
	defer c.mu.Unlock()
	return bounded.Usage{Entries: int64(len(c.open)), MaxEntries: int64(c.most), PeakEntries: int64(c.peak), Bytes: none, MaxBytes: none, PeakBytes: none}
}

// Shrink frees nothing: idle connections end by themselves.
func (c *connections) Shrink(context.Context, int64) int64 { return 0 }
