package live

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/memhttp"
)

func TestMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, "")
		conn := s.dial(t)
		for i := range 3 {
			before := time.Now()
			m := read1(t, conn)
			var sample struct {
				At     time.Time
				Uptime *float64 `json:"uptime_seconds"`
			}
			if err := json.Unmarshal(m.Data, &sample); err != nil || m.Type != "sample" || sample.Uptime == nil || !sample.At.Equal(s.warden.State().Sample.At) {
				t.Fatalf("message %d is %s, %v: %s", i, m.Type, err, m.Data)
			}
			if took := time.Since(before); i == 0 && took != 0 || i > 0 && took != time.Second {
				t.Errorf("message %d came after %v: want the newest sample at once and the next ones each second", i, took)
			}
		}
		if _, err := s.warden.PatchConfig(t.Context(), memwarden.ConfigPatch{Patch: json.RawMessage(`{"gc":{"relief":false}}`), Actor: "test"}); err != nil {
			t.Fatal(err)
		}
		for {
			m := read1(t, conn)
			if m.Type == "sample" {
				continue
			}
			var document memwarden.ConfigDocument
			if err := json.Unmarshal(m.Data, &document); err != nil || m.Type != "config" || document.Version != 1 {
				t.Errorf("message is %s, %v: %s", m.Type, err, m.Data)
			}
			break
		}
	})
}

func TestToken(t *testing.T) {
	auth := func(kind, token string) string { return fmt.Sprintf(`{"type":%q,"token":%q}`, kind, token) }
	for name, first := range map[string]string{
		"wrong token": auth("auth", "correct horse battery stapler"),
		"no token":    `{"type":"auth"}`,
		"wrong type":  auth("hello", secret),
		"no JSON":     secret,
		"too large":   auth("auth", strings.Repeat("x", maxMessage)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := start(t, 1, secret).dial(t)
				send(t, conn, first)
				want := websocket.ClosePolicyViolation
				if name == "too large" {
					want = websocket.CloseMessageTooBig
				}
				if code, after := closed(t, conn); code != want || after != 0 {
					t.Errorf("closed with code %d after %v, want %d at once", code, after, want)
				}
			})
		})
	}
	t.Run("silence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, 1, secret)
			conn := s.dial(t, "Authorization", "Bearer "+secret) // which no browser could send, and nobody reads
			if code, after := closed(t, conn); code != websocket.ClosePolicyViolation || after != authTimeout {
				t.Errorf("closed with code %d after %v, want 1008 after %v", code, after, authTimeout)
			}
			synctest.Wait()
			send(t, s.dial(t), auth("auth", secret)) // the place is free again
		})
	})
	t.Run("right", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn := start(t, 1, secret).dial(t)
			time.Sleep(authTimeout - time.Millisecond)
			send(t, conn, auth("auth", secret))
			for range 20 { // the time for the token does not go on
				if m := read1(t, conn); m.Type != "sample" {
					t.Errorf("message is %s: %s", m.Type, m.Data)
				}
			}
		})
	})
}

func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 2, "")
		first := s.dial(t)
		s.dial(t)
		_, response, err := s.tryDial(t)
		if err == nil {
			t.Fatal("there were three clients in two places")
		}
		wantProblem(t, response, http.StatusServiceUnavailable)
		if response.Header.Get("Retry-After") == "" {
			t.Error("the client is not told when to come back")
		}
		if err := first.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if code, _ := closed(t, first); code != websocket.CloseNormalClosure {
			t.Errorf("the client's close was answered by code %d", code)
		}
		synctest.Wait()
		read1(t, s.dial(t))
	})
}

// TestSlowClient has one client that never reads beside one that does.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 2, "")
		s.dial(t)
		good := s.dial(t)
		var last time.Time
		for started := time.Now(); time.Since(started) < writeTimeout+2*time.Second; last = time.Now() {
			read1(t, good)
			if gap := time.Since(last); !last.IsZero() && gap != time.Second {
				t.Fatalf("%v passed between two samples: the slow client holds up the other", gap)
			}
			synctest.Wait()
			elapsed, clients := time.Since(started), s.stream.Usage().Entries
			if elapsed < writeTimeout && clients != 2 || elapsed > writeTimeout && clients != 1 {
				t.Fatalf("after %v there are %d clients", elapsed, clients)
			}
		}
	})
}

// TestHugeMessage sends messages in one frame and in several: the bound is for the message.
func TestHugeMessage(t *testing.T) {
	for name, size := range map[string]int{"one frame": 2 * maxMessage, "frames": 100} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, 2, "")
				good, bad := s.dial(t), s.dialBuffered(t, size)
				go follow(good)
				read1(t, bad)
				send(t, bad, strings.Repeat("x", maxMessage)) // as large as may be, and of no interest
				read1(t, bad)
				sent := make(chan error, 1)
				go func() { sent <- bad.WriteMessage(websocket.TextMessage, make([]byte, maxMessage+1)) }()
				if code, after := closed(t, bad); code != websocket.CloseMessageTooBig || after != 0 {
					t.Errorf("closed with code %d after %v, want 1009 at once", code, after)
				}
				if err := bad.Close(); err != nil {
					t.Error(err)
				}
				<-sent // cut off or not
				time.Sleep(time.Minute)
				if got := s.stream.Usage().Entries; got != 1 {
					t.Errorf("%d clients are left, want the good one", got)
				}
			})
		})
	}
}

// TestVanishedClient has a client whose pongs stop, beside one that answers.
func TestVanishedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 2, "")
		good, gone := s.dial(t), s.dial(t)
		gone.SetPingHandler(func(string) error { return nil })
		go follow(good)
		if _, after := closed(t, gone); after != pongTimeout {
			t.Errorf("dropped after %v, want %v", after, pongTimeout)
		}
		time.Sleep(10 * pongTimeout)
		synctest.Wait()
		if got := s.stream.Usage().Entries; got != 1 {
			t.Errorf("%d clients are left, want the one that answers", got)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 100, "")
		ended := make(chan int)
		for range 50 {
			conn := s.dial(t)
			read1(t, conn)
			go func() { code, _ := closed(t, conn); ended <- code }()
		}
		before := time.Now()
		closing := make(chan error, 1)
		go func() { closing <- s.handler.Close(t.Context()) }()
		for range 50 {
			if code := <-ended; code != websocket.CloseGoingAway {
				t.Errorf("a client was closed with code %d, want 1001", code)
			}
		}
		if err := <-closing; err != nil || time.Since(before) != 0 {
			t.Errorf("closed after %v, %v: every client had taken note", time.Since(before), err)
		}
		_, response, err := s.tryDial(t)
		if err == nil {
			t.Fatal("a client came in after the end")
		}
		wantProblem(t, response, http.StatusServiceUnavailable)
	})
}

// TestCloseCutsOff closes while clients do not read, or have not said their token: none of them may hold up a shutdown
// or make it fail.
func TestCloseCutsOff(t *testing.T) {
	const plenty = time.Minute
	for name, c := range map[string]struct {
		token   string
		allowed time.Duration
		want    time.Duration
	}{
		"slow":          {"", plenty, closeGrace},
		"silent":        {secret, plenty, closeGrace},
		"slow, hurry":   {"", closeGrace / 2, closeGrace / 4},
		"silent, hurry": {secret, closeGrace / 2, closeGrace / 4},
		"slow, forced":  {"", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, 1, c.token)
				s.dial(t)
				ctx, cancel := context.WithTimeout(t.Context(), c.allowed)
				defer cancel()
				before := time.Now()
				if err := s.handler.Close(ctx); err != nil {
					t.Error(err)
				}
				if took := time.Since(before); took != c.want {
					t.Errorf("took %v, want %v", took, c.want)
				}
			})
		})
	}
}

// TestWardenEnds has the warden close under the stream.
func TestWardenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, "")
		conn := s.dial(t)
		read1(t, conn)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if code, _ := closed(t, conn); code != websocket.CloseGoingAway {
				t.Errorf("closed with code %d, want 1001", code)
			}
		}()
		if err := s.warden.Close(t.Context()); err != nil {
			t.Error(err)
		}
		<-ended
	})
}

func TestOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, "")
		for _, origin := range []string{"https://evil.test", "http://memwarden.test.evil.test", "http://memwarden.test:81", "null"} {
			_, response, err := s.tryDial(t, "Origin", origin)
			if err == nil {
				t.Fatalf("a page of %s gets in", origin)
			}
			if p := wantProblem(t, response, http.StatusForbidden); !strings.Contains(p.Detail, "another origin") {
				t.Errorf("%s: %s", origin, p.Detail)
			}
		}
		read1(t, s.dial(t, "Origin", "http://memwarden.test"))
	})
}

func TestBadHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, "")
		for status, header := range map[int]http.Header{
			http.StatusBadRequest: {"Upgrade": {"websocket"}},
			http.StatusInternalServerError: { // of a server that cannot hand over its connection
				"Upgrade": {"websocket"}, "Connection": {"upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
			},
		} {
			r := httptest.NewRequest(http.MethodGet, "/live", nil)
			r.Header = header
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, r)
			wantProblem(t, w.Result(), status)
		}
	})
}

func wantProblem(t *testing.T, response *http.Response, status int) memhttp.Problem {
	t.Helper()
	var p memhttp.Problem
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status || p.Status != status || response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("status %d, want %d: %s: %+v", response.StatusCode, status, response.Header.Get("Content-Type"), p)
	}
	return p
}

// TestWhoHasGone: the log tells of the client, and not of the proxy in front.
func TestWhoHasGone(t *testing.T) {
	w, err := memwarden.Start(context.Background(), memwarden.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	stream, err := memhttp.NewLive("live", w, 1)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	handler, err := New(Options{
		Stream: stream, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"),
		http.Header{"X-Forwarded-For": {"192.0.2.1, 198.51.100.7"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	read1(t, conn)
	go follow(conn)
	if err := handler.Close(t.Context()); err != nil { // it waits for the client's end
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "client=198.51.100.7 reason=") {
		t.Errorf("the log is %s", &log)
	}
}
