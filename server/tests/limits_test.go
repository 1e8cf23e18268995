//go:build unix

package tests

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/internal/redistest"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// owner is a part of the service with its bound, its present use and its peak; −1 is absent.
type owner struct {
	Name                                                         string
	Entries, MaxEntries, PeakEntries, Bytes, MaxBytes, PeakBytes int64
}

// limits are all bounds.
type limits struct {
	Container struct {
		MaxBytes int64 `json:"max_bytes"`
	}
	Go struct {
		LimitBytes int64 `json:"limit_bytes"`
		Source     string
		Reason     string
	}
	Owners []owner
}

func (s *service) limits(t *testing.T) (l limits) {
	t.Helper()
	type figures struct {
		Name        string
		Entries     *int64
		MaxEntries  *int64 `json:"max_entries"`
		PeakEntries *int64 `json:"peak_entries"`
		Bytes       *int64
		MaxBytes    *int64 `json:"max_bytes"`
		PeakBytes   *int64 `json:"peak_bytes"`
	}
	got := s.Get(t, memory+"/limits")
	l = servicetest.Decode[limits](t, got)
	l.Owners = nil
	or := func(n *int64) int64 {
		if n == nil {
			return -1
		}
		return *n
	}
	for _, o := range servicetest.Decode[struct{ Limits []figures }](t, got).Limits {
		l.Owners = append(l.Owners, owner{o.Name, or(o.Entries), or(o.MaxEntries), or(o.PeakEntries), or(o.Bytes), or(o.MaxBytes), or(o.PeakBytes)})
	}
	return l
}

func (l limits) owner(name string) owner {
	if i := slices.IndexFunc(l.Owners, func(o owner) bool { return o.Name == name }); i >= 0 {
		return l.Owners[i]
	}
	return owner{}
}

// TestLimits looks at every part that can grow: with its bound, its use and its peak.
func TestLimits(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := setup{Env: map[string]string{"REDIS_URL": server.URL(), "RATE_LIMIT": "1000", "SAMPLE_INTERVAL": "100ms", "MAX_LIVE_CLIENTS": "7"}}.start(t)
	s.health(t) // which asks Redis
	s.patch(t, 1)
	s.snapshot(t)
	s.Send(t, http.StatusCreated, http.MethodPost, memory+"/incidents", `{"reason":"a test"}`)
	s.report(t)
	s.Get(t, "/api/monitoring/frontend/components") // which reads it
	next(t, s.followed(t, livePath))
	entries := map[string]int64{ // with their bounds
		"connection_pool": 5, "redis_connections": 10, "live_clients": 7, "rate_limiter": 10_000, "admin_rate_limiter": 10_000, "history": 0,
		"event_bus": 16_384 * 17, "cache": 10_000,
		"heap_snapshots": 5, "incident_bundles": 20, "reports": 1000, "leak_reports": 1000, "leak_report_queue": 33, "report_rate_limiter": 10_000,
		"report_figures": 1000, "browser_leaks": 1000, "dismissed_leaks": 1000, "requests": 256, "websocket": 7, "connections": 0, "tracked_objects": 100_000,
	}
	unused := []string{"leak_reports", "browser_leaks", "dismissed_leaks", "tracked_objects"} // nothing leaks, and the service tracks nothing of its own
	servicetest.Within(t, soon, "showed what is used", func() bool {
		l := s.limits(t)
		for name := range entries {
			if l.owner(name).PeakEntries < 1 && l.owner(name).PeakBytes < 1 && !slices.Contains(unused, name) {
				return false
			}
		}
		return true
	})
	l := s.limits(t)
	for name, most := range entries {
		o := l.owner(name)
		if o.MaxEntries < 1 && o.MaxBytes < 1 {
			t.Errorf("%s has no bound: %+v", name, o)
		}
		if most > 0 && o.MaxEntries != most {
			t.Errorf("%s is bound by %d, want %d", name, o.MaxEntries, most)
		}
		for _, f := range []struct{ use, most, peak int64 }{{o.Entries, o.MaxEntries, o.PeakEntries}, {o.Bytes, o.MaxBytes, o.PeakBytes}} {
			if f.most > 0 && (f.use < 0 || f.use > f.most || f.peak < f.use || f.peak > f.most) {
				t.Errorf("%s: use, bound and peak do not fit: %+v", name, o)
			}
		}
	}
	for _, o := range l.Owners {
		if _, ok := entries[o.Name]; !ok {
			t.Errorf("there is an owner %q that is not tested", o.Name)
		}
	}
	s.Stop(t)
}

// TestRedis has Redis come and go, which must not take the service down.
func TestRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := setup{Env: map[string]string{"REDIS_URL": server.URL()}}.start(t)
	want := func(level string) {
		t.Helper()
		servicetest.Within(t, soon, "said that redis is "+level, func() bool {
			report, status := s.health(t)
			if status != http.StatusOK {
				t.Errorf("health is %d: %+v", status, report)
			}
			return report.Details["redis"].Level == level
		})
		s.Get(t, "/readyz")
	}
	want("ok")
	server.Kill(t)
	want("degraded")
	report, _ := s.health(t)
	if message := report.Details["redis"].Message; !strings.Contains(message, "redis does not answer") {
		t.Errorf("health says %q", message)
	}
	server.Restart(t)
	want("ok")
	server.Stop(t)
	want("degraded")
	s.Stop(t)
	s.wantNowhere(t, server.Password())
	for l := range strings.Lines(s.Said.String()) {
		if !strings.HasPrefix(l, "memwarden ") && !strings.HasPrefix(l, "  ") {
			t.Errorf("beside the banner the standard error has %q", l)
		}
	}
}

// TestRateLimit is on by default.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	s := setup{Env: map[string]string{"RATE_LIMIT": "1", "RATE_BURST": "5", "ADMIN_RATE_LIMIT": "1"}}.start(t)
	count := func(path string) (refused int) {
		for range 20 {
			got, err := s.Ask(t.Context(), http.MethodGet, path, "")
			if err != nil {
				t.Fatal(err)
			}
			if got.Status == http.StatusTooManyRequests {
				refused++
				if got.Header.Get("Retry-After") == "" || got.Header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s: refused without a word when to come back: %v", path, got.Header)
				}
			}
		}
		return refused
	}
	if n := count(memory + "/stats"); n < 10 {
		t.Errorf("%d of 20 reads were refused", n)
	}
	if n := count(memory + "/config"); n < 10 {
		t.Errorf("%d of 20 admin requests were refused", n)
	}
	if n := count("/livez"); n > 0 {
		t.Errorf("%d of 20 probes were refused", n)
	}
	s.Stop(t)
}
