package pressure

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/memstat"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// watch judges samples, one a second.
type watch struct {
	t     *testing.T
	cfg   Config
	state State
	now   time.Time
	last  Decision
}

func newWatch(t *testing.T) *watch { return &watch{t: t, cfg: Default(), now: epoch} }

func (w *watch) see(s *memstat.Sample) Decision {
	w.state, w.last = Next(w.state, w.cfg, s, w.now)
	w.now = w.now.Add(time.Second)
	return w.last
}

// want shows a sample for some seconds and checks the level after each.
func (w *watch) want(level Level, seconds int, s *memstat.Sample) {
	w.t.Helper()
	for i := range seconds {
		if d := w.see(s); d.Level != level {
			w.t.Fatalf("second %d: %s, want %s", i, d.Reason(), level)
		}
	}
}

// reason checks why the level is what it is.
func (w *watch) reason(want string) {
	w.t.Helper()
	if got := w.last.Reason(); got != want {
		w.t.Errorf("reason: %s\nwant:   %s", got, want)
	}
}

// use is a container of 512 MiB, so full.
func use(ratio float64) *memstat.Sample {
	s := contained(0)
	s.Cgroup.WorkingSetBytes = memstat.Known(int64(ratio * float64(512*mib)))
	return s
}

func TestRiseAndFall(t *testing.T) {
	w := newWatch(t)
	w.want(Normal, 5, use(0.5))
	w.reason("level normal because container use is 50 % (256.0 MiB of 512.0 MiB), below 70 %")
	w.want(Normal, 2, use(0.75))
	w.reason("level normal until elevated has been seen for 2s: container use is 75 % (384.0 MiB of 512.0 MiB), at or above 70 %, for 1s")
	w.want(Elevated, 1, use(0.75))
	if d := w.last; !d.Changed || d.Previous != Normal || !d.Since.Equal(epoch.Add(7*time.Second)) {
		t.Errorf("%+v", d)
	}
	w.want(Elevated, 2, use(0.85))
	w.want(High, 2, use(0.85))
	w.reason("level high because container use is 85 % (435.2 MiB of 512.0 MiB), at or above 80 %, for 3s")
	if w.last.Changed || w.last.Previous != Elevated {
		t.Errorf("%+v", w.last)
	}
	w.want(High, 100, use(0.78))
	w.reason("level high held: container use is 78 % (399.4 MiB of 512.0 MiB), at or above 70 %, within the hysteresis of 3 % below high")
	w.want(High, 30, use(0.76))
	w.reason("level high held: container use is 76 % (389.1 MiB of 512.0 MiB), at or above 70 %, below high for 29s of the 30s that a fall takes")
	w.want(Elevated, 30, use(0.2))
	w.want(Normal, 5, use(0.2))
}

func TestRiseSkipsLevels(t *testing.T) {
	w := newWatch(t)
	w.want(Normal, 1, use(0.5))
	w.want(Normal, 2, use(0.85))
	w.want(High, 1, use(0.85))
	w.want(High, 30, use(0.5))
	w.want(Normal, 1, use(0.5))
}

func TestEachLevelHasItsOwnDwell(t *testing.T) {
	w := newWatch(t)
	w.want(Normal, 1, use(0.75))
	w.want(Normal, 1, use(0.85))
	w.want(Elevated, 1, use(0.85)) // elevated or more for 2 s
	w.want(High, 1, use(0.85))     // high for 2 s
	w.want(High, 1, use(0.5))
	w.want(High, 29, use(0.75)) // below high for 29 s, below elevated for none
	w.want(Elevated, 29, use(0.5))
	w.want(Elevated, 1, use(0.5))
	w.want(Normal, 1, use(0.5))
}

func TestOneSpikeIsNoRise(t *testing.T) {
	w := newWatch(t)
	for range 20 {
		w.want(Normal, 2, use(0.89))
		w.want(Normal, 1, use(0.5))
	}
}

func TestFullContainerIsCriticalAtOnce(t *testing.T) {
	w := newWatch(t)
	w.want(Normal, 1, use(0.5))
	w.see(use(0.89999))
	w.reason("level normal until high has been seen for 2s: container use is 89.9 % (460.8 MiB of 512.0 MiB), at or above 80 %")
	w.want(Critical, 1, use(0.901))
	w.reason("level critical because container use is 90 % (461.3 MiB of 512.0 MiB), at or above 90 %")
	// A fall does not hurry, and one lower sample is none.
	w.want(Critical, 29, use(0.1))
	w.want(Critical, 1, use(0.88))
	w.want(Critical, 30, use(0.1))
	w.want(Normal, 1, use(0.1))

	// Another signal than the container does wait.
	w = newWatch(t)
	nearGoLimit := withGo(contained(200), 95, 95, 0, 100, 100)
	w.want(Normal, 2, nearGoLimit)
	w.want(Critical, 1, nearGoLimit)
	w.reason("level critical because Go limit use is 100 % (100.0 MiB of 100.0 MiB), at or above 90 %, for 2s")
}

func TestStaleLiveHeap(t *testing.T) {
	w := newWatch(t)
	// Since the last collection, which found 100 MiB live, 400 MiB have become live.
	s := withGo(contained(497), 100, 420, 10, 440, 440)
	w.want(Normal, 2, s)
	w.want(High, 1, s)
	w.reason("level high because container use is 32.6 % (167.0 MiB of 512.0 MiB, 330.0 MiB of garbage left out), 97 % with its garbage, at or above 97 %, for 2s")
	w.want(High, 60, withGo(contained(485), 100, 420, 10, 440, 440)) // 94.7 %
	w.want(High, 1, s)
	// The next collection says so.
	w.want(Critical, 1, withGo(contained(497), 420, 425, 0, 440, 440))
}

func TestDwellOfZero(t *testing.T) {
	w := newWatch(t)
	w.cfg.RiseDwell, w.cfg.FallDwell = 0, 0
	w.want(High, 1, use(0.81))
	w.want(High, 1, use(0.78))
	w.want(Elevated, 1, use(0.71))
	w.want(Normal, 1, use(0.1))
	w.want(Critical, 1, use(0.95))
	w.want(Normal, 1, use(0.1))
}

func TestStallsCorroborate(t *testing.T) {
	stalled := func(scope string, ratio float64) func(*memstat.Sample) {
		return func(s *memstat.Sample) { s.PSI.Scope, s.PSI.SomeAvg10Ratio = scope, memstat.Known(ratio) }
	}
	for name, test := range map[string]struct {
		sample *memstat.Sample
		want   Level
	}{
		"alone":                           {change(&memstat.Sample{}, stalled("system", 0.9)), Normal},
		"with low use":                    {change(use(0.69), stalled("cgroup", 0.9)), Normal},
		"few":                             {change(use(0.75), stalled("cgroup", 0.09)), Elevated},
		"elevated to high":                {change(use(0.75), stalled("cgroup", 0.10)), High},
		"high to critical":                {change(use(0.85), stalled("cgroup", 0.5)), Critical},
		"critical stays":                  {change(use(0.95), stalled("cgroup", 0.5)), Critical},
		"a container's neighbours":        {change(use(0.75), stalled("system", 0.5)), Elevated},
		"the machine's, small process":    {change(machine(50, 10), stalled("system", 0.5)), Elevated},
		"the machine's, large process":    {change(machine(250, 300), stalled("system", 0.5)), High},
		"the machine's, near a Go limit":  {change(withGo(machine(50, 10), 73, 73, 0, 73, 100), stalled("system", 0.5)), High},
		"the machine's, far from a limit": {change(withGo(machine(50, 10), 33, 33, 0, 33, 100), stalled("system", 0.5)), Elevated},
	} {
		t.Run(name, func(t *testing.T) {
			_, d := Next(State{}, Default(), test.sample, epoch)
			if d.Seen != test.want {
				t.Errorf("seen %s, want %s: %s", d.Seen, test.want, d.Reason())
			}
		})
	}
	w := newWatch(t)
	w.want(Normal, 2, change(use(0.75), stalled("cgroup", 0.124)))
	w.want(High, 1, change(use(0.75), stalled("cgroup", 0.124)))
	w.reason("level high because container use is 75 % (384.0 MiB of 512.0 MiB), at or above 70 %, raised by one level as tasks were stalled on memory for 12.4 % of the last 10s, for 2s")
}

func TestEventsCorroborate(t *testing.T) {
	sample := func(ratio float64, high, most, cacheMiB int64) *memstat.Sample {
		return change(use(ratio), func(s *memstat.Sample) {
			s.Cgroup.HighEvents, s.Cgroup.MaxEvents = memstat.Known(high), memstat.Known(most)
			s.Cgroup.InactiveFileBytes = mebibytes(cacheMiB)
		})
	}
	w := newWatch(t)
	w.want(Normal, 5, sample(0.5, 1000, 1000, 0)) // what happened before is no news
	w.want(Normal, 2, sample(0.5, 1000, 1001, 0))
	w.want(Elevated, 1, sample(0.5, 1000, 1001, 0)) // alone no further than elevated
	w.reason("level elevated because container use is 50 % (256.0 MiB of 512.0 MiB), below 70 %, raised by one level as use was at the container's limit within the last 10s, for 2s")
	w.want(Elevated, 7, sample(0.5, 1000, 1001, 0))
	if d := w.see(sample(0.5, 1000, 1001, 0)); d.Seen != Normal {
		t.Errorf("evidence does not end: %s", d.Reason())
	}
	w.see(sample(0.75, 1001, 1001, 0))
	if w.last.Seen != High {
		t.Errorf("an event at the high limit shows %s", w.last.Reason())
	}

	if w.see(&memstat.Sample{}); w.last.Seen != Normal {
		t.Errorf("an event at a limit that is gone shows %s", w.last.Reason())
	}

	w = newWatch(t)
	for i := range int64(60) {
		w.want(Normal, 1, sample(0.6, 0, 100*i, 200)) // the kernel trims the page cache
	}
	w.want(Normal, 5, sample(0.6, 0, 10, 0)) // another cgroup's counters
	w.want(Normal, 5, change(sample(0.6, 0, 20, 0), func(s *memstat.Sample) { s.Cgroup.MaxBytes = memstat.Int{} }))
	w.want(Normal, 5, change(sample(0.6, 0, 0, 0), func(s *memstat.Sample) { s.Cgroup.HighEvents, s.Cgroup.MaxEvents = memstat.Int{}, memstat.Int{} }))
	w.want(Normal, 5, sample(0.6, 0, 20, 0))
}

func TestLimiterCorroborates(t *testing.T) {
	sample := func(last, newest int64) *memstat.Sample {
		s := change(withGo(contained(100), 40, 40, 0, 50, 460), func(s *memstat.Sample) { s.Go.GCCycles = memstat.Known(newest) })
		if last > 0 {
			s.Go.GCLimiterLastCycle = memstat.Known(last)
		}
		return s
	}
	w := newWatch(t)
	w.want(Normal, 5, sample(90, 100)) // long ago
	w.want(Normal, 1, sample(110, 140))
	w.want(Normal, 1, sample(150, 150))
	w.want(High, 1, sample(150, 151))
	w.reason("level high because the collector's CPU limiter was active in collection 150 under the Go memory limit (container use is 19.5 % (100.0 MiB of 512.0 MiB)), for 2s")
	w.want(High, 8, sample(150, 152))
	w.want(High, 30, sample(150, 160))
	w.want(Normal, 1, sample(150, 160))

	if _, d := Next(State{}, Default(), sample(101, 100), epoch); d.Seen != High {
		t.Errorf("active in the first sample: %s", d.Reason())
	}
	w = newWatch(t)
	w.want(Normal, 5, sample(0, 100))
	if d := w.see(sample(105, 140)); d.Seen != High {
		t.Errorf("active for the first time: %s", d.Reason())
	}
	w = newWatch(t)
	for i := range int64(10) { // without a memory limit the limiter says nothing of memory
		w.want(Normal, 1, change(sample(100+i, 100+i), func(s *memstat.Sample) { s.Go.MemoryLimitBytes = memstat.Int{} }))
	}
	var alone memstat.Sample
	alone.Go.GCCycles, alone.Go.GCLimiterLastCycle, alone.Go.MemoryLimitBytes = memstat.Known(int64(5)), memstat.Known(int64(5)), mebibytes(100)
	w = newWatch(t)
	w.want(Normal, 2, &alone)
	w.want(High, 1, &alone)
	w.reason("level high because the collector's CPU limiter was active in collection 5 under the Go memory limit, for 2s")
}

func TestAbsentFigures(t *testing.T) {
	w := newWatch(t)
	w.want(Normal, 3, &memstat.Sample{})
	w.reason("level normal, not judged: no limit is known")
	limited := change(contained(0), func(s *memstat.Sample) { s.Cgroup.WorkingSetBytes = memstat.Int{} })
	w.want(Normal, 1, limited)
	w.reason("level normal, not judged: no use is known to hold against the limit")
	w.see(use(0.85))
	w.see(&memstat.Sample{}) // breaks the dwell
	w.want(Normal, 2, use(0.85))
	w.want(High, 5, use(0.85))
	// One reading that fails changes nothing; a limit that is gone does after a while.
	w.want(High, 1, &memstat.Sample{})
	w.want(High, 10, use(0.85))
	w.want(High, 30, &memstat.Sample{})
	w.reason("level high held: no limit is known, below high for 29s of the 30s that a fall takes")
	w.want(Normal, 1, &memstat.Sample{})
	w.reason("level normal, not judged: no limit is known")
}

func TestClockSetBack(t *testing.T) {
	w := newWatch(t)
	w.want(Normal, 2, use(0.85))
	w.now = w.now.Add(-time.Hour)
	w.want(Normal, 2, use(0.85)) // the dwell begins anew, and is not an hour longer
	w.want(High, 1, use(0.85))
	w.now = w.now.Add(-time.Hour)
	w.want(High, 20, use(0.1))
	if d := w.last; d.Since.After(d.At) {
		t.Errorf("since %v, after %v", d.Since, d.At)
	}
	w.now = w.now.Add(-time.Hour)
	w.want(High, 30, use(0.1))
	w.want(Normal, 1, use(0.1))
	// The same moment again.
	w.now = w.now.Add(-time.Second)
	w.want(Normal, 1, use(0.1))
}

func TestCappedSystemReason(t *testing.T) {
	w := newWatch(t)
	w.want(Normal, 2, machine(50, 31))
	w.want(Elevated, 1, machine(50, 31))
	w.reason("level elevated because system use is 95 % (950.0 MiB of 1000.0 MiB), at or above 90 %, but no more than elevated as this process holds 3.1 % of it, below 20 %, for 2s")
}

func TestDecisionJSON(t *testing.T) {
	w := newWatch(t)
	w.want(Normal, 12, withGo(contained(450), 200, 400, 20, 440, 460))
	text, err := json.MarshalIndent(w.last, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
 "at": "2026-01-02T03:04:16Z",
 "level": "normal",
 "previous": "normal",
 "since": "2026-01-02T03:04:05Z",
 "changed": false,
 "seen": "normal",
 "judged": true,
 "reason": "level normal because Go limit use is 47.8 % (220.0 MiB of 460.0 MiB, 220.0 MiB of garbage left out), below 70 %",
 "signals": [
  {
   "name": "container",
   "used_bytes": 241172480,
   "garbage_bytes": 230686720,
   "limit_bytes": 536870912,
   "ratio": 0.44921875,
   "level": "normal"
  },
  {
   "name": "go_limit",
   "used_bytes": 230686720,
   "garbage_bytes": 230686720,
   "limit_bytes": 482344960,
   "ratio": 0.4782608695652174,
   "level": "normal"
  }
 ]
}`
	if string(text) != want {
		t.Errorf("%s", text)
	}
	_, nothing := Next(State{}, Default(), &memstat.Sample{}, epoch)
	if text, err := json.Marshal(nothing); err != nil || !strings.Contains(string(text), `"judged":false`) || !strings.Contains(string(text), `"signals":[]`) {
		t.Errorf("%s, %v", text, err)
	}
	if signal, ok := w.last.Strongest(); !ok || signal.Name != SignalGoLimit {
		t.Errorf("strongest %+v", signal)
	}
	if _, ok := nothing.Strongest(); ok {
		t.Error("a strongest of no signals")
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1540 * time.Millisecond: "1.5s", 29*time.Second + 700*time.Millisecond: "30s", time.Hour: "1h0m0s",
	} {
		if got := seconds(d); got != want {
			t.Errorf("%d prints %s, want %s", d, got, want)
		}
	}
}
