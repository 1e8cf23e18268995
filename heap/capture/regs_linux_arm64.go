package capture

import (
	"syscall"

	"github.com/memwarden/memwarden/heap/layout"
)

// registers are the general-purpose registers of a stopped thread.
type registers = syscall.PtraceRegs

// elfMachine is EM_AARCH64; instructionAlign is where instructions may begin, in bytes.
const elfMachine, instructionAlign = 183, 4

// syscallInstruction is `svc #0`.
var syscallInstruction = []byte{0x01, 0x00, 0x00, 0xd4}

// Registers of the calling convention.
const (
	regNumber = 8  // of the system call
	regFrame  = 29 // frame pointer
)

// threadOf returns the registers as package layout wants them.
func threadOf(tid int, r *registers) layout.Thread {
	all := make([]uint64, 0, len(r.Regs)+2)
	all = append(all, r.Regs[:]...)
	return layout.Thread{TID: tid, PC: r.Pc, SP: r.Sp, FP: r.Regs[regFrame], Registers: append(all, r.Sp, r.Pc)}
}

func stackPointer(r *registers) uint64 { return r.Sp }

// setCall makes a stopped thread perform a system call when it runs on, with the instruction at an address. On arm64 the
// kernel has prepared the restart of an interrupted call before the thread stops: the saved registers repeat the call in
// full, so a sleep that was interrupted in the one thread that forks sleeps its whole time again.
func setCall(r *registers, call request) {
	r.Pc = call.instruction
	r.Regs[regNumber] = call.number
	copy(r.Regs[:], call.arguments[:])
}

// callResult is what a system call returned: below 0 an error number.
func callResult(r *registers) int64 { return int64(r.Regs[0]) }

// inCall cannot tell on arm64 whether a thread was stopped in a system call.
func inCall(*registers) (instruction uint64, inside bool) { return 0, false }

// disturbance orders stopped threads by what an injected call may do to them; on arm64 they cannot be told apart.
func disturbance(*registers) int { return 0 }
