package leak

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// many are sites that are there all the time, each of a KiB and more.
func many(n int) (sites []Site) {
	for i := range n {
		sites = append(sites, Site{fmt.Sprint("stays ", i), 1024 + float64(i)})
	}
	return sites
}

// TestSlowLeaksHaveSites: what the two longest windows find is named by the site that grew within them, which was among
// the smallest of thousands when they began.
func TestSlowLeaksHaveSites(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		perSecond float64 // MiB
		window    time.Duration
	}{{0.13, 18 * 45 * time.Second}, {0.03, 72 * 45 * time.Second}} {
		p := newProcess(t)
		p.o.Values[Heap] = 300 * mib
		leaked, stays := 0.0, many(3000)
		for end := p.now.Add(2 * time.Hour); p.now.Before(end) && p.d.Findings()[Heap].Verdict < Suspect; {
			p.now = p.now.Add(500 * time.Millisecond)
			leaked += c.perSecond * mib / 2
			p.o.Values[Heap] = 300*mib + leaked
			p.d.Add(p.now, p.o)
			if p.d.SitesDue(Heap) {
				p.d.AddSites(Heap, append(slices.Clone(stays), Site{"leaks", leaked}))
			}
		}
		f := p.want(Heap, Suspect)
		if f.Rule != Sustained || f.Window != c.window || len(f.Sites) != 1 || f.Sites[0].Name != "leaks" {
			t.Errorf("%.2f MiB a second: %+v", c.perSecond, f)
			continue
		}
		if all := c.perSecond * mib * c.window.Seconds(); f.Sites[0].By < 0.7*all || f.Sites[0].By > 1.3*all {
			t.Errorf("%.2f MiB a second: it grew by %.1f MiB in %s", c.perSecond, f.Sites[0].By/mib, f.Window)
		}
	}
}

// TestSitesBeneathTheRest: a site that was too small to be kept has grown by no more than from the largest that was left
// out.
func TestSitesBeneathTheRest(t *testing.T) {
	h := siteHistory{every: time.Second, most: 3}
	for i := range siteSamples {
		h.add(time.Duration(i)*time.Second, bySize([]Site{
			{"large", 100}, {"larger", 110}, {"largest", 120}, {"left out", 50}, {"grows", float64(20 * i)}, {"twice", float64(5 * i)}, {"twice", float64(5 * i)},
		}), 0)
	}
	grown := h.growth(0, 100, nil)
	if len(grown) != 1 || grown[0] != (SiteGrowth{"grows", 150, 1}) { // from 50, the most that was left out at first, to 200
		t.Errorf("%+v", grown)
	}
}

// TestSitesThatComeBack: what only has again what it had when a longer window began has not grown, as soon as there is such a
// window.
func TestSitesThatComeBack(t *testing.T) {
	shorter, longer := siteHistory{every: time.Second, most: 10}, siteHistory{every: 6 * time.Second, most: 10}
	for i := range 6 * siteSamples {
		now := time.Duration(i) * time.Second
		comes := 100 + 50*math.Cos(2*math.Pi*float64(i)/(6*siteSamples))
		sites := bySize([]Site{{"comes and goes", comes}, {"leaks", float64(1 + i)}})
		shorter.add(now, sites, 0)
		if !longer.due(now) {
			continue
		}
		if full := len(longer.at) == siteSamples-1; full {
			grown := shorter.growth(now-10*time.Second, 10, []siteHistory{longer})
			if len(grown) != 2 {
				t.Errorf("without a longer window: %+v", grown)
			}
		}
		longer.add(now, sites, 0)
	}
	grown := shorter.growth(0, 10, []siteHistory{longer})
	if len(grown) != 1 || grown[0].Name != "leaks" {
		t.Errorf("%+v", grown)
	}
}

// TestSiteHistoryTwin: what is kept in rows says the same as all samples would.
func TestSiteHistoryTwin(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		h := siteHistory{every: time.Second, most: 1000}
		var samples []map[string]float64
		for i := range 3 + random.IntN(30) {
			var sites []Site
			values := map[string]float64{}
			for n := range 12 {
				if name := fmt.Sprint(n); random.IntN(4) > 0 {
					values[name] = float64(1 + random.IntN(10)*(n+1) + i*random.IntN(n+1))
					sites = append(sites, Site{name, values[name]})
				}
			}
			h.add(time.Duration(i)*time.Second, bySize(sites), 0)
			samples = append(samples, values)
		}
		samples = samples[max(0, len(samples)-siteSamples):]
		if len(h.at) != len(samples) {
			t.Fatalf("seed %d: %d samples, want %d", seed, len(h.at), len(samples))
		}
		want := map[string]float64{}
		for name := range samples[len(samples)-1] {
			at := func(third int) float64 { return samples[(len(samples)-1)*third/3][name] }
			if by := at(3) - at(0); len(samples) >= 4 && by >= toldShare*20 && at(0) < at(1) && at(1) < at(2) && at(2) < at(3) {
				want[name] = by
			}
		}
		grown := h.growth(0, 20, nil)
		if len(grown) != min(len(want), toldSites) {
			t.Errorf("seed %d: %v, want of %v", seed, grown, want)
		}
		for _, g := range grown {
			if want[g.Name] != g.By {
				t.Errorf("seed %d: %v, want of %v", seed, grown, want)
			}
		}
	}
}

// TestSiteHistoryBytes: what the two longest windows keep is small, also where sites come and go.
func TestSiteHistoryBytes(t *testing.T) {
	size := func(name func(sample, site int) string) int {
		const copies = 8
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		histories := make([]siteHistory, copies)
		for c := range histories {
			histories[c] = siteHistory{every: time.Second, most: maxLongSites}
			for sample := range siteSamples + 4 {
				var sites []Site
				for i := range 2000 {
					sites = append(sites, Site{name(sample, i), float64(i)})
				}
				histories[c].add(time.Duration(sample)*time.Second, bySize(sites), 0)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(histories)
		return int(after.HeapAlloc-before.HeapAlloc) / copies
	}
	if bytes := size(func(_, site int) string { return fmt.Sprint("the same ", site) }); bytes > 12<<10 {
		t.Errorf("%d bytes for sites that stay", bytes)
	}
	if bytes := size(func(sample, site int) string { return fmt.Sprint(sample, " ", site) }); bytes > 128<<10 {
		t.Errorf("%d bytes for sites that come and go", bytes)
	}
}

// leaking is a process with leaks of so many MiB a second by the name of their sites; without sites where it has none.
type leaking struct {
	*process
	perSecond map[string]float64
	leaked    map[string]float64
	sites     bool
	cases     []Finding // as each began
}

// run goes on, and keeps each new case.
func (l *leaking) run(d time.Duration) {
	const mib = 1 << 20
	l.process.run(d, func(float64) {
		for name, by := range l.perSecond {
			l.leaked[name] += by * mib / 2
			l.o.Values[Heap] += by * mib / 2
		}
		if l.sites && l.d.SitesDue(Heap) {
			sites := many(100)
			for name, bytes := range l.leaked {
				sites = append(sites, Site{name, bytes})
			}
			l.d.AddSites(Heap, sites)
		}
		f := l.d.Findings()[Heap]
		if n := len(l.cases); f.Verdict >= Suspect && (n == 0 || !f.Since.Equal(l.cases[n-1].Since)) {
			if f.Verdict != Suspect {
				l.t.Errorf("a case begins as %s", f.Verdict)
			}
			l.cases = append(l.cases, f)
		}
	})
}

// TestASecondLeak: while a leak is suspected or confirmed, another one is found as a case of its own: it is led by another
// site, or goes much faster.
func TestASecondLeak(t *testing.T) {
	begin := func(t *testing.T, sites bool) *leaking {
		p := newProcess(t)
		p.o.Values[Heap] = 12 << 20
		l := &leaking{process: p, perSecond: map[string]float64{}, leaked: map[string]float64{}, sites: sites}
		l.run(50 * time.Second)
		l.perSecond["first"] = 0.25
		l.run(3 * time.Minute)
		if f := p.want(Heap, Confirmed); len(l.cases) != 1 || sites && (len(f.Sites) != 1 || f.Sites[0].Name != "first") {
			t.Fatalf("%d cases: %+v", len(l.cases), l.cases)
		}
		return l
	}
	t.Run("another site", func(t *testing.T) {
		l := begin(t, true)
		l.perSecond["second"] = 0.9 // less than four times as fast in all
		l.run(3 * time.Minute)
		f := l.want(Heap, Confirmed)
		if len(l.cases) != 2 || l.cases[1].Sites[0].Name != "second" || !f.Since.Equal(l.cases[1].Since) || f.Sites[0].Name != "second" {
			t.Fatalf("%d cases, at last %+v", len(l.cases), f)
		}
		l.perSecond = map[string]float64{"first": 1.7} // it leads once more, and is known
		l.run(4 * time.Minute)
		if f := l.want(Heap, Confirmed); len(l.cases) != 2 || f.Sites[0].Name != "first" {
			t.Errorf("%d cases, at last %+v", len(l.cases), f)
		}
	})
	for _, sites := range []bool{true, false} {
		t.Run(fmt.Sprintf("the same much faster, with sites: %v", sites), func(t *testing.T) {
			l := begin(t, sites)
			l.perSecond["first"] = 2.5
			l.run(3 * time.Minute)
			if f := l.want(Heap, Confirmed); len(l.cases) != 2 || !f.Since.Equal(l.cases[1].Since) || l.cases[1].PerSecond < 4*l.cases[0].PerSecond {
				t.Errorf("%d cases, at last %+v", len(l.cases), f)
			}
		})
		t.Run(fmt.Sprintf("twice as fast is the same, with sites: %v", sites), func(t *testing.T) {
			l := begin(t, sites)
			l.perSecond["first"] = 0.6
			l.run(5 * time.Minute)
			if len(l.cases) != 1 {
				t.Errorf("%d cases: %+v", len(l.cases), l.cases)
			}
		})
	}
	t.Run("given back", func(t *testing.T) {
		l := begin(t, true)
		l.perSecond = map[string]float64{}
		l.o.Values[Heap], l.leaked = 12<<20, map[string]float64{}
		l.run(2 * time.Minute)
		l.want(Heap, Healthy)
		l.perSecond["first"] = 1
		l.run(3 * time.Minute)
		if len(l.cases) != 2 {
			t.Errorf("once it is over, the same site may begin anew: %+v", l.cases)
		}
	})
	t.Run("sites that take turns", func(t *testing.T) {
		l := begin(t, true)
		for i := range 2 * mostCases {
			l.perSecond = map[string]float64{fmt.Sprint("turn ", i): 0.01 * l.o.Values[Heap] / (1 << 20)}
			l.run(100 * time.Second)
		}
		if n := len(l.d.series[Heap].suspicion.sites); n < mostCases || n > mostCases+toldSites {
			t.Errorf("%d sites are known", n)
		}
	})
}

// hidden is a process of 300 MiB with memory beside that comes and goes, by up to 60 MiB within 200 seconds, with all
// sites that there are.
type hidden struct {
	*process
	leaked float64
	owned  float64 // what the site has of which an owner tells
}

func (h *hidden) run(d time.Duration, perSecond, ownedPerSecond float64) {
	const mib = 1 << 20
	h.process.run(d, func(float64) {
		h.leaked += perSecond * mib / 2
		h.owned += ownedPerSecond * mib / 2
		comes := 60 * mib * math.Mod(float64(h.now.Unix())/200, 1)
		h.o.Values[Heap], h.o.Owned = 300*mib+comes+h.leaked, h.owned
		if h.d.SitesDue(Heap) {
			h.d.AddSites(Heap, []Site{{"stays", 300 * mib}, {"comes and goes", comes}, {"leaks", h.leaked}, {"cache", h.owned}})
		}
	})
}

// TestALeakBeneathWhatComesAndGoes: where the whole shows nothing, the site that grows is found by itself. What becomes of
// it is seen by what it has: it is confirmed, survives a pause, and is over when it has given back.
func TestALeakBeneathWhatComesAndGoes(t *testing.T) {
	p := newProcess(t)
	h := &hidden{process: p}
	h.run(25*time.Minute, 0, 0)
	for range 40 { // a cache fills, of which an owner tells
		h.run(20*time.Second, 0, 0.15)
		if f := h.d.Findings()[Heap]; f.Verdict >= Suspect {
			t.Fatalf("what an owner tells of: %+v", f)
		}
	}
	h.run(6*time.Minute, 0.15, 0)
	f := h.want(Heap, Confirmed)
	if f.Rule != Changed || len(f.Sites) != 1 || f.Sites[0].Name != "leaks" || f.PerSecond < 0.12*(1<<20) || f.PerSecond > 0.18*(1<<20) ||
		!strings.HasPrefix(f.Reason, "what one site has in use of the live heap rose from ") {
		t.Errorf("%+v", f)
	}
	h.run(3*time.Minute, 0, 0) // some falls of what comes and goes
	if again := h.want(Heap, Confirmed); !again.Since.Equal(f.Since) {
		t.Errorf("it was dropped: %+v", again)
	}
	h.now = h.now.Add(time.Hour)
	h.leaked += 500 << 20
	h.d.Resume()
	h.run(time.Minute, 0, 0)
	h.want(Heap, Confirmed)
	if s := h.d.series[Heap].suspicion; s.rise.to < 500<<20 || s.high != s.held {
		t.Errorf("what was added in a pause is judged: %+v", s)
	}
	h.leaked = 0
	h.run(time.Minute, 0, 0)
	h.want(Heap, Healthy)
}

// TestTheLoadsOwnMemory: a site that has more because there is more to do is no leak, whatever comes and goes beside it.
func TestTheLoadsOwnMemory(t *testing.T) {
	h := &hidden{process: newProcess(t), leaked: 100 << 20}
	h.o.Load = 100
	h.run(25*time.Minute, 0, 0)
	for range 3 * 60 {
		h.o.Load += 0.15
		h.run(time.Second, 0.15, 0)
		if f := h.d.Findings()[Heap]; f.Verdict >= Suspect {
			t.Fatalf("what goes with the load: %+v", f)
		}
	}
}

// TestLoadRise: by how much a load rose, of which nothing is said where it is not known.
func TestLoadRise(t *testing.T) {
	buckets := func(load func(i int) float64) (list []bucket) {
		for i := range windowBuckets {
			list = append(list, bucket{load: load(i)})
		}
		return list
	}
	for name, c := range map[string]struct {
		load func(i int) float64
		want float64
	}{
		"a quarter":  {func(i int) float64 { return 100 + float64(25*(i/30)) }, 0.25},
		"falls":      {func(i int) float64 { return 100 - float64(i) }, 0},
		"not known":  {func(int) float64 { return math.NaN() }, 0},
		"of nothing": {func(i int) float64 { return float64(i / 30) }, 0},
	} {
		if got := loadRise(buckets(c.load)); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestReachOfTheDefault: with windows of 45 s and the least rise of default, 0.25 MiB a second are found within two minutes in
// a heap of up to 30 MiB, and ten goroutines a second beside 1,200 others, as the README says; where there is more, the least
// rise must be less.
func TestReachOfTheDefault(t *testing.T) {
	for _, c := range []struct {
		kind            Kind
		base, perSecond float64
		want            bool
	}{
		{Heap, 12 * mib, mib / 4, true}, {Heap, 30 * mib, mib / 4, true}, {Heap, 40 * mib, mib / 4, false},
		{Goroutines, 10, 10, true}, {Goroutines, 1200, 10, true}, {Goroutines, 1600, 10, false},
	} {
		p := newProcess(t)
		p.o.Values[c.kind] = c.base
		p.run(3*time.Minute, func(float64) {})
		found := false
		for second := 0; second < 120 && !found; second++ {
			p.run(time.Second, func(float64) { p.o.Values[c.kind] += c.perSecond / 2 }) // two looks a second
			found = p.d.Findings()[c.kind].Verdict >= Suspect
		}
		if found != c.want {
			t.Errorf("%s beside %.0f found: %v", c.kind, c.base, found)
		}
	}
}
