package gotype

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// What a table may hold. A binary of 100 MB describes some 60,000 types with 400,000 fields.
const (
	maxTypes     = 1 << 21
	maxFields    = 1 << 23         // of all structs together
	maxNameBytes = 256 << 20       // of all types and fields together
	maxNameLen   = 1 << 16         // of one name
	maxPerStruct = 1 << 16         // fields of one struct
	maxSize      = uint64(1) << 50 // bytes of a value, as the compiler has it
	maxAddress   = uint64(1) << 56
)

// Table holds the types of a captured process, numbered in the order in which they were first asked for. Its methods
// are safe for concurrent use unless they say otherwise. IsTypeWord, Dynamic and ByAddress take a lock only for an
// address that was never asked for before.
type Table struct {
	source
	regions []region // of the modules' type descriptors; the main program's is the first
	itabs   words    // interface tables outside the regions: complete once New has returned
	made    words    // types made while the program ran, found by ByAddress

	mu       sync.Mutex
	mem      memory
	types    []snapshot.Type
	spent    budget
	names    map[uint64]abiName // by address: the linker stores a field's name once
	loaded   bool               // LoadAll has seen every address of the regions
	copies   []dataCopy         // of the modules' variables, once loaded
	dwarf    *dwarfData         // nil until it is needed
	dwarfErr error
	frames   map[frameKey][]Local
	closures map[uint64][]Local
}

// source is what the table needs of the captured process.
type source struct {
	process layout.Process
	binary  *elf.File
	bias    uint64 // address in the process = address in the binary + bias
	minor   int    // of the Go version: 26
	oldMaps bool   // maps have buckets: Go 1.24 and 1.25 with GOEXPERIMENT=noswissmap
	modules []module
	// bases are where offsets of descriptors in the debug information may count from.
	bases []uint64
}

// module is the part of layout.Module that is looked at.
type module struct {
	text, types, data, bss, noPtrData, noPtrBSS, itabs layout.Range
	itablinks                                          layout.Slice
}

// budget is what is left of the bounds.
type budget struct{ types, fields, nameBytes int }

// errBounds tells that a process has more types than a program can have.
var errBounds = errors.New("more than a program can have")

func (b *budget) take(from *int, n int, what string) error {
	if n > *from {
		return fmt.Errorf("%w: %s", errBounds, what)
	}
	*from -= n
	return nil
}

// New prepares the table of a process: it finds the interface tables, those made at run time included, and decodes
// what they refer to. Other types are decoded when they are asked for. It reads some hundred kilobytes of the process.
func New(rt *layout.Runtime) (*Table, error) {
	s := source{process: rt.Process, bias: rt.Bias, minor: rt.Minor, binary: rt.ELF,
		oldMaps: strings.Contains(rt.Version, "noswissmap")}
	for _, m := range rt.Modules {
		s.modules = append(s.modules, module{
			text: m.Text, types: m.Types, data: m.Data, bss: m.BSS, noPtrData: m.NoPtrData, noPtrBSS: m.NoPtrBSS,
			itabs: m.Itabs, itablinks: m.Itablinks,
		})
	}
	return newTable(s)
}

func newTable(s source) (*Table, error) {
	if len(s.modules) == 0 {
		return nil, errors.New("types: the program has no module data")
	}
	t := &Table{
		source:   s,
		types:    make([]snapshot.Type, 1),
		spent:    budget{maxTypes, maxFields, maxNameBytes},
		names:    make(map[uint64]abiName),
		frames:   make(map[frameKey][]Local),
		closures: make(map[uint64][]Local),
	}
	t.mem.r = s.process.Memory
	t.bases = append(t.bases, s.modules[0].types.Start)
	if s.binary != nil {
		for _, section := range s.binary.Sections {
			if start := section.Addr + s.bias; section.Flags&elf.SHF_ALLOC != 0 && start < t.bases[0] &&
				t.bases[0]-start < section.Size {
				t.bases = append(t.bases, start)
			}
		}
	}
	for i, m := range s.modules {
		if m.types.End <= m.types.Start || m.types.End-m.types.Start > maxRegion {
			return nil, fmt.Errorf("types: module %d: descriptors at %#x to %#x", i, m.types.Start, m.types.End)
		}
		t.regions = append(t.regions, newRegion(m.types))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.findItabs(); err != nil {
		return nil, fmt.Errorf("types: %w", err)
	}
	return t, nil
}

// ByAddress returns the type whose descriptor lies at an address of the process. The first time it decodes the
// descriptor and all that it refers to; an address at which no consistent descriptor lies is an error each time.
// Descriptors outside the modules, which package reflect makes on the heap, are decoded too.
func (t *Table) ByAddress(addr uint64) (snapshot.TypeID, error) {
	if e := t.known(addr); e.isType() {
		return e.id(), nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	id, err := t.intern(addr)
	if err != nil {
		return 0, fmt.Errorf("type at %#x: %w", addr, err)
	}
	return id, nil
}

// Types returns the table: the place of a type is its snapshot.TypeID, and the first is the unknown type. The caller
// must not change it; types that are found later are not in it.
func (t *Table) Types() []snapshot.Type {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.types[:len(t.types):len(t.types)]
}

// debugInfo reads the debug information when it is first needed. The caller holds the lock.
func (t *Table) debugInfo() (*dwarfData, error) {
	if t.dwarf == nil && t.dwarfErr == nil {
		t.dwarf, t.dwarfErr = openDWARF(t.binary)
	}
	return t.dwarf, t.dwarfErr
}

// Len is how many types there are, the unknown one included.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.types)
}

// LoadAll decodes every type that the binary describes. It looks at each word of the modules' descriptors, because no
// list that the linker writes is complete: typelinks name only what package reflect may look up.
// It costs some ten microseconds for each type, and a nanosecond for each word.
//
// It also copies the segments of initialised and zeroed variables that hold pointers, of which Globals needs the words:
// once LoadAll has returned, no method reads the memory of the process any more, but ByAddress for a type made at run
// time.
func (t *Table) LoadAll(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loaded {
		return nil
	}
	for i := range t.regions {
		if err := t.sweep(ctx, &t.regions[i]); err != nil {
			return fmt.Errorf("types: %w", err)
		}
	}
	if err := t.copyData(ctx); err != nil {
		return fmt.Errorf("types: %w", err)
	}
	t.loaded = true
	t.mem.blocks, t.names = nil, make(map[uint64]abiName) // hardly anything is left to read
	return nil
}

// sweep looks at every word of a region for a descriptor.
func (t *Table) sweep(ctx context.Context, r *region) error {
	const overlap = headerSize - wordSize
	buf := make([]byte, 256<<10+overlap)
	for at := uint64(0); at < r.size; at += uint64(len(buf) - overlap) {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(uint64(len(buf)), r.size-at)]
		if n, err := t.process.Memory.ReadAt(part, int64(r.base+at)); n < len(part) {
			return fmt.Errorf("descriptors at %#x: %w", r.base+at, err)
		}
		for i := 0; i+headerSize <= len(part); i += wordSize {
			if !plausible(part[i:]) {
				continue
			}
			h := parseHeader(part[i:], t.minor)
			if h.check() != nil || h.str <= 0 || uint64(h.str) >= r.size {
				continue
			}
			if _, err := t.intern(r.base + at + uint64(i)); errors.Is(err, errBounds) {
				return err
			}
		}
	}
	return nil
}
