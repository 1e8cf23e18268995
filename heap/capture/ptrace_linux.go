//go:build amd64 || arm64

package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// Requests, options, events and stops of ptrace that package syscall does not have.
const (
	ptraceSeize          = 0x4206
	ptraceInterrupt      = 0x4207
	ptraceGetSignalMask  = 0x420a
	ptraceSetSignalMask  = 0x420b
	optionSysGood        = 1 << 0
	optionTraceClone     = 1 << 3
	optionExitKill       = 1 << 20
	optionSuspendSeccomp = 1 << 21
	eventClone           = 3
	eventStop            = 128
	callStop             = syscall.SIGTRAP | 0x80 // entering or leaving a system call, with optionSysGood
)

const (
	// stopPatience is how long all threads together may take to stop. A thread that waits in the kernel for a disk, or
	// for its child of vfork to start a program, stops when that is over; all others stand still meanwhile.
	stopPatience = time.Second
	// maxThreads bounds the threads that are stopped; the kernel's own bound is in kernel.threads-max.
	maxThreads = 1 << 16
	// maskBytes is the size of a signal mask.
	maskBytes = 8
	// maxSignals bounds the signals that are handed on to one thread before it stops.
	maxSignals = 1000
)

var (
	errThreadGone = errors.New("the thread ended")
	errStuck      = errors.New("a thread does not stop")
)

// tracee is a thread that is traced and, unless it is dead, stopped.
type tracee struct {
	tid int
	// regs are those that the thread runs on with.
	regs registers
	// pending is a signal that stopped the thread, to be delivered once it has its registers back.
	pending syscall.Signal
	signals int // handed on
	// filtered: a system call filter is in force.
	filtered bool
	dead     bool
}

// tracer holds threads of a process. All of its methods must be called on one thread: ptrace belongs to threads.
type tracer struct {
	pid     int
	tracees []*tracee
	began   time.Time // when the first thread was told to stop
	// filterTried: the process's system call filter was tried out, and permits to fork.
	filterTried bool
}

// onThread runs f in a goroutine on a thread of its own that ends with f: by that the kernel lets go whatever f left
// traced. A process's first thread cannot end before the process, so it is passed by.
func onThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if syscall.Gettid() != os.Getpid() {
			f()
			return // locked: the runtime ends the thread
		}
		defer runtime.UnlockOSThread()
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
			f()
		}()
		<-done
	}()
}

// ptrace makes a request that takes no memory.
func ptrace(request, tid int, data uintptr) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(tid), 0, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// signalMask gets or sets the signals that a stopped thread blocks.
func signalMask(request, tid int, mask *uint64) error {
	// The kernel reads or writes the 8 bytes at mask before the call returns; the conversion stands in the call, so they
	// stay alive and in place for as long.
	at := unsafe.Pointer(mask) //nolint:gosec // see above
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(tid), maskBytes, uintptr(at), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// stopAll stops every thread of the process, those that are made meanwhile included. What is stopped after an error is to
// be released all the same.
func (t *tracer) stopAll(ctx context.Context) error {
	known := make(map[int]bool)
	for {
		tids, err := threadIDs(t.pid)
		if err != nil {
			return err
		}
		var fresh []*tracee
		for _, tid := range tids {
			if known[tid] {
				continue
			}
			if len(known) == maxThreads {
				return fmt.Errorf("it has more than %d threads", maxThreads)
			}
			known[tid] = true
			switch err := t.seize(tid); {
			case err == nil:
				fresh = append(fresh, &tracee{tid: tid})
			case errors.Is(err, syscall.ESRCH) || threadEnded(t.pid, tid):
			default:
				return fmt.Errorf("trace thread %d: %w", tid, err)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		t.tracees = append(t.tracees, fresh...)
		if err := t.stop(ctx, fresh); err != nil {
			return err
		}
	}
}

// seize takes a thread, whose errors it explains.
func (t *tracer) seize(tid int) error {
	err := ptrace(ptraceSeize, tid, optionSysGood)
	if err == nil || errors.Is(err, syscall.ESRCH) {
		return err
	}
	err = explainAttach(t.pid, err)
	if errors.Is(err, ErrPermission) && ptrace(ptraceSeize, tid, optionSysGood) == nil {
		return nil // another capture had it, and has let it go
	}
	return err
}

// stop interrupts threads and waits until all of them stand or are dead. It looks at them by turns: a thread that starts
// another program (execve) stops only when the ends of all others are taken note of.
func (t *tracer) stop(ctx context.Context, moving []*tracee) error {
	if t.began.IsZero() {
		t.began = time.Now()
	}
	for _, thread := range moving {
		_ = ptrace(ptraceInterrupt, thread.tid, 0) // fails for a thread that has just ended, as the wait will tell
	}
	moving = append([]*tracee(nil), moving...)
	for round := 0; ; round++ {
		still := moving[:0]
		for _, thread := range moving {
			err := t.advance(thread, syscall.WNOHANG)
			if errors.Is(err, errNothing) {
				still = append(still, thread)
			} else if err != nil && !errors.Is(err, errThreadGone) {
				return err
			}
		}
		if moving = still; len(moving) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if time.Since(t.began) > stopPatience {
			tid := moving[0].tid
			return fmt.Errorf("%w within %v: %d is in state %s", errStuck, stopPatience, tid, statusOf(t.pid, tid, "State"))
		}
		if round < 100 {
			_, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) // cannot fail
		} else {
			_ = syscall.Nanosleep(&syscall.Timespec{Nsec: 50_000}, nil) // a signal may cut it short
		}
	}
}

// settle waits until an interrupted thread stands. It does not give up before: a thread that runs with the registers of
// an injected call must not be let go.
func (t *tracer) settle(thread *tracee) error {
	for {
		if err := t.advance(thread, 0); !errors.Is(err, errNothing) {
			return err
		}
	}
}

// advance takes one step towards an interrupted thread's standing in the stop that the interrupt asked for; there it reads
// the registers and returns nil. errNothing: not yet. Signals that come before are handed on: the thread enters their
// handlers, but runs none of their code.
func (t *tracer) advance(thread *tracee, options int) error {
	status, err := thread.wait(options)
	if err != nil {
		return err
	}
	if eventOf(status) == eventStop {
		if err := syscall.PtraceGetRegs(thread.tid, &thread.regs); err != nil {
			return thread.fault("read registers", err)
		}
		return nil
	}
	var signal syscall.Signal
	if eventOf(status) == 0 && status.StopSignal() != callStop {
		signal = status.StopSignal()
		if thread.signals++; thread.signals > maxSignals {
			thread.pending = signal
			return fmt.Errorf("%w: %d gets signals without end", errStuck, thread.tid)
		}
	}
	if err := thread.interrupted(signal); err != nil { // any stop uses up the interrupt before
		return err
	}
	return errNothing
}

// interrupted lets a thread run on, with a signal or 0, into the stop of an interrupt.
func (th *tracee) interrupted(signal syscall.Signal) error {
	if err := ptrace(ptraceInterrupt, th.tid, 0); err != nil {
		return th.fault("interrupt", err)
	}
	if err := syscall.PtraceCont(th.tid, int(signal)); err != nil {
		return th.fault("run", err)
	}
	return nil
}

// wait returns the next stop of a thread; the same again until the thread runs on.
func (th *tracee) wait(options int) (syscall.WaitStatus, error) {
	status, err := stopOf(th.tid, options)
	switch {
	case errors.Is(err, errNothing):
		return 0, err
	case err != nil || !status.Stopped(): // ECHILD: another thread took note of its end, as execve does
		_, _ = waitFor(th.tid, syscall.WNOHANG) // takes note of its end
		th.dead = true
		return 0, fmt.Errorf("thread %d: %w", th.tid, errThreadGone)
	default:
		return status, nil
	}
}

// stopOf looks at a thread's stop and leaves it to be waited for. A wait that takes note of a stop by a signal takes the
// signal away: were this process killed before it has handed it on, it would be lost. One that was only looked at the
// kernel delivers then. The status of a thread that has ended is 0.
func stopOf(tid, options int) (syscall.WaitStatus, error) {
	const (
		byPID   = 1 // P_PID
		exited  = 4 // WEXITED
		stopped = 2 // WSTOPPED
		trapped = 4 // CLD_TRAPPED
	)
	// siginfo_t of SIGCHLD on 64-bit machines, 128 bytes.
	var info struct {
		_      [2]int32
		code   int32
		_      int32
		pid    int32
		_      int32
		status int32
		_      [25]int32
	}
	for {
		// The kernel writes siginfo_t, all of which info is.
		at := unsafe.Pointer(&info) //nolint:gosec // see above
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(tid), uintptr(at),
			uintptr(exited|stopped|syscall.WNOWAIT|waitAll|options), 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno != 0:
			return 0, errno
		case info.pid == 0:
			return 0, errNothing
		case info.code != trapped:
			return 0, nil
		default:
			return syscall.WaitStatus(info.status<<8 | 0x7f), nil
		}
	}
}

// eventOf returns the number of a ptrace event, 0 for a stop of another kind.
func eventOf(status syscall.WaitStatus) int { return int(status >> 16) }

// fault wraps the error of a request to a stopped thread; it is ESRCH where the thread was killed.
func (th *tracee) fault(what string, err error) error {
	if errors.Is(err, syscall.ESRCH) {
		err = errThreadGone
	}
	return fmt.Errorf("%s of thread %d: %w", what, th.tid, err)
}

// release lets all threads run on.
func (t *tracer) release() {
	for _, thread := range t.tracees {
		if thread.dead || ptrace(syscall.PTRACE_DETACH, thread.tid, uintptr(thread.pending)) == nil {
			continue
		}
		// Killed while it stood: its end must be taken note of, or its process cannot be reaped. A thread that does not
		// stand is let go when the tracing thread ends.
		_, _ = waitFor(thread.tid, syscall.WNOHANG)
	}
	t.tracees = nil
}

// threadIDs lists the threads of a process.
func threadIDs(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	tids := make([]int, 0, len(entries))
	for _, entry := range entries {
		if tid, err := strconv.Atoi(entry.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids, nil
}

// statusOf returns a field of a thread's status, "" where there is none.
func statusOf(pid, tid int, field string) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", pid, tid))
	if err != nil {
		return ""
	}
	return statusField(status, field)
}

// threadEnded reports a thread that is a zombie, as the first thread of a process is when it ends before the others.
func threadEnded(pid, tid int) bool {
	state := statusOf(pid, tid, "State")
	return state == "" || state[0] == 'Z' || state[0] == 'X'
}
