package functab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"sync/atomic"

	"github.com/memwarden/memwarden/heap/layout"
)

// The header of the table (runtime.pcHeader).
const (
	magic         = 0xfffffff1 // since Go 1.20
	headerSize    = 16
	recordSize    = 8       // of runtime.functab: two offsets of 32 bits
	maxFunctions  = 1 << 24 // a text of 4 GiB has fewer
	entryQuantum  = 16      // functions begin at multiples of it, but for what the linker was told
	bucketQuantum = 4096    // of text
	maxSections   = 1024
	sectionSize   = 24 // of runtime.textsect: three addresses
)

// module is the function table of a module. It is not changed but for functions.
type module struct {
	text     layout.Range
	names    layout.Slice
	units    layout.Slice // of 4 bytes: offsets into files
	files    layout.Slice
	pcs      layout.Slice
	records  layout.Slice
	gofunc   uint64
	rodata   uint64
	sections []section

	entries   []uint32 // offsets of the functions in the text, ascending, and last the end of the last function
	offsets   []uint32 // of their records
	buckets   []uint32 // for each bucketQuantum bytes of text the function that they begin in
	bitmap    []uint64 // a bit for each entryQuantum bytes of text: a function begins there
	unaligned bool     // a function begins elsewhere
	functions []atomic.Pointer[function]
}

// section is a part of a text that was too large for one. Offsets count as if the parts lay one behind the other.
type section struct{ offset, end, base uint64 }

func (t *Table) newModule(from *layout.Module) (*module, error) {
	m := &module{
		text: from.Text, names: from.FuncNameTab, units: from.CuTab, files: from.FileTab, pcs: from.PCTab,
		records: from.PCLNTable, gofunc: from.GoFunc, rodata: from.Rodata,
	}
	if m.text.End <= m.text.Start || m.text.End-m.text.Start >= 1<<32 {
		return nil, fmt.Errorf("text from %#x to %#x: want more than nothing, less than 4 GiB", m.text.Start, m.text.End)
	}
	if err := t.verifyHeader(from); err != nil {
		return nil, err
	}
	if err := t.readSections(m, from.TextSectMap); err != nil {
		return nil, err
	}
	if err := t.readEntries(m, from.FTab); err != nil {
		return nil, err
	}
	m.buildIndex()
	return m, nil
}

func (t *Table) verifyHeader(from *layout.Module) error {
	var h [headerSize]byte
	if err := t.memory.read(from.PCHeader, h[:]); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	switch {
	case binary.LittleEndian.Uint32(h[:]) != magic || h[4] != 0 || h[5] != 0:
		return fmt.Errorf("header begins with % x: not a table of Go 1.20 or later", h[:6])
	case uint64(h[6]) != t.arch.quantum || h[7] != wordSize:
		return fmt.Errorf("header says instructions of %d and pointers of %d bytes: want %d and %d", h[6], h[7], t.arch.quantum, wordSize)
	}
	n := binary.LittleEndian.Uint64(h[8:])
	if n == 0 || n > maxFunctions || from.FTab.Len != n+1 {
		return fmt.Errorf("header says %d functions, the table has %d", n, from.FTab.Len)
	}
	return nil
}

func (t *Table) readSections(m *module, from layout.Slice) error {
	if from.Len < 2 {
		return nil // as it is nearly always: the text begins where it says
	}
	if from.Len > maxSections {
		return fmt.Errorf("%d sections of text", from.Len)
	}
	data := make([]byte, from.Len*sectionSize)
	if err := t.memory.read(from.Data, data); err != nil {
		return fmt.Errorf("sections of text: %w", err)
	}
	for ; len(data) > 0; data = data[sectionSize:] {
		s := section{binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:]), binary.LittleEndian.Uint64(data[16:])}
		if s.end < s.offset || s.base < m.text.Start || s.end-s.offset > m.text.End-s.base {
			return fmt.Errorf("section of text at %#x is outside it", s.base)
		}
		if n := len(m.sections); n > 0 && (s.offset < m.sections[n-1].end || s.base < m.sections[n-1].base) {
			return fmt.Errorf("sections of text are not in order at %#x", s.base)
		}
		m.sections = append(m.sections, s)
	}
	return nil
}

// readEntries reads runtime.functab, past the cache: it is long, and read once.
func (t *Table) readEntries(m *module, from layout.Slice) error {
	n := int(from.Len)
	m.entries, m.offsets = make([]uint32, 0, n), make([]uint32, 0, n-1)
	chunk := make([]byte, 64<<10)
	for at := 0; at < n; {
		part := chunk[:min(len(chunk), (n-at)*recordSize)]
		if err := readFull(t.memory.reader, from.Data+uint64(at)*recordSize, part); err != nil {
			return fmt.Errorf("entries: %w", err)
		}
		for ; len(part) > 0; part = part[recordSize:] {
			entry, offset := binary.LittleEndian.Uint32(part), binary.LittleEndian.Uint32(part[4:])
			if at > 0 && entry < m.entries[at-1] {
				return fmt.Errorf("entries are not in order at function %d", at)
			}
			m.entries = append(m.entries, entry)
			if at < n-1 {
				m.offsets = append(m.offsets, offset)
			}
			at++
		}
	}
	if end := m.address(m.entries[n-1]); m.address(m.entries[0]) < m.text.Start || end > m.text.End {
		return fmt.Errorf("functions from %#x to %#x, the text ends at %#x", m.address(m.entries[0]), end, m.text.End)
	}
	return nil
}

// buildIndex makes lookups fast: a few bytes for each function.
func (m *module) buildIndex() {
	n := len(m.offsets)
	m.functions = make([]atomic.Pointer[function], n)
	m.bitmap = make([]uint64, (m.text.End-m.text.Start)/entryQuantum/64+1)
	for i := range n {
		at := m.entry(i) - m.text.Start
		if at%entryQuantum != 0 || at/entryQuantum/64 >= uint64(len(m.bitmap)) {
			m.unaligned = true
			continue
		}
		m.bitmap[at/entryQuantum/64] |= 1 << (at / entryQuantum % 64)
	}
	m.buckets = make([]uint32, m.entries[n]/bucketQuantum+1)
	next := 0
	for b := range m.buckets {
		for next+1 < n && uint64(m.entries[next+1]) <= uint64(b)*bucketQuantum {
			next++
		}
		m.buckets[b] = uint32(next)
	}
}

// address is where an offset into the text lies in the process.
func (m *module) address(offset uint32) uint64 {
	for i, s := range m.sections {
		if uint64(offset) >= s.offset && (uint64(offset) < s.end || i == len(m.sections)-1 && uint64(offset) == s.end) {
			return s.base + uint64(offset) - s.offset
		}
	}
	return m.text.Start + uint64(offset)
}

// offset is the inverse of address. It fails between sections.
func (m *module) offset(pc uint64) (uint32, bool) {
	if len(m.sections) == 0 {
		return uint32(pc - m.text.Start), true
	}
	for _, s := range m.sections {
		if pc >= s.base && pc-s.base < s.end-s.offset {
			return uint32(pc - s.base + s.offset), true
		}
	}
	return 0, false
}

func (m *module) entry(i int) uint64 { return m.address(m.entries[i]) }

// index returns which function an address of the text lies in.
func (m *module) index(pc uint64) (int, bool) {
	offset, ok := m.offset(pc)
	n := len(m.offsets)
	if !ok || offset < m.entries[0] || offset >= m.entries[n] {
		return 0, false
	}
	b := offset / bucketQuantum
	low, high := int(m.buckets[b]), n
	if int(b)+1 < len(m.buckets) {
		high = int(m.buckets[b+1]) + 1
	}
	return low + sort.Search(high-low, func(i int) bool { return m.entries[low+i+1] > offset }), true
}

// isEntry tells whether a function begins at an address of the text.
func (m *module) isEntry(pc uint64) bool {
	at := pc - m.text.Start
	if at%entryQuantum == 0 {
		at /= entryQuantum
		return m.bitmap[at/64]>>(at%64)&1 != 0
	}
	if !m.unaligned {
		return false
	}
	i, ok := m.index(pc)
	return ok && m.entry(i) == pc
}

var errOutside = errors.New("offset outside its table")

// in returns the address of an offset into a part of the table.
func in(part layout.Slice, offset uint64) (uint64, error) {
	if offset >= part.Len {
		return 0, errOutside
	}
	return part.Data + offset, nil
}
