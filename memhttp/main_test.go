package memhttp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/internal/leakcheck"
	"github.com/memwarden/memwarden/internal/testprogram"
)

// childMark in the environment makes the test program a process that waits for the end of its input.
const childMark = "MEMHTTP_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	leakcheck.Main(m, testprogram.RemoveAll)
}

// secret is the admin token of the tests.
const secret = "correct horse battery staple"

func mustToken(t testing.TB, text string) Token {
	t.Helper()
	token, err := ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// startWarden starts a warden that ends with the test. It leaves the limits of the test program alone.
func startWarden(t testing.TB, o memwarden.Options) *memwarden.Warden {
	t.Helper()
	if o.Config == nil {
		c := memwarden.DefaultConfig()
		o.Config = &c
	}
	o.Config.Limit.Manage = false
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.LookupEnv = func(string) (string, bool) { return "", false }
	w, err := memwarden.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil && o.Store == nil {
			t.Error(err)
		}
	})
	return w
}

func subscribe(t *testing.T, w *memwarden.Warden) *memwarden.Subscription {
	t.Helper()
	s, err := w.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mustHandler makes a handler with the admin token, and without limits that the options do not ask for.
func mustHandler(t testing.TB, w *memwarden.Warden, o Options) *handler {
	t.Helper()
	o.AdminToken = mustToken(t, secret)
	if o.RateLimit == 0 {
		o.RateLimit = -1
	}
	if o.AdminRateLimit == 0 {
		o.AdminRateLimit = 1e5
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	made, err := Handler(w, o)
	if err != nil {
		t.Fatal(err)
	}
	h, ok := made.(*handler)
	if !ok {
		t.Fatalf("Handler returned a %T", made)
	}
	return h
}

// newRequest is a request of an admin for a path, with headers as names and values by turns. A body is JSON unless a
// header says otherwise.
func newRequest(method, path, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+secret)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// ask sends an admin's request to a handler.
func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, newRequest(method, path, body, header...))
	return answer
}

// wantStatus checks the status, and that an error is a problem of it.
func wantStatus(t testing.TB, answer *httptest.ResponseRecorder, want int) {
	t.Helper()
	if answer.Code != want {
		t.Errorf("status %d, want %d: %s", answer.Code, want, answer.Body)
	}
	if answer.Code < 400 {
		return
	}
	var p Problem
	if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil {
		t.Errorf("%v: %s", err, answer.Body)
	}
	if kind := answer.Header().Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("Content-Type %q, want application/problem+json", kind)
	}
	if p.Status != answer.Code || p.Title != http.StatusText(answer.Code) || p.Detail == "" || !strings.HasPrefix(p.Type, "urn:memwarden:problem:") {
		t.Errorf("the problem is %+v", p)
	}
}

// wantProblem checks the status and looks for a part of the detail.
func wantProblem(t testing.TB, answer *httptest.ResponseRecorder, status int, part string) {
	t.Helper()
	wantStatus(t, answer, status)
	var p Problem
	if err := json.Unmarshal(answer.Body.Bytes(), &p); err == nil && !strings.Contains(p.Detail, part) {
		t.Errorf("the detail is %q, want %q in it", p.Detail, part)
	}
}

// decodeInto reads an answer's JSON.
func decodeInto(t testing.TB, answer *httptest.ResponseRecorder, into any) {
	t.Helper()
	if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil {
		t.Fatalf("%v: %s", err, answer.Body)
	}
}

// logBook keeps what was logged.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// memoryStore is a store that can be made to fail.
type memoryStore struct {
	mu       sync.Mutex
	changes  []memwarden.ConfigChange // newest last
	saving   error                    // of SaveConfig, once it has stored if stores says so
	stores   bool
	reading  error
	lastRows []memwarden.HistoryRow
}

func (s *memoryStore) SaveConfig(_ context.Context, change memwarden.ConfigChange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saving == nil || s.stores {
		s.changes = append(s.changes, change)
	}
	return s.saving
}

func (s *memoryStore) LatestConfig(context.Context) (memwarden.ConfigChange, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading != nil || len(s.changes) == 0 {
		return memwarden.ConfigChange{}, false, s.reading
	}
	return s.changes[len(s.changes)-1], true, nil
}

func (s *memoryStore) ConfigChanges(_ context.Context, limit int) ([]memwarden.ConfigChange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var newest []memwarden.ConfigChange
	for i := len(s.changes) - 1; i >= 0 && len(newest) < limit; i-- {
		newest = append(newest, s.changes[i])
	}
	return newest, s.reading
}

func (s *memoryStore) SaveHistory(_ context.Context, rows []memwarden.HistoryRow) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastRows = rows
	return nil
}

func (s *memoryStore) LoadHistory(context.Context, time.Duration, time.Time, func(memwarden.HistoryRow) error) error {
	return nil
}

func (s *memoryStore) TrimHistory(context.Context, time.Duration, time.Time) (int64, error) {
	return 0, nil
}

// fail makes the store fail from now on: saving, after it has stored if stores says so, and reading.
func (s *memoryStore) fail(saving error, stores bool, reading error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saving, s.stores, s.reading = saving, stores, reading
}

var errLost = errors.New("the connection to db.internal was lost")
