package memwarden

import (
	"time"

	"github.com/memwarden/memwarden/history"
	"github.com/memwarden/memwarden/pressure"
)

// To wake a process that sleeps costs far more than what is read then, and the more the larger it is: of a process at rest
// a look can be worth less than it costs.
const (
	// restRatio is how much more rarely it is looked at a process at rest. With the intervals of default each look falls
	// together with one for leaks.
	restRatio = 5
	// maxRest is the longest pace that this leads to.
	maxRest = 5 * time.Second
	// restRoom is what must be free before every limit: at 200 MB/s it lasts for two looks that are as far apart as can be.
	restRoom = 2 << 30
	// restDrift is by what share figures may change; of goroutines a few may come and go.
	restDrift      = 0.02
	restGoroutines = 10
)

// rest notices a process at rest: nothing is near, nothing changes, and nobody looks.
type rest struct {
	since           time.Time // zero: it is not
	rss, goroutines int64     // as it began
	lasts           bool      // for so long that whoever comes to look finds ten minutes of every second before it
}

// observe takes in a state; followed says that somebody follows the events.
func (r *rest) observe(s *State, followed bool, now time.Time) {
	room, limited := s.Pressure.Room()
	if followed || !limited || room < restRoom || s.Pressure.Level > pressure.Normal || s.Pressure.Seen > pressure.Normal || s.Relief.Relieve {
		*r = rest{}
		return
	}
	rss, goroutines := s.Sample.Process.RSSBytes.Or(0), s.Sample.Go.Goroutines.Or(0)
	if r.since.IsZero() || now.Before(r.since) || drifted(rss, r.rss, 0) || drifted(goroutines, r.goroutines, restGoroutines) {
		*r = rest{since: now, rss: rss, goroutines: goroutines}
	}
	r.lasts = now.Sub(r.since) >= history.Tiers()[0].Keep
}

// drifted reports whether a figure is another than it was, by more than so little.
func drifted(now, before, little int64) bool {
	return max(now, before)-min(now, before) > max(little, int64(restDrift*float64(before)))
}

// pace is how long it may take until the next look.
func (r *rest) pace(interval time.Duration) time.Duration {
	if !r.lasts {
		return interval
	}
	return max(interval, min(restRatio*interval, maxRest))
}
