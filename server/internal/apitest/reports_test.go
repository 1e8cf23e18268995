package apitest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/pressure"
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

// visit is a report with every field that the packages for browsers send.
const visit = `{"schema":1,"release":"1.4.0","page":"/cart","sent_at":"2026-01-02T15:05:00Z","items":[
	{"kind":"figures","at":"2026-01-02T15:04:59Z","ms":60012.5,"heap":{"source":"engine","bytes":48300000,"limit_bytes":4294705152,"at":1767366299000},
		"long_tasks":{"count":2,"total_ms":143,"longest_ms":88},"long_frames":{"count":1,"total_ms":60.5,"longest_ms":60.5},
		"caches":{"queries":{"entries":120,"inactive":90,"bytes":1024.5,"never_collected":0}},"self":{"ms":4.2,"share":0.0001,"off":false},"dropped":0},
	{"kind":"components","at":"2026-01-02T15:04:59Z","components":[{"name":"Cart","commits":31,"mounts":2,"unmounts":1,"live":1,"timed":31,"total_ms":210.5,"longest_ms":24}]},
	{"kind":"warning","at":"2026-01-02T15:04:30Z","warning":"slow_commit","subject":"Cart","value":24,"threshold":16},
	{"kind":"leak","at":"2026-01-02T15:04:40Z","what":"component","name":"Cart","owners":["Shop","App"],"released":60,"survivors":50,"holders":["interval at tick"]},
	{"kind":"monitor_off","at":"2026-01-02T15:04:50Z","ms":900,"share":0.02,"off":true},
	{"kind":"note","at":"2026-01-02T15:04:50Z","of":["its",{"own":null}]}]}`

func testPages(t *testing.T, b *book) {
	o, s := administered(t), openStore(t)
	o.ReportRateLimit, o.Reports = 1000, openReports(t, s, store.FrontendReports)
	w := startWarden(t, memwarden.Options{LeakReports: openReports(t, s, store.LeakReports), BrowserLeaks: openReports(t, s, store.BrowserLeaks)})
	at := b.serveHTTP(t, w, o)
	list := func(route, query string, status int) answer {
		return at.send(t, status, request{operation: "GET " + pages + route, path: pages + route + query, token: token})
	}
	list("/components", "", 200) // of nothing
	at.send(t, 201, request{operation: "POST " + frontend, body: visit})
	at.send(t, 201, request{operation: "POST " + frontend, body: report})
	for _, bad := range []string{`"commits":-1`, `"commits":1.5`, `"commits":"31"`, `"commits":null`} {
		at.send(t, 422, request{operation: "POST " + frontend, body: strings.Replace(visit, `"commits":31`, bad, 1)})
	}
	at.send(t, 200, request{operation: "GET " + frontend, token: token})
	for query, status := range map[string]int{
		"?release=1.4.0&name=Cart&sort=commits&offset=0&limit=100": 200, "?offset=1": 200, "?sort=name": 400, "?limit=0": 400, "?offset=-1": 400, "?before=1": 400,
	} {
		list("/components", query, status)
	}
	for query, status := range map[string]int{"?release=1.4.0&offset=0&limit=1": 200, "?release=": 200, "?limit=101": 400, "?name=Cart": 400} {
		list("/releases", query, status)
	}
	var got struct {
		Reports, Rows int
		Leaks         []struct{ Name string }
	}
	if list("/leaks", "?release=1.4.0&name=Cart&offset=0&limit=1", 200).into(t, &got); got.Reports != 2 || got.Rows != 1 || got.Leaks[0].Name != "Cart" {
		t.Errorf("%+v", got)
	}
	list("/leaks", "?sort=mean_ms", 400)
	var onList leaks
	at.send(t, 200, request{operation: "GET " + memory + "/leaks", path: memory + "/leaks?browser=true"}).into(t, &onList)
	if leak := onList.of("browser", "reported"); leak == nil || onList.Verdict != "insufficient data" {
		t.Errorf("on the list are %+v", onList)
	}
}

// testOrigins: pages of an origin that is named may send, and read the answer.
func testOrigins(t *testing.T, b *book) {
	o := administered(t)
	o.ReportOrigins = []string{"https://app.example"}
	level := pressure.Normal
	admission, err := memhttp.NewAdmission(memhttp.AdmissionOptions{Level: func() pressure.Level { return level }})
	if err != nil {
		t.Fatal(err)
	}
	o.Admission = admission
	s := b.serveHTTP(t, startWarden(t, memwarden.Options{}), o)
	named, other := []string{"Origin", "https://app.example"}, []string{"Origin", "https://other.example"}
	add := request{operation: "POST " + frontend, body: report, header: named}
	ask := request{operation: "OPTIONS " + frontend, header: named}
	if got := s.send(t, 201, add).header.Get("Access-Control-Allow-Origin"); got != "https://app.example" {
		t.Errorf("the answer is for %q", got)
	}
	s.send(t, 204, ask)
	add.header, ask.header = other, other
	s.send(t, 403, add)
	s.send(t, 403, ask)
	s.send(t, 400, request{operation: ask.operation, path: frontend + "?x=1", header: named})
	s.send(t, 413, request{operation: ask.operation, header: named, body: large})
	level = pressure.Critical
	s.send(t, 503, request{operation: ask.operation, header: named})
	o.ReportRateLimit, o.Name = 0.01, "few"
	s = b.serveHTTP(t, startWarden(t, memwarden.Options{}), o)
	level = pressure.Normal
	ask.header = named
	s.send(t, 204, ask)
	s.send(t, 429, ask)
}

// leakGoroutines begins five of them in each hundredth of a second, 10,000 at most, and ends them with the test.
func leakGoroutines(t *testing.T) {
	t.Helper()
	release, ended := make(chan struct{}), make(chan struct{})
	stop, most := make(chan struct{}), 10_000
	go func() {
		defer close(ended)
		for ticker := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-ticker.C:
			case <-stop:
				ticker.Stop()
				return
			}
			for range 5 {
				if most--; most > 0 { // so many make everything slow
					go func() { <-release }()
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-ended
		close(release)
	})
}

// watching looks for leaks of seconds.
func watching() *memwarden.Config {
	c := memwarden.DefaultConfig()
	c.Leaks = memwarden.LeakConfig{Enabled: true, IntervalSeconds: 0.1, WindowSeconds: 1, MinRiseRatio: 0.1}
	return &c
}

type leaks struct {
	Verdict string
	Paused  bool
	Leaks   []foundLeak
}

type foundLeak struct {
	ID                     int64
	Kind, Status, Sentence string
	AllocStack             []string `json:"alloc_stack"`
}

// of is the newest of a kind with a status.
func (l leaks) of(kind, status string) *foundLeak {
	for i := range l.Leaks {
		if l.Leaks[i].Kind == kind && l.Leaks[i].Status == status {
			return &l.Leaks[i]
		}
	}
	return nil
}

func testLeaks(t *testing.T, b *book) {
	kept := openReports(t, openStore(t), store.LeakReports)
	w := startWarden(t, memwarden.Options{LeakReports: kept, Config: watching()})
	s := b.serveHTTP(t, w, administered(t))
	full := memwarden.LeakReport{
		Kind: "held", Owner: "pool", Sentence: "<it> is held", AllocStack: []string{"main.take (main.go:7)", "main.main (main.go:3)"},
		Type: "main.Session", Path: []string{"main.sessions", "[…]"}, RetainedBytes: 1 << 20, GrowthPerSecond: 1.5, TimeToLimitSeconds: 60,
		LastSeen: time.Now().Add(time.Minute), Evidence: []string{"snapshot x"}, Actions: []string{"collected 1 MiB"},
	}
	for _, r := range []memwarden.LeakReport{{Kind: "held", Sentence: "it is held"}, full} {
		if err := w.ReportLeak(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	list := request{operation: "GET " + memory + "/leaks"}
	until := func(what string, seen func(leaks) bool) (got leaks) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			if s.send(t, 200, list).into(t, &got); seen(got) {
				return got
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the leaks are %+v", what, got)
			}
			got = leaks{}
		}
	}
	until("reported", func(l leaks) bool { return len(l.Leaks) == 2 })
	leakGoroutines(t) // and the heap that they hold
	found := until("confirmed", func(l leaks) bool { return l.of("goroutines", "confirmed") != nil })
	one := found.of("goroutines", "confirmed")
	if found.Verdict != "confirmed" || !strings.Contains(one.Sentence, "waiting to receive from a channel in ") ||
		!strings.Contains(strings.Join(one.AllocStack, " "), "leakGoroutines") {
		t.Errorf("found is %+v", one)
	}
	for query, status := range map[string]int{"limit=1&before=2": 200, "limit=0": 400, "limit=101": 400, "before=0": 400, "page=1": 400} {
		list.path = memory + "/leaks?" + query
		s.send(t, status, list)
	}
	list.path = ""
	s.send(t, 200, request{operation: "POST " + memory + "/leaks/check", token: token})
	s.send(t, 400, request{operation: "POST " + memory + "/leaks/check", token: token, body: "{"})
	s.send(t, 413, request{operation: "POST " + memory + "/leaks/check", token: token, body: large})
	s.send(t, 415, request{operation: "POST " + memory + "/leaks/check", token: token, body: "{}", kind: "text/html"})
	this := memory + "/leaks/" + strconv.FormatInt(one.ID, 10)
	s.send(t, 200, request{operation: "GET " + memory + "/leaks/{id}", path: this})
	s.send(t, 400, request{operation: "GET " + memory + "/leaks/{id}", path: this + "?x=1"})
	s.send(t, 404, request{operation: "GET " + memory + "/leaks/{id}", path: memory + "/leaks/987654321"})
	for _, verb := range []string{"acknowledge", "dismiss"} {
		operation := "POST " + memory + "/leaks/{id}/" + verb
		s.send(t, 200, request{operation: operation, path: this + "/" + verb, token: token})
		s.send(t, 404, request{operation: operation, path: memory + "/leaks/987654321/" + verb, token: token})
		s.send(t, 400, request{operation: operation, path: this + "/" + verb, token: token, body: "{"})
		s.send(t, 413, request{operation: operation, path: this + "/" + verb, token: token, body: large})
		s.send(t, 415, request{operation: operation, path: this + "/" + verb, token: token, body: "{}", kind: "text/html"})
	}
	until("dismissed", func(l leaks) bool {
		return l.of("goroutines", "dismissed") != nil && l.of("goroutines", "confirmed") == nil
	})
	off := memwarden.DefaultConfig()
	off.Leaks.Enabled = false
	s = b.serveHTTP(t, startWarden(t, memwarden.Options{Config: &off}), administered(t))
	s.send(t, 409, request{operation: "POST " + memory + "/leaks/check", token: token})
	paused := memwarden.DefaultConfig()
	paused.Leaks.Paused = true
	s = b.serveHTTP(t, startWarden(t, memwarden.Options{Config: &paused}), administered(t))
	s.send(t, 409, request{operation: "POST " + memory + "/leaks/check", token: token})
	var got leaks
	if s.send(t, 200, list).into(t, &got); !got.Paused {
		t.Error("it is not told that it is paused")
	}
}

// large is more than a body may be.
var large = `{"x":"` + strings.Repeat("x", 64<<10) + `"}`
