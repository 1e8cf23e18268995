package gotype

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	itabHead   = 4 * wordSize // interface, type, hash, first function
	itabFun    = 3 * wordSize
	maxItabs   = 1 << 22
	minTable   = 512 // entries of runtime.itabTableInit
	maxRefusal = 64  // static itabs that may be refused before the layout is called wrong
)

// findItabs finds the interface tables that the linker wrote and those that the runtime made, which its hash table
// lists together. They are what the first word of an interface with methods points to.
func (t *Table) findItabs() error {
	for i := range t.modules {
		m := &t.modules[i]
		if err := t.listedItabs(m.itablinks); err != nil {
			return fmt.Errorf("interface tables of module %d: %w", i, err)
		}
		if err := t.adjacentItabs(m.itabs); err != nil {
			return fmt.Errorf("interface tables of module %d: %w", i, err)
		}
	}
	return t.madeItabs()
}

// listedItabs reads moduledata.itablinks, before 1.27.
func (t *Table) listedItabs(links layout.Slice) error {
	if links.Len > maxItabs {
		return fmt.Errorf("%d of them", links.Len)
	}
	for i := range links.Len {
		addr, err := t.mem.word(links.Data + i*wordSize)
		if err != nil {
			return err
		}
		if _, err := t.itab(addr); err != nil {
			return err
		}
	}
	return nil
}

// adjacentItabs walks the itabs of 1.27, which lie behind each other, each as long as its interface has methods.
func (t *Table) adjacentItabs(r layout.Range) error {
	for addr := r.Start; addr+itabHead <= r.End; {
		methods, err := t.itab(addr)
		if err != nil {
			return err
		}
		addr += itabFun + max(1, methods)*wordSize
	}
	return nil
}

// itab checks an interface table, makes it known and returns how many methods it has.
func (t *Table) itab(addr uint64) (methods uint64, err error) {
	b, err := t.mem.bytes(addr, itabHead)
	if err != nil {
		return 0, err
	}
	inter, typ := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	hash, fun := binary.LittleEndian.Uint32(b[16:]), binary.LittleEndian.Uint64(b[itabFun:])
	interHeader, err := t.header(inter)
	if err != nil {
		return 0, fmt.Errorf("itab at %#x: interface at %#x: %w", addr, inter, err)
	}
	typHeader, err := t.header(typ)
	if err != nil {
		return 0, fmt.Errorf("itab at %#x: type at %#x: %w", addr, typ, err)
	}
	if methods, err = t.mem.word(inter + partsAt + 2*wordSize); err != nil {
		return 0, err
	}
	// The runtime leaves the hash of the itabs that it makes empty.
	if interHeader.kind != snapshot.Interface || methods == 0 || methods > maxMethods ||
		hash != typHeader.hash && hash != 0 {
		return 0, fmt.Errorf("itab at %#x: %w", addr, errHeader)
	}
	if fun == 0 { // the runtime remembers that the type lacks a method: no interface has it
		return methods, nil
	}
	id, err := t.intern(typ)
	if err != nil {
		return 0, fmt.Errorf("itab at %#x: %w", addr, err)
	}
	t.setKnown(addr, newEntry(itabEntry, id))
	return methods, nil
}

// madeItabs finds runtime.itabTable by its shape: a word in the data segment that points to a power of two, the number
// of entries, and as many as the second word says of the entries behind them point to itabs. The runtime puts the
// static ones there when it starts. A process that has not started has no such table.
func (t *Table) madeItabs() error {
	for i := range t.modules {
		if i > 0 {
			break // the runtime is part of the main program
		}
		data := t.modules[i].data
		for addr := (data.Start + 7) &^ 7; addr+wordSize <= data.End; addr += wordSize {
			at, err := t.mem.word(addr)
			if err != nil {
				return err
			}
			if at%wordSize != 0 || !t.writable(at) {
				continue
			}
			if entries := t.itabTable(at); entries != nil {
				return t.tabled(entries)
			}
		}
	}
	return nil
}

// writable reports whether an address lies in memory that the process may write.
func (t *Table) writable(addr uint64) bool {
	maps := t.process.Mappings
	low, high := 0, len(maps)
	for low < high {
		if mid := (low + high) / 2; maps[mid].End <= addr {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < len(maps) && maps[low].Start <= addr && maps[low].Writable
}

// itabTable returns the entries in use of a table of itabs, nil if there is no such table at an address.
func (t *Table) itabTable(addr uint64) []uint64 {
	head, err := t.mem.bytes(addr, 2*wordSize)
	if err != nil {
		return nil
	}
	size, count := binary.LittleEndian.Uint64(head), binary.LittleEndian.Uint64(head[8:])
	if bits.OnesCount64(size) != 1 || size < minTable || size > maxItabs || count == 0 || count > size/4*3+1 {
		return nil
	}
	p := make([]byte, size*wordSize)
	if n, _ := t.process.Memory.ReadAt(p, int64(addr+2*wordSize)); n < len(p) {
		return nil
	}
	var entries []uint64
	for ; len(p) > 0; p = p[wordSize:] {
		if e := binary.LittleEndian.Uint64(p); e != 0 {
			entries = append(entries, e)
		}
	}
	// The process may have been frozen between an entry and its count.
	if n := uint64(len(entries)); n != count && n != count+1 {
		return nil
	}
	for _, e := range entries[:min(len(entries), 16)] {
		if !t.looksLikeItab(e) {
			return nil
		}
	}
	return entries
}

func (t *Table) looksLikeItab(addr uint64) bool {
	if addr%wordSize != 0 {
		return false
	}
	inter, err := t.mem.word(addr)
	if err != nil {
		return false
	}
	h, err := t.header(inter)
	return err == nil && h.kind == snapshot.Interface
}

// tabled makes the itabs of the runtime's table known. Some may be of types that were made at run time and do not
// decode; they are left out.
func (t *Table) tabled(entries []uint64) error {
	refused := 0
	var last error
	for _, addr := range entries {
		if t.known(addr).isDynamic() {
			continue
		}
		if _, err := t.itab(addr); err != nil {
			refused++
			last = err
		}
	}
	if refused > maxRefusal && refused > len(entries)/8 {
		return fmt.Errorf("%d of %d interface tables do not verify: %w", refused, len(entries), last)
	}
	return nil
}
