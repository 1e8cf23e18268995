package scan

import (
	"encoding/binary"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// batchSize is how many words a batch holds: enough to look up many at a time, few enough to stay in the first cache.
const batchSize = 512

// batch collects the pointers of records and looks their targets up one right after another. The targets lie anywhere,
// so that most of what a look-up takes is waiting for memory; look-ups that follow each other closely wait together.
type batch struct {
	n    int
	open bool // a record was begun in the block
	all  [batchSize]batched
}

// batched is a pointer, or the beginning of a record.
type batched struct {
	value  uint64 // the pointer; of a record, its shape and function
	at     uint32 // place of the word in worker.memory
	record bool
	beside neighbours
	slot   uint64

	what   outcome
	target snapshot.ObjectID
	offset uint64
	size   uint64 // of the target
}

// record begins a record, and ends the one before.
func (w *worker) record(shape snapshot.ShapeID, closure snapshot.FuncID) {
	if w.batch.n == batchSize {
		w.flush()
	}
	b := &w.batch.all[w.batch.n]
	w.batch.n++
	b.value, b.record = uint64(shape)<<32|uint64(closure), true
}

// pointer adds a word that points into the heap to the record. It is the word at a place in the worker's memory.
func (w *worker) pointer(value, at, slot uint64, beside neighbours) {
	if w.batch.n == batchSize {
		w.flush()
	}
	b := &w.batch.all[w.batch.n]
	w.batch.n++
	b.value, b.at, b.record, b.beside, b.slot = value, uint32(at), false, beside, slot
}

// flush looks the batch's pointers up and writes its records. What they were read from must still be in memory.
func (w *worker) flush() {
	all := w.batch.all[:w.batch.n]
	w.batch.n = 0
	for i := range all {
		if b := &all[i]; !b.record {
			b.target, b.offset, b.size, b.what = w.index.locate(b.value)
		}
	}
	for i := range all {
		b := &all[i]
		switch {
		case b.record:
			w.end()
			w.block.Object(snapshot.ShapeID(b.value>>32), snapshot.FuncID(b.value))
			w.batch.open = true
		case b.what == object:
			w.block.Edge(w.edge(b))
		case b.what == free:
			w.dangling++
		}
	}
}

// end ends the record that is open, if one is.
func (w *worker) end() {
	if w.batch.open {
		w.block.End()
		w.batch.open = false
	}
}

// edge returns the edge of a pointer, with what the words beside it say.
func (w *worker) edge(b *batched) snapshot.Edge {
	if b.beside.before {
		if before := binary.LittleEndian.Uint64(w.memory[b.at-wordSize:]); before != 0 {
			if id, ok := w.types.Dynamic(before); ok {
				return snapshot.Edge{Slot: b.slot, Target: b.target, Offset: b.offset, Evidence: snapshot.DynamicType, Type: id}
			}
		}
	}
	if b.size < snapshot.PinBytes || b.beside.after == 0 {
		return snapshot.Edge{Slot: b.slot, Target: b.target, Offset: b.offset}
	}
	evidence, length, capacity := lengths(w.memory[b.at+wordSize:], int(b.beside.after), b.size)
	return snapshot.Edge{Slot: b.slot, Target: b.target, Offset: b.offset, Evidence: evidence, Len: length, Cap: capacity}
}
