package cleanup

import (
	"fmt"
	"time"
)

// Budget bounds how often the same is cleaned up after: cleaning up again and again does harm where it does not help.
type Budget struct {
	// PerHour is how often in any hour at most; at least 1.
	PerHour int
	// MinWait is the time from one to the next. It doubles, up to MaxWait, each time that little comes of it.
	MinWait, MaxWait time.Duration
}

// Spent is what was spent of a Budget. The zero value is: nothing. Its size is bounded by Budget.PerHour.
type Spent struct {
	recent []time.Time // of the last hour, oldest first
	wait   time.Duration
}

// Allow reports whether it may be cleaned up now; if not, why, and after which time it may. What is later than now, as after
// a clock was set back, does not count. Allow is pure.
func (b Budget) Allow(s Spent, now time.Time) (ok bool, reason string, retryAfter time.Duration) {
	recent := s.of(now)
	if len(recent) == 0 {
		return true, "", 0
	}
	if left := s.wait - now.Sub(recent[len(recent)-1]); left > 0 {
		reason, retryAfter = "it was cleaned up a moment ago", left
		if s.wait > b.MinWait {
			reason = "little came of it the last time"
		}
	}
	if len(recent) >= b.PerHour {
		if left := time.Hour - now.Sub(recent[len(recent)-b.PerHour]); left > retryAfter {
			reason, retryAfter = fmt.Sprintf("it was cleaned up %d times within the last hour", len(recent)), left
		}
	}
	return retryAfter <= 0, reason, max(0, retryAfter)
}

// Record notes that it was cleaned up, and whether that was worth it. It is pure.
func (b Budget) Record(s Spent, worth bool, now time.Time) Spent {
	wait := b.MinWait
	if !worth {
		wait = min(max(2*s.wait, 2*b.MinWait), b.MaxWait)
	}
	recent := append(s.of(now), now)
	return Spent{recent: recent[max(0, len(recent)-b.PerHour):], wait: wait}
}

// Renewed is what was spent once there is another thing to clean up after: the hour still counts, the wait does not.
func (s Spent) Renewed() Spent { return Spent{recent: s.recent} }

// of are the times within the last hour. They are a copy. What waits for longer than an hour keeps its last time.
func (s Spent) of(now time.Time) []time.Time {
	var recent []time.Time
	for _, at := range s.recent {
		if since := now.Sub(at); since >= 0 && since < max(time.Hour, s.wait) {
			recent = append(recent, at)
		}
	}
	return recent
}
