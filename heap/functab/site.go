package functab

import (
	"errors"
	"fmt"
	"sync"
)

// site is what the tables say of all frames whose function has come to one instruction. It is not changed.
type site struct {
	fn *function
	// broken tells why frames cannot be unwound, from here on.
	broken error
	size   uint64 // of the frame: bytes from its stack pointer to the caller's before the call
	varp   uint64 // bytes from its stack pointer to the end of the local variables
	// unmapped tells why the stack maps do not hold: the frame is conservative.
	unmapped error
	// dead tells that the function will not go on: nothing in its frame is used any more.
	dead         bool
	locals, args mask // that end at varp, and begin above the frame
}

// mask has a bit for each word, least significant first: set if the word is a pointer.
type mask struct {
	words int
	bits  []byte
}

func (m mask) has(word int) bool { return m.bits[word/8]>>(word%8)&1 != 0 }

// stackObject is a local variable whose address is taken (runtime.stackObjectRecord): it is alive if a pointer to it is.
type stackObject struct {
	offset int64 // from varp if negative, else from the arguments
	size   uint64
	mask   mask
}

type siteKey struct {
	pc uint64
	// faulted tells that the function appears to call sigpanic: if it goes on at all, then with its deferred calls.
	faulted bool
}

// sites are what was met, emptied when there are too many. They are safe for concurrent use.
type sites struct {
	mu    sync.RWMutex
	known map[siteKey]*site
}

const maxSites = 1 << 18

// site returns nil if the address lies in no function.
func (t *Table) site(key siteKey) *site {
	t.sites.mu.RLock()
	s := t.sites.known[key]
	t.sites.mu.RUnlock()
	if s != nil {
		return s
	}
	f := t.find(key.pc)
	if f == nil {
		return nil
	}
	s = t.newSite(f, key)
	t.sites.mu.Lock()
	defer t.sites.mu.Unlock()
	if len(t.sites.known) >= maxSites {
		clear(t.sites.known)
	}
	t.sites.known[key] = s
	return s
}

func (t *Table) newSite(f *function, key siteKey) *site {
	s := &site{fn: f}
	if f.frameSizes == 0 {
		s.broken = errors.New("it has no table of frame sizes")
		return s
	}
	size, _, err := t.value(f, f.frameSizes, key.pc)
	if err == nil && (size < 0 || size%wordSize != 0) {
		err = fmt.Errorf("%d bytes", size)
	}
	if err != nil {
		s.broken = fmt.Errorf("frame size: %w", err)
		return s
	}
	s.measure(uint64(size), &t.arch)

	// The function goes on where it was left, or, after a fault, with its deferred calls.
	target := key.pc
	if key.faulted {
		if target = f.entry + uint64(f.deferReturn) + 1; f.deferReturn == 0 {
			s.dead = true
			return s
		}
	}
	index, err := t.stackMapIndex(f, target)
	if err != nil {
		s.unmapped = fmt.Errorf("number of the stack map: %w", err)
		return s
	}
	if s.varp > t.arch.minLocals {
		if s.locals, err = t.stackMap(f.data(funcdataLocals), index, s.varp/wordSize); err != nil {
			s.unmapped = fmt.Errorf("stack map of local variables: %w", err)
			return s
		}
	}
	if f.args > 0 {
		if s.args, err = t.stackMap(f.data(funcdataArgs), index, maxArgs/wordSize); err != nil {
			s.unmapped = fmt.Errorf("stack map of arguments: %w", err)
			return s
		}
	}
	if s.unmapped = t.readObjects(f); s.unmapped != nil {
		s.unmapped = fmt.Errorf("stack objects: %w", s.unmapped)
	}
	return s
}

// measure sets the sizes, from that which the function made its frame itself.
func (s *site) measure(size uint64, a *arch) {
	s.size = size
	if !a.linked {
		s.size += wordSize // the return address
	}
	s.varp = size
	// The caller's frame pointer lies between the return address and the variables.
	if s.varp > 0 {
		s.varp -= wordSize
	}
}

// stackMapIndex returns which of its stack maps a function uses at an instruction where it goes on.
func (t *Table) stackMapIndex(f *function, target uint64) (int32, error) {
	index := int32(-1)
	if target != f.entry && len(f.pcdata) > pcdataStackMap {
		// The map is that of the call, which lies before the address where it returns to.
		var err error
		if index, _, err = t.value(f, f.pcdata[pcdataStackMap], target-1); err != nil {
			return 0, err
		}
	}
	if index == -1 {
		// In the prologue of the function, all of it has the map of its entry.
		index = 0
	}
	return index, nil
}

const (
	maxArgs    = 1 << 20 // bytes of arguments and results
	maxMaps    = 1 << 24 // of a function
	maxObjects = 1 << 20 // of a function
	recordOff  = 8
)

var errMissing = errors.New("missing")

// stackMap reads one of a function's stack maps (runtime.stackmap): the number of maps and of their bits, in 32 bits
// each, and the maps, each from a byte boundary on.
func (t *Table) stackMap(addr uint64, index int32, maxWords uint64) (mask, error) {
	if addr == 0 {
		return mask{}, errMissing
	}
	n, err := t.memory.int32(addr)
	if err != nil {
		return mask{}, err
	}
	words, err := t.memory.int32(addr + 4)
	if err != nil {
		return mask{}, err
	}
	switch {
	case n <= 0 || n > maxMaps:
		return mask{}, fmt.Errorf("%d maps", n)
	case words == 0:
		return mask{}, nil
	case words < 0 || uint64(words) > maxWords:
		return mask{}, fmt.Errorf("%d words, more than there are", words)
	case index < 0 || index >= n:
		return mask{}, fmt.Errorf("map %d of %d", index, n)
	}
	size := (uint64(words) + 7) / 8
	return t.mask(addr+8+uint64(index)*size, uint64(words))
}

// mask reads a bitmap. It allocates no more than there is to read.
func (t *Table) mask(addr, words uint64) (mask, error) {
	m := mask{words: int(words)}
	for size := (words + 7) / 8; uint64(len(m.bits)) < size; {
		b, err := t.memory.at(addr + uint64(len(m.bits)))
		if err != nil {
			return mask{}, err
		}
		m.bits = append(m.bits, b[:min(uint64(len(b)), size-uint64(len(m.bits)))]...)
	}
	return m, nil
}

// readObjects reads a function's stack objects, once.
func (t *Table) readObjects(f *function) error {
	f.objectsOnce.Do(func() {
		if f.role == reflectStub {
			f.objects = []stackObject{t.arch.regArgs()}
			return
		}
		f.objects, f.objectsErr = t.stackObjects(f)
	})
	return f.objectsErr
}

// stackObjects reads the number of objects and their records (runtime.stackObjectRecord): offset, size, the size of the
// prefix that may hold pointers, and where the mask of that lies in the module's read-only data, in 32 bits each.
func (t *Table) stackObjects(f *function) ([]stackObject, error) {
	addr := f.data(funcdataObjects)
	if addr == 0 {
		return nil, nil
	}
	n, err := t.memory.uint64(addr)
	if err != nil {
		return nil, err
	}
	if n > maxObjects {
		return nil, fmt.Errorf("%d of them", n)
	}
	var all []stackObject
	for i := range n {
		var r [4]int32
		for j := range r {
			if r[j], err = t.memory.int32(addr + recordOff + i*16 + uint64(j)*4); err != nil {
				return nil, err
			}
		}
		offset, size, pointers := int64(r[0]), r[1], r[2]
		if size < 0 || pointers < 0 || pointers > size || pointers%wordSize != 0 || offset%wordSize != 0 {
			return nil, fmt.Errorf("%d bytes at %d, %d with pointers", size, offset, pointers)
		}
		m, err := t.mask(f.module.rodata+uint64(uint32(r[3])), uint64(pointers)/wordSize)
		if err != nil {
			return nil, err
		}
		all = append(all, stackObject{offset: offset, size: uint64(size), mask: m})
	}
	return all, nil
}

// regArgs is the variable of type internal/abi.RegArgs in the frames of package reflect's stubs, which no table tells
// of: integer registers, floating-point registers, pointers, and a bit for each integer register.
func (a *arch) regArgs() stackObject {
	pointers := a.intRegs + a.floatRegs
	m := mask{words: int(pointers + a.intRegs)}
	m.bits = make([]byte, (m.words+7)/8)
	for word := int(pointers); word < m.words; word++ {
		m.bits[word/8] |= 1 << (word % 8)
	}
	size := uint64(m.words+1) * wordSize
	return stackObject{offset: -int64(size), size: size, mask: m}
}
