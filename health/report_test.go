package health

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

var (
	noon  = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	mixed = []Entry{
		{Name: "heap", Result: Result{Details: map[string]any{"live_bytes": int64(5), "status": "mine", "message": "mine", "checked_at": 1}}, CheckedAt: noon},
		{Name: "cgroup", Result: Result{Level: Degraded, Message: "84 % of\n512.0 MiB"}, CheckedAt: noon},
		{Name: "database", Result: Result{Level: Down, Message: "connection refused"}, CheckedAt: noon, LastUpAt: noon.Add(-time.Minute)},
	}
)

func TestReportAsJSON(t *testing.T) {
	const (
		heap     = `"heap":{"checked_at":"2026-01-02T12:00:00Z","level":"ok","live_bytes":5,"status":"up"}`
		cgroup   = `"cgroup":{"checked_at":"2026-01-02T12:00:00Z","level":"degraded","message":"84 % of\n512.0 MiB","status":"up"}`
		database = `"database":{"checked_at":"2026-01-02T12:00:00Z","last_up_at":"2026-01-02T11:59:00Z","level":"down",` +
			`"message":"connection refused","status":"down"}`
	)
	for _, test := range []struct {
		report Report
		want   string
	}{
		{Report{Status: StatusOK}, `{"status":"ok","info":{},"error":{},"details":{}}`},
		{
			Report{Status: StatusError, Entries: mixed},
			`{"status":"error","info":{` + cgroup + `,` + heap + `},"error":{` + database + `},"details":{` + cgroup + `,` + database + `,` + heap + `}}`,
		},
		{
			Report{Status: StatusShuttingDown, Entries: mixed[:1]},
			`{"status":"shutting_down","info":{` + heap + `},"error":{},"details":{` + heap + `}}`,
		},
		{
			Report{Status: StatusOK, Entries: []Entry{{Name: "odd", Result: Result{Details: map[string]any{"ratio": math.NaN()}}}}},
			`{"status":"ok","info":{"odd":{"details_error":"json: unsupported value: NaN","level":"ok","status":"up"}},"error":{},` +
				`"details":{"odd":{"details_error":"json: unsupported value: NaN","level":"ok","status":"up"}}}`,
		},
	} {
		got, err := json.Marshal(test.report)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestReportAsText(t *testing.T) {
	for _, test := range []struct {
		report Report
		want   string
	}{
		{Report{Probe: Live, Status: StatusOK}, "livez check passed\n"},
		{
			Report{Probe: Ready, Status: StatusError, Entries: mixed},
			"[+]heap ok\n[+]cgroup ok, degraded: 84 % of 512.0 MiB\n[-]database failed: connection refused\nreadyz check failed\n",
		},
		{Report{Probe: Startup, Status: StatusOK, Entries: mixed[:1]}, "[+]heap ok\nstartupz check passed\n"},
		{Report{Probe: All, Status: StatusShuttingDown}, "[-]shutdown failed: shutting down\nhealth check failed\n"},
	} {
		if got := test.report.Text(); got != test.want {
			t.Errorf("got:\n%swant:\n%s", got, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	if got := Level(7).String(); got != "level(7)" {
		t.Errorf("an unknown level is %q", got)
	}
}
