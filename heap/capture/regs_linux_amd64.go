package capture

import (
	"syscall"

	"github.com/memwarden/memwarden/heap/layout"
)

// registers are the general-purpose registers of a stopped thread.
type registers = syscall.PtraceRegs

// elfMachine is EM_X86_64; instructionAlign is where instructions may begin, in bytes.
const elfMachine, instructionAlign = 62, 1

// syscallInstruction is `syscall`.
var syscallInstruction = []byte{0x0f, 0x05}

// threadOf returns the registers as package layout wants them.
func threadOf(tid int, r *registers) layout.Thread {
	return layout.Thread{
		TID: tid, PC: r.Rip, SP: r.Rsp, FP: r.Rbp,
		Registers: []uint64{
			r.Rax, r.Rbx, r.Rcx, r.Rdx, r.Rsi, r.Rdi, r.Rbp, r.Rsp,
			r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15, r.Rip,
		},
	}
}

func stackPointer(r *registers) uint64 { return r.Rsp }

// setCall makes a stopped thread perform a system call when it runs on, with the instruction at an address. The number of
// the system call that the thread was stopped in becomes -1: the kernel would restart that one first.
func setCall(r *registers, call request) {
	r.Rip, r.Rax, r.Orig_rax = call.instruction, call.number, ^uint64(0)
	a := call.arguments
	r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8 = a[0], a[1], a[2], a[3], a[4]
}

// callResult is what a system call returned: below 0 an error number.
func callResult(r *registers) int64 { return int64(r.Rax) }

// inCall returns the address of the instruction by which a thread entered the system call that it was stopped in; false
// for a thread that was stopped elsewhere.
func inCall(r *registers) (instruction uint64, inside bool) {
	return r.Rip - uint64(len(syscallInstruction)), int64(r.Orig_rax) >= 0
}

// disturbance orders stopped threads by what an injected call may do to them, 0 the least. Were the tracer killed in the
// middle of the call, it would look to the thread like the end of the system call that it was stopped in: futex may wake
// for no reason and its callers look again; a sleep may be short; of other calls the result would be wrong. None of them is
// in a restartable sequence (rseq), which the call would break in code that runs.
func disturbance(r *registers) int {
	switch call := int64(r.Orig_rax); {
	case call < 0:
		return 3
	case int64(r.Rax) >= 0: // not interrupted: it returns
		return 2
	case call == syscall.SYS_FUTEX:
		return 0
	case call == syscall.SYS_NANOSLEEP || call == syscall.SYS_CLOCK_NANOSLEEP:
		return 1
	default:
		return 2
	}
}
