// Package functab reads the function table of a frozen Go process and unwinds the stacks of its goroutines.
//
// It knows the format of the table that the linker writes (pclntab: functions, lines, inlined calls, frame sizes, stack
// maps, stack objects) and the rules by which the garbage collector follows the words of a stack (runtime.scanstack). It
// leans on the table alone, which every binary carries, stripped ones too. It does not know where the runtime keeps the
// table or its goroutines: heap/layout does, below. Nor does it know types, names of variables, or which words point
// into the heap: heap/scan, above, joins these.
package functab

import (
	"debug/elf"
	"fmt"
	"slices"
	"sync"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/internal/sorting"
)

// Table is the function table of a process: those of its modules. It is safe for concurrent use. It holds 9 bytes for
// each function and what it has met, of which what is read from the process is at most 8 MiB.
type Table struct {
	memory  *memory
	modules []*module // by the address of their text
	low     uint64    // of all text
	size    uint64    // from low to the end of all text
	arch    arch
	minor   int
	threads []layout.Thread
	texts   *texts

	sites    sites
	walkers  sync.Pool
	warnings warnings
}

// New reads the tables of functions and verifies their form. It costs a read of 8 bytes for each function.
func New(rt *layout.Runtime) (*Table, error) {
	t := &Table{memory: newMemory(rt.Memory), minor: rt.Minor, threads: rt.Threads}
	t.texts = &texts{memory: t.memory, known: make(map[uint64]string)}
	t.sites.known = make(map[siteKey]*site)
	machine := elf.EM_NONE
	if rt.ELF != nil {
		machine = rt.ELF.Machine
	}
	switch machine {
	case elf.EM_X86_64:
		t.arch = amd64
	case elf.EM_AARCH64:
		t.arch = arm64
	default:
		return nil, fmt.Errorf("functab: no rules for the stacks of machine %v: want amd64 or arm64", machine)
	}
	if len(rt.Modules) == 0 {
		return nil, fmt.Errorf("functab: the process has no module")
	}
	for i := range rt.Modules {
		m, err := t.newModule(&rt.Modules[i])
		if err != nil {
			return nil, fmt.Errorf("functab: table of functions of the text at %#x: %w", rt.Modules[i].Text.Start, err)
		}
		t.modules = append(t.modules, m)
	}
	sorting.By(t.modules, func(a, b *module) int {
		if a.text.Start < b.text.Start {
			return -1
		}
		return 1
	})
	t.low = t.modules[0].text.Start
	for _, m := range t.modules {
		t.size = max(t.size, m.text.End-t.low)
	}
	t.walkers.New = func() any { return &walker{table: t} }
	return t, nil
}

// Warnings are sentences on what could not be decoded or unwound, each told once, and what that means. There are at most
// 64.
func (t *Table) Warnings() []string { return t.warnings.list() }

// module returns the module whose text an address lies in, nil if none.
func (t *Table) module(pc uint64) *module {
	if pc-t.low >= t.size {
		return nil
	}
	for _, m := range t.modules {
		if m.text.Contains(pc) {
			return m
		}
	}
	return nil
}

// IsEntry tells whether a function begins at an address, as the first word of every closure says. Where the address is
// in no text, which is what nearly all words are, it costs a nanosecond.
func (t *Table) IsEntry(pc uint64) bool {
	if pc-t.low >= t.size {
		return false
	}
	m := t.module(pc)
	return m != nil && m.isEntry(pc)
}

// Find returns the function that an address lies in. It fails for addresses outside Go code, and for functions whose
// record is damaged.
func (t *Table) Find(pc uint64) (Func, bool) {
	f := t.find(pc)
	if f == nil {
		return Func{}, false
	}
	return f.public(), true
}

// find returns nil where there is no function.
func (t *Table) find(pc uint64) *function {
	m := t.module(pc)
	if m == nil {
		return nil
	}
	i, ok := m.index(pc)
	if !ok {
		return nil
	}
	if f := m.functions[i].Load(); f != nil {
		return f
	}
	f, err := t.decode(m, i)
	if err != nil {
		t.warnings.add(fmt.Sprintf("the function at %#x could not be read (%v): it has no name, and stacks are not unwound past it", m.entry(i), err))
		return nil
	}
	m.functions[i].Store(f)
	return f
}

// warnings are told once each. They are safe for concurrent use.
type warnings struct {
	mu   sync.Mutex
	said []string
}

const maxWarnings = 64

func (w *warnings) add(sentence string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.said) < maxWarnings && !slices.Contains(w.said, sentence) {
		w.said = append(w.said, sentence)
	}
}

func (w *warnings) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.said)
}
