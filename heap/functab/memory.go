package functab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	blockSize = 4096 // a page: it is mapped as a whole or not at all
	maxBlocks = 2048
	wordSize  = 8
)

// memory reads the tables of the process through a cache, which is emptied when it is full. It is safe for concurrent
// use.
type memory struct {
	reader io.ReaderAt

	mu     sync.RWMutex
	blocks map[uint64][]byte // by address; shorter than a block where memory ends
}

func newMemory(r io.ReaderAt) *memory {
	return &memory{reader: r, blocks: make(map[uint64][]byte)}
}

// at returns what the cache has from an address on: at least one byte, and at most up to the end of a block. The bytes
// are not to be changed.
func (m *memory) at(addr uint64) ([]byte, error) {
	start := addr &^ (blockSize - 1)
	m.mu.RLock()
	block, known := m.blocks[start]
	m.mu.RUnlock()
	if !known {
		block = make([]byte, blockSize)
		if start > 1<<63-blockSize {
			return nil, fmt.Errorf("address %#x is not a program's", addr)
		}
		n, err := m.reader.ReadAt(block, int64(start))
		if n == 0 {
			if err == nil {
				err = io.ErrNoProgress
			}
			return nil, fmt.Errorf("read at %#x: %w", addr, err)
		}
		block = block[:n]
		m.mu.Lock()
		if len(m.blocks) >= maxBlocks {
			clear(m.blocks)
		}
		m.blocks[start] = block
		m.mu.Unlock()
	}
	if int(addr-start) >= len(block) {
		return nil, fmt.Errorf("read at %#x: %w", addr, io.ErrUnexpectedEOF)
	}
	return block[addr-start:], nil
}

// read fills p.
func (m *memory) read(addr uint64, p []byte) error {
	for len(p) > 0 {
		b, err := m.at(addr)
		if err != nil {
			return err
		}
		n := copy(p, b)
		p, addr = p[n:], addr+uint64(n)
	}
	return nil
}

func (m *memory) uint32(addr uint64) (uint32, error) {
	var p [4]byte
	err := m.read(addr, p[:])
	return binary.LittleEndian.Uint32(p[:]), err
}

func (m *memory) uint64(addr uint64) (uint64, error) {
	var p [8]byte
	err := m.read(addr, p[:])
	return binary.LittleEndian.Uint64(p[:]), err
}

func (m *memory) int32(addr uint64) (int32, error) {
	v, err := m.uint32(addr)
	return int32(v), err
}

// readFull fills p past any cache.
func readFull(r io.ReaderAt, addr uint64, p []byte) error {
	if addr > 1<<63-1-uint64(len(p)) {
		return fmt.Errorf("address %#x is not a program's", addr)
	}
	if n, err := r.ReadAt(p, int64(addr)); n < len(p) {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read %d bytes at %#x: %w", len(p), addr, err)
	}
	return nil
}

const (
	maxText  = 64 << 10 // bounds names, generic ones included, and paths of files
	maxTexts = 32 << 20 // bounds all that are kept
)

var errLongText = errors.New("text without end")

// texts are the names and the files, read once each. They are safe for concurrent use.
type texts struct {
	memory *memory

	mu    sync.RWMutex
	known map[uint64]string
	size  int
}

// get returns the text that ends with a zero byte.
func (t *texts) get(addr uint64) (string, error) {
	t.mu.RLock()
	found, known := t.known[addr]
	t.mu.RUnlock()
	if known {
		return found, nil
	}
	var text []byte
	for at := addr; ; {
		b, err := t.memory.at(at)
		if err != nil {
			return "", err
		}
		if end := bytes.IndexByte(b, 0); end >= 0 {
			text = append(text, b[:end]...)
			break
		}
		text = append(text, b...)
		at += uint64(len(b))
		if len(text) > maxText {
			return "", errLongText
		}
	}
	found = string(text)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.size += len(found); t.size > maxTexts {
		clear(t.known)
		t.size = len(found)
	}
	t.known[addr] = found
	return found, nil
}
