//go:build amd64 || arm64

package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	sysClone3 = 435 // on amd64 and arm64
	// cloneClearHandlers is CLONE_CLEAR_SIGHAND (Linux 5.5): the child has no signal handlers.
	cloneClearHandlers = 0x100000000
	// cloneBytes is the size of struct clone_args since Linux 5.3: all that is needed.
	cloneBytes = 64
	// noStack is where the child's stack ends: nothing is mapped below vm.mmap_min_addr. The child never runs. But were
	// this process killed before it has the child in its hands, then the child would go on with the program a second
	// time: without a stack, and with no handler that is let through, it dies when it first uses the stack.
	noStack = 0x2000
	// redZone is how far below its stack pointer code may keep data (System V ABI).
	redZone = 128
	// maxForkTries bounds the tries to fork between two signals; from blockAfter on, signals are blocked.
	maxForkTries, blockAfter = 64, 8
	// undisturbed and cutShort are the disturbance of threads that may be woken at any time, and of those that sleep.
	undisturbed, cutShort = 0, 1
)

// frozen is the child of an injected fork: traced, and stopped since before its first instruction.
type frozen struct {
	tracee
	inside int // its process id as its parent knows it, which may live in another PID namespace
}

// fork makes the stopped process fork.
func (t *tracer) fork(s space) (*frozen, error) {
	failed := error(ErrGone)
	for try := range maxForkTries {
		victim := t.victim(try)
		if victim == nil {
			return nil, ErrGone
		}
		child, err := t.forkIn(victim, s, try >= blockAfter)
		if err == nil {
			return child, nil
		}
		if !errors.Is(err, errInterrupted) && !errors.Is(err, errThreadGone) {
			return nil, err
		}
		failed = err
	}
	return nil, failed
}

// victim chooses the thread to inject calls into: one of those to which it matters least; the next try takes the next of
// them, but never one to which it matters more: this process may be killed in the middle of the call.
func (t *tracer) victim(try int) *tracee {
	living := slices.DeleteFunc(slices.Clone(t.tracees), func(th *tracee) bool { return th.dead })
	if len(living) == 0 {
		return nil
	}
	slices.SortStableFunc(living, func(a, b *tracee) int { return disturbance(&a.regs) - disturbance(&b.regs) })
	least := disturbance(&living[0].regs)
	if more := slices.IndexFunc(living, func(th *tracee) bool { return disturbance(&th.regs) > least }); more > 0 {
		living = living[:more]
	}
	return living[try%len(living)]
}

// forkIn makes one thread fork: with clone3, which can take the handlers from the child, or with clone where clone3 is
// missing or might be filtered; then the child is born with all signals blocked, which ends it as well.
func (t *tracer) forkIn(victim *tracee, s space, block bool) (*frozen, error) {
	instruction, err := s.instruction(&victim.regs)
	if err != nil {
		return nil, err
	}
	options, err := t.permit(victim, optionSysGood|optionTraceClone)
	if err != nil {
		return nil, err
	}
	at := argumentsAt(&victim.regs)
	var result outcome
	err = syscall.ENOSYS
	if !victim.filtered {
		arguments := [5]uint64{at, cloneBytes}
		result, err = t.clone3(victim, s, request{instruction, sysClone3, arguments, block})
	}
	missing := errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL)
	if missing && result.child == 0 {
		result, err = t.call(victim, request{instruction, syscall.SYS_CLONE, [5]uint64{0, noStack}, true})
	}
	if result.child == 0 {
		if err == nil {
			err = errors.New("clone made no child")
		}
		return nil, err
	}
	child := &frozen{tracee: tracee{tid: result.child, filtered: victim.filtered}, inside: int(result.value)}
	if err == nil {
		err = t.take(child, s, at, instruction, options)
	}
	if err != nil {
		t.kill(child)
		_ = t.reapIn(victim, instruction, child) // the error before tells more
		return nil, fmt.Errorf("frozen child: %w", err)
	}
	return child, nil
}

// clone3 makes a thread fork with clone3. The call takes its arguments in memory: they lie below the thread's stack, beyond
// what its code may use there, while all threads stand.
func (t *tracer) clone3(victim *tracee, s space, r request) (outcome, error) {
	at := r.arguments[0]
	before := make([]byte, cloneBytes)
	if _, err := s.memory.ReadAt(before, int64(at)); err != nil {
		return outcome{}, syscall.ENOSYS // nothing is mapped there
	}
	if _, err := syscall.PtracePokeData(victim.tid, uintptr(at), cloneArguments()); err != nil {
		return outcome{}, syscall.ENOSYS
	}
	result, err := t.call(victim, r)
	if !victim.dead {
		if _, poke := syscall.PtracePokeData(victim.tid, uintptr(at), before); poke != nil && err == nil {
			err = victim.fault("restore stack", poke)
		}
	}
	return result, err
}

// cloneArguments is the struct clone_args of a fork whose child has no handlers and no stack. Its exit signal, at 32, is 0.
func cloneArguments() []byte {
	arguments := make([]byte, cloneBytes)
	binary.NativeEndian.PutUint64(arguments[0:], cloneClearHandlers)
	binary.NativeEndian.PutUint64(arguments[40:], noStack/2) // lowest address of the stack
	binary.NativeEndian.PutUint64(arguments[48:], noStack/2) // its size
	return arguments
}

// argumentsAt is where a call's arguments may lie in memory.
func argumentsAt(r *registers) uint64 { return (stackPointer(r) - redZone - cloneBytes) &^ 15 }

// take makes a new child harmless: it dies with the tracing thread, it has no descriptor, and its memory is that of its
// parent even at the address where the arguments of clone3 were.
func (t *tracer) take(child *frozen, s space, at, instruction uint64, options int) error {
	if err := t.settle(&child.tracee); err != nil {
		return err
	}
	if err := syscall.PtraceSetOptions(child.tid, options&^optionTraceClone|optionExitKill); err != nil {
		return child.fault("set options", err)
	}
	stack := make([]byte, cloneBytes)
	if _, err := s.memory.ReadAt(stack, int64(at)); err == nil {
		if err := t.name(child, at, instruction); err != nil {
			return err
		}
		if _, err := syscall.PtracePokeData(child.tid, uintptr(at), stack); err != nil {
			return child.fault("restore stack", err)
		}
	}
	const all = 1<<32 - 1
	_, err := t.call(&child.tracee, request{instruction, sysCloseRange, [5]uint64{0, all}, false})
	if err == nil || child.dead {
		return err
	}
	return t.closeEach(child, instruction)
}

// name gives a child the name that those of Self have, for who finds it in a list of processes; nothing depends on it. It
// leaves the name in the child's memory. A filter that is in force may forbid the call in any way.
func (t *tracer) name(child *frozen, at, instruction uint64) error {
	if child.filtered {
		return nil
	}
	if _, err := syscall.PtracePokeData(child.tid, uintptr(at), append([]byte(childName), 0)); err != nil {
		return child.fault("write its name", err)
	}
	const setName = 15 // PR_SET_NAME
	_, err := t.call(&child.tracee, request{instruction, syscall.SYS_PRCTL, [5]uint64{setName, at}, false})
	if _, refused := errors.AsType[syscall.Errno](err); refused || errors.Is(err, errInterrupted) {
		return nil
	}
	return err
}

// closeEach closes a child's descriptors one by one, where the kernel has no close_range.
func (t *tracer) closeEach(child *frozen, instruction uint64) error {
	descriptors, err := os.ReadDir("/proc/" + strconv.Itoa(child.tid) + "/fd")
	if err != nil {
		return err
	}
	for _, entry := range descriptors {
		number, err := strconv.ParseUint(entry.Name(), 10, 31)
		if err != nil {
			continue
		}
		// close frees the number whatever it returns.
		_, _ = t.call(&child.tracee, request{instruction, syscall.SYS_CLOSE, [5]uint64{number}, false})
		if child.dead {
			return errThreadGone
		}
	}
	return nil
}

// kill ends a child and takes note of its end; for its parent it stays a zombie.
func (t *tracer) kill(child *frozen) {
	_ = syscall.Kill(child.tid, syscall.SIGKILL) // fails only where it is dead
	for !child.dead {
		_, _ = child.wait(0) // marks it dead
	}
}

// reap makes one thread of a process wait for a child that is dead: one to which it matters little, if there is one. The
// process is not stopped as a whole.
func (t *tracer) reap(child *frozen) error {
	if statusOf(child.tid, child.tid, "PPid") != strconv.Itoa(t.pid) {
		return nil // the process is gone, and its children are init's
	}
	for began := time.Now(); ; _ = syscall.Nanosleep(&syscall.Timespec{Nsec: 1_000_000}, nil) { // a signal may cut it short
		tids, err := threadIDs(t.pid)
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		if err = t.reapByOne(tids, child); err == nil {
			return nil
		}
		// Another capture, which has just begun, may have the threads.
		if !errors.Is(err, syscall.EPERM) || time.Since(began) > 2*stopPatience {
			return fmt.Errorf("frozen child %d stays with process %d as a zombie: %w", child.tid, t.pid, err)
		}
	}
}

// reapByOne makes the first of the threads wait to which it matters little enough.
func (t *tracer) reapByOne(tids []int, child *frozen) (err error) {
	defer t.release()
	for _, most := range []int{undisturbed, cutShort, math.MaxInt} {
		for _, tid := range tids {
			if err = ptrace(ptraceSeize, tid, optionSysGood); err != nil {
				continue
			}
			thread := &tracee{tid: tid}
			t.tracees, t.began = append(t.tracees, thread), time.Now()
			if err = t.stopAndReap(thread, child, most); err == nil {
				return nil
			}
			t.release()
		}
	}
	return err
}

// errDisturbed: a call would matter too much to the thread.
var errDisturbed = errors.New("the thread is at work")

// stopAndReap stops a thread and makes it wait, if it would not be disturbed by more than that.
func (t *tracer) stopAndReap(thread *tracee, child *frozen, most int) error {
	if err := t.stop(context.Background(), []*tracee{thread}); err != nil {
		return err
	}
	if thread.dead {
		return errThreadGone
	}
	if disturbance(&thread.regs) > most {
		return errDisturbed
	}
	f, err := openFiles(t.pid)
	if err != nil {
		return err
	}
	defer f.close()
	mappings, err := ParseMaps(f.maps)
	if err != nil {
		return err
	}
	instruction, err := space{f.memory, mappings}.instruction(&thread.regs)
	if err != nil {
		return err
	}
	if _, err := t.permit(thread, optionSysGood); err != nil {
		return err
	}
	return t.reapIn(thread, instruction, child)
}

// reapIn makes a stopped thread wait for a dead child.
func (t *tracer) reapIn(thread *tracee, instruction uint64, child *frozen) error {
	arguments := [5]uint64{uint64(child.inside), 0, waitAll | syscall.WNOHANG}
	for try := range maxForkTries {
		_, err := t.call(thread, request{instruction, syscall.SYS_WAIT4, arguments, try >= blockAfter})
		if errors.Is(err, syscall.ECHILD) {
			return nil // the process reaped it itself
		}
		if !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return errInterrupted
}
