package functab

// arch is what a stack looks like on an architecture.
type arch struct {
	// quantum is the unit of differences between program counters in the tables, in bytes.
	quantum uint64
	// linked tells that a call leaves the return address in a register, which the callee stores at the bottom of its
	// frame; else the call pushes it.
	linked bool
	// minFrame is the room below a frame's outgoing arguments, minLocals the largest frame without locals: bytes.
	minFrame, minLocals uint64
	// injected is what a signal handler reserves below the frame that it makes appear to call another.
	injected uint64
	// intRegs and floatRegs are the registers for arguments in internal/abi.RegArgs.
	intRegs, floatRegs uint64
}

// As internal/abi, internal/goarch and internal/runtime/sys have it in Go 1.24 to 1.27.
var (
	amd64 = arch{quantum: 1, intRegs: 9, floatRegs: 15}
	arm64 = arch{quantum: 4, linked: true, minFrame: 8, minLocals: 16, injected: 16, intRegs: 16, floatRegs: 16}
)
