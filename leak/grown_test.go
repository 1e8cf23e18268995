package leak

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

// TestGrown: what sites have gained is told from the first sample on, for as long as one of that time is kept, and what they
// lost is left out.
func TestGrown(t *testing.T) {
	d := newDetector(t, Options{Window: time.Minute, Interval: time.Second})
	now, seen := time.Unix(1000, 0), NothingSeen()
	if g := d.Grown(now, Heap, []Site{{"new", 5}}); !reflect.DeepEqual(g, Growth{}) {
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
	want := Growth{92 * time.Second, []SiteGrowth{{"grows", 30, 0.75}, {"new", 6, 0.15}, {"other", 4, 0.1}}}
	if g := d.Grown(now.Add(2*time.Second), Heap, []Site{{"other", 4}, {"grows", 40}, {"stays", 100}, {"shrinks", 20}, {"new", 6}}); !reflect.DeepEqual(g, want) {
		t.Errorf("got %+v, want %+v", g, want)
	}
	if g := d.Grown(now, Goroutines, []Site{{"new", 5}}); !reflect.DeepEqual(g, Growth{}) {
		t.Errorf("of another kind: %+v", g)
	}
	run(2*72*60, Site{"grows", 40})
	if g := d.Grown(now, Heap, []Site{{"grows", 45}}); len(g.Sites) != 1 || g.Sites[0].By != 5 || g.Over < 72*time.Minute || g.Over > 80*time.Minute {
		t.Errorf("after a long time: %+v", g)
	}
	d.Resume()
	if g := d.Grown(now, Heap, []Site{{"grows", 45}}); !reflect.DeepEqual(g, Growth{}) {
		t.Errorf("after a pause: %+v", g)
	}
}

// TestSitesThatAreNotKnown: nothing has grown since a sample without them, nor has what leaks been given back.
func TestSitesThatAreNotKnown(t *testing.T) {
	d := newDetector(t, Options{Window: time.Minute, Interval: time.Second})
	now := time.Unix(1000, 0)
	d.Add(now, NothingSeen())
	d.AddSites(Goroutines, nil)
	if g := d.Grown(now.Add(time.Second), Goroutines, []Site{{"worker", 40_000}}); len(g.Sites) != 0 || g.Over != time.Second {
		t.Errorf("got %+v", g)
	}
	d.AddSites(Heap, []Site{}) // there are none, which is known
	if g := d.Grown(now, Heap, []Site{{"new", 5}}); len(g.Sites) != 1 || g.Sites[0].By != 5 {
		t.Errorf("got %+v", g)
	}
	var many []Site
	for i := range 2 * maxLongSites {
		many = append(many, Site{fmt.Sprint(i), float64(1000 + i)})
	}
	d = newDetector(t, Options{Window: time.Minute, Interval: time.Second})
	d.AddSites(Heap, many)
	// It may have been just as large as the largest of those that were left out.
	if g := d.Grown(now, Heap, []Site{{"left out?", 1100}}); len(g.Sites) != 1 || g.Sites[0].By != 1100-1000-(maxLongSites-1) {
		t.Errorf("got %+v", g)
	}

	s := &series{kind: Goroutines, suspicion: suspicion{led: "worker", held: 100}}
	s.sites[0] = siteHistory{every: time.Second, most: MaxSites}
	s.sites[0].add(0, []Site{{"worker", 50}}, 0)
	s.sites[0].add(time.Second, []Site{{"worker", 120}}, 0)
	if j, known := s.followSite(); !known || j.rise.to != 120 {
		t.Errorf("%+v, %v", j, known)
	}
	s.sites[0].add(2*time.Second, nil, 0)
	if j, known := s.followSite(); known {
		t.Errorf("of what is not known it is said that %+v", j)
	}
	for n := range siteSamples - 2 {
		s.sites[0].add(time.Duration(3+n)*time.Second, []Site{{"worker", 130}}, 0)
	}
	s.sites[0].add(time.Minute, []Site{{"worker", 140}}, 0) // the first known ones make room
	if j, known := s.followSite(); known {
		t.Errorf("of what began where nothing is known it is said that %+v", j)
	}
	s.sites[0].add(2*time.Minute, []Site{{"worker", 150}}, 0)
	if j, known := s.followSite(); !known || j.rise.from != 130 || j.rise.to != 150 {
		t.Errorf("%+v, %v", j, known)
	}
}

func BenchmarkGrown(b *testing.B) {
	d, err := NewDetector(Options{})
	if err != nil {
		b.Fatal(err)
	}
	now, sites := time.Unix(1000, 0), many(1000)
	d.Add(now, NothingSeen())
	d.AddSites(Heap, sites[:500])
	for b.Loop() {
		d.Grown(now, Heap, sites)
	}
}
