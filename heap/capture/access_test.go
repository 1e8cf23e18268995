//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAttachAdvice(t *testing.T) {
	for _, test := range []struct {
		owner, user string
		yama        int
		says        string
	}{
		{"0", "1000", 1, "belongs to user 0, and this is user 1000"},
		{"1000", "1000", 1, "sysctl kernel.yama.ptrace_scope=0"},
		{"1000", "1000", 2, "ptrace_scope is 2: run as root"},
		{"1000", "1000", 3, "until the machine is rebooted"},
		{"1000", "1000", 0, "not dumpable"},
	} {
		if got := attachAdvice(test.owner, test.user, test.yama); !strings.Contains(got, test.says) {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func TestSelfAdvice(t *testing.T) {
	for yama, says := range map[int]string{0: "not dumpable", 1: "not dumpable", 2: "ptrace_scope is 2", 3: "ptrace_scope is 3"} {
		err := adviseSelf(os.ErrPermission, yama)
		if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), says) {
			t.Errorf("scope %d: %v", yama, err)
		}
	}
	if err := adviseSelf(io.EOF, 3); err != io.EOF {
		t.Errorf("an error of another kind became %v", err)
	}
}

func TestExplainAttach(t *testing.T) {
	target := startSleep(t)
	pid := target.Process.Pid
	if err := explainAttach(pid, syscall.EPERM); !errors.Is(err, ErrPermission) || !errors.Is(err, syscall.EPERM) {
		t.Error(err)
	}
	if err := explainAttach(pid, syscall.ESRCH); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	if err := explainAttach(pid, io.EOF); err != io.EOF {
		t.Errorf("an error of another kind became %v", err)
	}
	if err := explainAttach(-1, syscall.EPERM); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	i := mustAttach(t, pid, AttachOptions{NoFork: true})
	if err := explainAttach(pid, syscall.EPERM); !errors.Is(err, ErrTraced) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Error(err)
	}
	i.Close()
}

func TestExamineHeader(t *testing.T) {
	header := make([]byte, 20)
	copy(header, "\x7fELF\x02\x01")
	header[18] = elfMachine
	if err := examineHeader(header); err != nil {
		t.Error(err)
	}
	header[18] = 40
	if err := examineHeader(header); err == nil || !strings.Contains(err.Error(), "another processor (ELF machine 40") {
		t.Error(err)
	}
	header[4] = 1
	if err := examineHeader(header); err == nil || !strings.Contains(err.Error(), "no 64-bit ELF file") {
		t.Error(err)
	}
}

func TestStatusBytes(t *testing.T) {
	status := []byte("Name:\tVmPTE: 3 kB\nVmPTE:\t      72 kB\nThreads:\t9\n")
	for name, want := range map[string]int64{"VmPTE": 72 << 10, "Threads": 0, "None": 0} {
		if got := statusBytes(status, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// TestStopGivesUp: a thread that does not stop keeps the others only for so long.
func TestStopGivesUp(t *testing.T) {
	target := startSleep(t)
	done := make(chan error)
	onThread(func() {
		tr := &tracer{pid: target.Process.Pid, began: time.Now().Add(-time.Hour)}
		if err := ptrace(ptraceSeize, tr.pid, optionSysGood); err != nil {
			done <- err
			return
		}
		thread := &tracee{tid: tr.pid}
		tr.tracees = []*tracee{thread}
		err := tr.stop(t.Context(), tr.tracees)
		if err == nil {
			tr.release()
			done <- nil // it stopped at once
			return
		}
		done <- err // not released: the end of this thread lets it go
	})
	if err := <-done; err != nil && !errors.Is(err, errStuck) {
		t.Error(err)
	}
	eventually(t, "the process sleeps on", func() bool {
		return state(target.Process.Pid) == "S" && statusOf(target.Process.Pid, target.Process.Pid, "TracerPid") == "0"
	})
}
