// Package leakrules shows our rules for leaks and well-known ones through one face, so that they can be judged alike.
//
// It knows what each rule takes for a leak, not what really is one. The benchmarks stand above it.
package leakrules

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/memwarden/memwarden/leak"
	"github.com/memwarden/memwarden/leak/leaksim"
)

// Rule judges a process from its start on, minute by minute.
type Rule interface {
	// Next takes in a minute, and reports whether the rule sees a leak now.
	Next(leaksim.Minute) bool
}

// Kind is a rule to begin with.
type Kind struct {
	Name  string
	Ours  bool
	Sites bool // it is told of allocation sites
	New   func() Rule
}

// All are the rules.
func All() []Kind {
	return []Kind{
		{"memwarden, with sites", true, true, func() Rule { return newOurs(true) }},
		{"memwarden, totals alone", true, false, func() Rule { return newOurs(false) }},
		{"five rises on end", false, false, func() Rule { return &fiveRises{} }},
		{"a quarter above the mean of 10 minutes", false, false, func() Rule { return &difference{} }},
		{"Mann-Kendall and Theil-Sen, 6 h", false, false, func() Rule { return &trend{} }},
	}
}

// FirstAlarm returns the minute in which a rule first sees a leak, or -1. A rule begins anew when the process does.
func FirstAlarm(kind Kind, run []leaksim.Minute) int {
	rule := kind.New()
	for i, minute := range run {
		if minute.Start {
			rule = kind.New()
		}
		if rule.Next(minute) {
			return i
		}
	}
	return -1
}

// ours is a Detector with its defaults.
type ours struct {
	detector *leak.Detector
	sites    bool
	now      time.Time
}

func newOurs(sites bool) *ours {
	d, err := leak.NewDetector(leak.Options{Interval: time.Minute})
	if err != nil {
		panic(err) // the options are right
	}
	return &ours{d, sites, time.Unix(0, 0)}
}

func (r *ours) Next(m leaksim.Minute) bool {
	seen := leak.NothingSeen()
	seen.Values[leak.Heap], seen.Owned, seen.Load = m.Heap-m.Owned, m.Owned, m.Load
	r.detector.Add(r.now, seen)
	r.now = r.now.Add(time.Minute)
	if r.sites && r.detector.SitesDue(leak.Heap) {
		list := make([]leak.Site, len(m.Sites))
		for i, bytes := range m.Sites {
			list[i] = leak.Site{Name: strconv.Itoa(i), Value: bytes}
		}
		r.detector.AddSites(leak.Heap, list)
	}
	return r.detector.Findings()[leak.Heap].Verdict >= leak.Suspect
}

// fiveRises is the rule that some detectors use for heaps after collections: each of the last five values was higher than
// the one before.
type fiveRises struct {
	last  float64
	rises int
}

func (r *fiveRises) Next(m leaksim.Minute) bool {
	if m.Heap > r.last && r.last > 0 {
		r.rises++
	} else {
		r.rises = 0
	}
	r.last = m.Heap
	return r.rises >= 5
}

// difference is the rule of watchers that dump when use jumps: a quarter above the mean of the last ten values.
type difference struct{ last []float64 }

func (r *difference) Next(m leaksim.Minute) bool {
	mean := 0.0
	for _, v := range r.last {
		mean += v / float64(len(r.last))
	}
	full := len(r.last) == 10
	if full {
		r.last = r.last[1:]
	}
	r.last = append(r.last, m.Heap)
	return full && m.Heap > 1.25*mean
}

// trend is Mann and Kendall's test of a trend (p < 0.01, one-sided) over six hours, in minima of ten minutes, together
// with Theil and Sen's slope, which must come to 5 % in that time.
type trend struct {
	minima []float64
	minute int
	least  float64
}

const trendPoints = 36

func (r *trend) Next(m leaksim.Minute) bool {
	if r.minute++; r.minute%10 != 1 {
		r.least = min(r.least, m.Heap)
	} else {
		r.least = m.Heap
	}
	if r.minute%10 != 0 {
		return false
	}
	if len(r.minima) == trendPoints {
		r.minima = r.minima[1:]
	}
	r.minima = append(r.minima, r.least)
	return len(r.minima) == trendPoints && rises(r.minima)
}

func rises(values []float64) bool {
	var score float64
	var slopes []float64
	for i := range values {
		for j := i + 1; j < len(values); j++ {
			slopes = append(slopes, (values[j]-values[i])/float64(j-i))
			switch {
			case values[j] > values[i]:
				score++
			case values[j] < values[i]:
				score--
			}
		}
	}
	n := float64(len(values))
	deviation := math.Sqrt(n * (n - 1) * (2*n + 5) / 18)
	slices.Sort(slopes)
	const onePercent = 2.326 // standard deviations
	return (score-1)/deviation > onePercent && slopes[len(slopes)/2]*n > 0.05*values[0]
}
