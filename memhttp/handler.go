// Package memhttp serves a warden over HTTP: health and probes, statistics, controls, a live stream, metrics and
// profiles.
//
// It knows routes, access and encodings. What it answers the warden already holds: no request computes what a sampler
// knows. It stands on the facade; servers and other routers stand above it.
package memhttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/internal/lograte"
	"github.com/memwarden/memwarden/shutdown"
)

// Options of a Handler. The zero value leaves reads open and admin routes closed.
type Options struct {
	// AdminToken opens the admin routes to who presents it, as a bearer token or as the password of HTTP Basic; see
	// ParseToken. The zero Token opens them to nobody: they answer 403.
	AdminToken Token
	// ReadsNeedToken closes statistics, limits, the live stream and metrics too. Health and probes stay open.
	ReadsNeedToken bool
	// RateLimit bounds the requests per second of one client on everything but health and probes; RateBurst of them may
	// come at once. Default 100 and 200. A negative RateLimit does not limit. A client is known by its address, see
	// ClientAddress; with IPv6 all addresses of a /64 are one client.
	RateLimit float64
	RateBurst int
	// AdminRateLimit bounds the requests per second of one client on admin routes, wrong tokens included. Default 10,
	// with a burst of 20.
	AdminRateLimit float64
	// ReportRateLimit bounds the reports per second that pages at one address send. Default 5, with a burst of 20.
	ReportRateLimit float64
	// NewLimiter makes what keeps one of these three rates, under the name that it must have as an Owner: one that several
	// instances share, as contrib/redis has it. Where it returns nil, and if it is nil itself, a bounded.RateLimiter of
	// the handler's own does.
	NewLimiter func(name string, rate float64, burst int) (Limiter, error)
	// TrustedProxies are those whose word counts for where a request comes from, see ParseTrustedProxies and
	// ClientAddress. Default: none, the address of the connection is the client's.
	TrustedProxies []netip.Prefix
	// Reports keeps them; nil: 1,000 for 24 hours, in at most 8 MiB of memory.
	Reports Reports
	// ReportsMaxCount and ReportsMaxAge are the bounds of Reports, which the figures that are made of them keep as well, in
	// at most 8 MiB; default 1,000 and 24 hours.
	ReportsMaxCount int
	ReportsMaxAge   time.Duration
	// ReportOrigins are those whose pages may send reports beside pages of the same origin, see ParseOrigins.
	ReportOrigins []string
	// ReportIDs makes that a report which is sent again is kept once; nil: what was kept in the last 10 minutes, at most
	// 10,000 reports in 4 MiB. One that is given is registered and closed by who gives it.
	ReportIDs ReportIDs
	// Live is the stream's followers; nil: at most 100 of its own. Share one with WebSocket.
	Live *Live
	// WebSocket answers requests for an upgrade at the live route; nil: they get the event stream. It is called within the rate
	// limit but before any token: with ReadsNeedToken it must ask for the token itself.
	WebSocket http.Handler
	// Admission bounds the requests under way and their memory, and refuses them under memory pressure, with 503; nil:
	// nothing does. Health, probes, metrics and admin routes are never refused, and the live stream holds no slot. Its
	// Classify is not asked. Register it with the warden to see it among the limits.
	Admission *Admission
	// Metrics are families that /metrics exposes after those of this package, such as the program's own.
	Metrics []MetricSource
	// Name tells handlers of one warden apart: what they have among its limits is called "rate_limiter", or with the name
	// "metrics" "metrics_rate_limiter". One of them may be without.
	Name string
	// OpenAPI is the document served at /openapi.yaml; nil: the one of this package.
	OpenAPI []byte
	// Logger receives what goes wrong while answering, and who asked for what; a message that is repeated is written ten
	// times at once and then every 10 s, with "suppressed" for those left out between. Nil: slog.Default().
	Logger *slog.Logger
}

// Limiter decides how often each key may do something, such as bounded.RateLimiter. It must be safe for concurrent use.
type Limiter interface {
	bounded.Owner
	// Allow counts a request of a key and decides on it. Each request but probes waits for it.
	Allow(ctx context.Context, key string) bounded.RateDecision
}

const (
	defaultRateLimit      = 100
	defaultAdminRateLimit = 10
	defaultReportRate     = 5
	reportBurstFactor     = 4
	defaultMaxLiveClients = 100
	maxBodyBytes          = 64 << 10
	maxRateKeys           = 10_000
)

// handler answers for one warden.
type handler struct {
	warden *memwarden.Warden
	o      Options
	mux    *http.ServeMux

	reads, admin, reports Limiter // reads nil: not limited
	metrics               cachedBody
	sendsTrace            sync.Mutex                 // held while the flight recorder's trace is sent
	origin                http.CrossOriginProtection // the zero value trusts no other origin
	reportOrigins         reportOrigins
	figures               *figures
	toldLeaks             toldLeaks
}

// Handler returns the routes of a warden (see Routes). Mount it at the root of a server, or under a prefix with
// http.StripPrefix. It is safe for concurrent use, starts no goroutine, and needs no closing: streams end when the
// warden closes.
func Handler(w *memwarden.Warden, o Options) (http.Handler, error) {
	var problems []error
	if w == nil {
		problems = append(problems, errors.New("memhttp: warden is nil"))
	}
	if o.ReportsMaxCount < 0 || o.ReportsMaxAge < 0 {
		problems = append(problems, fmt.Errorf("memhttp: ReportsMaxCount %d and ReportsMaxAge %v must not be negative", o.ReportsMaxCount, o.ReportsMaxAge))
	}
	if o.RateBurst < 0 || o.AdminRateLimit < 0 || o.ReportRateLimit < 0 {
		problems = append(problems, fmt.Errorf("memhttp: RateBurst %d, AdminRateLimit %v and ReportRateLimit %v must not be negative",
			o.RateBurst, o.AdminRateLimit, o.ReportRateLimit))
	}
	if o.ReadsNeedToken && !o.AdminToken.IsSet() {
		problems = append(problems, errors.New("memhttp: ReadsNeedToken is set, but there is no AdminToken: nobody could read"))
	}
	var err error
	o.TrustedProxies, err = normalProxies(o.TrustedProxies)
	origins, wrong := newReportOrigins(o.ReportOrigins)
	if err = errors.Join(append(problems, err, wrong, checkMetrics(o.Metrics))...); err != nil {
		return nil, err
	}
	h := &handler{warden: w, o: withDefaults(o), mux: http.NewServeMux(), reportOrigins: origins}
	if err := h.buildBounds(); err != nil {
		return nil, err
	}
	h.register()
	return h, nil
}

func withDefaults(o Options) Options {
	if o.RateLimit == 0 {
		o.RateLimit = defaultRateLimit
	}
	if o.RateBurst == 0 {
		o.RateBurst = int(2 * o.RateLimit)
	}
	if o.AdminRateLimit == 0 {
		o.AdminRateLimit = defaultAdminRateLimit
	}
	if o.ReportRateLimit == 0 {
		o.ReportRateLimit = defaultReportRate
	}
	orDefault(&o.ReportsMaxCount, defaultReportCount)
	orDefault(&o.ReportsMaxAge, defaultReportAge)
	if o.Name != "" {
		o.Name += "_"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = lograte.Limit(o.Logger, time.Now)
	return o
}

// buildBounds makes what the handler keeps for its clients and shows it among the warden's limits. After an error
// nothing of it is registered.
func (h *handler) buildBounds() (err error) {
	var registered []func()
	defer func() {
		if err != nil {
			for _, unregister := range registered {
				unregister()
			}
		}
	}()
	owners := []bounded.Owner{}
	if h.o.Live == nil {
		if h.o.Live, err = NewLive(h.o.Name+"live_clients", h.warden, defaultMaxLiveClients); err != nil {
			return err
		}
	}
	owners = append(owners, h.o.Live)
	if h.o.RateLimit > 0 {
		if h.reads, err = h.newLimiter(h.o.Name+"rate_limiter", h.o.RateLimit, h.o.RateBurst); err != nil {
			return err
		}
		owners = append(owners, h.reads)
	}
	if h.admin, err = h.newLimiter(h.o.Name+"admin_rate_limiter", h.o.AdminRateLimit, int(2*h.o.AdminRateLimit)); err != nil {
		return err
	}
	if h.reports, err = h.newLimiter(h.o.Name+"report_rate_limiter", h.o.ReportRateLimit, int(reportBurstFactor*h.o.ReportRateLimit)); err != nil {
		return err
	}
	reportOwners, ends, err := h.buildReports()
	if err != nil {
		return err
	}
	// Streams never end by themselves: a server that waits for its requests would wait for them in vain.
	ends = append(ends, end{shutdown.Hubs, "live", func(context.Context) error { h.o.Live.Close(); return nil }})
	owners = append(append(owners, reportOwners...), h.admin, h.reports)
	for _, owner := range owners {
		unregister, err := h.warden.Register(owner)
		if err != nil {
			return fmt.Errorf("memhttp: a second handler of a warden needs another Options.Name: %w", err)
		}
		registered = append(registered, unregister)
	}
	for _, end := range ends {
		remove, err := h.warden.Shutdown().Add(end.phase, h.o.Name+end.name, end.run)
		if err != nil {
			return err
		}
		registered = append(registered, remove)
	}
	return nil
}

// end is a step of the warden's shutdown.
type end struct {
	phase shutdown.Phase
	name  string
	run   func(context.Context) error
}

// newLimiter makes a limiter by the options, or one of this process.
func (h *handler) newLimiter(name string, rate float64, burst int) (Limiter, error) {
	burst = max(1, burst)
	if h.o.NewLimiter != nil {
		l, err := h.o.NewLimiter(name, rate, burst)
		if err != nil {
			return nil, fmt.Errorf("memhttp: %s: %w", name, err)
		}
		if l != nil {
			return l, nil
		}
	}
	l, err := bounded.NewRateLimiter(bounded.RateLimiterOptions{Name: name, Rate: rate, Burst: burst, MaxKeys: maxRateKeys})
	if err != nil {
		return nil, err
	}
	return localLimiter{l}, nil
}

// localLimiter is a Limiter that never waits.
type localLimiter struct{ *bounded.RateLimiter }

func (l localLimiter) Allow(_ context.Context, key string) bounded.RateDecision {
	return l.RateLimiter.Allow(key)
}

// register puts every route on the mux: one pattern a path, methods told apart below it, so that a wrong one gets a
// problem and not plain text.
func (h *handler) register() {
	byPath := map[string]map[string]route{}
	for _, r := range h.routes() {
		if byPath[r.Path] == nil {
			byPath[r.Path] = map[string]route{}
		}
		byPath[r.Path][r.Method] = r
	}
	for path, methods := range byPath {
		h.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { h.dispatch(w, r, methods) })
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		NewProblem(http.StatusNotFound, "there is nothing at "+r.URL.Path).ServeHTTP(w, r)
	})
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	SetSecurityHeaders(w.Header())
	h.mux.ServeHTTP(w, r)
}

// SetSecurityHeaders sets what every answer of the API says to browsers: nothing here is a page, nothing is to be kept.
func SetSecurityHeaders(header http.Header) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
}

func (h *handler) dispatch(w http.ResponseWriter, r *http.Request, methods map[string]route) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	found, ok := methods[method]
	if !ok {
		MethodNotAllowed(slices.Collect(maps.Keys(methods))...).ServeHTTP(w, r)
		return
	}
	if h.o.WebSocket != nil && found.Path == livePath && asksForWebSocket(r) {
		found.Access, found.serve = upgrade, h.o.WebSocket.ServeHTTP
	}
	if found.Access == Public {
		h.reportOrigins.share(w, r) // refusals too
	}
	if problem, ok := h.admit(w, r, found.Access); !ok {
		problem.ServeHTTP(w, r)
		return
	}
	if found.Access != Probe {
		if err := checkQuery(r, found.query); err != nil {
			NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
			return
		}
	}
	class := found.class(r)
	if h.o.Admission != nil && class.Priority != NeverShed {
		h.o.Admission.serve(w, r, class, found.serve)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	found.serve(w, r)
}

// historyBytes is what an answer with a history takes: the week at a resolution of a minute has 10,080 points, as numbers
// and as text.
const historyBytes = 8 << 20

// class tells an Admission what a request is.
func (f route) class(r *http.Request) RequestClass {
	class := RequestClass{MaxBodyBytes: maxBodyBytes}
	switch {
	case f.Access == Probe || f.Access == Admin || f.Path == metricsPath:
		class.Priority = NeverShed // they tell of the pressure, or help against it
	case f.Path == openAPIPath:
		class.Priority = PriorityLow
	case f.Path == livePath:
		class.Stream = true // Live bounds them
	case len(f.query) > 0 && r.URL.RawQuery != "":
		class.EstimateBytes = historyBytes
	}
	return class
}

// admit checks where a request comes from, and the rate and the token that an access asks for. Every admin attempt
// counts, so tokens cannot be tried quickly.
func (h *handler) admit(w http.ResponseWriter, r *http.Request, access Access) (Problem, bool) {
	limiter := h.reads
	switch access {
	case Probe:
		return Problem{}, true
	case Admin:
		limiter = h.admin
	case Public:
		limiter = h.reports
	}
	key, err := clientKey(r, h.o.TrustedProxies)
	if err != nil {
		return NewProblem(http.StatusBadRequest, err.Error()), false
	}
	if limiter != nil {
		decision := limiter.Allow(r.Context(), key)
		setRateHeaders(w.Header(), decision)
		if !decision.Allowed {
			p := NewProblem(http.StatusTooManyRequests, fmt.Sprintf("more than %v requests a second from one client", rateOf(h, access)))
			p.RetryAfter = decision.RetryAfter
			return p, false
		}
	}
	if access == Admin || access == Read && h.o.ReadsNeedToken {
		return h.authorize(w, r)
	}
	return Problem{}, true
}

// checkQuery refuses parameters that a route does not know, and those that come twice: neither is silently left out.
func checkQuery(r *http.Request, known []string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("the query cannot be read: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case slices.Contains(known, name):
			if len(query[name]) > 1 {
				return fmt.Errorf("query %s: it is there %d times", name, len(query[name]))
			}
		case len(known) == 0:
			return fmt.Errorf("query %s: unknown: %s takes no parameters", name, r.URL.Path)
		default:
			return fmt.Errorf("query %s: unknown: want %s", name, strings.Join(known, " or "))
		}
	}
	return nil
}

// asksForWebSocket reports whether a request wants the connection upgraded.
func asksForWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

func rateOf(h *handler, access Access) float64 {
	switch access {
	case Admin:
		return h.o.AdminRateLimit
	case Public:
		return h.o.ReportRateLimit
	default:
		return h.o.RateLimit
	}
}

func (h *handler) authorize(w http.ResponseWriter, r *http.Request) (Problem, bool) {
	switch {
	case !h.o.AdminToken.IsSet():
		return NewProblem(http.StatusForbidden, "admin routes are closed: no admin token is configured (MEMWARDEN_ADMIN_TOKEN)"), false
	case !h.o.AdminToken.MatchesRequest(r):
		w.Header().Set("WWW-Authenticate", `Bearer realm="memwarden", Basic realm="memwarden"`)
		return NewProblem(http.StatusUnauthorized, "the admin token is missing or wrong: send it as a bearer token"), false
	}
	// A browser that was told the token by HTTP Basic sends it with the forms of any page.
	if h.origin.Check(r) != nil {
		return NewProblem(http.StatusForbidden, "the request comes from a page of another origin"), false
	}
	return Problem{}, true
}

func setRateHeaders(header http.Header, d bounded.RateDecision) {
	header.Set("RateLimit-Limit", strconv.Itoa(d.Limit))
	header.Set("RateLimit-Remaining", strconv.Itoa(d.Remaining))
	header.Set("RateLimit-Reset", strconv.FormatInt(wholeSeconds(d.ResetAfter), 10))
}

// client is where a request comes from, for the log and the audit. Routes that tell it are not reached by a request of
// which that is not known.
func (h *handler) client(r *http.Request) string {
	address, _ := ClientAddress(r, h.o.TrustedProxies)
	return address
}
