// Package pgxpool opens a pool of connections to PostgreSQL (github.com/jackc/pgx/v5/pgxpool) that keeps a bound, shows
// itself as a bounded.Owner, and tells who holds a connection for too long.
//
// It knows connections, and nothing of what is said over them. Services stand above.
package pgxpool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/memwarden/memwarden/bounded"
)

const (
	defaultName      = "connection_pool"
	defaultMaxConns  = 20
	maxMaxConns      = 10_000
	defaultHeldLimit = 30 * time.Second
	minHeldLimit     = 4 * time.Millisecond
)

// Options are the settings of a Pool that pgxpool.Config does not have. They are read once, by Open.
type Options struct {
	// Name identifies the pool as an Owner: lower-case letters, digits, '_', '.' and '-'. Default "connection_pool".
	Name string
	// MaxConns bounds the connections; default 20, at most 10,000. It takes the place of Config.MaxConns, whose default
	// follows the number of processors.
	MaxConns int
	// HeldLimit is how long a connection may be held before that is reported, which happens within another quarter of
	// it; at least 4 ms, default 30 s. Negative: nothing is looked at.
	HeldLimit time.Duration
	// OnHeld gets the report, once for each time that a connection is held too long; nil: it is counted only. Calls come
	// one after another from a goroutine of the pool, and must not close it.
	OnHeld func(Held)
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// check returns the options with their defaults, or every mistake in them.
func (o Options) check() (Options, error) {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("pgxpool: "+format, args...))
	}
	if strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
		mistake("name %q: want lower-case letters, digits, '_', '.' and '-'", o.Name)
	}
	if o.MaxConns < 0 || o.MaxConns > maxMaxConns {
		mistake("max conns %d: want between 1 and %d", o.MaxConns, maxMaxConns)
	}
	if o.HeldLimit > 0 && o.HeldLimit < minHeldLimit {
		mistake("held limit %s: want at least %s", o.HeldLimit, minHeldLimit)
	}
	if o.Name == "" {
		o.Name = defaultName
	}
	if o.MaxConns == 0 {
		o.MaxConns = defaultMaxConns
	}
	if o.HeldLimit == 0 {
		o.HeldLimit = defaultHeldLimit
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, errors.Join(mistakes...)
}

// Pool is a pgxpool.Pool with a bound, with all its methods but Close, which is bounded in time here. It is safe for
// concurrent use and implements Owner.
//
// Whoever waits for a connection of a full pool waits until the end of his context at most. Accounting costs about a
// microsecond for each time that a connection is taken, and allocates nothing.
type Pool struct {
	*pgxpool.Pool
	o     Options
	conns conns

	reports atomic.Int64
	stop    func() // may be called more than once
	watch   sync.WaitGroup
}

// Open returns a pool for a configuration made by pgxpool.ParseConfig, which stays as it is; hooks and tracer in it are
// called as ever. Open does not wait for a connection: errors are mistakes in the options. The end of ctx does not
// close the pool. Close it.
func Open(ctx context.Context, config *pgxpool.Config, o Options) (*Pool, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	p := &Pool{o: o, conns: conns{open: make(map[*pgx.Conn]*conn), limit: o.MaxConns}}
	if p.Pool, err = pgxpool.NewWithConfig(ctx, p.configure(config)); err != nil {
		return nil, fmt.Errorf("pgxpool: %w", err)
	}
	stopped := make(chan struct{})
	p.stop = sync.OnceFunc(func() { close(stopped) })
	if o.HeldLimit > 0 {
		p.watch.Go(func() { p.look(stopped) })
	}
	return p, nil
}

// configure returns a copy of a configuration that keeps the bound and tells of each connection what becomes of it.
func (p *Pool) configure(from *pgxpool.Config) *pgxpool.Config {
	c := from.Copy()
	c.MaxConns = int32(p.o.MaxConns)
	afterConnect, prepare, beforeClose := c.AfterConnect, c.PrepareConn, c.BeforeClose
	if before := c.BeforeAcquire; prepare == nil && before != nil { // PrepareConn would take its place
		prepare = func(ctx context.Context, conn *pgx.Conn) (bool, error) { return before(ctx, conn), nil }
	}
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if afterConnect != nil {
			if err := afterConnect(ctx, conn); err != nil {
				return err // and it is closed without a word
			}
		}
		p.conns.opened(conn, conn.PgConn().Conn())
		return nil
	}
	c.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		if prepare != nil {
			if ok, err := prepare(ctx, conn); !ok || err != nil {
				return ok, err
			}
		}
		p.conns.taken(conn, p.o.Now())
		return true, nil
	}
	c.BeforeClose = func(conn *pgx.Conn) {
		p.conns.closed(conn)
		if beforeClose != nil {
			beforeClose(conn)
		}
	}
	// AfterRelease would not be told of a connection that is closed when it is given back, and with it each connection
	// would come back by way of a goroutine. A tracer is told at once.
	if tracer := c.ConnConfig.Tracer; tracer != nil {
		c.ConnConfig.Tracer = multitracer.New(tracer, releases{&p.conns})
	} else {
		c.ConnConfig.Tracer = releases{&p.conns}
	}
	return c
}

// releases is a tracer that sees connections given back.
type releases struct{ conns *conns }

func (r releases) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	r.conns.released(data.Conn)
}

// TraceQueryStart does nothing: every tracer has it.
func (releases) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd does nothing: every tracer has it.
func (releases) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// look reports what is held for too long, until it is told to stop.
func (p *Pool) look(stopped <-chan struct{}) {
	ticker := time.NewTicker(p.o.HeldLimit / 4)
	defer ticker.Stop()
	for {
		select {
		case <-stopped:
			return
		case <-ticker.C:
		}
		for _, held := range p.conns.overdue(p.o.Now(), p.o.HeldLimit) {
			p.reports.Add(1)
			if p.o.OnHeld != nil {
				p.o.OnHeld(held)
			}
		}
	}
}

// Close refuses new work, waits until every connection was given back, and closes them. When ctx ends first, it cuts
// the connections that are still out, so that whoever uses them gets an error, and returns an error that says how many
// these were and who took the oldest. A connection to a network that has gone silent can take pgx 15 s to close: those
// end in the background. It may be called more than once. A pool is what a service closes last.
func (p *Pool) Close(ctx context.Context) error {
	p.stop()
	p.watch.Wait()
	closed := make(chan struct{})
	go func() {
		p.Pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
	}
	held, count := p.conns.cut(p.o.Now())
	if count == 0 {
		return fmt.Errorf("pgxpool: %s: connections are still being closed: %w", p.o.Name, ctx.Err())
	}
	return fmt.Errorf("pgxpool: %s: %d connections were not given back and are cut: %w; one was held for %s by\n%s",
		p.o.Name, count, ctx.Err(), held.For, held.Stack)
}

// Name returns the name from the options.
func (p *Pool) Name() string { return p.o.Name }

// Usage counts the connections that are open. The peak is exact.
func (p *Pool) Usage() bounded.Usage {
	open, peak := p.conns.count()
	const none = bounded.NotApplicable
	return bounded.Usage{
		Entries: open, MaxEntries: int64(p.o.MaxConns), PeakEntries: peak, Bytes: none, MaxBytes: none, PeakBytes: none,
	}
}

// Shrink frees nothing: idle connections are closed after Config.MaxConnIdleTime.
func (p *Pool) Shrink(context.Context, int64) int64 { return 0 }

// Stats tells how the connections are used.
type Stats struct {
	MaxConns    int64   `json:"max_conns"` // bound
	Open        int64   `json:"open"`
	InUse       int64   `json:"in_use"`
	Idle        int64   `json:"idle"`
	PeakOpen    int64   `json:"peak_open"`
	Acquires    int64   `json:"acquires_total"`
	Waits       int64   `json:"waits_total"`    // for a connection, because none was idle
	Canceled    int64   `json:"canceled_total"` // waits that ended with their context
	WaitSeconds float64 `json:"wait_seconds_total"`
	HeldTooLong int64   `json:"held_too_long_total"` // longer than Options.HeldLimit
}

// Stats does no I/O.
func (p *Pool) Stats() Stats {
	s := p.Stat()
	open, peak := p.conns.count()
	return Stats{
		MaxConns: int64(s.MaxConns()), Open: open, InUse: int64(s.AcquiredConns()), Idle: int64(s.IdleConns()), PeakOpen: peak,
		Acquires: s.AcquireCount(), Waits: s.EmptyAcquireCount(), Canceled: s.CanceledAcquireCount(),
		WaitSeconds: s.EmptyAcquireWaitTime().Seconds(), HeldTooLong: p.reports.Load(),
	}
}
