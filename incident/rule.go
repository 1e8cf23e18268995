package incident

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/memwarden/memwarden/bytesize"
)

// Rule says when a bundle is due. Ratios are shares of the limit at which the process is killed.
type Rule struct {
	// FloorRatio is below what nothing is an incident, however fast use grows. Default 0.5.
	FloorRatio float64
	// HighRatio is from where on a new high-water mark always is one. Default 0.8.
	HighRatio float64
	// Lead is how long before the limit, at the pace of the last seconds, a bundle begins. Default 30 s.
	Lead time.Duration
	// StepRatio is by how much use must pass that of the last bundle for a new one. Default 0.03.
	StepRatio float64
	// Cooldown is the least time between two bundles. Use that is OverrideRatio above that of the last overrides it.
	// Default 60 s and 0.1 of that use.
	Cooldown      time.Duration
	OverrideRatio float64
	// MaxPerRamp bounds the bundles of one ramp. A ramp is over once use has stayed below CalmRatio of its highest bundle
	// for CalmFor, or Forget after its last. Default 5; 0.8, 5 min and 1 h.
	MaxPerRamp int
	CalmRatio  float64
	CalmFor    time.Duration
	Forget     time.Duration
	// SmallBytes is the room up to the limit below which only the smallest parts are written, DyingBytes that below which
	// nothing is: what a bundle takes would itself be the end. Default 32 MiB and 8 MiB.
	SmallBytes, DyingBytes int64
}

// DefaultRule returns the rule of a warden that was told nothing.
func DefaultRule() Rule {
	return Rule{
		FloorRatio: 0.5, HighRatio: 0.8, Lead: 30 * time.Second, StepRatio: 0.03, Cooldown: time.Minute, OverrideRatio: 0.1,
		MaxPerRamp: 5, CalmRatio: 0.8, CalmFor: 5 * time.Minute, Forget: time.Hour, SmallBytes: 32 << 20, DyingBytes: 8 << 20,
	}
}

func (r Rule) check() error {
	var mistakes []error
	for _, ratio := range []struct {
		name  string
		value float64
	}{
		{"FloorRatio", r.FloorRatio}, {"HighRatio", r.HighRatio}, {"StepRatio", r.StepRatio},
		{"OverrideRatio", r.OverrideRatio}, {"CalmRatio", r.CalmRatio},
	} {
		if !(ratio.value > 0 && ratio.value <= 1) {
			mistakes = append(mistakes, fmt.Errorf("%s %v: want more than 0 and at most 1", ratio.name, ratio.value))
		}
	}
	if r.FloorRatio > r.HighRatio {
		mistakes = append(mistakes, fmt.Errorf("FloorRatio %v is above HighRatio %v", r.FloorRatio, r.HighRatio))
	}
	if r.Lead <= 0 || r.Cooldown <= 0 || r.CalmFor <= 0 || r.Forget <= 0 || r.MaxPerRamp < 1 {
		mistakes = append(mistakes, fmt.Errorf("Lead %v, Cooldown %v, CalmFor %v, Forget %v and MaxPerRamp %d must be positive",
			r.Lead, r.Cooldown, r.CalmFor, r.Forget, r.MaxPerRamp))
	}
	if r.DyingBytes < 0 || r.SmallBytes < r.DyingBytes {
		mistakes = append(mistakes, fmt.Errorf("DyingBytes %d and SmallBytes %d: want 0 or more, the second not below the first", r.DyingBytes, r.SmallBytes))
	}
	if err := errors.Join(mistakes...); err != nil {
		return fmt.Errorf("incident: rule: %w", err)
	}
	return nil
}

// Reading is how near the process is to its end.
type Reading struct {
	At time.Time
	// TotalBytes count against LimitBytes. UsedBytes are those of them that no collection gives back, as far as the last
	// one has told: what has come since counts as garbage, so in a leak it lags by up to half.
	UsedBytes, TotalBytes, LimitBytes int64
	// Collections counts those that have ended.
	Collections int64
}

// Extent is how much is written.
type Extent uint8

// The extents of a bundle.
const (
	Nothing  Extent = iota
	Smallest        // there is little room left: manifest, figures and heap profile
	Quick           // what takes no time; what has grown may all be garbage
	Whole
)

// String names the extent.
func (e Extent) String() string { return [...]string{"nothing", "smallest", "quick", "whole"}[e] }

// Verdict is what a Trigger makes of a reading. All of its figures are in the manifest of the bundle that it leads to.
type Verdict struct {
	Extent Extent // Nothing: no bundle
	// Next asks for another reading so soon, 100 ms at the soonest: at the pace of all that is allocated, be it garbage, the
	// limit is near. 0: there is no hurry.
	Next time.Duration
	// Dying tells that a bundle would be due, were there room for it.
	Dying bool
	// Rule is the name of what fired: "high_water", "growth" or "growth_unproven".
	Rule   string
	Reason string // a sentence with the figures
	// EstimatedBytes is what no collection would give back, the growth since the last one included, GrowthPerSecond its
	// pace and SecondsToLimit what is left at that; infinite where nothing grows.
	EstimatedBytes  int64
	GrowthPerSecond float64
	SecondsToLimit  float64
}

const (
	// paces are the spans over which growth is measured; the fastest counts, because a leak may just have begun.
	shortestPace = time.Second
	longestPace  = 10 * time.Second
	// rememberedReadings are enough for the longest pace at ten readings a second.
	rememberedReadings = 128
	// From alertRatio and alertLead on readings come faster, so many on the way to the limit: a second at 200 MB/s is a
	// fifth of 1 GiB.
	alertRatio       = 0.3
	alertLead        = 15 * time.Second
	alertReadings    = 20
	shortestInterval = 100 * time.Millisecond
	// unprovenRatio and unprovenLead are where a bundle is taken although all growth since the last collection may be
	// garbage: with a memory limit the next one may end at nine tenths of the container, too late for a fast leak.
	unprovenRatio = 0.75
	unprovenLead  = 3 * time.Second
	// fullRatio is where garbage is no excuse any more.
	fullRatio = 0.97
)

// Trigger decides by readings when a bundle is due. It is pure but for what it remembers: some hundred readings. It is
// not safe for concurrent use.
type Trigger struct {
	rule Rule

	readings  [rememberedReadings]Reading
	count     int       // readings remembered
	collected time.Time // when the number of collections last rose
	live      int64     // what was used then
	livePace  float64   // growth of that per second, from one such time to the next; at least 0

	// Of the ramp:
	taken     int
	last      time.Time // of its last bundle
	highest   int64     // what was estimated at its bundle of the most
	below     time.Time // since when use has been calm
	unproven  time.Time // of the last bundle that was taken on suspicion of garbage
	postponed time.Time // no bundle before: one has failed
}

// NewTrigger returns a trigger that has seen nothing. The error names every mistake of the rule.
func NewTrigger(r Rule) (*Trigger, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return &Trigger{rule: r}, nil
}

// Judge takes a reading and says what follows. A clock that was set back makes it begin anew.
func (t *Trigger) Judge(r Reading) Verdict {
	t.remember(r)
	v := Verdict{EstimatedBytes: r.UsedBytes, SecondsToLimit: math.Inf(1)}
	if r.LimitBytes <= 0 || r.TotalBytes <= 0 {
		return v
	}
	limit := float64(r.LimitBytes)
	// A collection shows at once what has become live since the one before: no more than has been allocated meanwhile.
	totalPace := t.pace(r, func(r Reading) int64 { return r.TotalBytes }, true)
	usedPace := max(t.livePace, t.pace(r, func(r Reading) int64 { return r.UsedBytes }, false))
	v.GrowthPerSecond = min(totalPace, usedPace)
	grown := v.GrowthPerSecond * r.At.Sub(t.collected).Seconds()
	estimate := min(float64(r.TotalBytes), float64(r.UsedBytes)+grown)
	v.EstimatedBytes = int64(estimate)
	v.SecondsToLimit = secondsTo(limit-estimate, v.GrowthPerSecond)
	totalLeft := secondsTo(limit-float64(r.TotalBytes), totalPace)
	total := float64(r.TotalBytes)
	if total >= alertRatio*limit && totalLeft < alertLead.Seconds() {
		v.Next = max(shortestInterval, time.Duration(totalLeft/alertReadings*float64(time.Second)))
	}

	t.settle(r, v.EstimatedBytes)
	extent := Whole
	switch {
	case estimate >= t.rule.HighRatio*limit:
		v.Rule = "high_water"
	case estimate >= t.rule.FloorRatio*limit && v.SecondsToLimit < t.rule.Lead.Seconds():
		v.Rule = "growth"
	case total >= fullRatio*limit, total >= unprovenRatio*limit && totalLeft < unprovenLead.Seconds():
		v.Rule, extent = "growth_unproven", Quick
		v.SecondsToLimit = min(v.SecondsToLimit, totalLeft)
	default:
		return v
	}
	if !t.due(r, v) {
		v.Rule = ""
		return v
	}
	v.Reason = t.reason(r, v)
	switch room := r.LimitBytes - r.TotalBytes; {
	case room < t.rule.DyingBytes:
		v.Dying = true
	case room < t.rule.SmallBytes:
		v.Extent = Smallest
	default:
		v.Extent = extent
	}
	return v
}

// due reports whether the bounds on the number of bundles allow for another.
func (t *Trigger) due(r Reading, v Verdict) bool {
	if r.At.Before(t.postponed) {
		return false
	}
	if v.Rule == "growth_unproven" {
		// One in a ramp, and one in the time in which a ramp is forgotten: a healthy heap with much garbage comes here
		// again and again.
		return t.taken == 0 && (t.unproven.IsZero() || r.At.Sub(t.unproven) >= t.rule.Forget)
	}
	switch {
	case t.taken == 0:
		return true
	case t.taken >= t.rule.MaxPerRamp:
		return false
	case r.At.Sub(t.last) < t.rule.Cooldown:
		return float64(v.EstimatedBytes) >= (1+t.rule.OverrideRatio)*float64(t.highest)
	default:
		return float64(v.EstimatedBytes) >= float64(t.highest)+t.rule.StepRatio*float64(r.LimitBytes)
	}
}

// Took notes that the bundle of a verdict, by a reading of that time, was written.
func (t *Trigger) Took(v Verdict, at time.Time) {
	if v.Rule == "growth_unproven" {
		t.unproven = at
		return
	}
	t.taken++
	t.last, t.highest = at, max(t.highest, v.EstimatedBytes)
}

// retryAfter is how long nothing is tried after a bundle could not be written.
const retryAfter = 10 * time.Second

// Failed notes that it could not be written: the next is tried a while later.
func (t *Trigger) Failed(at time.Time) { t.postponed = at.Add(retryAfter) }

// settle ends a ramp that is over.
func (t *Trigger) settle(r Reading, estimate int64) {
	if t.taken == 0 {
		return
	}
	if float64(estimate) >= t.rule.CalmRatio*float64(t.highest) {
		t.below = time.Time{}
	} else if t.below.IsZero() {
		t.below = r.At
	}
	if !t.below.IsZero() && r.At.Sub(t.below) >= t.rule.CalmFor || r.At.Sub(t.last) >= t.rule.Forget {
		t.taken, t.last, t.highest, t.below = 0, time.Time{}, 0, time.Time{}
	}
}

// remember puts a reading first.
func (t *Trigger) remember(r Reading) {
	if t.count > 0 && !r.At.After(t.readings[0].At) {
		if r.At.Before(t.readings[0].At) {
			*t = Trigger{rule: t.rule, taken: t.taken, highest: t.highest, last: r.At, collected: r.At}
		} else {
			t.count-- // two of one moment: the newer replaces the other
			copy(t.readings[:], t.readings[1:t.count+1])
		}
	}
	if t.count == 0 || t.readings[0].Collections != r.Collections {
		// A slow leak shows only here: minutes may pass between two collections.
		if since := r.At.Sub(t.collected); t.count > 0 && since > 0 {
			t.livePace = max(0, float64(r.UsedBytes-t.live)/since.Seconds())
		}
		t.collected, t.live = r.At, r.UsedBytes
	}
	t.count = min(t.count+1, len(t.readings))
	copy(t.readings[1:t.count], t.readings[:t.count-1])
	t.readings[0] = r
}

// pace is the fastest growth of a figure per second over the last second, and over the last three and ten; at least 0.
// Gross, what it lost in between does not count.
func (t *Trigger) pace(now Reading, figure func(Reading) int64, gross bool) (fastest float64) {
	spans := [...]time.Duration{shortestPace, 3 * shortestPace, longestPace}
	var grown int64
	reached, age := 0, time.Duration(0) // the first of the spans that the readings so far are not beyond
	for i := 1; i <= t.count; i++ {
		// Of a span counts the oldest reading in it: with one a second that is the one before, a little older or not.
		next := time.Duration(math.MaxInt64)
		if i < t.count {
			next = now.At.Sub(t.readings[i].At)
		}
		for ; reached < len(spans) && next > spans[reached]+spans[reached]/4; reached++ {
			if age >= spans[reached]/2 {
				fastest = max(fastest, float64(grown)/age.Seconds())
			}
		}
		if reached == len(spans) {
			break
		}
		change := figure(t.readings[i-1]) - figure(t.readings[i])
		if gross {
			change = max(0, change)
		}
		grown, age = grown+change, next
	}
	return fastest
}

func secondsTo(left, perSecond float64) float64 {
	if perSecond <= 0 {
		return math.Inf(1)
	}
	return max(0, left) / perSecond
}

// reason says why in a sentence.
func (t *Trigger) reason(r Reading, v Verdict) string {
	share := 100 * float64(v.EstimatedBytes) / float64(r.LimitBytes)
	text := fmt.Sprintf("about %s of %s are used (%.0f %%)", bytesize.Format(v.EstimatedBytes), bytesize.Format(r.LimitBytes), share)
	if v.Rule == "growth_unproven" {
		text = fmt.Sprintf("%s of %s are taken, and what has come since the last collection may be garbage or not",
			bytesize.Format(r.TotalBytes), bytesize.Format(r.LimitBytes))
	}
	if !math.IsInf(v.SecondsToLimit, 1) {
		text += fmt.Sprintf("; at the pace of the last seconds the limit is %.1f s away", v.SecondsToLimit)
	}
	if t.taken > 0 {
		text += fmt.Sprintf("; bundle %d of at most %d of this ramp", t.taken+1, t.rule.MaxPerRamp)
	}
	return text
}
