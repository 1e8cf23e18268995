package trend

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// seconds are the times of so many samples.
func seconds(n int) []float64 {
	at := make([]float64, n)
	for i := range at {
		at[i] = float64(i)
	}
	return at
}

// noise is a series without trend, each value after the one before by a part of it.
func noise(random *rand.Rand, n int, part float64) []float64 {
	values := make([]float64, n)
	last := random.NormFloat64() / math.Sqrt(1-part*part)
	for i := range values {
		last = part*last + random.NormFloat64()
		values[i] = last
	}
	return values
}

func TestTrendOfWhatIsKnown(t *testing.T) {
	at := seconds(20)
	rising, saw, steps := make([]float64, 20), make([]float64, 20), make([]float64, 20)
	for i := range at {
		rising[i], saw[i], steps[i] = 100+3*at[i], float64(i%2), math.Floor(at[i]/10)
	}
	for name, c := range map[string]struct {
		values []float64
		slope  float64
		found  bool
	}{
		"rising":   {rising, 3, true},
		"constant": {make([]float64, 20), 0, false},
		"saw":      {saw, 0, false},
		"a step":   {steps, 1.0 / 19, true},
		"short":    {[]float64{1, 2}, 0, false},
	} {
		got := Of(at[:len(c.values)], c.values, 0.01)
		if name == "a step" { // ties: the slope lies between none and that of its ends
			if got.Slope < 0 || got.Slope > 0.1 {
				t.Errorf("%s: %+v", name, got)
			}
		} else if got.Slope != c.slope {
			t.Errorf("%s: slope %v, want %v", name, got.Slope, c.slope)
		}
		if name != "a step" && got.Distinguishable(0.01) != c.found {
			t.Errorf("%s: %+v", name, got)
		}
		if got.Slope < got.Low || got.Slope > got.High {
			t.Errorf("%s: the slope is not in its interval: %+v", name, got)
		}
	}
	outlier := slices.Clone(saw)
	outlier[19] = 1e9
	if got := Of(at, outlier, 0.01); got.Distinguishable(0.01) || math.Abs(got.Slope) > 0.1 {
		t.Errorf("one outlier makes a trend: %+v", got)
	}
}

// TestTrendAgainstAllOrders compares the p of a few values with the share of their orders that look as much like a trend.
func TestTrendAgainstAllOrders(t *testing.T) {
	at := seconds(8)
	sums := map[float64]int{}
	orders := 0
	var visit func(values []float64, fixed int)
	visit = func(values []float64, fixed int) {
		if fixed == len(values) {
			s, _ := pairs(at, values)
			sums[math.Abs(s)]++
			orders++
			return
		}
		for i := fixed; i < len(values); i++ {
			values[fixed], values[i] = values[i], values[fixed]
			visit(values, fixed+1)
			values[fixed], values[i] = values[i], values[fixed]
		}
	}
	visit(seconds(8), 0)
	for _, values := range [][]float64{
		{0, 1, 2, 3, 4, 5, 6, 7}, {1, 0, 3, 2, 5, 4, 7, 6}, {2, 1, 0, 5, 4, 3, 7, 6}, {7, 1, 6, 2, 5, 3, 4, 0}, {0, 7, 1, 6, 2, 5, 3, 4},
	} {
		s, _ := pairs(at, values)
		extreme := 0
		for sum, count := range sums {
			if sum >= math.Abs(s) {
				extreme += count
			}
		}
		want := float64(extreme) / float64(orders)
		z := max(0, math.Abs(s)-1) / math.Sqrt(variance(values))
		if got := math.Erfc(z / math.Sqrt2); math.Abs(got-want) > 0.02 {
			t.Errorf("%v: p %.4f, counted %.4f", values, got, want)
		}
	}
}

// TestTrendIsSeldomFoundWhereThereIsNone, independent of how much samples follow each other, and found where there is
// one, as the interval says.
func TestTrendIsSeldomFoundWhereThereIsNone(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const n, alpha, slope, series = 60, 0.05, 0.1, 150
	at := seconds(n)
	for _, part := range []float64{0, 0.4, 0.7} {
		found, plain, outside, missed := 0, 0, 0, 0
		for range series {
			values := noise(random, n, part)
			got := Of(at, values, alpha)
			if got.Distinguishable(alpha) {
				found++
			}
			s, _ := pairs(at, values)
			if math.Erfc((math.Abs(s)-1)/math.Sqrt(2*variance(values))) < alpha {
				plain++
			}
			for i := range values {
				values[i] += slope * at[i]
			}
			got = Of(at, values, alpha)
			if slope < got.Low || slope > got.High {
				outside++
			}
			if !got.Distinguishable(alpha) {
				missed++
			}
		}
		share := func(count int) float64 { return float64(count) / series }
		t.Logf("autocorrelation %.1f: found in %.1f %% of series without trend (%.1f %% without correction); interval too narrow in %.1f %%, %.1f %% missed",
			part, 100*share(found), 100*share(plain), 100*share(outside), 100*share(missed))
		if share(found) > 3*alpha || share(outside) > 3*alpha {
			t.Errorf("autocorrelation %.1f: %d of %d series without trend have one, %d intervals are too narrow", part, found, series, outside)
		}
		if part > 0.5 && 2*found > plain {
			t.Errorf("the correction does little: %d instead of %d", found, plain)
		}
		if share(missed) > 0.15 {
			t.Errorf("autocorrelation %.1f: %d of %d trends missed", part, missed, series)
		}
	}
}
