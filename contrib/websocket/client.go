package websocket

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Client is one connection. It is safe for concurrent use.
type Client struct {
	hub   *Hub
	conn  *websocket.Conn
	value any

	mu      sync.Mutex
	queue   []*delivery // at most QueueMessages
	bytes   int64       // of the queue; at most QueueBytes
	pinging bool        // a ping is due
	writing bool        // a goroutine writes; it is there while queue, pinging or farewell have something for it
	idle    chan struct{}
	reason  error  // why the connection ends; nil while it does not
	over    bool   // the connection is cut: nothing is written any more
	goodbye []byte // the close message to be written; nil: none, or not any more

	ping  *time.Timer
	guard *time.Timer // cuts the connection; set once it ends
}

func newClient(h *Hub, conn *websocket.Conn, value any) *Client {
	c := &Client{hub: h, conn: conn, value: value}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ping = time.AfterFunc(h.o.PingInterval, c.pingDue)
	return c
}

// Value returns what Hub.Upgrade was called with; nil for a connection by ServeHTTP.
func (c *Client) Value() any { return c.value }

// RemoteAddr is the address of the other end.
func (c *Client) RemoteAddr() string { return c.conn.RemoteAddr().String() }

// Reason tells why the connection ends or has ended, and is nil as long as it does not: one of the hub's errors,
// ErrGone where the client left or its connection broke, or what a callback panicked with.
func (c *Client) Reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// Listen lets broadcasts reach the client from now on.
func (c *Client) Listen() {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	if _, open := c.hub.clients[c]; open {
		c.hub.listening[c] = struct{}{}
	}
}

// Send puts a message into the client's queue. It never waits; an error (ErrTooLarge, ErrNoRoom, ErrGone, ErrSlow) means
// that the client does not get it.
func (c *Client) Send(m *Message) error {
	d, err := c.hub.deliver(m)
	if err != nil {
		return err
	}
	defer d.release()
	return c.enqueue(d)
}

// Close ends the connection with a close message, after what waits for the client, and returns at once. The reason is cut
// to the 123 bytes that a close message has room for.
func (c *Client) Close(code int, reason string) { c.end(ErrClosed, code, reason, c.hub.o.CloseGrace) }

// enqueue adds a message to the queue, which takes hold of it. Where the queue is full, Overflow decides.
func (c *Client) enqueue(d *delivery) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return ErrGone
	}
	o := &c.hub.o
	for len(c.queue) == o.QueueMessages || c.bytes+d.bytes > o.QueueBytes {
		if o.Overflow == Disconnect {
			c.dropSlow()
			return ErrSlow
		}
		c.lose(1)
	}
	d.waiting.Add(1)
	c.queue = append(c.queue, d)
	c.bytes += d.bytes
	c.wake()
	return nil
}

// lose drops the oldest messages. mu is held.
func (c *Client) lose(count int) {
	for _, d := range c.queue[:count] {
		c.bytes -= d.bytes
		d.release()
	}
	c.hub.counts.lost.Add(int64(count))
	c.queue = append(c.queue[:0:0], c.queue[count:]...) // anew, so that what was dropped is not kept
}

// dropSlow ends the connection of a client that does not keep up. mu is held.
func (c *Client) dropSlow() {
	c.lose(len(c.queue))
	if c.reason == nil {
		c.hub.counts.slow.Add(1)
		c.endLocked(ErrSlow, CodeTryAgainLater, ErrSlow.Error(), c.hub.o.CloseGrace)
	}
}

// lighten takes the queue from the client.
func (c *Client) lighten() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.queue) == 0: // it has caught up meanwhile
	case c.hub.o.Overflow == Disconnect:
		c.dropSlow()
	default:
		c.lose(len(c.queue))
	}
}

// waiting is what the queue holds.
func (c *Client) waiting() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// pingDue is called by the timer.
func (c *Client) pingDue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.pinging = true
		c.wake()
		c.ping.Reset(c.hub.o.PingInterval)
	}
}

// maxReason is what a control frame of 125 bytes leaves besides the code.
const maxReason = 123

// end has the connection end with a close message, after what is in the queue, unless it ends already. What is not
// over after grace is cut off.
func (c *Client) end(why error, code int, reason string, grace time.Duration) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.endLocked(why, code, reason, grace)
		return true
	}
	if grace < c.hub.o.CloseGrace && c.guard != nil && !c.over {
		c.guard.Reset(max(0, grace)) // it ends already, but there is less time now
	}
	return false
}

// note gives the connection the reason of its end, unless it has one; nothing is to be written any more.
func (c *Client) note(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = why
		c.guard = time.AfterFunc(c.hub.o.CloseGrace, func() { c.cut(why) })
	}
	c.ping.Stop()
	c.pinging, c.goodbye = false, nil
	c.lose(len(c.queue))
}

// endLocked is end with mu held, of a connection that does not end yet.
func (c *Client) endLocked(why error, code int, reason string, grace time.Duration) {
	c.reason = why
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") // the cut may go through a character
	}
	c.goodbye = websocket.FormatCloseMessage(code, reason)
	c.pinging = false
	c.ping.Stop()
	c.guard = time.AfterFunc(max(0, grace), func() { c.cut(why) })
	c.wake()
}

// cut ends the connection at once.
func (c *Client) cut(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = why
	}
	c.over, c.pinging, c.goodbye = true, false, nil
	c.ping.Stop()
	c.lose(len(c.queue))
	_ = c.conn.Close() // of a client that has gone already there is nothing to tell
}

// wake starts the writer if there is none. mu is held.
func (c *Client) wake() {
	if !c.writing && !c.over {
		c.writing = true
		go c.write()
	}
}

// write writes what there is to write, and ends.
func (c *Client) write() {
	for {
		send, ok := c.next()
		if !ok {
			return
		}
		if err := send(); err != nil {
			c.broken(err)
		}
	}
}

// next takes what is to be written next. When there is nothing the writer must end.
func (c *Client) next() (send func() error, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(c.hub.o.WriteTimeout)
	switch {
	case c.over:
	case c.pinging:
		c.pinging = false
		return func() error { return c.conn.WriteControl(websocket.PingMessage, nil, deadline) }, true
	case len(c.queue) > 0:
		d := c.queue[0]
		c.queue[0] = nil
		if c.queue = c.queue[1:]; len(c.queue) == 0 {
			c.queue = nil
		}
		c.bytes -= d.bytes
		return func() error { return c.writeMessage(d, deadline) }, true
	case c.goodbye != nil:
		message := c.goodbye
		c.goodbye = nil
		return func() error { return c.conn.WriteControl(websocket.CloseMessage, message, deadline) }, true
	}
	c.writing = false
	if c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
	return nil, false
}

func (c *Client) writeMessage(d *delivery, deadline time.Time) error {
	defer d.release()
	err := c.conn.SetWriteDeadline(deadline)
	if err == nil {
		err = c.conn.WritePreparedMessage(d.prepared)
	}
	if err != nil {
		c.hub.counts.lost.Add(1)
		return err
	}
	c.hub.counts.sent.Add(1)
	return nil
}

// broken cuts a connection to which nothing can be written any more.
func (c *Client) broken(err error) {
	if errors.Is(err, websocket.ErrCloseSent) {
		return // in answer to the client's own, or to a message too large: the reader ends the connection
	}
	why := ErrGone
	var timeout net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		why = ErrSlow
		c.mu.Lock()
		if c.reason == nil {
			c.hub.counts.slow.Add(1)
		}
		c.mu.Unlock()
	}
	c.cut(why)
}

// settle waits until nothing is written any more.
func (c *Client) settle() {
	c.mu.Lock()
	if !c.writing {
		c.mu.Unlock()
		return
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	c.mu.Unlock()
	<-idle
}
