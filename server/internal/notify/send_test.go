package notify

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// newReceiver is one without a queue, which never ends.
func newReceiver(t *testing.T, to string, o Options) *receiver {
	t.Helper()
	o.Now = time.Now
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	u := mustURLs(t, to)[0]
	r := &receiver{name: "1", url: u.String(), host: u.Host, client: newClient(o), ending: t.Context(), retry: o.Retry, log: o.Logger}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	t.Cleanup(r.client.CloseIdleConnections)
	return r
}

var something = message{id: "msg_1", body: []byte(`{}`)}

// TestAnswers that are good, for good, or for now.
func TestAnswers(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	elsewhere := newInbox(t, nil)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string // in the error; empty: it is taken
		again  bool   // it is worth another try
	}{
		"200":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }, "", false},
		"202 and more":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202); _, _ = io.WriteString(w, huge) }, "", false},
		"redirect":       {http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect).ServeHTTP, "307 Temporary Redirect: redirects are not followed", false},
		"400":            {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, huge, 400) }, "it answered 400 Bad Request", false},
		"410":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, "410 Gone", false},
		"599":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) }, "it answered 599", true},
		"huge header":    {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", huge) }, "header", true},
		"no HTTP at all": {hijack("nonsense\r\n\r\n"), "malformed HTTP", true},
		"broken off":     {hijack(""), "EOF", true},
	} {
		t.Run(name, func(t *testing.T) {
			log := &logBook{}
			in := newInbox(t, c.answer)
			to := strings.Replace(in.URL, "//", "//user:"+secret+"@", 1) + "/" + secret + "?" + secret
			r := newReceiver(t, to, Options{Logger: log.logger()})
			var permanent *backoff.PermanentError
			if err := r.post(t.Context(), something); (err == nil) != (c.want == "") || err != nil && errors.As(err, &permanent) == c.again {
				t.Errorf("%v, worth another try: %v", err, c.again)
			}
			r.deliver(t.Context(), something)
			if (c.want == "") != (r.sent.Load() == 1) || (c.want != "") != (r.failed.Load() == 1) || len(in.mail) < 2 {
				t.Errorf("sent %d, failed %d, %d came", r.sent.Load(), r.failed.Load(), len(in.mail))
			}
			if !strings.Contains(log.String(), c.want) || strings.Contains(log.String(), secret) || len(log.String()) > 2000 {
				t.Errorf("the log is %.3000s\nwant %s", log, c.want)
			}
			m := in.next(t)
			if name, password, ok := (&http.Request{Header: m.header}).BasicAuth(); !ok || name != "user" || password != secret || m.path != "/"+secret {
				t.Errorf("%v at %s", m.header, m.path)
			}
		})
	}
	elsewhere.empty(t)
}

// hijack answers with a text of its own and closes the connection.
func hijack(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}
}

// TestNobodyThere is told without the URL.
func TestNobodyThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	log := &logBook{}
	r := newReceiver(t, s.URL+"/"+secret+"?"+secret, Options{Logger: log.logger()})
	r.deliver(t.Context(), something)
	if r.failed.Load() != 1 || !strings.Contains(log.String(), "refused") || strings.Contains(log.String(), secret) {
		t.Errorf("the log is %s", log)
	}
}

// TestTLS takes no certificate that nobody vouches for.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // the first client turns away
	s.StartTLS()
	t.Cleanup(s.Close)
	log := &logBook{}
	r := newReceiver(t, s.URL+"/"+secret, Options{Logger: log.logger()})
	r.deliver(t.Context(), something)
	if r.failed.Load() != 1 || !strings.Contains(log.String(), "certificate") || strings.Contains(log.String(), secret) {
		t.Errorf("the log is %s", log)
	}
	known := x509.NewCertPool()
	known.AddCert(s.Certificate())
	r = newReceiver(t, s.URL, Options{RootCAs: known})
	if r.deliver(t.Context(), something); r.sent.Load() != 1 {
		t.Error("a certificate that is known is not taken")
	}
}

// memory is a network of pipes, on which time is the bubble's.
type memory struct{ conns chan net.Conn }

func (m *memory) Accept() (net.Conn, error) {
	if c, ok := <-m.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (m *memory) Close() error   { return nil }
func (m *memory) Addr() net.Addr { return &net.TCPAddr{} }

// inMemory has a receiver talk to a handler over pipes.
func inMemory(t *testing.T, r *receiver, answer http.HandlerFunc) {
	m := &memory{make(chan net.Conn)}
	server := &http.Server{Handler: answer}
	go func() { _ = server.Serve(m) }() // until it is closed
	transport := r.client.Transport.(*http.Transport)
	transport.Proxy = nil
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		m.conns <- theirs
		return ours, nil
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		close(m.conns)
		_ = server.Close()
	})
}

// script answers with one status after the other, the last one again and again, and notes when it was asked.
func script(began time.Time, at *[]time.Duration, header string, statuses ...int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		*at = append(*at, time.Since(began))
		status := statuses[min(len(*at), len(statuses))-1]
		if status >= 400 && header != "" {
			w.Header().Set("Retry-After", header)
		}
		w.WriteHeader(status)
	}
}

// TestPauses double from about a second to about a minute, and it is given up in time.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBook{}
		r := newReceiver(t, "http://h", Options{Retry: 15 * time.Minute, Logger: log.logger()})
		var at []time.Duration
		began := time.Now()
		inMemory(t, r, script(began, &at, "", 500))
		r.deliver(t.Context(), something)
		pause := firstPause
		for i := 1; i < len(at); i++ {
			if got := at[i] - at[i-1]; got < pause/2 || got > pause*3/2+time.Millisecond {
				t.Errorf("pause %d is %v, want about %v", i, got, pause)
			}
			pause = min(2*pause, longestPause)
		}
		if took := time.Since(began); took > 15*time.Minute || took < 13*time.Minute || len(at) < 10 || r.failed.Load() != 1 || r.retries.Load() != uint64(len(at)-1) {
			t.Errorf("given up after %v and %d tries, %d of them again", took, len(at), r.retries.Load())
		}
		if strings.Count(log.String(), "not taken") != 1 || strings.Count(log.String(), "given up") != 1 {
			t.Errorf("the log is %s", log)
		}
	})
}

// TestRecovery: after some failures a notification is taken, with the same id and a new time, and the log says so.
func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBook{}
		r := newReceiver(t, "http://h", Options{Retry: time.Hour, Logger: log.logger(), Keys: mustKeys(t, keyText)})
		var at []time.Duration
		var ids, times []string
		answer := script(time.Now(), &at, "", 500, 502, 429, 200)
		inMemory(t, r, func(w http.ResponseWriter, q *http.Request) {
			ids, times = append(ids, q.Header.Get("webhook-id")), append(times, q.Header.Get("webhook-timestamp"))
			answer(w, q)
		})
		for range 2 {
			r.deliver(t.Context(), something)
		}
		if len(at) != 5 || r.sent.Load() != 2 || r.retries.Load() != 3 || strings.Count(log.String(), "taken again") != 1 || strings.Count(log.String(), "\n") != 2 {
			t.Errorf("%d tries, the log is %s", len(at), log)
		}
		if ids[0] != ids[3] || times[0] == times[3] {
			t.Errorf("ids %v, times %v", ids, times)
		}
	})
}

// TestRetryAfter is kept to, up to a bound.
func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "0": 0, "99999": longestRetryAfter, "Sat, 01 Jan 2000 00:01:30 GMT": 90 * time.Second} {
		synctest.Test(t, func(t *testing.T) { // whose time begins at the beginning of 2000
			r := newReceiver(t, "http://h", Options{Retry: time.Hour})
			var at []time.Duration
			inMemory(t, r, script(time.Now(), &at, header, 429, 503, 200))
			r.deliver(t.Context(), something)
			if len(at) != 3 || at[1]-at[0] != want || r.sent.Load() != 1 {
				t.Errorf("%s: tried at %v, want a pause of %v", header, at, want)
			}
		})
	}
}

// TestNoAnswer in time is a failure like others, and says how long it was waited.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBook{}
		r := newReceiver(t, "http://h", Options{Timeout: 3 * time.Second, Logger: log.logger()})
		began := time.Now()
		inMemory(t, r, func(_ http.ResponseWriter, q *http.Request) {
			_, _ = io.Copy(io.Discard, q.Body)
			<-q.Context().Done()
		})
		r.deliver(t.Context(), something)
		if took := time.Since(began); took != 3*time.Second || r.failed.Load() != 1 || !strings.Contains(log.String(), "no answer within 3s") {
			t.Errorf("after %v: %s", took, log)
		}
	})
}

// TestAnswerWithoutEnd is one all the same.
func TestAnswerWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, "http://h", Options{Timeout: 3 * time.Second})
		inMemory(t, r, func(w http.ResponseWriter, q *http.Request) {
			_, _ = io.Copy(io.Discard, q.Body)
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			<-q.Context().Done()
		})
		began := time.Now()
		if r.deliver(t.Context(), something); r.sent.Load() != 1 || time.Since(began) > 3*time.Second {
			t.Errorf("sent %d after %v", r.sent.Load(), time.Since(began))
		}
	})
}

// TestEnd ends a pause, and there is one more try: no pause is made after that.
func TestEnd(t *testing.T) {
	for name, statuses := range map[string][]int{"taken": {500, 200}, "not taken": {500}} {
		synctest.Test(t, func(t *testing.T) {
			ending, end := context.WithCancel(t.Context())
			r := newReceiver(t, "http://h", Options{Retry: time.Hour})
			r.ending = ending
			var at []time.Duration
			inMemory(t, r, script(time.Now(), &at, "300", statuses...))
			time.AfterFunc(10*time.Second, end)
			r.deliver(t.Context(), something)
			if len(at) != 2 || at[1] != 10*time.Second || r.sent.Load()+r.failed.Load() != 1 || (r.sent.Load() == 1) != (name == "taken") {
				t.Errorf("%s: tried at %v, sent %d", name, at, r.sent.Load())
			}
			r.deliver(t.Context(), something) // what waited behind it
			if len(at) != 3 || at[2] != 10*time.Second {
				t.Errorf("%s: tried at %v", name, at)
			}
		})
	}
}

// TestGoneWhileItWaits: a message is given up once its context ends.
func TestGoneWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, "http://h", Options{Retry: time.Hour})
		var at []time.Duration
		began := time.Now()
		inMemory(t, r, script(began, &at, "300", 500))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errors.New("enough"))
		defer cancel()
		r.deliver(ctx, something)
		if len(at) != 1 || r.failed.Load() != 1 || time.Since(began) != 2*time.Second {
			t.Errorf("tried at %v, failed %d", at, r.failed.Load())
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, text := range []string{"", "7", "-7", "1.5", "99999999999999999999999", " 3 ", "Fri, 02 Jan 2026 03:05:05 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Friday, 02-Jan-26 03:05:05 GMT"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pause, ok := retryAfter(text, now)
		if pause < 0 || pause > longestRetryAfter || !ok && pause != 0 {
			t.Errorf("%q: %v, %v", text, pause, ok)
		}
		if digits := strings.TrimSpace(text); digits != "" && strings.Trim(digits, "0123456789") == "" && !ok {
			t.Errorf("%q is not understood", text)
		}
	})
}

func TestRetryAfterIsRead(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 3 ": 3 * time.Second, "301": longestRetryAfter, strings.Repeat("9", 30): longestRetryAfter,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Friday, 02-Jan-26 03:05:05 GMT": time.Minute, "Thu, 01 Jan 1970 00:00:00 GMT": 0,
		"": -1, "-7": -1, "1.5": -1, "soon": -1,
	} {
		got, ok := retryAfter(text, now)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestBodyIsWhole: what is tried again is sent again from its beginning.
func TestBodyIsWhole(t *testing.T) {
	bodies := [][]byte{}
	in := newInbox(t, func(w http.ResponseWriter, _ *http.Request) {
		if len(bodies) == 0 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(503)
		}
		bodies = append(bodies, nil)
	})
	r := newReceiver(t, in.URL, Options{Retry: time.Minute})
	m := message{id: "msg_1", body: bytes.Repeat([]byte("x"), messageBytes)}
	r.deliver(t.Context(), m)
	for range 2 {
		if got := in.next(t); !bytes.Equal(got.body, m.body) || got.header.Get("webhook-id") != "msg_1" {
			t.Errorf("%d bytes, %v", len(got.body), got.header)
		}
	}
}
