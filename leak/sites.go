package leak

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/memwarden/memwarden/internal/sorting"
)

const (
	// siteHistories is how many there are for a figure: one for each scale, but the two shortest share it.
	siteHistories = len(scaleRules) - 1
	// siteSamples is how many samples of sites are kept: those of a window, and one more.
	siteSamples = 11
	// MaxSites is how many sites of a sample are kept, the largest ones.
	MaxSites = 2048
	// maxLongSites is how many of them are kept for the two longest windows. A site that has toldShare of a rise by
	// leastSustained has a thirty-first of all that there is, so that it is among them.
	maxLongSites = 64
	// toldSites is how many a finding names, and toldShare the least share of a rise that one of them has.
	toldSites, toldShare = 5, 0.25
	// sureShare is the share of a rise that one site must have where that is asked for.
	sureShare = 0.5
)

// siteHistory is what sites have had at some times. It holds no more than most sites of each of siteSamples samples, of
// about 100 bytes each; where they stay the same, that is most times 100 bytes in all.
type siteHistory struct {
	every time.Duration
	most  int
	at    []time.Duration // of the samples, oldest first
	// cut is the most that those may have had that were left out of a sample; infinite: nothing is known of it.
	cut [siteSamples]float32
	// owned is what owners accounted for when a sample was taken.
	owned [siteSamples]float64
	rows  map[string]*siteRow
}

// siteRow is what a site has had, by sample; 0: it was not in it.
type siteRow [siteSamples]float32

// due reports whether it is time for another sample.
func (h *siteHistory) due(now time.Duration) bool {
	return len(h.at) == 0 || now-h.at[len(h.at)-1] >= h.every
}

// add takes in the sites of a sample, the largest first, and what owners account for. Nil: the sites are not known, and may
// have anything.
func (h *siteHistory) add(now time.Duration, sites []Site, owned float64) {
	if h.rows == nil {
		h.rows = map[string]*siteRow{}
	}
	if len(h.at) == siteSamples {
		h.forget()
	}
	sample := len(h.at)
	h.at = append(h.at, now)
	h.cut[sample], h.owned[sample] = 0, owned
	if sites == nil {
		h.cut[sample] = float32(math.Inf(1))
	}
	if len(sites) > h.most {
		h.cut[sample] = float32(sites[h.most].Value)
		sites = sites[:h.most]
	}
	for _, s := range sites {
		row := h.rows[s.Name]
		if row == nil {
			row = &siteRow{}
			h.rows[s.Name] = row
		}
		row[sample] = float32(s.Value)
	}
}

// forget drops the oldest sample, and the sites that are in no other.
func (h *siteHistory) forget() {
	h.at = slices.Delete(h.at, 0, 1)
	copy(h.cut[:], h.cut[1:])
	copy(h.owned[:], h.owned[1:])
	for name, row := range h.rows {
		copy(row[:], row[1:])
		if row[siteSamples-1] = 0; *row == (siteRow{}) {
			delete(h.rows, name)
		}
	}
}

// clear forgets all samples.
func (h *siteHistory) clear() { h.at, h.rows = nil, nil }

// growth finds the sites that have grown since a time in every third of it, and over each of the longer histories, and have
// a good part of a rise. It is empty if there are too few samples since then to tell. A site that is not in a sample may
// have had what was left out there.
func (h *siteHistory) growth(since time.Duration, rise float64, longer []siteHistory) (grown []SiteGrowth) {
	first := slices.IndexFunc(h.at, func(at time.Duration) bool { return at >= since-h.every })
	if first < 0 || len(h.at)-first < 4 || rise <= 0 {
		return nil
	}
	last := len(h.at) - 1
	for name, row := range h.rows {
		if row[last] == 0 {
			continue
		}
		at := func(third int) float64 {
			sample := first + (last-first)*third/3
			return float64(max(row[sample], h.cut[sample]))
		}
		by := at(3) - at(0)
		if by >= toldShare*rise && at(1) > at(0) && at(2) > at(1) && at(3) > at(2) && above(longer, name, at(3)) {
			grown = append(grown, SiteGrowth{name, by, min(1, by/rise)})
		}
	}
	sorting.By(grown, func(a, b SiteGrowth) int { return cmp.Or(cmp.Compare(b.By, a.By), cmp.Compare(a.Name, b.Name)) })
	return grown[:min(len(grown), toldSites)]
}

// above reports whether a site has more than it is known to have had when each of the histories began that hold all their
// samples. What only has again what it had a day ago comes and goes with the load.
func above(histories []siteHistory, name string, value float64) bool {
	for _, h := range histories {
		if row := h.rows[name]; len(h.at) == siteSamples && row != nil && float64(row[0]) >= value {
			return false
		}
	}
	return true
}

// known reports whether it is known which sites there were in a sample.
func (h *siteHistory) known(sample int) bool { return !math.IsInf(float64(h.cut[sample]), 0) }

// value is what a site had in a sample, or could have had at most.
func (h *siteHistory) value(name string, sample int) float64 {
	value := h.cut[sample]
	if row := h.rows[name]; row != nil {
		value = max(value, row[sample])
	}
	return float64(value)
}

// riseOf is how a site rose over all samples, if it never fell and rose by a least.
func (h *siteHistory) riseOf(name string, least float64) (r rise, ok bool) {
	r = h.between(name)
	last := len(h.at) - 1
	if r.by() < least {
		return r, false
	}
	for i := range last {
		if h.value(name, i) > h.value(name, i+1) {
			return r, false
		}
	}
	for third := range r.thirds { // they are not of the same length
		from, to := last*third/3, last*(third+1)/3
		r.thirds[third] = (h.value(name, to) - h.value(name, from)) * float64(last) / float64(3*(to-from))
	}
	return r, true
}

// between is what a site had in the first sample and in the last.
func (h *siteHistory) between(name string) rise {
	return rise{from: h.value(name, 0), to: h.value(name, len(h.at)-1), steps: windowBuckets}
}

// mostBefore is the most by which a site rose from one sample to the next but one, and the most that it had, before a time.
func (h *siteHistory) mostBefore(name string, end time.Duration) (most, high float64) {
	for i, at := range h.at {
		if at > end {
			break
		}
		high = max(high, h.value(name, i))
		for earlier := max(0, i-2); earlier < i; earlier++ {
			most = max(most, h.value(name, i)-h.value(name, earlier))
		}
	}
	return most, high
}

// bySize are the sites, one of each name, the largest first.
func bySize(sites []Site) []Site {
	list := slices.Clone(sites)
	sorting.By(list, func(a, b Site) int { return cmp.Compare(a.Name, b.Name) })
	n := 0
	for i, s := range list {
		if i > 0 && s.Name == list[n-1].Name {
			list[n-1].Value += s.Value
			continue
		}
		list[n], n = s, n+1
	}
	list = list[:n]
	sorting.By(list, func(a, b Site) int { return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name)) })
	return list
}
