package apitest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/server/internal/live"
)

const livePath = "/api/monitoring/live"

// message is an event as the document's LiveMessage has it.
type message struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// checkMessage validates an event against the document.
func (b *book) checkMessage(t *testing.T, m message) {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	schema := b.document.Components.Schemas["LiveMessage"].Value
	if err := schema.VisitJSON(decode(t, text)); err != nil {
		t.Errorf("a %s event is not as documented: %v\n%s", m.Type, err, text)
	}
	b.mark(schema, decode(t, text))
}

// kinds are the events that a stream must show.
var kinds = []string{"sample", "pressure", "limit", "gc", "leak", "leak_report", "incident", "config"}

// provoke brings about every kind of event of a process in the container, which is watched for leaks of seconds: verdicts
// change by themselves.
func (s target) provoke(t *testing.T, w *memwarden.Warden) {
	t.Helper()
	s.send(t, 200, request{operation: "PATCH " + memory + "/config", token: token, body: `{
		"pressure":{"elevated_ratio":0.05,"high_ratio":0.1,"critical_ratio":0.9,"rise_dwell_seconds":0},
		"limit":{"ratio":0.5}}`})
	s.send(t, 200, request{operation: "POST " + memory + "/gc", token: token})
	s.send(t, 201, request{operation: "POST " + memory + "/incidents", token: token})
	if err := w.ReportLeak(t.Context(), memwarden.LeakReport{Kind: "held", Sentence: "it is held"}); err != nil {
		t.Fatal(err)
	}
}

// follow reads events until every kind was seen.
func (b *book) follow(t *testing.T, next func() (message, error)) {
	t.Helper()
	seen := map[string]bool{}
	for i := 0; len(seen) < len(kinds); i++ {
		m, err := next()
		if err != nil {
			t.Fatalf("after %v: %v", seen, err)
		}
		if i == 0 && m.Type != "sample" {
			t.Errorf("the first event is %q, want the newest sample", m.Type)
		}
		b.checkMessage(t, m)
		seen[m.Type] = true
	}
	for _, kind := range kinds {
		if !seen[kind] {
			t.Errorf("there was no %s event, but %v", kind, seen)
		}
	}
}

func testEvents(t *testing.T, b *book) {
	w := startWarden(t, memwarden.Options{
		Root: container(t, roomy), Config: watching(), Incidents: memwarden.IncidentOptions{Dir: t.TempDir(), NoSnapshots: true},
	})
	stream, err := memhttp.NewLive("live", w, 1)
	if err != nil {
		t.Fatal(err)
	}
	o := administered(t)
	o.Live = stream
	s := b.serveHTTP(t, w, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	q := s.prepare(t, "GET", livePath, request{}).WithContext(ctx)
	response, err := s.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	s.provoke(t, w)
	var whole bytes.Buffer
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	s.follow(t, func() (m message, err error) {
		for lines.Scan() {
			whole.Write(append(lines.Bytes(), '\n'))
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				m.Type = value
			case "data":
				m.Data = json.RawMessage(value)
			case "":
				return m, nil
			default:
				t.Errorf("a line of the stream is %q", lines.Text())
			}
		}
		return m, lines.Err()
	})
	// What was read of the stream is an answer like any other; another client has no place beside this one.
	s.validate(t, q, "GET", livePath, answer{response.StatusCode, response.Header, whole.Bytes()})
	got := s.send(t, 503, request{operation: "GET " + livePath})
	if got.header.Get("Retry-After") == "" {
		t.Error("one client too many is not told when to come back")
	}
	stream.Close()
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream ended by %v", err)
	}
	s.send(t, 503, request{operation: "GET " + livePath})
}

func testWebSocket(t *testing.T, b *book) {
	w := startWarden(t, memwarden.Options{
		Root: container(t, roomy), Config: watching(), Incidents: memwarden.IncidentOptions{Dir: t.TempDir(), NoSnapshots: true},
	})
	stream, err := memhttp.NewLive("live", w, 2)
	if err != nil {
		t.Fatal(err)
	}
	o := administered(t)
	sockets, err := live.New(live.Options{Stream: stream, Token: o.AdminToken, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	o.ReadsNeedToken, o.Live, o.WebSocket = true, stream, sockets
	s := b.serveHTTP(t, w, o)
	s.refuseHandshakes(t)
	conn := s.dial(t)
	if err := conn.WriteJSON(map[string]string{"type": "auth", "token": token}); err != nil {
		t.Fatal(err)
	}
	s.mark(b.document.Components.Schemas["LiveAuth"].Value, map[string]any{"type": "auth", "token": token})
	next := func() (m message, err error) {
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			return m, err
		}
		err = conn.ReadJSON(&m)
		return m, err
	}
	first, err := next() // the server follows the warden from here on
	if err != nil {
		t.Fatal(err)
	}
	s.provoke(t, w)
	replayed := false
	s.follow(t, func() (message, error) {
		if !replayed {
			replayed = true
			return first, nil
		}
		return next()
	})

	wrong := s.dial(t)
	if err := wrong.WriteJSON(map[string]string{"type": "auth", "token": "correct horse battery stapler"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := wrong.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		t.Errorf("a wrong token: %v, want close 1008", err)
	}
	wrong.Close()

	stream.Close()
	for err == nil {
		_, err = next()
	}
	if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("at the end of the stream: %v, want close 1001", err)
	}
	conn.Close()
	if err := sockets.Close(t.Context()); err != nil {
		t.Error(err)
	}
	s.send(t, 503, request{operation: "GET " + livePath, header: []string{"Upgrade", "websocket"}})
}

// dial opens a WebSocket.
func (s target) dial(t *testing.T) *websocket.Conn {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+livePath, nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	s.answers["GET "+livePath+" 101"] = true
	s.parameters[s.document.Paths.Value(livePath).Get.Parameters.GetByInAndName("header", "Upgrade")] = true
	return conn
}

// refuseHandshakes asks for a WebSocket in ways that are refused.
func (s target) refuseHandshakes(t *testing.T) {
	t.Helper()
	s.send(t, 400, request{operation: "GET " + livePath, header: []string{"Upgrade", "websocket"}})
	s.send(t, 400, request{operation: "GET " + livePath, path: livePath + "?token=" + token[:7], header: []string{"Upgrade", "websocket"}})
	s.send(t, 403, request{operation: "GET " + livePath, header: []string{
		"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Origin", "null",
	}})
}

// sendAside sends what is no operation and validates the answer against one of the document's responses.
func (s target) sendAside(t *testing.T, name string, want int, method, path string) answer {
	t.Helper()
	q := s.prepare(t, method, path, request{token: token})
	response, err := s.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	got := answer{response.StatusCode, response.Header, body.Bytes()}
	where := method + " " + path
	documented := s.document.Components.Responses[name].Value
	content := documented.Content.Get(got.header.Get("Content-Type"))
	switch {
	case got.status != want:
		t.Errorf("%s: status %d, want %d", where, got.status, want)
	case content == nil:
		t.Errorf("%s: Content-Type %s", where, got.header.Get("Content-Type"))
	default:
		if err := content.Schema.Value.VisitJSON(decode(t, got.body)); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		s.mark(content.Schema.Value, decode(t, got.body))
	}
	for header, ref := range documented.Headers {
		if ref.Value.Required && got.header.Get(header) == "" {
			t.Errorf("%s: there is no header %s", where, header)
		}
	}
	checkHeaders(t, where, documented, got)
	return got
}
