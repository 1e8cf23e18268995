package gcpolicy

import (
	"fmt"
	"time"
)

// BackoffConfig bounds how often a collection is forced.
type BackoffConfig struct {
	// MinInterval is the time between two forced collections, from the end of one to the beginning of the next.
	MinInterval time.Duration
	// MaxInterval is the longest that the time becomes by doubling, which it does after each collection that reclaims
	// less than MinReclaimRatio of the heap. One that reclaims more sets it back to MinInterval.
	MaxInterval     time.Duration
	MinReclaimRatio float64
	// MaxTimeRatio is the share of time that forced collections may take, whoever forces them: after one that took d,
	// none is forced for d / MaxTimeRatio. Since a collection cannot use more than all CPUs, this bounds its share of
	// them too.
	MaxTimeRatio float64
}

// DefaultBackoff forces a collection at most each 10 s, which is the custom of memory limiters, and gives up down to
// one in 5 min where they reclaim less than 5 %; the collector itself runs at least each 2 min. Forced collections
// take at most 5 % of the time, a fifth of what the collector allows itself while it runs.
func DefaultBackoff() BackoffConfig {
	return BackoffConfig{MinInterval: 10 * time.Second, MaxInterval: 5 * time.Minute, MinReclaimRatio: 0.05, MaxTimeRatio: 0.05}
}

// Validate returns every mistake, joined, each a *settings.FieldError.
func (c BackoffConfig) Validate() error {
	var m mistakes
	c.check(&m)
	return m.err()
}

func (c BackoffConfig) check(m *mistakes) {
	m.duration("backoff.min_interval_seconds", c.MinInterval)
	m.reject(c.MaxInterval < c.MinInterval, "backoff.max_interval_seconds", "%v: want at least min_interval_seconds (%v)",
		c.MaxInterval.Seconds(), c.MinInterval.Seconds())
	m.reject(!(c.MinReclaimRatio >= 0 && c.MinReclaimRatio <= 1), "backoff.min_reclaim_ratio", "%v: want 0 to 1", c.MinReclaimRatio)
	m.share("backoff.max_time_ratio", c.MaxTimeRatio)
}

// BackoffState is what is remembered of the last forced collection. The zero value is: there was none.
type BackoffState struct {
	ended     time.Time
	reclaimed float64       // share of the heap
	wait      time.Duration // by what it reclaimed
	rest      time.Duration // by the time that it took
}

// Allow reports whether a collection may be forced now; if not, why, and after which time it may. Force sets aside the
// wait for collections that reclaim something, but not the bound on their time. A clock that was set back behind the
// last collection allows one. Allow is pure.
func Allow(state BackoffState, force bool, now time.Time) (ok bool, reason string, retryAfter time.Duration) {
	since := now.Sub(state.ended)
	if state.ended.IsZero() || since < 0 {
		return true, "", 0
	}
	rest, wait := state.rest-since, state.wait-since
	switch {
	case rest > 0 && (force || rest >= wait):
		return false, fmt.Sprintf("forced collections have had their share of the time: the next one may begin in %s", seconds(rest)), rest
	case wait > 0 && !force:
		return false, fmt.Sprintf("the last forced collection, %s ago, reclaimed %s: the next one may begin in %s",
			seconds(since), percent(state.reclaimed), seconds(wait)), wait
	}
	return true, "", 0
}

// Record notes a forced collection that ended now, took so long and reclaimed so large a share of the heap. It is pure.
func Record(state BackoffState, cfg BackoffConfig, reclaimed float64, took time.Duration, now time.Time) BackoffState {
	wait := cfg.MinInterval
	if reclaimed < cfg.MinReclaimRatio {
		wait = min(2*max(state.wait, cfg.MinInterval), cfg.MaxInterval)
	}
	return BackoffState{
		ended: now, reclaimed: reclaimed, wait: wait,
		rest: time.Duration(float64(max(took, 0)) / cfg.MaxTimeRatio),
	}
}
