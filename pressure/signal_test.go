package pressure

import (
	"testing"

	"github.com/memwarden/memwarden/memstat"
)

const mib = int64(1) << 20

func mebibytes(n int64) memstat.Int { return memstat.Known(n * mib) }

// contained is a process in a container of 512 MiB.
func contained(workingSet int64) *memstat.Sample {
	var s memstat.Sample
	s.Cgroup.MaxBytes, s.Cgroup.WorkingSetBytes = mebibytes(512), mebibytes(workingSet)
	return &s
}

// withGo adds Go figures in MiB: the objects and the free heap are part of used.
func withGo(s *memstat.Sample, live, objects, free, used, limit int64) *memstat.Sample {
	s.Go.HeapLiveBytes, s.Go.HeapObjectsBytes, s.Go.HeapFreeBytes = mebibytes(live), mebibytes(objects), mebibytes(free)
	s.Go.UsedBytes, s.Go.GCCycles = mebibytes(used), memstat.Known(int64(7))
	if limit > 0 {
		s.Go.MemoryLimitBytes = mebibytes(limit)
	}
	return s
}

func change(s *memstat.Sample, changes ...func(*memstat.Sample)) *memstat.Sample {
	for _, change := range changes {
		change(s)
	}
	return s
}

func machine(available, rss int64) *memstat.Sample {
	var s memstat.Sample
	s.System.TotalBytes, s.System.AvailableBytes = mebibytes(1000), mebibytes(available)
	if rss >= 0 {
		s.Process.RSSBytes = mebibytes(rss)
	}
	return &s
}

func TestSignals(t *testing.T) {
	type want struct {
		name                 SignalName
		used, garbage, limit int64
		level                Level
		group                string
	}
	for name, test := range map[string]struct {
		sample   *memstat.Sample
		override int64
		want     []want
	}{
		"nothing known": {sample: &memstat.Sample{}},
		"container":     {sample: contained(400), want: []want{{SignalContainer, 400, 0, 512, Elevated, ""}}},
		"high below max": {
			sample: change(contained(400), func(s *memstat.Sample) { s.Cgroup.HighBytes = mebibytes(410) }),
			want:   []want{{SignalContainer, 400, 0, 410, Critical, ""}},
		},
		"high above max": {
			sample: change(contained(400), func(s *memstat.Sample) { s.Cgroup.HighBytes = mebibytes(600) }),
			want:   []want{{SignalContainer, 400, 0, 512, Elevated, ""}},
		},
		"no working set": {
			sample: change(contained(0), func(s *memstat.Sample) {
				s.Cgroup.WorkingSetBytes, s.Cgroup.CurrentBytes = memstat.Int{}, mebibytes(480)
			}),
			want: []want{{SignalContainer, 480, 0, 512, Critical, ""}},
		},
		"limit of 0": {sample: change(contained(1), func(s *memstat.Sample) { s.Cgroup.MaxBytes = mebibytes(0) })},
		"garbage left out under a Go limit": {
			sample: withGo(contained(450), 200, 400, 20, 440, 460),
			want:   []want{{SignalContainer, 230, 220, 512, Normal, ""}, {SignalGoLimit, 220, 220, 460, Normal, ""}},
		},
		"garbage counts without one": {
			sample: withGo(contained(450), 200, 400, 20, 440, 0),
			want:   []want{{SignalContainer, 450, 0, 512, High, ""}},
		},
		"garbage counts under one that is too high": {
			sample: withGo(contained(450), 200, 400, 20, 440, 512),
			want:   []want{{SignalContainer, 450, 0, 512, High, ""}, {SignalGoLimit, 220, 220, 512, Normal, ""}},
		},
		"garbage counts as far as memory that is not Go's leaves no room for it": {
			// 460 for Go and 112 beside it are 60 too many.
			sample: withGo(contained(412), 100, 200, 60, 300, 460),
			want:   []want{{SignalContainer, 312, 100, 512, Normal, ""}, {SignalGoLimit, 140, 160, 460, Normal, ""}},
		},
		"no room at all": {
			sample: withGo(contained(480), 100, 200, 60, 300, 460),
			want:   []want{{SignalContainer, 448, 32, 512, High, ""}, {SignalGoLimit, 140, 160, 460, Normal, ""}},
		},
		"live heap that is not known is no garbage": {
			sample: change(withGo(contained(450), 0, 400, 20, 440, 460), func(s *memstat.Sample) { s.Go.HeapLiveBytes = memstat.Int{} }),
			want:   []want{{SignalContainer, 430, 20, 512, High, ""}, {SignalGoLimit, 420, 20, 460, Critical, ""}},
		},
		"before the first collection nothing is garbage": {
			sample: change(withGo(contained(450), 0, 400, 0, 440, 460), func(s *memstat.Sample) { s.Go.GCCycles = memstat.Known(int64(0)) }),
			want:   []want{{SignalContainer, 450, 0, 512, High, ""}, {SignalGoLimit, 440, 0, 460, Critical, ""}},
		},
		"full, whatever is garbage": {
			sample: withGo(contained(497), 100, 420, 10, 440, 440),
			want:   []want{{SignalContainer, 167, 330, 512, High, ""}, {SignalGoLimit, 110, 330, 440, Normal, ""}},
		},
		"nearly full of garbage": {
			sample: withGo(contained(496), 100, 420, 10, 440, 440),
			want:   []want{{SignalContainer, 166, 330, 512, Normal, ""}, {SignalGoLimit, 110, 330, 440, Normal, ""}},
		},
		"live heap larger than the objects": {
			sample: withGo(contained(300), 210, 200, 0, 250, 460),
			want:   []want{{SignalContainer, 300, 0, 512, Normal, ""}, {SignalGoLimit, 250, 0, 460, Normal, ""}},
		},
		"Go memory that is not resident": {
			sample: withGo(contained(100), 10, 300, 20, 440, 460),
			want:   []want{{SignalContainer, 0, 100, 512, Normal, ""}, {SignalGoLimit, 130, 310, 460, Normal, ""}},
		},
		"Go limit without a container": {
			sample: withGo(&memstat.Sample{}, 80, 90, 2, 100, 100),
			want:   []want{{SignalGoLimit, 88, 12, 100, High, ""}},
		},
		"small process on a full machine": {
			sample: machine(50, 199), want: []want{{SignalSystem, 950, 0, 1000, Elevated, ""}},
		},
		"large process on a full machine": {
			sample: machine(50, 200), want: []want{{SignalSystem, 950, 0, 1000, Critical, ""}},
		},
		"unknown process on a full machine": {
			sample: machine(50, -1), want: []want{{SignalSystem, 950, 0, 1000, Elevated, ""}},
		},
		"the machine does not count in a container": {
			sample: change(machine(50, 500), func(s *memstat.Sample) {
				s.Cgroup.MaxBytes, s.Cgroup.WorkingSetBytes = mebibytes(512), mebibytes(100)
			}),
			want: []want{{SignalContainer, 100, 0, 512, Normal, ""}},
		},
		"override": {
			sample: machine(500, 85), override: 100,
			want: []want{{SignalProcess, 85, 0, 100, High, ""}, {SignalSystem, 500, 0, 1000, Normal, ""}},
		},
		"override with a Go limit": {
			sample: withGo(machine(500, 85), 20, 60, 2, 80, 90), override: 100,
			want: []want{{SignalProcess, 43, 42, 100, Normal, ""}, {SignalGoLimit, 38, 42, 90, Normal, ""}, {SignalSystem, 500, 0, 1000, Normal, ""}},
		},
		"container before override": {
			sample: contained(100), override: 100, want: []want{{SignalContainer, 100, 0, 512, Normal, ""}},
		},
		"container whose use is not known": {
			sample: change(machine(500, 85), func(s *memstat.Sample) { s.Cgroup.MaxBytes = mebibytes(512) }), override: 100,
			want: []want{{SignalProcess, 85, 0, 100, High, ""}, {SignalSystem, 500, 0, 1000, Normal, ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Default()
			cfg.BytesOverride = test.override * mib
			_, d := Next(State{}, cfg, test.sample, epoch)
			got := d.Signals()
			if len(got) != len(test.want) {
				t.Fatalf("signals %+v, want %+v", got, test.want)
			}
			for i, want := range test.want {
				signal := Signal{
					Name: want.name, Group: want.group, UsedBytes: want.used * mib, GarbageBytes: want.garbage * mib,
					LimitBytes: want.limit * mib, Ratio: float64(want.used) / float64(want.limit), Level: want.level,
				}
				if got[i] != signal {
					t.Errorf("signal %+v\nwant   %+v", got[i], signal)
				}
			}
			if d.Judged() != (len(got) > 0) {
				t.Errorf("judged %v by %d signals", d.Judged(), len(got))
			}
		})
	}
}
