package scan

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/memwarden/memwarden/heap/gotype"
	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	// unitBytes is how much of the heap a worker takes at a time.
	unitBytes = 1 << 20
	// readBytes is how much of it is read at once: what was read is still in the second cache when it is looked at.
	readBytes = 256 << 10
	// headerBytes is the type word before an object of more than 512 bytes.
	headerBytes = 8
)

// pass is the linear pass over the heap: every span that may hold pointers is read once, in the order of addresses,
// and written as records. Workers take units of about a mebibyte; what they hold does not grow with the heap.
type pass struct {
	memory    io.ReaderAt
	spans     []layout.Span
	index     *index
	types     *gotype.Table
	functions *functions
	shapes    *shapes
	maps      pointerMaps
	out       *snapshot.Writer
	progress  func(done, total uint64)

	units []unit
	next  atomic.Int64 // unit that nobody has taken
	total uint64       // bytes of all units

	mu      sync.Mutex
	turn    sync.Cond // the next unit may be written
	written int
	done    uint64 // bytes
	err     error

	edgeCount uint64

	dangling, untyped uint64 // sums over the workers
}

// unit is what a worker does at a time: spans, or a part of one large span.
type unit struct {
	spans  []int  // places in pass.spans
	offset uint64 // into the one span
	bytes  uint64
	first  uint64 // number of its first record
}

// run makes the pass with a number of workers.
func (p *pass) run(ctx context.Context, workers int) error {
	p.turn.L = &p.mu
	p.plan()
	stop := context.AfterFunc(ctx, func() { p.fail(ctx.Err()) })
	defer stop()
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			w := &worker{pass: p}
			w.await = func() { p.await(w.number) }
			for w.unit() {
			}
			p.mu.Lock()
			p.dangling += w.dangling
			p.untyped += w.untyped
			p.mu.Unlock()
		})
	}
	running.Wait()
	p.mu.Lock() // the context may end just now
	defer p.mu.Unlock()
	return p.err
}

// plan cuts the spans into units.
func (p *pass) plan() {
	var current unit
	records := uint64(0)
	flush := func() {
		if len(current.spans) > 0 {
			p.units = append(p.units, current)
			p.total += current.bytes
		}
		current = unit{first: records}
	}
	for i := range p.spans {
		span := &p.spans[i]
		if span.NoScan || span.Live == nil {
			continue
		}
		size := span.Pages * pageSize
		if current.bytes+size > unitBytes {
			flush()
		}
		if span.Slots == 1 && span.ElemSize > unitBytes {
			p.planLarge(i, records)
			records += uint64(bits.OnesCount64(span.Live[0]))
			current = unit{first: records}
			continue
		}
		current.spans = append(current.spans, i)
		current.bytes += size
		for _, word := range span.Live {
			records += uint64(bits.OnesCount64(word))
		}
	}
	flush()
}

// planLarge cuts a span with one large object into units, of which all but the first continue its record.
func (p *pass) planLarge(i int, record uint64) {
	span := &p.spans[i]
	if span.Live[0]&1 == 0 {
		return
	}
	for offset := uint64(0); offset < span.ElemSize; offset += unitBytes {
		u := unit{spans: []int{i}, offset: offset, bytes: min(unitBytes, span.ElemSize-offset), first: record}
		p.units = append(p.units, u)
		p.total += u.bytes
	}
}

// fail ends the pass with an error; the first one counts.
func (p *pass) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.turn.Broadcast()
}

// await waits until the units before a number are written, or the pass has failed. Who numbers something new does so
// first: so the numbers do not depend on which worker was faster.
func (p *pass) await(number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaitLocked(number)
}

func (p *pass) awaitLocked(number int) {
	for p.written != number && p.err == nil {
		p.turn.Wait()
	}
}

// write waits until it is the unit's turn and writes its block. It reports false if the pass has failed.
func (p *pass) write(number int, block *snapshot.Block) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaitLocked(number)
	if p.err != nil {
		return false
	}
	if err := p.out.Objects(block); err != nil {
		p.err = err
	}
	p.written++
	p.edgeCount += block.Edges
	p.done += p.units[number].bytes
	p.turn.Broadcast()
	if p.progress != nil {
		p.progress(p.done, p.total)
	}
	return p.err == nil
}

// worker reads units.
type worker struct {
	*pass
	number int    // of the unit
	await  func() // waits until all units before it are written
	block  snapshot.Block
	memory []byte // of the spans that are looked at
	batch  batch
	heap   []byte // heap bits of a span, padded
	shape  shapeCache
	typed  typedCache
	// dangling counts words that the collector follows and that point to a slot which is not allocated.
	dangling uint64
	untyped  uint64 // objects whose type word could not be read
}

// unit takes the next unit, reads it and writes its block. It reports false when there is none or the pass failed.
func (w *worker) unit() bool {
	w.number = int(w.next.Add(1) - 1)
	if w.number >= len(w.units) {
		return false
	}
	u := &w.units[w.number]
	w.block.Reset(u.first)
	var err error
	if span := &w.spans[u.spans[0]]; span.ElemSize > unitBytes && span.Slots == 1 {
		err = w.large(span, u)
	} else {
		err = w.run(u.spans)
	}
	if err != nil {
		w.fail(err)
		return false
	}
	return w.write(w.number, &w.block)
}

// run reads spans, some of those that adjoin at once.
func (w *worker) run(numbers []int) error {
	for len(numbers) > 0 {
		first := &w.spans[numbers[0]]
		n, size := 1, first.Pages*pageSize
		for n < len(numbers) && w.spans[numbers[n]].Start == first.Start+size && size < readBytes {
			size += w.spans[numbers[n]].Pages * pageSize
			n++
		}
		if err := w.read(first.Start, size); err != nil {
			return err
		}
		for _, i := range numbers[:n] {
			span := &w.spans[i]
			w.span(span, span.Start-first.Start)
		}
		w.flush()
		numbers = numbers[n:]
	}
	w.end()
	return nil
}

// read reads memory into the worker's own, in place of what it had read before.
func (w *worker) read(address, size uint64) error {
	if uint64(cap(w.memory)) < size {
		w.memory = make([]byte, max(size, readBytes))
	}
	w.memory = w.memory[:size]
	if _, err := w.pass.memory.ReadAt(w.memory, int64(address)); err != nil {
		return fmt.Errorf("scan: read %d bytes of the heap at %#x: %w", size, address, err)
	}
	return nil
}

// span collects the records of a span's objects. The span begins at a place in memory.
func (w *worker) span(span *layout.Span, at uint64) {
	if span.HeapBits != 0 {
		w.loadHeapBits(span, at)
	}
	for i, live := range span.Live {
		for live != 0 {
			slot := uint64(i*64 + bits.TrailingZeros64(live))
			live &= live - 1
			offset := slot * span.ElemSize
			switch {
			case span.HeapBits != 0:
				w.small(at+offset, w.mask(offset/wordSize, span.ElemSize/wordSize), span.ElemSize/wordSize)
			case span.Header:
				w.withType(part{at + offset, 0, span.ElemSize}, w.word(at+offset), headerBytes)
			default:
				w.withType(part{at + offset, 0, span.ElemSize}, span.Type, 0)
			}
		}
	}
}

// word returns the word at a place in memory.
func (w *worker) word(at uint64) uint64 { return binary.LittleEndian.Uint64(w.memory[at:]) }

// loadHeapBits copies a span's pointer bitmap, with room to load eight bytes and one more anywhere.
func (w *worker) loadHeapBits(span *layout.Span, at uint64) {
	size := int(span.Pages * pageSize / wordSize / 8)
	if len(w.heap) < size+16 {
		w.heap = make([]byte, size+16)
	}
	copied := copy(w.heap[:size], w.memory[at+span.HeapBits-span.Start:at+span.Pages*pageSize])
	clear(w.heap[copied:])
}

// mask returns the pointer bits of up to 64 words.
func (w *worker) mask(word, words uint64) uint64 {
	at, shift := word/8, word%8
	mask := binary.LittleEndian.Uint64(w.heap[at:]) >> shift
	if shift != 0 {
		mask |= uint64(w.heap[at+8]) << (64 - shift)
	}
	if words < 64 {
		mask &= 1<<words - 1
	}
	return mask
}

// small collects the record of an object of up to 64 words, whose pointers the heap tells. It is at a place in memory.
func (w *worker) small(at, mask, words uint64) {
	closure := snapshot.FuncID(0)
	if mask&1 == 0 {
		closure = w.functions.entry(w.word(at), w.await)
	}
	w.record(w.shape.get(w.shapes, mask, w.await), closure)
	plain := ^mask & (^uint64(0) >> (64 - words)) // words without pointers
	for rest := mask; rest != 0; rest &= rest - 1 {
		slot := uint64(bits.TrailingZeros64(rest))
		value := w.word(at + slot*wordSize)
		if !w.index.inHeap(value) {
			continue
		}
		after := plain >> 1 >> slot & 1
		after += after & (plain >> 2 >> slot)
		w.pointer(value, at+slot*wordSize, slot, neighbours{before: plain<<1>>slot&1 != 0, after: uint8(after)})
	}
}

// withType collects the record of an object whose element type the runtime recorded; the type repeats behind a header
// of some bytes. An object that is being made has no type yet, and no pointers.
func (w *worker) withType(p part, typeWord, header uint64) {
	m := w.pointers(typeWord)
	w.record(m.shapeID(), 0)
	if m != nil {
		w.typedWords(m, p, header, 0, p.size)
	}
}

// pointers returns the pointer map of a type word, nil if there is none.
func (w *worker) pointers(typeWord uint64) *pointerMap {
	if typeWord == 0 {
		return nil
	}
	m := w.typed.get(&w.maps, typeWord, w.await)
	if m == nil {
		w.untyped++
	}
	return m
}

// part is some of the bytes of an object, in memory: size bytes from the object's offset start on are at a place.
type part struct{ at, start, size uint64 }

// typedWords collects the pointers in an object's words from one offset to another, which the part contains; the part
// may have more on both sides. Elements of a type with the map repeat behind a header.
func (w *worker) typedWords(m *pointerMap, p part, header, from, to uint64) {
	if len(m.words) == 0 {
		return
	}
	end := p.start + p.size
	base := header
	if from > header {
		base += (from - header) / m.size * m.size
	}
	for ; base < to; base += m.size {
		for i := m.from(from, base); i < len(m.words); i++ {
			offset := base + uint64(m.words[i])*wordSize
			if offset+wordSize > to {
				return
			}
			value := w.word(p.at + offset - p.start)
			if !w.index.inHeap(value) {
				continue
			}
			beside := m.beside[i]
			beside.before = beside.before && offset >= p.start+wordSize
			beside.after = min(beside.after, uint8(min((end-offset)/wordSize-1, 2)))
			w.pointer(value, p.at+offset-p.start, offset/wordSize, beside)
		}
	}
}

// large writes a part of the record of an object that is larger than a unit.
func (w *worker) large(span *layout.Span, u *unit) error {
	m := w.pointers(span.Type)
	if u.offset == 0 {
		w.block.Object(m.shapeID(), 0)
	} else {
		w.block.Continue(u.offset / wordSize)
	}
	if m != nil {
		// One word before and two behind tell what the pointers at the ends of the part point to.
		from, to := u.offset, u.offset+u.bytes
		start, end := from-min(from, wordSize), min(to+2*wordSize, span.ElemSize)
		if err := w.read(span.Start+start, end-start); err != nil {
			return err
		}
		w.typedWords(m, part{0, start, end - start}, 0, from, to)
		w.flush()
	}
	if u.offset+u.bytes == span.ElemSize {
		w.block.End()
	}
	return nil
}
