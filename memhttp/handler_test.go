package memhttp

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
)

// concrete puts names into the pattern of a route.
func concrete(pattern string) string {
	return strings.NewReplacer("{name}", "none", "{profile}", "heap").Replace(pattern)
}

// quick are the routes that answer at once, and with what is always there.
func quick() []Route {
	return slices.DeleteFunc(Routes(), func(r Route) bool {
		return r.Path == livePath || r.Path == memoryPath+"/leaks/{id}" || r.Path == "/debug/pprof/profile" || r.Path == "/debug/pprof/trace"
	})
}

func TestRoutesAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Routes() {
		if seen[r.Method+r.Path] || r.Summary == "" || strings.ContainsAny(r.Summary, "|\n") || strings.HasSuffix(r.Summary, ".") {
			t.Errorf("route %+v is there twice or badly summed up", r)
		}
		seen[r.Method+r.Path] = true
	}
}

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	paths := []string{"/nothing", "//livez"}
	for _, r := range quick() {
		paths = append(paths, concrete(r.Path))
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
			got := ask(h, method, path, "").Header()
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
				"Referrer-Policy": "no-referrer", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			} {
				if got.Get(name) != want {
					t.Errorf("%s %s: %s is %q, want %q", method, path, name, got.Get(name), want)
				}
			}
		}
	}
}

// TestHead: HEAD is answered as GET is, without a body.
func TestHead(t *testing.T) {
	c := memwarden.DefaultConfig()
	c.Sampling.IntervalSeconds, c.Sampling.SlowIntervalSeconds = 60, 600 // both ask for the same sample
	w := startWarden(t, memwarden.Options{Config: &c})
	s := httptest.NewServer(mustHandler(t, w, Options{}))
	t.Cleanup(s.Close)
	send := func(method, path string) (status int, kind, body string) {
		t.Helper()
		r := newRequest(method, s.URL+path, "")
		r.RequestURI = ""
		response, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		sent, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header.Get("Content-Type"), string(sent)
	}
	for _, r := range quick() {
		if r.Method != http.MethodGet {
			continue
		}
		path := concrete(r.Path)
		want, wantKind, _ := send("GET", path)
		if got, kind, body := send("HEAD", path); got != want || kind != wantKind || body != "" {
			t.Errorf("HEAD %s: %d, %s and a body of %d bytes; GET has %d, %s", path, got, kind, len(body), want, wantKind)
		}
	}
	// These would not end, or take half a minute.
	for path, want := range map[string]string{
		livePath: "text/event-stream", "/debug/pprof/profile": "application/octet-stream", "/debug/pprof/trace": "application/octet-stream",
	} {
		if got, kind, _ := send("HEAD", path); got != http.StatusOK || kind != want {
			t.Errorf("HEAD %s: %d %s, want 200 %s", path, got, kind, want)
		}
	}
}

func TestWrongMethod(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	for path, want := range map[string]string{
		"/livez": "GET, HEAD", "/metrics": "GET, HEAD", livePath: "GET, HEAD", "/debug/pprof/heap": "GET, HEAD",
		"/api/monitoring/memory/config": "GET, HEAD, PATCH", "/api/monitoring/memory/gc": "POST",
		"/api/monitoring/memory/cleanup/none/run": "POST",
	} {
		for _, method := range []string{"DELETE", "PUT", "OPTIONS", "TRACE", "PROPFIND"} {
			got := ask(h, method, path, "")
			wantProblem(t, got, http.StatusMethodNotAllowed, method+" is not possible")
			if allow := got.Header().Get("Allow"); allow != want {
				t.Errorf("%s %s: Allow is %q, want %q", method, path, allow, want)
			}
		}
	}
	wantStatus(t, ask(h, "HEAD", "/api/monitoring/memory/gc", ""), http.StatusMethodNotAllowed)
}

func TestNothingThere(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	for _, path := range []string{"/", "/nothing", "/api", "/api/monitoring/memory", "/livez/", "/debug", "/debug/pprof/a/b", "/LIVEZ"} {
		wantProblem(t, ask(h, "GET", path, ""), http.StatusNotFound, "there is nothing at "+path)
	}
}

// TestUnknownQuery: what a route does not know is refused, so that nothing mistyped is lost and no token gets into an
// address; probes answer whatever is asked.
func TestUnknownQuery(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	for _, r := range Routes() {
		path := concrete(r.Path)
		if r.Access == Probe {
			wantStatus(t, ask(h, r.Method, path+"?cachebuster=1", ""), http.StatusOK)
			continue
		}
		wantProblem(t, ask(h, r.Method, path+"?token="+"x", ""), http.StatusBadRequest, "query token: unknown")
		wantProblem(t, ask(h, r.Method, path+"?a=%zz", ""), http.StatusBadRequest, "the query cannot be read")
	}
	before := h.warden.Config().Version
	wantProblem(t, ask(h, "PATCH", "/api/monitoring/memory/config?dry_run=false&dry_run=true", `{"gc":{"relief":false}}`), http.StatusBadRequest, "it is there 2 times")
	wantProblem(t, ask(h, "PATCH", "/api/monitoring/memory/config?dryrun=true", `{"gc":{"relief":false}}`), http.StatusBadRequest, "want dry_run")
	if h.warden.Config().Version != before {
		t.Error("a mistyped dry run has changed the configuration")
	}
}

func TestNothingOnTheDefaultMux(t *testing.T) {
	mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	paths := []string{"/", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/debug/vars"}
	for _, r := range Routes() {
		paths = append(paths, concrete(r.Path))
	}
	for _, path := range paths {
		if _, pattern := http.DefaultServeMux.Handler(httptest.NewRequest(http.MethodGet, path, nil)); pattern != "" {
			t.Errorf("http.DefaultServeMux answers %s by %q: it is open to everyone whom the host program serves with it", path, pattern)
		}
	}
}

func TestUnderAPrefix(t *testing.T) {
	h := http.StripPrefix("/memory", mustHandler(t, startWarden(t, memwarden.Options{}), Options{}))
	wantStatus(t, ask(h, "GET", "/memory/livez", ""), http.StatusOK)
	wantStatus(t, ask(h, "GET", "/memory/debug/pprof/heap", ""), http.StatusOK)
}

func TestOptions(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	for name, c := range map[string]struct {
		w    *memwarden.Warden
		o    Options
		want []string
	}{
		"all wrong":       {nil, Options{RateBurst: -1, ReadsNeedToken: true}, []string{"warden is nil", "RateBurst -1", "there is no AdminToken"}},
		"negative rate":   {w, Options{AdminRateLimit: -1}, []string{"AdminRateLimit -1"}},
		"rate too high":   {w, Options{RateLimit: 1e7}, []string{"rate 1e+07"}},
		"admin too high":  {w, Options{AdminRateLimit: 1e7}, []string{"rate 1e+07"}},
		"name not usable": {w, Options{Name: "Über"}, []string{"name"}},
	} {
		_, err := Handler(c.w, c.o)
		for _, part := range c.want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q in it", name, err, part)
			}
		}
	}
	if _, err := NewLive("live", w, 0); err == nil {
		t.Error("a live stream for nobody was made")
	}
}

// ownerNames are the names that a warden knows.
func ownerNames(w *memwarden.Warden) []string {
	var names []string
	for _, owner := range w.State().Owners {
		names = append(names, owner.Name)
	}
	return names
}

// TestTwoHandlers: each has its owners under its own name, and one that cannot be made leaves none behind.
func TestTwoHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWarden(t, memwarden.Options{})
		mustHandler(t, w, Options{RateLimit: 5})
		if _, err := Handler(w, Options{}); err == nil || !strings.Contains(err.Error(), "needs another Options.Name") {
			t.Errorf("a second handler of the same name: %v", err)
		}
		taken, err := bounded.NewRateLimiter(bounded.RateLimiterOptions{Name: "b_admin_rate_limiter", Rate: 1, Burst: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Register(taken); err != nil {
			t.Fatal(err)
		}
		if _, err := Handler(w, Options{Name: "b"}); err == nil {
			t.Error("a handler whose owner's name is taken was made")
		}
		time.Sleep(time.Minute) // ticks have passed
		want := []string{"admin_rate_limiter", "b_admin_rate_limiter", "browser_leaks", "dismissed_leaks", "event_bus", "history", "leak_report_queue",
			"leak_reports", "live_clients", "rate_limiter", "report_figures", "report_ids",
			"report_rate_limiter", "reports", "tracked_objects"}
		if got := ownerNames(w); !slices.Equal(got, want) {
			t.Errorf("owners %v, want %v", got, want)
		}
	})
}

// TestRates: each client has its own burst and rate on reads, and fewer on admin routes; probes are never limited.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := Handler(startWarden(t, memwarden.Options{}), Options{AdminToken: mustToken(t, secret)})
		if err != nil {
			t.Fatal(err)
		}
		from := func(address, path string) *httptest.ResponseRecorder {
			r := newRequest("GET", path, "")
			r.RemoteAddr = address
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, r)
			return answer
		}
		const stats, config = "/api/monitoring/memory/stats", "/api/monitoring/memory/config"
		for i := range 200 {
			got := from(fmt.Sprintf("192.0.2.1:%d", 1000+i), stats)
			wantStatus(t, got, http.StatusOK)
			wantHeaders(t, got.Header(), "RateLimit-Limit", "200", "RateLimit-Remaining", fmt.Sprint(199-i))
		}
		refused := from("192.0.2.1:7", stats)
		wantProblem(t, refused, http.StatusTooManyRequests, "more than 100 requests a second")
		wantHeaders(t, refused.Header(), "Retry-After", "1", "RateLimit-Limit", "200", "RateLimit-Remaining", "0", "RateLimit-Reset", "2")
		wantStatus(t, from("192.0.2.2:7", stats), http.StatusOK)
		wantStatus(t, from("[2001:db8::1]:7", stats), http.StatusOK)
		for range 300 {
			got := from("192.0.2.1:7", "/livez")
			wantStatus(t, got, http.StatusOK)
			wantHeaders(t, got.Header(), "RateLimit-Limit", "")
		}
		time.Sleep(10 * time.Millisecond) // a hundredth of a second: one more
		wantStatus(t, from("192.0.2.1:7", stats), http.StatusOK)
		wantStatus(t, from("192.0.2.1:7", stats), http.StatusTooManyRequests)

		for i := range 20 {
			wantHeaders(t, from("192.0.2.3:7", config).Header(), "RateLimit-Limit", "20", "RateLimit-Remaining", fmt.Sprint(19-i))
		}
		wantProblem(t, from("192.0.2.3:7", config), http.StatusTooManyRequests, "more than 10 requests a second")
	})
}

func wantHeaders(t *testing.T, got http.Header, pairs ...string) {
	t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		if got.Get(pairs[i]) != pairs[i+1] {
			t.Errorf("%s is %q, want %q", pairs[i], got.Get(pairs[i]), pairs[i+1])
		}
	}
}

// TestGuessesCount: who tries tokens is stopped, the right one included.
func TestGuessesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{AdminRateLimit: 0.5})
		wantStatus(t, ask(h, "GET", "/debug/pprof/", "", "Authorization", "Bearer a guess that is wrong"), http.StatusUnauthorized)
		wantStatus(t, ask(h, "GET", "/debug/pprof/", ""), http.StatusTooManyRequests)
		time.Sleep(2 * time.Second)
		wantStatus(t, ask(h, "GET", "/debug/pprof/", ""), http.StatusOK)
	})
}

func TestAccess(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	open, private := mustHandler(t, w, Options{}), mustHandler(t, w, Options{Name: "private", ReadsNeedToken: true})
	closed, err := Handler(w, Options{Name: "closed", RateLimit: -1, AdminRateLimit: 1e5})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range quick() {
		path := concrete(r.Path)
		if r.Access == Admin {
			wantProblem(t, ask(closed, r.Method, path, ""), http.StatusForbidden, "no admin token is configured")
		}
		for _, wrong := range []string{"", "Bearer", "Bearer " + secret + "r", "Basic " + secret, "Digest " + secret, secret} {
			for _, h := range []*handler{open, private} {
				got := ask(h, r.Method, path, "", "Authorization", wrong)
				if r.Access == Admin || r.Access == Read && h == private {
					wantProblem(t, got, http.StatusUnauthorized, "missing or wrong")
					wantHeaders(t, got.Header(), "WWW-Authenticate", `Bearer realm="memwarden", Basic realm="memwarden"`)
					if strings.Contains(got.Body.String(), secret) {
						t.Errorf("%s %s: the answer repeats what was sent", r.Method, path)
					}
				} else if r.Method == http.MethodOptions { // for pages of origins that are named
					wantStatus(t, got, http.StatusForbidden)
				} else if r.Access == Public { // it asks for a body, and not for a token
					wantStatus(t, got, http.StatusUnsupportedMediaType)
				} else {
					wantStatus(t, got, http.StatusOK)
				}
			}
		}
		if got := ask(private, r.Method, path, ""); got.Code == http.StatusUnauthorized {
			t.Errorf("%s %s: the token does not open it", r.Method, path)
		}
	}
}

// TestOtherOrigins: a page elsewhere cannot use what a browser remembers of HTTP Basic.
func TestOtherOrigins(t *testing.T) {
	h := mustHandler(t, startWarden(t, memwarden.Options{}), Options{})
	const gc = "/api/monitoring/memory/gc"
	wantProblem(t, ask(h, "POST", gc, "", "Sec-Fetch-Site", "cross-site"), http.StatusForbidden, "another origin")
	wantProblem(t, ask(h, "POST", gc, "", "Origin", "https://elsewhere.test"), http.StatusForbidden, "another origin")
	wantStatus(t, ask(h, "POST", gc, "", "Sec-Fetch-Site", "same-origin"), http.StatusOK)
	wantStatus(t, ask(h, "POST", gc, "", "Origin", "http://example.com"), http.StatusOK) // the host of httptest's requests
	wantStatus(t, ask(h, "GET", "/api/monitoring/memory/config", "", "Sec-Fetch-Site", "cross-site"), http.StatusOK)
}

func TestOpenAPIIsServed(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	got := ask(mustHandler(t, w, Options{}), "GET", "/openapi.yaml", "")
	wantHeaders(t, got.Header(), "Content-Type", "application/yaml")
	if got.Body.String() != string(OpenAPI()) || !strings.HasPrefix(got.Body.String(), "openapi: 3.0.3\n") {
		t.Error("the document is not the one of this package")
	}
	copied := OpenAPI()
	copied[0] = 'X'
	if OpenAPI()[0] == 'X' {
		t.Error("OpenAPI hands out the document itself")
	}
	h := mustHandler(t, w, Options{Name: "packed"})
	for accepted, packed := range map[string]bool{
		"gzip": true, "deflate, GZIP;q=0.5": true, "br;q=1, gzip ; q=0.001": true, "": false, "br": false, "gzip;q=0": false,
		"gzip; q=0.000, br": false, "xgzip": false,
	} {
		got := ask(h, "GET", "/openapi.yaml", "", "Accept-Encoding", accepted)
		wantHeaders(t, got.Header(), "Vary", "Accept-Encoding")
		body := io.Reader(got.Body)
		if coding := got.Header().Get("Content-Encoding"); (coding == "gzip") != packed {
			t.Errorf("%q: Content-Encoding: %q", accepted, coding)
		} else if packed {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		if text, err := io.ReadAll(body); err != nil || !bytes.Equal(text, OpenAPI()) {
			t.Errorf("%q: %d bytes, %v: not the document", accepted, len(text), err)
		}
	}
	other := ask(mustHandler(t, w, Options{Name: "other", OpenAPI: []byte("another")}), "GET", "/openapi.yaml", "", "Accept-Encoding", "gzip")
	if other.Body.String() != "another" || other.Header().Get("Content-Encoding") != "" {
		t.Errorf("served %q, want the document of the options", other.Body)
	}
}

// TestWebSocketIsHandedOver: an upgrade goes to who answers it, within the rate and without a token; without anybody to
// answer it the client gets the event stream.
func TestWebSocketIsHandedOver(t *testing.T) {
	w := startWarden(t, memwarden.Options{})
	handed := 0
	sockets := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { handed++; w.WriteHeader(http.StatusTeapot) })
	h := mustHandler(t, w, Options{WebSocket: sockets, ReadsNeedToken: true, RateLimit: 0.1, RateBurst: 1})
	got := ask(h, "GET", livePath, "", "Upgrade", "WebSocket", "Authorization", "")
	if got.Code != http.StatusTeapot || handed != 1 {
		t.Errorf("status %d, want the WebSocket handler's", got.Code)
	}
	wantStatus(t, ask(h, "GET", livePath, "", "Upgrade", "websocket"), http.StatusTooManyRequests)
	if handed != 1 {
		t.Error("the WebSocket handler is called beyond the rate")
	}
	alone := mustHandler(t, w, Options{Name: "alone"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answer := httptest.NewRecorder()
	alone.ServeHTTP(answer, newRequest("GET", livePath, "", "Upgrade", "websocket").WithContext(ctx))
	wantHeaders(t, answer.Header(), "Content-Type", "text/event-stream")
}

// keyBook is a Limiter that notes what it is asked, and allows it as often as it says.
type keyBook struct {
	bounded.Owner
	rate     float64
	burst    int
	keys     []string
	decision bounded.RateDecision
	ctx      context.Context
}

func (b *keyBook) Allow(ctx context.Context, key string) bounded.RateDecision {
	b.keys, b.ctx = append(b.keys, key), ctx
	return b.decision
}

// TestLimitersOfOthers: the handler asks the limiters that it is given, each for its routes, and none for probes.
func TestLimitersOfOthers(t *testing.T) {
	made := map[string]*keyBook{}
	newLimiter := func(name string, rate float64, burst int) (Limiter, error) {
		owner, err := bounded.NewRateLimiter(bounded.RateLimiterOptions{Name: name, Rate: 1, Burst: 1})
		if err != nil {
			return nil, err
		}
		if name == "x_report_rate_limiter" {
			return nil, nil // leaves it to the handler
		}
		made[name] = &keyBook{Owner: owner, rate: rate, burst: burst, decision: bounded.RateDecision{
			Limit: 7, Remaining: 0, ResetAfter: 2500 * time.Millisecond, RetryAfter: 1500 * time.Millisecond,
		}}
		return made[name], nil
	}
	w := startWarden(t, memwarden.Options{})
	h, err := Handler(w, Options{
		Name: "x", AdminToken: mustToken(t, secret), RateLimit: 20, AdminRateLimit: 0.1, NewLimiter: newLimiter,
		TrustedProxies: mustProxies(t, "192.0.2.1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	reads, admin := made["x_rate_limiter"], made["x_admin_rate_limiter"]
	if len(made) != 2 || reads.rate != 20 || reads.burst != 40 || admin.rate != 0.1 || admin.burst != 1 {
		t.Fatalf("made %v", made)
	}
	type mark struct{}
	send := func(method, path string, header ...string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder() // the peer of httptest's requests is 192.0.2.1
		r := newRequest(method, path, "", header...)
		h.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), mark{}, true)))
		return answer
	}
	const stats, config = "/api/monitoring/memory/stats", "/api/monitoring/memory/config"
	for _, c := range []struct {
		path  string
		asked *keyBook
	}{{stats, reads}, {config, admin}, {livePath, reads}} {
		refused := send("GET", c.path, "X-Forwarded-For", "198.51.100.1, 2001:db8:1:2:3::4")
		wantProblem(t, refused, http.StatusTooManyRequests, fmt.Sprintf("more than %v requests a second from one client", c.asked.rate))
		wantHeaders(t, refused.Header(), "RateLimit-Limit", "7", "RateLimit-Remaining", "0", "RateLimit-Reset", "3", "Retry-After", "2")
		if key := c.asked.keys[len(c.asked.keys)-1]; key != "2001:db8:1:2::" || c.asked.ctx.Value(mark{}) != true {
			t.Errorf("%s: asked for %q", c.path, key)
		}
	}
	admin.decision = bounded.RateDecision{Allowed: true, Limit: 7, Remaining: 6, ResetAfter: time.Millisecond}
	allowed := send("GET", config)
	wantStatus(t, allowed, http.StatusOK)
	wantHeaders(t, allowed.Header(), "RateLimit-Limit", "7", "RateLimit-Remaining", "6", "RateLimit-Reset", "1", "Retry-After", "")

	asked := len(reads.keys) + len(admin.keys)
	for _, r := range Routes() {
		if r.Access == Probe {
			got := send(r.Method, r.Path, "X-Forwarded-For", "203.0.113.7", "Forwarded", "for=203.0.113.8")
			wantStatus(t, got, http.StatusOK)
			wantHeaders(t, got.Header(), "RateLimit-Limit", "")
			continue
		}
		got := send(r.Method, concrete(r.Path), "X-Forwarded-For", "203.0.113.7", "Forwarded", "for=203.0.113.8")
		wantProblem(t, got, http.StatusBadRequest, "X-Forwarded-For and Forwarded")
	}
	if now := len(reads.keys) + len(admin.keys); now != asked {
		t.Errorf("%d requests of probes and of nobody in particular were counted", now-asked)
	}

	for _, wrong := range []func(string, float64, int) (Limiter, error){
		func(string, float64, int) (Limiter, error) { return nil, errLost },
		func(_ string, rate float64, burst int) (Limiter, error) { return newLimiter("Über", rate, burst) },
	} {
		if _, err := Handler(w, Options{Name: "y", NewLimiter: wrong}); err == nil {
			t.Error("a handler without its limiter was made")
		}
	}
}

// TestWhoIsToldOf: the log and the audit tell of the client, and not of the proxy.
func TestWhoIsToldOf(t *testing.T) {
	log := &logBook{}
	store := &memoryStore{}
	w := startWarden(t, memwarden.Options{Store: store})
	h := mustHandler(t, w, Options{Logger: log.logger(), TrustedProxies: mustProxies(t, "192.0.2.0/24")})
	from := []string{"Forwarded", `for=198.51.100.1, for="[2001:db8::7]:80"`}
	wantStatus(t, ask(h, "POST", "/api/monitoring/memory/gc", "", from...), http.StatusOK)
	wantStatus(t, ask(h, "PATCH", "/api/monitoring/memory/config", `{"gc":{"relief":false}}`, from...), http.StatusOK)
	if !strings.Contains(log.String(), "peer=2001:db8::7") || strings.Contains(log.String(), "192.0.2.1") {
		t.Errorf("the log is %s", log)
	}
	if changes, err := store.ConfigChanges(t.Context(), 1); err != nil || len(changes) != 1 || changes[0].Peer != "2001:db8::7" {
		t.Errorf("the audit has %+v, %v", changes, err)
	}
}
