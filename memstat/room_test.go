package memstat

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestTheTightestLimitCounts(t *testing.T) {
	known := Known[int64]
	own := Cgroup{MaxBytes: known(1000), HighBytes: known(900), CurrentBytes: known(700), WorkingSetBytes: known(600)}
	full := own
	full.Parents[0] = Parent{Path: "/pod", MaxBytes: known(2000), CurrentBytes: known(1950)}
	for name, c := range map[string]struct {
		sample Sample
		bytes  int64
		limit  string
	}{
		"own high limit": {Sample{Cgroup: own, System: System{AvailableBytes: known(5000)}}, 300, "high limit: 600 B of 900 B"},
		"parent":         {Sample{Cgroup: full}, 50, "control group /pod: 1.9 KiB of 2.0 KiB"},
		"machine":        {Sample{Cgroup: own, System: System{AvailableBytes: known(200)}}, 200, "the machine has 200 B"},
		"nothing known":  {Sample{}, 0, "can be read"},
		"above its own":  {Sample{Cgroup: Cgroup{MaxBytes: known(10), CurrentBytes: known(15)}}, -5, "container's limit"},
	} {
		if r := c.sample.Room(); r.Bytes != c.bytes || r.Known != (name != "nothing known") || !strings.Contains(r.Limit, c.limit) {
			t.Errorf("%s: %+v, want %d, %s", name, r, c.bytes, c.limit)
		}
	}
}

// TestRoomMeter: limit and use are read anew each time, of the calling process and of one that is watched from outside.
func TestRoomMeter(t *testing.T) {
	for id, pid := range map[string]int{"self": 0, "77": 77} {
		tr := v2(t, id)
		m, err := NewRoomMeter(pid, tr.root)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1000, 0)
		for _, c := range []struct{ high, used, available, want int64 }{
			{800 * mib, 300 * mib, 8 * gib, 500 * mib},
			{800 * mib, 700 * mib, 8 * gib, 100 * mib},
			{600 * mib, 700 * mib, 8 * gib, -100 * mib},
			{800 * mib, 300 * mib, 70 * mib, 70 * mib},
		} {
			group := "sys/fs/cgroup/app.slice/worker.service"
			tr.group(group, "memory.high", strconv.FormatInt(c.high, 10), "memory.current", strconv.FormatInt(c.used, 10), "memory.stat", "inactive_file 0")
			tr.write("proc/meminfo", fmt.Sprintf("MemTotal: 16000000 kB\nMemAvailable: %d kB\n", c.available/kib))
			now = now.Add(time.Millisecond)
			if r := m.Read(now); r.Bytes != c.want {
				t.Errorf("process %s, %+v: %+v", id, c, r)
			}
		}
		if at := m.Sample().At; !at.Equal(now) {
			t.Errorf("the sample is of %v", at)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if _, err := NewRoomMeter(78, tr.root); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is no such process: %v", err)
		}
	}
}

// TestRoomOfADamagedFile: what the machine has available stays as it was known where it cannot be read anew.
func TestRoomOfADamagedFile(t *testing.T) {
	tr := v2(t, "self")
	m, err := NewRoomMeter(0, tr.root)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		text string
		want int64
	}{
		{"MemTotal: 16000000 kB\nMemAvailable: 7 kB\n", 7 * kib}, {"MemTotal: 5 kB\n", 7 * kib}, {"MemTotal: 5 kB\nMemAvailable: x kB\n", 7 * kib},
		{"MemAvailable:\n", 7 * kib}, {"", 7 * kib}, {"MemTotal: 5 kB\nMemAvailable: 5 kB\n", 5 * kib},
	} {
		tr.write("proc/meminfo", c.text)
		now = now.Add(time.Millisecond)
		if r := m.Read(now); r.Bytes != c.want {
			t.Errorf("%q: %+v, want %d bytes", c.text, r, c.want)
		}
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
