package functab

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/memwarden/memwarden/heap/layout"
)

// A record of a deferred call (runtime._defer), the same in Go 1.24 to 1.27: whether it lies on the heap, the function
// and the next record.
const (
	deferHeap = 0
	deferFunc = 24
	deferLink = 32
	deferSize = 40
)

// others collects what the collector follows for a goroutine besides its frames, and notes what of that points into
// its stack.
func (w *walker) others(g *layout.G, status uint32) {
	running := status == statusRunning && g.SyscallSP == 0
	outside := w.registers[:0]
	for _, register := range w.registers {
		if w.stack.holds(register.Value) {
			w.point(register.Value, true)
			continue
		}
		outside = append(outside, register)
	}
	w.registers = outside
	if w.stack.holds(g.Context) {
		w.point(g.Context, running)
	} else if g.Context != 0 {
		w.context = append(w.context, Word{Value: g.Context})
	}
	if g.Panic != 0 {
		w.point(g.Panic, false) // panics lie on the stack
	}
	if err := w.defers(g.Defer); err != nil {
		w.table.warnings.add(fmt.Sprintf("deferred calls of a goroutine could not be read (%v): what only they hold counts as garbage", err))
	}
}

// defers walks the list of deferred calls, which weaves between stack and heap. That it has no cycle is seen by a
// pointer that waits at powers of two (Brent, "An Improved Monte Carlo Factorization Algorithm", 1980, section 2).
func (w *walker) defers(first uint64) error {
	waiting, steps, limit := first, uint64(0), uint64(1)
	for d := first; d != 0; {
		var r [deferSize]byte
		if d%wordSize != 0 {
			return fmt.Errorf("record of a deferred call at %#x", d)
		}
		if err := readFull(w.stack.reader, d, r[:]); err != nil {
			return fmt.Errorf("record of a deferred call: %w", err)
		}
		function, link := binary.LittleEndian.Uint64(r[deferFunc:]), binary.LittleEndian.Uint64(r[deferLink:])
		if function != 0 {
			w.deferredWord(d+deferFunc, function)
		}
		if link != 0 {
			w.deferredWord(d+deferLink, link)
		}
		if r[deferHeap] != 0 {
			w.deferredWord(0, d)
		}
		if link == waiting {
			return errors.New("the list of deferred calls has a cycle")
		}
		if steps++; steps == limit {
			waiting, limit = link, limit*2
		}
		d = link
	}
	return nil
}

func (w *walker) deferredWord(addr, value uint64) {
	if w.stack.holds(value) {
		w.point(value, false)
		return
	}
	w.deferred = append(w.deferred, Word{addr, value})
}

// A value behind a stub of package reflect (runtime.reflectMethodValue): the function, the bitmap of arguments and
// results, and the bytes of arguments. The stub has its address at the bottom of its frame, and four words above it
// whether results are valid.
const (
	stubFunc    = 0
	stubMap     = 8
	stubArgs    = 16
	stubSize    = 24
	stubResults = 4 * wordSize
)

// stub reads the map of the arguments of a function that reflect.MakeFunc or a method value made, and tells whether the
// frame has variables at all.
func (w *walker) stub(r *record) (mask, bool, error) {
	a := &w.table.arch
	at := r.sp + a.minFrame
	least := r.cfa
	if !a.linked {
		least -= wordSize
	}
	if at >= least {
		return mask{}, false, nil // it has not begun
	}
	var v [stubSize]byte
	if err := w.table.memory.read(w.stack.word(at), v[:]); err != nil {
		return mask{}, false, err
	}
	if entry := binary.LittleEndian.Uint64(v[stubFunc:]); entry != r.site.fn.entry {
		return mask{}, false, fmt.Errorf("its value is of the function at %#x", entry)
	}
	bitmap := binary.LittleEndian.Uint64(v[stubMap:])
	words, err := w.table.memory.int32(bitmap)
	if err != nil {
		return mask{}, false, err
	}
	bits, err := w.table.memory.uint64(bitmap + wordSize)
	if err != nil {
		return mask{}, false, err
	}
	n := int64(words)
	if w.stack.word(at+stubResults)&0xff == 0 {
		n = min(n, int64(binary.LittleEndian.Uint64(v[stubArgs:])/wordSize))
	}
	if n < 0 || n > maxArgs/wordSize {
		return mask{}, false, fmt.Errorf("%d words of arguments", n)
	}
	m, err := w.table.mask(bits, uint64(n))
	return m, true, err
}
