package functab

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
)

// Func is a function of the process. Its zero value is an unknown function.
type Func struct {
	Entry, End uint64 // addresses, the end excluded
	// Name is what runtime.Func.Name gives: "main.(*Server).serve", "main.Cache[...].Get".
	Name string
	// File is where it was defined, as the compiler was told, or empty.
	File string
	// StartLine is the line of its func keyword, 0 if unknown.
	StartLine uint32
	// Wrapper tells that the compiler made it, to adapt a call.
	Wrapper bool

	known *function
}

// function is a decoded record (runtime._func). It is not changed but for the stack objects.
type function struct {
	module      *module
	entry, end  uint64
	name, file  string
	role        role
	wrapper     bool
	args        int32 // bytes of arguments and results in memory, or unknownArgs
	deferReturn uint32
	frameSizes  uint32 // tables in the module's pcs
	fileNumbers uint32
	lines       uint32
	unit        uint32
	startLine   uint32
	top         bool // the outermost function of a stack
	writesSP    bool // in ways that the table does not tell
	pcdata      []uint32
	funcdata    []uint32

	objectsOnce sync.Once
	objects     []stackObject
	objectsErr  error
}

// The record (runtime._func), the same in Go 1.24 to 1.27.
const (
	functionSize = 44
	maxPCData    = 64 // the compiler writes at most 5
	unknownArgs  = -0x80000000

	flagTop      = 1 << 0
	flagWritesSP = 1 << 1
)

// Numbers of tables (internal/abi).
const (
	pcdataStackMap  = 1
	pcdataInlining  = 2
	funcdataArgs    = 0
	funcdataLocals  = 1
	funcdataObjects = 2
	funcdataInlined = 3
)

// role is what the unwinder must know of a function. It goes by the names, which are the same in all versions, while
// the numbers that the runtime gives these functions are not.
type role uint8

const (
	ordinary    role = iota
	interrupted      // stands in for a call at an instruction that is none: its caller's registers are in its frame
	sigpanic         // the same, for a fault
	cgocallback      // writes the stack pointer, but can always be unwound
	reflectStub      // arguments are known to a value in its frame
	// registerSaving functions are called where the compiler holds pointers in registers: neither theirs nor their
	// caller's stack map holds.
	registerSaving
)

func roleOf(name string) role {
	switch name {
	case "runtime.asyncPreempt", "runtime.debugCallV2":
		return interrupted
	case "runtime.sigpanic":
		return sigpanic
	case "runtime.cgocallback":
		return cgocallback
	case "reflect.makeFuncStub", "reflect.methodValueCall":
		return reflectStub
	case "gcWriteBarrier", "runtime.duffzero", "runtime.duffcopy", "runtime.wbBufFlush":
		return registerSaving
	}
	if strings.HasPrefix(name, "runtime.gcWriteBarrier") {
		return registerSaving
	}
	return ordinary
}

// funcIDWrapper is abi.FuncIDWrapper.
func funcIDWrapper(minor int) byte {
	if minor <= 24 {
		return 22
	}
	return 23
}

// decode reads a function's record.
func (t *Table) decode(m *module, i int) (*function, error) {
	addr, err := in(m.records, uint64(m.offsets[i]))
	if err != nil {
		return nil, err
	}
	var r [functionSize]byte
	if err := t.memory.read(addr, r[:]); err != nil {
		return nil, err
	}
	at := func(offset int) uint32 { return binary.LittleEndian.Uint32(r[offset:]) }
	if at(0) != m.entries[i] {
		return nil, fmt.Errorf("its record is of another, %#x bytes into the text", at(0))
	}
	f := &function{
		module: m, entry: m.entry(i), end: m.address(m.entries[i+1]), args: int32(at(8)), deferReturn: at(12),
		frameSizes: at(16), fileNumbers: at(20), lines: at(24), unit: at(32), startLine: at(36),
		wrapper: r[40] == funcIDWrapper(t.minor), top: r[41]&flagTop != 0, writesSP: r[41]&flagWritesSP != 0,
	}
	pcdata, funcdata := at(28), uint32(r[43])
	if pcdata > maxPCData {
		return nil, fmt.Errorf("%d tables by program counter", pcdata)
	}
	if f.args != unknownArgs && (f.args < 0 || f.args%wordSize != 0) {
		return nil, fmt.Errorf("arguments of %d bytes", f.args)
	}
	rest := make([]byte, 4*(pcdata+funcdata))
	if err := t.memory.read(addr+functionSize, rest); err != nil {
		return nil, err
	}
	numbers := make([]uint32, pcdata+funcdata)
	for i := range numbers {
		numbers[i] = binary.LittleEndian.Uint32(rest[4*i:])
	}
	f.pcdata, f.funcdata = numbers[:pcdata], numbers[pcdata:]
	full, err := t.name(m, at(4))
	if err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	f.name, f.role = printable(full, t.minor), roleOf(full)
	f.file, _ = t.position(f, f.entry)
	return f, nil
}

func (t *Table) name(m *module, offset uint32) (string, error) {
	if offset == 0 {
		return "", nil
	}
	addr, err := in(m.names, uint64(offset))
	if err != nil {
		return "", err
	}
	return t.texts.get(addr)
}

// data returns the address of one of a function's further tables, 0 if it has none.
func (f *function) data(table int) uint64 {
	if table >= len(f.funcdata) || f.funcdata[table] == ^uint32(0) {
		return 0
	}
	return f.module.gofunc + uint64(f.funcdata[table])
}

func (f *function) public() Func {
	return Func{
		Entry: f.entry, End: f.end, Name: f.name, File: f.file, StartLine: f.startLine, Wrapper: f.wrapper, known: f,
	}
}

// printable replaces type arguments by "...", as runtime.Func.Name does.
func printable(name string, minor int) string {
	i, j := strings.IndexByte(name, '['), strings.LastIndexByte(name, ']')
	if i < 0 || j <= i {
		return name
	}
	if method := betweenLists(name[i : j+1]); minor >= 27 && method != "" {
		return name[:i] + "[...]" + method + "[...]" + name[j+1:]
	}
	return name[:i] + "[...]" + name[j+1:]
}

// betweenLists returns ".Get" of "[int].Get[string]", the lists of type arguments of a generic method of a generic
// type, and nothing of a single list, which may have lists inside.
func betweenLists(s string) string {
	depth, end := 0, -1
	for k := range len(s) {
		switch s[k] {
		case '[':
			if depth++; depth == 1 && end >= 0 {
				return s[end+1 : k]
			}
		case ']':
			if depth--; depth == 0 && end < 0 {
				end = k
			}
		}
	}
	return ""
}

// position returns the file and the line of an instruction; the function may be called inline there.
func (t *Table) position(f *function, pc uint64) (file string, line uint32) {
	number, _, err := t.value(f, f.fileNumbers, pc)
	if err != nil || number < 0 {
		return "", 0
	}
	if n, _, err := t.value(f, f.lines, pc); err == nil && n > 0 {
		line = uint32(n)
	}
	at := uint64(f.unit) + uint64(number)
	if at >= f.module.units.Len {
		return "", line
	}
	offset, err := t.memory.uint32(f.module.units.Data + 4*at)
	if err != nil || offset == ^uint32(0) {
		return "", line
	}
	addr, err := in(f.module.files, uint64(offset))
	if err != nil {
		return "", line
	}
	file, _ = t.texts.get(addr)
	return file, line
}

// Line returns the file and the line of an instruction of a function, empty and 0 where they are not known. For a
// return address give the address before it. Its cost grows with the size of the function.
func (t *Table) Line(f Func, pc uint64) (file string, line uint32) {
	if f.known == nil || pc < f.Entry || pc >= f.End {
		return "", 0
	}
	return t.position(f.known, pc)
}

// inlinedSize is the size of runtime.inlinedCall: an identifier, and at 4, 8 and 12 the name, an instruction whose
// position is the call's, and the line where the function begins.
const (
	inlinedSize = 16
	maxInlined  = 1 << 20 // calls in one function
	maxDepth    = 1 << 10 // of calls in calls
)

// Frames visits the calls that an instruction is in: those that the compiler expanded inline, innermost first, and last
// the function itself. It gives the name and file of each function, the line where it begins and the line where it is.
// For a return address give the address before it; Frame.PC can be given as it is. It visits nothing outside Go code.
func (t *Table) Frames(pc uint64, visit func(name, file string, start, line uint32)) {
	f := t.find(pc)
	if f == nil {
		return
	}
	tree := f.data(funcdataInlined)
	at := pc
	for depth := 0; tree != 0 && len(f.pcdata) > pcdataInlining && depth < maxDepth; depth++ {
		i, _, err := t.value(f, f.pcdata[pcdataInlining], at)
		if err != nil || i < 0 || i >= maxInlined {
			break
		}
		var call [inlinedSize]byte
		if t.memory.read(tree+uint64(i)*inlinedSize, call[:]) != nil {
			break
		}
		name, err := t.name(f.module, binary.LittleEndian.Uint32(call[4:]))
		if err != nil {
			break
		}
		file, line := t.position(f, at)
		visit(printable(name, t.minor), file, binary.LittleEndian.Uint32(call[12:]), line)
		at = f.entry + uint64(binary.LittleEndian.Uint32(call[8:]))
		if at >= f.end {
			break
		}
	}
	at = min(at, f.end-1)
	_, line := t.position(f, at)
	visit(f.name, f.file, f.startLine, line)
}
