package tests

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// TestWatch watches other processes from outside: one in Go, another service, and one that is not.
func TestWatch(t *testing.T) {
	t.Parallel()
	t.Run("Go", func(t *testing.T) {
		t.Parallel()
		other := setup{}.start(t)
		s := watch(t, other.Command.Process.Pid)
		other.Kill(t)
		s.wantGone(t, other.Command.Process.Pid)
	})
	t.Run("not Go", func(t *testing.T) {
		t.Parallel()
		sleep := exec.Command("sleep", "600")
		sleep.SysProcAttr = servicetest.Attributes(nil)
		ended := make(chan struct{})
		if err := servicetest.StartProcess(sleep, ended); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sleep.Process.Kill(); <-ended })
		s := watch(t, sleep.Process.Pid)
		if err := sleep.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-ended
		s.wantGone(t, sleep.Process.Pid)
	})
}

// watch starts a service that watches a process and looks at what it tells.
func watch(t *testing.T, pid int) *service {
	t.Helper()
	s := setup{Args: []string{"--pid", strconv.Itoa(pid)}, Env: map[string]string{"SAMPLE_INTERVAL": "100ms"}}.start(t)
	s.WaitForText(t, &s.Said, regexp.MustCompile(fmt.Sprintf("watches process %d\n", pid)))
	got := s.Get(t, memory+"/stats")
	stats := servicetest.Decode[struct {
		Process struct {
			RSS     int64 `json:"rss_bytes"`
			Threads int64
		}
		Cgroup map[string]any
		System map[string]any
		Go     map[string]any
	}](t, got)
	if stats.Process.RSS < 100<<10 || stats.Process.Threads < 1 || len(stats.Cgroup) == 0 || len(stats.System) == 0 {
		t.Errorf("the statistics lack figures: %s", got.Body)
	}
	if len(stats.Go) > 0 {
		t.Errorf("the statistics have figures of a Go runtime that is not the watched one's: %v", stats.Go)
	}
	if l := servicetest.Decode[map[string]json.RawMessage](t, s.Get(t, memory+"/limits")); l["go"] != nil {
		t.Errorf("the limits have a Go memory limit: %s", l["go"])
	}
	if p := s.wantProblem(t, http.StatusConflict, http.MethodPost, memory+"/gc", ""); !strings.Contains(p.Detail, "another process is watched") {
		t.Errorf("whoever asks for a collection is told %q", p.Detail)
	}
	if report, status := s.health(t); status != http.StatusOK || report.Details["process"].Level != "ok" {
		t.Errorf("health is %d: %+v", status, report)
	}
	return s
}

// wantGone wants health to name the process that has ended, and the service to live on.
func (s *service) wantGone(t *testing.T, pid int) {
	t.Helper()
	servicetest.Within(t, soon, "said that the process has ended", func() bool {
		report, status := s.health(t)
		return status == http.StatusServiceUnavailable && strings.Contains(report.Details["process"].Message, fmt.Sprintf("process %d has ended", pid))
	})
	if got := servicetest.Decode[struct{ Gone bool }](t, s.Get(t, memory+"/stats")); !got.Gone {
		t.Error("the statistics do not say that the process has gone")
	}
	s.Get(t, "/livez")
	s.Send(t, http.StatusServiceUnavailable, http.MethodGet, "/readyz", "")
	s.Stop(t)
}
