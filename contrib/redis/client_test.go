package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/internal/faultproxy"
	"github.com/memwarden/memwarden/internal/redistest"
)

var _ bounded.Owner = (*Client)(nil)

func newClient(t testing.TB, url string) *Client {
	t.Helper()
	c, err := Open(url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// registry registers the client's check as the service does.
func registry(t *testing.T, c *Client) *health.Registry {
	t.Helper()
	r, err := health.New(health.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(c.Check()); err != nil {
		t.Fatal(err)
	}
	r.MarkStarted()
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// want runs the check and looks at its result.
func want(t *testing.T, c *Client, level health.Level, message, secret string) {
	t.Helper()
	got := c.Check().Run(t.Context())
	told := fmt.Sprintf("%s: %v", got.Message, got.Err) // to everyone, and to the log
	if got.Level != level || !strings.Contains(told, message) || level == health.OK && (got.Message != "" || got.Err != nil) {
		t.Errorf("%s: %q, want %s: %q", got.Level, told, level, message)
	}
	if strings.Contains(told, secret) {
		t.Errorf("the password is in %q", told)
	}
}

func TestRedisComesAndGoes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newClient(t, server.URL())
	want(t, c, health.OK, "", server.Password())
	server.Kill(t)
	for range 2 * defaultMaxConns { // go-redis changes its ways after as many failures as the pool has connections
		want(t, c, health.Degraded, "redis does not answer", server.Password())
	}
	server.Restart(t)
	server.Stop(t)
	want(t, c, health.Degraded, "redis does not answer", server.Password())
}

func TestRedisIsBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newClient(t, server.URL())
	for range 2 {
		want(t, c, health.OK, "", server.Password())
		server.Restart(t) // which cuts the connection that lies idle
	}
	want(t, c, health.OK, "", server.Password())
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	const wrong = "hunter2-hunter2"
	want(t, newClient(t, strings.Replace(server.URL(), server.Password(), wrong, 1)), health.Degraded, "WRONGPASS", wrong)
	want(t, newClient(t, "redis://"+server.Host()), health.Degraded, "NOAUTH", wrong)
}

// TestSilentRedis has a server that takes connections and says nothing, as one does that is stopped or swaps.
func TestSilentRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	between := faultproxy.Start(t, server.Host())
	between.Swallow(faultproxy.Both)
	c, err := Open("redis://"+between.Addr(), Options{Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := registry(t, c)
	report := r.Report(t.Context(), health.All)
	if entry := report.Entries[0]; !report.OK() || entry.Level != health.Degraded || !strings.Contains(entry.Message, "does not answer") {
		t.Errorf("%s: %s: %q, want ok and degraded", report.Status, entry.Level, entry.Message)
	}
	if !r.Report(t.Context(), health.Ready).OK() {
		t.Error("readiness is off for want of Redis")
	}
}

// TestFullPool has all connections held: whoever wants one more waits until the end of his context.
func TestFullPool(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newClient(t, server.URL())
	for range defaultMaxConns {
		conn := c.Conn()
		defer conn.Close()
		if err := conn.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("there is a connection beyond the bound")
	}
	if took := time.Since(start); took > defaultTimeout/2 {
		t.Errorf("it took %v to find that out in 20 ms", took)
	}
	if got := c.Usage(); got.Entries != defaultMaxConns || got.PeakEntries != defaultMaxConns {
		t.Errorf("%+v", got)
	}
}

func TestUsageAndItsBound(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newClient(t, server.URL())
	const none = bounded.NotApplicable
	if got, want := c.Usage(), (bounded.Usage{MaxEntries: defaultMaxConns, Bytes: none, MaxBytes: none, PeakBytes: none}); got != want {
		t.Errorf("before the first use: %+v, want %+v", got, want)
	}
	var busy sync.WaitGroup
	for i := range 5 * defaultMaxConns {
		busy.Go(func() {
			for range 20 {
				if err := c.Set(t.Context(), fmt.Sprint(i), i, 0).Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	busy.Wait()
	got := c.Usage()
	if got.Entries < 1 || got.Entries > defaultMaxConns || got.PeakEntries < 2 || got.PeakEntries > defaultMaxConns || got.PeakEntries < got.Entries {
		t.Errorf("after use by many at once: %+v", got)
	}
	if c.Name() != "redis_connections" || c.Shrink(t.Context(), 1) != 0 {
		t.Errorf("%s: there is nothing to shrink", c.Name())
	}
	server.Kill(t)
	want(t, c, health.Degraded, "", server.Password())
	if after := c.Usage(); after.Entries >= got.Entries || after.PeakEntries < got.PeakEntries {
		t.Errorf("after the server was killed: %+v, was %+v", after, got)
	}
}

func TestBadURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "http://h", "redis://:hunter2@h:6379/none", "redis://:hunter2@h/0?pool_size=hunter2", "redis://:hunter2 @h"} {
		c, err := Open(url, Options{})
		if err == nil {
			c.Close()
			t.Errorf("%q is taken", url)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in %q", err)
		}
	}
}

func TestClientMistakes(t *testing.T) {
	t.Parallel()
	_, err := Open("redis://h", Options{Name: "Redis", MaxConns: -1, Timeout: time.Microsecond})
	for _, want := range []string{`name "Redis"`, "max conns -1", "timeout 1µs"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	c, err := Open("redis://h", Options{Name: "other", MaxConns: 3, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Usage(); c.Name() != "other" || got.MaxEntries != 3 || c.Options().ReadTimeout != time.Second {
		t.Errorf("%s: %+v", c.Name(), got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
