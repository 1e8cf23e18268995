package apitest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/pressure"
)

const (
	memory    = "/api/monitoring/memory"
	snapshots = memory + "/snapshots"
	incidents = memory + "/incidents"
	pages     = "/api/monitoring/frontend"
	frontend  = pages + "/reports"
)

// generous does not limit what tests ask for.
var generous = memhttp.Options{RateLimit: -1, AdminRateLimit: 1e4}

// administered has a token as well.
func administered(t *testing.T) memhttp.Options {
	o := generous
	o.AdminToken = parseToken(t, token)
	return o
}

// excused is what the document has and no test can bring about, with the reason.
var excused = map[string]string{
	" 500":                           "no defect is known that brings it about",
	"GoMemory.gc_limiter_last_cycle": "the collector's CPU limiter needs half of all CPUs for seconds",
	"ReliefDecision.factor_ratio":    "as above: a relief needs a collector that spirals",
	"ReliefDecision.until":           "as above",
	"LimitDecision.relief_until":     "as above",
	"PressureSignal.garbage_bytes":   "absent where there is no garbage, which is the collector's choice",
	"GCRequest.return_to_os":         "part of requests",
	"IncidentRequest.reason":         "part of requests",
}

// TestAnswers gets every answer that the service's document has and validates each.
func TestAnswers(t *testing.T) {
	b := newBook(t)
	groups := []struct {
		name string
		run  func(*testing.T, *book)
	}{
		{"probes", testProbes}, {"reads", testReads}, {"leaks", testLeaks}, {"access", testAccess}, {"rates", testRates}, {"load", testLoad}, {"gc", testGC},
		{"config", testConfig}, {"config of others", testConfigOfOthers}, {"store lost", testStoreLost}, {"cleanup", testCleanup},
		{"reports", testReports}, {"pages", testPages}, {"origins", testOrigins}, {"snapshots", testSnapshots}, {"incidents", testIncidents}, {"profiles", testProfiles}, {"remote", testRemote}, {"nothing there", testNothingThere}, {"events", testEvents},
		{"websocket", testWebSocket}, {"service", testService},
	}
	ran := 0
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) { ran++; group.run(t, b) })
	}
	if ran < len(groups) || t.Failed() || runtime.GOOS != "linux" {
		return // a part of the tests sees a part of the document; heap snapshots are taken on Linux alone
	}
	for _, name := range b.unseen() {
		excuse := ""
		for part, reason := range excused {
			if strings.Contains(name, part) {
				excuse = reason
			}
		}
		if excuse == "" {
			t.Errorf("documented, but never seen: %s", name)
		}
	}
}

var asJSON, asHealth = []string{"Accept", "application/json"}, []string{"Accept", "text/html, application/health+json"}

func testProbes(t *testing.T, b *book) {
	up := b.serveHTTP(t, startWarden(t, memwarden.Options{}), generous)
	ill := startWarden(t, memwarden.Options{})
	level := health.Degraded
	addCheck(t, ill, func() health.Level { return level })
	down := b.serveHTTP(t, ill, generous)
	down.send(t, 200, request{operation: "GET /readyz", header: asJSON})
	level = health.Down
	for _, path := range []string{"/livez", "/readyz", "/startupz"} {
		for _, c := range []struct {
			s      target
			status int
			text   string
		}{{up, 200, "ok\n"}, {down, 503, "error\n"}} {
			if got := c.s.send(t, c.status, request{operation: "GET " + path}); string(got.body) != c.text {
				t.Errorf("%s says %q, want %q", path, got.body, c.text)
			}
			c.s.send(t, c.status, request{operation: "GET " + path, path: path + "?verbose"})
			c.s.send(t, c.status, request{operation: "GET " + path, header: asJSON})
			c.s.send(t, c.status, request{operation: "GET " + path, header: asHealth})
		}
	}
	up.send(t, 200, request{operation: "GET /api/health"})
	up.send(t, 200, request{operation: "GET /api/health", header: asHealth})
	down.send(t, 503, request{operation: "GET /api/health"})
	down.send(t, 503, request{operation: "GET /api/health", header: asHealth})

	ending := startWarden(t, memwarden.Options{})
	going := b.serveHTTP(t, ending, generous)
	ending.Health().SetShuttingDown()
	going.send(t, 503, request{operation: "GET /readyz", header: asJSON})
	going.send(t, 200, request{operation: "GET /livez"})
}

func testReads(t *testing.T, b *book) {
	for range 2 {
		runtime.GC() // so that there are pauses to tell of
	}
	w := startWarden(t, memwarden.Options{Root: container(t, roomy), Store: openStore(t)})
	for _, register := range []func() error{
		func() error { _, err := w.Register(entries{}); return err },
		func() error { _, err := w.Register(broken{}); return err },
	} {
		if err := register(); err != nil {
			t.Fatal(err)
		}
	}
	s := b.serveHTTP(t, w, generous)
	awaitTick(t, w) // that has asked the owners
	for _, path := range []string{memory + "/stats", memory + "/health", memory + "/limits", "/metrics", "/openapi.yaml"} {
		s.send(t, 200, request{operation: "GET " + path})
		s.send(t, 400, request{operation: "GET " + path, path: path + "?token=" + "x"})
		s.send(t, 400, request{operation: "GET " + path, path: path + "?history=%zz"})
	}
	const stats = "GET " + memory + "/stats"
	for query, status := range map[string]int{
		"history=1s": 200, "history=10s&since=0": 200, "history=1m&since=2026-01-02T15:04:05Z&until=4102444800": 200,
		"history=2s": 400, "since=0": 400, "history=": 400, "history=1s&since=yesterday": 400, "history=1s&until=1.5": 400,
		"history=1s&since=20&until=20": 400, "histroy=1s": 400,
	} {
		s.send(t, status, request{operation: stats, path: memory + "/stats?" + query})
	}

	troubled := container(t, "950000000\n") // the pod is fuller than the container
	if err := os.WriteFile(troubled+"/proc/self/limits", []byte("nothing of use\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	trouble := b.serveHTTP(t, startWarden(t, memwarden.Options{Root: troubled}), generous)
	trouble.send(t, 200, request{operation: stats})
	trouble.send(t, 200, request{operation: "GET " + memory + "/health"})
}

// awaitTick waits for a tick that began after the call.
func awaitTick(t *testing.T, w *memwarden.Warden) {
	t.Helper()
	events, err := w.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	for samples := 0; samples < 2; {
		select {
		case e := <-events.Events:
			if e.Kind == memwarden.EventSample {
				samples++
			}
		case <-time.After(time.Minute):
			t.Fatal("no sample comes")
		}
	}
}

// admin are the admin routes, as requests that would be answered well.
func admin() []request {
	return []request{
		{operation: "POST " + memory + "/leaks/check"},
		{operation: "POST " + memory + "/leaks/{id}/acknowledge", path: memory + "/leaks/1/acknowledge"},
		{operation: "POST " + memory + "/leaks/{id}/dismiss", path: memory + "/leaks/1/dismiss"},
		{operation: "POST " + memory + "/gc"},
		{operation: "GET " + memory + "/config"},
		{operation: "PATCH " + memory + "/config", body: "{}"},
		{operation: "GET " + frontend},
		{operation: "GET " + pages + "/components"},
		{operation: "GET " + pages + "/releases"},
		{operation: "GET " + pages + "/leaks"},
		{operation: "GET " + memory + "/config/audit"},
		{operation: "GET " + memory + "/cleanup"},
		{operation: "POST " + memory + "/cleanup/{name}/run", path: memory + "/cleanup/caches/run"},
		{operation: "POST " + snapshots},
		{operation: "GET " + snapshots},
		{operation: "GET " + snapshots + "/compare", path: snapshots + "/compare?from=x&to=y"},
		{operation: "GET " + snapshots + "/{id}", path: snapshots + "/x"},
		{operation: "DELETE " + snapshots + "/{id}", path: snapshots + "/x"},
		{operation: "GET " + snapshots + "/{id}/download", path: snapshots + "/x/download"},
		{operation: "POST " + incidents},
		{operation: "GET " + incidents},
		{operation: "GET " + incidents + "/{id}", path: incidents + "/x"},
		{operation: "DELETE " + incidents + "/{id}", path: incidents + "/x"},
		{operation: "GET " + incidents + "/{id}/download", path: incidents + "/x/download"},
		{operation: "GET /debug/pprof/"},
		{operation: "GET /debug/pprof/profile"},
		{operation: "GET /debug/pprof/trace"},
		{operation: "GET /debug/pprof/flightrecorder"},
		{operation: "GET /debug/pprof/{profile}", path: "/debug/pprof/heap"},
	}
}

// concrete puts names into a path.
func concrete(path string) string {
	return strings.NewReplacer("{name}", "caches", "{profile}", "heap", "{id}", "1").Replace(path)
}

// reads are the routes that may ask for a token.
func reads() []request {
	var list []request
	for _, path := range []string{memory + "/stats", memory + "/health", memory + "/limits", memory + "/leaks", "/api/monitoring/live", "/metrics", "/openapi.yaml"} {
		list = append(list, request{operation: "GET " + path})
	}
	return append(list, request{operation: "GET " + memory + "/leaks/{id}", path: memory + "/leaks/1"})
}

// admitted is the status of a request that is let through. There is no leak to be found where nobody has looked for one.
func admitted(r request) int {
	if strings.HasSuffix(r.path, "/leaks/1") {
		return 404
	}
	return 200
}

func testAccess(t *testing.T, b *book) {
	w := startWarden(t, memwarden.Options{})
	closed := b.serveHTTP(t, w, memhttp.Options{RateLimit: -1, AdminRateLimit: 1e4, Name: "closed"})
	open := b.serveHTTP(t, w, memhttp.Options{RateLimit: -1, AdminRateLimit: 1e4, Name: "open", AdminToken: parseToken(t, token)})
	private := b.serveHTTP(t, w, memhttp.Options{RateLimit: -1, AdminRateLimit: 1e4, Name: "private", AdminToken: parseToken(t, token), ReadsNeedToken: true})
	for _, r := range admin() {
		r.token = token
		closed.send(t, 403, r)
		for _, wrong := range []request{{}, {token: "correct horse battery stapler"}, {user: token, token: "x"}, {user: "admin", token: "no"}} {
			r.user, r.token = wrong.user, wrong.token
			open.send(t, 401, r)
		}
		_, path, _ := strings.Cut(r.operation, " ")
		r.user, r.token, r.path = "", token, concrete(path)+"?unknown=1"
		open.send(t, 400, r)
	}
	for _, r := range reads() {
		private.send(t, 401, r)
		private.send(t, 401, request{operation: r.operation, path: r.path, token: "correct horse battery stapler"})
		if r.operation != "GET /api/monitoring/live" {
			private.send(t, admitted(r), request{operation: r.operation, path: r.path, token: token})
			private.send(t, admitted(r), request{operation: r.operation, path: r.path, user: "anyone", token: token})
			closed.send(t, admitted(r), r)
		}
		private.send(t, 400, request{operation: r.operation, token: token, path: concrete(r.operation[len("GET "):]) + "?token=" + token[:3]})
	}
	private.send(t, 200, request{operation: "GET /livez"})
	private.send(t, 200, request{operation: "GET /api/health"})
	open.send(t, 200, request{operation: "GET " + memory + "/config", user: "anyone", token: token})
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}} {
		open.send(t, 403, request{operation: "POST " + memory + "/gc", user: "a", token: token, header: header})
	}
	open.send(t, 200, request{operation: "POST " + memory + "/gc", token: token, header: []string{"Sec-Fetch-Site", "same-origin"}})
}

func testRates(t *testing.T, b *book) {
	w := startWarden(t, memwarden.Options{})
	few := memhttp.Options{RateLimit: 0.01, RateBurst: 1, AdminRateLimit: 0.01, ReportRateLimit: 0.01, AdminToken: parseToken(t, token)}
	s := b.serveHTTP(t, w, few)
	s.send(t, 200, request{operation: "GET " + memory + "/stats"})
	for _, r := range reads() {
		s.send(t, 429, r)
	}
	s.send(t, 401, request{operation: "GET " + memory + "/config", token: "a guess that counts"})
	for _, r := range admin() {
		r.token = token
		got := s.send(t, 429, r)
		if wait := got.header.Get("Retry-After"); wait != "100" {
			t.Errorf("Retry-After: %s, want 100", wait)
		}
	}
	add := request{operation: "POST " + frontend, body: report}
	s.send(t, 201, add)
	s.send(t, 429, add)
	s.send(t, 200, request{operation: "GET /livez"})
}

// testLoad: under pressure reads are refused, and what helps against it is not.
func testLoad(t *testing.T, b *book) {
	level := pressure.Normal
	admission, err := memhttp.NewAdmission(memhttp.AdmissionOptions{Level: func() pressure.Level { return level }})
	if err != nil {
		t.Fatal(err)
	}
	o := administered(t)
	o.Admission = admission
	s := b.serveHTTP(t, startWarden(t, memwarden.Options{}), o)
	s.send(t, 200, request{operation: "GET " + memory + "/stats"})
	for now, refused := range map[pressure.Level]func(request) bool{
		pressure.High:     func(r request) bool { return r.operation == "GET /openapi.yaml" },
		pressure.Critical: func(r request) bool { return r.operation != "GET /metrics" },
	} {
		level = now
		for _, r := range reads() {
			switch {
			case refused(r):
				if got := s.send(t, 503, r); got.header.Get("Retry-After") == "" {
					t.Errorf("%s: the client is not told when to come back", r.operation)
				}
			case r.operation != "GET /api/monitoring/live":
				s.send(t, admitted(r), r)
			}
		}
		s.send(t, 200, request{operation: "GET /livez"})
		s.send(t, 200, request{operation: "GET /api/health"})
		s.send(t, 200, request{operation: "GET " + memory + "/config", token: token})
	}
	level = pressure.Normal
	for _, r := range reads() {
		r.body = strings.Repeat("x", 64<<10+1)
		if r.operation != "GET /metrics" {
			s.send(t, 413, r)
		}
	}
}

// badBody is a body with the status that answers it.
type badBody struct {
	status     int
	kind, body string
}

// malformed are bodies that no route takes.
var malformed = []badBody{
	{400, "application/json", `{"return_to_os":`}, {400, "application/json", `[]`}, {400, "application/json", `7`},
	{400, "application/json", `{} {}`}, {400, "application/json", "\x00"}, {400, "application/json", `{"x":1,"x":2}`},
	{400, "application/json", strings.Repeat("[", 33) + strings.Repeat("]", 33)},
	{415, "text/plain", `{}`}, {415, "nonsense/", `{}`}, {415, "application/x-www-form-urlencoded", `a=b`},
	{413, "application/json", `{"x":"` + strings.Repeat("x", 64<<10) + `"}`},
}

func testGC(t *testing.T, b *book) {
	s := b.serveHTTP(t, startWarden(t, memwarden.Options{}), administered(t))
	r := request{operation: "POST " + memory + "/gc", token: token}
	for _, bad := range append(slices.Clone(malformed),
		badBody{400, "application/json", `{"return_to_os":"yes"}`}, badBody{400, "application/json", `{"return_to_os":true,"force":true}`}) {
		r.kind, r.body = bad.kind, bad.body
		s.send(t, bad.status, r)
	}
	r.kind, r.body = "application/json; charset=utf-8", `{"return_to_os":true}`
	var result struct {
		Ran        bool
		RetryAfter float64 `json:"retry_after_seconds"`
	}
	if s.send(t, 200, r).into(t, &result); !result.Ran {
		t.Error("the first collection was not run")
	}
	r.kind, r.body = "", ""
	if s.send(t, 200, r).into(t, &result); result.Ran || result.RetryAfter <= 0 {
		t.Errorf("a second collection at once: %+v, want it backed off", result)
	}
}

func testConfig(t *testing.T, b *book) {
	w := startWarden(t, memwarden.Options{Store: openStore(t)})
	s := b.serveHTTP(t, w, administered(t))
	read, patch := request{operation: "GET " + memory + "/config", token: token}, request{operation: "PATCH " + memory + "/config", token: token}
	if tag := s.send(t, 200, read).header.Get("ETag"); tag != `"0"` {
		t.Errorf("ETag %s, want \"0\"", tag)
	}
	for _, bad := range malformed {
		patch.kind, patch.body = bad.kind, bad.body
		s.send(t, bad.status, patch)
	}
	patch.kind = "application/merge-patch+json"
	for _, invalid := range []string{
		`{"pressure":{"elevated_ratio":0.85}}`, `{"pressure":{"elevated_ratio":0.01,"high_ratio":2}}`, `{"pressure":{"nothing":1}}`,
		`{"nothing":{"x":1},"gc":{"relief":"yes"}}`, `{"gc":{"tuner_min_percent":1.5}}`, `{"sampling":{"interval_seconds":-1}}`, `{"limit":7}`,
		`{"gc":{"min_interval_seconds":600}}`, `{"pressure":{"hysteresis_ratio":0.15}}`,
	} {
		patch.body = invalid
		s.send(t, 422, patch)
	}
	patch.body, patch.path = `{"pressure":{"high_ratio":0.85}}`, memory+"/config?dry_run=true"
	s.send(t, 200, patch)
	patch.path = memory + "/config?dry_run=perhaps"
	s.send(t, 400, patch)
	patch.path, patch.header = "", []string{"If-Match", "newest"}
	s.send(t, 400, patch)
	patch.header = []string{"If-Match", `"7"`}
	s.send(t, 412, patch)
	patch.header = []string{"If-Match", `"0"`}
	if tag := s.send(t, 200, patch).header.Get("ETag"); tag != `"1"` {
		t.Errorf("ETag %s, want \"1\"", tag)
	}
	var whole struct{ Config json.RawMessage }
	s.send(t, 200, read).into(t, &whole)
	patch.header, patch.body = nil, string(whole.Config)
	s.send(t, 200, patch)
	patch.kind, patch.body = "application/json", `{"pressure":null,"gc":{"relief":null}}`
	s.send(t, 200, patch)

	audit := request{operation: "GET " + memory + "/config/audit", token: token}
	var changes struct{ Changes []struct{ Version int } }
	if s.send(t, 200, audit).into(t, &changes); len(changes.Changes) != 3 || changes.Changes[0].Version != 3 {
		t.Errorf("the audit log has %+v, want the versions 3, 2, 1", changes.Changes)
	}
	for query, status := range map[string]int{"limit=1": 200, "limit=0": 400, "limit=1001": 400, "limit=many": 400} {
		audit.path = memory + "/config/audit?" + query
		s.send(t, status, audit)
	}
}

func testCleanup(t *testing.T, b *book) {
	w := startWarden(t, memwarden.Options{})
	began, release := addTasks(t, w)
	s := b.serveHTTP(t, w, administered(t))
	run := func(name string) request {
		return request{operation: "POST " + memory + "/cleanup/{name}/run", path: memory + "/cleanup/" + name + "/run", token: token}
	}
	for _, name := range []string{"caches", "fails", "panics", "stuck"} {
		s.send(t, 200, run(name))
	}
	s.send(t, 404, run("unknown"))
	s.send(t, 404, run("a%20b"))
	for _, bad := range malformed {
		r := run("caches")
		r.kind, r.body = bad.kind, bad.body
		s.send(t, bad.status, r)
	}
	empty := run("caches")
	empty.body = "{}"
	s.send(t, 200, empty)

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := w.Cleanup().Run(context.Background(), "slow", "manual"); err != nil {
			t.Error(err)
		}
	}()
	<-began
	s.send(t, 409, run("slow"))
	s.send(t, 200, request{operation: "GET " + memory + "/cleanup", token: token})
	close(release)
	<-ended
	s.send(t, 200, request{operation: "GET " + memory + "/cleanup", token: token})
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.send(t, 503, run("caches"))
}

func testProfiles(t *testing.T, b *book) {
	s := b.serveHTTP(t, startWarden(t, memwarden.Options{}), administered(t))
	s.send(t, 200, request{operation: "GET /debug/pprof/", token: token})
	const one = "GET /debug/pprof/{profile}"
	for path, status := range map[string]int{
		"heap": 200, "heap?gc=1": 200, "goroutine?debug=2": 200, "allocs?debug=1": 200, "nothing": 404,
		"heap?debug=3": 400, "heap?gc=yes": 400, "heap?seconds=1": 400,
	} {
		s.send(t, status, request{operation: one, path: "/debug/pprof/" + path, token: token})
	}
	for _, path := range []string{"/debug/pprof/profile", "/debug/pprof/trace"} {
		s.send(t, 200, request{operation: "GET " + path, path: path + "?seconds=1", token: token})
		for _, seconds := range []string{"0", "301", "soon"} {
			s.send(t, 400, request{operation: "GET " + path, path: path + "?seconds=" + seconds, token: token})
		}
	}
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	s.send(t, 409, request{operation: "GET /debug/pprof/profile", token: token})
	pprof.StopCPUProfile()
	if err := trace.Start(io.Discard); err != nil {
		t.Fatal(err)
	}
	s.send(t, 409, request{operation: "GET /debug/pprof/trace", token: token})
	trace.Stop()
	const recorder = "GET /debug/pprof/flightrecorder"
	s.send(t, 409, request{operation: recorder, token: token})
	incidents := memwarden.IncidentOptions{Dir: t.TempDir(), Trace: true}
	recording := b.serveHTTP(t, startWarden(t, memwarden.Options{Incidents: incidents}), administered(t))
	recording.send(t, 200, request{operation: recorder, token: token})
	end := make(chan struct{})
	var all sync.WaitGroup
	for range incident.MaxStacks {
		all.Go(func() { <-end })
	}
	s.send(t, 503, request{operation: one, path: "/debug/pprof/goroutine?debug=2", token: token})
	close(end)
	all.Wait()
}

// testRemote: a process that is watched from outside is not governed, and may end.
func testRemote(t *testing.T, b *book) {
	child := startChild(t)
	w := startWarden(t, memwarden.Options{PID: child.pid()})
	s := b.serveHTTP(t, w, administered(t))
	s.send(t, 409, request{operation: "POST " + memory + "/gc", token: token})
	for _, path := range []string{"/stats", "/health", "/limits"} {
		var document map[string]any
		s.send(t, 200, request{operation: "GET " + memory + path}).into(t, &document)
		for _, governed := range []string{"go", "limit", "relief", "gone"} {
			if _, ok := document[governed]; ok {
				t.Errorf("%s has %q of a process that is watched from outside", path, governed)
			}
		}
	}
	child.end(t)
	awaitTick(t, w)
	var document struct{ Gone bool }
	if s.send(t, 200, request{operation: "GET " + memory + "/stats"}).into(t, &document); !document.Gone {
		t.Error("the process has ended, and the statistics do not say so")
	}
	s.send(t, 503, request{operation: "GET /readyz", header: asJSON})
	s.send(t, 200, request{operation: "GET /metrics"})
}

// testNothingThere: what is no operation is answered as the document says under its responses.
func testNothingThere(t *testing.T, b *book) {
	s := b.serveHTTP(t, startWarden(t, memwarden.Options{}), administered(t))
	for _, path := range []string{"/nothing", "/api", memory, memory + "/leak", "/debug/pprof/a/b", memory + "/cleanup/x/stop"} {
		s.sendAside(t, "NotFound", 404, "GET", path)
	}
	for _, route := range memhttp.Routes() {
		path := concrete(route.Path)
		for _, method := range []string{"DELETE", "PUT", "OPTIONS"} {
			if method == "DELETE" && (route.Path == snapshots+"/{id}" || route.Path == incidents+"/{id}") {
				continue // they know that one
			}
			if method == "OPTIONS" && route.Path == frontend {
				continue // and it that one
			}
			got := s.sendAside(t, "MethodNotAllowed", 405, method, path)
			if allowed := got.header.Get("Allow"); !strings.Contains(allowed, route.Method) {
				t.Errorf("%s %s: Allow: %s, want %s in it", method, path, allowed, route.Method)
			}
		}
	}
	for _, path := range []string{"/debug/pprof", "//livez", "/api/../livez"} {
		q := s.prepare(t, "GET", "/", request{token: token})
		q.URL.Path = path
		response, err := s.client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusTemporaryRedirect {
			t.Errorf("%s: status %d, want 307", path, response.StatusCode)
		}
	}
}
