package apitest

import (
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/server/internal/store"
)

// report has all that a report may have.
const report = `{"schema":1,"release":"1.2.3","page":"/cart","sent_at":"2026-01-02T15:04:05Z",
	"items":[{"kind":"error","at":"2026-01-02T15:04:04Z","message":"more"}]}`

func openReports(t *testing.T, s *store.Store, kind store.ReportKind) *store.Reports {
	t.Helper()
	reports, err := s.Reports(t.Context(), store.ReportOptions{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	return reports
}

func testReports(t *testing.T, b *book) {
	o := administered(t)
	o.ReportRateLimit, o.Reports = 1000, openReports(t, openStore(t), store.FrontendReports)
	s := b.serveHTTP(t, startWarden(t, memwarden.Options{}), o)
	add := request{operation: "POST " + frontend, body: report}
	s.send(t, 201, add)
	s.send(t, 201, add) // is kept once
	add.kind, add.body = "text/plain", strings.Replace(report, "1.2.3", "1.2.4", 1)
	s.send(t, 201, add)
	for status, body := range map[int]string{400: "{", 422: "{}", 413: `{"page":"` + strings.Repeat("x", 64<<10) + `"}`} {
		s.send(t, status, request{operation: "POST " + frontend, body: body})
	}
	s.send(t, 415, request{operation: "POST " + frontend, body: report, kind: "text/html"})
	list := request{operation: "GET " + frontend, token: token}
	var got struct{ Reports []struct{ ID int64 } }
	if s.send(t, 200, list).into(t, &got); len(got.Reports) != 2 || got.Reports[0].ID <= got.Reports[1].ID {
		t.Errorf("the reports are %+v", got)
	}
	for query, status := range map[string]int{"limit=1&before=2": 200, "limit=0": 400, "before=-1": 400} {
		list.path = frontend + "?" + query
		s.send(t, status, list)
	}
}

func testLeaks(t *testing.T, b *book) {
	kept := openReports(t, openStore(t), store.LeakReports)
	w := startWarden(t, memwarden.Options{LeakReports: kept})
	s := b.serveHTTP(t, w, generous)
	for _, stack := range [][]string{nil, {"main.take /src/main.go:7", "main.main /src/main.go:3"}} {
		if err := w.ReportLeak(t.Context(), memwarden.LeakReport{Kind: "held", Owner: "pool", Sentence: "<it> is held", AllocStack: stack}); err != nil {
			t.Fatal(err)
		}
	}
	list := request{operation: "GET " + memory + "/leaks"}
	var got struct{ Leaks []struct{ ID int64 } }
	for deadline := time.Now().Add(time.Minute); len(got.Leaks) < 2; time.Sleep(time.Millisecond) { // they are kept soon after
		if s.send(t, 200, list).into(t, &got); time.Now().After(deadline) {
			t.Fatalf("the leaks are %+v", got)
		}
	}
	for query, status := range map[string]int{"limit=1&before=2": 200, "limit=0": 400, "limit=101": 400, "before=0": 400, "page=1": 400} {
		list.path = memory + "/leaks?" + query
		s.send(t, status, list)
	}
}
