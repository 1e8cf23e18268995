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
)

// TestWatch watches other processes from outside: one in Go, another service, and one that is not.
func TestWatch(t *testing.T) {
	t.Parallel()
	t.Run("Go", func(t *testing.T) {
		t.Parallel()
		other := setup{}.start(t)
		s := watch(t, other.command.Process.Pid)
		other.kill(t)
		s.wantGone(t, other.command.Process.Pid)
	})
	t.Run("not Go", func(t *testing.T) {
		t.Parallel()
		sleep := exec.Command("sleep", "600")
		sleep.SysProcAttr = attributes(nil)
		ended := make(chan struct{})
		if err := startProcess(sleep, ended); err != nil {
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
	s := setup{args: []string{"--pid", strconv.Itoa(pid)}, env: map[string]string{"SAMPLE_INTERVAL": "100ms"}}.start(t)
	s.waitForText(t, &s.said, regexp.MustCompile(fmt.Sprintf("watches process %d\n", pid)))
	got := s.get(t, memory+"/stats")
	stats := decode[struct {
		Process struct {
			RSS     int64 `json:"rss_bytes"`
			Threads int64
		}
		Cgroup map[string]any
		System map[string]any
		Go     map[string]any
	}](t, got)
	if stats.Process.RSS < 100<<10 || stats.Process.Threads < 1 || len(stats.Cgroup) == 0 || len(stats.System) == 0 {
		t.Errorf("the statistics lack figures: %s", got.body)
	}
	if len(stats.Go) > 0 {
		t.Errorf("the statistics have figures of a Go runtime that is not the watched one's: %v", stats.Go)
	}
	if l := decode[map[string]json.RawMessage](t, s.get(t, memory+"/limits")); l["go"] != nil {
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
	within(t, soon, "said that the process has ended", func() bool {
		report, status := s.health(t)
		return status == http.StatusServiceUnavailable && strings.Contains(report.Details["process"].Message, fmt.Sprintf("process %d has ended", pid))
	})
	if got := decode[struct{ Gone bool }](t, s.get(t, memory+"/stats")); !got.Gone {
		t.Error("the statistics do not say that the process has gone")
	}
	s.get(t, "/livez")
	s.send(t, http.StatusServiceUnavailable, http.MethodGet, "/readyz", "")
	s.stop(t)
}
