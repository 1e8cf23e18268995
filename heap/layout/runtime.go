// Package layout finds the structures of the Go runtime in the memory of a frozen process, verifies them, and decodes
// them: modules, spans, goroutines, specials, the queues of finalizers and cleanups.
//
// It knows where the fields of the runtime's structures lie: from the DWARF of the binary where there is one, from a
// table for each minor version of Go otherwise (see tables.go). It leans on nothing that it has not verified against
// the process, and refuses with the reason rather than guess. It knows nothing of types, functions or the graph, nor how
// the process was frozen. heap/capture, heap/gotype and heap/functab stand above, and heap/scan above these.
//
// # Adding the next version of Go
//
// Add its toolchain to the list in internal/testprogram and run
//
//	go test ./heap/layout -run TestTables -update
//
// which builds a program with each toolchain, reads its DWARF and writes tables.go. A structure that was renamed fails
// there with its name; then run the tests of this package with -long, which freeze programs in every build mode.
package layout

import (
	"debug/elf"
	"errors"
	"fmt"
)

// Runtime is the Go runtime in a frozen process. Its methods read memory through one small cache: they are not safe for
// concurrent use, but Read, which is.
type Runtime struct {
	Process

	// Version is what the binary says: "go1.26.8", experiments included as in "go1.26.8-X:nogreenteagc".
	Version string
	// Minor is 26 for Go 1.26.
	Minor int
	// Arch is "amd64" or "arm64".
	Arch string
	// GreenTea tells that small spans carry their mark bits inline.
	GreenTea bool
	// BuildID is the Go build ID of the binary, or empty.
	BuildID string
	ELF     *elf.File
	// Bias is the address of a byte in the process less its address in the ELF file: 0 but for position-independent
	// executables.
	Bias uint64
	// ContainsDWARF tells that the binary has debug information that can be read.
	ContainsDWARF bool
	// Modules are the executable's own module and those of plugins, in the runtime's order.
	Modules []Module
	// Cycles is the number of completed garbage collections.
	Cycles uint64
	// HeapMarked is what the collector says that its last cycle marked, in bytes, what was allocated meanwhile included;
	// KnownMarked is false where the binary's symbols do not tell, and it is 0.
	HeapMarked  uint64
	KnownMarked bool
	// Warnings are sentences on what could not be read, and what that means. Reading on may add to them.
	Warnings []string

	at       offsets
	names    *table
	symbols  map[string]uint64 // addresses in the process; empty for a stripped binary
	memory   *cache
	allspans Slice
	sweepgen uint32
	arenas   map[uint64]bool // parts of 64 MiB of the address space that have spans
	allgs    Slice
}

// Range is a range of addresses, the end excluded.
type Range struct{ Start, End uint64 }

// Contains tells whether an address lies in the range.
func (r Range) Contains(addr uint64) bool { return r.Start <= addr && addr < r.End }

// Size is the length of the range in bytes.
func (r Range) Size() uint64 { return r.End - r.Start }

// Slice is the header of a Go slice in the process: Len elements from the address Data on.
type Slice struct{ Data, Len uint64 }

// ErrNotGo tells that an executable is not a Go program.
var ErrNotGo = errors.New("not a Go program")

// UnsupportedError tells that a program is built in a way that this package has no verified layout for.
type UnsupportedError struct {
	Version string // of Go, as the binary says
	Reason  string // a clause: "runs on linux/386"
}

// Error is a sentence that names what is supported.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s: %s; supported are Go %s on linux/amd64 and linux/arm64", e.Version, e.Reason, supported())
}

// LayoutError tells that a structure of the runtime was not found, or is not what its version should have.
type LayoutError struct {
	What string // the structure: "runtime.mheap_.allspans"
	Err  error
}

// Error names the structure and what was wrong with it.
func (e *LayoutError) Error() string {
	return fmt.Sprintf("layout of the Go runtime does not verify: %s: %v", e.What, e.Err)
}

// Unwrap returns the cause.
func (e *LayoutError) Unwrap() error { return e.Err }

// Open finds the runtime of a frozen process and verifies what later calls lean on. It fails with ErrNotGo, an
// *UnsupportedError or a *LayoutError, and with the reader's own errors. It takes some milliseconds; a stripped binary
// some more, as its data sections are searched.
func Open(p Process) (*Runtime, error) {
	r := &Runtime{Process: p, memory: newCache(p)}
	if err := r.openBinary(); err != nil {
		return nil, err
	}
	if err := r.openDWARF(); err != nil {
		return nil, err
	}
	if err := r.findModules(); err != nil {
		return nil, err
	}
	if err := r.findGoroutines(); err != nil {
		return nil, err
	}
	if err := r.findSpans(); err != nil {
		return nil, err
	}
	if err := r.readFacts(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Runtime) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}
