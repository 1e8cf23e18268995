package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/contrib/redis"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/internal/faultproxy"
	"github.com/memwarden/memwarden/internal/redistest"
	"github.com/memwarden/memwarden/shutdown"
)

const (
	stats = memory + "/stats"
	// rate and burst of a client's requests in these tests.
	rate, burst = 1, 12
	// slack is for a machine with much else to do.
	slack = 5 * time.Second
)

// shared is one of several services, behind a proxy of the test's.
type shared struct {
	*service
	url    string
	client *http.Client
}

// startShared starts a service that gives Redis so much time for a decision.
func startShared(t *testing.T, redisURL string, redisPatience time.Duration) *shared {
	t.Helper()
	s := &shared{service: &service{
		o: Options{
			Config: load(t, map[string]string{
				"REDIS_URL": redisURL, "TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMIT": strconv.Itoa(rate), "RATE_BURST": strconv.Itoa(burst),
				"ADMIN_RATE_LIMIT": "1", "MAX_REQUESTS": "1000",
			}),
			Banner: io.Discard, Logger: slog.New(slog.DiscardHandler),
		},
		redisPatience: redisPatience, failed: make(chan error, 1),
	}, client: &http.Client{Transport: &http.Transport{}}}
	if err := s.start(t.Context()); err != nil {
		t.Fatal(errors.Join(err, s.abandon(t.Context())))
	}
	s.url = s.service.url()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if report, err := s.wait(ctx, nil); err != nil || report.ExitCode() != shutdown.ExitClean {
			t.Errorf("%v, %v", err, report.Err())
		}
	}()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		stop()
		<-ended
	})
	return s
}

// ask sends a request that the proxy has got from an address.
func (s *shared) ask(t *testing.T, from, path string) (status int, header http.Header) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+secret)
	q.Header.Set("X-Forwarded-For", "192.0.2.99, "+from) // the first is the client's own idea
	response, err := s.client.Do(q)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Error(err)
	}
	return response.StatusCode, response.Header
}

// wantBurst asks services by turns from an address, twice as often as they may allow together. What passes meanwhile may
// be allowed besides.
func wantBurst(t *testing.T, from string, services ...*shared) {
	t.Helper()
	start := time.Now()
	allowed := 0
	for i := range 2 * burst * len(services) {
		switch status, header := services[i%len(services)].ask(t, from, stats); status {
		case http.StatusOK:
			allowed++
		case http.StatusTooManyRequests:
			if allowed < burst || header.Get("RateLimit-Limit") != strconv.Itoa(burst) || header.Get("RateLimit-Remaining") != "0" ||
				header.Get("RateLimit-Reset") != strconv.Itoa(burst) || header.Get("Retry-After") != "1" {
				t.Errorf("refused after %d of %d: %v", allowed, burst, header)
			}
		default:
			t.Errorf("status %d", status)
		}
	}
	if most := burst + rate*(1+int(time.Since(start).Seconds())); allowed < burst || allowed > most {
		t.Errorf("%s was allowed %d requests by %d services, want %d to %d", from, allowed, len(services), burst, most)
	}
}

func TestServersShareLimits(t *testing.T) {
	server := redistest.Start(t)
	a, b := startShared(t, server.URL(), slack), startShared(t, server.URL(), slack)
	wantBurst(t, "198.51.100.1", a, b)
	wantBurst(t, "198.51.100.2", b, a)
	// A /64 is one client; the others of these services have not asked for anything.
	start := time.Now()
	for i, s := range []*shared{a, b} {
		status, header := s.ask(t, fmt.Sprintf("2001:db8:1:2::%d", i+1), memory+"/config")
		remaining, err := strconv.Atoi(header.Get("RateLimit-Remaining"))
		if least := 1 - i; status != http.StatusOK || err != nil || remaining < least || remaining > least+int(time.Since(start).Seconds()) ||
			header.Get("RateLimit-Limit") != "2" || header.Get("RateLimit-Reset") == "" || header.Get("Retry-After") != "" {
			t.Errorf("request %d of a network: status %d, %v", i, status, header)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/api/health"} {
		for range burst {
			if status, header := a.ask(t, "198.51.100.1", path); status != http.StatusOK || header.Get("RateLimit-Limit") != "" {
				t.Errorf("%s for one who may not ask for anything else: status %d, %v", path, status, header)
			}
		}
	}
	for _, s := range []*shared{a, b} {
		got := redisCheck(s.redis, s.limiters).Run(t.Context())
		if got.Level != health.OK || got.Details["rate_decisions_shared_total"] != int64(4*burst+1) || got.Details["rate_decisions_local_total"] != int64(0) ||
			got.Details["rate_limiters"] != 3 || got.Details["rate_limiters_degraded"] != 0 {
			t.Errorf("%+v", got)
		}
	}
}

// TestServersWithoutRedis takes Redis away in two ways: each server goes on by itself, at once, and comes back.
func TestServersWithoutRedis(t *testing.T) {
	for name, fault := range map[string]func(*testing.T, *redistest.Server, *faultproxy.Proxy) (end func()){
		"killed": func(t *testing.T, server *redistest.Server, _ *faultproxy.Proxy) func() {
			server.Kill(t)
			return func() { server.Restart(t) }
		},
		"half-open": func(_ *testing.T, _ *redistest.Server, between *faultproxy.Proxy) func() {
			between.Swallow(faultproxy.Both)
			return func() { between.Swallow(faultproxy.Nowhere) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			const redisPatience = 100 * time.Millisecond
			server := redistest.Start(t)
			between := faultproxy.Start(t, server.Host())
			url := strings.Replace(server.URL(), server.Host(), between.Addr(), 1)
			a, b := startShared(t, url, redisPatience), startShared(t, url, redisPatience)
			t.Parallel() // from here on: the services are started one after the other, as go-redis has one logger for all
			awaitRedis(t, a, b)
			end := fault(t, server, between)
			askAtOnce(t, a, redisPatience)
			wantBurst(t, "198.51.100.1", a)
			wantBurst(t, "198.51.100.1", b)
			if got := redisCheck(a.redis, a.limiters[:1]).Run(t.Context()); got.Level != health.Degraded || got.Details["rate_limiters_degraded"] != 1 {
				t.Errorf("%+v", got)
			}
			end()
			awaitRedis(t, a, b)
			for attempt := 1; ; attempt++ { // a decision that took too long is a service's own: then it proves nothing
				before := local(a, b)
				start := time.Now()
				allowed := 0
				for i := range 4 * burst {
					if status, _ := []*shared{a, b}[i%2].ask(t, fmt.Sprintf("198.51.100.%d", 100+attempt), stats); status == http.StatusOK {
						allowed++
					}
				}
				if local(a, b) != before && attempt < 50 {
					awaitRedis(t, a, b)
					continue
				}
				if most := burst + rate*(1+int(time.Since(start).Seconds())); allowed < burst || allowed > most {
					t.Errorf("with Redis again %d requests were allowed, want %d to %d", allowed, burst, most)
				}
				break
			}
		})
	}
}

// askAtOnce has more clients ask than there are connections to Redis.
func askAtOnce(t *testing.T, s *shared, redisPatience time.Duration) {
	t.Helper()
	var work sync.WaitGroup
	for i := range 50 {
		work.Go(func() {
			start := time.Now()
			if status, _ := s.ask(t, fmt.Sprintf("203.0.113.%d", i), stats); status != http.StatusOK {
				t.Errorf("status %d", status)
			}
			if took := time.Since(start); took > redisPatience+slack {
				t.Errorf("a request took %v of the %v that Redis may take", took, redisPatience)
			}
		})
	}
	work.Wait()
}

// awaitRedis asks until Redis decides for all services.
func awaitRedis(t *testing.T, services ...*shared) {
	t.Helper()
	clients := 0
	for _, s := range services {
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			before := s.limiters[0].Stats().Shared
			s.ask(t, fmt.Sprintf("2001:db8:1:%x::1", clients), stats)
			if clients++; s.limiters[0].Stats().Shared > before {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("Redis does not come back")
			}
		}
	}
}

// local counts what services decided by themselves.
func local(services ...*shared) (decisions int64) {
	for _, s := range services {
		decisions += s.limiters[0].Stats().Local
	}
	return decisions
}

// TestRatesThatAreNotShared: without Redis, and above what it can share, limits are a server's own.
func TestRatesThatAreNotShared(t *testing.T) {
	var log bytes.Buffer
	s := &service{o: Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}}
	if l, err := s.newLimiter("l", 1, 1); l != nil || err != nil {
		t.Errorf("without Redis: %v, %v", l, err)
	}
	var err error
	if s.redis, err = redis.Open("redis://127.0.0.1:1", redis.Options{}); err != nil {
		t.Fatal(err)
	}
	if l, err := s.newLimiter("admin", unlimitedAdmin, 1); l != nil || err != nil || log.Len() > 0 {
		t.Errorf("without a limit: %v, %v: %s", l, err, &log)
	}
	if l, err := s.newLimiter("fast", redis.MaxRate+1, 1); l != nil || err != nil || !strings.Contains(log.String(), "limiter=fast rate=10001") {
		t.Errorf("above what can be shared: %v, %v: %s", l, err, &log)
	}
	if _, err := s.newLimiter("Über", 1, 1); err == nil || len(s.limiters) > 0 {
		t.Errorf("a name that cannot be used: %v, %d limiters", err, len(s.limiters))
	}
	l, err := s.newLimiter("l", redis.MaxRate, 1)
	if err != nil || l.Name() != "l" || len(s.limiters) != 1 {
		t.Fatalf("%v, %v", l, err)
	}
	// A request that is cut off at the end may come after Redis was closed.
	if err := s.redis.Close(); err != nil {
		t.Fatal(err)
	}
	if d := l.Allow(t.Context(), "k"); !d.Allowed || s.limiters[0].Stats().Local != 1 {
		t.Errorf("%+v, %+v", d, s.limiters[0].Stats())
	}
}
