//go:build amd64 || arm64

package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/memwarden/memwarden/heap/layout"
)

// System calls and flags that package syscall does not have; the numbers are the same on amd64 and arm64.
const (
	sysCloseRange = 436
	waitAll       = 0x40000000 // __WALL: children whose exit signal is not SIGCHLD too
)

// childName is how the frozen child is called in ps and /proc/PID/comm.
const childName = "memwarden-snap"

// headroomInterval is how often the headroom is looked at while the child lives. A machine that copies pages as fast as
// it can copies some 50 MB in that time, which DefaultReserve covers.
const headroomInterval = 20 * time.Millisecond

// forking is what fork is told and tells. The assembly knows its fields by go_asm.h.
type forking struct {
	parent uintptr  // process id of the caller
	below  uintptr  // the child closes the descriptors below it one by one; 0: all, with close_range
	name   [16]byte // of the child, ended by 0
	all    uint64   // the signals to block
	mask   uint64   // the signals that were blocked before

	result     int // process id of the child, or the negative error number
	pc, sp, fp uintptr
}

func newForking(closeBelow int) *forking {
	f := &forking{parent: uintptr(os.Getpid()), below: uintptr(closeBelow), all: ^uint64(0)}
	copy(f.name[:], childName)
	return f
}

// fork makes a child of the calling thread that never returns: it blocks all signals, asks to be killed when the calling
// thread ends, closes all descriptors and sleeps for ever. To its parent it sends no signal when it ends (exit signal 0),
// and only wait4 with __WALL finds it. It makes raw system calls only, so the calling goroutine keeps its processor (P),
// and writes only to *f, which stays where it is: heap objects do not move.
func fork(f *forking)

// capturing is set while a frozen child of this process lives.
var capturing atomic.Bool

// self is Self.
func self(ctx context.Context, o Options) (*Child, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("capture: %w", context.Cause(ctx))
	}
	if !capturing.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("capture: %w", ErrBusy)
	}
	headroom := newHeadroom("self", o.Headroom, o.Reserve, o.Written)
	err := checkBusy(os.Getpid(), 0)
	if err == nil {
		err = headroom.checkBefore()
	}
	if err != nil {
		capturing.Store(false)
		return nil, fmt.Errorf("capture: %w", err)
	}
	c := &Child{life: newLife()}
	born := make(chan error)
	go c.keep(ctx, o, headroom, born)
	if err := <-born; err != nil {
		<-c.gone
		return nil, fmt.Errorf("capture: %w", err)
	}
	return c, nil
}

// keep makes the child and stays on the thread that did: the kernel kills the child when that thread ends. It returns when
// the child is reaped.
func (c *Child) keep(ctx context.Context, o Options, headroom *headroom, born chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(c.gone)
	defer capturing.Store(false)

	if err := c.freeze(o); err != nil {
		born <- err
		return
	}
	defer c.reap()
	err := c.open()
	if err == nil {
		err = checkBusy(os.Getpid(), c.PID)
	}
	born <- err
	if err != nil {
		return
	}
	c.keepUntil(ctx, positive(o.Deadline, DefaultDeadline), headroomInterval, headroom.check())
}

// freeze stops the other goroutines, forks, and lets them run.
func (c *Child) freeze(o Options) error {
	below, err := closeBelow(o)
	if err != nil {
		return err
	}
	f := newForking(below)

	asked := time.Now()
	procs := runtime.GOMAXPROCS(1)
	stopped := time.Now()
	fork(f)
	forked := time.Now()
	restoreProcs(procs, o.FixedProcs)
	running := time.Now()

	c.Wait, c.Fork, c.Pause = stopped.Sub(asked), forked.Sub(stopped), running.Sub(stopped)
	if f.result < 0 {
		return forkError(syscall.Errno(-f.result))
	}
	c.PID = f.result
	c.Thread = layout.Thread{
		TID: syscall.Gettid(),
		PC:  uint64(f.pc), SP: uint64(f.sp), FP: uint64(f.fp),
		Registers: []uint64{uint64(f.pc), uint64(f.sp), uint64(f.fp)},
	}
	return nil
}

// restoreProcs undoes GOMAXPROCS(1). GOMAXPROCS switches the runtime's automatic updates off, and only
// SetDefaultGOMAXPROCS switches them on again: it sets the number that the runtime would choose, and where that is another
// than before, the program had chosen its own.
func restoreProcs(procs int, fixed bool) {
	if !fixed {
		runtime.SetDefaultGOMAXPROCS()
	}
	if fixed || runtime.GOMAXPROCS(0) != procs {
		runtime.GOMAXPROCS(procs)
	}
}

// closeBelow returns the bound below which the child closes descriptors one by one, or 0 where the kernel has close_range
// (Linux 5.9). Descriptors opened from now on to the fork may go beyond the highest one: the bound leaves room.
func closeBelow(o Options) (int, error) {
	if o.closeBelow > 0 {
		return o.closeBelow, nil
	}
	const none = ^uint32(0) // no descriptor has this number
	if _, _, errno := syscall.Syscall(sysCloseRange, uintptr(none), uintptr(none), 0); errno == 0 {
		return 0, nil
	}
	return descriptorBound("/proc/self/fd")
}

func descriptorBound(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("list open descriptors: %w", err)
	}
	bound := 0
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil {
			bound = max(bound, n+1)
		}
	}
	return bound + 1024, nil
}

// open opens what /proc shows of the child, and makes it the first to go where the machine runs out of memory.
func (c *Child) open() error {
	f, err := openFiles(c.PID)
	if err != nil {
		return fmt.Errorf("read the frozen child: %w", adviseSelf(err, yamaScope()))
	}
	c.Memory, c.Maps, c.Binary = f.memory, f.maps, f.binary
	preferVictim(c.PID)
	return nil
}

// preferVictim asks the out-of-memory killer to take a process first. Raising the score needs no privilege; where it
// fails, nothing is lost but the preference.
func preferVictim(pid int) {
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("1000"), 0)
}

// reap ends the child.
func (c *Child) reap() { c.left = end(c.PID) }

// end kills a child that fork made, and waits for it. No one else reaps a child with exit signal 0 by accident, so the
// process id is still the child's.
func end(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill frozen child %d: %w", pid, err)
	}
	if _, err := waitFor(pid, 0); err != nil && !errors.Is(err, syscall.ECHILD) {
		return fmt.Errorf("reap frozen child %d: %w", pid, err)
	}
	return nil
}

// waitFor waits for a child or a traced thread, whatever its exit signal.
func waitFor(pid, options int) (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(pid, &status, waitAll|options, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, err
		case got == 0:
			return 0, errNothing
		default:
			return status, nil
		}
	}
}

// errNothing: with WNOHANG there is nothing to tell yet.
var errNothing = errors.New("nothing happened yet")

// forkError says what refused a fork, and what to do.
func forkError(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	why := "clone failed"
	switch errno {
	case syscall.ENOMEM:
		why = "vm.overcommit_memory may be 2, which reserves a copy of all memory: set it to 0 or 1, or raise " +
			"vm.overcommit_ratio"
	case syscall.EAGAIN:
		why = "a limit on processes is reached: raise pids.max of the cgroup, or RLIMIT_NPROC (ulimit -u)"
	case syscall.EPERM, syscall.ENOSYS, syscall.EACCES:
		why = "a system call filter (seccomp) forbids clone: allow it"
	}
	return fmt.Errorf("%w: %w: %s", ErrRefused, err, why)
}
