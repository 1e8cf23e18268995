//go:build unix

package tests

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// The protocol is tested beside its code, with a clock of its own; here are real connections.

// followed opens a WebSocket that is closed at the end of the test.
func (s *service) followed(t *testing.T, path string, header ...string) *websocket.Conn {
	t.Helper()
	conn, response, err := s.tryFollow(t, path, header...)
	if err != nil {
		t.Fatalf("%v: %v", err, response)
	}
	return conn
}

func (s *service) tryFollow(t *testing.T, path string, header ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+path, h)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() }) // most tests have ended it
	}
	return conn, response, err
}

// refused opens a WebSocket that must be refused with a problem.
func (s *service) refused(t *testing.T, status int, path string, header ...string) {
	t.Helper()
	_, response, err := s.tryFollow(t, path, header...)
	if err == nil {
		t.Fatalf("%s %v gets in", path, header)
	}
	var p problem
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil || response.StatusCode != status || p.Status != status {
		t.Errorf("%s %v: status %d, want %d: %+v, %v", path, header, response.StatusCode, status, p, err)
	}
}

// message is one event of the stream.
type message struct {
	Type string
	Data json.RawMessage
}

func next(t *testing.T, conn *websocket.Conn) (m message) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if err := conn.ReadJSON(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// endsWith reads until the connection ends, which must be with a code.
func endsWith(t *testing.T, conn *websocket.Conn, code int) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, code) {
				t.Errorf("the connection ended with %v, want code %d", err, code)
			}
			return
		}
	}
}

func TestLiveMessages(t *testing.T) {
	t.Parallel()
	s := setup{Env: map[string]string{"SAMPLE_INTERVAL": "100ms"}}.start(t)
	conn := s.followed(t, livePath, "Origin", s.URL)
	var last time.Time
	for range 3 {
		m := next(t, conn)
		var sample struct{ At time.Time }
		if err := json.Unmarshal(m.Data, &sample); err != nil || m.Type != "sample" || !sample.At.After(last) {
			t.Fatalf("a message is %s, %v: %s", m.Type, err, m.Data)
		}
		last = sample.At
	}
	s.patch(t, 7)
	s.Send(t, http.StatusOK, http.MethodPost, memory+"/gc", "")
	for seen := map[string]bool{}; !seen["config"] || !seen["gc"]; {
		seen[next(t, conn).Type] = true
	}
	for _, origin := range []string{"https://evil.test", "null", "http://localhost:1"} {
		s.refused(t, http.StatusForbidden, livePath, "Origin", origin)
	}
	s.Stop(t)
	endsWith(t, conn, websocket.CloseGoingAway)
}

func TestLiveToken(t *testing.T) {
	t.Parallel()
	s := setup{Env: map[string]string{"READS_NEED_TOKEN": "true"}}.start(t)
	s.refused(t, http.StatusBadRequest, livePath+"?token="+strings.ReplaceAll(token, " ", "+"))
	for _, first := range []string{`{"type":"auth","token":"wrong wrong wrong wrong"}`, `{"type":"hello","token":"` + token + `"}`, `hello`} {
		conn := s.followed(t, livePath)
		if err := conn.WriteMessage(websocket.TextMessage, []byte(first)); err != nil {
			t.Fatal(err)
		}
		endsWith(t, conn, websocket.ClosePolicyViolation)
	}
	// What a page cannot send is not enough either: there is one way in.
	silent := s.followed(t, livePath, "Authorization", "Bearer "+token)
	conn := s.followed(t, livePath)
	if err := conn.WriteJSON(map[string]string{"type": "auth", "token": token}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, conn); m.Type != "sample" {
		t.Errorf("after the token came %s", m.Type)
	}
	endsWith(t, silent, websocket.ClosePolicyViolation) // in five seconds
	s.wantProblem(t, http.StatusUnauthorized, http.MethodGet, livePath, "", "Authorization", "")
	s.Stop(t)
	s.wantNowhere(t, token)
}

// TestLiveClients fills every place with clients of all kinds, good ones and bad ones.
func TestLiveClients(t *testing.T) {
	t.Parallel()
	const most = 5
	s := setup{Env: map[string]string{"MAX_LIVE_CLIENTS": strconv.Itoa(most), "SAMPLE_INTERVAL": "100ms"}}.start(t)
	good := s.followed(t, livePath)
	s.followed(t, livePath) // does not read
	huge, left := s.followed(t, livePath), s.followed(t, livePath)
	events, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(s.URL + livePath)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	s.refused(t, http.StatusServiceUnavailable, livePath)
	if got := s.Send(t, http.StatusServiceUnavailable, http.MethodGet, livePath, ""); got.Header.Get("Retry-After") == "" {
		t.Error("one client too many is not told when to come back")
	}
	servicetest.Within(t, soon, "showed that all places are taken", func() bool {
		o := s.limits(t).owner("live_clients")
		return o.Entries == most && o.MaxEntries == most && o.PeakEntries == most
	})

	if err := huge.WriteMessage(websocket.BinaryMessage, make([]byte, 1<<20)); err != nil {
		t.Logf("a huge message is cut off: %v", err)
	}
	endsWithSomething(t, huge)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if m := next(t, good); m.Type != "sample" {
			t.Errorf("beside bad clients came %s", m.Type)
		}
	}
	servicetest.Within(t, patience, "gave places back", func() bool { return s.limits(t).owner("live_clients").Entries == most-2 })
	next(t, s.followed(t, livePath))
	s.Stop(t)
}

// endsWithSomething reads until the connection ends: with the code for a message that is too large, or cut, because the
// server does not read the rest of such a message.
func endsWithSomething(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; {
		if _, _, err := conn.ReadMessage(); err != nil {
			if time.Since(start) >= patience {
				t.Errorf("the connection is not closed: %v", err)
			}
			return
		}
	}
}
