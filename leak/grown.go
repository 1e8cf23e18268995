package leak

import (
	"cmp"
	"time"

	"github.com/memwarden/memwarden/internal/sorting"
)

// Growth is what sites have gained, whatever the rules make of it.
type Growth struct {
	Over  time.Duration // that was watched; time that does not count, see Options.Interval, is none of it
	Sites []SiteGrowth  // that gained anything, the most first; each one's share is of what all of them did
}

// Grown compares sites, all there are now, with the oldest sample that is kept of them: of the beginning, or of a day ago
// (72 of the shortest windows). Of the small ones it had no more than the 64 largest are known: what is theirs counts from
// what they can have had at most. It is no verdict: what warms up grows as well. Zero: there is no such sample. It takes a
// fifth of a millisecond for each thousand sites (BenchmarkGrown).
func (d *Detector) Grown(now time.Time, kind Kind, sites []Site) (g Growth) {
	d.mu.Lock()
	defer d.mu.Unlock()
	oldest := &d.series[kind].sites[siteHistories-1]
	if len(oldest.at) == 0 {
		return g
	}
	g.Over = d.active - oldest.at[0]
	if !d.last.IsZero() {
		g.Over += d.passed(now)
	}
	all := 0.0
	for _, site := range bySize(sites) {
		if by := site.Value - oldest.value(site.Name, 0); by > 0 {
			g.Sites = append(g.Sites, SiteGrowth{Name: site.Name, By: by})
			all += by
		}
	}
	for i := range g.Sites {
		g.Sites[i].Share = g.Sites[i].By / all
	}
	sorting.By(g.Sites, func(a, b SiteGrowth) int { return cmp.Or(cmp.Compare(b.By, a.By), cmp.Compare(a.Name, b.Name)) })
	return g
}
