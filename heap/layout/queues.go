package layout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Word is a word of memory that holds a pointer.
type Word struct{ Address, Value uint64 }

// queue describes a list of blocks of functions to be run: finalizers or cleanups.
type queue struct {
	name   string
	symbol string
	head   uint64 // offset of the list's head in the symbol
	// The block: its size, the link to the next, the number of entries (32 bits), and the entries.
	size, link, count, entries uint64
	stride                     uint64   // bytes of an entry
	words                      []uint64 // offsets of an entry's pointers
	// verify holds an entry against what the queue may have.
	verify func(entry record) error
}

const (
	// maxQueue bounds the blocks of a queue: 4 GiB of finalizers.
	maxQueue = 1 << 20
	// maxHeads bounds the search for queues in a stripped binary.
	maxHeads   = 1 << 16
	arenaShift = 26 // a heap arena is 64 MiB on every supported platform
)

func (r *Runtime) queues() []queue {
	b, f, c, e := &r.at.finBlock, &r.at.finalizer, &r.at.cleanBlock, &r.at.cleanFn
	all := []queue{{
		name: "finalizers", symbol: "runtime.allfin",
		size: b.size, link: b.alllink, count: b.cnt, entries: b.fin, stride: f.size,
		words: []uint64{f.fn, f.arg, f.fint, f.ot},
		verify: func(entry record) error {
			return r.verifyFunc(entry.uint64(f.fn))
		},
	}}
	if c.size == absent { // 1.24 queues cleanups as finalizers
		return all
	}
	cleanups := queue{
		name: "cleanups", symbol: "runtime.gcCleanups", head: r.at.cleanQueue.all,
		size: c.size, link: c.alllink, count: c.n, entries: c.cleanups,
		stride: wordSize, words: []uint64{0}, // 1.25: *funcval
		verify: func(entry record) error { return r.verifyFunc(entry.uint64(0)) },
	}
	if e.size != absent {
		cleanups.stride, cleanups.words = e.size, []uint64{e.call, e.fn, e.arg}
		cleanups.verify = func(entry record) error {
			return errors.Join(r.verifyFunc(entry.uint64(e.call)), r.verifyFunc(entry.uint64(e.fn)))
		}
	}
	return append(all, cleanups)
}

// verifyFunc tells whether a word is the address of a funcval.
func (r *Runtime) verifyFunc(addr uint64) error {
	if addr == 0 || addr%wordSize != 0 {
		return fmt.Errorf("function value at %#x", addr)
	}
	pc, err := r.Uint64(addr)
	if err != nil {
		return fmt.Errorf("function value: %w", err)
	}
	if !r.isText(pc) {
		return fmt.Errorf("function value at %#x: %#x is no code", addr, pc)
	}
	return nil
}

// Queued returns the words of the finalizers and cleanups that wait to be run: they are roots. In a stripped binary the
// queues are searched by their shape among the executable's variables.
func (r *Runtime) Queued(ctx context.Context) ([]Word, error) {
	var words []Word
	for _, q := range r.queues() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		symbol, ok := r.symbols[q.symbol]
		if !ok {
			found, err := r.searchQueue(ctx, &q)
			if err != nil {
				return nil, fmt.Errorf("queue of %s: %w", q.name, err)
			}
			words = append(words, found...)
			continue
		}
		head, err := r.Uint64(symbol + q.head)
		if err == nil {
			words, err = r.readQueue(&q, head, words, make(map[uint64]bool))
		}
		if err != nil {
			return nil, &LayoutError{q.symbol, err}
		}
	}
	return words, nil
}

// readQueue appends the words of the blocks from an address on that were not seen.
func (r *Runtime) readQueue(q *queue, block uint64, words []Word, seen map[uint64]bool) ([]Word, error) {
	for block != 0 && !seen[block] {
		seen[block] = true
		if len(seen) == maxQueue {
			return nil, errors.New("the list does not end")
		}
		if block%wordSize != 0 {
			return nil, fmt.Errorf("a block at %#x", block)
		}
		p, err := r.Bytes(block, q.size)
		if err != nil {
			return nil, err
		}
		b := make(record, q.size) // verifying reads on
		copy(b, p)
		n := uint64(b.uint32(q.count))
		if n > (q.size-q.entries)/q.stride {
			return nil, fmt.Errorf("the block at %#x has %d entries", block, n)
		}
		for i := range n {
			at := q.entries + i*q.stride
			entry := b[at:][:q.stride]
			if entry.uint64(q.words[0]) == 0 { // it runs: the block counts it until all of the block have run
				continue
			}
			if err := q.verify(entry); err != nil {
				return nil, fmt.Errorf("entry %d of the block at %#x: %w", i, block, err)
			}
			for _, off := range q.words {
				if value := entry.uint64(off); value != 0 {
					words = append(words, Word{block + at + off, value})
				}
			}
		}
		block = b.uint64(q.link)
	}
	return words, nil
}

// searchQueue finds blocks with entries that all verify, from any variable of the executable. Blocks lie neither in the
// heap nor in the executable. A queue without entries is not found, and need not be.
func (r *Runtime) searchQueue(ctx context.Context, q *queue) ([]Word, error) {
	m, segments := &r.Modules[0], r.segments()
	inExecutable := func(addr uint64) bool {
		return slices.ContainsFunc(segments, func(s Range) bool { return s.Contains(addr) })
	}
	var words []Word
	seen, kept := make(map[uint64]bool), make(map[Word]bool) // blocks, words
	heads := 0
	for _, section := range []Range{m.NoPtrBSS, m.BSS, m.Data, m.NoPtrData} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := r.scanWords(section, func(_, word uint64) {
			if word%wordSize != 0 || r.arenas[word>>arenaShift] || seen[word] || inExecutable(word) ||
				!r.Mapped(word, q.size) || heads == maxHeads {
				return
			}
			heads++
			blocks := make(map[uint64]bool)
			found, err := r.readQueue(q, word, nil, blocks)
			if err != nil || len(found) == 0 {
				return
			}
			maps.Copy(seen, blocks)
			for _, w := range found {
				if !kept[w] {
					kept[w] = true
					words = append(words, w)
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if heads == maxHeads {
		r.warn("the queue of %s was not searched to the end: what only waits there is missing among the roots", q.name)
	}
	return words, nil
}
