package pressure

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/memwarden/memwarden/memstat"
)

// below puts the container into parent groups: use and limit of each in MiB, the nearest first, called /a, /b and so on.
func below(s *memstat.Sample, parents ...[2]int64) *memstat.Sample {
	for i, p := range parents {
		s.Cgroup.Parents[i] = memstat.Parent{
			Path: "/" + string(rune('a'+i)), MaxBytes: mebibytes(p[1]), WorkingSetBytes: mebibytes(p[0]), CurrentBytes: mebibytes(p[0] + 1),
		}
		if limit, ok := s.Cgroup.MaxBytes.Get(); !ok || p[1]*mib < limit {
			s.Cgroup.MaxBytes = mebibytes(p[1])
		}
	}
	return s
}

func TestParents(t *testing.T) {
	type want struct {
		group                string
		used, garbage, limit int64
		level                Level
	}
	unlimited := func(s *memstat.Sample) { s.Cgroup.MaxBytes = memstat.Int{} }
	for name, test := range map[string]struct {
		sample *memstat.Sample
		want   want
	}{
		"the group is fuller":          {below(contained(400), [2]int64{1000, 2048}), want{"", 400, 0, 512, Elevated}},
		"a parent is fuller":           {below(contained(150), [2]int64{1945, 2048}), want{"/a", 1945, 0, 2048, Critical}},
		"a parent alone has a limit":   {below(change(contained(150), unlimited), [2]int64{850, 1000}), want{"/a", 850, 0, 1000, High}},
		"a parent's limit is stricter": {below(contained(150), [2]int64{216, 256}), want{"/a", 216, 0, 256, High}},
		"no siblings":                  {below(change(contained(150), unlimited), [2]int64{150, 200}), want{"", 150, 0, 200, Elevated}},
		"a parent's parent": {below(contained(150), [2]int64{600, 1000}, [2]int64{1500, 2000}, [2]int64{7000, 10000}),
			want{"/b", 1500, 0, 2000, Elevated}},
		"the farthest of all": {below(contained(150), [2]int64{500, 1000}, [2]int64{1000, 2000}, [2]int64{5000, 10000}, [2]int64{19000, 20000}),
			want{"/d", 19000, 0, 20000, Critical}},
		"a parent's high limit": {
			change(below(contained(150), [2]int64{600, 1000}), func(s *memstat.Sample) { s.Cgroup.Parents[0].HighBytes = mebibytes(625) }),
			want{"/a", 600, 0, 625, Critical},
		},
		"a parent's high limit alone": {
			change(contained(150), func(s *memstat.Sample) {
				s.Cgroup.HighBytes = mebibytes(625)
				s.Cgroup.Parents[0] = memstat.Parent{Path: "/a", HighBytes: mebibytes(625), WorkingSetBytes: mebibytes(600)}
			}),
			want{"/a", 600, 0, 625, Critical},
		},
		"a parent's working set is not known": {
			change(below(contained(150), [2]int64{949, 1000}), func(s *memstat.Sample) { s.Cgroup.Parents[0].WorkingSetBytes = memstat.Int{} }),
			want{"/a", 950, 0, 1000, Critical},
		},
		"the group's use is not known": {
			change(below(contained(150), [2]int64{950, 1000}), func(s *memstat.Sample) { s.Cgroup.WorkingSetBytes = memstat.Int{} }),
			want{"/a", 950, 0, 1000, Critical},
		},
		"a parent's use is not known": {
			change(below(contained(400), [2]int64{950, 1000}), func(s *memstat.Sample) {
				s.Cgroup.Parents[0].WorkingSetBytes, s.Cgroup.Parents[0].CurrentBytes = memstat.Int{}, memstat.Int{}
			}),
			want{"", 400, 0, 512, Elevated},
		},
		// Of 900 MiB, 400 are this process's, of which half is garbage: with all that it may have, 460, there are 960.
		"garbage is left out while there is room for it": {
			below(withGo(contained(400), 200, 380, 20, 400, 460), [2]int64{900, 1000}), want{"/a", 700, 200, 1000, Elevated},
		},
		// The siblings have taken 50 MiB of that room, 10 more than there were.
		"garbage counts as far as siblings leave no room": {
			below(withGo(contained(400), 200, 380, 20, 400, 460), [2]int64{950, 1000}), want{"/a", 760, 190, 1000, Elevated},
		},
		"garbage counts where siblings leave none": {
			below(withGo(contained(150), 100, 140, 0, 145, 460), [2]int64{900, 1000}), want{"/a", 900, 0, 1000, Critical},
		},
		// The container is fuller, 95 % to 90 %, but of garbage.
		"a container full of garbage hides no parent": {
			below(withGo(contained(490), 100, 420, 10, 440, 460), [2]int64{18000, 20000}), want{"/a", 17670, 330, 20000, High},
		},
		"full of garbage goes before a cleaner one": {
			below(withGo(contained(497), 100, 420, 10, 440, 440), [2]int64{1500, 2000}), want{"", 167, 330, 512, High},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, d := Next(State{}, Default(), test.sample, epoch)
			got := d.container()
			want := Signal{
				Name: SignalContainer, Group: test.want.group, UsedBytes: test.want.used * mib, GarbageBytes: test.want.garbage * mib,
				LimitBytes: test.want.limit * mib, Ratio: float64(test.want.used) / float64(test.want.limit), Level: test.want.level,
			}
			if got == nil || *got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if d.count > maxSignals-1 {
				t.Errorf("signals %+v", d.Signals())
			}
		})
	}
}

// TestParentsStandForNoOtherSignal: as with a container of its own, the machine and the override do not count.
func TestParentsStandForNoOtherSignal(t *testing.T) {
	cfg := Default()
	cfg.BytesOverride = 100 * mib
	_, d := Next(State{}, cfg, below(machine(50, 500), [2]int64{300, 1000}), epoch)
	if signals := d.Signals(); len(signals) != 1 || signals[0].Group != "/a" {
		t.Errorf("%+v", signals)
	}
}

func TestParentReason(t *testing.T) {
	w := newWatch(t)
	full := below(contained(150), [2]int64{1850, 2048})
	w.want(Critical, 1, full)
	w.reason("level critical because container use is 90.3 % (1.8 GiB of 2.0 GiB of the parent group /a), at or above 90 %")
	w = newWatch(t)
	w.want(Normal, 1, below(withGo(contained(400), 200, 380, 20, 400, 460), [2]int64{600, 1000}))
	w.reason("level normal because Go limit use is 43.4 % (200.0 MiB of 460.0 MiB, 200.0 MiB of garbage left out), below 70 %")
	w.want(Normal, 1, below(withGo(contained(400), 200, 380, 20, 400, 460), [2]int64{800, 1000}))
	w.reason("level normal because container use is 60 % (600.0 MiB of 1000.0 MiB of the parent group /a, 200.0 MiB of garbage left out), below 70 %")
}

// TestParentsEventsCorroborate: each group's are told apart, and news of its own limit only.
func TestParentsEventsCorroborate(t *testing.T) {
	sample := func(own, near, far int64) *memstat.Sample {
		s := below(contained(250), [2]int64{300, 1000}, [2]int64{900, 2000})
		s.Cgroup.MaxEvents, s.Cgroup.Parents[0].MaxEvents = memstat.Known(own), memstat.Known(near)
		s.Cgroup.Parents[1].MaxEvents, s.Cgroup.Parents[1].HighEvents = memstat.Known(far), memstat.Known(int64(3))
		return s
	}
	w := newWatch(t)
	w.want(Normal, 5, sample(7, 1000, 50))
	w.want(Normal, 2, sample(7, 1000, 51))
	w.want(Elevated, 1, sample(7, 1000, 51))
	w.reason("level elevated because container use is 48.8 % (250.0 MiB of 512.0 MiB), below 70 %, raised by one level as use was at the limit of the parent group /b within the last 10s, for 2s")
	w.want(Elevated, 1, sample(8, 1000, 51))
	w.reason("level elevated because container use is 48.8 % (250.0 MiB of 512.0 MiB), below 70 %, raised by one level as use was at the container's limit within the last 10s, for 3s")
	w.want(Elevated, 9, sample(8, 1000, 51))
	if d := w.see(sample(8, 1000, 51)); d.Seen != Normal {
		t.Errorf("evidence does not end: %s", d.Reason())
	}

	// A reading that fails is no news, and no end of what is known.
	w = newWatch(t)
	w.see(sample(7, 1000, 50))
	w.see(sample(7, 1001, 50))
	w.see(&memstat.Sample{})
	if d := w.see(sample(7, 1001, 50)); d.Seen != Elevated {
		t.Errorf("evidence was forgotten: %s", d.Reason())
	}

	// The nearest limit is lifted: what was counted there is not compared with the other's.
	w = newWatch(t)
	w.see(sample(7, 10, 5000))
	lifted := sample(7, 10, 5000)
	lifted.Cgroup.Parents = memstat.Parents{lifted.Cgroup.Parents[1]}
	if d := w.see(lifted); d.Seen != Normal {
		t.Errorf("another group's events were taken for news: %s", d.Reason())
	}
	lifted.Cgroup.Parents[0].HighEvents = memstat.Known(int64(4))
	if d := w.see(lifted); d.Seen != Elevated {
		t.Errorf("news after that were missed: %s", d.Reason())
	}

	// The parent's own page cache is what is trimmed at its limit.
	w = newWatch(t)
	for i := range int64(20) {
		w.want(Normal, 1, change(sample(7, i, 50), func(s *memstat.Sample) { s.Cgroup.Parents[0].InactiveFileBytes = mebibytes(50) }))
	}
	w.want(Normal, 1, change(sample(7, 21, 50), func(s *memstat.Sample) { s.Cgroup.Parents[0].InactiveFileBytes = mebibytes(49) }))
	if w.last.Seen != Elevated {
		t.Errorf("no cache to trim: %s", w.last.Reason())
	}
	w.now = w.now.Add(-w.now.Sub(epoch) - 1) // the clock is set back: the evidence begins anew
	if d := w.see(sample(7, 21, 50)); d.Seen != Elevated || w.state.events[1].rose.After(d.At) {
		t.Errorf("after the clock was set back: %s", d.Reason())
	}
}

// TestStrongestGroup compares with the simple twin: the level is the highest that any group alone would show.
func TestStrongestGroup(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 5))
		limit := 256 + random.Int64N(512)
		goUsed := random.Int64N(limit)
		objects := random.Int64N(goUsed + 1)
		s := withGo(contained(min(goUsed+random.Int64N(200), limit)), random.Int64N(objects+1), objects, 0, goUsed, random.Int64N(limit)+1)
		s.Cgroup.MaxBytes = mebibytes(limit)
		alone := []*memstat.Sample{change(s)}
		whole := *s
		use := s.Cgroup.WorkingSetBytes.Or(0) / mib
		for i := range random.IntN(memstat.MaxParents + 1) {
			use += random.Int64N(2000)
			p := memstat.Parent{Path: fmt.Sprint("/", i), MaxBytes: mebibytes(use + random.Int64N(use+1)), WorkingSetBytes: mebibytes(use)}
			whole.Cgroup.Parents[i] = p
			whole.Cgroup.MaxBytes = memstat.Known(min(whole.Cgroup.MaxBytes.Or(0), p.MaxBytes.Or(0)))
			single := *s
			single.Cgroup = memstat.Cgroup{MaxBytes: p.MaxBytes, WorkingSetBytes: p.WorkingSetBytes}
			alone = append(alone, &single)
		}
		var want Level
		for _, s := range alone {
			_, d := Next(State{}, Default(), s, epoch)
			want = max(want, d.container().Level)
		}
		_, d := Next(State{}, Default(), &whole, epoch)
		if got := d.container().Level; got != want {
			t.Errorf("seed %d: %s, want %s: %s", seed, got, want, d.Reason())
		}
	}
}

// TestSiblingsFillTheParent reads the groups from files: the process holds 300 MiB of its 1 GiB while its siblings take
// what is left of the 2 GiB that they have together.
func TestSiblingsFillTheParent(t *testing.T) {
	root := t.TempDir()
	write := func(name, format string, values ...any) {
		t.Helper()
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, fmt.Appendf(nil, format+"\n", values...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	group := func(dir string, limit, current int64) {
		write(dir+"/memory.max", "%d", limit)
		write(dir+"/memory.high", "max")
		write(dir+"/memory.current", "%d", current)
		write(dir+"/memory.stat", "inactive_file %d", 10*mib)
	}
	write("proc/self/cgroup", "0::/kubepods/pod1/app")
	write("proc/self/mountinfo", "35 31 0:32 / /cg rw - cgroup2 cgroup2 rw")
	group("cg/kubepods/pod1/app", 1024*mib, 300*mib)
	group("cg/kubepods", 64*1024*mib, 4096*mib)

	sampler, err := memstat.New(memstat.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sampler.Close(); err != nil {
			t.Error(err)
		}
	}()
	w := newWatch(t)
	seen := map[Level]bool{}
	for pod := int64(400); pod <= 2000; pod += 20 {
		group("cg/kubepods/pod1", 2048*mib, pod*mib)
		var s memstat.Sample
		sampler.Read(&s, w.now)
		seen[w.see(&s).Level] = true
	}
	if len(seen) != 4 {
		t.Errorf("levels on the way: %v", seen)
	}
	if signal, _ := w.last.Strongest(); signal.Group != "/kubepods/pod1" || signal.UsedBytes != 1990*mib || signal.LimitBytes != 2048*mib {
		t.Errorf("%+v", signal)
	}
}
