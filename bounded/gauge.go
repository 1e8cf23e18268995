package bounded

import "sync/atomic"

// gauge is a number that goes up and down, and the highest that it was.
type gauge struct{ now, peak atomic.Int64 }

// add changes the number.
func (g *gauge) add(n int64) {
	now := g.now.Add(n)
	if n > 0 {
		g.raise(now)
	}
}

// reserve adds one unless that would pass the bound, which the number is never above then, not for a moment.
func (g *gauge) reserve(bound int64) bool {
	for {
		now := g.now.Load()
		if now >= bound {
			return false
		}
		if g.now.CompareAndSwap(now, now+1) {
			g.raise(now + 1)
			return true
		}
	}
}

func (g *gauge) raise(now int64) {
	for {
		peak := g.peak.Load()
		if now <= peak || g.peak.CompareAndSwap(peak, now) {
			return
		}
	}
}
