package serve

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// connections is a listener that knows how many of its connections have a request under way, or are new and may have
// one on the way. http.Server.Shutdown alone would lose those: from its first moment on the server drops every request
// that it has not read yet. So the listener is closed first, then what is busy is waited for, and only then the server
// is shut down.
type connections struct {
	net.Listener
	closing  sync.Once
	closeErr error
	// busy also counts a call of Accept that is under way, so that no connection can be between it and the count.
	busy atomic.Int64
}

func (c *connections) Accept() (net.Conn, error) {
	c.busy.Add(1)
	conn, err := c.Listener.Accept()
	if err != nil {
		c.busy.Add(-1)
		return nil, err
	}
	return &connection{Conn: conn}, nil
}

// Close may be called more than once: the server does it, too, and would report an error.
func (c *connections) Close() error {
	c.closing.Do(func() { c.closeErr = c.Listener.Close() })
	return c.closeErr
}

// connection is busy from its beginning until note says that it is not.
type connection struct {
	net.Conn
	quiet atomic.Bool
}

// note follows a connection's state: it is the server's ConnState.
func (c *connections) note(conn net.Conn, state http.ConnState) {
	counted, ok := conn.(*connection)
	if !ok {
		return
	}
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
