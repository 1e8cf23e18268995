package leak

import (
	"flag"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/memwarden/memwarden/leak/leaksim"
)

var long = flag.Bool("long", false, "100 runs of each shape")

// firstAlarm is the minute in which a made-up process is first suspected, -1 if it never is. Without sites it is judged by
// totals alone.
func firstAlarm(t *testing.T, shape leaksim.Shape, seed uint64, withSites bool) (int, Finding) {
	t.Helper()
	var d *Detector
	for i, m := range shape.Run(seed) {
		if d == nil || m.Start {
			d = newDetector(t, Options{Interval: time.Minute})
		}
		o := NothingSeen()
		o.Values[Heap], o.Owned, o.Load = m.Heap-m.Owned, m.Owned, m.Load
		d.Add(time.Unix(int64(i)*60, 0), o)
		if withSites && d.SitesDue(Heap) {
			var sites []Site
			for site, bytes := range m.Sites {
				sites = append(sites, Site{strconv.Itoa(site), bytes})
			}
			d.AddSites(Heap, sites)
		}
		if f := d.Findings()[Heap]; f.Verdict >= Suspect {
			return i, f
		}
	}
	return -1, Finding{}
}

// TestSimulatedHealth: of processes that do not leak hardly any is suspected within three days.
func TestSimulatedHealth(t *testing.T) {
	seeds, tolerated := uint64(3), 0
	if *long {
		seeds, tolerated = 100, 2
	}
	for _, shape := range leaksim.Healthy() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			var alarms []string
			for seed := range seeds {
				if at, f := firstAlarm(t, shape, seed, true); at >= 0 {
					alarms = append(alarms, "seed "+strconv.FormatUint(seed, 10)+": "+f.Reason)
				}
			}
			if len(alarms) > tolerated {
				t.Errorf("%d false alarms of %d: %q", len(alarms), seeds, alarms)
			}
		})
	}
}

// TestSimulatedLeaks: every leak is found, whatever goes on beside it, and not before it has begun.
func TestSimulatedLeaks(t *testing.T) {
	seeds, tolerated := uint64(1), 0
	if *long {
		seeds, tolerated = 30, 1
	}
	for _, from := range []int{0, 600} {
		for _, shape := range leaksim.Leaks(40, from) {
			t.Run(shape.Name+" from "+strconv.Itoa(from), func(t *testing.T) {
				t.Parallel()
				missed := 0
				for seed := range seeds {
					if at, _ := firstAlarm(t, shape, seed, true); at <= from {
						missed++
					}
				}
				if missed > tolerated {
					t.Errorf("%d of %d were missed", missed, seeds)
				}
			})
		}
	}
}

// TestSimulatedDelays: a steady leak of 20 MiB/h that begins after ten hours is found within an hour by its site, and within six
// by totals alone, at half of the seeds and more. One that is not found, or before it has begun, counts as found in the end.
func TestSimulatedDelays(t *testing.T) {
	const rate, from, seeds = 20, 600, 15
	all := leaksim.Leaks(rate, from)
	for _, name := range []string{"steady, flat", "steady, slow warm-up", "steady, steps"} {
		i := slices.IndexFunc(all, func(s leaksim.Shape) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("there is no shape %q", name)
		}
		shape := all[i]
		for _, c := range []struct {
			by    string
			sites bool
			most  time.Duration
		}{{"site", true, time.Hour}, {"totals", false, 6 * time.Hour}} {
			t.Run(name+" by "+c.by, func(t *testing.T) {
				t.Parallel()
				var delays []time.Duration
				for seed := range uint64(seeds) {
					at, _ := firstAlarm(t, shape, seed, c.sites)
					if at < from {
						at = leaksim.Minutes
					}
					delays = append(delays, time.Duration(at-from)*time.Minute)
				}
				slices.Sort(delays)
				if median := delays[len(delays)/2]; median > c.most {
					t.Errorf("it takes %s, want at most %s: %v", median, c.most, delays)
				}
			})
		}
	}
}
