//go:build linux && (amd64 || arm64)

package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// Numbers of seccomp and its filters.
const (
	filterKill    = 0x8000_0000 // SECCOMP_RET_KILL_PROCESS
	filterTrap    = 0x0003_0000 // SECCOMP_RET_TRAP
	filterErrno   = 0x0005_0000 // SECCOMP_RET_ERRNO
	filterPermit  = 0x7fff_0000 // SECCOMP_RET_ALLOW
	prNoNewPrivs  = 38
	setModeFilter = 1
	filterSync    = 1 // SECCOMP_FILTER_FLAG_TSYNC
)

// filterForks installs a filter on all threads of this process that answers to clone without CLONE_THREAD. As in containers,
// clone3 is missing, for a filter cannot see its flags.
func filterForks(answer uint32) error {
	number := uintptr(317) // seccomp
	if runtime.GOARCH == "arm64" {
		number = 277
	}
	statement := func(code uint16, k uint32) syscall.SockFilter { return syscall.SockFilter{Code: code, K: k} }
	jump := func(code uint16, k uint32, yes, no uint8) syscall.SockFilter {
		return syscall.SockFilter{Code: code, Jt: yes, Jf: no, K: k}
	}
	const load, equal, set, end = 0x20, 0x15, 0x45, 0x06
	program := []syscall.SockFilter{ // a jump counts the statements that it leaves out
		statement(load, 0), // the number of the call
		jump(equal, sysClone3, 3, 0),
		jump(equal, syscall.SYS_CLONE, 0, 3),
		statement(load, 16), // its first argument: the flags
		jump(set, syscall.CLONE_THREAD, 1, 2),
		statement(end, filterErrno|uint32(syscall.ENOSYS)),
		statement(end, filterPermit),
		statement(end, answer),
	}
	filter := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	// The kernel reads the filter before the call returns.
	_, _, errno := syscall.RawSyscall(number, setModeFilter, filterSync, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return errno
	}
	return nil
}

// failingForks are the filters of roleFiltered under which a fork fails and nothing else happens.
var failingForks = []string{"forbid", "missing", "nomem"}

// roleFiltered works under a filter, and captures itself when it is told to.
func roleFiltered(arguments []string) {
	answers := map[string]uint32{
		"kill": filterKill, "trap": filterTrap, "permit": filterPermit,
		"forbid": filterErrno | uint32(syscall.EPERM), "missing": filterErrno | uint32(syscall.ENOSYS),
		"nomem": filterErrno | uint32(syscall.ENOMEM), // as strict overcommit does
	}
	if err := filterForks(answers[arguments[0]]); err != nil {
		panic(err)
	}
	if len(arguments) > 1 {
		becomeNobody()
	}
	fmt.Println("ready")
	if len(arguments) == 1 && slices.Contains(failingForks, arguments[0]) {
		_, err := Self(context.Background(), Options{})
		fmt.Println(errors.Is(err, ErrRefused), err)
	}
	if len(arguments) > 2 {
		attachOnce(arguments[2])
	}
	untilTold()
	fmt.Println("unharmed")
}

// becomeNobody becomes a user without rights, who may capture and be captured by others of that user.
func becomeNobody() {
	if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		panic(err)
	}
	const setDumpable = 4 // PR_SET_DUMPABLE
	_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, setDumpable, 1, 0, 0, 0, 0)
}

// attachOnce captures a process, and says how.
func attachOnce(pid string) {
	number, err := strconv.Atoi(pid)
	if err != nil {
		panic(err)
	}
	i, err := Attach(context.Background(), number, AttachOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = i.Close()
	fmt.Println(i.Method, i.Refused, err)
}

// TestAttachFilteredByNobody captures processes whose filters cannot be suspended.
func TestAttachFilteredByNobody(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can become another user")
	}
	for _, test := range []struct{ target, attacher, says string }{
		// Nothing is known of the filter.
		{"kill", "", "stop fork refused: it has a system call filter"},
		// It is that of the capturing process: tried out there.
		{"permit", "permit", "fork <nil> <nil>"},
		{"trap", "forbid", "stop fork refused: operation not permitted"},
		{"trap", "permit", "stop fork refused: function not implemented"}, // the trap's answer
		// There is no memory for it.
		{"nomem", "permit", "stop fork refused: cannot allocate memory: vm.overcommit_memory may be 2"},
	} {
		target := startRole(t, "filtered "+test.target+" nobody")
		pid := strconv.Itoa(target.Process.Pid)
		role := "unfiltered " + pid
		if test.attacher != "" {
			role = "filtered " + test.attacher + " nobody " + pid
		}
		attacher := startRole(t, role)
		got := attacher.finish()
		if !strings.Contains(got, test.says) {
			t.Errorf("%s captured by %s: %q, want %q", test.target, test.attacher, got, test.says)
		}
		if got := target.finish(); got != "unharmed" {
			t.Errorf("%s: the program says %q", test.target, got)
		}
	}
}

// roleUnfiltered is another user's capture of a process, without a filter.
func roleUnfiltered(arguments []string) {
	becomeNobody()
	fmt.Println("ready")
	attachOnce(arguments[0])
}

func TestSelfFiltered(t *testing.T) {
	for _, answer := range failingForks {
		target := startRole(t, "filtered "+answer)
		says := "seccomp"
		if answer == "nomem" {
			says = "vm.overcommit_memory may be 2"
		}
		if got := target.line(); !strings.HasPrefix(got, "true ") || !strings.Contains(got, says) {
			t.Errorf("%s: %s", answer, got)
		}
		if got := children(t, target.Process.Pid); len(got) > 0 {
			t.Errorf("%s: children %v", answer, got)
		}
		if got := target.finish(); got != "unharmed" {
			t.Errorf("%s: the program says %q", answer, got)
		}
	}
}

// TestAttachFiltered captures processes whose filters kill, trap or fail a fork. Whether the filter can be suspended
// depends on the kernel and on rights; that the process lives does not.
func TestAttachFiltered(t *testing.T) {
	for _, role := range append([]string{"kill", "trap", "permit"}, failingForks...) {
		target := startRole(t, "filtered "+role)
		if slices.Contains(failingForks, role) {
			target.line()
		}
		i := mustAttach(t, target.Process.Pid, AttachOptions{})
		t.Logf("%s: %s, %v", role, i.Method, i.Refused)
		if (i.Method == MethodStop) != (i.Refused != nil) || i.Refused != nil && !errors.Is(i.Refused, ErrRefused) {
			t.Errorf("%s: method %s, refused %v", role, i.Method, i.Refused)
		}
		checkDescription(t, i)
		if err := i.Close(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
		if got := target.finish(); got != "unharmed" {
			t.Errorf("%s: the program says %q", role, got)
		}
	}
}

// TestTrapIsSwallowed: the signal with which a filter answers an injected call does not reach the program.
func TestTrapIsSwallowed(t *testing.T) {
	target := startRole(t, "filtered trap")
	stopped(t, target.Process.Pid, func(tr *tracer, s space) error {
		victim := tr.victim(0)
		instruction, err := s.instruction(&victim.regs)
		if err != nil {
			return err
		}
		victim.filtered = true // nothing suspends it
		_, err = tr.call(victim, request{instruction, syscall.SYS_CLONE, [5]uint64{0, noStack}, true})
		if !errors.Is(err, syscall.ENOSYS) {
			t.Errorf("clone: %v, want ENOSYS", err)
		}
		return nil
	})
	if got := target.finish(); got != "unharmed" {
		t.Errorf("the program says %q", got)
	}
}

func TestTryFilter(t *testing.T) {
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	tr := &tracer{pid: os.Getpid()}
	if err := tr.tryFilter([]byte("Seccomp_filters:\t1000\n")); !errors.Is(err, errFiltered) {
		t.Errorf("another number of filters: %v", err)
	}
	if err := tr.tryFilter(nil); !errors.Is(err, errFiltered) {
		t.Errorf("number of filters unknown: %v", err)
	}
	if err := tr.tryFilter(own); err != nil || !tr.filterTried {
		t.Errorf("its own filters: %v", err)
	}
	if err := tr.tryFilter(nil); err != nil {
		t.Errorf("tried already: %v", err)
	}
	if samePIDNamespace(-1) {
		t.Error("no process has our namespace")
	}
	if left := children(t, os.Getpid()); len(left) != 0 {
		t.Errorf("children left: %v", left)
	}
}
