package memstat

import (
	"encoding/json"
	"math"
	"testing"
)

func TestOptional(t *testing.T) {
	var absent Int
	zero := Known(int64(0))
	if _, ok := absent.Get(); ok || !absent.IsZero() || absent.Or(7) != 7 || absent.String() != "absent" {
		t.Errorf("absent: %v", absent)
	}
	if v, ok := zero.Get(); !ok || v != 0 || zero.IsZero() || zero.Or(7) != 0 || zero.String() != "0" {
		t.Errorf("zero is known: %v", zero)
	}
}

// TestOptionalEnds: every figure is known, but the two that stand for absent.
func TestOptionalEnds(t *testing.T) {
	for _, value := range []int64{math.MinInt64 + 1, -1, 1, math.MaxInt64} {
		if v, ok := Known(value).Get(); !ok || v != value {
			t.Errorf("%d: %d, %v", value, v, ok)
		}
	}
	for _, value := range []float64{math.Copysign(0, -1), 0, -1, math.MaxFloat64, -math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1)} {
		if v, ok := Known(value).Get(); !ok || math.Float64bits(v) != math.Float64bits(value) {
			t.Errorf("%v: %v, %v", value, v, ok)
		}
	}
	if least := Known[int64](math.MinInt64); !least.IsZero() {
		t.Errorf("the least int64: %v", least)
	}
}

func TestOptionalJSON(t *testing.T) {
	type pair struct {
		A Int   `json:"a,omitzero"`
		B Float `json:"b"`
	}
	for _, c := range []struct {
		value pair
		text  string
	}{
		{pair{}, `{"b":null}`},
		{pair{A: Known(int64(0)), B: Known(0.5)}, `{"a":0,"b":0.5}`},
	} {
		text, err := json.Marshal(c.value)
		if err != nil || string(text) != c.text {
			t.Errorf("got %s, %v; want %s", text, err, c.text)
		}
		back := pair{A: Known(int64(9)), B: Known(9.0)}
		if err := json.Unmarshal([]byte(`{"a":null}`), &back); err != nil || !back.A.IsZero() {
			t.Errorf("null: got %v, %v; want absent", back.A, err)
		}
		if err := json.Unmarshal(text, &back); err != nil || back != c.value {
			t.Errorf("back: got %+v, %v; want %+v", back, err, c.value)
		}
	}
	var v Int
	if err := json.Unmarshal([]byte(`"many"`), &v); err == nil || !v.IsZero() {
		t.Errorf("a string: got %v, %v; want an error", v, err)
	}
}
