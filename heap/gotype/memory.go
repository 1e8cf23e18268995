package gotype

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/memwarden/memwarden/heap/layout"
)

const (
	blockSize = 16 << 10
	maxBlocks = 2048 // 32 MiB
)

// errAddress tells of a pointer that no descriptor can have.
var errAddress = errors.New("no address")

// memory reads the process in blocks and keeps them: descriptors and their names lie together. It is not safe for
// concurrent use.
type memory struct {
	r       io.ReaderAt
	blocks  map[uint64][]byte // by address / blockSize; nil: cannot be read as a whole
	scratch []byte
}

// bytes returns n bytes at an address. They are valid until the next call.
func (m *memory) bytes(addr uint64, n int) ([]byte, error) {
	if addr == 0 || addr+uint64(n) < addr || addr+uint64(n) > maxAddress {
		return nil, fmt.Errorf("%w: %#x", errAddress, addr)
	}
	first, last := addr/blockSize, (addr+uint64(n)-1)/blockSize
	if first == last {
		if b := m.block(first); b != nil {
			return b[addr%blockSize:][:n], nil
		}
	}
	if cap(m.scratch) < n {
		m.scratch = make([]byte, n)
	}
	p := m.scratch[:n]
	if got, err := m.r.ReadAt(p, int64(addr)); got < n {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading %d bytes at %#x: %w", n, addr, err)
	}
	return p, nil
}

func (m *memory) block(number uint64) []byte {
	if b, ok := m.blocks[number]; ok {
		return b
	}
	if m.blocks == nil || len(m.blocks) >= maxBlocks {
		m.blocks = make(map[uint64][]byte)
	}
	b := make([]byte, blockSize)
	if n, _ := m.r.ReadAt(b, int64(number*blockSize)); n < blockSize {
		b = nil
	}
	m.blocks[number] = b
	return b
}

func (m *memory) word(addr uint64) (uint64, error) {
	b, err := m.bytes(addr, 8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// dataCopy is a segment of variables.
type dataCopy struct {
	start uint64
	bytes []byte
}

// maxCopies bounds the copies of segments. A larger one is left out, and read when its words are needed.
const maxCopies = 64 << 20

// copyData copies the segments of the modules' variables that hold pointers.
func (t *Table) copyData(ctx context.Context) error {
	left := uint64(maxCopies)
	for i := range t.modules {
		for _, r := range []layout.Range{t.modules[i].data, t.modules[i].bss} {
			if r.End <= r.Start || r.End-r.Start > left {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			c := dataCopy{r.Start, make([]byte, r.End-r.Start)}
			if n, err := t.process.Memory.ReadAt(c.bytes, int64(r.Start)); n < len(c.bytes) {
				return fmt.Errorf("variables at %#x: %w", r.Start, err)
			}
			left -= r.End - r.Start
			t.copies = append(t.copies, c)
		}
	}
	return nil
}

// dataWord reads a word of a variable.
func (t *Table) dataWord(addr uint64) (uint64, error) {
	for _, c := range t.copies {
		if at := addr - c.start; at < uint64(len(c.bytes)) && uint64(len(c.bytes))-at >= wordSize {
			return binary.LittleEndian.Uint64(c.bytes[at:]), nil
		}
	}
	return t.mem.word(addr)
}
