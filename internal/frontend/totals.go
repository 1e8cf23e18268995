package frontend

import (
	"cmp"
	"slices"
	"time"
)

// Other is the name under which is counted what is beyond the bound of names that are told apart. A page counts under it
// too what is beyond its own.
const Other = "(other)"

// Bounds of what is told apart.
const (
	maxRows     = 5000 // components of a release, or leaks
	maxReleases = 200
	maxWarnings = 20 // kinds
	maxNamed    = 20 // releases of one leak
)

// Filter chooses what is added up; nil: all.
type Filter struct{ Release, Name *string }

func (f Filter) release(r *Report) bool { return f.Release == nil || *f.Release == r.Release }
func (f Filter) named(name string) bool { return f.Name == nil || *f.Name == name }

// seen is in how many reports and pages something was, and when.
type seen struct {
	Reports   int       `json:"reports"`
	Pages     int       `json:"pages"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`

	last *Report
}

// in notes a report. Those of a page follow each other.
func (s *seen) in(r *Report) {
	if s.last == r {
		return
	}
	s.Reports++
	if s.last == nil || s.last.Page != r.Page {
		s.Pages++
	}
	if s.last == nil || r.At.Before(s.FirstSeen) {
		s.FirstSeen = r.At
	}
	if r.At.After(s.LastSeen) {
		s.LastSeen = r.At
	}
	s.last = r
}

// byPage has the reports of a page follow each other, so that pages can be counted without a list of them.
func byPage(reports []*Report, f Filter) []*Report {
	chosen := slices.DeleteFunc(slices.Clone(reports), func(r *Report) bool { return !f.release(r) })
	slices.SortStableFunc(chosen, func(a, b *Report) int { return cmp.Compare(a.Page, b.Page) })
	return chosen
}

// table has a row for each key, up to a bound.
type table[Key comparable, Row any] struct {
	most   int
	make   func(Key) *Row
	byKey  map[Key]*Row
	rows   []*Row // in the order in which they were made
	folded int64  // how often another row was given than the one of the key
}

func newTable[Key comparable, Row any](most int, make func(Key) *Row) *table[Key, Row] {
	return &table[Key, Row]{most: most, make: make, byKey: map[Key]*Row{}}
}

// row returns the row of a key; that of another where the table is full, which is made even then.
func (t *table[Key, Row]) row(key, other Key) *Row {
	if t.byKey[key] == nil && len(t.byKey) >= t.most {
		key = other
		t.folded++
	}
	if t.byKey[key] == nil {
		t.byKey[key] = t.make(key)
		t.rows = append(t.rows, t.byKey[key])
	}
	return t.byKey[key]
}

// Times are what a Profiler has measured of commits, each from the beginning of its render, in milliseconds.
type Times struct {
	Commits   int64   `json:"commits"`
	MeanMS    float64 `json:"mean_ms"`
	LongestMS float64 `json:"longest_ms"`
	TotalMS   float64 `json:"total_ms"`
}

// ComponentTotals are what the reports of a release tell of the components of a name.
type ComponentTotals struct {
	Name    string `json:"name"`
	Release string `json:"release"`
	seen
	Commits int64 `json:"commits"`
	Mounts  int64 `json:"mounts"`
	// Unmounts are those that pages tell of: those of earlier releases tell of none.
	Unmounts int64 `json:"unmounts"`
	// Live instances, as the pages had them at the time of each report.
	LiveMean float64 `json:"live_mean"`
	LiveMax  int64   `json:"live_max"`
	// Timed is absent where no Profiler has measured anything.
	Timed *Times `json:"timed,omitzero"`

	told int64 // how often
	live int64 // the sum
}

func (c *ComponentTotals) add(r *Report, one Component) {
	c.in(r)
	c.Commits += one.Commits
	c.Mounts += one.Mounts
	c.Unmounts += one.Unmounts
	c.told++
	c.live += one.Live
	c.LiveMax = max(c.LiveMax, one.Live)
	if one.Timed == 0 {
		return
	}
	if c.Timed == nil {
		c.Timed = &Times{}
	}
	c.Timed.Commits += one.Timed
	c.Timed.TotalMS += one.TotalMS
	c.Timed.LongestMS = max(c.Timed.LongestMS, one.LongestMS)
}

func (c *ComponentTotals) finish() {
	c.LiveMean = float64(c.live) / float64(c.told)
	if c.Timed != nil {
		c.Timed.MeanMS = c.Timed.TotalMS / float64(c.Timed.Commits)
	}
}

// Components adds up what reports tell of components: a row for each name and release, the rest under Other; folded is how
// often something was counted there for want of room.
func Components(reports []*Report, f Filter) (rows []*ComponentTotals, folded int64) {
	type key struct{ name, release string }
	all := newTable(maxRows, func(k key) *ComponentTotals { return &ComponentTotals{Name: k.name, Release: k.release} })
	for _, r := range byPage(reports, f) {
		for _, one := range r.Components {
			if f.named(one.Name) {
				all.row(key{one.Name, r.Release}, key{Other, Other}).add(r, one)
			}
		}
	}
	for _, row := range all.rows {
		row.finish()
	}
	return all.rows, all.folded
}

// timed returns a figure of what was measured; -1 where nothing was.
func (c *ComponentTotals) timed(figure func(*Times) float64) float64 {
	if c.Timed == nil {
		return -1
	}
	return figure(c.Timed)
}

// componentOrders are the figures that components can be ordered by.
var componentOrders = map[string]func(*ComponentTotals) float64{
	"mean_ms":    func(c *ComponentTotals) float64 { return c.timed(func(t *Times) float64 { return t.MeanMS }) },
	"longest_ms": func(c *ComponentTotals) float64 { return c.timed(func(t *Times) float64 { return t.LongestMS }) },
	"total_ms":   func(c *ComponentTotals) float64 { return c.timed(func(t *Times) float64 { return t.TotalMS }) },
	"commits":    func(c *ComponentTotals) float64 { return float64(c.Commits) },
	"mounts":     func(c *ComponentTotals) float64 { return float64(c.Mounts) },
	"unmounts":   func(c *ComponentTotals) float64 { return float64(c.Unmounts) },
	"live_max":   func(c *ComponentTotals) float64 { return float64(c.LiveMax) },
}

// ComponentOrders are the names of the figures that SortComponents knows.
var ComponentOrders = []string{"mean_ms", "longest_ms", "total_ms", "commits", "mounts", "unmounts", "live_max"}

// SortComponents puts those first of which a figure is highest, and among equals those with most commits.
func SortComponents(rows []*ComponentTotals, order string) {
	figure := componentOrders[order]
	slices.SortFunc(rows, func(a, b *ComponentTotals) int {
		return cmp.Or(cmp.Compare(figure(b), figure(a)), cmp.Compare(b.Commits, a.Commits), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Release, b.Release))
	})
}
