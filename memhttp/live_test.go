package memhttp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/shutdown"
)

// stream is a client of the event stream over a real connection.
type stream struct {
	response *http.Response
	lines    *bufio.Scanner
}

// follow opens the event stream of a server.
func follow(t *testing.T, url string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r := newRequest("GET", url+livePath, "").WithContext(ctx)
	r.RequestURI = ""
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	s := &stream{response, bufio.NewScanner(response.Body)}
	s.lines.Buffer(nil, 1<<20)
	return s
}

// next reads an event; io.EOF where the stream has ended in order.
func (s *stream) next() (kind string, data []byte, err error) {
	for s.lines.Scan() {
		switch name, value, _ := strings.Cut(s.lines.Text(), ": "); name {
		case "event":
			kind = value
		case "data":
			data = []byte(value)
		case "":
			return kind, data, nil
		default:
			return "", nil, errors.New("a line of the stream is " + s.lines.Text())
		}
	}
	if err := s.lines.Err(); err != nil {
		return "", nil, err
	}
	return "", nil, io.EOF
}

// until reads events up to one of a kind.
func (s *stream) until(t *testing.T, kind string) []byte {
	t.Helper()
	for {
		got, data, err := s.next()
		if err != nil {
			t.Fatalf("before a %s event: %v", kind, err)
		}
		if !json.Valid(data) {
			t.Errorf("the data of a %s event is no JSON document: %s", got, data)
		}
		if got == kind {
			return data
		}
	}
}

// fast samples ten times a second.
func fast() *memwarden.Config {
	c := memwarden.DefaultConfig()
	c.Sampling.IntervalSeconds = 0.1
	return &c
}

func TestStream(t *testing.T) {
	w := startWarden(t, memwarden.Options{Config: fast()})
	s := httptest.NewServer(mustHandler(t, w, Options{}))
	t.Cleanup(s.Close)
	client := follow(t, s.URL)
	wantHeaders(t, client.response.Header, "Content-Type", "text/event-stream", "X-Accel-Buffering", "no", "Cache-Control", "no-store")
	kind, data, err := client.next()
	if err != nil || kind != "sample" {
		t.Fatalf("the stream begins with %s, %v, want the newest sample", kind, err)
	}
	var first, later struct{ At time.Time }
	if err := json.Unmarshal(data, &first); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := json.Unmarshal(client.until(t, "sample"), &later); err != nil {
			t.Fatal(err)
		}
	}
	if !later.At.After(first.At) {
		t.Errorf("a sample of %v comes after one of %v", later.At, first.At)
	}
	if _, err := w.PatchConfig(t.Context(), memwarden.ConfigPatch{Patch: json.RawMessage(`{"gc":{"relief":false}}`)}); err != nil {
		t.Fatal(err)
	}
	if data := client.until(t, "config"); !bytes.Contains(data, []byte(`"version":1,`)) || bytes.Contains(data, []byte("relief")) {
		t.Errorf("the config event is %s, want the version and nothing of what it says", data)
	}
	if _, err := w.GC(t.Context(), "a test", false); err != nil {
		t.Fatal(err)
	}
	if data := client.until(t, "gc"); !bytes.Contains(data, []byte(`"reason":"a test"`)) {
		t.Errorf("the gc event is %s", data)
	}
}

// TestStreamEnds: in order, for every client, when the warden closes, in the hubs phase of a shutdown, and at Close.
func TestStreamEnds(t *testing.T) {
	for name, end := range map[string]func(*memwarden.Warden, *handler, *http.Server) error{
		"warden": func(w *memwarden.Warden, _ *handler, _ *http.Server) error { return w.Close(context.Background()) },
		"close": func(_ *memwarden.Warden, h *handler, _ *http.Server) error {
			h.o.Live.Close()
			h.o.Live.Close()
			return nil
		},
		"shutdown": func(w *memwarden.Warden, _ *handler, s *http.Server) error {
			// It comes after the hubs phase and waits for every request: a stream that went on would cut it off.
			if _, err := w.Shutdown().Add(shutdown.Servers, "http", s.Shutdown); err != nil {
				return err
			}
			if report := w.Shutdown().Run(context.Background(), "a test"); report.ExitCode() != 0 {
				return fmt.Errorf("the shutdown went wrong: %v", report)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := startWarden(t, memwarden.Options{Config: fast()})
			h := mustHandler(t, w, Options{})
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			clients := []*stream{follow(t, s.URL), follow(t, s.URL)}
			for _, client := range clients {
				client.until(t, "sample")
			}
			ended := make(chan error, 1)
			go func() { ended <- end(w, h, s.Config) }()
			for _, client := range clients {
				var err error
				last := ""
				for err == nil {
					var kind string
					if kind, _, err = client.next(); err == nil {
						last = kind
					}
				}
				if !errors.Is(err, io.EOF) || last != "end" {
					t.Errorf("the stream ended by %v, the last event is %q", err, last)
				}
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if name != "warden" {
				wantProblem(t, ask(h, "GET", livePath, ""), http.StatusServiceUnavailable, ErrLiveClosed.Error())
			}
		})
	}
}

func TestStreamHasPlacesForSome(t *testing.T) {
	w := startWarden(t, memwarden.Options{Config: fast()})
	live, err := NewLive("places", w, 1)
	if err != nil {
		t.Fatal(err)
	}
	h := mustHandler(t, w, Options{Live: live})
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	client := follow(t, s.URL)
	client.until(t, "sample")
	refused := ask(h, "GET", livePath, "")
	wantProblem(t, refused, http.StatusServiceUnavailable, ErrTooManyClients.Error())
	wantHeaders(t, refused.Header(), "Retry-After", "10")
	if u := live.Usage(); u.Entries != 1 || u.MaxEntries != 1 || u.PeakEntries != 1 || live.Name() != "places" || live.Shrink(t.Context(), 1) != 0 {
		t.Errorf("%s: %+v", live.Name(), u)
	}
	client.response.Body.Close()
	events := subscribe(t, w)
	defer events.Close()
	for live.Usage().Entries > 0 { // the server notices at its next write, or before
		<-events.Events
	}
	follow(t, s.URL).until(t, "sample")
	if u := live.Usage(); u.PeakEntries != 1 {
		t.Errorf("the peak is %d with one place", u.PeakEntries)
	}
}

// slowClient takes some events and then none: a write waits for its deadline.
type slowClient struct {
	header http.Header

	mu       sync.Mutex
	takes    int
	deadline time.Time
	body     bytes.Buffer
}

func (c *slowClient) Header() http.Header { return c.header }
func (c *slowClient) WriteHeader(int)     {}
func (c *slowClient) Flush()              {}

func (c *slowClient) SetWriteDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = at
	return nil
}

func (c *slowClient) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.takes > 0 {
		c.takes--
		return c.body.Write(p)
	}
	time.Sleep(time.Until(c.deadline))
	return 0, os.ErrDeadlineExceeded
}

func (c *slowClient) samples() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Count(c.body.String(), "event: sample\n")
}

// TestSlowClient: one that takes nothing is dropped after ten seconds, its place is given back, and nobody waits for it.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		log := &logBook{}
		h := mustHandler(t, w, Options{Logger: log.logger()})
		time.Sleep(500 * time.Millisecond) // between two samples
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		clients := map[string]*slowClient{"slow": {header: http.Header{}, takes: 3}, "fast": {header: http.Header{}, takes: 1e6}}
		ended := map[string]time.Duration{}
		var open sync.WaitGroup
		var mu sync.Mutex
		begin := time.Now()
		for name, client := range clients {
			open.Go(func() {
				h.ServeHTTP(client, newRequest("GET", livePath, "").WithContext(ctx))
				mu.Lock()
				defer mu.Unlock()
				ended[name] = time.Since(begin)
			})
		}
		time.Sleep(9 * time.Second)
		if held, taken := h.o.Live.Usage().Entries, clients["fast"].samples(); held != 2 || taken < 9 {
			t.Errorf("after 9 s there are %d clients and the fast one has %d samples, want 2 and 9 or more", held, taken)
		}
		time.Sleep(21 * time.Second)
		if held, taken := h.o.Live.Usage().Entries, clients["fast"].samples(); held != 1 || taken < 30 {
			t.Errorf("after 30 s there are %d clients and the fast one has %d samples, want 1 and 30 or more", held, taken)
		}
		leave()
		open.Wait()
		// Its first three events come at once, after half a second and a second later; the fourth waits its ten seconds.
		if slow := ended["slow"]; slow < 11*time.Second || slow > 14*time.Second || clients["slow"].samples() != 3 {
			t.Errorf("the slow client was dropped after %v with %d samples", slow, clients["slow"].samples())
		}
		if ended["fast"] != 30*time.Second {
			t.Errorf("the fast client ended after %v, when it left", ended["fast"])
		}
	})
}

// TestStalledConnection: a client that opens the stream over a connection and reads nothing holds up nobody.
func TestStalledConnection(t *testing.T) {
	w := startWarden(t, memwarden.Options{Config: fast()})
	s := httptest.NewServer(mustHandler(t, w, Options{}))
	t.Cleanup(s.Close)
	stalled, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	if _, err := io.WriteString(stalled, "GET "+livePath+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	client := follow(t, s.URL)
	for range 5 {
		client.until(t, "sample")
	}
}

// smallBuffers is a listener whose connections hold little of what their clients do not read.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetWriteBuffer(4 << 10)
	}
	return conn, err
}

// TestStalledConnectionDoesNotHoldUpTheEnd: a write that waits for its client when the stream is closed has little time
// left, and a server that waits for its requests gets to its end.
func TestStalledConnectionDoesNotHoldUpTheEnd(t *testing.T) {
	w := startWarden(t, memwarden.Options{Config: fast()})
	h := mustHandler(t, w, Options{})
	s := httptest.NewUnstartedServer(h)
	s.Listener = smallBuffers{s.Listener}
	s.Start()
	t.Cleanup(s.Close)
	stalled, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	if err := stalled.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stalled, "GET "+livePath+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	client := follow(t, s.URL)
	for i := range 300 { // each change brings a sample; by then the stalled one waits
		change := fmt.Sprintf(`{"gc":{"relief":%v}}`, i%2 == 0)
		if _, err := w.PatchConfig(t.Context(), memwarden.ConfigPatch{Patch: json.RawMessage(change)}); err != nil {
			t.Fatal(err)
		}
		client.until(t, "sample")
	}
	h.o.Live.Close()
	ctx, cancel := context.WithTimeout(t.Context(), liveWriteTimeout/2)
	defer cancel()
	if err := s.Config.Shutdown(ctx); err != nil {
		t.Errorf("the stalled client holds up the server: %v", err)
	}
}

// noDeadlines is a writer of a test, or of a middleware, that knows neither deadlines nor flushes.
type noDeadlines struct{ http.ResponseWriter }

func TestStreamNeedsFlush(t *testing.T) {
	log := &logBook{}
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{Logger: log.logger()})
	recorder := httptest.NewRecorder()
	h.ServeHTTP(noDeadlines{recorder}, newRequest("GET", livePath, "")) // ends by itself: nothing could be sent in time
	if held := h.o.Live.Usage().Entries; held != 0 {
		t.Errorf("%d places are held", held)
	}
}

// TestFollower: leaving is counted once, and what cannot be encoded ends the stream with an error.
func TestFollower(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	live, err := NewLive("live", w, 2)
	if err != nil {
		t.Fatal(err)
	}
	follower, err := live.Join()
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no more")
	if err := follower.Run(t.Context(), func(LiveEvent) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("Run: %v, want the error of send", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := follower.Run(ctx, func(LiveEvent) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v, want the context's error", err)
	}
	follower.Leave()
	follower.Leave()
	if held := live.Usage().Entries; held != 0 {
		t.Errorf("%d places are held after leaving", held)
	}
	if _, err := live.encode(memwarden.Event{Kind: "odd", Data: func() {}}); err == nil || !strings.Contains(err.Error(), "encode odd event") {
		t.Errorf("what cannot be encoded: %v", err)
	}
	live.Close()
	if _, err := live.Join(); !errors.Is(err, ErrLiveClosed) {
		t.Errorf("Join after Close: %v", err)
	}
}
