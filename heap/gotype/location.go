package gotype

import "math/bits"

// Operations of location expressions.
const (
	opAddr      = 0x03
	opConst1u   = 0x08
	opConst1s   = 0x09
	opConst2u   = 0x0a
	opConst2s   = 0x0b
	opConst4u   = 0x0c
	opConst4s   = 0x0d
	opConst8u   = 0x0e
	opConst8s   = 0x0f
	opConstu    = 0x10
	opConsts    = 0x11
	opMinus     = 0x1c
	opPlus      = 0x22
	opPlusConst = 0x23
	opLit0      = 0x30
	opLit31     = 0x4f
	opReg0      = 0x50
	opReg31     = 0x6f
	opRegx      = 0x90
	opFbreg     = 0x91
	opPiece     = 0x93
	opCFA       = 0x9c
	opAddrx     = 0xa1
)

// piece is a part of a value that lies in a frame.
type piece struct {
	start, size uint64 // in the value; size 0: all of it
	offset      int64  // in the frame, from the canonical frame address
}

// maxPieces bounds what a location is made of; the compiler takes values of four words apart.
const maxPieces = 64

// frameLocation evaluates a location expression and returns what of the value lies in the frame. What is in registers,
// was optimised away or is computed is not.
//
// The compiler takes small structs apart and lists the parts without the padding between them, which is put back here:
// each part has its own alignment.
func frameLocation(expr []byte) []piece {
	var pieces []piece
	m := stackMachine{cursor: cursor{b: expr}}
	start := uint64(0)
	for m.at < uint64(len(expr)) {
		if m.b[m.at] != opPiece {
			if !m.step() {
				return nil
			}
			continue
		}
		m.at++
		size := m.uleb()
		if m.bad || len(pieces) >= maxPieces || size > maxSize {
			return nil
		}
		if bits.OnesCount64(size) == 1 && size <= wordSize {
			start = (start + size - 1) &^ (size - 1)
		}
		if offset, ok := m.pop(); ok && size > 0 {
			if n := len(pieces); n > 0 && pieces[n-1].follows(start, offset) {
				pieces[n-1].size = start + size - pieces[n-1].start
			} else {
				pieces = append(pieces, piece{start, size, offset})
			}
		}
		start += size
	}
	if offset, ok := m.pop(); ok && start == 0 {
		return []piece{{offset: offset}}
	}
	return pieces
}

// follows reports whether what lies at a place in the value and at one in the frame continues the piece.
func (p *piece) follows(start uint64, offset int64) bool {
	return int64(start-p.start) == offset-p.offset
}

// stackMachine evaluates the few operations that the compiler uses for what lies in a frame.
type stackMachine struct {
	cursor
	stack []operand
}

// operand is a number, or relative to the frame's canonical frame address.
type operand struct {
	n     int64
	frame bool
}

// pop takes the address on the stack, if it is one in the frame, and empties the stack for the next piece.
func (m *stackMachine) pop() (int64, bool) {
	s := m.stack
	m.stack = nil
	if len(s) == 0 || !s[len(s)-1].frame {
		return 0, false
	}
	return s[len(s)-1].n, true
}

// step evaluates an operation; false if it is none of those.
func (m *stackMachine) step() bool {
	op := m.u8()
	switch {
	case op == opFbreg:
		m.push(operand{m.sleb(), true})
	case op == opCFA:
		m.push(operand{0, true})
	case op >= opReg0 && op <= opReg31:
		m.push(operand{})
	case op == opRegx:
		m.uleb()
		m.push(operand{})
	case op == opPlus || op == opMinus:
		return m.binary(op == opMinus)
	case op == opPlusConst:
		m.push(operand{n: int64(m.uleb())})
		return m.binary(false)
	default:
		n, ok := m.constant(op)
		if !ok {
			return false
		}
		m.push(operand{n: n})
	}
	return !m.bad && len(m.stack) <= maxPieces
}

func (m *stackMachine) push(o operand) { m.stack = append(m.stack, o) }

func (m *stackMachine) binary(minus bool) bool {
	n := len(m.stack)
	if n < 2 || m.bad {
		return false
	}
	a, b := m.stack[n-2], m.stack[n-1]
	m.stack = m.stack[:n-2]
	if minus {
		m.push(operand{a.n - b.n, a.frame && !b.frame})
	} else {
		m.push(operand{a.n + b.n, a.frame != b.frame})
	}
	return true
}

func (m *stackMachine) constant(op uint8) (int64, bool) {
	switch op {
	case opConst1u:
		return int64(m.u8()), true
	case opConst1s:
		return int64(int8(m.u8())), true
	case opConst2u:
		return int64(m.u16()), true
	case opConst2s:
		return int64(int16(m.u16())), true
	case opConst4u:
		return int64(m.u32()), true
	case opConst4s:
		return int64(int32(m.u32())), true
	case opConst8u, opConst8s:
		return int64(m.u64()), true
	case opConstu:
		return int64(m.uleb()), true
	case opConsts:
		return m.sleb(), true
	}
	return int64(op - opLit0), op >= opLit0 && op <= opLit31
}
