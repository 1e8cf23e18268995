package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Module is what later packages need of runtime.moduledata, as it stands in the process.
type Module struct {
	// Address is where the moduledata lies.
	Address uint64
	// Path is the plugin's, empty for the executable itself.
	Path string

	Text, Types, Data, BSS, NoPtrData, NoPtrBSS Range
	// MinPC and MaxPC bound the functions that FTab lists.
	MinPC, MaxPC uint64
	// TypeDescLen is, since 1.27, the length of the type descriptors at the start of Types that have a typelink.
	TypeDescLen    uint64
	Rodata, GoFunc uint64
	// DataMask and BSSMask are the addresses of the pointer bitmaps of Data and BSS, a bit for each word; 0 if the
	// section is empty.
	DataMask, BSSMask uint64

	PCHeader, FindFuncTab uint64
	// The lengths of FTab and TextSectMap are in elements (of 8 and 24 bytes), that of CuTab too (of 4), those of the
	// others in bytes.
	FuncNameTab, CuTab, FileTab, PCTab, PCLNTable, FTab, TextSectMap Slice
	// Typelinks ([]int32, offsets into Types) and Itablinks ([]*itab) are zero since 1.27, which has Itabs instead.
	Typelinks, Itablinks Slice
	Itabs                Range
}

const (
	// pclntabMagic begins the pcHeader, since 1.20.
	pclntabMagic = 0xfffffff1
	// maxModules bounds the list: a program with more plugins is not one.
	maxModules = 1024
)

// findModules finds the module data of the executable and follows the list.
func (r *Runtime) findModules() error {
	first, err := r.firstModule()
	if err != nil {
		return err
	}
	for addr := first; addr != 0; {
		if len(r.Modules) == maxModules {
			return &LayoutError{"runtime.moduledata.next", errors.New("the list does not end")}
		}
		m, next, err := r.readModule(addr)
		if err != nil {
			return &LayoutError{fmt.Sprintf("runtime.moduledata at %#x", addr), err}
		}
		r.Modules = append(r.Modules, m)
		addr = next
	}
	// The first is the executable's own: it must lie in the executable.
	if err := r.verifyOwn(&r.Modules[0]); err != nil {
		return &LayoutError{"runtime.firstmoduledata", err}
	}
	return nil
}

// firstModule returns the address of runtime.firstmoduledata: by its symbol, by its section, by its shape.
func (r *Runtime) firstModule() (uint64, error) {
	if addr, ok := r.symbols["runtime.firstmoduledata"]; ok {
		return addr, nil
	}
	if s, ok := r.section(".go.module"); ok {
		return s.Start, nil
	}
	headers, err := r.pclntabs()
	if err != nil {
		return 0, err
	}
	var found []uint64
	for _, segment := range r.writable() {
		err := r.scanWords(segment, func(addr, word uint64) {
			if _, ok := slices.BinarySearch(headers, word); !ok {
				return
			}
			m, _, err := r.readModule(addr - r.at.module.pcHeader)
			if err == nil && r.verifyOwn(&m) == nil {
				found = append(found, m.Address)
			}
		})
		if err != nil {
			return 0, &LayoutError{"runtime.firstmoduledata", err}
		}
	}
	if len(found) != 1 {
		return 0, &LayoutError{"runtime.firstmoduledata", fmt.Errorf("%d places look like it", len(found))}
	}
	return found[0], nil
}

// pclntabs returns the addresses in the executable that look like a pcHeader, in order.
func (r *Runtime) pclntabs() ([]uint64, error) {
	if s, ok := r.section(".gopclntab", ".data.rel.ro.gopclntab"); ok {
		return []uint64{s.Start}, nil
	}
	var found []uint64
	for _, segment := range r.segments() {
		err := r.scanWords(segment, func(addr, word uint64) {
			if pclntabWord(word) {
				found = append(found, addr)
			}
		})
		if err != nil {
			return nil, &LayoutError{"runtime.pcHeader", err}
		}
	}
	slices.Sort(found)
	return found, nil
}

// pclntabWord recognises the first word of a pcHeader: magic, two zero bytes, the least instruction size, 8.
func pclntabWord(word uint64) bool {
	quantum := word >> 48 & 0xff
	return uint32(word) == pclntabMagic && word>>32&0xffff == 0 && (quantum == 1 || quantum == 4) && word>>56 == 8
}

// writable returns the segments of the executable that the program may write, as the process has them.
func (r *Runtime) writable() []Range {
	var ranges []Range
	for _, s := range r.segments() {
		for _, m := range r.memory.mappings {
			if start, end := max(s.Start, m.Start), min(s.End, m.End); start < end && (m.Writable || r.relro(start)) {
				ranges = append(ranges, Range{start, end})
			}
		}
	}
	return ranges
}

// relro tells whether an address lies in what is read-only after relocation: moduledata of a position-independent
// executable may.
func (r *Runtime) relro(addr uint64) bool {
	s, ok := r.section(".data.rel.ro", ".go.module")
	return ok && s.Contains(addr)
}

// scanWords visits the words of a range, those in readable mappings.
func (r *Runtime) scanWords(where Range, visit func(addr, word uint64)) error {
	buf := make([]byte, blockSize)
	for _, m := range r.memory.mappings {
		start, end := (max(m.Start, where.Start)+7)&^7, min(m.End, where.End)&^7
		for addr := start; addr < end; {
			part := buf[:min(uint64(len(buf)), end-addr)]
			if err := r.memory.read(addr, part); err != nil {
				return err
			}
			for i := 0; i < len(part); i += wordSize {
				if word := binary.LittleEndian.Uint64(part[i:]); word != 0 {
					visit(addr+uint64(i), word)
				}
			}
			addr += uint64(len(part))
		}
	}
	return nil
}

// readModule decodes a moduledata and verifies what holds for any module; next is that of the list.
func (r *Runtime) readModule(addr uint64) (m Module, next uint64, err error) {
	at := &r.at.module
	p, err := r.Bytes(addr, at.size)
	if err != nil {
		return m, 0, err
	}
	b := record(p)
	m = Module{
		Address:     addr,
		Text:        Range{b.uint64(at.text), b.uint64(at.etext)},
		Types:       Range{b.uint64(at.types), b.uint64(at.etypes)},
		Data:        Range{b.uint64(at.data), b.uint64(at.edata)},
		BSS:         Range{b.uint64(at.bss), b.uint64(at.ebss)},
		NoPtrData:   Range{b.uint64(at.noptrdata), b.uint64(at.enoptrdata)},
		NoPtrBSS:    Range{b.uint64(at.noptrbss), b.uint64(at.enoptrbss)},
		MinPC:       b.uint64(at.minpc),
		MaxPC:       b.uint64(at.maxpc),
		TypeDescLen: b.uint64(at.typedesclen),
		Rodata:      b.uint64(at.rodata),
		GoFunc:      b.uint64(at.gofunc),
		PCHeader:    b.uint64(at.pcHeader),
		FindFuncTab: b.uint64(at.findfunctab),
		FuncNameTab: b.slice(at.funcnametab),
		CuTab:       b.slice(at.cutab),
		FileTab:     b.slice(at.filetab),
		PCTab:       b.slice(at.pctab),
		PCLNTable:   b.slice(at.pclntable),
		FTab:        b.slice(at.ftab),
		TextSectMap: b.slice(at.textsectmap),
		Typelinks:   b.slice(at.typelinks),
		Itablinks:   b.slice(at.itablinks),
	}
	if at.itaboffset != absent {
		start := m.Types.Start + b.uint64(at.itaboffset)
		m.Itabs = Range{start, start + b.uint64(at.itabsize)}
	}
	data, bss := b.bitvector(at.gcdatamask), b.bitvector(at.gcbssmask)
	path := b.slice(at.pluginpath)
	next = b.uint64(at.next)
	m.DataMask, m.BSSMask = data.Data, bss.Data
	if err := r.verifyModule(&m, data, bss); err != nil {
		return m, 0, err
	}
	if path.Len > 0 {
		if m.Path, err = r.String(path.Data, path.Len); err != nil {
			return m, 0, fmt.Errorf("path of the plugin: %w", err)
		}
	}
	return m, next, nil
}

// bitvector reads runtime.bitvector: the number of bits as an int32, then the address.
func (b record) bitvector(off uint64) Slice {
	if off == absent {
		return Slice{}
	}
	return Slice{Data: b.uint64(off + wordSize), Len: uint64(b.uint32(off))}
}

func (r *Runtime) verifyModule(m *Module, data, bss Slice) error {
	header, err := r.Uint64(m.PCHeader)
	if err != nil {
		return fmt.Errorf("pcHeader: %w", err)
	}
	if !pclntabWord(header) {
		return fmt.Errorf("pcHeader begins with %#x", header)
	}
	for _, s := range []struct {
		name string
		Range
	}{
		{"text", m.Text}, {"types", m.Types}, {"data", m.Data}, {"bss", m.BSS},
		{"noptrdata", m.NoPtrData}, {"noptrbss", m.NoPtrBSS},
	} {
		if s.Start > s.End || s.Start != s.End && !r.Mapped(s.Start, s.Size()) {
			return fmt.Errorf("section %s, %#x to %#x: not mapped", s.name, s.Start, s.End)
		}
	}
	if m.Text.Size() == 0 || m.Types.Size() == 0 || m.TypeDescLen > m.Types.Size() {
		return errors.New("it has no text or no types")
	}
	if m.MinPC < m.Text.Start || m.MaxPC > m.Text.End || m.MinPC >= m.MaxPC {
		return fmt.Errorf("functions from %#x to %#x lie outside the text", m.MinPC, m.MaxPC)
	}
	if m.Itabs.Size() > 0 && (m.Itabs.Start < m.Types.Start || m.Itabs.End > m.Types.End || m.Itabs.Start > m.Itabs.End) {
		return errors.New("itabs lie outside the types")
	}
	for _, t := range []struct {
		name string
		Slice
		size uint64
	}{
		{"funcnametab", m.FuncNameTab, 1}, {"cutab", m.CuTab, 4}, {"filetab", m.FileTab, 1}, {"pctab", m.PCTab, 1},
		{"pclntable", m.PCLNTable, 1}, {"ftab", m.FTab, 8}, {"textsectmap", m.TextSectMap, 24},
		{"typelinks", m.Typelinks, 4}, {"itablinks", m.Itablinks, 8},
	} {
		if t.Len > maxTable || t.Len > 0 && !r.Mapped(t.Data, t.Len*t.size) {
			return fmt.Errorf("table %s: %d elements at %#x are not mapped", t.name, t.Len, t.Data)
		}
	}
	if err := r.verifyMask("data", m.Data, data); err != nil {
		return err
	}
	return r.verifyMask("bss", m.BSS, bss)
}

// maxTable bounds the elements of a module's table.
const maxTable = 1 << 32

func (r *Runtime) verifyMask(name string, section Range, mask Slice) error {
	if words := section.Size() / wordSize; mask.Len != words {
		return fmt.Errorf("the pointer bitmap of %s has %d bits for %d words", name, mask.Len, words)
	}
	if mask.Len > 0 && !r.Mapped(mask.Data, (mask.Len+7)/8) {
		return fmt.Errorf("the pointer bitmap of %s at %#x is not mapped", name, mask.Data)
	}
	return nil
}

// verifyOwn holds a module against the executable's segments.
func (r *Runtime) verifyOwn(m *Module) error {
	segments := r.segments()
	within := func(s Range) bool {
		return s.Size() == 0 || slices.ContainsFunc(segments, func(segment Range) bool {
			return segment.Start <= s.Start && s.End <= segment.End
		})
	}
	for _, s := range []Range{m.Text, m.Types, m.Data, m.BSS, m.NoPtrData, m.NoPtrBSS, {m.PCHeader, m.PCHeader + wordSize}} {
		if !within(s) {
			return fmt.Errorf("section %#x to %#x lies outside the executable", s.Start, s.End)
		}
	}
	return nil
}
