package functab

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Stacks of up to stackWhole bytes are read at once; of larger ones as many bytes are held in memory, in pieces of
// stackPiece bytes.
const (
	stackWhole  = 1 << 20
	stackPiece  = 16 << 10
	stackPieces = stackWhole / stackPiece
)

// stack is the used part of a goroutine's stack.
type stack struct {
	reader    io.ReaderAt
	low, high uint64
	buffer    []byte
	pieces    *[stackPieces]uint64 // which piece of a large stack is in each part of the buffer, plus one; else nil
	err       error                // the first that reading gave
}

// load reads the words from low to high.
func (s *stack) load(r io.ReaderAt, low, high uint64) error {
	s.reader, s.low, s.high, s.err, s.pieces = r, low, high, nil, nil
	size := high - low
	if size > stackWhole {
		s.pieces = new([stackPieces]uint64)
		size = stackWhole
	}
	if uint64(cap(s.buffer)) < size {
		s.buffer = make([]byte, max(size, 16<<10))
	}
	s.buffer = s.buffer[:size]
	if s.pieces != nil {
		return nil
	}
	if err := readFull(r, low, s.buffer); err != nil {
		return fmt.Errorf("stack: %w", err)
	}
	return nil
}

// word returns the word at an address, 0 outside the stack. The address is a multiple of the size of a word.
func (s *stack) word(addr uint64) uint64 {
	at := addr - s.low
	if at >= s.high-s.low { // addresses below wrap around
		return 0
	}
	if s.pieces == nil {
		return binary.LittleEndian.Uint64(s.buffer[at:])
	}
	piece := at / stackPiece
	slot := piece % stackPieces
	if s.pieces[slot] != piece+1 {
		s.fill(piece, slot)
	}
	return binary.LittleEndian.Uint64(s.buffer[slot*stackPiece+at%stackPiece:])
}

func (s *stack) fill(piece, slot uint64) {
	p := s.buffer[slot*stackPiece : (slot+1)*stackPiece]
	start := s.low + piece*stackPiece
	p = p[:min(stackPiece, s.high-start)]
	s.pieces[slot] = piece + 1
	if err := readFull(s.reader, start, p); err != nil {
		clear(p)
		if s.err == nil {
			s.err = fmt.Errorf("stack: %w", err)
		}
	}
}

// holds tells whether an address lies in the used part of the stack.
func (s *stack) holds(addr uint64) bool { return addr-s.low < s.high-s.low }
