// Package memwarden keeps a long-running Go service inside its memory: it samples where the memory is, derives the
// runtime's limit from the container, judges pressure, acts before the kernel kills, and takes the service down in
// order.
//
// Start is all that a program needs; package memhttp serves what a Warden knows, and package auto does both from the
// environment alone. This package joins the floors below it (memstat, limit, pressure, gcpolicy, cleanup, shutdown,
// health, history, bounded): it alone reads the clock and the environment for them and runs their goroutines.
package memwarden

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/gcpolicy"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/history"
	"github.com/memwarden/memwarden/internal/lograte"
	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/leak/track"
	"github.com/memwarden/memwarden/limit"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
	"github.com/memwarden/memwarden/shutdown"
)

// State is what a warden knew at one tick. It is never changed once it is published.
type State struct {
	// Sequence counts ticks from 1.
	Sequence int64
	Sample   memstat.Sample
	Pressure pressure.Decision
	Limit    limit.Decision          // zero for a process watched from outside
	Relief   gcpolicy.ReliefDecision // zero for a process watched from outside
	Owners   []OwnerUsage            // by name
	// Problems are files that exist but could not be read or understood.
	Problems []memstat.Problem
	// Gone tells that the process watched from outside has ended.
	Gone bool
}

// Warden watches one process. It is safe for concurrent use.
type Warden struct {
	o       Options
	log     *slog.Logger // where nothing is left out: for what has a rate of its own
	started time.Time

	config    *configState
	sampler   *memstat.Sampler // of the loop; it is not safe for concurrent use
	meter     meter            // of the collector
	limit     *limit.Owner     // this and the next two are nil for a process watched from outside
	tuner     *gcpolicy.Percent
	collector *gcpolicy.Collector
	cleanup   *cleanup.Registry
	health    *health.Registry
	history   *history.History
	shutdown  *shutdown.Sequence
	owners    owners
	events    events
	leaks     *bounded.Topic[[]byte] // reports that wait to be kept
	lostLeaks atomic.Uint64          // reports for which there was no room or no time
	store     storeStatus

	snapshots    *archive.Archive // nil: no directory is set for them
	ownDir       ownDir
	snapshotting sync.Mutex // held while a heap snapshot is taken or analysed
	lastSnapshot time.Time  // when the last one was begun that was to be kept; only with snapshotting

	incidents *incidents // nil: no bundles are written

	leakStatus atomic.Pointer[LeakStatus]
	// leakDetector is the one that looks at the process now; nil: none does.
	leakDetector atomic.Pointer[leak.Detector]
	leakChecks   chan chan<- LeakStatus // who wants it to be looked at once
	leakCases    chan leakCase          // suspicions to be looked into
	sweeps       sweeps
	sweepDue     chan struct{} // holds one while abandoned goroutines are to be looked for
	quietLeaks   quietCases
	openLeaks    openLeaks
	refreshDue   chan struct{} // holds one while reports of leaks that go on are to be kept anew
	settling     chan struct{} // full while somebody settles a leak, and while a report is kept: see settle
	cleaner      leakCleaner
	shrinking    sync.Mutex // held while owners shrink, under pressure or for a leak

	tracker    *track.Tracker // nil for a process watched from outside
	trackCases chan trackCase // the newest of what is overdue

	state   atomic.Pointer[State]
	beat    atomic.Int64  // Unix nanoseconds of the last tick
	changed chan struct{} // configuration or owners changed: tick now
	act     chan *State   // the newest state to act on

	cancel    context.CancelFunc
	loops     sync.WaitGroup
	done      chan struct{} // closed when the warden stops
	stop      func()        // once
	closeOnce sync.Once
	closeErr  error
}

// ErrRemote is returned by what can only be done to the calling process when another one is watched.
var ErrRemote = errors.New("another process is watched from outside: it can be observed but not governed")

// ErrLeaksOff is returned where leak detection is switched off.
var ErrLeaksOff = errors.New("leak detection is switched off (MEMWARDEN_LEAK_DETECTION)")

// ErrLeaksPaused is returned where leak detection is paused.
var ErrLeaksPaused = errors.New("leak detection is paused (MEMWARDEN_LEAK_PAUSED)")

// ErrClosed is returned by CheckLeaks, RecordIncident and what takes or analyses a snapshot once the warden was closed.
var ErrClosed = errors.New("the warden was closed")

// Start begins to watch the process and returns once the first sample is taken. The warden runs until Close is called
// or ctx ends; either way Close must be called to wait for it. Start changes the process in one way only: it
// may set the Go memory limit, if a container limits the process and nobody has set one (package limit).
//
// An error means that nothing was started. A store whose content cannot be used does not keep a service from
// starting: it is logged and shown by the health check "store".
func Start(ctx context.Context, o Options) (*Warden, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	log := o.Logger
	o.Logger = lograte.Limit(log, o.Now)
	w := &Warden{
		o: o, log: log, started: time.Now(), history: history.New(), owners: owners{logger: o.Logger},
		changed: make(chan struct{}, 1), act: make(chan *State, 1), done: make(chan struct{}),
		settling: make(chan struct{}, 1), leakChecks: make(chan chan<- LeakStatus), leakCases: make(chan leakCase, 2*len(leak.Kinds())), sweepDue: make(chan struct{}, 1), refreshDue: make(chan struct{}, 1), trackCases: make(chan trackCase, 1),
	}
	w.stop = sync.OnceFunc(func() { close(w.done) })
	if err := w.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("memwarden: start: %w", err), w.dismantle(ctx))
	}
	w.restore(ctx)
	watch := &watch{applied: w.config.config()}
	if err := errors.Join(w.adopt(watch.applied), w.cleanup.Start()); err != nil {
		return nil, errors.Join(fmt.Errorf("memwarden: start: %w", err), w.dismantle(ctx))
	}
	w.run(ctx, watch)
	return w, nil
}

// build constructs the parts; none of them runs yet.
func (w *Warden) build() (err error) {
	config := *w.o.Config
	w.config = newConfigState(config, w.o.Store, w.o.Now)
	if w.o.Store == nil {
		w.config.store = &memoryConfigStore{}
	}
	if w.sampler, err = memstat.New(memstat.Options{
		PID: w.o.PID, Root: w.o.Root,
		FastInterval: seconds(config.Sampling.IntervalSeconds), SlowInterval: seconds(config.Sampling.SlowIntervalSeconds),
	}); err != nil {
		return err
	}
	if !w.Remote() {
		if err := w.buildGovernors(config); err != nil {
			return err
		}
	}
	if w.cleanup, err = cleanup.New(cleanup.Options{Logger: w.o.Logger}); err != nil {
		return err
	}
	if w.shutdown, err = shutdown.New(w.o.Shutdown); err != nil {
		return err
	}
	if w.events, err = newEvents(w.o.WarnSubscribers, w.subscribersGrow, w.o.Logger); err != nil {
		return err
	}
	if err := w.buildHealth(); err != nil {
		return err
	}
	_, ofHistory := w.owners.register(w.history)
	_, ofEvents := w.owners.register(w.events.topic)
	return errors.Join(ofHistory, ofEvents, w.buildLeaks(), w.buildTracker(), w.buildSnapshots(), w.buildIncidents(), w.addShutdownSteps())
}

// buildGovernors constructs what governs the calling process.
func (w *Warden) buildGovernors(config Config) (err error) {
	lookup := func(name string) string { value, _ := w.o.LookupEnv(name); return value }
	if w.limit, err = limit.New(limit.Options{
		Config: limitConfig(config), ExplicitEnv: lookup("GOMEMLIMIT"), Derived: lookup(DerivedMark),
	}); err != nil {
		return err
	}
	if w.tuner, err = gcpolicy.NewPercent(gcpolicy.PercentOptions{Config: tunerConfig(config), ExplicitEnv: lookup("GOGC")}); err != nil {
		return err
	}
	w.meter.root = w.o.Root
	w.collector, err = gcpolicy.NewCollector(gcpolicy.CollectorOptions{Config: backoffConfig(config), Measure: w.meter.figures, Now: w.o.Now})
	return err
}

// restore takes over what the store has. What it cannot use is logged and shown by health.
func (w *Warden) restore(ctx context.Context) {
	if w.o.Store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := errors.Join(w.config.load(ctx), w.restoreHistory(ctx))
	if err != nil {
		w.o.Logger.Error("memory store", "error", err)
		w.store.set(err)
	}
}

// run starts the goroutines, after a first tick so that nobody meets a warden that knows nothing.
func (w *Warden) run(ctx context.Context, watch *watch) {
	ctx, w.cancel = context.WithCancel(ctx)
	context.AfterFunc(ctx, w.stop)
	w.tick(watch, w.o.Now())
	w.loops.Go(func() { w.loop(ctx, watch) })
	w.loops.Go(func() { w.react(ctx) })
	if !w.Remote() {
		leaks := w.newLeakWatch()
		w.loops.Go(func() { w.watchLeaks(ctx, leaks) })
		w.loops.Go(func() { w.investigate(ctx) })
	}
	if w.incidents != nil {
		w.loops.Go(func() { w.watchIncidents(ctx) })
	}
	if w.o.Store != nil {
		w.loops.Go(func() { w.keepHistory(ctx) })
	}
	w.health.MarkStarted()
}

// Close stops the warden, stores what is unsaved, and gives back what Start changed. It waits for its goroutines, and
// for cleanup tasks that run until ctx ends. Further calls wait for the first and return its error.
func (w *Warden) Close(ctx context.Context) error {
	w.closeOnce.Do(func() {
		w.stop()
		w.cancel()
		w.loops.Wait()
		var problems []error
		if w.o.Store != nil {
			problems = append(problems, w.saveHistory(ctx))
		}
		problems = append(problems, w.dismantle(ctx))
		w.events.close()
		if err := errors.Join(problems...); err != nil {
			w.closeErr = fmt.Errorf("memwarden: close: %w", err)
		}
	})
	return w.closeErr
}

// dismantle gives back what the parts hold; parts that were never built are nil.
func (w *Warden) dismantle(ctx context.Context) error {
	var problems []error
	if w.cleanup != nil {
		problems = append(problems, w.cleanup.Close(ctx))
	}
	if w.health != nil {
		problems = append(problems, w.health.Close(ctx))
	}
	problems = append(problems, w.ownDir.close())
	if w.leaks != nil {
		problems = append(problems, w.closeLeaks(ctx))
	}
	if w.incidents != nil {
		problems = append(problems, w.incidents.close(w.o.Now()))
	}
	if w.tracker != nil {
		w.tracker.Close()
	}
	if w.limit != nil {
		w.limit.Close()
	}
	if w.tuner != nil {
		w.tuner.Close()
	}
	if w.sampler != nil {
		problems = append(problems, w.sampler.Close())
	}
	return errors.Join(append(problems, w.meter.close())...)
}

// Remote reports whether another process is watched.
func (w *Warden) Remote() bool { return w.o.PID != 0 }

// State returns what the last tick knew; it is never nil and must not be changed. The call costs one atomic load.
func (w *Warden) State() *State { return w.state.Load() }

// Uptime is the time since Start.
func (w *Warden) Uptime() time.Duration { return time.Since(w.started) }

// Done is closed when the warden stops: when Close is called or the context of Start ends.
func (w *Warden) Done() <-chan struct{} { return w.done }

// Subscribe returns the events from now on. The subscription holds at most seventeen of them; close it when done. The
// error wraps bounded.ErrTopicClosed once the warden is closed, and bounded.ErrTooManyListeners, with who subscribed most
// often, if there are 16,384 subscriptions.
func (w *Warden) Subscribe() (*Subscription, error) { return w.events.subscribe() }

// Register adds an owner of memory: its use is sampled from now on, shown against its bound, and shrunk under high
// pressure. Its name must be unique; there may be MaxOwners.
func (w *Warden) Register(owner bounded.Owner) (unregister func(), err error) {
	if unregister, err = w.owners.register(owner); err == nil {
		w.hurry()
	}
	return unregister, err
}

// GC forces a collection, or shares one that is under way, and returns the figures before and after. Collections that
// bring little are backed off: the result then says that none ran and when the next may. It blocks for the length of
// a collection. ErrRemote is returned when another process is watched.
func (w *Warden) GC(ctx context.Context, reason string, returnToOS bool) (gcpolicy.Result, error) {
	if w.Remote() {
		return gcpolicy.Result{}, ErrRemote
	}
	return w.collect(ctx, gcpolicy.Request{Reason: reason, ReturnToOS: returnToOS})
}

// Cleanup is where a program adds its cleanup tasks.
func (w *Warden) Cleanup() *cleanup.Registry { return w.cleanup }

// Health is where a program adds its health checks.
func (w *Warden) Health() *health.Registry { return w.health }

// History is what was used over the last days.
func (w *Warden) History() *history.History { return w.history }

// Shutdown is where a program adds the steps that take it down. The warden's own: readiness goes off first, cleanup
// tasks for shutdown run and the warden closes at the end.
func (w *Warden) Shutdown() *shutdown.Sequence { return w.shutdown }

// Config returns the configuration in force.
func (w *Warden) Config() ConfigDocument { return w.config.document() }

// PatchConfig changes the configuration: checked as a whole, stored durably, then in force by the next tick, which
// comes at once. On an error nothing was changed: a joined list of *settings.FieldError, ErrMalformedPatch, ErrVersionConflict or ErrStore.
func (w *Warden) PatchConfig(ctx context.Context, patch ConfigPatch) (ConfigDocument, error) {
	document, err := w.config.patch(ctx, patch)
	if err != nil || patch.DryRun {
		return document, err
	}
	w.hurry()
	w.events.publish(Event{EventConfig, document.ChangedAt, document})
	w.o.Logger.Info("memory configuration changed", "version", document.Version, "actor", patch.Actor, "peer", patch.Peer, "patch", string(compact(patch.Patch)))
	return document, nil
}

// hurry brings the next tick forward.
func (w *Warden) hurry() {
	select {
	case w.changed <- struct{}{}:
	default: // it is due already
	}
}

// ConfigChanges returns at most limit changes of the configuration, newest first: the audit log.
func (w *Warden) ConfigChanges(ctx context.Context, limit int) ([]ConfigChange, error) {
	changes, err := w.config.store.ConfigChanges(ctx, limit)
	if err != nil {
		return nil, fmt.Errorf("memwarden: read configuration changes: %w", err)
	}
	return changes, nil
}

// adopt gives a configuration to the parts that keep one.
func (w *Warden) adopt(config Config) error {
	err := w.sampler.SetIntervals(seconds(config.Sampling.IntervalSeconds), w.slowInterval(config))
	if w.Remote() {
		return err
	}
	return errors.Join(err, w.limit.SetConfig(limitConfig(config)), w.collector.SetConfig(backoffConfig(config)), w.tuner.SetConfig(tunerConfig(config)))
}
