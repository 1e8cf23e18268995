package leakrules

import (
	"math"
	"testing"

	"github.com/memwarden/memwarden/leak/leaksim"
)

// TestRules: each rule sees what it is for, and is silent where it must be.
func TestRules(t *testing.T) {
	run := func(heap func(minute float64) float64) []leaksim.Minute {
		all := make([]leaksim.Minute, 600)
		for i := range all {
			all[i] = leaksim.Minute{Heap: heap(float64(i)), Load: math.NaN()}
		}
		return all
	}
	flat := run(func(m float64) float64 { return 300 + math.Mod(m, 2) })
	steady := run(func(m float64) float64 { return 300 + m })
	step := run(func(m float64) float64 { return 300 + 100*math.Floor(m/300) })
	for _, kind := range All() {
		if at := FirstAlarm(kind, flat); at >= 0 {
			t.Errorf("%s: alarm at %d of what is flat", kind.Name, at)
		}
	}
	for _, c := range []struct {
		kind  int
		run   []leaksim.Minute
		alarm bool
	}{{2, steady, true}, {2, step, false}, {3, steady, false}, {3, step, true}, {4, steady, true}} {
		if at := FirstAlarm(All()[c.kind], c.run); at >= 0 != c.alarm {
			t.Errorf("%s: alarm at %d, wanted: %v", All()[c.kind].Name, at, c.alarm)
		}
	}
}
