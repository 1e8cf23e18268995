// Package redis connects the server to a Redis that several instances share.
//
// It knows how to connect within bounds and how to tell whether Redis is there. It never fails a start: Redis may come
// later.
package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/health"
)

// maxConns bounds the pool.
const maxConns = 10

// Client is a bounded pool of connections. It is safe for concurrent use and shows itself as a bounded.Owner.
type Client struct{ client *redis.Client }

// New returns a client for a redis:// or rediss:// URL; it connects when it is first used. Errors do not contain the
// URL, which may hold a password.
func New(url string) (*Client, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("redis: the URL cannot be used: want redis://user:password@host:6379/0")
	}
	o.PoolSize, o.MaxActiveConns, o.MinIdleConns = maxConns, maxConns, 0
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = 2*time.Second, 2*time.Second, 2*time.Second, 2*time.Second
	o.ContextTimeoutEnabled = true
	// Servers up to 8.2 answer the handshake for these with errors.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &Client{redis.NewClient(o)}, nil
}

// Check is a health check that pings. Redis is shared convenience: without it the service is degraded, not down.
func (c *Client) Check() health.Check {
	return health.Check{Name: "redis", Probes: health.Ready, Run: func(ctx context.Context) health.Result {
		if err := c.client.Ping(ctx).Err(); err != nil {
			return health.Result{Level: health.Degraded, Message: fmt.Sprintf("redis does not answer: %v", err)}
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
	return bounded.Usage{Entries: int64(c.client.PoolStats().TotalConns), MaxEntries: maxConns, PeakEntries: none, Bytes: none, MaxBytes: none, PeakBytes: none}
}

// Shrink frees nothing: idle connections close by themselves.
func (c *Client) Shrink(context.Context, int64) int64 { return 0 }
