// Package trend tells whether a series rises or falls with time, and how sure that is: the proof that a program under
// load does not grow.
//
// It knows times and values, and neither what they are of nor where they come from. The detector of package leak has
// rules of its own, which must decide before a series is over. Soak and load tests stand above it.
package trend

import (
	"math"
	"slices"
)

// Trend is how a series changes with time, and how sure that is.
type Trend struct {
	Samples   int
	Slope     float64 // Theil–Sen: the median of the slopes between all pairs of samples
	Low, High float64 // confidence interval of the slope; infinite where there are too few samples
	P         float64 // of a series without trend to look like this one or more so, two-sided
	Inflation float64 // of the variance, by autocorrelation; 1 or more
}

// Distinguishable reports whether the slope is distinguishable from 0 at a level of significance.
func (t Trend) Distinguishable(alpha float64) bool { return t.P < alpha }

// Of looks for a monotonic trend in samples taken at increasing times, by the test of Mann and Kendall with its
// correction for ties (M. Kendall, Rank Correlation Methods, chapter 4), and by the slope of Theil and Sen with the
// interval that belongs to the test (P. K. Sen, Journal of the American Statistical Association 63, 1968). The samples
// need not be normal, and an outlier counts as one sample. It takes time and memory with the square of their number.
//
// What lies in a cache now lay there a moment ago, so that samples are not independent, and the plain test would find
// trends where there are none. The variance is therefore multiplied as K. Hamed and A. Rao say (A modified
// Mann–Kendall trend test for autocorrelated data, Journal of Hydrology 204, 1998), see inflation.
func Of(at, values []float64, alpha float64) Trend {
	n := len(values)
	t := Trend{Samples: n, P: 1, Low: math.Inf(-1), High: math.Inf(1), Inflation: 1}
	if n < 5 {
		return t
	}
	s, slopes := pairs(at, values)
	t.Slope = median(slopes)
	rest := make([]float64, n)
	for i, value := range values {
		rest[i] = value - t.Slope*at[i]
	}
	t.Inflation = inflation(ranks(rest))
	deviation := math.Sqrt(variance(values) * t.Inflation)
	if deviation == 0 { // all are the same
		t.Low, t.High = 0, 0
		return t
	}
	z := max(0, math.Abs(s)-1) / deviation // a step of S is 2, half of which is the correction for continuity
	t.P = math.Erfc(z / math.Sqrt2)
	reach := math.Sqrt2 * math.Erfinv(1-alpha) * deviation
	count := float64(len(slopes))
	if below := int(math.Floor((count-reach)/2)) - 1; below >= 0 {
		t.Low, t.High = slopes[below], slopes[len(slopes)-1-below]
	}
	return t
}

// pairs returns Kendall's S, the pairs that rise less those that fall, and the slopes of all pairs in order.
func pairs(at, values []float64) (s float64, slopes []float64) {
	for j := range values {
		for i := range j {
			rise := values[j] - values[i]
			slopes = append(slopes, rise/(at[j]-at[i]))
			switch {
			case rise > 0:
				s++
			case rise < 0:
				s--
			}
		}
	}
	slices.Sort(slopes)
	return s, slopes
}

// variance of S, of independent values with these ties.
func variance(values []float64) float64 {
	of := func(n float64) float64 { return n * (n - 1) * (2*n + 5) }
	sum := of(float64(len(values)))
	equal := map[float64]float64{}
	for _, value := range values {
		equal[value]++
	}
	for _, count := range equal {
		sum -= of(count)
	}
	return sum / 18
}

// inflation is by how much autocorrelation widens the distribution of S: as the ranks show it at lags of up to a quarter
// of the series where that is significant at 5 %, or as they would if each value followed from the one before alone,
// whichever is more. A trend that is taken out takes some autocorrelation with it, which is put back for the latter.
func inflation(ranks []float64) float64 {
	n := float64(len(ranks))
	first := min(max(0, (n*autocorrelation(ranks, 1)+2)/(n-4)), 0.95)
	seen, following := 0.0, 0.0
	for lag := 1; lag < len(ranks); lag++ {
		left := n - float64(lag)
		weight := left * (left - 1) * (left - 2)
		following += weight * math.Pow(first, float64(lag))
		if lag > len(ranks)/4 {
			continue
		}
		if r := autocorrelation(ranks, lag); r > 1.96/math.Sqrt(n) {
			seen += weight * r
		}
	}
	return 1 + 2*max(seen, following)/(n*(n-1)*(n-2))
}

func autocorrelation(ranks []float64, lag int) float64 {
	mean := float64(len(ranks)-1) / 2
	together, apart := 0.0, 0.0
	for i, rank := range ranks {
		apart += (rank - mean) * (rank - mean)
		if i >= lag {
			together += (rank - mean) * (ranks[i-lag] - mean)
		}
	}
	if apart == 0 {
		return 0
	}
	return together / apart
}

// ranks returns the place of each value among all, equal ones with the middle of their places.
func ranks(values []float64) []float64 {
	order := slices.Sorted(slices.Values(values))
	places := make([]float64, len(values))
	for i, value := range values {
		first, _ := slices.BinarySearch(order, value)
		last := first
		for last+1 < len(order) && order[last+1] == value {
			last++
		}
		places[i] = float64(first+last) / 2
	}
	return places
}

// median of what is in order.
func median(sorted []float64) float64 {
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
