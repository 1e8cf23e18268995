package graph

import (
	"math"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// sparse are values of some edges, in order.
type sparse struct{ at, values []uint32 }

func (s *sparse) add(at, value uint32) {
	s.at = append(s.at, at)
	s.values = append(s.values, value)
}

// blockResult is what a block has besides the entries of the flat arrays.
type blockResult struct {
	any         bool   // records begin in it
	first, last uint32 // their objects
	offsets     sparse
	dynamic     sparse
	lengths     sparse
	jumps       sparse
	closures    []closureOf
}

// decodeWorker decodes one block after another.
type decodeWorker struct {
	*loader
	cursor snapshot.Cursor
	result *blockResult
	span   uint32 // of the object before
	at     uint32 // edges so far, of all blocks
	object uint32 // that the record is of
	high   uint32 // high bits of the slot before
	cache  [1024]cachedForm
}

type cachedForm struct {
	key formKey
	id  uint16
}

func newDecodeWorker(l *loader) *decodeWorker { return &decodeWorker{loader: l} }

// block decodes block i.
func (w *decodeWorker) block(i int) error {
	if err := w.cursor.Load(w.r, i); err != nil {
		return err
	}
	info := w.r.BlockInfo(i)
	w.result = &w.finished[i]
	w.at = uint32(info.FirstEdge)
	w.span = 0
	for {
		shape, fn, ok := w.cursor.Object()
		if !ok {
			break
		}
		w.record(shape, fn)
	}
	if err := w.cursor.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done += info.Records
	w.o.Progress("load", w.done, w.total.Records)
	return nil
}

// record takes one record over.
func (w *decodeWorker) record(shape snapshot.ShapeID, fn snapshot.FuncID) {
	id := uint32(w.cursor.ID())
	w.object = id
	g := w.g
	if first := g.spans.first; snapshot.ObjectID(id) >= first[w.span+1] || snapshot.ObjectID(id) < first[w.span] {
		w.span = g.spans.find(id)
	}
	span := &g.spans.list[w.span]
	header := span.Header && !span.NoScan
	w.high = 0
	continued := w.cursor.Continued()
	if !continued {
		r := w.result
		if !r.any {
			r.any, r.first, r.last = true, id, id
		}
		for at := r.last + 1; at <= id; at++ {
			g.Starts[at] = w.at
		}
		g.Starts[id] = w.at
		r.last = id
		if fn != 0 {
			r.closures = append(r.closures, closureOf{id, fn})
		}
	}
	var e snapshot.Edge
	more := w.cursor.Edge(&e)
	if more && e.Slot == 0 {
		header = false // a pointer where the header should be: the file is wrong
	}
	if !continued {
		g.formOf[id] = w.form(formKey{size: span.ElemSize, shape: shape, header: header})
	}
	shift := uint64(0)
	if header {
		shift = 1
	}
	for ; more; more = w.cursor.Edge(&e) {
		w.edge(&e, e.Slot-shift)
	}
}

// edge takes one edge over.
func (w *decodeWorker) edge(e *snapshot.Edge, slot uint64) {
	at := w.at
	w.at++
	w.g.Targets[at] = uint32(e.Target)
	w.g.slots[at] = uint16(slot)
	if high := uint32(slot >> 16); high != w.high {
		w.high = high
		w.result.jumps.add(at, high)
	}
	w.loader.beside(w.result, at, e)
}

// beside notes what few edges have.
func (l *loader) beside(b *blockResult, at uint32, e *snapshot.Edge) {
	if e.Offset != 0 {
		if offset := l.payloadOffset(e); offset != 0 {
			b.offsets.add(at, uint32(min(offset, math.MaxUint32)))
		}
	}
	switch e.Evidence {
	case snapshot.DynamicType:
		b.dynamic.add(at, uint32(e.Type))
	case snapshot.Length:
		if e.Len < math.MaxUint32 {
			b.lengths.add(at, uint32(e.Len))
		}
	}
}

// payloadOffset is where an edge points to, from the first element of the target.
func (l *loader) payloadOffset(e *snapshot.Edge) uint64 {
	if e.Offset >= headerBytes {
		s := &l.g.spans
		if s.list[s.find(uint32(e.Target))].Header {
			return e.Offset - headerBytes
		}
	}
	return e.Offset
}

// form returns the number of a form.
func (w *decodeWorker) form(key formKey) uint16 {
	hash := (uint64(key.shape)<<20 ^ key.size ^ key.size>>12) * 0x9E3779B97F4A7C15
	entry := &w.cache[hash>>54]
	if entry.key != key {
		w.mu.Lock()
		entry.key, entry.id = key, w.forms.id(key)
		w.mu.Unlock()
	}
	return entry.id
}
