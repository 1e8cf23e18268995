package histogram

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestQuantile compares with a sorted list.
func TestQuantile(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var h, other Histogram
	var all []time.Duration
	for i := range 20_000 {
		d := time.Duration(math.Exp(random.Float64() * 30)) // 1 ns to three hours
		all = append(all, d)
		if i%3 == 0 {
			other.Add(d)
		} else {
			h.Add(d)
		}
	}
	h.Merge(&other)
	slices.Sort(all)
	if h.Count() != int64(len(all)) || h.Max() != all[len(all)-1] {
		t.Errorf("count %d, max %v: want %d, %v", h.Count(), h.Max(), len(all), all[len(all)-1])
	}
	for _, q := range []float64{0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		if got := h.Quantile(q); got < exact || float64(got) > float64(exact)*(1+1.0/fine)+1 {
			t.Errorf("seed %d: quantile %v: %v, exactly %v", seed, q, got, exact)
		}
	}
}

func TestBucketsMeet(t *testing.T) {
	for i := range buckets - 1 {
		if end := uint64(upper(i)); bucket(end) != i || bucket(end+1) != i+1 {
			t.Fatalf("bucket %d ends at %d: it lies in %d, the next value in %d", i, end, bucket(end), bucket(end+1))
		}
	}
	if last := bucket(math.MaxInt64); last >= buckets {
		t.Errorf("the longest duration lies in bucket %d of %d", last, buckets)
	}
}

func TestEdges(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 {
		t.Error("an empty histogram is not 0")
	}
	h.Add(-time.Second)
	h.Add(math.MaxInt64)
	if h.Quantile(0.5) != 0 || h.Quantile(1) != math.MaxInt64 {
		t.Errorf("median %v, largest %v", h.Quantile(0.5), h.Quantile(1))
	}
}
