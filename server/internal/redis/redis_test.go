package redis

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, url string) *Client {
	t.Helper()
	c, err := New(url)
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
	server := redistest.Start(t)
	c := newClient(t, server.URL())
	want(t, c, health.OK, "", server.Password())
	server.Kill(t)
	for range 2 * maxConns { // go-redis changes its ways after as many failures as the pool has connections
		want(t, c, health.Degraded, "redis does not answer", server.Password())
	}
	server.Restart(t)
	server.Stop(t)
	want(t, c, health.Degraded, "redis does not answer", server.Password())
}

func TestRedisIsBack(t *testing.T) {
	server := redistest.Start(t)
	c := newClient(t, server.URL())
	for range 2 {
		want(t, c, health.OK, "", server.Password())
		server.Restart(t) // which cuts the connection that lies idle
	}
	want(t, c, health.OK, "", server.Password())
}

func TestWrongPassword(t *testing.T) {
	server := redistest.Start(t)
	const wrong = "hunter2-hunter2"
	want(t, newClient(t, strings.Replace(server.URL(), server.Password(), wrong, 1)), health.Degraded, "WRONGPASS", wrong)
	want(t, newClient(t, "redis://"+server.Host()), health.Degraded, "NOAUTH", wrong)
}

// TestSilentRedis has a server that takes connections and says nothing, as one does that is stopped or swaps.
func TestSilentRedis(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn) // until the client gives up
			})
		}
	})
	c, err := New("redis://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r := registry(t, c)
	report := r.Report(t.Context(), health.All)
	if entry := report.Entries[0]; !report.OK() || entry.Level != health.Degraded || !strings.Contains(entry.Message, "does not answer") {
		t.Errorf("%s: %s: %q, want ok and degraded", report.Status, entry.Level, entry.Message)
	}
	if !r.Report(t.Context(), health.Ready).OK() {
		t.Error("readiness is off for want of Redis")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	listener.Close()
	open.Wait()
}

func TestUsageAndItsBound(t *testing.T) {
	server := redistest.Start(t)
	c := newClient(t, server.URL())
	const none = bounded.NotApplicable
	if got, want := c.Usage(), (bounded.Usage{MaxEntries: maxConns, Bytes: none, MaxBytes: none, PeakBytes: none}); got != want {
		t.Errorf("before the first use: %+v, want %+v", got, want)
	}
	var busy sync.WaitGroup
	for i := range 5 * maxConns {
		busy.Go(func() {
			for range 20 {
				if err := c.client.Set(t.Context(), fmt.Sprint(i), i, 0).Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	busy.Wait()
	got := c.Usage()
	if got.Entries < 1 || got.Entries > maxConns || got.PeakEntries < 2 || got.PeakEntries > maxConns || got.PeakEntries < got.Entries {
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
	for _, url := range []string{"", "http://h", "redis://:hunter2@h:6379/none", "redis://:hunter2@h/0?pool_size=hunter2", "redis://:hunter2 @h"} {
		c, err := New(url)
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
