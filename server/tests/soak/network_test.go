package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/memwarden/memwarden/contrib/websocket"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/pressure"
)

// smallBuffer is what the sockets of clients that do not read hold, in each direction.
const smallBuffer = 4 << 10

// smallBuffers is a listener for such.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetWriteBuffer(smallBuffer)
	}
	return conn, err
}

// addHTTP adds a server with two hubs of WebSocket connections, and with requests that are admitted.
func (s *soak) addHTTP() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	address := listener.Addr().String()
	mux := http.NewServeMux()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	s.closing("http server", func(ctx context.Context) error {
		return errors.Join(server.Shutdown(ctx), ignore(<-ended, http.ErrServerClosed))
	})
	s.addHubs(mux, address)
	s.addAdmission(mux, address)
	go func() { ended <- server.Serve(smallBuffers{listener}) }()
}

// ignore returns an error unless it is one that is expected.
func ignore(err error, expected ...error) error {
	for _, one := range expected {
		if errors.Is(err, one) {
			return nil
		}
	}
	return err
}

// site is a hub and where it is.
type site struct {
	*websocket.Hub
	url string

	mu      sync.Mutex
	clients map[*websocket.Client]struct{}
}

// addHubs adds a hub whose slow clients lose messages, and one whose slow clients lose the connection.
func (s *soak) addHubs(mux *http.ServeMux, address string) {
	for name, overflow := range map[string]websocket.Overflow{"websocket_drop": websocket.DropOldest, "websocket_cut": websocket.Disconnect} {
		stuck, readers, pause := max(6, 64/s.plan.share), max(3, 32/s.plan.share), 4*time.Millisecond
		site := &site{url: "ws://" + address + "/" + name, clients: map[*websocket.Client]struct{}{}}
		o := websocket.Options{
			Name: name, MaxClients: stuck + readers + 1, QueueMessages: 16, QueueBytes: 64 << 10,
			MaxQueuedBytes: int64(stuck) * 32 << 10, Overflow: overflow, WriteTimeout: 200 * time.Millisecond, CloseGrace: 200 * time.Millisecond,
			PingInterval: 500 * time.Millisecond,
			Join:         site.join,
			Leave:        func(c *websocket.Client, _ error) { site.mu.Lock(); delete(site.clients, c); site.mu.Unlock() },
		}
		if overflow == websocket.DropOldest { // who does not read stays
			o.WriteTimeout, o.PingInterval = time.Hour, time.Hour
		} else { // they come and go all the time, and there is no room for all that want to be in
			stuck, readers, pause = 12, 3, 20*time.Millisecond
			o.MaxClients = 8
		}
		hub, err := websocket.New(o)
		if err != nil {
			s.t.Fatal(err)
		}
		site.Hub = hub
		mux.Handle("/"+name, hub)
		s.add(hub, func() bool { u := hub.Usage(); return u.PeakEntries == u.MaxEntries && hub.Statistics().Lost > 0 })
		s.closing(name, hub.Close)
		s.crowd(site, stuck, overflow == websocket.DropOldest)
		for range readers {
			s.loads = append(s.loads, func() { s.read(site) })
		}
		s.drive(2, 5*time.Millisecond, func(random *rand.Rand) { s.visit(random, site) })
		s.drive(2, pause, func(random *rand.Rand) { s.send(random, site) })
	}
}

// join lets a client listen, and be sent to.
func (site *site) join(c *websocket.Client) {
	site.mu.Lock()
	site.clients[c] = struct{}{}
	site.mu.Unlock()
	c.Listen()
}

// dial opens a connection; there may be no room for it.
func (site *site) dial(ctx context.Context) (*gorilla.Conn, error) {
	dialer := gorilla.Dialer{ReadBufferSize: 256, WriteBufferSize: 256, NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(smallBuffer)
		}
		return conn, err
	}}
	conn, _, err := dialer.DialContext(ctx, site.url, nil)
	return conn, err
}

// crowd has clients that never read. They stay, or those that the hub has dropped are replaced now and then.
func (s *soak) crowd(site *site, size int, stay bool) {
	var conns []*gorilla.Conn
	s.closing("clients that never read", func(context.Context) error {
		for _, conn := range conns {
			_ = conn.Close() // the hub has been closed after this; most are open
		}
		return nil
	})
	s.drive(1, 5*time.Millisecond, func(random *rand.Rand) {
		for range 1 + random.IntN(4) {
			if len(conns) == size && stay {
				return
			}
			if len(conns) == size {
				_ = conns[0].Close() // most were dropped
				conns = append(conns[:0:0], conns[1:]...)
			}
			if conn, err := site.dial(s.ctx); err == nil {
				conns = append(conns, conn)
			}
		}
	})
}

// read is a client that reads all that it gets.
func (s *soak) read(site *site) {
	for s.ctx.Err() == nil {
		conn, err := site.dial(s.ctx)
		if err != nil {
			time.Sleep(5 * time.Millisecond) // there is no room
			continue
		}
		stop := context.AfterFunc(s.ctx, func() { _ = conn.Close() }) // ends the reading
		for err == nil {
			_, _, err = conn.ReadMessage()
		}
		stop()
		_ = conn.Close() // it has ended
	}
}

// visit is a client that comes, says something, reads a little and goes, with a word or without.
func (s *soak) visit(random *rand.Rand, site *site) {
	conn, err := site.dial(s.ctx)
	if err != nil {
		return // there is no room
	}
	defer conn.Close()
	_ = conn.WriteMessage(gorilla.TextMessage, make([]byte, random.IntN(6<<10))) // some are too large: the hub ends those
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	for range random.IntN(4) {
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
	}
	if random.IntN(2) == 0 {
		text := gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, "")
		_ = conn.WriteControl(gorilla.CloseMessage, text, time.Now().Add(20*time.Millisecond)) // it may have been dropped
	}
}

// send broadcasts, or sends to one.
func (s *soak) send(random *rand.Rand, site *site) {
	m, err := websocket.Binary(bytesOf(random, 8<<10))
	if err != nil {
		s.fail(err)
		return
	}
	switch dice := random.IntN(1000); {
	case dice == 0:
		site.Shrink(s.ctx, random.Int64N(64<<10))
	case dice < 200:
		_, err = site.Broadcast(m)
	default:
		site.mu.Lock()
		var one *websocket.Client
		for one = range site.clients {
			break
		}
		site.mu.Unlock()
		if one != nil {
			err = one.Send(m)
		}
	}
	if err := ignore(err, websocket.ErrNoRoom, websocket.ErrGone, websocket.ErrSlow); err != nil {
		s.fail(err)
	}
}

// addAdmission adds requests with bodies and answers of random sizes, under a pressure that changes.
func (s *soak) addAdmission(mux *http.ServeMux, address string) {
	const concurrent, largest = 6, 128 << 10
	var level atomic.Int64
	admission, err := memhttp.NewAdmission(memhttp.AdmissionOptions{
		Name: "requests", MaxConcurrent: concurrent, MaxBytes: 1 << 20, MaxBodyBytes: largest, EstimateBytes: 32 << 10,
		MaxWait: 5 * time.Millisecond, MaxWaiting: 3, RetryAfter: time.Second,
		Level: func() pressure.Level { return pressure.Level(level.Load()) },
		Classify: func(r *http.Request) memhttp.RequestClass {
			return memhttp.RequestClass{Priority: memhttp.Priority(len(r.URL.RawQuery) % int(memhttp.NeverShed))}
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	mux.Handle("/requests", admission.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusRequestEntityTooLarge)
			return
		}
		time.Sleep(time.Millisecond)       // so that requests meet
		_, _ = w.Write(body[len(body)/2:]) // the client may have gone
	})))
	s.add(admission, func() bool {
		n := admission.Statistics()
		return admission.Usage().PeakEntries == concurrent && n.ShedByLimit > 0 && n.ShedByPressure > 0 && n.TooLarge > 0
	})
	transport := &http.Transport{MaxConnsPerHost: 2 * concurrent, MaxIdleConnsPerHost: 2}
	s.closing("http client", func(context.Context) error { transport.CloseIdleConnections(); return nil })
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	s.drive(2*concurrent, 20*time.Millisecond, func(random *rand.Rand) {
		if random.IntN(20) == 0 {
			level.Store([]int64{int64(pressure.Normal), int64(pressure.Normal), int64(pressure.High), int64(pressure.Critical)}[random.IntN(4)])
		}
		var body io.Reader = bytes.NewReader(bytesOf(random, largest*5/4))
		if random.IntN(2) == 0 {
			body = io.MultiReader(body) // without a length
		}
		url := "http://" + address + "/requests?" + strings.Repeat("p", random.IntN(6))
		if err := post(s.ctx, client, url, body, random.IntN(50) == 0); err != nil {
			s.fail(err)
		}
	})
}

// post makes a request and reads the answer, or leaves it.
func post(ctx context.Context, client *http.Client, url string, body io.Reader, leaves bool) error {
	if leaves {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		if leaves || isReset(err) {
			return nil
		}
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil && !leaves && !isReset(err) {
		return err
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusServiceUnavailable, http.StatusRequestEntityTooLarge:
		return nil
	}
	return fmt.Errorf("%s: %s", url, answer.Status)
}

// isReset reports that a server which refused a body has closed the connection while that was still being sent.
func isReset(err error) bool {
	const idle = "server closed idle connection" // net/http has no name for it
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || strings.Contains(err.Error(), idle)
}
