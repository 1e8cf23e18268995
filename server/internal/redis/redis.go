// Package redis connects the server to a Redis that several instances share.
//
// It knows how to connect within bounds and how to tell whether Redis is there. It never fails a start: Redis may come
// later.
package redis

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/health"
)

const (
	// maxConns bounds the pool.
	maxConns = 10
	// operationTimeout bounds each exchange with Redis. A check has a second more, so that it always tells its own
	// result: one that health had to cut off would count as down.
	operationTimeout = 2 * time.Second
	checkTimeout     = operationTimeout + time.Second
)

// Client is a bounded pool of connections. It is safe for concurrent use and shows itself as a bounded.Owner.
type Client struct {
	client *redis.Client
	peak   atomic.Int64
}

// New returns a client for a redis:// or rediss:// URL; it connects when it is first used. Errors do not contain the
// URL, which may hold a password.
//
// It silences the logger that go-redis has for the whole process: that writes each failed attempt to the standard error
// in a form of its own, and what it says the check says too.
func New(url string) (*Client, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("redis: the URL cannot be used: want redis://user:password@host:6379/0")
	}
	logging.Disable()
	c := &Client{}
	o.PoolSize, o.MaxActiveConns, o.MinIdleConns = maxConns, maxConns, 0
	o.PipelinePoolSize = -1 // a second pool would double the bound
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = operationTimeout, operationTimeout, operationTimeout, operationTimeout
	o.ContextTimeoutEnabled = true
	// One retry is for a connection that was cut while it lay idle. Whoever asks again later is the other.
	o.MaxRetries, o.DialerRetries = 1, 1
	// Servers up to 8.2 answer the handshake for these with errors.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// The number of connections rises with a new one only.
	o.OnConnect = func(context.Context, *redis.Conn) error { c.connections(); return nil }
	c.client = redis.NewClient(o)
	return c, nil
}

// Check is a health check that pings. Redis is shared convenience: without it the service is degraded, not down.
func (c *Client) Check() health.Check {
	return health.Check{Name: "redis", Probes: health.Ready, Timeout: checkTimeout, Run: func(ctx context.Context) health.Result {
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		if err := c.client.Ping(ctx).Err(); err != nil {
			return health.Result{Level: health.Degraded, Message: "redis does not answer; the log says why", Err: err}
		}
		return health.Result{Level: health.OK}
	}}
}

// Close closes the connections.
func (c *Client) Close() error { return c.client.Close() }

// Name is "redis_connections".
func (c *Client) Name() string { return "redis_connections" }

// Usage counts the connections.
func (c *Client) Usage() bounded.Usage {
	const none = bounded.NotApplicable
	return bounded.Usage{Entries: c.connections(), MaxEntries: maxConns, PeakEntries: c.peak.Load(), Bytes: none, MaxBytes: none, PeakBytes: none}
}

// connections counts those that are open and keeps the peak.
func (c *Client) connections() int64 {
	open := int64(c.client.PoolStats().TotalConns)
	for peak := c.peak.Load(); open > peak && !c.peak.CompareAndSwap(peak, open); peak = c.peak.Load() {
	}
	return open
}

// Shrink frees nothing: idle connections close by themselves.
func (c *Client) Shrink(context.Context, int64) int64 { return 0 }
