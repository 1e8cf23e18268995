package leak

import (
	"reflect"
	"testing"
	"time"
)

// TestGrown: what sites have gained is told from the first sample on, for as long as one of that time is kept, and what they
// lost is left out.
func TestGrown(t *testing.T) {
	d := newDetector(t, Options{Window: time.Minute, Interval: time.Second})
	now, seen := time.Unix(1000, 0), NothingSeen()
	if g := d.Grown(Heap, []Site{{"new", 5}}); !reflect.DeepEqual(g, Growth{}) {
		t.Errorf("before anything was seen: %+v", g)
	}
	run := func(seconds int, sites ...Site) {
		for range seconds {
			now = now.Add(time.Second)
			d.Add(now, seen)
			if d.SitesDue(Heap) {
				d.AddSites(Heap, sites)
			}
		}
	}
	run(1, Site{"stays", 100}, Site{"grows", 10}, Site{"shrinks", 50})
	run(90, Site{"stays", 100}, Site{"grows", 30}, Site{"shrinks", 20})
	want := Growth{90 * time.Second, []SiteGrowth{{"grows", 30, 0.75}, {"new", 6, 0.15}, {"other", 4, 0.1}}}
	if g := d.Grown(Heap, []Site{{"other", 4}, {"grows", 40}, {"stays", 100}, {"shrinks", 20}, {"new", 6}}); !reflect.DeepEqual(g, want) {
		t.Errorf("got %+v, want %+v", g, want)
	}
	if g := d.Grown(Goroutines, []Site{{"new", 5}}); !reflect.DeepEqual(g, Growth{}) {
		t.Errorf("of another kind: %+v", g)
	}
	run(2*72*60, Site{"grows", 40})
	if g := d.Grown(Heap, []Site{{"grows", 45}}); len(g.Sites) != 1 || g.Sites[0].By != 5 || g.Over < 72*time.Minute || g.Over > 80*time.Minute {
		t.Errorf("after a long time: %+v", g)
	}
	d.Resume()
	if g := d.Grown(Heap, []Site{{"grows", 45}}); !reflect.DeepEqual(g, Growth{}) {
		t.Errorf("after a pause: %+v", g)
	}
}
