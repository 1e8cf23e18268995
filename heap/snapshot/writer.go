package snapshot

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// Writer writes a snapshot to a stream: first the spans, then the blocks of objects, and the tables whenever they are
// known. It never seeks and keeps about a mebibyte of each table at most. It is not safe for concurrent use; Blocks are
// built elsewhere. After an error, which every later call returns again, what was written is of no use.
type Writer struct {
	w      io.Writer
	err    error
	chunks uint32
	tables [kinds]*encoder
	flate  *flate.Writer
	packed bytes.Buffer
	head   []byte

	end        uint64 // of the last span
	objects    uint64
	bytes      uint64 // of objects
	scanned    uint64 // objects that have a record
	records    uint64
	edges      uint64
	openRecord bool
	inObjects  bool // the spans are complete
}

// NewWriter begins a snapshot.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	out := &Writer{w: w}
	if _, err := io.WriteString(w, magicPrefix+strconv.Itoa(Version)+"\n"); err != nil {
		return nil, fmt.Errorf("snapshot: write: %w", err)
	}
	out.table(kindHeader).header(&h)
	if err := out.flush(kindHeader); err != nil {
		return nil, err
	}
	return out, nil
}

// bad reports a number of seconds that there is not.
func bad(seconds float64) bool { return !(seconds >= 0 && seconds <= math.MaxFloat64) }

// Spans adds spans that hold objects, in the order of their addresses and all of them before the first block.
func (w *Writer) Spans(spans []Span) error {
	if w.err == nil && w.inObjects {
		return w.fail(errors.New("spans behind objects"))
	}
	for i := range spans {
		if w.err != nil {
			break
		}
		s := &spans[i]
		e := w.table(kindSpans)
		n, err := e.span(s, w.end)
		if err != nil {
			return w.fail(err)
		}
		e.extra += n
		w.end = s.Start + s.Pages*pageBytes
		w.objects += n
		w.bytes += n * s.ElemSize
		if !s.NoScan {
			w.scanned += n
		}
		if w.objects >= math.MaxUint32 {
			return w.fail(fmt.Errorf("more than %d objects", uint32(math.MaxUint32)-1))
		}
		w.added(kindSpans, e)
	}
	return w.err
}

// Objects writes a block. Blocks come in the order of their records: b.First is the number of records in the blocks
// before it or, where it continues a record, one less. The block may be used again afterwards.
func (w *Writer) Objects(b *Block) error {
	if w.err != nil {
		return w.err
	}
	if !w.inObjects {
		if err := w.flush(kindSpans); err != nil {
			return err
		}
		w.inObjects = true
	}
	first := w.records
	if w.openRecord {
		first--
	}
	switch {
	case b.misuse != nil:
		return w.fail(fmt.Errorf("block from record %d on: %w", b.First, b.misuse))
	case b.First != first || b.continued != w.openRecord:
		return w.fail(fmt.Errorf("block from record %d on, where record %d is next", b.First, first))
	}
	w.records += b.Records
	w.edges += b.Edges
	w.openRecord = b.open
	if len(b.data) == 0 {
		return nil
	}
	h := chunkHeader{kind: kindObjects, count: b.Records, extra: b.Edges}
	if b.continued {
		h.flags |= flagContinued
	}
	if b.open {
		h.flags |= flagOpen
	}
	return w.chunk(&h, b.data)
}

// Types adds entries to the table of types; the first of all has the TypeID 1, for that of the unknown type is not
// written.
func (w *Writer) Types(types []Type) error {
	return addAll(w, kindTypes, types, (*encoder).typ)
}

// Functions adds entries to the table of functions; the first of all has the FuncID 1.
func (w *Writer) Functions(functions []Function) error {
	return addAll(w, kindFunctions, functions, (*encoder).function)
}

// Shapes adds entries to the table of shapes; the first of all has the ShapeID 1.
func (w *Writer) Shapes(shapes []Shape) error {
	return addAll(w, kindShapes, shapes, (*encoder).shape)
}

// Stacks adds entries to the table of allocation stacks; the first of all has the StackID 1.
func (w *Writer) Stacks(stacks []Stack) error {
	return addAll(w, kindStacks, stacks, func(e *encoder, s *Stack) { e.frames(s.Frames) })
}

// Roots adds roots.
func (w *Writer) Roots(roots []Root) error {
	return addAll(w, kindRoots, roots, (*encoder).root)
}

// Goroutines adds goroutines.
func (w *Writer) Goroutines(goroutines []Goroutine) error {
	return addAll(w, kindGoroutines, goroutines, (*encoder).goroutine)
}

// Weak adds weak pointers.
func (w *Writer) Weak(weak []Weak) error {
	return addAll(w, kindWeak, weak, func(e *encoder, p *Weak) { e.object(p.Object) })
}

// Sampled adds objects of which it is known where they were allocated.
func (w *Writer) Sampled(sampled []Sampled) error {
	return addAll(w, kindSampled, sampled, func(e *encoder, s *Sampled) {
		e.object(s.Object)
		e.uint(uint64(s.Stack))
		e.uint(uint64(s.Type))
	})
}

// addAll adds entries to a table.
func addAll[T any](w *Writer, k kind, entries []T, add func(*encoder, *T)) error {
	for i := range entries {
		if w.err != nil {
			break
		}
		e := w.table(k)
		add(e, &entries[i])
		w.added(k, e)
	}
	return w.err
}

// Close completes the snapshot; it does not close what is written to. Of the summary it fills in what it has counted
// itself: Objects, Edges (those of objects, not of roots) and AllocatedBytes.
func (w *Writer) Close(s Summary) error {
	for k := range kinds {
		if e := w.tables[k]; e != nil && e.count > 0 {
			if err := w.flush(k); err != nil {
				return err
			}
		}
	}
	switch {
	case w.err != nil:
		return w.err
	case w.openRecord || w.records != w.scanned:
		return w.fail(fmt.Errorf("%d complete records of %d objects that may hold pointers", w.records, w.scanned))
	case bad(s.PauseSeconds):
		return w.fail(fmt.Errorf("a pause of %v seconds", s.PauseSeconds))
	case bad(s.ReadSeconds):
		return w.fail(fmt.Errorf("it took %v seconds", s.ReadSeconds))
	}
	s.Objects, s.Edges, s.AllocatedBytes = w.objects, w.edges, w.bytes
	e := w.table(kindEnd)
	e.summary(&s)
	e.count = uint64(w.chunks)
	if err := w.flush(kindEnd); err != nil {
		return err
	}
	w.err = errors.New("snapshot: write: the snapshot is complete")
	return nil
}

func (w *Writer) table(k kind) *encoder {
	if w.tables[k] == nil {
		w.tables[k] = new(encoder)
	}
	return w.tables[k]
}

// added counts an entry, and writes the chunk once it is large enough.
func (w *Writer) added(k kind, e *encoder) {
	e.count++
	if len(e.buf) >= tableBytes {
		_ = w.flush(k) // w.err keeps it
	}
}

// flush writes what there is of a table.
func (w *Writer) flush(k kind) error {
	e := w.tables[k]
	if w.err != nil || e == nil {
		return w.err
	}
	h := chunkHeader{kind: k, count: e.count, extra: e.extra}
	payload := e.buf
	if kindInfos[k].deflate && len(payload) <= maxRaw {
		packed, err := w.pack(payload)
		if err != nil {
			return w.fail(err)
		}
		if len(packed) < len(payload) {
			h.flags |= flagDeflate
			h.raw = uint32(len(payload))
			payload = packed
		}
	}
	if err := w.chunk(&h, payload); err != nil {
		return err
	}
	e.reset()
	return nil
}

// pack compresses a payload, to a quarter of its size at most: a reader's memory is bounded by what it is given. What
// the stream would leave of that is padding.
func (w *Writer) pack(payload []byte) ([]byte, error) {
	w.packed.Reset()
	if w.flate == nil {
		w.flate, _ = flate.NewWriter(nil, flate.BestSpeed) // fails for unknown levels alone
	}
	w.flate.Reset(&w.packed)
	if _, err := w.flate.Write(payload); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.flate.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	packed := w.packed.Bytes()
	if least := (len(payload) + maxRatio - 1) / maxRatio; len(packed) < least {
		packed = slices.Concat(packed, make([]byte, least-len(packed)))
	}
	return packed, nil
}

// chunk writes a chunk.
func (w *Writer) chunk(h *chunkHeader, payload []byte) error {
	h.stored = uint64(len(payload))
	h.number = w.chunks
	h.sum = checksum(payload)
	w.head = h.append(w.head[:0])
	w.chunks++
	for _, part := range [][]byte{w.head, payload} {
		if _, err := w.w.Write(part); err != nil {
			return w.fail(err)
		}
	}
	return nil
}

func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("snapshot: write: %w", err)
	return w.err
}
