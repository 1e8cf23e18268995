//go:build unix

package tests

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/faultproxy"
	"github.com/memwarden/memwarden/internal/pgtest"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

const soon = servicetest.Soon

// sampledAt is when the newest sample was taken.
func (s *service) sampledAt(t *testing.T) time.Time {
	t.Helper()
	return servicetest.Decode[struct{ At time.Time }](t, s.Get(t, memory+"/stats")).At
}

// wantDatabase waits until health says how the database is.
func (s *service) wantDatabase(t *testing.T, level string, status int) {
	t.Helper()
	servicetest.Within(t, soon, "said that the database is "+level, func() bool {
		report, got := s.health(t)
		return report.Details["database"].Level == level && got == status
	})
}

// TestDatabaseGone kills PostgreSQL under the service and starts it again.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	s := setup{Env: map[string]string{"DATABASE_URL": server.NewDatabase(t), "SAMPLE_INTERVAL": "100ms"}}.start(t)
	s.wantDatabase(t, "ok", http.StatusOK)
	s.patch(t, 1)

	server.Kill(t)
	gone := time.Now()
	s.wantDatabase(t, "down", http.StatusServiceUnavailable)
	if got := s.Send(t, http.StatusServiceUnavailable, http.MethodGet, "/api/health", ""); strings.Contains(string(got.Body), server.Host()) {
		t.Errorf("health tells everyone where the database is: %s", got.Body)
	}
	p := s.wantProblem(t, http.StatusServiceUnavailable, http.MethodPatch, memory+"/config", patchBody(2))
	if !strings.Contains(p.Detail, "not") { // made, or not known
		t.Errorf("the client is told %q", p.Detail)
	}
	s.wantProblem(t, http.StatusServiceUnavailable, http.MethodGet, memory+"/config/audit", "")
	if now := servicetest.Decode[config](t, s.Get(t, memory+"/config")); now.Version != 1 || now.Config.Limit.Reserve != 1 {
		t.Errorf("in force while the database is gone: %+v", now)
	}
	for _, path := range []string{memory + "/stats", memory + "/health", memory + "/limits", "/metrics", "/livez", memory + "/cleanup"} {
		s.Get(t, path)
	}
	s.Send(t, http.StatusOK, http.MethodPost, memory+"/gc", "")
	at := s.sampledAt(t)
	servicetest.Within(t, soon, "sampled on", func() bool { return s.sampledAt(t).After(at) })
	servicetest.Within(t, soon, "said that history is not stored", func() bool {
		report, _ := s.health(t)
		return report.Details["store"].Level == "degraded"
	})

	server.Restart(t)
	back := time.Now()
	s.wantDatabase(t, "ok", http.StatusOK)
	if version := s.patch(t, 3); version != 2 {
		t.Errorf("the first change after the outage has version %d, want 2: the one that failed must not count", version)
	}
	servicetest.Within(t, soon, "stored what the outage had held up", func() bool { return s.history(t).SavedUntil.After(back) })
	kept := acknowledged{}
	kept.note(s.history(t))
	during := 0
	for at := range kept {
		if at > gone.Unix() && at < back.Unix() {
			during++
		}
	}
	if during == 0 {
		t.Error("no point of the outage was kept")
	}
	servicetest.Within(t, soon, "is well again", func() bool {
		report, _ := s.health(t)
		return report.Details["store"].Level == "ok"
	})
	s.Stop(t)
	s.wantNowhere(t, server.Password())
	wantOneComplaint(t, s, "memory history cannot be stored; it is kept and tried again")
}

// wantOneComplaint: an outage is logged once, not at each attempt.
func wantOneComplaint(t *testing.T, s *service, message string) {
	t.Helper()
	count := 0
	for _, l := range s.logged(t) {
		if l.Msg == message {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%q is logged %d times", message, count)
	}
}

// TestDatabaseSilent has a network between the service and PostgreSQL that swallows everything from one moment on: no
// connection ends, no answer comes.
func TestDatabaseSilent(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	between := faultproxy.Start(t, server.Host())
	through, err := url.Parse(server.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	through.Host = between.Addr()
	s := setup{Env: map[string]string{"DATABASE_URL": through.String(), "SHUTDOWN_TIMEOUT": "10s"}}.start(t)
	s.patch(t, 1)

	between.Swallow(faultproxy.Both)
	s.wantDatabase(t, "down", http.StatusServiceUnavailable)
	// While a change waits for the database, memory is watched and everything else is answered.
	answered := make(chan servicetest.Answer, 1)
	go func() {
		got, err := s.Ask(context.Background(), http.MethodPatch, memory+"/config", patchBody(2))
		if err != nil {
			t.Errorf("whoever asks for a change is left without an answer: %v", err)
		}
		answered <- got
	}()
	s.wantSamples(t, answered)
	if got := <-answered; got.Status != http.StatusServiceUnavailable || got.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("whoever asks for a change is told %d: %s", got.Status, got.Body)
	}
	s.Get(t, memory+"/config")
	s.Get(t, memory+"/stats")

	asked := time.Now()
	s.Signal(t, syscall.SIGTERM)
	if code := s.Exit(t); code != 1 {
		t.Errorf("exit code %d, want 1: history could not be stored", code)
	}
	if took := time.Since(asked); took > 12*time.Second {
		t.Errorf("the end took %v of the 10 s that MEMWARDEN_SHUTDOWN_TIMEOUT allows", took)
	}
	s.wantNowhere(t, server.Password())
}

// wantSamples watches the samples and the configuration until an answer is there: neither may be late.
func (s *service) wantSamples(t *testing.T, until <-chan servicetest.Answer) {
	t.Helper()
	for len(until) == 0 {
		if age := time.Since(s.sampledAt(t)); age > 5*time.Second {
			t.Errorf("the newest sample is %v old", age)
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := s.Ask(ctx, http.MethodGet, memory+"/config", "")
		cancel()
		if err != nil {
			t.Errorf("the configuration in force cannot be read: %v", err)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
