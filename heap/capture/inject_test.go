//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
)

// stopped calls f with a tracer that holds all threads of a process, on the tracing thread, and releases them.
func stopped(t *testing.T, pid int, f func(*tracer, space) error) {
	t.Helper()
	done := make(chan error)
	onThread(func() {
		tr := &tracer{pid: pid}
		err := errors.New("did not come to an end")
		defer func() { done <- err }()
		err = tr.stopAll(t.Context())
		if err == nil {
			var s space
			var opened files
			if opened, err = openFiles(pid); err == nil {
				s.memory = opened.memory
				if s.mappings, err = ParseMaps(opened.maps); err == nil {
					err = f(tr, s)
				}
				opened.close()
			}
		}
		tr.release()
	})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestTracerDiesWhileForking lets a thread go in the middle of an injected fork, as the kernel does when the capturing
// process is killed: the program must not notice, and the child must not run.
func TestTracerDiesWhileForking(t *testing.T) {
	target := startRole(t, "busy")
	target.numbers()
	pid := target.Process.Pid
	tries, rounds := 0, 30
	if *long {
		rounds = 500
	}
	for range rounds {
		stopped(t, pid, func(tr *tracer, s space) error {
			victim := tr.victim(0)
			if disturbance(&victim.regs) != 0 || runtime.GOARCH != "amd64" {
				return nil
			}
			tries++
			instruction, err := s.instruction(&victim.regs)
			if err != nil {
				return err
			}
			at := argumentsAt(&victim.regs)
			if _, err := syscall.PtracePokeData(victim.tid, uintptr(at), cloneArguments()); err != nil {
				return err
			}
			changed := victim.regs
			setCall(&changed, request{instruction, sysClone3, [5]uint64{at, cloneBytes}, false})
			return syscall.PtraceSetRegs(victim.tid, &changed)
		})
	}
	if tries == 0 {
		t.Log("SKIPPED: no thread waited")
	}
	eventually(t, "no child is left alive", func() bool {
		return !slices.ContainsFunc(children(t, pid), func(child int) bool {
			exe, err := os.Readlink("/proc/" + strconv.Itoa(child) + "/exe")
			return err == nil && strings.HasSuffix(exe, ".test")
		})
	})
	if got := target.finish(); got != "unharmed" {
		t.Errorf("the program says: %s", got)
	}
	t.Logf("%d forks without a tracer", tries)
}

// TestChildWithoutTracer forks with clone, and lets the child run: it dies.
func TestChildWithoutTracer(t *testing.T) {
	target := startSleep(t)
	stopped(t, target.Process.Pid, func(tr *tracer, s space) error {
		victim := tr.victim(0)
		instruction, err := s.instruction(&victim.regs)
		if err != nil {
			return err
		}
		result, err := tr.call(victim, request{instruction, syscall.SYS_CLONE, [5]uint64{0, noStack}, true})
		if err != nil || result.child != 0 || result.value <= 0 {
			t.Errorf("clone: %+v, %v", result, err)
		}
		pid := int(result.value)
		eventually(t, "the child is dead", func() bool { return ended(pid) })
		return tr.reapIn(victim, instruction, &frozen{tracee{tid: pid}, pid})
	})
	if left := children(t, target.Process.Pid); len(left) != 0 {
		t.Errorf("children left: %v", left)
	}
}

// TestCloseEach is the way of kernels without close_range.
func TestCloseEach(t *testing.T) {
	target := startSleep(t)
	stopped(t, target.Process.Pid, func(tr *tracer, s space) error {
		child, err := tr.fork(s)
		if err != nil {
			return err
		}
		defer func() {
			tr.kill(child)
			tr.release()
			if err := tr.reap(child); err != nil {
				t.Error(err)
			}
		}()
		instruction, err := s.instruction(&child.regs)
		if err != nil {
			return err
		}
		name := "/proc/self/exe\x00"
		at := argumentsAt(&tr.tracees[0].regs)
		if _, err := syscall.PtracePokeData(child.tid, uintptr(at), []byte(name)); err != nil {
			return err
		}
		const here = ^uint64(99) // AT_FDCWD, -100
		open := request{instruction, syscall.SYS_OPENAT, [5]uint64{here, at, syscall.O_RDONLY}, false}
		if _, err := tr.call(&child.tracee, open); err != nil {
			return err
		}
		if n := descriptors(t, child.tid); n != 1 {
			t.Errorf("the child has %d descriptors, want 1", n)
		}
		if err := tr.closeEach(child, instruction); err != nil {
			return err
		}
		if n := descriptors(t, child.tid); n != 0 {
			t.Errorf("the child has %d descriptors, want none", n)
		}
		return nil
	})
}

// TestCallFails: an error number of an injected call is its error, and the thread goes on.
func TestCallFails(t *testing.T) {
	target := startSleep(t)
	stopped(t, target.Process.Pid, func(tr *tracer, s space) error {
		victim := tr.victim(0)
		before := victim.regs
		instruction, err := s.instruction(&victim.regs)
		if err != nil {
			return err
		}
		_, err = tr.call(victim, request{instruction, syscall.SYS_CLOSE, [5]uint64{1 << 20}, true})
		if !errors.Is(err, syscall.EBADF) {
			t.Errorf("close of what is not open: %v", err)
		}
		if victim.regs != before {
			t.Errorf("registers\n%+v, before\n%+v", victim.regs, before)
		}
		return nil
	})
	if state(target.Process.Pid) != "S" {
		eventually(t, "the process sleeps on", func() bool { return state(target.Process.Pid) == "S" })
	}
}

// TestCallOnDead: a process that is killed while it stands is gone, whatever is asked of it.
func TestCallOnDead(t *testing.T) {
	target := startSleep(t)
	stopped(t, target.Process.Pid, func(tr *tracer, s space) error {
		if err := target.Process.Kill(); err != nil {
			return err
		}
		victim := tr.victim(0)
		eventually(t, "the thread is dead", func() bool { return ended(victim.tid) })
		_, err := tr.call(victim, request{stackPointer(&victim.regs), syscall.SYS_CLOSE, [5]uint64{}, true})
		if !errors.Is(err, errThreadGone) {
			t.Errorf("call: %v", err)
		}
		if err := victim.interrupted(0); !errors.Is(err, errThreadGone) {
			t.Errorf("run on: %v", err)
		}
		if _, err := tr.perform(victim); !errors.Is(err, errThreadGone) {
			t.Errorf("perform: %v", err)
		}
		if err := tr.restore(victim); !errors.Is(err, errThreadGone) {
			t.Errorf("restore: %v", err)
		}
		if _, err := tr.fork(s); err == nil {
			t.Error("forked")
		}
		if err := tr.stopAll(t.Context()); err != nil && !errors.Is(err, ErrGone) {
			t.Errorf("stop: %v", err)
		}
		return nil
	})
}

// TestInterruptedCalls injects calls while signals come in.
func TestInterruptedCalls(t *testing.T) {
	target := startRole(t, "busy")
	target.numbers()
	pid := target.Process.Pid
	for range 20 {
		stopped(t, pid, func(tr *tracer, s space) error {
			for range 3 {
				if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
					return err
				}
			}
			child, err := tr.fork(s)
			if err != nil {
				return err
			}
			tr.kill(child)
			tr.release()
			return tr.reap(child)
		})
	}
	if got := target.finish(); got != "unharmed" {
		t.Errorf("the program says: %s", got)
	}
}

func TestInstruction(t *testing.T) {
	code := make([]byte, 3*instructionAlign+64)
	if i := indexInstruction(code); i != -1 {
		t.Errorf("found at %d in zeros", i)
	}
	copy(code[8:], syscallInstruction)
	if instructionAlign > 1 {
		copy(code[1:], syscallInstruction) // where no instruction begins
	}
	if i := indexInstruction(code); i != 8 {
		t.Errorf("found at %d, want 8", i)
	}
	got := executable([]layout.Mapping{
		{Start: 1, Readable: true, Execute: true, Path: "/bin/a"},
		{Start: 2, Readable: true, Path: "/bin/a"},
		{Start: 3, Execute: true, Path: "/bin/a"},
		{Start: 4, Readable: true, Execute: true, Path: "[vdso]"},
		{Start: 5, Readable: true, Execute: true, Path: "[vsyscall]"},
	})
	if len(got) != 2 || got[0].Start != 4 || got[1].Start != 1 {
		t.Errorf("executable: %+v", got)
	}
	var r registers
	s := space{strings.NewReader(strings.Repeat("\x00", 100)), []layout.Mapping{{Start: 0, End: 50, Readable: true, Execute: true}}}
	if _, err := s.instruction(&r); !errors.Is(err, errNoInstruction) {
		t.Errorf("found in zeros: %v", err)
	}
}

func TestVictim(t *testing.T) {
	tr := &tracer{}
	if tr.victim(0) != nil {
		t.Error("there is no thread")
	}
	tr.tracees = []*tracee{{tid: 1, dead: true}, {tid: 2}, {tid: 3}}
	if a, b := tr.victim(0), tr.victim(1); a.tid+b.tid != 5 || tr.victim(2) != a {
		t.Errorf("chose %d, %d", a.tid, b.tid)
	}
}
