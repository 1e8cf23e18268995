// Package redis is what several instances of a service share by a Redis: a client within bounds, a rate limiter, and
// the second level of a cache.
//
// It stands on the client github.com/redis/go-redis/v9 and on bounded. Services stand above. To all of it Redis is a
// convenience: when it is gone or slow, each instance goes on alone, and comes back by itself.
package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/health"
)

const (
	defaultClientName = "redis_connections"
	defaultMaxConns   = 10
	maxMaxConns       = 10_000
	defaultTimeout    = 2 * time.Second
	minTimeout        = time.Millisecond
)

// Options are the settings of a Client. They are read once, by Open.
type Options struct {
	// Name identifies the client as an Owner: lower-case letters, digits, '_', '.' and '-'. Default "redis_connections".
	Name string
	// MaxConns bounds the connections; default 10, at most 10,000. A subscription has a connection of its own beside
	// these; a Cache has one.
	MaxConns int
	// Timeout bounds connecting, each exchange, and waiting for a connection; at least 1 ms, default 2 s. A context that
	// ends earlier ends them earlier.
	Timeout time.Duration
}

// check returns the options with their defaults, or every mistake in them.
func (o Options) check() (Options, error) {
	var mistakes []error
	if !validName(o.Name) {
		mistakes = append(mistakes, nameMistake(o.Name))
	}
	if o.MaxConns < 0 || o.MaxConns > maxMaxConns {
		mistakes = append(mistakes, fmt.Errorf("max conns %d: want between 1 and %d", o.MaxConns, maxMaxConns))
	}
	if o.Timeout != 0 && o.Timeout < minTimeout {
		mistakes = append(mistakes, timeoutMistake(o.Timeout))
	}
	if o.Name == "" {
		o.Name = defaultClientName
	}
	if o.MaxConns == 0 {
		o.MaxConns = defaultMaxConns
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	return o, errors.Join(mistakes...)
}

func validName(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == ""
}

func nameMistake(name string) error {
	return fmt.Errorf("name %q: want lower-case letters, digits, '_', '.' and '-'", name)
}

func timeoutMistake(timeout time.Duration) error {
	return fmt.Errorf("timeout %s: want at least %s", timeout, minTimeout)
}

// Client is a client of go-redis whose pool of connections is bounded. It is safe for concurrent use and implements
// Owner. Whoever waits for a connection of a full pool waits for Options.Timeout or until the end of his context.
//
// A command holds a connection for as long as Options.Timeout allows. go-redis does not tell who takes a connection for
// longer, with Conn, Watch or a blocking command, so that nothing can be reported of those.
type Client struct {
	*goredis.Client
	o    Options
	peak atomic.Int64
}

// Open returns a client for a redis:// or rediss:// URL; it connects when it is first used. Errors do not contain the
// URL, which may hold a password. Close it.
//
// go-redis writes each failed attempt to the standard error, with one logger for the whole process; a program that does
// not want that calls Disable of github.com/redis/go-redis/v9/logging.
func Open(url string, o Options) (*Client, error) {
	o, err := o.check()
	if err != nil {
		return nil, fmt.Errorf("redis: client: %w", err)
	}
	r, err := goredis.ParseURL(url)
	if err != nil {
		return nil, errors.New("redis: the URL cannot be used: want redis://user:password@host:6379/0")
	}
	c := &Client{o: o}
	r.PoolSize, r.MaxActiveConns, r.MinIdleConns = o.MaxConns, o.MaxConns, 0
	r.PipelinePoolSize = -1 // a second pool would double the bound
	r.DialTimeout, r.ReadTimeout, r.WriteTimeout, r.PoolTimeout = o.Timeout, o.Timeout, o.Timeout, o.Timeout
	r.ContextTimeoutEnabled = true
	// One retry is for a connection that was cut while it lay idle. Whoever asks again later is the other.
	r.MaxRetries, r.DialerRetries = 1, 1
	// Servers up to 8.2 answer the handshake for these with errors.
	r.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// The number of connections rises with a new one only.
	r.OnConnect = func(context.Context, *goredis.Conn) error { c.connections(); return nil }
	c.Client = goredis.NewClient(r)
	return c, nil
}

// Check is a health check that pings. Redis is shared convenience: without it a service is degraded, not down. The
// check has a second more than an exchange may take, so that it always tells its own result.
func (c *Client) Check() health.Check {
	run := func(ctx context.Context) health.Result {
		ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
		defer cancel()
		if err := c.Ping(ctx).Err(); err != nil {
			return health.Result{Level: health.Degraded, Message: "redis does not answer; the log says why", Err: err}
		}
		return health.Result{Level: health.OK}
	}
	return health.Check{Name: "redis", Probes: health.Ready, Timeout: c.o.Timeout + time.Second, Run: run}
}

// Name returns the name from the options.
func (c *Client) Name() string { return c.o.Name }

// Usage counts the connections of the pool.
func (c *Client) Usage() bounded.Usage {
	const none = bounded.NotApplicable
	return bounded.Usage{
		Entries: c.connections(), MaxEntries: int64(c.o.MaxConns), PeakEntries: c.peak.Load(),
		Bytes: none, MaxBytes: none, PeakBytes: none,
	}
}

// connections counts those that are open and keeps the peak.
func (c *Client) connections() int64 {
	open := int64(c.PoolStats().TotalConns)
	for peak := c.peak.Load(); open > peak && !c.peak.CompareAndSwap(peak, open); peak = c.peak.Load() {
	}
	return open
}

// Shrink frees nothing: idle connections close by themselves.
func (c *Client) Shrink(context.Context, int64) int64 { return 0 }
