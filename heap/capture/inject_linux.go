//go:build amd64 || arm64

package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/memwarden/memwarden/heap/layout"
)

const (
	// maxCallStops bounds the stops of one injected call.
	maxCallStops = 16
	// restartNoInterrupt is the negative of what fork returns to the kernel itself when a signal is pending
	// (ERESTARTNOINTR).
	restartNoInterrupt = 513
)

var (
	errNoInstruction = errors.New("its code has no system call instruction")
	// errInterrupted: a signal came before an injected call began.
	errInterrupted = errors.New("interrupted by a signal")
)

// request is a system call to inject.
type request struct {
	instruction uint64 // address of the instruction to make it with
	number      uint64
	arguments   [5]uint64
	// block keeps signals away for the time of the call.
	block bool
}

// outcome is what an injected call came to.
type outcome struct {
	value int64 // what it returned, 0 or above
	child int   // the process that it made, as the tracer knows it; 0: none
}

// call makes a stopped thread perform a system call, and puts it back to where it stood; when that call succeeded, its
// outcome is returned even with an error of the putting back. An error number of the call is the error.
//
// The stops at the call's entry and exit are used, not single steps: the signal of a step is forced on the thread, and
// would reset the handler of a program that blocks or ignores it.
func (t *tracer) call(thread *tracee, r request) (outcome, error) {
	if r.block {
		unblock, err := blockSignals(thread)
		if err != nil {
			return outcome{}, err
		}
		defer unblock()
	}
	changed := thread.regs
	setCall(&changed, r)
	if err := syscall.PtraceSetRegs(thread.tid, &changed); err != nil {
		return outcome{}, thread.fault("set registers", err)
	}
	result, err := t.perform(thread)
	if !thread.dead {
		if failed := t.restore(thread); failed != nil && err == nil {
			err = failed
		}
	}
	switch {
	case err != nil:
		return result, err
	case result.value < 0:
		return result, syscall.Errno(-result.value)
	default:
		return result, nil
	}
}

// blockSignals keeps signals from a stopped thread until the returned function is called.
func blockSignals(thread *tracee) (unblock func(), err error) {
	var before uint64
	if err := signalMask(ptraceGetSignalMask, thread.tid, &before); err != nil {
		return nil, thread.fault("get signal mask", err)
	}
	// SIGSYS is the answer of a system call filter: forced on a thread that blocks it, it would reset its handler.
	all := ^uint64(0) &^ (1 << (syscall.SIGSYS - 1))
	if err := signalMask(ptraceSetSignalMask, thread.tid, &all); err != nil {
		return nil, thread.fault("set signal mask", err)
	}
	return func() {
		_ = signalMask(ptraceSetSignalMask, thread.tid, &before) // fails only where the thread was killed
	}, nil
}

// perform runs a thread into the system call that its registers hold, and out of it, and leaves it stopped there.
func (t *tracer) perform(thread *tracee) (outcome, error) {
	var result outcome
	entered := false
	for range maxCallStops {
		if err := syscall.PtraceSyscall(thread.tid, 0); err != nil {
			return result, thread.fault("run", err)
		}
		status, err := thread.wait(0)
		if err != nil {
			return result, err
		}
		switch event, signal := eventOf(status), status.StopSignal(); {
		case event == eventClone:
			if tid, err := syscall.PtraceGetEventMsg(thread.tid); err == nil {
				result.child = int(tid)
			}
		case event != 0: // a stop of the whole process
		case signal == callStop && !entered:
			entered = true
		case signal == callStop:
			var after registers
			if err := syscall.PtraceGetRegs(thread.tid, &after); err != nil {
				return result, thread.fault("read registers", err)
			}
			if result.value = callResult(&after); result.value == -restartNoInterrupt {
				return result, errInterrupted
			}
			return result, nil
		default:
			thread.pending = signal
			return result, errInterrupted
		}
	}
	return result, fmt.Errorf("%w: %d in an injected call", errStuck, thread.tid)
}

// restore gives a thread that stands elsewhere its registers back, and makes it stand where the kernel restarts the call
// that it was interrupted in. ENOSYS: a filter answered the call before with a signal, which is swallowed. First of all the registers: should this process be killed now, the thread runs on with them.
func (t *tracer) restore(thread *tracee) error {
	if err := syscall.PtraceSetRegs(thread.tid, &thread.regs); err != nil {
		return thread.fault("restore registers", err)
	}
	trapped := t.trapped(thread)
	if trapped {
		if err := t.swallow(thread); err != nil {
			return err
		}
	}
	signal := thread.pending
	thread.pending = 0
	if err := thread.interrupted(signal); err != nil {
		return err
	}
	if err := t.settle(thread); err != nil {
		return err
	}
	if trapped {
		return syscall.ENOSYS
	}
	return nil
}

// space is where calls are injected: the memory of a process, and its mappings.
type space struct {
	memory   io.ReaderAt
	mappings []layout.Mapping
}

// instruction returns the address of an instruction that makes a system call: the very one that the thread is stopped in,
// or one in the vDSO, or in any code.
func (s space) instruction(r *registers) (uint64, error) {
	if own, inside := inCall(r); inside {
		word := make([]byte, len(syscallInstruction))
		if _, err := s.memory.ReadAt(word, int64(own)); err == nil && bytes.Equal(word, syscallInstruction) {
			return own, nil
		}
	}
	const block = 1 << 16
	buffer := make([]byte, block)
	for _, m := range executable(s.mappings) {
		for at := m.Start; at < m.End; at += block {
			part := buffer[:min(block, m.End-at)]
			if _, err := s.memory.ReadAt(part, int64(at)); err != nil {
				break
			}
			if i := indexInstruction(part); i >= 0 {
				return at + uint64(i), nil
			}
		}
	}
	return 0, errNoInstruction
}

// indexInstruction finds syscallInstruction in code, aligned as instructions are; -1: it is not there.
func indexInstruction(code []byte) int {
	for from := 0; ; {
		i := bytes.Index(code[from:], syscallInstruction)
		if i < 0 {
			return -1
		}
		if (from+i)%instructionAlign == 0 {
			return from + i
		}
		from += i + 1
	}
}

// executable returns the mappings of code, the vDSO first: it is small and nearly always has the instruction.
func executable(mappings []layout.Mapping) []layout.Mapping {
	var vdso, code []layout.Mapping
	for _, m := range mappings {
		switch {
		case !m.Execute || !m.Readable || m.Path == "[vsyscall]":
		case m.Path == "[vdso]":
			vdso = append(vdso, m)
		default:
			code = append(code, m)
		}
	}
	return append(vdso, code...)
}
