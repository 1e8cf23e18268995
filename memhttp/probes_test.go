package memhttp

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/health"
)

func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{ReadsNeedToken: true})
		level := health.OK
		if _, err := w.Health().Add(health.Check{Name: "disk", Probes: health.Ready, FailAfter: 1, Run: func(context.Context) health.Result {
			return health.Result{Level: level, Message: "of the\ndisk"}
		}}); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/livez", "/readyz", "/startupz"} {
			got := ask(h, "GET", path, "", "Authorization", "")
			wantHeaders(t, got.Header(), "Content-Type", "text/plain; charset=utf-8")
			if got.Code != 200 || got.Body.String() != "ok\n" {
				t.Errorf("%s: %d %q", path, got.Code, got.Body)
			}
			verbose := ask(h, "GET", path+"?verbose", "", "Accept", "application/json").Body.String()
			if !strings.HasSuffix(verbose, path[1:]+" check passed\n") {
				t.Errorf("%s?verbose says %q", path, verbose)
			}
		}
		level = health.Down
		time.Sleep(time.Minute)
		got := ask(h, "GET", "/readyz", "", "Authorization", "")
		if got.Code != 503 || got.Body.String() != "error\n" {
			t.Errorf("/readyz with a check that is down: %d %q", got.Code, got.Body)
		}
		if got := ask(h, "GET", "/readyz?verbose", ""); got.Code != 503 || !strings.Contains(got.Body.String(), "[-]disk failed: of the disk\n") {
			t.Errorf("/readyz?verbose: %d %q", got.Code, got.Body)
		}
		if got := ask(h, "GET", "/livez", ""); got.Code != 200 {
			t.Errorf("/livez fails by a check of readiness: %d", got.Code)
		}
		w.Health().SetShuttingDown()
		if got := ask(h, "GET", "/readyz", ""); got.Code != 503 || got.Body.String() != "shutting_down\n" {
			t.Errorf("/readyz in a shutdown: %d %q", got.Code, got.Body)
		}
	})
}

func TestHealth(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	h := mustHandler(t, w, Options{})
	type entry struct{ Status, Level, Message string }
	var report struct {
		Status               string
		Info, Error, Details map[string]entry
	}
	got := ask(h, "GET", "/api/health", "")
	wantStatus(t, got, 200)
	wantHeaders(t, got.Header(), "Content-Type", "application/json")
	decodeInto(t, got, &report)
	if report.Status != "ok" || len(report.Error) != 0 || len(report.Info) == 0 || len(report.Info) != len(report.Details) || report.Details["heap"].Status != "up" {
		t.Errorf("the report is %+v", report)
	}
	if _, err := w.Health().Add(health.Check{Name: "panics", Run: func(context.Context) health.Result { panic("out of luck") }}); err != nil {
		t.Fatal(err)
	}
	got = ask(h, "GET", "/api/health", "", "Accept", "application/health+json;q=0.9")
	decodeInto(t, got, &report)
	wantHeaders(t, got.Header(), "Content-Type", "application/health+json")
	if got.Code != 503 || report.Status != "error" || report.Error["panics"].Status != "down" || !strings.Contains(report.Error["panics"].Message, "out of luck") {
		t.Errorf("%d with a check that panicked: %+v", got.Code, report)
	}
}
