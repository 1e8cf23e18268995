//go:build amd64 || arm64

package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// examine refuses what cannot be captured, with the reason.
func examine(pid int) error {
	if pid == os.Getpid() {
		return errors.New("it is the calling process: use Self")
	}
	if pid <= 0 {
		return fmt.Errorf("%w: no process has this number", ErrGone)
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	if group := statusField(status, "Tgid"); group != strconv.Itoa(pid) {
		return fmt.Errorf("it is a thread of process %s", group)
	}
	if state := statusField(status, "State"); strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X") {
		return fmt.Errorf("%w: it ended, and waits for its parent to take note (state %s)", ErrGone, state)
	}
	if statusField(status, "VmSize") == "" {
		return errors.New("it is a thread of the kernel")
	}
	if tracer := statusField(status, "TracerPid"); tracer != "0" {
		return tracedBy(tracer)
	}
	return examineBinary(pid)
}

// tracedBy tells who traces a process. The kernel gives the tracing thread.
func tracedBy(tracer string) error {
	status, err := os.ReadFile("/proc/" + tracer + "/status")
	if err != nil {
		return fmt.Errorf("%w: by thread %s", ErrTraced, tracer)
	}
	return fmt.Errorf("%w: by process %s (%s)", ErrTraced, statusField(status, "Tgid"), statusField(status, "Name"))
}

// examineBinary refuses programs of another architecture: registers and system calls are those of this one.
func examineBinary(pid int) error {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		return explainAttach(pid, err)
	}
	defer func() { _ = f.Close() }() // opened for reading
	// ELF header: magic, class (2: 64 bits) at 4, byte order at 5 (1: little endian), machine at 18.
	var header [20]byte
	if _, err := f.ReadAt(header[:], 0); err != nil {
		return fmt.Errorf("read its executable: %w", err)
	}
	return examineHeader(header[:])
}

func examineHeader(header []byte) error {
	if !bytes.HasPrefix(header, []byte("\x7fELF\x02\x01")) {
		return errors.New("its executable is no 64-bit ELF file")
	}
	if machine := binary.LittleEndian.Uint16(header[18:]); machine != elfMachine {
		return fmt.Errorf("its executable is for another processor (ELF machine %d, here %d)", machine, elfMachine)
	}
	return nil
}

// adviseSelf says what keeps this process from reading its own child, and what to do. Errors of another kind come back as
// they are.
func adviseSelf(err error, yama int) error {
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	if yama >= 2 {
		return fmt.Errorf("%w: %w: kernel.yama.ptrace_scope is %d, which forbids it even to the parent: set it to 1 or 0, or "+
			"give the capability CAP_SYS_PTRACE", ErrPermission, err, yama)
	}
	return fmt.Errorf("%w: %w: the process is not dumpable (its executable is not readable to its user, is set-user-id, "+
		"has file capabilities, or it called prctl(PR_SET_DUMPABLE, 0)): make it so, or give it CAP_SYS_PTRACE",
		ErrPermission, err)
}

// explainAttach says what keeps this process from looking into another one, and what to do. Errors of another kind come
// back as they are.
func explainAttach(pid int, err error) error {
	if !errors.Is(err, os.ErrPermission) {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%w: %w", ErrGone, err)
		}
		return err
	}
	status, readErr := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if readErr != nil {
		return fmt.Errorf("%w: %w", ErrGone, readErr)
	}
	if tracer := statusField(status, "TracerPid"); tracer != "" && tracer != "0" {
		return tracedBy(tracer)
	}
	owner, _, _ := strings.Cut(statusField(status, "Uid"), "\t")
	return fmt.Errorf("%w: %w: %s", ErrPermission, err, attachAdvice(owner, strconv.Itoa(os.Getuid()), yamaScope()))
}

// attachAdvice tells what to do where a process of one user may not be traced by another, or the same.
func attachAdvice(owner, user string, yama int) string {
	const capability = "run as root, or give the capability CAP_SYS_PTRACE (in containers: --cap-add SYS_PTRACE)"
	switch {
	case owner != user:
		return fmt.Sprintf("it belongs to user %s, and this is user %s: run as that user; or %s", owner, user, capability)
	case yama == 1:
		return "kernel.yama.ptrace_scope is 1, which permits only parents to look into a process: " + capability +
			", or set it to 0 (sysctl kernel.yama.ptrace_scope=0)"
	case yama == 2:
		return "kernel.yama.ptrace_scope is 2: " + capability
	case yama >= 3:
		return "kernel.yama.ptrace_scope is 3: until the machine is rebooted nobody may look into a process"
	default:
		return "it is not dumpable, or lives in another user namespace, or a security module or seccomp filter forbids " +
			"ptrace: " + capability
	}
}

// yamaScope is kernel.yama.ptrace_scope, 0 where the kernel has no Yama.
func yamaScope() int {
	text, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err != nil {
		return 0
	}
	scope, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		return 0
	}
	return scope
}
