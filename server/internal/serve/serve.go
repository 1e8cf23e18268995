// Package serve is the deployable service: it joins a warden, its store, its HTTP routes and its live stream, and takes
// them down in order.
//
// It knows what belongs together and in which order things start and end. Command lines, environment and exit are the
// business of cmd/memwarden, above it.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/server"
	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/live"
	"github.com/memwarden/memwarden/server/internal/redis"
	"github.com/memwarden/memwarden/server/internal/store"
	"github.com/memwarden/memwarden/shutdown"
)

// Options of a service.
type Options struct {
	Config  config.Config
	Version string
	PID     int       // another process to watch; 0: the service watches itself
	Banner  io.Writer // is told where to look, once the service listens
	Logger  *slog.Logger
}

// The server's bounds on time: a client that is slower is cut off. Streams and profiles extend the write timeout for
// themselves.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// service is what is running.
type service struct {
	o        Options
	listener net.Listener
	store    *store.Store
	warden   *memwarden.Warden
	redis    *redis.Client // nil: none
	http     *http.Server
	failed   chan error // the server stopped by itself
}

// Run serves until SIGTERM, an interrupt or the end of ctx, and shuts down in order: readiness off, drain, streams
// closed, requests answered, pools closed, history stored. An error means that the service did not start, or that it
// ended by itself; the report tells how the shutdown went.
func Run(ctx context.Context, o Options) (shutdown.Report, error) {
	s := &service{o: o, failed: make(chan error, 1)}
	if err := s.start(ctx); err != nil {
		return shutdown.Report{}, errors.Join(err, s.abandon(ctx))
	}
	s.announce()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		if err := <-s.failed; err != nil {
			stop(err)
		}
	}()
	report := s.warden.RunUntilSignal(ctx)
	err := s.store.Close()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return report, err
}

// start opens what may fail first, so that a port in use or a database that is gone is told before anything runs.
func (s *service) start(ctx context.Context) (err error) {
	c := s.o.Config
	listen := net.ListenConfig{}
	if s.listener, err = listen.Listen(ctx, "tcp", c.Addr); err != nil {
		return fmt.Errorf("cannot listen on %s (MEMWARDEN_ADDR): %w", c.Addr, err)
	}
	if s.store, err = store.Open(ctx, store.Options{
		DataDir: c.DataDir, DatabaseURL: string(c.DatabaseURL), MaxConns: c.DatabaseMaxConns, Logger: s.o.Logger,
	}); err != nil {
		return err
	}
	if s.warden, err = memwarden.Start(ctx, memwarden.Options{
		PID: s.o.PID, Config: &c.Warden, Store: s.store, Logger: s.o.Logger, LogInterval: c.LogMemoryInterval,
		Shutdown: shutdown.Options{Deadlines: deadlines(c.ShutdownTimeout, c.DrainDelay), DrainDelay: c.DrainDelay, Logger: s.o.Logger},
	}); err != nil {
		return err
	}
	if c.RedisURL != "" {
		if s.redis, err = redis.New(string(c.RedisURL)); err != nil {
			return err
		}
	}
	handler, streams, err := s.handler()
	if err != nil {
		return err
	}
	if err := s.join(streams); err != nil {
		return err
	}
	s.http = &http.Server{
		Handler: s.draining(handler), ErrorLog: slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
	}
	go func() {
		err := s.http.Serve(s.listener)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		s.failed <- err
	}()
	return nil
}

// handler builds the routes: the library's, with WebSocket beside server-sent events, and an index.
func (s *service) handler() (http.Handler, *live.Handler, error) {
	c := s.o.Config
	stream, err := memhttp.NewLive("live_clients", s.warden, c.MaxLiveClients)
	if err != nil {
		return nil, nil, err
	}
	liveOptions := live.Options{Stream: stream, Logger: s.o.Logger}
	if c.ReadsNeedToken {
		liveOptions.Token = c.AdminToken
	}
	streams := live.New(liveOptions)
	routes, err := memhttp.Handler(s.warden, memhttp.Options{
		AdminToken: c.AdminToken, ReadsNeedToken: c.ReadsNeedToken,
		RateLimit: limited(c.RateLimit), RateBurst: c.RateBurst, AdminRateLimit: limited(c.AdminRateLimit),
		Live: stream, WebSocket: streams, OpenAPI: server.OpenAPI(), Logger: s.o.Logger,
	})
	if err != nil {
		return nil, nil, err
	}
	return withIndex(routes, s.o.Version), streams, nil
}

// limited turns the setting's 0, no limit, into the option's.
func limited(rate int) float64 {
	if rate == 0 {
		return -1
	}
	return float64(rate)
}

// join ties the parts to the warden: health checks, owners of memory, and their place in the shutdown.
func (s *service) join(streams *live.Handler) error {
	var problems []error
	note := func(_ func(), err error) { problems = append(problems, err) }
	note(s.warden.Health().Add(databaseCheck(s.store)))
	note(s.warden.Register(databaseOwner{s.store}))
	sequence := s.warden.Shutdown()
	note(sequence.Add(shutdown.Hubs, "websockets", streams.Close))
	note(sequence.Add(shutdown.Servers, "http", s.stopServer))
	if s.redis != nil {
		note(s.warden.Health().Add(s.redis.Check()))
		note(s.warden.Register(s.redis))
		note(sequence.Add(shutdown.Pools, "redis", func(context.Context) error { return s.redis.Close() }))
	}
	return errors.Join(problems...)
}

// stopServer lets the requests that are left finish; those that do not are cut off at the deadline.
func (s *service) stopServer(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off: %w", err), s.http.Close())
	}
	return nil
}

// abandon takes down what a failed start has left.
func (s *service) abandon(ctx context.Context) error {
	var problems []error
	if s.warden != nil {
		problems = append(problems, s.warden.Close(ctx))
	}
	if s.redis != nil {
		problems = append(problems, s.redis.Close())
	}
	if s.store != nil {
		problems = append(problems, s.store.Close())
	}
	if s.listener != nil {
		problems = append(problems, s.listener.Close())
	}
	return errors.Join(problems...)
}

// draining asks clients to come back on another connection once the shutdown has begun, so that none sends a request
// into a connection that is about to be closed.
func (s *service) draining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.warden.Shutdown().Started() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// deadlines shares the time for a shutdown, less the drain delay, among the phases.
func deadlines(total, drain time.Duration) shutdown.Deadlines {
	share := (total - drain) / 20
	return shutdown.Deadlines{
		ReadinessOff: share, Drain: drain + 2*share, Hubs: 3 * share, Servers: 8 * share, Pools: 2 * share, Flush: 4 * share,
	}
}

// announce tells where to look.
func (s *service) announce() {
	url := "http://" + s.listener.Addr().String()
	s.o.Logger.Info("memwarden is listening", "url", url, "version", s.o.Version, "pid_watched", s.o.PID, "database", s.store.Stats().Kind)
	watched := "itself"
	if s.o.PID != 0 {
		watched = fmt.Sprintf("process %d", s.o.PID)
	}
	admin := "admin routes are open to the token in MEMWARDEN_ADMIN_TOKEN"
	if !s.o.Config.AdminToken.IsSet() {
		admin = "admin routes are closed: set MEMWARDEN_ADMIN_TOKEN (16 characters or more) to open them"
	}
	fmt.Fprintf(s.o.Banner, `memwarden %s watches %s
  health   %[3]s/api/health
  memory   %[3]s/api/monitoring/memory/stats
  limits   %[3]s/api/monitoring/memory/limits
  live     %[3]s/api/monitoring/live
  metrics  %[3]s/metrics
  API      %[3]s/openapi.yaml
  %[4]s
`, s.o.Version, watched, url, admin)
}
