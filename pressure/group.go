package pressure

import "github.com/memwarden/memwarden/memstat"

// maxGroups bounds the control groups that are judged: the process's own and its parents.
const maxGroups = 1 + memstat.MaxParents

// groups is the process's own control group, then its parents that have limits; the rest is zero.
type groups [maxGroups]group

// group is what is known of a control group and of its limit.
type group struct {
	parent  string // its path; empty: the process's own
	limit   int64  // the lower of max and high
	limited bool
	use     int64
	used    bool  // use is known
	cache   int64 // page cache that the kernel can take back at once
	events  int64 // times that use was at the limit
	counted bool  // events is known
}

// groupsOf takes the groups out of a sample. The process's own is held against the strictest of all limits: if that is
// a parent's, the parent shows more, but for one that cannot be seen.
func groupsOf(c *memstat.Cgroup) (all groups) {
	all[0].holds(c.WorkingSetBytes, c.CurrentBytes, c.InactiveFileBytes)
	all[0].limitedBy(c.MaxBytes, c.HighBytes)
	all[0].counts(c.HighEvents, c.MaxEvents)
	for i := range c.Parents {
		p, g := &c.Parents[i], &all[1+i]
		g.parent = p.Path
		g.holds(p.WorkingSetBytes, p.CurrentBytes, p.InactiveFileBytes)
		g.limitedBy(p.MaxBytes, p.HighBytes)
		g.counts(p.HighEvents, p.MaxEvents)
	}
	return all
}

func (g *group) holds(workingSet, current, cache memstat.Int) {
	g.cache = cache.Or(0)
	if g.use, g.used = workingSet.Get(); !g.used {
		g.use, g.used = current.Get()
	}
}

func (g *group) limitedBy(most, high memstat.Int) {
	limit, known := most.Get()
	if n, ok := high.Get(); ok && (!known || n < limit) {
		limit, known = n, true
	}
	g.limit, g.limited = limit, known && limit > 0
}

func (g *group) counts(high, most memstat.Int) {
	a, haveHigh := high.Get()
	b, haveMost := most.Get()
	g.events, g.counted = a+b, haveHigh || haveMost
}

// judged reports whether there are a use and a limit to hold it against.
func (g *group) judged() bool { return g.limited && g.used }

// trimmed reports whether an event at the limit is page cache being trimmed.
func (g *group) trimmed() bool { return float64(g.cache) >= cacheRatio*float64(g.limit) }
