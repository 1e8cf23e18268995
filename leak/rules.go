package leak

import (
	"math"
	"slices"
	"time"
)

// Rule is what makes a growth suspicious.
type Rule string

// The rules.
const (
	Fast      Rule = "fast"      // by MinRise and more in each of two short windows on end
	Changed   Rule = "changed"   // unlike anything in the windows before, with a site that has half of it, or is alone so
	Sustained Rule = "sustained" // by 15 % and more in a long window, a fifth in the longest
)

// Thresholds of the rules, as shares of what was there. They were chosen by the simulation in package leaksim: see
// Detector.
const (
	changedRise   = 0.025
	changedExcess = 3 // times the largest rise before
	// fastPace is the least that the second of two windows may have of what the first has.
	fastPace = 0.8
	// fastStep is how many buckets after the first window of two the second begins. It might begin 30 after it, as the last
	// quarter of the first is not judged; but a batch that loads for half an hour would be a leak then.
	fastStep = 34
	// firstJudged is with how many buckets the first of the rules looks at anything: before that nothing is known to be well.
	firstJudged = windowBuckets + fastStep
)

// scaleRules are the rule of each scale, and how often on end it must hold, each time with another bucket.
var scaleRules = [...]struct {
	factor time.Duration
	rule   Rule
	times  int
	even   evenness
	// Of Sustained: the least rise, as a share of what was there, and by which share of it the end must be above all that
	// was ever held before. Of what comes and goes within hours less is above that.
	rise, high float64
}{
	{1, Fast, 3, evenness{0.35, 3, 1}, 0, 0},
	{3, Changed, 3, evenness{0.5, 1.4, 1}, 0, 0}, // a batch that loads for half of the time has half of it in one third
	{18, Sustained, 3, evenness{0.4, 3, 0.25}, leastSustained, 0.9},
	{72, Sustained, 2, evenness{0.5, 3, 0.2}, 0.2, 0.5}, // some new features are no stairs
}

// leastSustained is the least rise of all scales of Sustained.
const leastSustained = 0.15

// ledEven is how evenly a site must rise to be judged alone: what a profile samples of a leak comes by chance.
var ledEven = evenness{0.5, 1.45, 1}

// judged is what a rule says of a scale.
type judged struct {
	rise  rise
	sites []SiteGrowth
	holds bool
	// close is that the rise is of the kind that the rule looks for, if not enough of it.
	close bool
	// led is the site that is judged by itself, as the whole is not even; empty: it is the whole that is judged.
	led string
}

// effect is what a unit of load takes, as far as that is known; the longest scale knows best.
func (s *series) effect(i int) effect {
	for _, longest := range slices.Backward(s.scales[:]) {
		if e, known := effectOf(longest.buckets); known {
			return e
		}
	}
	return effectAtMost(s.scales[i].buckets)
}

// judge asks the rule of a scale whether it holds.
func (s *series) judge(i int) (j judged) {
	scale := s.scales[i]
	if len(scale.buckets) < enoughBuckets {
		return j
	}
	e, last := s.effect(i), scale.buckets[len(scale.buckets)-1]
	window, began := scale.window()
	j.rise = riseOf(e.rest(window, last))
	if scaleRules[i].rule == Changed {
		if led, ok := s.ledBySite(j.rise, window, began); ok {
			return led
		}
	}
	if !j.rise.even(scaleRules[i].even) || j.rise.by() < leastRise[s.kind]/2 {
		return j
	}
	switch by, from := j.rise.by(), max(1, j.rise.from); scaleRules[i].rule {
	case Fast:
		before := scale.buckets[:len(scale.buckets)-min(len(window), fastStep)]
		if len(before) < windowBuckets {
			return j
		}
		before = before[len(before)-windowBuckets:]
		first := riseOf(e.rest(before, last))
		began -= fastStep * scale.step
		j.close = first.even(scaleRules[i].even) && by >= fastPace*first.by() && first.by() > s.minRise/2*max(1, first.from) && by > s.minRise/2*from
		j.holds = j.close && first.by() > s.minRise*max(1, first.from) && by > s.minRise*from && j.rise.to > s.highBefore(began, e, last)
		j.rise.from, j.rise.steps = first.from, j.rise.steps+fastStep
		j.sites = s.grownSites(i, began, j.rise.by())
	case Changed:
		j.sites = s.grownSites(i, began, by)
		j.close = by >= changedRise*from && j.rise.to > s.highBefore(began, e, last)
		j.holds = j.close && s.unlikeBefore(scale, e, last, by) && len(j.sites) > 0 && j.sites[0].Share >= sureShare
	case Sustained:
		j.sites = s.grownSites(i, began, by)
		least, high := scaleRules[i].rise, s.highBefore(began, e, last)
		j.close = by >= least/2*from && j.rise.to > high
		j.holds = by >= least*from && j.rise.to > high+scaleRules[i].high*by
	}
	j.holds = j.holds && j.rise.by() >= leastRise[s.kind]
	return j
}

// ledBySite looks for a site that by itself does what Changed looks for, in a whole that is hidden by what comes and goes
// beside it: it rose evenly and never fell, three times as much as in any hour of the five before, from no less than all that
// it ever had then, while the whole rose too, by half of that at least, and neither owners nor the load had half of it to
// account for. If it is not known what owners account for, nothing is found.
func (s *series) ledBySite(whole rise, window []bucket, began time.Duration) (j judged, ok bool) {
	lately, before := &s.sites[0], &s.sites[1]
	if len(lately.at) < siteSamples || len(before.at) < siteSamples {
		return j, false
	}
	owned, load := lately.owned[siteSamples-1]-lately.owned[0], loadRise(window)
	for name := range lately.rows {
		r, grows := lately.riseOf(name, max(leastRise[s.kind], changedRise*whole.from))
		if !grows || !r.even(ledEven) || whole.by() < sureShare*judgedShare*r.by() || ok && (r.by() < j.rise.by() || r.by() == j.rise.by() && name > j.led) {
			continue
		}
		if !(owned+load*r.from < sureShare*r.by()) { // or NaN
			continue
		}
		if most, high := before.mostBefore(name, began); r.by() >= changedExcess*most && r.from >= high && above(s.sites[2:], name, r.to) {
			j, ok = judged{rise: r, sites: []SiteGrowth{{name, r.by(), 1}}, holds: true, close: true, led: name}, true
		}
	}
	return j, ok
}

// grownSites are those that have a good part of a rise in a scale. What is known of sites over its windows the two shortest
// share.
func (s *series) grownSites(i int, since time.Duration, rise float64) []SiteGrowth {
	first := max(0, i-1)
	return s.sites[first].growth(since, rise, s.sites[first+1:])
}

// highBefore is the most that was held at any time before another one, as far back as any scale reaches.
func (s *series) highBefore(at time.Duration, e effect, last bucket) float64 {
	high := math.Inf(-1)
	for _, scale := range s.scales {
		if earlier := scale.before(at); len(earlier) > 0 {
			high = max(high, slices.Max(e.rest(earlier, last)))
		}
	}
	return high
}

// unlikeBefore reports whether a rise is far larger than those of all earlier windows, of which there must be some.
func (s *series) unlikeBefore(scale *scale, e effect, last bucket, by float64) bool {
	earlier := e.rest(scale.buckets[:len(scale.buckets)-min(windowBuckets, len(scale.buckets))], last)
	if len(earlier) < (horizonWindows-2)*windowBuckets {
		return false
	}
	for at := 0; at+windowBuckets <= len(earlier); at += windowBuckets / 4 {
		if by < changedExcess*riseOf(earlier[at:at+windowBuckets]).by() {
			return false
		}
	}
	return true
}
