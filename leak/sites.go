package leak

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/memwarden/memwarden/internal/sorting"
)

const (
	// siteSamples is how many samples of sites are kept: those of the second shortest window, and one more.
	siteSamples = 11
	// MaxSites is how many sites of a sample are kept, the largest ones.
	MaxSites = 2048
	// toldSites is how many a finding names, and toldShare the least share of a rise that one of them has.
	toldSites, toldShare = 5, 0.25
	// sureShare is the share of a rise that one site must have where that is asked for.
	sureShare = 0.5
)

// siteHistory is what sites have had lately.
type siteHistory struct {
	every   time.Duration
	samples []siteSample // oldest first
}

type siteSample struct {
	at     time.Duration
	values map[string]float64
}

// due reports whether it is time for another sample.
func (h *siteHistory) due(now time.Duration) bool {
	return len(h.samples) == 0 || now-h.samples[len(h.samples)-1].at >= h.every
}

func (h *siteHistory) add(now time.Duration, sites []Site) {
	sites = slices.Clone(sites)
	sorting.By(sites, func(a, b Site) int { return cmp.Compare(b.Value, a.Value) })
	sample := siteSample{now, map[string]float64{}}
	for _, s := range sites[:min(len(sites), MaxSites)] {
		sample.values[s.Name] += s.Value
	}
	if len(h.samples) == siteSamples {
		h.samples = slices.Delete(h.samples, 0, 1)
	}
	h.samples = append(h.samples, sample)
}

// growth finds the sites that have grown since a time in every third of it, and have a good part of a rise. It is empty
// if there are too few samples since then to tell.
func (h *siteHistory) growth(since time.Duration, rise float64) (grown []SiteGrowth) {
	from := slices.IndexFunc(h.samples, func(s siteSample) bool { return s.at >= since-h.every })
	if from < 0 || len(h.samples)-from < 4 || rise <= 0 {
		return nil
	}
	samples := h.samples[from:]
	last := len(samples) - 1
	for _, name := range slices.Sorted(maps.Keys(samples[last].values)) {
		at := func(third int) float64 { return samples[last*third/3].values[name] }
		by := at(3) - at(0)
		if by >= toldShare*rise && at(1) > at(0) && at(2) > at(1) && at(3) > at(2) {
			grown = append(grown, SiteGrowth{name, by, min(1, by/rise)})
		}
	}
	sorting.StableBy(grown, func(a, b SiteGrowth) int { return cmp.Compare(b.By, a.By) })
	return grown[:min(len(grown), toldSites)]
}
