// Package faultproxy stands between a client and a server in a test and does to their connections what networks do.
//
// It knows TCP and nothing of what is said over it. The tests of pools and clients stand above, those of the other
// modules of the repository included; nothing that is shipped imports it.
//
// A fault is set for the whole proxy and holds for the connections that are open as well as for new ones, until it is
// taken back.
package faultproxy

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/freeport"
)

// Direction is a way that bytes go; Both is ToServer | ToClient.
type Direction uint8

// Directions.
const (
	ToServer Direction = 1 << iota
	ToClient

	Nowhere Direction = 0
	Both              = ToServer | ToClient
)

const (
	bufferBytes = 32 << 10
	// beat is how often a slow connection lets something through.
	beat = 10 * time.Millisecond
)

// Proxy forwards connections to a server. Its methods are safe for concurrent use.
type Proxy struct {
	address, server string
	work            sync.WaitGroup

	mu        sync.Mutex
	listener  net.Listener // nil while it refuses
	links     map[*link]struct{}
	accepted  int
	swallowed Direction
	rate      int    // bytes a second in each direction of a connection; 0: as fast as they come
	trigger   []byte // see CutAfter
	closed    bool
}

// Start returns a proxy that listens on a free loopback port and forwards to the server's address. It ends with the
// test, and its connections with it.
func Start(t testing.TB, server string) *Proxy {
	t.Helper()
	listener, err := freeport.Listen()
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{address: listener.Addr().String(), server: server, links: make(map[*link]struct{}), listener: listener}
	p.work.Go(func() { p.accept(listener) })
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.Refuse()
		p.work.Wait()
	})
	return p
}

// Addr is where the proxy listens, the same after Refuse and Accept.
func (p *Proxy) Addr() string { return p.address }

// Open counts the connections that are open.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Accepted counts all connections that there were.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Cut resets every connection. New ones are forwarded.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

// Refuse resets every connection and stops listening, as if the server's process had died.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	listener := p.listener
	p.listener = nil
	p.mu.Unlock()
	if listener != nil {
		listener.Close() // its only error is that it was closed before
	}
	p.Cut()
}

// Accept ends Refuse: the proxy listens on its old port. With Refuse it makes a restart.
func (p *Proxy) Accept(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return
	}
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatalf("faultproxy: %v", err)
	}
	p.listener = listener
	p.work.Go(func() { p.accept(listener) })
}

// Slow lets so many bytes a second through, in each direction of each connection; 0 ends that.
func (p *Proxy) Slow(bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = bytesPerSecond
}

// Swallow loses what is sent in a direction while connections stay open and new ones are accepted: a half-open
// connection, a host that was unplugged, a firewall that forgot. With Nowhere it ends, and the connections that have
// lost something are reset: a stream with a hole in it is none.
func (p *Proxy) Swallow(direction Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallowed = direction
	if direction != Nowhere {
		return
	}
	for l := range p.links {
		if l.lost {
			l.cut()
		}
	}
}

// CutAfter resets a connection once its client has sent the text in one piece and the server has answered, an answer
// that the client never sees. An empty text ends that.
func (p *Proxy) CutAfter(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trigger = []byte(text)
}

// link is a connection of a client and the one that goes with it to the server.
type link struct {
	client, server *net.TCPConn
	gone           chan struct{} // closed when it was cut or a side has ended
	once           sync.Once

	lost, armed bool // under the proxy's lock: lost something; answer is to be cut
}

// cut ends both connections with a reset.
func (l *link) cut() {
	l.once.Do(func() {
		close(l.gone)
		for _, conn := range []*net.TCPConn{l.client, l.server} {
			conn.SetLinger(0) // best effort: without it the end is orderly
			conn.Close()
		}
	})
}

// end closes both connections in order.
func (l *link) end() {
	l.once.Do(func() {
		close(l.gone)
		l.client.Close()
		l.server.Close()
	})
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// serve forwards one connection until a side ends it.
func (p *Proxy) serve(client *net.TCPConn) {
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		client.Close()
		return
	}
	l := &link{client: client, server: server.(*net.TCPConn), gone: make(chan struct{})}
	p.mu.Lock()
	refused := p.listener == nil || p.closed
	p.links[l] = struct{}{}
	p.accepted++
	p.mu.Unlock()
	if refused { // while it was on its way
		l.cut()
	}
	var directions sync.WaitGroup
	directions.Go(func() { p.forward(l, ToServer) })
	directions.Go(func() { p.forward(l, ToClient) })
	directions.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// forward copies one direction.
func (p *Proxy) forward(l *link, direction Direction) {
	defer l.end()
	from, to := l.client, l.server
	if direction == ToClient {
		from, to = to, from
	}
	buffer := make([]byte, bufferBytes)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		for rest := buffer[:n]; len(rest) > 0; {
			allowed, wait := p.next(l, direction, rest)
			if wait > 0 {
				select {
				case <-time.After(wait):
				case <-l.gone:
					return
				}
			}
			if allowed > 0 {
				if _, err := to.Write(rest[:allowed]); err != nil {
					return
				}
				rest = rest[allowed:]
			} else {
				break // swallowed
			}
		}
	}
}

// next decides what happens to what was read: how many bytes of it go on, after which time. None go on if they are
// swallowed or the connection was cut.
func (p *Proxy) next(l *link, direction Direction, read []byte) (allowed int, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.swallowed&direction != 0 {
		l.lost = true
		return 0, 0
	}
	if direction == ToServer {
		l.armed = l.armed || len(p.trigger) > 0 && bytes.Contains(read, p.trigger)
	} else if l.armed {
		l.cut()
		return 0, 0
	}
	if p.rate <= 0 {
		return len(read), 0
	}
	piece := min(len(read), max(1, p.rate*int(beat/time.Millisecond)/1000))
	return piece, time.Duration(piece) * time.Second / time.Duration(p.rate)
}
