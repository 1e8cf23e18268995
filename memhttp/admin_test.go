package memhttp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/cleanup"
)

const (
	gcPath     = memoryPath + "/gc"
	configPath = memoryPath + "/config"
)

func TestGC(t *testing.T) {
	log := &logBook{}
	w := startWarden(t, memwarden.Options{Logger: log.logger()})
	h := mustHandler(t, w, Options{Logger: log.logger()})
	events := subscribe(t, w)
	defer events.Close()
	var result struct {
		Ran          bool
		ReturnedToOS bool `json:"returned_to_os"`
		Reason       string
		Before       *struct{}
		RetryAfter   float64 `json:"retry_after_seconds"`
	}
	got := ask(h, "POST", gcPath, `{"return_to_os":true}`, "Content-Type", "application/json; charset=utf-8")
	wantStatus(t, got, 200)
	if decodeInto(t, got, &result); !result.Ran || !result.ReturnedToOS || result.Before == nil {
		t.Errorf("the first collection: %s", got.Body)
	}
	if !strings.Contains(log.String(), "peer=192.0.2.1") {
		t.Error("the log does not say who asked")
	}
	for e := range events.Events {
		if e.Kind == memwarden.EventGC {
			text, err := json.Marshal(e.Data)
			if err != nil || strings.Contains(string(text), "192.0.2.1") {
				t.Errorf("%v: the stream, which may be open to all, tells the address of an admin: %s", err, text)
			}
			break
		}
	}
	result.Before = nil
	got = ask(h, "POST", gcPath, "", "Content-Type", "text/plain") // nothing has no type
	wantStatus(t, got, 200)
	if decodeInto(t, got, &result); result.Ran || result.RetryAfter <= 0 || result.Before != nil || !strings.HasPrefix(result.Reason, "not run") {
		t.Errorf("a collection at once after another: %s", got.Body)
	}
}

// TestBadBodies: the same is wrong with a body wherever there is one.
func TestBadBodies(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	h := mustHandler(t, w, Options{})
	ran := 0
	if _, err := w.Cleanup().Add(cleanup.Task{Name: "caches", Run: func(context.Context, cleanup.Trigger) (int64, error) { ran++; return 0, nil }}); err != nil {
		t.Fatal(err)
	}
	large := `{"x":"` + strings.Repeat("x", maxBodyBytes) + `"}`
	for _, c := range []struct {
		kind, body string
		status     int
		part       string
	}{
		{jsonType, `{"x":`, 400, ""}, {jsonType, `[]`, 400, ""}, {jsonType, `7`, 400, ""}, {jsonType, "\x00", 400, ""}, {jsonType, `{}{}`, 400, "follows"},
		{"text/plain", `{}`, 415, "want application/json"}, {"", `{}`, 415, "want application/json"}, {"nonsense/", `{}`, 415, ""},
		{"application/x-www-form-urlencoded", `return_to_os=true`, 415, ""}, {jsonType, large, 413, "larger than 65536 bytes"}, {"text/plain", large, 413, ""},
	} {
		for _, route := range []struct{ method, path string }{{"POST", gcPath}, {"PATCH", configPath}, {"POST", memoryPath + "/cleanup/caches/run"}} {
			got := ask(h, route.method, route.path, c.body, "Content-Type", c.kind)
			wantProblem(t, got, c.status, c.part)
			if strings.Contains(got.Body.String(), "memhttp.") || strings.Contains(got.Body.String(), "Go ") || strings.Contains(got.Body.String(), "struct") {
				if route.path != configPath { // the facade's words
					t.Errorf("%s: the problem tells of Go: %s", route.path, got.Body)
				}
			}
		}
	}
	wantProblem(t, ask(h, "POST", gcPath, `{"return_to_os":"yes"}`), 400, "return_to_os cannot be a JSON string")
	wantProblem(t, ask(h, "POST", gcPath, `{"force":true}`), 400, `unknown field "force"`)
	wantProblem(t, ask(h, "POST", memoryPath+"/cleanup/caches/run", `{"force":true}`), 400, `unknown field "force"`)
	if version := w.Config().Version; ran > 0 || version > 0 {
		t.Errorf("a body that was refused has run a task %d times and made version %d", ran, version)
	}
}

// brokenBody ends with an error, as when a client goes away while it sends.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("connection reset") }
func (brokenBody) Close() error             { return nil }

func TestBodyEndsEarly(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	r := newRequest("PATCH", configPath, "")
	r.Body = brokenBody{}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	wantProblem(t, answer, 400, "ended early")
}

// patched is the part of a configuration's document that the tests look at.
type patched struct {
	Version    int64
	DryRun     bool `json:"dry_run"`
	Overridden []string
	Config     struct {
		GC struct{ Relief bool } `json:"gc"`
	}
}

func TestConfig(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	h := mustHandler(t, w, Options{})
	get := func() (d patched) {
		t.Helper()
		got := ask(h, "GET", configPath, "")
		wantStatus(t, got, 200)
		decodeInto(t, got, &d)
		wantHeaders(t, got.Header(), "ETag", etag(d.Version))
		return d
	}
	if d := get(); d.Version != 0 || d.Overridden == nil || len(d.Overridden) != 0 || !d.Config.GC.Relief {
		t.Errorf("at the start: %+v", d)
	}
	var d patched
	const off = `{"gc":{"relief":false}}`
	for _, query := range []string{"?dry_run=true", "?dry_run=1"} {
		got := ask(h, "PATCH", configPath+query, off)
		wantStatus(t, got, 200)
		wantHeaders(t, got.Header(), "ETag", `"0"`)
		if decodeInto(t, got, &d); !d.DryRun || d.Config.GC.Relief || d.Version != 0 || get().Version != 0 {
			t.Errorf("a dry run: %s", got.Body)
		}
	}
	got := ask(h, "PATCH", configPath+"?dry_run=false", off, "Content-Type", "application/merge-patch+json", "If-Match", `"0"`)
	wantStatus(t, got, 200)
	wantHeaders(t, got.Header(), "ETag", `"1"`)
	if d = get(); d.Version != 1 || d.Config.GC.Relief || len(d.Overridden) != 1 || d.Overridden[0] != "gc.relief" {
		t.Errorf("after a change: %+v", d)
	}
	wantProblem(t, ask(h, "PATCH", configPath, off, "If-Match", `"0"`), http.StatusPreconditionFailed, "version is 1, the change was made against 0")
	wantStatus(t, ask(h, "PATCH", configPath, `{"gc":null}`, "If-Match", "*"), 200)
	if d = get(); d.Version != 2 || !d.Config.GC.Relief || len(d.Overridden) != 0 {
		t.Errorf("after a return to the start-up values: %+v", d)
	}
	for _, tag := range []string{"newest", `"1", "2"`, `W/"2"`, `"-1"`, `""`} {
		wantProblem(t, ask(h, "PATCH", configPath, off, "If-Match", tag), 400, "If-Match")
	}
	for _, query := range []string{"?dry_run=", "?dry_run=perhaps", "?dry_run"} {
		wantProblem(t, ask(h, "PATCH", configPath+query, off), 400, "query dry_run")
	}
	wantProblem(t, ask(h, "PATCH", configPath, ""), 400, "it is empty")
	if version := get().Version; version != 2 {
		t.Errorf("what was refused has made version %d", version)
	}
}

// TestInvalidConfig: every field that cannot be used is named, and nothing is changed.
func TestInvalidConfig(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	h := mustHandler(t, w, Options{})
	for body, want := range map[string][]string{
		`{"pressure":{"elevated_ratio":0.85}}`:                                       {"pressure.elevated_ratio"}, // above high
		`{"pressure":{"elevated_ratio":7}}`:                                          {"pressure.elevated_ratio"},
		`{"pressure":{"high_ratio":0.6,"critical_ratio":2}}`:                         {"pressure.critical_ratio", "pressure.elevated_ratio"},
		`{"gc":{"relief":"yes","tuner_min_percent":1.5,"nothing":1},"more":{"x":1}}`: {"gc.relief", "gc.tuner_min_percent", "gc.nothing", "more"},
		`{"sampling":{"interval_seconds":0}}`:                                        {"sampling.interval_seconds"},
	} {
		got := ask(h, "PATCH", configPath, body)
		wantStatus(t, got, http.StatusUnprocessableEntity)
		var p Problem
		decodeInto(t, got, &p)
		named := map[string]bool{}
		for _, f := range p.Errors {
			named[f.Field] = f.Detail != ""
		}
		for _, field := range want {
			if !named[field] {
				t.Errorf("%s: the errors %+v do not name %s", body, p.Errors, field)
			}
		}
		if !strings.HasSuffix(p.Detail, "nothing was changed") {
			t.Errorf("%s: %s", body, p.Detail)
		}
	}
	if version := w.Config().Version; version != 0 {
		t.Errorf("what was refused has made version %d", version)
	}
}

func TestStoreFails(t *testing.T) {
	store, log := &memoryStore{}, &logBook{}
	w := startWarden(t, memwarden.Options{Store: store})
	h := mustHandler(t, w, Options{Logger: log.logger()})
	const off = `{"gc":{"relief":false}}`
	store.fail(errLost, false, nil)
	wantProblem(t, ask(h, "PATCH", configPath, off), 503, memwarden.ErrStore.Error())
	store.fail(errLost, false, errLost)
	got := ask(h, "PATCH", configPath, off)
	wantProblem(t, got, 503, memwarden.ErrStoreUnknown.Error())
	if strings.Contains(got.Body.String(), "db.internal") || !strings.Contains(log.String(), "db.internal") {
		t.Errorf("where the store is belongs into the log alone: %s", got.Body)
	}
	wantProblem(t, ask(h, "GET", configPath+"/audit", ""), 503, "cannot be read")
	store.fail(errLost, true, nil) // lost after the change was made
	wantStatus(t, ask(h, "PATCH", configPath, off), 200)
	store.fail(nil, false, nil)
	wantStatus(t, ask(h, "PATCH", configPath, off), 200)
}

// TestOthersChangeTheStore: another instance was faster.
func TestOthersChangeTheStore(t *testing.T) {
	store := &memoryStore{}
	w := startWarden(t, memwarden.Options{Store: store})
	h := mustHandler(t, w, Options{})
	store.changes = append(store.changes, memwarden.ConfigChange{Version: 1, Actor: "other", Overrides: json.RawMessage(`{}`), Patch: json.RawMessage(`{}`)})
	store.fail(errors.New("version 1 is there"), false, nil)
	wantProblem(t, ask(h, "PATCH", configPath, `{"gc":{"relief":false}}`), http.StatusConflict, "changed meanwhile")
	store.fail(nil, false, nil)
	wantStatus(t, ask(h, "PATCH", configPath, `{"gc":{"relief":false}}`), 200)
}

func TestAudit(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	if got := ask(h, "GET", configPath+"/audit", ""); got.Body.String() != `{"changes":[]}` {
		t.Errorf("no changes are %s", got.Body)
	}
	for range 60 {
		wantStatus(t, ask(h, "PATCH", configPath, `{"gc":{"relief":false}}`), 200)
	}
	for query, want := range map[string]int{"": 50, "?limit=3": 3, "?limit=1000": 60} {
		var d struct {
			Changes []struct {
				Version     int64
				Actor, Peer string
				Patch       json.RawMessage
			}
		}
		decodeInto(t, ask(h, "GET", configPath+"/audit"+query, ""), &d)
		if len(d.Changes) != want {
			t.Errorf("?%s: %d changes, want %d", query, len(d.Changes), want)
		}
		if c := d.Changes[0]; c.Version != 60 || c.Actor != "admin" || c.Peer != "192.0.2.1" || string(c.Patch) != `{"gc":{"relief":false}}` {
			t.Errorf("the newest change is %+v", c)
		}
	}
	for _, limit := range []string{"", "0", "1001", "-1", "many", "1.5"} {
		wantProblem(t, ask(h, "GET", configPath+"/audit?limit="+limit, ""), 400, "want a whole number from 1 to 1000")
	}
}

func TestFieldProblems(t *testing.T) {
	if got := fieldProblems(errors.New("another")); got != nil {
		t.Errorf("an error without fields has %v", got)
	}
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	answer := httptest.NewRecorder()
	h.configProblem(answer, newRequest("PATCH", configPath, ""), errors.New("a defect"))
	wantProblem(t, answer, 500, "change the configuration")
}

// addTasks adds a task of each kind; the slow one ends when release is closed.
func addTasks(t *testing.T, w *memwarden.Warden, release chan struct{}) {
	t.Helper()
	for name, run := range map[string]func(context.Context, cleanup.Trigger) (int64, error){
		"works":  func(context.Context, cleanup.Trigger) (int64, error) { return 4096, nil },
		"fails":  func(context.Context, cleanup.Trigger) (int64, error) { return 0, errors.New("nothing to free") },
		"panics": func(context.Context, cleanup.Trigger) (int64, error) { panic("out of luck") },
		"slow":   func(context.Context, cleanup.Trigger) (int64, error) { <-release; return 1, nil },
		"polite": func(ctx context.Context, _ cleanup.Trigger) (int64, error) { <-ctx.Done(); return 0, ctx.Err() },
	} {
		if _, err := w.Cleanup().Add(cleanup.Task{Name: name, Timeout: time.Minute, Run: run}); err != nil {
			t.Fatal(err)
		}
	}
}

// cleaned is what the tests look at of a run's result.
type cleaned struct {
	Task, Trigger, Error string
	Freed                int64 `json:"freed_bytes"`
	Panicked             bool
	TimedOut             bool `json:"timed_out"`
}

func TestCleanup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{})
		if got := ask(h, "GET", memoryPath+"/cleanup", ""); got.Body.String() != `{"tasks":[]}` {
			t.Errorf("no tasks are %s", got.Body)
		}
		release := make(chan struct{})
		addTasks(t, w, release)
		run := func(name string) (r cleaned) {
			t.Helper()
			got := ask(h, "POST", memoryPath+"/cleanup/"+name+"/run", "{}")
			wantStatus(t, got, 200)
			decodeInto(t, got, &r)
			return r
		}
		for name, want := range map[string]cleaned{
			"works":  {Freed: 4096},
			"fails":  {Error: `cleanup: task "fails": nothing to free`},
			"panics": {Error: `cleanup: task "panics" panicked: out of luck`, Panicked: true},
			"polite": {Error: `cleanup: task "polite": timed out after 1m0s`, TimedOut: true},
		} {
			want.Task, want.Trigger = name, "manual"
			if got := run(name); got != want {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
		}
		ended := make(chan cleaned)
		go func() { ended <- run("slow") }()
		synctest.Wait()
		wantProblem(t, ask(h, "POST", memoryPath+"/cleanup/slow/run", ""), http.StatusConflict, `"slow" is running`)
		close(release)
		if got := <-ended; got.Freed != 1 {
			t.Errorf("the slow task: %+v", got)
		}
		wantProblem(t, ask(h, "POST", memoryPath+"/cleanup/unknown/run", ""), 404, `no cleanup task "unknown"`)
		wantProblem(t, ask(h, "POST", memoryPath+"/cleanup/a%20b/run", ""), 404, `"a b"`)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, newRequest("POST", memoryPath+"/cleanup/works/run", "").WithContext(ctx))
		if answer.Code == 200 && strings.Contains(answer.Body.String(), `"freed_bytes":4096`) {
			t.Errorf("the client had gone, and the task was run: %s", answer.Body)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantProblem(t, ask(h, "POST", memoryPath+"/cleanup/works/run", ""), 503, "closing")
	})
}

// deadlines is a client that takes note of the write deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	longest time.Duration
	refuse  error
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.longest = max(d.longest, time.Until(at))
	return d.refuse
}

// TestSlowAnswersMayTakeTheirTime: the server's write timeout is extended by as long as an answer may take.
func TestSlowAnswersMayTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		h := mustHandler(t, w, Options{})
		if _, err := w.Cleanup().Add(cleanup.Task{Name: "hours", Timeout: 2 * time.Hour, Run: func(context.Context, cleanup.Trigger) (int64, error) { return 0, nil }}); err != nil {
			t.Fatal(err)
		}
		send := func(method, path string, refuse error) *deadlines {
			d := &deadlines{httptest.NewRecorder(), 0, refuse}
			h.ServeHTTP(d, newRequest(method, path, ""))
			return d
		}
		for path, least := range map[string]time.Duration{gcPath: time.Minute, memoryPath + "/cleanup/hours/run": 2 * time.Hour} {
			if d := send("POST", path, nil); d.Code != 200 || d.longest < least {
				t.Errorf("%s: %d within %v, want at least %v", path, d.Code, d.longest, least)
			}
			wantProblem(t, send("POST", path, errLost).ResponseRecorder, 500, "extend the write deadline")
		}
		wantProblem(t, send("GET", "/debug/pprof/profile?seconds=1", errLost).ResponseRecorder, 500, "extend the write deadline")
	})
}
