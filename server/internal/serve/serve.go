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
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/contrib/redis"
	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/live"
	"github.com/memwarden/memwarden/server/internal/notify"
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

// service is what is running.
type service struct {
	o        Options
	listener *connections
	store    *store.Store
	reports  *store.Reports // from pages
	leaks    *store.Reports
	pages    *store.Reports // leaks in pages
	quiet    *store.Dismissals
	warden   *memwarden.Warden
	redis    *redis.Client // nil: none
	limiters []*redis.RateLimiter
	// redisPatience is how long Redis may take to decide on a request; 0: as long as contrib/redis says.
	redisPatience time.Duration
	cache         reportCache
	notifier      *notify.Notifier                 // nil: nobody is told
	reporter      atomic.Pointer[memwarden.Warden] // takes leak reports; the warden once it is there
	http          *http.Server
	busy          atomic.Int64 // requests under way
	requests      meter        // all that came
	failed        chan error   // why the server stopped, nil if it was asked to
}

// Run serves until SIGTERM, an interrupt or the end of ctx, and shuts down in order: readiness off, drain, streams
// closed, requests answered, pools closed, history stored. A second signal forces that. Signals that the process was
// started to ignore stay so, and during the start there is nothing yet that a signal could spoil. An error means that the
// service did not start, or that it ended by itself; the report tells how the shutdown went.
func Run(ctx context.Context, o Options) (shutdown.Report, error) {
	s := &service{o: o, failed: make(chan error, 1)}
	// Who reads the log may die first, a launcher for one: writing on is no reason to end, let alone at once.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	if err := s.start(ctx); err != nil {
		return shutdown.Report{}, errors.Join(err, s.abandon(ctx))
	}
	signals := make(chan os.Signal, 2)
	for _, one := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		if !signal.Ignored(one) {
			signal.Notify(signals, one)
		}
	}
	defer signal.Stop(signals)
	s.announce() // not before: whoever reads it may send a signal
	return s.wait(ctx, signals)
}

// wait serves until there is a reason to end, and ends.
func (s *service) wait(ctx context.Context, signals <-chan os.Signal) (shutdown.Report, error) {
	var reason string
	var failure error
	select {
	case received := <-signals:
		reason = "signal " + received.String()
	case failure = <-s.failed:
		reason = "the HTTP server stopped"
	case <-ctx.Done():
		reason = "the context ended"
	}
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-signals:
			s.warden.Shutdown().Force()
		case <-over:
		}
	}()
	report := s.warden.Shutdown().Run(context.WithoutCancel(ctx), reason)
	return report, errors.Join(failure, s.store.Close())
}

// start opens everything and joins it.
func (s *service) start(ctx context.Context) (err error) {
	if err := s.open(ctx); err != nil {
		return err
	}
	// The end of ctx begins a shutdown, through which the warden goes on to watch.
	c := s.o.Config
	var load func() float64 // of another process nothing is known
	if s.o.PID == 0 {
		load = func() float64 { return s.requests.perSecondAt(time.Now()) }
	}
	if s.warden, err = memwarden.Start(context.WithoutCancel(ctx), memwarden.Options{
		PID: s.o.PID, Config: &c.Warden, Snapshot: c.Snapshot, Incidents: c.Incidents, Store: s.store, LeakReports: s.leaks, BrowserLeaks: s.pages,
		DismissedLeaks: s.quiet, LeakReportsMaxAge: c.LeaksMaxAge, Logger: s.o.Logger,
		LogInterval: c.LogMemoryInterval, WarnSubscribers: c.MaxLiveClients + otherSubscribers, Load: load,
		Shutdown: shutdown.Options{Deadlines: deadlines(c.ShutdownTimeout, c.DrainDelay), DrainDelay: c.DrainDelay, Logger: s.o.Logger},
	}); err != nil {
		if s.o.PID != 0 && errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no process %d: %w", s.o.PID, err)
		}
		return err
	}
	s.reporter.Store(s.warden)
	if err := s.startNotifier(); err != nil {
		return err
	}
	handler, streams, err := s.handler()
	if err != nil {
		return err
	}
	if err := s.join(streams); err != nil {
		return err
	}
	s.http = s.newServer(handler)
	go func() {
		err := s.http.Serve(s.listener)
		if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) { // only the service closes its listener
			s.failed <- nil
			return
		}
		s.failed <- fmt.Errorf("the HTTP server stopped: %w", err)
	}()
	return nil
}

// open opens what may fail first, so that a port in use or a database that is gone is told before anything runs.
func (s *service) open(ctx context.Context) (err error) {
	c := s.o.Config
	if c.RedisURL != "" {
		logging.Disable() // go-redis has one logger for the process; what it would say the health check says too
		if s.redis, err = redis.Open(string(c.RedisURL), redis.Options{MaxConns: c.RedisMaxConns}); err != nil {
			return fmt.Errorf("MEMWARDEN_REDIS_URL: %w", err)
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (MEMWARDEN_ADDR): %w", c.Addr, err)
	}
	s.listener = newConnections(listener)
	if s.store, err = store.Open(ctx, store.Options{
		DataDir: c.DataDir, DatabaseURL: string(c.DatabaseURL), MaxConns: c.DatabaseMaxConns, OnHeld: s.reportHeld, Logger: s.o.Logger,
	}); err != nil {
		return err
	}
	if s.reports, err = s.store.Reports(ctx, store.ReportOptions{
		Kind: store.FrontendReports, MaxCount: c.ReportsMaxCount, MaxAge: c.ReportsMaxAge,
	}); err != nil {
		return err
	}
	if s.leaks, err = s.store.Reports(ctx, store.ReportOptions{
		Kind: store.LeakReports, MaxCount: c.LeaksMaxCount, MaxAge: c.LeaksMaxAge,
	}); err != nil {
		return err
	}
	if s.pages, err = s.store.Reports(ctx, store.ReportOptions{
		Kind: store.BrowserLeaks, MaxCount: c.LeaksMaxCount, MaxAge: c.LeaksMaxAge,
	}); err != nil {
		return err
	}
	if s.quiet, err = s.leaks.Dismissals(ctx); err != nil {
		return err
	}
	s.listener.most = s.connectionBound()
	s.cache, err = newCache(c, s.redis, s.store.Identity())
	return err
}

// connectionBound is known once the database is open; nothing is accepted before.
func (s *service) connectionBound() int {
	redisConns := 0
	if s.redis != nil {
		redisConns = int(s.redis.Usage().MaxEntries)
	}
	c := s.o.Config
	return connectionBound(c.MaxRequests, c.MaxLiveClients, int(s.store.Stats().Max), redisConns, openFiles())
}

// join ties the parts to the warden: health checks, owners of memory, and their place in the shutdown.
func (s *service) join(streams *live.Handler) error {
	var problems []error
	note := func(_ func(), err error) { problems = append(problems, err) }
	note(s.warden.Health().Add(databaseCheck(s.store)))
	note(s.warden.Register(databaseOwner{s.store}))
	note(s.warden.Register(s.listener))
	for _, reports := range []*store.Reports{s.reports, s.leaks, s.pages} {
		note(s.warden.Register(reports))
		note(s.warden.Cleanup().Add(cleanup.Task{
			Name: reports.Name(), Interval: trimInterval,
			Run: func(ctx context.Context, _ cleanup.Trigger) (int64, error) { return reports.Trim(ctx) },
		}))
	}
	note(s.warden.Register(s.quiet))
	note(s.warden.Register(streams.Owner()))
	sequence := s.warden.Shutdown()
	note(sequence.Add(shutdown.Hubs, "websockets", streams.Close))
	note(sequence.Add(shutdown.Servers, "http", s.stopServer))
	note(s.warden.Register(s.cache))
	note(sequence.Add(shutdown.Pools, "cache", s.closeShared))
	if s.notifier != nil {
		note(s.warden.Register(s.notifier.Owner()))
		note(sequence.Add(shutdown.Pools, "webhooks", s.stopNotifier))
	}
	if s.redis != nil {
		note(s.warden.Health().Add(redisCheck(s.redis, s.limiters)))
		note(s.warden.Register(s.redis))
	}
	return errors.Join(problems...)
}

// otherSubscribers are more than the service has beside the clients of its live stream.
const otherSubscribers = 16

// trimInterval is how often reports that have become too old are removed; they are not shown before that either.
const trimInterval = time.Hour

// abandonTimeout bounds the time that the end of a failed start takes.
const abandonTimeout = 5 * time.Second

// abandon takes down what a failed start has left, also when the end of ctx was what made it fail.
func (s *service) abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	var problems []error
	if s.notifier != nil {
		s.notifier.Close(ctx)
	}
	if s.warden != nil {
		problems = append(problems, s.warden.Close(ctx))
	}
	problems = append(problems, s.closeShared(ctx))
	if s.store != nil {
		problems = append(problems, s.store.Close())
	}
	if s.listener != nil {
		problems = append(problems, s.listener.Close())
	}
	return errors.Join(problems...)
}

// deadlines shares the time for a shutdown, less the drain delay, among the phases.
func deadlines(total, drain time.Duration) shutdown.Deadlines {
	share := (total - drain) / 20
	return shutdown.Deadlines{
		ReadinessOff: share, Drain: drain + 2*share, Hubs: 3 * share, Servers: 8 * share, Pools: 2 * share, Flush: 4 * share,
	}
}

// url is where the service is found from its own machine.
func (s *service) url() string {
	addr := s.listener.Addr()
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
	return "http://" + addr.String()
}

// announce tells where to look.
func (s *service) announce() {
	url := s.url()
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
