package serve

import (
	"math"
	"testing"
	"time"
)

// TestMeter: what comes evenly is its own rate, what stops is forgotten, and a clock that is set back breaks nothing.
func TestMeter(t *testing.T) {
	var m meter
	now := time.Unix(1000, 0)
	if got := m.perSecondAt(now); got != 0 {
		t.Errorf("%v requests a second before the first", got)
	}
	for range 120 * 20 {
		now = now.Add(time.Second / 20)
		m.add(now)
	}
	if got := m.perSecondAt(now); math.Abs(got-20) > 0.5 {
		t.Errorf("%v requests a second of 20", got)
	}
	if got := m.perSecondAt(now.Add(-time.Hour)); math.Abs(got-20) > 0.5 {
		t.Errorf("%v requests a second an hour before", got)
	}
	if got := m.perSecondAt(now.Add(5 * meterMemory)); got > 0.2 || got <= 0 {
		t.Errorf("%v requests a second after the last", got)
	}
}

func BenchmarkMeter(b *testing.B) {
	var m meter
	now := time.Unix(1000, 0)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.add(now)
		}
	})
}
