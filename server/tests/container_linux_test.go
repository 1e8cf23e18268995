package tests

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

	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

const mib = 1 << 20

// TestContainer runs the service inside a real container limit and changes that.
func TestContainer(t *testing.T) {
	t.Parallel()
	group := memoryGroup(t)
	group.limit(t, 256*mib)
	s := setup{Before: "echo $$ >" + filepath.Join(string(group), "cgroup.procs")}.start(t)
	wantLimit(t, s, 256*mib, 0) // from the first sample on
	if text := string(s.Get(t, "/metrics").Body); !near(metric(t, text, "memwarden_go_memory_limit_bytes"), goLimit(256*mib)) {
		t.Errorf("the metrics have another limit:\n%s", text)
	}
	group.limit(t, 512*mib)
	wantLimit(t, s, 512*mib, 30*time.Second)
	group.limit(t, 300*mib)
	wantLimit(t, s, 300*mib, 30*time.Second)
	s.Stop(t)
}

// goLimit is what the Go memory limit has to be: nine tenths of the container's.
func goLimit(container int64) int64 { return container / 10 * 9 }

// near: whole pages are rounded, in a container of some hundred MiB.
func near(a, b int64) bool { return max(a-b, b-a) < mib }

// wantLimit waits until the service has a container's limit and the Go runtime its share of it.
func wantLimit(t *testing.T, s *service, container int64, limit time.Duration) {
	t.Helper()
	servicetest.Within(t, limit, fmt.Sprintf("followed the container's limit of %d MiB", container/mib), func() bool {
		stats := servicetest.Decode[struct {
			Go struct {
				Limit int64 `json:"memory_limit_bytes"`
			}
			Cgroup struct {
				Max int64 `json:"max_bytes"`
			}
		}](t, s.Get(t, memory+"/stats"))
		return stats.Cgroup.Max == container && near(stats.Go.Limit, goLimit(container))
	})
	l := s.limits(t)
	if l.Container.MaxBytes != container || !near(l.Go.LimitBytes, goLimit(container)) || l.Go.Source == "none" || l.Go.Source == "" {
		t.Errorf("the limits do not show the container's %d: %+v, %+v", container, l.Container, l.Go)
	}
}

// metric finds the value of a metric without labels.
func metric(t *testing.T, text, name string) int64 {
	t.Helper()
	for l := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(l, name+" "); ok {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int64(number)
		}
	}
	t.Fatalf("there is no metric %s:\n%s", name, text)
	return 0
}

// cgroup is the directory of a memory control group.
type cgroup string

// memoryGroup makes a group of version 1 below the test's own, so that what holds for this holds for it too.
func memoryGroup(t *testing.T) cgroup {
	t.Helper()
	own, err := memstat.ReadCgroupLimits("", 0)
	switch {
	case err != nil:
		t.Skipf("NOT TESTED IN A CONTAINER'S LIMIT: no control groups: %v", err)
	case own.Version != 1 || os.Getuid() != 0:
		t.Skipf("NOT TESTED IN A CONTAINER'S LIMIT: cgroup version %d, user %d; it takes version 1 and root", own.Version, os.Getuid())
	case own.MaxBytes.Or(1<<60) < 1024*mib:
		t.Skip("NOT TESTED IN A CONTAINER'S LIMIT: the test's own is too low to set lower ones")
	}
	dir := filepath.Join(own.Path, fmt.Sprintf("memwarden-service-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("NOT TESTED IN A CONTAINER'S LIMIT: no group can be made: %v", err)
	}
	t.Cleanup(func() {
		var err error
		for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if err = os.Remove(dir); err == nil || errors.Is(err, fs.ErrNotExist) { // busy until its last process is reaped
				return
			}
		}
		t.Errorf("the group is left behind: %v", err)
	})
	return cgroup(dir)
}

func (c cgroup) limit(t *testing.T, bytes int64) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(c), "memory.limit_in_bytes"), strconv.AppendInt(nil, bytes, 10), 0); err != nil {
		t.Fatal(err)
	}
}
