package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/memwarden/memwarden/contrib/redis"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/pressure"
	"github.com/memwarden/memwarden/server"
	"github.com/memwarden/memwarden/server/internal/live"
)

// The server's bounds on time: a client that is slower is cut off. Streams and profiles extend the write timeout for
// themselves.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// newServer builds the HTTP server. What it says by itself is about what went wrong inside: no client can make it say
// more than it should.
func (s *service) newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: s.draining(handler), ErrorLog: slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ConnState: s.listener.note,
	}
}

// handler builds the routes: the library's, with WebSocket beside server-sent events, and an index.
func (s *service) handler() (http.Handler, *live.Handler, error) {
	c := s.o.Config
	stream, err := memhttp.NewLive("live_clients", s.warden, c.MaxLiveClients)
	if err != nil {
		return nil, nil, err
	}
	liveOptions := live.Options{Stream: stream, TrustedProxies: c.TrustedProxies, Logger: s.o.Logger}
	if c.ReadsNeedToken {
		liveOptions.Token = c.AdminToken
	}
	streams, err := live.New(liveOptions)
	if err != nil {
		return nil, nil, err
	}
	admission, err := s.admission()
	if err != nil {
		return nil, nil, err
	}
	var metrics []memhttp.MetricSource
	if s.notifier != nil {
		metrics = s.notifier.Metrics()
	}
	routes, err := memhttp.Handler(s.warden, memhttp.Options{
		AdminToken: c.AdminToken, ReadsNeedToken: c.ReadsNeedToken,
		RateLimit: limited(c.RateLimit, -1), RateBurst: c.RateBurst, AdminRateLimit: limited(c.AdminRateLimit, unlimitedAdmin),
		ReportRateLimit: float64(c.ReportRateLimit), NewLimiter: s.newLimiter, TrustedProxies: c.TrustedProxies,
		Reports: s.reports, ReportsMaxCount: c.ReportsMaxCount, ReportsMaxAge: c.ReportsMaxAge, ReportIDs: s.cache,
		ReportOrigins: c.FrontendOrigins, Metrics: metrics,
		Live: stream, WebSocket: streams, Admission: admission, OpenAPI: server.OpenAPI(), Logger: s.o.Logger,
	})
	if err != nil {
		return nil, nil, err
	}
	return withIndex(routes, s.o.Version), streams, nil
}

// admission bounds the requests under way, and is shown among the limits. The pressure of another process, which is only
// watched, does not bear on them.
func (s *service) admission() (*memhttp.Admission, error) {
	c := s.o.Config
	o := memhttp.AdmissionOptions{MaxConcurrent: c.MaxRequests, MaxBytes: c.MaxRequestMemory, MaxWait: c.RequestWait}
	if c.RequestWait == 0 {
		o.MaxWait = -1
	}
	if !s.warden.Remote() {
		o.Level = func() pressure.Level { return s.warden.State().Pressure.Level }
	}
	a, err := memhttp.NewAdmission(o)
	if err == nil {
		_, err = s.warden.Register(a)
	}
	return a, err
}

// unlimitedAdmin is a rate that nobody reaches: memhttp always limits admin routes.
const unlimitedAdmin = 1e6

// limited turns the setting's 0, no limit, into the option's word for it.
func limited(rate int, unlimited float64) float64 {
	if rate == 0 {
		return unlimited
	}
	return float64(rate)
}

// newLimiter makes a limiter that the servers with one Redis share. Without Redis, and for a rate that cannot be shared,
// there is none, and this server limits by itself.
func (s *service) newLimiter(name string, rate float64, burst int) (memhttp.Limiter, error) {
	if s.redis == nil {
		return nil, nil
	}
	if rate > redis.MaxRate {
		if rate < unlimitedAdmin {
			s.o.Logger.Warn("a rate is too high to be shared by Redis: this server limits by itself",
				"limiter", name, "rate", rate, "highest_rate_shared", redis.MaxRate)
		}
		return nil, nil
	}
	l, err := redis.NewRateLimiter(redis.RateLimiterOptions{
		Client: s.redis, Name: name, Rate: rate, Burst: burst, Timeout: s.redisPatience,
	})
	if err != nil {
		return nil, err
	}
	s.limiters = append(s.limiters, l)
	return l, nil
}

// draining counts the requests, those under way too. It asks clients to come back on another connection once the shutdown has
// begun, so that none sends a request into a connection that is about to be closed.
func (s *service) draining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.busy.Add(1)
		s.requests.add(time.Now())
		defer s.busy.Add(-1)
		if s.warden.Shutdown().Started() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// stopServer lets the requests that are left finish; those that do not are cut off shortly before the deadline, and are
// an error. Connections on which no request has come, as browsers open them in advance, are none.
func (s *service) stopServer(ctx context.Context) error {
	c := s.o.Config
	grace, cancel := context.WithTimeout(ctx, deadlines(c.ShutdownTimeout, c.DrainDelay).Servers*9/10)
	defer cancel()
	err := s.listener.Close()
	if err == nil {
		err = s.listener.settle(grace)
	}
	if err = errors.Join(err, s.http.Shutdown(grace)); err == nil {
		return nil
	}
	if busy := s.busy.Load(); busy > 0 {
		return errors.Join(fmt.Errorf("%d requests were cut off: %w", busy, err), s.http.Close())
	}
	return s.http.Close()
}

// withIndex answers / with a list of the routes and leaves every other path to next.
func withIndex(next http.Handler, version string) http.Handler {
	type entry struct {
		Method string `json:"method"`
		Path   string `json:"path"`
		Access string `json:"access"`
	}
	index := struct {
		Name    string  `json:"name"`
		Version string  `json:"version"`
		Routes  []entry `json:"routes"`
	}{"memwarden", version, nil}
	for _, r := range memhttp.Routes() {
		index.Routes = append(index.Routes, entry{r.Method, r.Path, r.Access.String()})
	}
	body, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		panic(err) // three kinds of strings
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			next.ServeHTTP(w, r)
			return
		}
		memhttp.SetSecurityHeaders(w.Header())
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			memhttp.MethodNotAllowed(http.MethodGet).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // a client that has gone is not our error
	})
}
