package serve

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/contrib/pgxpool"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// held is a connection as the pool tells of it.
var held = pgxpool.Held{
	Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), For: 31400 * time.Millisecond,
	Stack: "main.take\n\t/src/main.go:7\nmain.main\n\t/src/main.go:3\n",
}

func TestHeldReport(t *testing.T) {
	got := heldReport(held)
	if got.Kind != "connection_held" || got.Owner != "connection_pool" || !got.FirstSeen.Equal(held.Since) ||
		got.Signature != "connection_held main.take" || got.Sentence != "a connection to the database was taken 31s ago and has not been given back" ||
		fmt.Sprintf("%q", got.AllocStack) != `["main.take /src/main.go:7" "main.main /src/main.go:3"]` {
		t.Errorf("%+v", got)
	}
	for _, stack := range []string{"", "\n", "\tplace alone", "f"} {
		if frames := heldReport(pgxpool.Held{Stack: stack}).AllocStack; len(frames) > 1 {
			t.Errorf("%q: %q", stack, frames)
		}
	}
}

// TestHeldConnectionIsALeak: a connection that is held too long, and subscriptions that grow, are leaks in the database,
// and survive a restart.
func TestHeldConnectionIsALeak(t *testing.T) {
	log := &servicetest.Text{}
	settings := map[string]string{"DATA_DIR": t.TempDir(), "MAX_LIVE_CLIENTS": "1", "LEAK_REPORTS_MAX_COUNT": "2"}
	s := &service{o: Options{Config: load(t, settings), Banner: &servicetest.Text{}, Logger: slog.New(slog.NewTextHandler(log, nil))}, failed: make(chan error, 1)}
	s.reportHeld(held) // before there is anything: only the pool's own line tells of it
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err, s.abandon(t.Context()))
	}
	s.reportHeld(held)
	for range otherSubscribers + 1 {
		if _, err := s.warden.Subscribe(); err != nil {
			t.Fatal(err)
		}
	}
	s.reportHeld(held)
	if report := s.warden.Shutdown().Run(t.Context(), "test"); report.Err() != nil { // which stores what is reported
		t.Error(report.Err())
	}
	s.reportHeld(held)
	if !strings.Contains(log.String(), "memory leak report could not be kept: a connection") || !strings.Contains(log.String(), "the warden is closed") {
		t.Errorf("a report that comes too late is not logged:\n%s", log)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}

	r := start(t, settings)
	var document struct {
		Leaks []struct{ Kind, Owner string }
	}
	if err := json.Unmarshal(r.send(t, http.StatusOK, http.MethodGet, memory+"/leaks", ""), &document); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(document.Leaks); got != "[{connection_held connection_pool} {subscriptions event_bus}]" {
		t.Errorf("the leaks are %s", got)
	}
	limits := string(r.send(t, http.StatusOK, http.MethodGet, memory+"/limits", ""))
	if !strings.Contains(limits, `"name":"leak_reports","entries":2,"max_entries":2,`) {
		t.Errorf("leak_reports is not among the limits: %s", limits)
	}
	r.end(t)
}

// TestADismissedLeakSurvivesARestart: it is listed and known after the service has begun anew, and other reports have come,
// until somebody acknowledges it.
func TestADismissedLeakSurvivesARestart(t *testing.T) {
	settings := map[string]string{"DATA_DIR": t.TempDir(), "LEAK_REPORTS_MAX_COUNT": "2", "LEAK_DETECTION": "false"}
	run := func(do func(*memwarden.Warden)) {
		t.Helper()
		s := &service{o: Options{Config: load(t, settings), Banner: &servicetest.Text{}, Logger: slog.New(slog.DiscardHandler)}, failed: make(chan error, 1)}
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err, s.abandon(t.Context()))
		}
		do(s.warden)
		if report := s.warden.Shutdown().Run(t.Context(), "test"); report.Err() != nil {
			t.Error(report.Err())
		}
		if err := s.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	report := func(w *memwarden.Warden, n int) {
		t.Helper()
		r := memwarden.LeakReport{Kind: "threads", Sentence: fmt.Sprint("threads rise ", n), Signature: fmt.Sprint("threads ", n)}
		if err := w.ReportLeak(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	listed := func(w *memwarden.Warden) (list []memwarden.KeptLeak) {
		t.Helper()
		list, err := w.LeakReports(t.Context(), memwarden.LeakQuery{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	var id int64
	run(func(w *memwarden.Warden) {
		report(w, 0)
		servicetest.Within(t, time.Minute, "kept the report", func() bool { return len(listed(w)) == 1 })
		settled, err := w.SettleLeak(t.Context(), listed(w)[0].ID, memwarden.LeakDismissed)
		if err != nil {
			t.Fatal(err)
		}
		id = settled.ID
		for n := range 5 {
			report(w, 1+n)
		}
	})
	run(func(w *memwarden.Warden) {
		list := listed(w)
		if len(list) != 3 || list[2].ID != id || list[2].Status != memwarden.LeakDismissed {
			t.Errorf("%+v", list)
		}
		page := memwarden.LeakReport{Sentence: "a page leaks", Case: "browser-1", Signature: "threads 0"}
		if err := w.ReportBrowserLeak(t.Context(), page); err != nil || len(listed(w)) != 3 {
			t.Errorf("what has a dismissed signature is kept: %v", err)
		}
		if settled, err := w.SettleLeak(t.Context(), id, memwarden.LeakAcknowledged); err != nil || settled.Status != memwarden.LeakAcknowledged {
			t.Errorf("%+v, %v", settled, err)
		}
		if err := w.ReportBrowserLeak(t.Context(), page); err != nil || len(listed(w)) != 3 || listed(w)[0].Case != page.Case {
			t.Errorf("what is readmitted is not kept: %+v, %v", listed(w), err)
		}
	})
}

// TestRequestsAreTheLoad: what memory goes along with the service's requests is told from what leaks.
func TestRequestsAreTheLoad(t *testing.T) {
	r := start(t, nil)
	for range 20 {
		r.send(t, http.StatusOK, http.MethodGet, "/livez", "")
	}
	var answer struct {
		Findings []struct {
			Kind   string
			Inputs struct{ Load *float64 }
		}
	}
	content := r.send(t, http.StatusOK, http.MethodPost, memory+"/leaks/check", "")
	if err := json.Unmarshal(content, &answer); err != nil || len(answer.Findings) == 0 {
		t.Fatal(err, string(content))
	}
	for _, f := range answer.Findings {
		if load := f.Inputs.Load; load == nil || *load <= 0 || *load > 21/meterMemory.Seconds() {
			t.Errorf("the load of %s: %v", f.Kind, load)
		}
	}
	r.end(t)
}
