package serve

import (
	"context"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/contrib/redis"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/server/internal/store"
)

// databaseTTL keeps what health says of the database young: with a history that is stored every five seconds, a disk that
// takes no more is told of within ten, whether clients write or not.
const databaseTTL = 2 * time.Second

// databaseCheck pings the store. Without it nothing that is sent to the service can be accepted: it is down, although
// memory is watched all the same.
func databaseCheck(s *store.Store) health.Check {
	return health.Check{Name: "database", Probes: health.Ready, TTL: databaseTTL, Run: func(ctx context.Context) health.Result {
		stats := s.Stats()
		result := health.Result{Level: health.OK, Details: map[string]any{
			"kind": stats.Kind, "connections_max": stats.Max, "connections_in_use": stats.InUse, "connections_idle": stats.Idle,
			"connections_waited_for_total": stats.Waits, "connections_held_too_long_total": stats.HeldTooLong,
		}}
		if err := s.Ping(ctx); err != nil {
			result.Level, result.Message, result.Err = health.Down, "the database does not answer or takes no writes; the log says why", err
		}
		return result
	}}
}

// redisCheck is the client's check, beside who decides on the rates of requests: Redis for all servers that share it, or
// this one alone. Degraded is the number of limiters to which Redis did not answer when they asked last.
func redisCheck(client *redis.Client, limiters []*redis.RateLimiter) health.Check {
	check := client.Check()
	ping := check.Run
	check.Run = func(ctx context.Context) health.Result {
		var sum redis.RateLimiterStats
		degraded := 0
		for _, l := range limiters {
			stats := l.Stats()
			sum.Shared += stats.Shared
			sum.Local += stats.Local
			if stats.Degraded {
				degraded++
			}
		}
		result := ping(ctx)
		result.Details = map[string]any{
			"rate_decisions_shared_total": sum.Shared, "rate_decisions_local_total": sum.Local,
			"rate_limiters": len(limiters), "rate_limiters_degraded": degraded,
		}
		return result
	}
	return check
}

// databaseOwner shows the connection pool among the limits.
type databaseOwner struct{ store *store.Store }

func (databaseOwner) Name() string { return "connection_pool" }

func (d databaseOwner) Usage() bounded.Usage {
	const none = bounded.NotApplicable
	s := d.store.Stats()
	return bounded.Usage{Entries: s.Open, MaxEntries: s.Max, PeakEntries: s.PeakOpen, Bytes: none, MaxBytes: none, PeakBytes: none}
}

// Shrink frees nothing: the pool closes idle connections by itself.
func (databaseOwner) Shrink(context.Context, int64) int64 { return 0 }
