//go:build unix

package tests

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

const (
	token    = servicetest.Token
	patience = servicetest.Patience
	memory   = "/api/monitoring/memory"
	livePath = "/api/monitoring/live"
	frontend = "/api/monitoring/frontend/reports"
)

// setup says how a service is run.
type setup servicetest.Setup

// launch starts the process and does not wait for anything.
func (s setup) launch(t *testing.T) *service {
	t.Helper()
	return &service{servicetest.Setup(s).Launch(t)}
}

// start starts the process and waits until it says where it listens.
func (s setup) start(t *testing.T) *service {
	t.Helper()
	return &service{servicetest.Setup(s).Start(t)}
}

// service is a running process, and what it is asked here.
type service struct{ *servicetest.Service }

// problem is an error answer.
type problem struct {
	Type, Title, Detail string
	Status              int
}

// wantProblem sends a request that must be refused.
func (s *service) wantProblem(t *testing.T, status int, method, path, body string, header ...string) problem {
	t.Helper()
	got := s.Send(t, status, method, path, body, header...)
	p := servicetest.Decode[problem](t, got)
	if p.Status != got.Status || got.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: no problem document: %s: %s", method, path, got.Header.Get("Content-Type"), got.Body)
	}
	return p
}

// healthReport is the answer of /api/health.
type healthReport struct {
	Status  string
	Details map[string]struct{ Status, Level, Message string }
}

// health asks for it and checks that status code and status agree.
func (s *service) health(t *testing.T) (healthReport, int) {
	t.Helper()
	got, err := s.Ask(t.Context(), http.MethodGet, "/api/health", "")
	if err != nil {
		t.Fatal(err)
	}
	report := servicetest.Decode[healthReport](t, got)
	if (got.Status == http.StatusOK) != (report.Status == "ok") {
		t.Errorf("health answers %d: %s", got.Status, got.Body)
	}
	return report, got.Status
}

// line is one line of the log.
type line struct{ Level, Msg string }

// logged returns the lines of a log in JSON. A line that cannot be read fails the test.
func (s *service) logged(t *testing.T) (lines []line) {
	t.Helper()
	for one := range strings.Lines(s.Out.String()) {
		var l line
		if err := json.Unmarshal([]byte(one), &l); err != nil {
			t.Fatalf("a line of the log is %q: %v", one, err)
		}
		lines = append(lines, l)
	}
	return lines
}

// wantNowhere fails if a secret is in anything that the service wrote.
func (s *service) wantNowhere(t *testing.T, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		for name, where := range map[string]*servicetest.Text{"log": &s.Out, "standard error": &s.Said} {
			if strings.Contains(where.String(), secret) {
				t.Errorf("a secret is in the %s", name)
			}
		}
	}
}

// patchBody is a change of the configuration that can be told from others by its number.
func patchBody(n int64) string { return fmt.Sprintf(`{"limit":{"off_heap_reserve_bytes":%d}}`, n) }

// config is the part of the configuration that the tests change.
type config struct {
	Version    int64
	Overridden []string
	Config     struct {
		Limit struct {
			Reserve int64 `json:"off_heap_reserve_bytes"`
		}
	}
}

// patch changes the configuration and returns its version.
func (s *service) patch(t *testing.T, n int64) int64 {
	t.Helper()
	got := servicetest.Decode[config](t, s.Send(t, http.StatusOK, http.MethodPatch, memory+"/config", patchBody(n)))
	if got.Config.Limit.Reserve != n {
		t.Errorf("the answer to %s is %+v", patchBody(n), got)
	}
	return got.Version
}
