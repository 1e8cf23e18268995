package health

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

func sampleOf(s memstat.Sample) func() *memstat.Sample { return func() *memstat.Sample { return &s } }

func levelOf(level pressure.Level) func() (pressure.Level, string) {
	return func() (pressure.Level, string) { return level, "because" }
}

func TestMemoryChecksShowWhatIsKnown(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	full := sampleOf(memstat.Sample{
		At: at,
		Go: memstat.Go{
			HeapLiveBytes: memstat.Known[int64](1), HeapObjectsBytes: memstat.Known[int64](2), HeapUnusedBytes: memstat.Known[int64](3),
			HeapFreeBytes: memstat.Known[int64](4), HeapReleasedBytes: memstat.Known[int64](5), StacksBytes: memstat.Known[int64](6),
			MetadataBytes: memstat.Known[int64](7), TotalBytes: memstat.Known[int64](8), UsedBytes: memstat.Known[int64](9),
			HeapGoalBytes: memstat.Known[int64](10), MemoryLimitBytes: memstat.Known[int64](11),
		},
		Cgroup: memstat.Cgroup{Version: memstat.Known[int64](2), CurrentBytes: memstat.Known[int64](0), OOMKillEvents: memstat.Known[int64](1)},
		System: memstat.System{TotalBytes: memstat.Known[int64](100), AvailableBytes: memstat.Known[int64](40)},
	})
	const sampled = `"sampled_at":"2026-01-02T03:04:05Z"`
	for _, test := range []struct {
		check Check
		want  string
	}{
		{HeapCheck(full, nil), `{"free_bytes":4,"goal_bytes":10,"limit_bytes":11,"live_bytes":1,"metadata_bytes":7,"objects_bytes":2,` +
			`"released_bytes":5,` + sampled + `,"stacks_bytes":6,"total_bytes":8,"unused_bytes":3,"used_bytes":9}`},
		{CgroupCheck(full, nil), `{"current_bytes":0,"oom_kill_events_total":1,` + sampled + `,"version":2}`},
		{SystemMemoryCheck(full, nil), `{"available_bytes":40,` + sampled + `,"total_bytes":100}`},
	} {
		result := test.check.Run(t.Context())
		got, err := json.Marshal(result.Details)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != test.want || result.Level != OK || result.Message != "" {
			t.Errorf("%s: %s %q %s\nwant %s", test.check.Name, result.Level, result.Message, got, test.want)
		}
	}

	empty := CgroupCheck(sampleOf(memstat.Sample{At: at}), nil).Run(t.Context())
	if keys := slices.Collect(maps.Keys(empty.Details)); !slices.Equal(keys, []string{"sampled_at"}) || empty.Message != "no figures here" {
		t.Errorf("without a cgroup: %+v", empty)
	}
	none := HeapCheck(func() *memstat.Sample { return nil }, nil).Run(t.Context())
	if none.Level != Degraded || none.Message != "no sample yet" || len(none.Details) != 0 {
		t.Errorf("without a sample: %+v", none)
	}
}

func TestMemoryChecksFollowPressure(t *testing.T) {
	levels := []pressure.Level{pressure.Normal, pressure.Elevated, pressure.High, pressure.Critical}
	for _, test := range []struct {
		make func(func() *memstat.Sample, func() (pressure.Level, string)) Check
		want []Level
	}{
		{HeapCheck, []Level{OK, OK, Degraded, Down}},
		{CgroupCheck, []Level{OK, OK, Degraded, Down}},
		{SystemMemoryCheck, []Level{OK, OK, Degraded, Degraded}},
	} {
		for i, level := range levels {
			check := test.make(sampleOf(memstat.Sample{}), levelOf(level))
			if got := check.Run(t.Context()); got.Level != test.want[i] || !strings.HasSuffix(got.Message, "because") {
				t.Errorf("%s at %s: %+v, want %s", check.Name, level, got, test.want[i])
			}
		}
	}
}

// TestMemoryAndProbes is the policy: liveness never, readiness at once at critical, the machine not at all.
func TestMemoryAndProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		level := pressure.Normal
		read := func() (pressure.Level, string) { return level, "because" }
		sample := sampleOf(memstat.Sample{Go: memstat.Go{HeapLiveBytes: memstat.Known[int64](1)}})
		r, _ := newRegistry(t)
		add(t, r, HeapCheck(sample, read))
		add(t, r, SystemMemoryCheck(sample, read))
		unready := CgroupCheck(sample, read)
		unready.Probes = 0 // as its comment says
		add(t, r, unready)
		for _, step := range []struct {
			level      pressure.Level
			ready, all bool
		}{
			{pressure.Normal, true, true}, {pressure.High, true, true}, {pressure.Critical, false, false}, {pressure.High, true, true},
		} {
			level = step.level
			live, ready, all := r.Report(t.Context(), Live), r.Report(t.Context(), Ready), r.Report(t.Context(), All)
			if !live.OK() || ready.OK() != step.ready || all.OK() != step.all || len(live.Entries) != 0 || len(ready.Entries) != 1 || len(all.Entries) != 3 {
				t.Errorf("%s: live %q, ready %q, all %q", level, line(live), line(ready), line(all))
			}
			time.Sleep(time.Second)
		}
		closeRegistry(t, r)
	})
}

func TestCleanupCheck(t *testing.T) {
	for _, test := range []struct {
		tasks   []TaskState
		level   Level
		message string
	}{
		{nil, OK, ""},
		{[]TaskState{{Name: "a", ConsecutiveFailures: 2}, {Name: "b"}}, OK, ""},
		{[]TaskState{{Name: "a", ConsecutiveFailures: 3}}, Degraded, "failing repeatedly: a"},
		{
			[]TaskState{{Name: "a", Stuck: true, ConsecutiveFailures: 9}, {Name: "b", Stuck: true}, {Name: "c", ConsecutiveFailures: 4}},
			Degraded, "stuck: a, b; failing repeatedly: c",
		},
	} {
		check := CleanupCheck(func() []TaskState { return test.tasks })
		got := check.Run(t.Context())
		if got.Level != test.level || got.Message != test.message || got.Details["tasks"] != len(test.tasks) || check.Probes != 0 {
			t.Errorf("%+v: %+v", test.tasks, got)
		}
	}
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beat time.Time
		r, _ := newRegistry(t)
		add(t, r, Heartbeat("sampler", 10*time.Second, func() time.Time { return beat }))
		checkLine(t, r, Live, "ok; sampler ok ")
		time.Sleep(10 * time.Second)
		checkLine(t, r, Live, "ok; sampler ok ") // it may take maxAge to start
		time.Sleep(time.Second)
		checkLine(t, r, Live, "error; sampler down no beat for 11s: want one each 10s")
		beat = time.Now()
		time.Sleep(time.Second)
		checkLine(t, r, Live, "ok; sampler ok ")
		time.Sleep(time.Minute)
		checkLine(t, r, Live, "error; sampler down no beat for 1m1s: want one each 10s")
		closeRegistry(t, r)
	})
}
