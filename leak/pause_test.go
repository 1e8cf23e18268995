package leak

import (
	"math"
	"testing"
	"time"
)

// paused is what is thought, at last and at worst, of what grows by so many bytes each second until it is suspected or five
// minutes have passed, by step in a pause of an hour, and then for 40 seconds by after. A step of NaN: there is no pause.
func paused(t *testing.T, before, step, after float64) (last, worst Verdict) {
	t.Helper()
	d, err := NewDetector(Options{Window: time.Minute, Interval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	now, value := time.Unix(1_800_000_000, 0), 100.0*(1<<20)
	look := func(by float64) {
		now, value = now.Add(time.Second), value+by
		o := NothingSeen()
		o.Values[Heap] = value
		d.Add(now, o)
		if d.SitesDue(Heap) {
			d.AddSites(Heap, []Site{{"site", value}})
		}
		last = d.Findings()[Heap].Verdict
		worst = max(worst, last)
	}
	for i := 0; i < 300 && last < Suspect; i++ {
		look(before)
	}
	if !math.IsNaN(step) {
		now, value = now.Add(time.Hour), max(1, value+step)
		d.Resume()
	}
	for range 40 { // a confirmation takes a third of a window
		look(after)
	}
	return last, worst
}

// TestAPauseIsNotJudged: what is added while nothing is looked at is no growth, however much it is, and what was known
// before is known still.
func TestAPauseIsNotJudged(t *testing.T) {
	for _, before := range []float64{0, 1 << 10, 1 << 20} {
		for _, after := range []float64{0, 1 << 20} {
			last, worst := paused(t, before, math.NaN(), after)
			if (last >= Suspect) != (before == 1<<20) {
				t.Errorf("%v a second is %v", before, last)
			}
			for _, step := range []float64{0, 1 << 20, 1 << 30} {
				if l, w := paused(t, before, step, after); l != last || w != worst {
					t.Errorf("%v a second, %v in a pause, %v a second: %v, at worst %v; without the pause %v, at worst %v", before, step, after, l, w, last, worst)
				}
			}
		}
	}
	if last, _ := paused(t, 1<<20, -300<<20, 0); last >= Suspect {
		t.Errorf("what was given back in a pause is %v", last)
	}
}

// TestClocksJump: time that did not pass is no reason to suspect anything, nor to miss what leaks.
func TestClocksJump(t *testing.T) {
	for name, jump := range map[string]time.Duration{"back": -5 * time.Hour, "forward": 5 * time.Hour} {
		for _, perSecond := range []float64{0, 1 << 20} {
			d, err := NewDetector(Options{Window: time.Minute, Interval: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			now, value := time.Unix(1_800_000_000, 0), 100.0*(1<<20)
			for i := range 400 {
				if i%50 == 49 {
					now = now.Add(jump)
				}
				now, value = now.Add(time.Second), value+perSecond
				o := NothingSeen()
				o.Values[Heap] = value
				d.Add(now, o)
			}
			if f := d.Findings()[Heap]; (f.Verdict >= Suspect) != (perSecond > 0) {
				t.Errorf("a clock that jumps %s, %v a second: %+v", name, perSecond, f)
			}
		}
	}
}
