package memstat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
		if r := c.sample.Room(); r.Bytes != c.bytes || !strings.Contains(r.Limit, c.limit) {
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

func TestAvailableBytes(t *testing.T) {
	root := t.TempDir()
	if _, ok := availableBytes(root); ok {
		t.Error("there is no file")
	}
	if err := os.Mkdir(filepath.Join(root, "proc"), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int64{
		"MemTotal: 5 kB\nMemAvailable:    7 kB\n": 7 << 10, "MemTotal: 5 kB\n": -1, "MemAvailable: 7 MB\n": -1, "MemAvailable: x kB\n": -1, "MemAvailable:\n": -1,
	} {
		if err := os.WriteFile(filepath.Join(root, "proc", "meminfo"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := availableBytes(root); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, ok, want)
		}
	}
}
