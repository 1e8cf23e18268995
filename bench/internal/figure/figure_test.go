package figure

import (
	"math"
	"strings"
	"testing"
)

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		goal   Goal
		values []float64
		want   bool
	}{
		{AtMost(5), []float64{9, 4, 5}, true},
		{AtMost(5), []float64{9, 6, 4}, false},
		{AtMost(5), []float64{4, 6}, true}, // between the two in the middle
		{AtMost(5), nil, false},
		{AtLeast(5), []float64{5, 1, 9}, true},
		{AtLeast(5), []float64{4.9}, false},
		{EveryAtMost(0), []float64{0, 0}, true},
		{EveryAtMost(0), []float64{0, 0, 1}, false},
		{AtMost(5), []float64{math.NaN()}, false},
	} {
		if got := (Figure{Goal: c.goal, Values: c.values}).Met(); got != c.want {
			t.Errorf("%+v of %v: %v, want %v", c.goal, c.values, got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	var text strings.Builder
	if err := Table(&text, []Figure{
		{"resident", Bytes, AtMost(5 << 20), []float64{6 << 20, 4.5 * (1 << 20), 4 << 20}},
		{"rate", PerS, AtLeast(20_000), []float64{19_999}},
		{"lost", Count, EveryAtMost(0), []float64{0, 0, -1234567}},
		{"p99", Seconds, Goal{}, []float64{0.0012345, 12.3456}},
		{"gone", Percent, AtMost(0.001), nil},
		{"times", Multiple, Goal{}, []float64{8}},
	}); err != nil {
		t.Fatal(err)
	}
	want := `| figure   | goal       | median       | min        | max      | verdict    |
| -------- | ---------- | ------------ | ---------- | -------- | ---------- |
| resident | ≤ 5.00 MiB | 4.50 MiB     | 4.00 MiB   | 6.00 MiB | met        |
| rate     | ≥ 20,000/s | 19,999/s     | 19,999/s   | 19,999/s | **missed** |
| lost     | always ≤ 0 | 0            | -1,234,567 | 0        | met        |
| p99      |            | 6.17s        | 1.23ms     | 12.3s    |            |
| gone     | ≤ 0.100 %  | not measured |            |          | **missed** |
| times    |            | 8.0 ×        | 8.0 ×      | 8.0 ×    |            |
`
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text.String(), want)
	}
}
