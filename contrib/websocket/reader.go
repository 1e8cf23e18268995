package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"time"

	"github.com/gorilla/websocket"
)

// run reads the client until its end. It is the one goroutine that every connection has.
func (c *Client) run() {
	h := c.hub
	defer h.open.Done()
	in, err := c.read()
	told := c.readEnded(in, err)
	c.settle() // a close message on its way, for which there is a guard
	if told {
		c.linger()
	}
	c.cut(ErrGone)
	c.mu.Lock()
	if c.guard != nil {
		c.guard.Stop()
	}
	why := c.reason
	c.mu.Unlock()
	h.remove(c)
	h.o.Leave(c, why)
}

// panicked is what a callback panicked with, denied what Authenticate said.
type (
	panicked struct{ error }
	denied   struct{ error }
)

// read authenticates the client and hands on its messages until there is an error, which it always returns, and
// whether the client was in.
func (c *Client) read() (in bool, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = panicked{fmt.Errorf("websocket: a callback panicked: %v\n%s", reason, debug.Stack())}
		}
	}()
	o := &c.hub.o
	c.conn.SetReadLimit(o.MaxMessage)
	if o.Authenticate != nil {
		if err := c.authenticate(); err != nil {
			return false, err
		}
	}
	alive := func() error { return c.conn.SetReadDeadline(time.Now().Add(o.PingInterval + o.PongTimeout)) }
	c.conn.SetPongHandler(func(string) error { return alive() })
	if err := alive(); err != nil {
		return true, err
	}
	o.Join(c)
	for {
		_, message, err := c.conn.NextReader()
		if err != nil {
			return true, err
		}
		if err := c.receive(message); err != nil {
			return true, err
		}
		if err := alive(); err != nil {
			return true, err
		}
	}
}

// authenticate has the client's first message judged.
func (c *Client) authenticate() error {
	o := &c.hub.o
	if err := c.conn.SetReadDeadline(time.Now().Add(o.AuthTimeout)); err != nil {
		return err
	}
	_, first, err := c.conn.ReadMessage()
	if err != nil {
		return err
	}
	if err := o.Authenticate(c, first); err != nil {
		return denied{err}
	}
	return nil
}

// receive hands on a message. Where nobody wants it, it is dropped in pieces, which needs no memory.
func (c *Client) receive(message io.Reader) error {
	if c.hub.o.Receive == nil {
		_, err := io.Copy(io.Discard, message) // through the reader, which counts the parts of a message together
		return err
	}
	whole, err := io.ReadAll(message)
	if err == nil {
		c.hub.o.Receive(c, whole)
	}
	return err
}

// readEnded gives the connection its end, unless it has one, by the error that reading ended with. It reports whether the
// client is told while it may still be sending.
func (c *Client) readEnded(in bool, err error) (told bool) {
	h, grace := c.hub, c.hub.o.CloseGrace
	var (
		timeout net.Error
		left    *websocket.CloseError
		no      denied
		failed  panicked
	)
	switch {
	case errors.As(err, &failed):
		c.end(failed.error, CodeInternal, "internal error", grace)
		return true
	case errors.As(err, &left):
		c.cut(fmt.Errorf("%w: code %d", ErrGone, left.Code)) // it was answered
	case errors.Is(err, websocket.ErrReadLimit):
		c.note(ErrOversized) // it was told
		return true
	case errors.As(err, &no):
		if c.end(fmt.Errorf("%w: %w", ErrUnauthenticated, no.error), CodePolicy, no.Error(), grace) {
			h.counts.unauthenticated.Add(1)
		}
		return true
	case errors.As(err, &timeout) && timeout.Timeout() && in:
		if c.end(ErrVanished, CodePolicy, ErrVanished.Error(), grace) {
			h.counts.vanished.Add(1)
		}
	case errors.As(err, &timeout) && timeout.Timeout():
		if c.end(ErrUnauthenticated, CodePolicy, ErrUnauthenticated.Error(), grace) {
			h.counts.unauthenticated.Add(1)
		}
	default:
		c.cut(fmt.Errorf("%w: %w", ErrGone, err))
	}
	return false
}

// lingerTime is how long a connection is read after its client was told that it ends.
const lingerTime = time.Second

// linger reads what the client still sends, and drops it: to close a TCP connection with something unread resets it, and
// the other end may lose the close message.
func (c *Client) linger() {
	conn := c.conn.NetConn()
	if conn.SetReadDeadline(time.Now().Add(min(lingerTime, c.hub.o.CloseGrace))) == nil {
		_, _ = io.Copy(io.Discard, conn) // until it has gone or the time is over
	}
}
