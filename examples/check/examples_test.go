package check

import (
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// example is a program and what it serves: its own routes, and the warden's under a prefix.
type example struct {
	name        string
	arguments   []string
	environment []string
	told        string // what it writes once it handles signals, besides where it listens
	bare        bool   // it has no routes of its own: what it serves is package auto's

	business string // path of its own
	answers  answer // there
	nothing  answer // of its own router, where there is nothing
	prefix   string // of the warden's routes
	task     string // cleanup task that it adds
	owner    string // owner of memory that it registers; empty: none
}

const textType = "text/plain; charset=utf-8"

var free = []string{"-addr", "127.0.0.1:0"}

var examples = []example{
	{
		name: "nethttp", arguments: free, business: "/primes/100", answers: answer{http.StatusOK, textType, "541\n"},
		nothing: answer{http.StatusNotFound, textType, "404 page not found\n"}, task: "forget_answers", owner: "answers",
	},
	{
		name: "chi", arguments: free, business: "/hello/ada", answers: answer{http.StatusOK, textType, "hello, ada\n"},
		nothing: answer{http.StatusNotFound, textType, "404 page not found\n"}, prefix: "/internal", task: "idle_connections",
	},
	{
		name: "gin", arguments: free, business: "/hello/ada", answers: answer{http.StatusOK, textType, "hello, ada\n"},
		nothing: answer{http.StatusNotFound, "text/plain", "404 page not found"}, prefix: "/internal", task: "idle_connections",
	},
	{
		name: "echo", arguments: free, business: "/hello/ada", answers: answer{http.StatusOK, "text/plain; charset=UTF-8", "hello, ada\n"},
		nothing: answer{http.StatusNotFound, "application/json", `{"message":"Not Found"}` + "\n"}, prefix: "/internal", task: "idle_connections",
	},
	{name: "auto", environment: []string{"MEMWARDEN_ADDR=127.0.0.1:0"}, told: "counting", bare: true},
}

func TestExamples(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: a process cannot be sent SIGTERM")
	}
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			file := build(t, e.name)
			t.Run("with a token", func(t *testing.T) {
				p := run(t, file, append(e.environment, "MEMWARDEN_ADMIN_TOKEN="+token), e.arguments, e.told)
				e.checkOwn(t, p)
				e.checkReads(t, p)
				e.checkAdmin(t, p)
				e.checkStream(t, p)
			})
			t.Run("without a token", func(t *testing.T) {
				p := run(t, file, append(e.environment, "MEMWARDEN_ADMIN_TOKEN="), e.arguments, e.told)
				e.expect(t, p, http.MethodPost, "/api/monitoring/memory/gc", token, http.StatusForbidden)
				p.terminate(t)
			})
		})
	}
}

// checkOwn: the program's routes are its own, as before it was watched.
func (e example) checkOwn(t *testing.T, p *program) {
	t.Helper()
	if e.bare {
		return
	}
	for _, c := range []struct {
		path string
		want answer
	}{{e.business, e.answers}, {"/nothing", e.nothing}} {
		if got := p.ask(t, http.MethodGet, c.path, ""); got != c.want {
			t.Errorf("GET %s: %+v, want %+v", c.path, got, c.want)
		}
	}
}

// expect asks for a route of the warden and returns the body if the status is the one expected.
func (e example) expect(t *testing.T, p *program, method, path, bearer string, status int) string {
	t.Helper()
	got := p.ask(t, method, e.prefix+path, bearer)
	if got.status != status {
		t.Errorf("%s %s: %+v, want %d", method, e.prefix+path, got, status)
		return ""
	}
	want := "application/json"
	if status >= http.StatusBadRequest {
		want = "application/problem+json"
	}
	if strings.HasPrefix(path, "/api/") && got.kind != want {
		t.Errorf("%s %s: Content-Type %q, want %q", method, e.prefix+path, got.kind, want)
	}
	return got.body
}

func (e example) checkReads(t *testing.T, p *program) {
	t.Helper()
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/metrics", "/openapi.yaml", "/api/monitoring/memory/health"} {
		e.expect(t, p, http.MethodGet, path, "", http.StatusOK)
	}
	var health struct{ Status string }
	decode(t, e.expect(t, p, http.MethodGet, "/api/health", "", http.StatusOK), &health)
	if health.Status != "ok" {
		t.Errorf("health: status %q", health.Status)
	}
	var stats struct {
		Go struct {
			Goroutines int64
		}
	}
	decode(t, e.expect(t, p, http.MethodGet, "/api/monitoring/memory/stats", "", http.StatusOK), &stats)
	if stats.Go.Goroutines == 0 {
		t.Error("statistics: no goroutines")
	}
	e.checkOwners(t, p)
}

// checkOwners waits for the sample that shows the owner which the program has registered.
func (e example) checkOwners(t *testing.T, p *program) {
	t.Helper()
	want := []string{"event_bus", "history"}
	if e.owner != "" {
		want = append(want, e.owner)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var limits struct{ Limits []struct{ Name string } }
		decode(t, e.expect(t, p, http.MethodGet, "/api/monitoring/memory/limits", "", http.StatusOK), &limits)
		missing := slices.DeleteFunc(slices.Clone(want), func(name string) bool {
			return slices.Contains(limits.Limits, struct{ Name string }{name})
		})
		if len(missing) == 0 || t.Failed() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("limits: owners %v, want %v among them", limits.Limits, missing)
		}
	}
}

func (e example) checkAdmin(t *testing.T, p *program) {
	t.Helper()
	const gc, profile = "/api/monitoring/memory/gc", "/debug/pprof/heap"
	e.expect(t, p, http.MethodPost, gc, "", http.StatusUnauthorized)
	e.expect(t, p, http.MethodPost, gc, "not "+token, http.StatusUnauthorized)
	e.expect(t, p, http.MethodPost, gc, token, http.StatusOK)
	e.expect(t, p, http.MethodGet, profile, "", http.StatusUnauthorized)
	if heap := e.expect(t, p, http.MethodGet, profile, token, http.StatusOK); !strings.HasPrefix(heap, "\x1f\x8b") {
		t.Error("the heap profile is not gzip")
	}
	e.expect(t, p, http.MethodPost, "/api/monitoring/memory/cleanup/no_such_task/run", token, http.StatusNotFound)
	if e.task == "" {
		return
	}
	var result struct{ Task, Trigger, Error string }
	decode(t, e.expect(t, p, http.MethodPost, "/api/monitoring/memory/cleanup/"+e.task+"/run", token, http.StatusOK), &result)
	if result.Task != e.task || result.Trigger != "manual" || result.Error != "" {
		t.Errorf("cleanup: %+v, want a run of %s by hand", result, e.task)
	}
}

// checkStream follows the live stream through the router's writers, and the shutdown that ends it.
func (e example) checkStream(t *testing.T, p *program) {
	t.Helper()
	event, data, rest := p.follow(t, e.prefix+"/api/monitoring/live")
	if event != "sample" || !json.Valid([]byte(data)) {
		t.Errorf("first event: %s %s, want a sample in JSON", event, data)
	}
	p.terminate(t)
	if e.bare {
		return // the program ends by itself: nobody closes its streams
	}
	if _, err := io.Copy(io.Discard, rest); err != nil {
		t.Errorf("the stream was cut off: %v", err)
	}
}

func decode(t *testing.T, body string, into any) {
	t.Helper()
	if body == "" {
		return // expect has told why
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Errorf("%v: %s", err, body)
	}
}
