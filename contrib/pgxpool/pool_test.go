package pgxpool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/internal/pgtest"
)

var _ bounded.Owner = (*Pool)(nil)

// patience is for what must come.
const patience = 20 * time.Second

// TestPostgres runs on one server: it takes two seconds to make.
func TestPostgres(t *testing.T) {
	server := pgtest.Start(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *pgtest.Server)
	}{
		{"bound and peak", testBound},
		{"a full pool", testFull},
		{"held too long", testHeld},
		{"through database/sql", testHeldBySQL},
		{"hooks and tracer", testHooks},
		{"a connection that a hook refuses", testRefusedConnection},
		{"close waits", testClose},
		{"close cuts", testCloseCuts},
		{"close in silence", testCloseInSilence},
		{"faults", testFaults},
		{"server restarts", testRestart},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, server) })
	}
}

// config parses an address, with something changed.
func config(t *testing.T, url string, change func(*pgxpool.Config)) *pgxpool.Config {
	t.Helper()
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(c)
	}
	return c
}

// open opens a pool that is closed, in order and in time, at the end of the test.
func open(t *testing.T, c *pgxpool.Config, o Options) *Pool {
	t.Helper()
	p, err := Open(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
		if got := p.Usage(); got.Entries != 0 {
			t.Errorf("after Close: %+v", got)
		}
	})
	return p
}

func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it was not so within %v: %s", patience, what)
		}
	}
}

// testBound has many clients, and asks the server how many connections there are.
func testBound(t *testing.T, server *pgtest.Server) {
	const bound, clients = 5, 40
	named := func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = "bounded" }
	p := open(t, config(t, server.URL(), named), Options{MaxConns: bound})
	if got, want := p.Usage(), (bounded.Usage{MaxEntries: bound, Bytes: -1, MaxBytes: -1, PeakBytes: -1}); got != want {
		t.Errorf("before the first use: %+v, want %+v", got, want)
	}
	observer, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer observer.Close(t.Context())
	var left atomic.Int64
	left.Store(clients)
	var work sync.WaitGroup
	for range clients {
		work.Go(func() {
			defer left.Add(-1)
			for range 10 {
				if _, err := p.Exec(t.Context(), "select pg_sleep(0.002)"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for left.Load() > 0 {
		var there int
		query := "select count(*) from pg_stat_activity where application_name = 'bounded'"
		if err := observer.QueryRow(t.Context(), query).Scan(&there); err != nil || there > bound {
			t.Fatalf("the server has %d connections, %v, want at most %d", there, err, bound)
		}
		if got := p.Usage(); got.Entries > bound || got.PeakEntries > bound {
			t.Fatalf("%+v", got)
		}
	}
	work.Wait()
	got, stats := p.Usage(), p.Stats()
	if got.Entries != bound || got.PeakEntries != bound {
		t.Errorf("%+v, want %d connections", got, bound)
	}
	if stats.MaxConns != bound || stats.Open != bound || stats.InUse != 0 || stats.Idle != bound || stats.PeakOpen != bound ||
		stats.Acquires != 10*clients || stats.Waits < 1 || stats.WaitSeconds <= 0 || stats.HeldTooLong != 0 || stats.Canceled != 0 {
		t.Errorf("%+v", stats)
	}
	p.Reset()
	within(t, "idle connections are gone", func() bool { return p.Usage().Entries == 0 })
	if got := p.Usage(); got.PeakEntries != bound {
		t.Errorf("the peak is forgotten: %+v", got)
	}
	if p.Name() != "connection_pool" || p.Shrink(t.Context(), 1) != 0 {
		t.Errorf("%s: there is nothing to shrink", p.Name())
	}
}

func testFull(t *testing.T, server *pgtest.Server) {
	p := open(t, config(t, server.URL(), nil), Options{MaxConns: 1})
	only, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second connection: %v, want context.DeadlineExceeded", err)
	}
	if stats := p.Stats(); stats.Canceled != 1 || stats.InUse != 1 {
		t.Errorf("%+v", stats)
	}
	only.Release()
	if err := p.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// reports collects what OnHeld is told.
type reports chan Held

func (r reports) next(t *testing.T) Held {
	t.Helper()
	select {
	case h := <-r:
		return h
	case <-time.After(patience):
		t.Fatal("nothing was reported")
		return Held{}
	}
}

// forgetful takes a connection and does not give it back for now.
func forgetful(t *testing.T, p *Pool) *pgxpool.Conn {
	t.Helper()
	conn, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func testHeld(t *testing.T, server *pgtest.Server) {
	const limit = 20 * time.Millisecond
	told := make(reports, 10)
	p := open(t, config(t, server.URL(), nil), Options{HeldLimit: limit, OnHeld: func(h Held) { told <- h }})
	for i := range 2 { // the same connection twice
		start := time.Now()
		conn := forgetful(t, p)
		h := told.next(t)
		if !strings.HasPrefix(h.Stack, "github.com/memwarden/memwarden/contrib/pgxpool.forgetful\n\t") || !strings.Contains(h.Stack, "pool_test.go:") {
			t.Errorf("the stack is\n%s", h.Stack)
		}
		if h.For < limit || h.Since.Before(start) || h.Since.After(time.Now()) {
			t.Errorf("held since %v for %v, taken after %v", h.Since, h.For, start)
		}
		// Another one that is held meanwhile is reported; this one is not again.
		other := forgetful(t, p)
		if again := told.next(t); !again.Since.After(h.Since) {
			t.Errorf("the same hold was reported twice")
		}
		other.Release()
		conn.Release()
		if n := p.Stats().HeldTooLong; n != int64(2*(i+1)) || len(told) != 0 {
			t.Errorf("%d reports, %d not expected", n, len(told))
		}
	}
	if stats := p.Stats(); stats.InUse != 0 {
		t.Errorf("%+v", stats)
	}
}

func testHeldBySQL(t *testing.T, server *pgtest.Server) {
	told := make(reports, 1)
	p := open(t, config(t, server.URL(), nil), Options{HeldLimit: minHeldLimit, OnHeld: func(h Held) { told <- h }})
	db := stdlib.OpenDBFromPool(p.Pool)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if h := told.next(t); !strings.HasPrefix(h.Stack, "github.com/memwarden/memwarden/contrib/pgxpool.testHeldBySQL\n\t") {
		t.Errorf("the stack is\n%s", h.Stack)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	within(t, "it is given back", func() bool { return p.Stats().InUse == 0 })
}

// tracer is a user's: it sees queries and connections given back.
type tracer struct{ queries, releases atomic.Int64 }

func (r *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	r.queries.Add(1)
	return ctx
}
func (r *tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (r *tracer) TraceRelease(*pgxpool.Pool, pgxpool.TraceReleaseData)            { r.releases.Add(1) }

// testHooks: what a configuration has goes on to be called.
func testHooks(t *testing.T, server *pgtest.Server) {
	for _, deprecated := range []bool{false, true} {
		var connected, prepared, released, closed atomic.Int64
		traced := &tracer{}
		c := config(t, server.URL(), func(c *pgxpool.Config) {
			c.ConnConfig.Tracer = traced
			c.AfterConnect = func(context.Context, *pgx.Conn) error { connected.Add(1); return nil }
			c.AfterRelease = func(*pgx.Conn) bool { released.Add(1); return true }
			c.BeforeClose = func(*pgx.Conn) { closed.Add(1) }
			if deprecated {
				c.BeforeAcquire = func(context.Context, *pgx.Conn) bool { prepared.Add(1); return true }
			} else {
				c.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { prepared.Add(1); return true, nil }
			}
		})
		before := c.MaxConns
		p := open(t, c, Options{MaxConns: 3})
		for range 5 {
			if _, err := p.Exec(t.Context(), "select 1"); err != nil {
				t.Error(err)
			}
		}
		within(t, "all came back", func() bool { return released.Load() == 5 })
		if connected.Load() < 1 || prepared.Load() != 5 || traced.queries.Load() != 5 || traced.releases.Load() != 5 {
			t.Errorf("%d connected, %d prepared, %d traced, %d seen to be released", connected.Load(), prepared.Load(), traced.queries.Load(), traced.releases.Load())
		}
		if c.MaxConns != before || c.ConnConfig.Tracer != pgx.QueryTracer(traced) {
			t.Error("the configuration was changed")
		}
		p.Reset()
		within(t, "the hook was told of closing", func() bool { return closed.Load() == connected.Load() })
	}
}

func testRefusedConnection(t *testing.T, server *pgtest.Server) {
	no := errors.New("no")
	refuse := atomic.Bool{}
	refuse.Store(true)
	p := open(t, config(t, server.URL(), func(c *pgxpool.Config) {
		c.AfterConnect = func(context.Context, *pgx.Conn) error {
			if refuse.Load() {
				return no
			}
			return nil
		}
		c.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { return true, no }
	}), Options{})
	if _, err := p.Acquire(t.Context()); !errors.Is(err, no) {
		t.Errorf("%v, want the hook's error", err)
	}
	if got := p.Usage(); got.Entries != 0 || got.PeakEntries != 0 {
		t.Errorf("a connection that was refused counts: %+v", got)
	}
	refuse.Store(false)
	if _, err := p.Acquire(t.Context()); !errors.Is(err, no) {
		t.Errorf("%v, want the hook's error", err)
	}
	if _, count := p.conns.cut(time.Now()); count != 0 || p.Usage().Entries != 1 {
		t.Errorf("%d in use, %+v: want one that is idle", count, p.Usage())
	}
}

func testClose(t *testing.T, server *pgtest.Server) {
	p, err := Open(t.Context(), config(t, server.URL(), nil), Options{})
	if err != nil {
		t.Fatal(err)
	}
	conn := forgetful(t, p)
	closed := make(chan error, 2)
	for range 2 {
		go func() { closed <- p.Close(t.Context()) }()
	}
	within(t, "it takes no new work", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := p.Acquire(ctx)
		return err != nil && !errors.Is(err, context.DeadlineExceeded)
	})
	if len(closed) != 0 {
		t.Error("Close does not wait")
	}
	if _, err := conn.Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("work in progress is disturbed: %v", err)
	}
	conn.Release()
	for range 2 {
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}
}

// testCloseCuts has somebody who waits for the server, and somebody who never gives back.
func testCloseCuts(t *testing.T, server *pgtest.Server) {
	p, err := Open(t.Context(), config(t, server.URL(), nil), Options{})
	if err != nil {
		t.Fatal(err)
	}
	held := forgetful(t, p)
	asked := make(chan error, 1)
	go func() {
		_, err := p.Exec(context.Background(), "select pg_sleep(600)")
		asked <- err
	}()
	within(t, "both are out", func() bool { return p.Stats().InUse == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = p.Close(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 connections were not given back") ||
		!strings.Contains(err.Error(), "pgxpool.forgetful\n") {
		t.Errorf("Close: %v", err)
	}
	select {
	case err := <-asked:
		if err == nil {
			t.Error("the query ended well")
		}
	case <-time.After(patience):
		t.Fatal("whoever waits for the server is left waiting")
	}
	if _, err := held.Exec(t.Context(), "select 1"); err == nil {
		t.Error("a connection that was cut is used on")
	}
	held.Release()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	c := config(t, "postgres://u:p@127.0.0.1:1/d", nil)
	_, err := Open(t.Context(), c, Options{Name: "Pool", MaxConns: -1, HeldLimit: time.Millisecond})
	for _, want := range []string{`name "Pool"`, "max conns -1", "held limit 1ms"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	o, err := Options{}.check()
	if err != nil || o.Name != "connection_pool" || o.MaxConns != 20 || o.HeldLimit != 30*time.Second || o.Now == nil {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	p, err := Open(t.Context(), c, Options{Name: "other", HeldLimit: -1})
	if err != nil || p.Name() != "other" {
		t.Fatalf("%v", err)
	}
	if err := p.Ping(t.Context()); err == nil {
		t.Error("nobody answers")
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func BenchmarkAcquire(b *testing.B) {
	server := pgtest.Start(b)
	c, err := pgxpool.ParseConfig(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	plain, err := pgxpool.NewWithConfig(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	defer plain.Close()
	ours, err := Open(b.Context(), c, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer ours.Close(b.Context())
	for name, p := range map[string]*pgxpool.Pool{"pgxpool": plain, "with accounts": ours.Pool} {
		b.Run(fmt.Sprintf("acquire/%s", name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				conn, err := p.Acquire(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				conn.Release()
			}
		})
		b.Run(fmt.Sprintf("query/%s", name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Exec(b.Context(), "select 1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
