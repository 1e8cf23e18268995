package gotype

import (
	"sync/atomic"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// entry is what is known of an address: nothing (0), that it means no type (1), or a type and whether the address is
// the type's own descriptor or an interface table's. It fits a word that is read and written atomically.
type entry uint32

const (
	unknown entry = iota
	noType
	typeEntry
	itabEntry
)

func newEntry(kind entry, id snapshot.TypeID) entry { return entry(id)<<2 | kind }

func (e entry) id() snapshot.TypeID { return snapshot.TypeID(e >> 2) }
func (e entry) isType() bool        { return e&3 == typeEntry }
func (e entry) isDynamic() bool     { return e&3 >= typeEntry }

// region remembers what is known of each word of a module's descriptors. Only the pages in which something was asked
// for exist.
type region struct {
	base, size uint64
	pages      []atomic.Pointer[page]
}

const (
	pageBytes = 64 << 10
	maxRegion = 8 << 30
)

type page [pageBytes / 8]atomic.Uint32

func newRegion(r layout.Range) region {
	size := r.End - r.Start
	return region{base: r.Start, size: size, pages: make([]atomic.Pointer[page], size/pageBytes+1)}
}

// at returns what is known of a word, which has the address base + offset.
func (r *region) at(offset uint64) entry {
	p := r.pages[offset/pageBytes].Load()
	if p == nil {
		return unknown
	}
	return entry(p[offset%pageBytes/8].Load())
}

// set is for one caller at a time.
func (r *region) set(offset uint64, e entry) {
	slot := &r.pages[offset/pageBytes]
	p := slot.Load()
	if p == nil {
		p = new(page)
		slot.Store(p)
	}
	p[offset%pageBytes/8].Store(uint32(e))
}

// words maps addresses that lie anywhere to entries. It is read without a lock while one caller at a time adds.
type words struct {
	table atomic.Pointer[wordTable]
}

// wordTable is an open hash table, at most half full. low and span enclose all its addresses.
type wordTable struct {
	low, span atomic.Uint64
	used      int
	keys      []atomic.Uint64
	entries   []atomic.Uint32
}

func newWordTable(size int) *wordTable {
	return &wordTable{keys: make([]atomic.Uint64, size), entries: make([]atomic.Uint32, size)}
}

func (w *words) find(word uint64) entry {
	t := w.table.Load()
	if t == nil || word-t.low.Load() >= t.span.Load() || word == 0 {
		return unknown
	}
	mask := uint64(len(t.keys) - 1)
	for i := hash(word); ; i++ {
		switch t.keys[i&mask].Load() {
		case word:
			return entry(t.entries[i&mask].Load())
		case 0:
			return unknown
		}
	}
}

func hash(word uint64) uint64 { return word * 0x9e3779b97f4a7c15 >> 32 }

// add is for one caller at a time. Readers meanwhile may or may not find the word.
func (w *words) add(word uint64, e entry) {
	t := w.table.Load()
	if t == nil {
		t = newWordTable(64)
	}
	if 2*t.used >= len(t.keys) {
		old := t
		t = newWordTable(2 * len(old.keys))
		for i := range old.keys {
			if key := old.keys[i].Load(); key != 0 {
				t.put(key, entry(old.entries[i].Load()))
			}
		}
	}
	t.put(word, e)
	w.table.Store(t)
}

func (t *wordTable) put(word uint64, e entry) {
	mask := uint64(len(t.keys) - 1)
	i := hash(word)
	for key := t.keys[i&mask].Load(); key != 0 && key != word; key = t.keys[i&mask].Load() {
		i++
	}
	if t.keys[i&mask].Load() == 0 {
		t.used++
	}
	t.entries[i&mask].Store(uint32(e))
	t.keys[i&mask].Store(word)
	low, end := t.low.Load(), t.low.Load()+t.span.Load()
	if t.used == 1 {
		low, end = word, word
	}
	low, end = min(low, word), max(end, word+1)
	// A reader that sees one of the two before the other looks up an address in vain, or too often: both are allowed.
	t.low.Store(low)
	t.span.Store(end - low)
}

// IsTypeWord reports whether a word is the address of a type descriptor or of an interface table: what the word beside
// an interface's data pointer holds. Nearly all other words fail one or two comparisons. A word that points between
// the descriptors is looked at once, the first time; a positive answer is always right.
//
// Types that package reflect made at run time are recognised only after ByAddress was asked for them.
func (t *Table) IsTypeWord(word uint64) bool {
	_, ok := t.Dynamic(word)
	return ok
}

// Dynamic returns the type of the value in an interface by its first word, the address of the type's descriptor or of
// an interface table; false if the word is neither.
func (t *Table) Dynamic(word uint64) (snapshot.TypeID, bool) {
	for i := range t.regions {
		if r := &t.regions[i]; word-r.base < r.size {
			e := t.known(word)
			if e == unknown {
				e = t.examine(r, word)
			}
			return e.id(), e.isDynamic()
		}
	}
	e := t.itabs.find(word)
	if e == unknown {
		e = t.made.find(word)
	}
	return e.id(), e.isDynamic()
}

// known returns what is known of a word without looking at the process.
func (t *Table) known(word uint64) entry {
	for i := range t.regions {
		r := &t.regions[i]
		if offset := word - r.base; offset < r.size {
			if word&7 != 0 {
				return noType
			}
			return r.at(offset)
		}
	}
	if e := t.itabs.find(word); e != unknown {
		return e
	}
	return t.made.find(word)
}

// examine looks at a word inside a region for the first time.
func (t *Table) examine(r *region, word uint64) entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.examineLocked(r, word)
}

func (t *Table) examineLocked(r *region, word uint64) entry {
	if e := r.at(word - r.base); e != unknown {
		return e
	}
	if _, err := t.intern(word); err == nil {
		return r.at(word - r.base)
	}
	r.set(word-r.base, noType)
	return noType
}
