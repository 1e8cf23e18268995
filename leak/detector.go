package leak

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// Detector judges a process. It is safe for concurrent use, starts nothing, and holds 100 KiB, and some 100 bytes for each
// site that AddSites is given: TestBounds has the most. Add takes a third of a microsecond at one call a second
// (BenchmarkAdd), more where a figure rises.
//
// Each figure is cut into 40 pieces of time for each window, of which the least value counts; what the load takes is
// taken off. A window's floor is what was never given back since, and only that of its first three quarters is judged: it
// must rise all the time and not become slower, and end above all that was held before the window. (Mann-Kendall and
// similar tests of a trend are true of every warm-up and of every morning.) Then a rule must hold some times on end:
//
//   - Fast, in the shortest window: each of two windows on end added MinRise and more.
//   - Changed, in the next: it rose three times as much as in any of six windows before, by 2.5 % at least, and one site
//     has half of that. Or one site alone did so and never fell, whatever came and went beside it. Without sites it never
//     holds.
//   - Sustained, in the two longest: it rose by 15 % and by a fifth, most of that above all that was ever held.
//
// While a suspicion is open, another begins in its place if a rule holds because of a site that had no part in it, or at
// four times its pace: then Since is another, and what was decided about the first says nothing of the second. Each site
// does so once.
//
// What it misses: what is hidden beneath a load that rises all the time, until that turns; leaks of less than a fifth in
// three days; and in the first six windows of an hour all that is slower than Fast and faster than Sustained sees. What
// it takes for a leak: memory that is held for days and has no owner that would account for it.
type Detector struct {
	o Options

	mu     sync.Mutex
	last   time.Time
	active time.Duration // that was watched
	series [kinds]*series
}

// series is a figure over time.
type series struct {
	kind    Kind
	minRise float64
	scales  [len(scaleRules)]*scale
	streaks [len(scaleRules)]int
	sites   [siteHistories]siteHistory
	finding Finding
	value   float64 // the last one
	owned   float64 // what owners account for beside it, at last
	resumed bool    // after a pause, and nothing was seen since
	suspicion
}

// suspicion is what was found first, and what has come of it.
type suspicion struct {
	scale    int
	began    time.Duration // zero: there is none
	rise     rise
	progress time.Duration // when it last rose
	high     float64
	pace     float64 // of the rise, each second
	base     float64 // what was held when it began
	// led is the site that alone is judged, and held what it had when it was last looked at; see judged.
	led  string
	held float64
	// rebase is that there was a pause since.
	rebase bool
	// carried is that it was found by a detector before this one, which has not known its windows yet.
	carried bool
	// sites are those that are known to have a part in it, and in those before it that it has taken the place of; at most
	// mostCases of them and a few.
	sites []string
}

const (
	// muchFaster is how many times the pace of a suspicion another one must have that no site tells from it.
	muchFaster = 4
	// mostCases is how many sites are known before no other begins a suspicion in the place of one that is open.
	mostCases = 16
)

// NewDetector returns a detector that has seen nothing, or an error that lists every mistake in the options.
func NewDetector(o Options) (*Detector, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Detector{o: o}
	for kind := range d.series {
		s := &series{kind: Kind(kind), minRise: o.MinRise}
		for i, r := range scaleRules {
			s.scales[i] = newScale(r.factor * o.Window)
		}
		for i := range s.sites {
			s.sites[i] = siteHistory{every: s.scales[i+1].length / (siteSamples - 1), most: maxLongSites}
		}
		s.sites[0].most = MaxSites
		s.finding = Finding{Kind: s.kind, Reason: "less was seen than any rule takes, nearly two windows of " + o.Window.String()}
		d.series[kind] = s
	}
	return d, nil
}

// Add takes in what was seen. A time before the last one, as after a clock was set back, counts as the same time.
func (d *Detector) Add(now time.Time, o Observation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.last.IsZero() {
		d.active += d.passed(now)
	}
	d.last = now
	if math.IsInf(o.Load, 0) || o.Load < 0 {
		o.Load = math.NaN()
	}
	d.series[Heap].owned = o.Owned
	for kind, s := range d.series {
		if value := o.Values[kind]; value >= 0 && !math.IsInf(value, 1) { // nor NaN
			s.add(now, d.active, value, o.Load)
		}
	}
}

// passed is how much time counts since the last Add. The caller holds mu.
func (d *Detector) passed(now time.Time) time.Duration {
	return min(max(0, now.Sub(d.last)), 3*d.o.Interval)
}

// SitesDue reports whether AddSites should be called for a kind: ten times in three windows.
func (d *Detector) SitesDue(kind Kind) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.series[kind].sites[0].due(d.active)
}

// AddSites takes in what may be growing with a kind, as it was at the time of the last Add: all sites there are, not only
// those that changed; nil: they are not known. Of the names no more is known than that equal ones are the same.
func (d *Detector) AddSites(kind Kind, sites []Site) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sites = bySize(sites)
	histories := &d.series[kind].sites
	for i := range histories {
		if i == 0 || histories[i].due(d.active) {
			histories[i].add(d.active, sites, d.series[kind].owned)
		}
	}
}

// Findings returns what is thought of each kind, by kind.
func (d *Detector) Findings() []Finding {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Finding, 0, kinds)
	for _, s := range d.series {
		list = append(list, s.finding)
	}
	return list
}

func (s *series) add(now time.Time, active time.Duration, value, load float64) {
	s.carryOn(value)
	for i, scale := range s.scales {
		if scale.add(active, value, load) {
			s.look(i, now, active)
		}
	}
}

// look judges a scale of which a bucket has just been closed.
func (s *series) look(i int, now time.Time, active time.Duration) {
	j := s.judge(i)
	if j.holds {
		s.streaks[i]++
	} else {
		s.streaks[i] = 0
	}
	certain := s.streaks[i] >= scaleRules[i].times
	switch {
	case s.began > 0 && certain && s.another(i, j):
		s.suspect(i, j, now, active)
	case s.began > 0 && s.carried:
		s.followCarried(i, j, active)
	case s.began > 0:
		if i == s.suspicion.scale {
			s.follow(j, active)
		}
	case certain:
		s.suspect(i, j, now, active)
	case j.close:
		s.tell(Watch, i, j)
	case s.finding.Verdict == Watch && s.finding.Window == s.scales[i].length, s.finding.Verdict == Insufficient && len(s.scales[0].buckets) >= firstJudged:
		s.calm("what is held does not rise")
	}
}

// suspect begins a suspicion.
func (s *series) suspect(i int, j judged, now time.Time, active time.Duration) {
	if s.finding.Verdict >= Suspect {
		s.finding = Finding{} // of another leak
	}
	s.suspicion = suspicion{
		scale: i, began: active, rise: j.rise, progress: active, high: j.rise.to, pace: s.pace(i, j.rise), base: j.rise.to,
		sites: append(s.suspicion.sites, namesOf(j.sites)...), led: j.led, held: j.rise.to,
	}
	s.tell(Suspect, i, j)
	s.finding.Since = now
}

// another reports whether what holds in a scale is another leak than the one that is suspected. The first sites that are
// seen with a suspicion are its own.
func (s *series) another(i int, j judged) bool {
	if len(s.suspicion.sites) == 0 {
		s.suspicion.sites = namesOf(j.sites)
	}
	led := len(j.sites) > 0 && j.sites[0].Share >= sureShare
	if led && len(s.suspicion.sites) < mostCases && !slices.Contains(s.suspicion.sites, j.sites[0].Name) {
		return true
	}
	return s.pace(i, j.rise) >= muchFaster*s.suspicion.pace
}

// pace is by how much a rise in a scale goes up each second.
func (s *series) pace(i int, r rise) float64 {
	return r.by() / (time.Duration(max(1, r.steps)) * s.scales[i].step).Seconds()
}

func namesOf(sites []SiteGrowth) (names []string) {
	for _, site := range sites {
		names = append(names, site.Name)
	}
	return names
}

// follow sees what becomes of a suspicion: it is confirmed when what is held goes on rising for a third of the window at
// half of the pace and more, and dropped when half of the rise was given back, or nothing was added for a window (three,
// once it was confirmed).
func (s *series) follow(j judged, active time.Duration) {
	scale := s.scales[s.suspicion.scale]
	if s.suspicion.led != "" {
		var known bool
		if j, known = s.followSite(); !known {
			return
		}
	}
	if j.rise.to > s.high {
		s.high, s.progress = j.rise.to, active
	}
	since := active - s.began
	patience := max(scale.length, s.finding.Window) // which is longer where it was found by another detector
	if s.finding.Verdict == Confirmed {
		patience *= 3
	}
	if s.givenBack(j) {
		return
	}
	switch {
	case active-s.progress >= patience:
		s.suspicion = suspicion{}
		s.calm(fmt.Sprintf("nothing was added for %s", patience))
	case since >= scale.length/3 && j.rise.to-s.suspicion.base >= s.suspicion.pace/2*since.Truncate(scale.step).Seconds():
		if j.led == "" {
			j.rise = s.toTell(j.rise, since)
		}
		s.tell(Confirmed, s.suspicion.scale, j)
	}
}

// givenBack drops a suspicion of which half of the rise was given back, and reports whether it did.
func (s *series) givenBack(j judged) bool {
	if j.rise.to >= s.suspicion.rise.from+s.suspicion.rise.by()/2 {
		return false
	}
	s.suspicion = suspicion{}
	s.calm("what had risen was given back")
	return true
}

// followSite is what has become of the site that alone is judged; nothing is known of it right after a pause, nor where the
// first sample or the last has no sites.
func (s *series) followSite() (j judged, known bool) {
	history, led := &s.sites[0], s.suspicion.led
	if len(history.at) == 0 || !history.known(0) || !history.known(len(history.at)-1) {
		return j, false
	}
	j = judged{rise: history.between(led), led: led}
	if s.suspicion.rebase {
		s.suspicion.raise(j.rise.to - s.suspicion.held)
		s.suspicion.rebase = false
	}
	s.suspicion.held = j.rise.to
	if by := j.rise.by(); by > 0 {
		j.sites = []SiteGrowth{{led, by, 1}}
	}
	return j, true
}

// toTell is what is told of the rise that is suspected for some time: that of the newest window, or all of it where the window
// has less than half of its pace. A leak may rest, and a process without a collection seems to.
func (s *series) toTell(newest rise, since time.Duration) rise {
	whole := rise{from: s.suspicion.rise.from, to: newest.to, steps: s.suspicion.rise.steps + int(since/s.scales[s.suspicion.scale].step)}
	if s.pace(s.suspicion.scale, newest) < s.pace(s.suspicion.scale, whole)/2 {
		return whole
	}
	return newest
}

// raise has what was added not be judged.
func (s *suspicion) raise(by float64) {
	if by > 0 {
		s.rise.from += by
		s.rise.to += by
		s.high += by
		s.base += by
	}
}

// clone is a copy of its own.
func (s suspicion) clone() suspicion {
	s.sites = slices.Clone(s.sites)
	return s
}

// calm is what is found when nothing is.
func (s *series) calm(reason string) {
	s.finding = Finding{Kind: s.kind, Verdict: Healthy, Reason: reason}
}

// tell enters what was found in a scale.
func (s *series) tell(v Verdict, i int, j judged) {
	scale := s.scales[i]
	f := Finding{
		Kind: s.kind, Verdict: v, Rule: scaleRules[i].rule, Window: scale.length, Since: s.finding.Since,
		From: j.rise.from, To: j.rise.to, Rise: j.rise.by(), Sites: j.sites,
	}
	if len(f.Sites) == 0 && (s.finding.Window == f.Window || v == Confirmed) {
		f.Sites = s.finding.Sites // those of a moment ago
	}
	f.PerSecond = s.pace(i, j.rise)
	f.Reason = f.reason(time.Duration(max(1, j.rise.steps))*scale.step, j.led != "")
	s.finding = f
}

// reason says what was found in a sentence, of the whole or of one site alone.
func (f Finding) reason(over time.Duration, led bool) string {
	what := map[Verdict]string{
		Watch:     "it is watched",
		Suspect:   "none of it was given back",
		Confirmed: "none of it was given back, and it goes on",
	}[f.Verdict]
	name := map[Kind]string{
		Heap: "the live heap without what owners account for", Native: "memory outside of the Go runtime's",
		Descriptors: "open descriptors", Threads: "threads", Goroutines: "goroutines",
	}[f.Kind]
	if led {
		name = map[Kind]string{Heap: "what one site has in use of the live heap", Goroutines: "goroutines with one stack"}[f.Kind]
	}
	return fmt.Sprintf("%s rose from %s to %s within %s: %s", name, f.Kind.amount(f.From), f.Kind.amount(f.To), over.Round(time.Second), what)
}

// amount is a value of the kind as people read it.
func (k Kind) amount(value float64) string {
	if k == Heap || k == Native {
		return fmt.Sprintf("%.1f MiB", value/(1<<20))
	}
	return fmt.Sprintf("%.0f", value)
}
