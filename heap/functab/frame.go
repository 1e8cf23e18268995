package functab

// Frame is a part of a goroutine's stack, or words that belong to it, with the pointers found there.
type Frame struct {
	Kind FrameKind
	// Func is the function whose frame it is; the zero Func for kinds other than Call.
	Func Func
	// PC is the instruction that the function executes, inside the call where it called another: what Frames, Line and
	// tables of variables are to be asked for. It is 0 for kinds other than Call, and for the second Frame of a frame
	// of which a part is conservative.
	PC uint64
	// SP is the lowest address of the frame, and CFA the value of the stack pointer in the caller just before the call
	// instruction: on amd64 the address just above the return address. Both are 0 where Words are not on the stack.
	SP, CFA uint64
	// Words are the pointers that are not nil, by address, but for those into the goroutine's own stack. They belong to
	// the caller of visit after it has returned: copy them to keep them.
	Words []Word
	// Conservative tells that Words are all words that could be pointers, as no stack map says which are.
	Conservative bool
}

// Word is a word that may hold a pointer into the heap, interior ones included.
type Word struct {
	Addr  uint64 // of the slot, 0 if it is not in memory
	Value uint64
}

// FrameKind is what a Frame is.
type FrameKind uint8

// The kinds of frames.
const (
	Call      FrameKind = iota // the frame of a function
	Remainder                  // a part of the stack that could not be unwound
	Registers                  // the registers of the thread that runs the goroutine
	Context                    // the closure that the goroutine goes on with, saved while it does not run
	Deferred                   // records of deferred calls
)

// String names the kind: "call", "remainder", …
func (k FrameKind) String() string {
	switch k {
	case Call:
		return "call"
	case Remainder:
		return "remainder"
	case Registers:
		return "registers"
	case Context:
		return "context"
	case Deferred:
		return "deferred"
	}
	return "unknown"
}
