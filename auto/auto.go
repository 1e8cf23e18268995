// Package auto watches the memory of the program that imports it, configured by the environment alone:
//
//	import _ "github.com/memwarden/memwarden/auto"
//
// It starts a warden before main runs and keeps it in the one global variable of this module. It never ends or delays
// its host: whatever goes wrong is logged, by slog's default logger, and the program runs on without what could not
// be had. MEMWARDEN_DISABLED=1 switches it off. Settings lists what it reads; package memwarden stands below it.
package auto

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/settings"
)

// The settings of this package, besides those of the warden's configuration.
const (
	disabled       = settings.Prefix + "DISABLED"
	addr           = settings.Prefix + "ADDR"
	adminToken     = settings.Prefix + "ADMIN_TOKEN"
	readsNeedToken = settings.Prefix + "READS_NEED_TOKEN"
	logInterval    = settings.Prefix + "LOG_MEMORY_INTERVAL"
)

// Settings is the table of everything that this package reads from the environment.
func Settings() []settings.Setting {
	const section = "Automatic start"
	own := []settings.Setting{
		{Name: disabled, Section: section, Kind: settings.Bool, Default: "false", Help: "Do nothing at all."},
		{Name: addr, Section: section, Kind: settings.String, Help: "Address for a listener of its own, as host:port; without it there is no listener."},
		{Name: adminToken, Section: section, Kind: settings.String, Secret: true, Help: "Token that opens the admin routes of that listener: at least 16 characters, or sha256: and the hexadecimal hash of it.",
			Check: func(text string) error { _, err := memhttp.ParseToken(text); return err }},
		{Name: readsNeedToken, Section: section, Kind: settings.Bool, Default: "false", Help: "Ask for the token on every route but health."},
		{Name: logInterval, Section: section, Kind: settings.Duration, Default: "0s", Max: 86400, Help: "How often a line sums up the memory in the log; 0s: never."},
	}
	return slices.Concat(own, memwarden.SnapshotSettings(), memwarden.IncidentSettings(), memwarden.ConfigSettings())
}

// running is what the import has started.
var running *instance

func init() { running = start(os.LookupEnv, slog.Default()) }

// Warden returns the warden that the import has started, to register owners, tasks and checks with; nil if it is
// switched off or could not start.
func Warden() *memwarden.Warden {
	if running == nil {
		return nil
	}
	return running.warden
}

// Addr returns the address of the listener that the import has opened; nil if there is none.
func Addr() net.Addr {
	if running == nil || running.listener == nil {
		return nil
	}
	return running.listener.Addr()
}

// Close stops what the import has started: for programs that shut down in order. It may be called more than once.
func Close(ctx context.Context) error {
	if running == nil {
		return nil
	}
	return running.close(ctx)
}

// instance is a warden and, where an address was given, its listener.
type instance struct {
	warden   *memwarden.Warden
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
}

// start does what the environment asks for and logs what it cannot.
func start(lookup func(string) (string, bool), logger *slog.Logger) *instance {
	values, err := settings.Resolve(Settings(), settings.Layer{Source: "environment", Lookup: lookup})
	logMistakes(logger, err)
	if values.Bool(disabled) {
		return nil
	}
	config, err := memwarden.ConfigFrom(values)
	if err != nil {
		logMistakes(logger, err)
		config = memwarden.DefaultConfig()
	}
	o := memwarden.Options{
		Config: &config, Snapshot: memwarden.SnapshotOptionsFrom(values), Incidents: memwarden.IncidentOptionsFrom(values),
		Logger: logger, LookupEnv: lookup, LogInterval: values.Duration(logInterval),
	}
	warden, err := memwarden.Start(context.Background(), o)
	if errors.Is(err, memwarden.ErrSnapshotDir) {
		logger.Error("memory snapshots are not kept", "error", err)
		o.Snapshot.Dir = ""
		warden, err = memwarden.Start(context.Background(), o)
	}
	if errors.Is(err, memwarden.ErrIncidentDir) {
		logger.Error("memory incident bundles are not written", "error", err)
		o.Incidents.Dir = ""
		warden, err = memwarden.Start(context.Background(), o)
	}
	if err != nil {
		logger.Error("memory is not watched", "error", err)
		return nil
	}
	a := &instance{warden: warden}
	if values.String(addr) != "" {
		if err := a.listen(values, logger); err != nil {
			logger.Error("memory is watched but not served", "error", err)
		}
	}
	return a
}

// logMistakes writes a line for each wrong setting: its default holds.
func logMistakes(logger *slog.Logger, err error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return
	}
	for _, mistake := range joined.Unwrap() {
		logger.Error("memory settings: the default holds", "error", mistake)
	}
}

// listen opens the listener and serves on it.
func (a *instance) listen(values settings.Values, logger *slog.Logger) error {
	token, err := memhttp.ParseToken(values.String(adminToken))
	if err != nil {
		return err
	}
	handler, err := memhttp.Handler(a.warden, memhttp.Options{
		AdminToken: token, ReadsNeedToken: values.Bool(readsNeedToken), Logger: logger,
	})
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	if a.listener, err = listen.Listen(context.Background(), "tcp", values.String(addr)); err != nil {
		return fmt.Errorf("cannot listen on %s (%s): %w", values.String(addr), addr, err)
	}
	a.server = &http.Server{
		Handler: handler, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	a.serving.Go(func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("memory is no longer served", "error", err)
		}
	})
	logger.Info("memory is served", "url", "http://"+a.listener.Addr().String())
	return nil
}

func (a *instance) close(ctx context.Context) error {
	err := a.warden.Close(ctx) // first: it ends the streams, for which the server would wait
	if a.server != nil {
		err = errors.Join(err, a.server.Shutdown(ctx))
		a.serving.Wait()
	}
	return err
}
