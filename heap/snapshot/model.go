package snapshot

// ObjectID numbers the objects of a snapshot from 0 in the order of their addresses: span after span, and in a span
// slot after slot, allocated slots only.
type ObjectID uint32

// TypeID is a place in the table of types. 0 is the unknown type.
type TypeID uint32

// FuncID is a place in the table of functions. 0 is the unknown function.
type FuncID uint32

// ShapeID is a place in the table of shapes. 0 is the shape without pointers.
type ShapeID uint32

// StackID is a place in the table of allocation stacks. 0 is the empty stack.
type StackID uint32

// Method is how the process was frozen.
type Method string

// The methods of freezing a process.
const (
	Fork         Method = "fork"          // the process forked itself
	InjectedFork Method = "injected fork" // a fork was injected into another process
	Stop         Method = "stop"          // the process stood still while it was read
	Synthetic    Method = "synthetic"     // built by code, for tests
)

// Header says what was captured. It is the first section of a file.
type Header struct {
	GoVersion     string // "go1.26.8", experiments included
	OS, Arch      string // as GOOS and GOARCH
	Executable    string // base name
	BuildID       string // Go build ID of the executable, or empty
	PID           int64
	TakenAt       int64 // Unix nanoseconds
	Method        Method
	RSSBytes      int64 // resident memory when it was taken, -1 if unknown
	ContainsDWARF bool  // names of variables and their types are known
}

// Summary closes a file.
type Summary struct {
	Objects, Edges   uint64
	AllocatedBytes   uint64   // of all objects: slot sizes
	RuntimeLiveBytes uint64   // what the last completed collection marked, read from the image
	StackBytes       uint64   // spans in use as goroutine stacks
	GCCycles         uint64   // 0 if unknown
	PauseSeconds     float64  // for which the process stood still
	ReadSeconds      float64  // from the frozen image to the last byte
	Warnings         []string // what could not be read, and what that means, a sentence each
}

// Kind is the kind of a type. The first 27 have the numbers of reflect.Kind.
type Kind uint8

// Kinds beyond reflect.Kind are what the runtime allocates behind maps and channels.
const (
	Invalid Kind = iota
	Bool
	Int
	Int8
	Int16
	Int32
	Int64
	Uint
	Uint8
	Uint16
	Uint32
	Uint64
	Uintptr
	Float32
	Float64
	Complex64
	Complex128
	Array
	Chan
	Func
	Interface
	Map
	Pointer
	Slice
	String
	Struct
	UnsafePointer
)

// Type describes a Go type as far as the memory of its values goes.
type Type struct {
	// Name is what reflect's Type.String gives: "main.Session", "map[string]*main.User".
	Name string
	// PkgPath is the import path of a named type's package, empty otherwise.
	PkgPath string
	Kind    Kind
	Size    uint64 // bytes of a value
	// PtrBytes is the prefix of a value that may hold pointers; 0: none. A Pointer type with 0 points outside the heap.
	PtrBytes uint64
	Elem     TypeID // of Array, Chan, Map, Pointer, Slice
	Key      TypeID // of Map
	Len      uint64 // of Array
	// Group is, of a Map, the type of a Swiss map's group of eight slots, or of an older map's bucket.
	Group TypeID
	// DirectIface tells that an interface's data word is the value itself rather than a pointer to it.
	DirectIface bool
	// DebugOnly tells that the type comes from debug information alone: nothing was allocated by its name.
	DebugOnly bool
	Fields    []Field // of Struct
}

// Field is a field of a struct.
type Field struct {
	Name     string
	Type     TypeID
	Offset   uint64 // bytes
	Embedded bool
}

// Function is a function of the program.
type Function struct {
	Name string // as runtime.Func.Name gives it: "main.(*Server).serve"
	File string
	Line uint32 // where it begins
	// Closure is the type of its closures: a struct of the entry and the captured variables. 0: unknown, or it has none.
	Closure TypeID
}

// Frame is a place in a call stack.
type Frame struct {
	Func FuncID
	Line uint32 // of the call
}

// Shape is what the heap itself says of the pointers in an object.
type Shape struct {
	// Type is the element type that the runtime recorded for the object (objects above 512 bytes), which repeats over
	// it; 0 for small objects, of which it recorded the words that hold pointers.
	Type TypeID
	// Mask has a bit for each word of a small object, least significant first: set if the word is a pointer. It has as
	// many words of 64 bits as the object's size needs. Nil where Type is known.
	Mask []uint64
}

// Span is a run of pages that holds objects of one size.
type Span struct {
	Start    uint64 // address
	Pages    uint64 // of 8 KiB
	ElemSize uint64 // bytes of a slot
	Slots    uint32
	NoScan   bool // its objects hold no pointers and have no records
	// Header tells that each object begins with eight bytes of the runtime's own, the address of its type. Slots and
	// offsets count them in; Shape.Type repeats behind them.
	Header bool
	// Live has a bit for each slot, least significant first: set if the slot is allocated.
	Live []uint64
}

// Evidence is what the words beside a pointer say of what it points to.
type Evidence uint8

// The kinds of evidence.
const (
	NoEvidence Evidence = iota
	// DynamicType: the word before the pointer is an interface's type word.
	DynamicType
	// Length: the words behind the pointer may be the length and the capacity of a string or slice. Recorded only for
	// pointers into objects of PinBytes and more, and only for numbers below the object's size.
	Length
)

// PinBytes is the size from which on it is recorded how much of an object a string or slice uses.
const PinBytes = 256

// Edge is a pointer from an object or a root to an object.
type Edge struct {
	Slot     uint64   // word in the source that holds the pointer
	Target   ObjectID // object that it points into
	Offset   uint64   // bytes into the target
	Evidence Evidence
	Type     TypeID // with DynamicType: the interface's dynamic type
	Len, Cap uint64 // with Length: the two words behind the pointer
}

// RootKind is why an object is alive without another object holding it.
type RootKind uint8

// The kinds of roots.
const (
	OtherRoot RootKind = iota
	Global             // a package-level variable, or an unnamed part of the data segments
	StackRoot          // a variable, or an unnamed word, in a frame of a goroutine's stack
	Register           // a register of a running thread
	Finalizer          // what an object's finalizer keeps: all that the object reaches, and the function
	Cleanup            // the function and the argument of a cleanup
	Queued             // a finalizer or cleanup whose object is gone, waiting to be run
	Deferred           // a deferred call or a panic under way
)

// Root is a place outside the heap that holds pointers into it.
type Root struct {
	Kind RootKind
	// Name is the variable's: "main.cache", or of a local "users"; for an unnamed word a segment or frame and an offset.
	Name string
	// Type is the variable's type; edges' slots count from its beginning. 0: unknown.
	Type TypeID
	// Conservative tells that a word was taken for a pointer because it looks like one.
	Conservative bool
	// Goroutine is, for StackRoot, Register and Deferred, a place in the list of goroutines plus one; 0: none.
	Goroutine uint32
	// Frame is, for StackRoot, a place in the goroutine's frames.
	Frame uint32
	// Object is, for Finalizer and Cleanup, the object it is attached to.
	Object ObjectID
	Edges  []Edge
}

// Goroutine is one call stack.
type Goroutine struct {
	ID uint64
	// State is what a stack dump would call it: "running", "runnable", "chan receive", "select", "syscall", …
	State     string
	CreatedBy FuncID
	Frames    []Frame // innermost first
}

// Weak is a weak pointer to an object; it keeps nothing alive.
type Weak struct {
	Object ObjectID
}

// Sampled tells where a sampled object was allocated.
type Sampled struct {
	Object ObjectID
	Stack  StackID
	// Type is what the code asked the allocator for: the type of the object, or of the elements where it is an array, or
	// of the channel or map that the object is a part of. 0: unknown.
	Type TypeID
}

// Stack is where objects were allocated, innermost frame first.
type Stack struct {
	Frames []Frame
}
