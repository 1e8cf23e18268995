//go:build amd64 || arm64

package capture

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// errFiltered: nobody can tell what the filter does to a process that forks; some kill it.
var errFiltered = errors.New("it has a system call filter (seccomp), which only the capability CAP_SYS_ADMIN could suspend")

// permit sets the options of a stopped thread, and sees to it that calls may be injected. A system call filter may kill a
// process for a call that it never makes itself. Where that is permitted, the filter is suspended for as long as the thread
// is traced. Where not, it must be the calling process's own filter, which then is tried out on the calling process.
//
// It returns the options that are set, and marks a thread whose filter stays in force.
func (t *tracer) permit(thread *tracee, options int) (set int, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", t.pid, thread.tid))
	if err != nil {
		return 0, fmt.Errorf("thread %d: %w", thread.tid, errThreadGone)
	}
	switch statusField(status, "Seccomp") {
	case "1":
		return 0, errors.New("its system call filter (seccomp) is strict: it permits nothing but read and write")
	case "2":
		if syscall.PtraceSetOptions(thread.tid, options|optionSuspendSeccomp) == nil {
			return options | optionSuspendSeccomp, nil
		}
		if err := t.tryFilter(status); err != nil {
			return 0, err
		}
		thread.filtered = true
	}
	if err := syscall.PtraceSetOptions(thread.tid, options); err != nil {
		return 0, thread.fault("set options", err)
	}
	return options, nil
}

// tryFilter forks the calling process where its filter is that of the traced one. Filters are inherited and only ever
// added to: two processes of one container (PID namespace) that have the same number of them have those of the container.
func (t *tracer) tryFilter(status []byte) error {
	if t.filterTried {
		return nil
	}
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return errFiltered
	}
	count := statusField(status, "Seccomp_filters") // Linux 5.9
	if count == "" || count != statusField(own, "Seccomp_filters") || !samePIDNamespace(t.pid) {
		return errFiltered
	}
	f := newForking(0)
	fork(f)
	if f.result < 0 {
		return syscall.Errno(-f.result)
	}
	if err := end(f.result); err != nil {
		return err
	}
	t.filterTried = true
	return nil
}

func samePIDNamespace(pid int) bool {
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return false
	}
	other, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/pid")
	return err == nil && own == other
}

// trapped reports that a filter answered an injected call with a signal, which is on its way.
func (t *tracer) trapped(thread *tracee) bool {
	if !thread.filtered {
		return false
	}
	pending, err := strconv.ParseUint(statusOf(thread.tid, thread.tid, "SigPnd"), 16, 64)
	return err == nil && pending&(1<<(syscall.SIGSYS-1)) != 0
}

// swallow takes the signal of trapped from a thread that has its registers back.
func (t *tracer) swallow(thread *tracee) error {
	for range maxSignals {
		signal := thread.pending
		thread.pending = 0
		if err := syscall.PtraceCont(thread.tid, int(signal)); err != nil {
			return thread.fault("run", err)
		}
		status, err := thread.wait(0)
		if err != nil {
			return err
		}
		if eventOf(status) != 0 || status.StopSignal() == callStop {
			continue
		}
		if status.StopSignal() == syscall.SIGSYS {
			return nil
		}
		thread.pending = status.StopSignal()
	}
	return fmt.Errorf("%w: %d gets signals without end", errStuck, thread.tid)
}
