package leak

import (
	"math"
	"strings"
	"testing"
	"time"
)

const mib = 1 << 20

// TestSetMinRise: a leak that is too slow for one least rise is one by the next, at once, as what was seen is kept; and one
// that is suspected stays so.
func TestSetMinRise(t *testing.T) {
	p := newProcess(t)
	p.o.Values[Heap] = 100 * mib
	grow := func(float64) { p.o.Values[Heap] += mib / 10 } // 9 % in a window
	p.run(4*time.Minute, grow)
	p.want(Heap, Watch)
	for _, wrong := range []float64{math.NaN(), -1, 11} {
		if err := p.d.SetMinRise(wrong); err == nil || !strings.Contains(err.Error(), "least rise") {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	p.run(5*time.Second, grow)
	p.want(Heap, Watch)
	if err := p.d.SetMinRise(0.03); err != nil {
		t.Fatal(err)
	}
	p.run(5*time.Second, grow)
	since := p.want(Heap, Suspect).Since
	if err := p.d.SetMinRise(0); err != nil || p.d.o.MinRise != 0.2 {
		t.Errorf("%v, the default is %v", err, p.d.o.MinRise)
	}
	p.run(5*time.Second, grow)
	if f := p.want(Heap, Suspect); !f.Since.Equal(since) {
		t.Errorf("it is suspected since %s, then since %s", since, f.Since)
	}
}

// TestAnew: a leak that is suspected is so in the next detector too, with shorter windows and with longer ones; what becomes
// of it that finds out, and nothing else is known there.
func TestAnew(t *testing.T) {
	for name, window := range map[string]time.Duration{"shorter": 10 * time.Second, "same": 45 * time.Second, "longer": 3 * time.Minute} {
		for becomes, c := range map[string]struct {
			step, perLook float64
			paused        bool // while it steps
			want          Verdict
			within        time.Duration
		}{
			"goes on":    {0, 0.125 * mib, false, Confirmed, 2 * window},
			"stops":      {0, 0, false, Healthy, window + max(45*time.Second, window)},
			"is paused":  {500 * mib, 0, true, Healthy, window + max(45*time.Second, window)},
			"is resumed": {500 * mib, 0.125 * mib, true, Confirmed, 2 * window},
			"given back": {-30 * mib, 0, false, Healthy, window},
		} {
			t.Run(name+", "+becomes, func(t *testing.T) {
				p := newProcess(t)
				p.o.Values[Heap], p.o.Values[Threads] = 12*mib, 5
				site := func(float64) {
					if p.d.SitesDue(Heap) {
						p.d.AddSites(Heap, []Site{{"leaks", p.o.Values[Heap]}})
					}
				}
				for p.d.Findings()[Heap].Verdict < Suspect {
					p.run(time.Second, func(s float64) { p.o.Values[Heap] += 0.125 * mib; site(s) })
				}
				before := p.want(Heap, Suspect)
				var err error
				if p.d, err = p.d.Anew(Options{Window: window, Interval: 500 * time.Millisecond}); err != nil {
					t.Fatal(err)
				}
				if f := p.want(Threads, Insufficient); !strings.HasPrefix(f.Reason, "it is watched anew: less was seen than any rule takes, nearly two windows of "+window.String()) {
					t.Error(f.Reason)
				}
				if p.o.Values[Heap] += c.step; c.paused {
					p.d.Resume()
				}
				last, took := p.want(Heap, Suspect), time.Duration(0)
				for ; last.Verdict != c.want && took < c.within; took += time.Second {
					p.run(time.Second, func(s float64) { p.o.Values[Heap] += c.perLook; site(s) })
					last = p.d.Findings()[Heap]
					if last.Verdict >= Suspect && !last.Since.Equal(before.Since) {
						t.Fatalf("it is another leak: %+v", last)
					}
					if c.perLook > 0 && last.Verdict < Suspect {
						t.Fatalf("after %s it goes on, and yet: %+v", took, last)
					}
					if c.perLook == 0 && last.Verdict == Confirmed {
						t.Fatalf("after %s it does not go on, and yet: %+v", took, last)
					}
				}
				if last.Verdict != c.want {
					t.Errorf("after %s: %+v", took, last)
				}
				t.Logf("%s after %s: %s", last.Verdict, took, last.Reason)
				if c.want == Confirmed && (last.Window != window || len(last.Sites) != 1) {
					t.Errorf("%+v", last)
				}
			})
		}
	}
	if _, err := newProcess(t).d.Anew(Options{Window: time.Millisecond}); err == nil {
		t.Error("a window of a millisecond is taken")
	}
}

// TestAnewBeneathWhatComesAndGoes: a leak of which one site alone tells is known anew by that, and what is added in a pause is
// not judged, whether it is watched anew before the pause ends or after it.
func TestAnewBeneathWhatComesAndGoes(t *testing.T) {
	for _, first := range []string{"no pause", "anew", "resumed"} {
		h := &hidden{process: newProcess(t)}
		h.run(25*time.Minute, 0, 0)
		for h.d.Findings()[Heap].Verdict < Suspect {
			h.run(time.Second, 0.15, 0)
		}
		since := h.want(Heap, Suspect).Since
		old := h.d
		if first == "resumed" {
			old.Resume()
		}
		var err error
		if h.d, err = old.Anew(Options{Window: 30 * time.Second, Interval: 500 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		if first == "anew" {
			h.d.Resume()
		}
		if first != "no pause" {
			h.leaked += 500 * mib
			h.run(80*time.Second, 0, 0) // a suspicion of the hour outlives it
			if f := h.want(Heap, Suspect); !f.Since.Equal(since) {
				t.Errorf("%s: %+v", first, f)
			}
		}
		h.run(2*time.Minute, 0.15, 0)
		if f := h.want(Heap, Confirmed); !f.Since.Equal(since) || len(f.Sites) != 1 || f.Sites[0].Name != "leaks" || math.Abs(f.PerSecond/mib-0.15) > 0.05 {
			t.Errorf("%s: %+v", first, f)
		}
		h.leaked = 0
		h.run(time.Minute, 0, 0)
		h.want(Heap, Healthy)
	}
}
