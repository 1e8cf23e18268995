package pgxpool

import (
	"context"
	"errors"
	"flag"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/memwarden/memwarden/internal/faultproxy"
	"github.com/memwarden/memwarden/internal/pgtest"
)

var long = flag.Bool("long", false, "keep each fault up for a second, and repeat them")

const (
	// deadline is what each request has.
	deadline = 200 * time.Millisecond
	// slack is how late a request may return: the tests of several packages share few processors.
	slack = 2 * time.Second
)

// load sends requests, each with a deadline, until it is stopped.
type load struct {
	answered, failed atomic.Int64
	stop             context.CancelFunc
	work             sync.WaitGroup
}

func startLoad(t *testing.T, p *Pool, clients int) *load {
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop}
	for range clients {
		l.work.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				if l.request(ctx, p) == nil {
					l.answered.Add(1)
				} else {
					l.failed.Add(1)
					time.Sleep(time.Millisecond) // a refused connection fails at once
				}
				if took := time.Since(start); took > deadline+slack {
					t.Errorf("a request with a deadline of %v took %v", deadline, took)
				}
			}
		})
	}
	return l
}

func (l *load) request(ctx context.Context, p *Pool) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var one int
	return p.QueryRow(ctx, "select 1 from pg_sleep(0.001)").Scan(&one)
}

// more waits until so many requests came to an end of a kind.
func more(t *testing.T, what string, counter *atomic.Int64, n int64) {
	t.Helper()
	until := counter.Load() + n
	within(t, what, func() bool { return counter.Load() >= until })
}

func (l *load) end() {
	l.stop()
	l.work.Wait()
}

// testFaults does to a busy pool what networks do, and wants it back after each.
func testFaults(t *testing.T, server *pgtest.Server) {
	between := faultproxy.Start(t, server.Host())
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Host = between.Addr()
	const bound, clients = 4, 8
	p := open(t, config(t, u.String(), func(c *pgxpool.Config) { c.ConnConfig.ConnectTimeout = time.Second }), Options{MaxConns: bound})
	l := startLoad(t, p, clients)
	t.Cleanup(func() { // before the pool is closed
		l.end()
	})
	more(t, "requests are answered", &l.answered, clients)

	rounds, keep := 1, time.Duration(0)
	if *long {
		rounds, keep = 5, time.Second
	}
	for range rounds {
		for _, fault := range []struct {
			name       string
			begin, end func()
		}{
			{"cut", between.Cut, func() {}},
			{"refuse", between.Refuse, func() { between.Accept(t) }},
			{"slow", func() { between.Slow(100) }, func() { between.Slow(0) }},
			{"swallow requests", func() { between.Swallow(faultproxy.ToServer) }, func() { between.Swallow(faultproxy.Nowhere) }},
			{"swallow answers", func() { between.Swallow(faultproxy.ToClient) }, func() { between.Swallow(faultproxy.Nowhere) }},
			{"swallow all", func() { between.Swallow(faultproxy.Both) }, func() { between.Swallow(faultproxy.Nowhere) }},
		} {
			before := l.failed.Load()
			fault.begin()
			if fault.name != "cut" { // which is over at once: what it made fail may have failed by now
				before = l.failed.Load()
			}
			within(t, fault.name+": requests fail, in time", func() bool { return l.failed.Load() > before })
			time.Sleep(keep)
			fault.end()
			start := time.Now()
			more(t, fault.name+": requests are answered again", &l.answered, 3*clients)
			t.Logf("%s: back after %v", fault.name, time.Since(start))
			if got := p.Usage(); got.Entries > bound || got.PeakEntries > bound {
				t.Errorf("%s: %+v", fault.name, got)
			}
		}
	}
	l.end()
	within(t, "all are given back", func() bool { return p.Stats().InUse == 0 })
	p.Reset()
	within(t, "no connection is left open", func() bool { return between.Open() == 0 && p.Usage().Entries == 0 })
}

func testRestart(t *testing.T, server *pgtest.Server) {
	p := open(t, config(t, server.URL(), nil), Options{MaxConns: 4})
	l := startLoad(t, p, 8)
	t.Cleanup(l.end)
	more(t, "requests are answered", &l.answered, 8)
	server.Kill(t)
	more(t, "requests fail", &l.failed, 8)
	if got := p.Usage(); got.Entries > 4 {
		t.Errorf("%+v", got)
	}
	server.Restart(t)
	more(t, "requests are answered again", &l.answered, 8)
}

// testCloseInSilence closes a pool whose network has gone silent: that is bounded, too.
func testCloseInSilence(t *testing.T, server *pgtest.Server) {
	between := faultproxy.Start(t, server.Host())
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Host = between.Addr()
	p, err := Open(t.Context(), config(t, u.String(), nil), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	between.Swallow(faultproxy.Both)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("in silence: %v, want context.DeadlineExceeded", err)
	}
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close in silence: %v, want context.DeadlineExceeded", err)
	}
	between.Refuse()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
