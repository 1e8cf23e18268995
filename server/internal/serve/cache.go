package serve

import (
	"context"
	"errors"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/contrib/redis"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/server/internal/config"
)

// The cache remembers which reports were kept, so that one which is sent again is kept once.
const (
	cacheName = "cache"
	// cacheTimeout bounds an exchange with Redis. Pages do not wait for the answer to a report, so that Redis has more time
	// than the default allows before a report may be kept twice.
	cacheTimeout = 500 * time.Millisecond
)

// reportCache is a cache of this instance, or one with a second level in Redis.
type reportCache interface {
	memhttp.ReportIDs
	bounded.Owner
	Close(context.Context) error
}

// newCache returns the cache; with Redis it is shared by all who use the same database, whose numbers it has. What is
// remembered does not change, so that each instance may serve it for as long as Redis does.
func newCache(c config.Config, client *redis.Client, database string) (reportCache, error) {
	if client == nil {
		return bounded.NewCache(bounded.CacheOptions[string, int64]{
			Name: cacheName, MaxEntries: c.CacheMaxEntries, MaxBytes: c.CacheMaxBytes, TTL: c.CacheTTL,
		})
	}
	return redis.NewCache(redis.CacheOptions[int64]{
		Client: client, Prefix: "memwarden:" + database + ":", Name: cacheName,
		MaxEntries: c.CacheMaxEntries, MaxBytes: c.CacheMaxBytes, TTL: c.CacheTTL, LocalTTL: c.CacheTTL, Timeout: cacheTimeout,
	})
}

// closeShared closes the cache, and then Redis, which it uses.
func (s *service) closeShared(ctx context.Context) error {
	var problems []error
	if s.cache != nil {
		problems = append(problems, s.cache.Close(ctx))
	}
	if s.redis != nil {
		problems = append(problems, s.redis.Close())
	}
	return errors.Join(problems...)
}
