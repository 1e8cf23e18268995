package scan

import (
	"encoding/binary"
	"slices"
)

// register is an argument of a call in the registers of Go's calling convention, as far as allocators take types there.
type register uint8

const (
	firstArgument  register = iota // AX, R0
	secondArgument                 // BX, R1
	fifthArgument                  // SI, R4
	registers
)

// callSite is a call with the constant addresses that are loaded for it.
type callSite struct {
	callee uint64
	// loaded are the addresses in the argument registers, 0 where a register holds something else.
	loaded [registers]uint64
}

// siteBytes is how much code before a return address is looked at. The compiler loads the address of a type at most some
// five instructions before the call.
const siteBytes = 64

// decodeCall decodes the call before a return address: code is what lies before pc, and ends there. It returns false
// where there is no direct call. What it makes of code that does not come from the compiler may be nonsense; who uses it
// verifies that the addresses are those of a function and of a type.
func decodeCall(arch string, code []byte, pc uint64) (callSite, bool) {
	switch arch {
	case "amd64":
		return decodeAMD64(code, pc)
	case "arm64":
		return decodeARM64(code, pc)
	}
	return callSite{}, false
}

// The instructions of amd64 that matter: CALL rel32, and LEAQ disp32(IP), r for AX, BX, SI.
const (
	callBytes = 5
	loadBytes = 7
)

var loads = [registers]struct{ modrm, number byte }{{0x05, 0}, {0x1d, 3}, {0x35, 6}}

func decodeAMD64(code []byte, pc uint64) (callSite, bool) {
	end := len(code) - callBytes
	if end < 0 || code[end] != 0xe8 {
		return callSite{}, false
	}
	site := callSite{callee: pc + signed(binary.LittleEndian.Uint32(code[end+1:]))}
	for at := end - loadBytes; at >= 0; at-- {
		if code[at] != 0x48 || code[at+1] != 0x8d {
			continue
		}
		for r, load := range loads {
			if code[at+2] == load.modrm && site.loaded[r] == 0 && leavesAlone(code[at+loadBytes:end], load.number) {
				next := pc - uint64(len(code)-at-loadBytes)
				site.loaded[r] = next + signed(binary.LittleEndian.Uint32(code[at+3:]))
			}
		}
	}
	return site, true
}

func signed(v uint32) uint64 { return uint64(int64(int32(v))) }

// leavesAlone reports whether code is a sequence of instructions that prepare the other arguments of a call, as far as
// they are known here, and write no register of a number.
func leavesAlone(code []byte, number byte) bool {
	for len(code) > 0 {
		n, writes := instruction(code)
		if n == 0 || n > len(code) || writes == number {
			return false
		}
		code = code[n:]
	}
	return true
}

// nothing is the number of no register.
const nothing = 0xff

// instruction returns the length of an instruction of amd64 that moves, loads, stores, clears or adds, and the register
// that it writes; the length 0 for any other.
func instruction(code []byte) (n int, writes byte) {
	at, rex, narrow := 0, byte(0), false
	if code[at] == 0x66 {
		narrow = true
		at++
	}
	if at < len(code) && code[at]&0xf0 == 0x40 {
		rex = code[at]
		at++
	}
	if at >= len(code) {
		return 0, nothing
	}
	op := code[at]
	at++
	switch {
	case op == 0x90: // NOP
		return at, nothing
	case op >= 0xb8 && op <= 0xbf: // MOV $imm, r
		number := op&7 | rex&1<<3
		switch {
		case narrow:
			return 0, nothing
		case rex&8 != 0:
			return at + 8, number
		}
		return at + 4, number
	case op == 0x0f && at < len(code):
		return wideInstruction(code, at, rex)
	}
	length, reg, rm, isRegister := modRM(code[at:], rex)
	if length == 0 {
		return 0, nothing
	}
	at += length
	switch op {
	case 0x88, 0x89, 0x01, 0x29, 0x31: // store, add, subtract, exclusive or: to r/m
		if isRegister {
			return at, rm
		}
		return at, nothing
	case 0x85, 0x39, 0x3b, 0x38, 0x84: // compare
		return at, nothing
	case 0x8b, 0x8a, 0x8d, 0x03, 0x33, 0x63: // load, load an address, add, exclusive or, sign-extend: to r
		return at, reg
	case 0x83, 0xc6, 0xc1, 0x6b: // with a byte
		at++
	case 0x81, 0xc7: // with 4 bytes
		if narrow {
			return 0, nothing
		}
		at += 4
	case 0xd1, 0xf7:
		if op == 0xf7 && (code[at-length]>>3&7 < 2 || code[at-length]>>3&7 > 3) {
			return 0, nothing // it tests a constant, or multiplies into AX and DX
		}
	default:
		return 0, nothing
	}
	switch {
	case op == 0x6b:
		return at, reg
	case isRegister:
		return at, rm
	}
	return at, nothing
}

// wideInstruction is instruction for what begins with 0x0f: long NOPs, moves of wide registers, extensions, and
// conditional moves.
func wideInstruction(code []byte, at int, rex byte) (n int, writes byte) {
	op := code[at]
	length, reg, _, _ := modRM(code[at+1:], rex)
	if length == 0 {
		return 0, nothing
	}
	at += 1 + length
	switch {
	case op == 0x1f, op == 0x10, op == 0x11: // NOP, MOVUPS
		return at, nothing
	case op == 0xb6, op == 0xb7, op == 0xbe, op == 0xbf, op == 0xaf, op&0xf0 == 0x40:
		return at, reg
	}
	return 0, nothing
}

// modRM decodes what tells an instruction's operands, and returns its length, 0 if it ends too early.
func modRM(code []byte, rex byte) (length int, reg, rm byte, isRegister bool) {
	if len(code) == 0 {
		return 0, 0, 0, false
	}
	m := code[0]
	reg, rm = m>>3&7|rex&4<<1, m&7|rex&1<<3
	length = 1
	if m>>6 == 3 {
		return length, reg, rm, true
	}
	if m&7 == 4 {
		if len(code) < 2 {
			return 0, 0, 0, false
		}
		length++
		if m>>6 == 0 && code[1]&7 == 5 {
			length += 4
		}
	}
	switch {
	case m>>6 == 1:
		length++
	case m>>6 == 2, m>>6 == 0 && m&7 == 5:
		length += 4
	}
	return length, reg, rm, false
}

// decodeARM64 is decodeCall for BL, with ADRP and ADD before it.
func decodeARM64(code []byte, pc uint64) (callSite, bool) {
	words := len(code) / 4
	code = code[len(code)-words*4:]
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(code[i*4:]) }
	if words == 0 || word(words-1)>>26 != 0b100101 {
		return callSite{}, false
	}
	site := callSite{callee: pc - 4 + uint64(int64(int32(word(words-1)<<6)>>6)*4)}
	address := func(i int) uint64 { return pc - uint64(words-i)*4 }
	written := []uint32{}
	for i := words - 2; i >= 0; i-- {
		w := word(i)
		r := slices.Index([]uint32{0, 1, 4}, w&31)
		// ADD $imm12, Rn, Rd, of 64 bits and without a shift.
		if w>>22 == 0b1001000100 && r >= 0 && !slices.Contains(written, w&31) {
			if page, ok := pageOf(code[:i*4], address(i), w>>5&31); ok {
				site.loaded[r] = page + uint64(w>>10&0xfff)
			}
		}
		to, known := writtenARM64(w)
		if !known {
			break
		}
		written = append(written, to...)
	}
	return site, true
}

// pageOf returns the page that the ADRP before an ADD loads into its register; the linker keeps the two together.
func pageOf(code []byte, pc uint64, register uint32) (uint64, bool) {
	if len(code) < 4 {
		return 0, false
	}
	w := binary.LittleEndian.Uint32(code[len(code)-4:])
	if w>>31 != 1 || w>>24&31 != 0b10000 || w&31 != register {
		return 0, false
	}
	pages := int64(int32((w>>5&0x7ffff<<2|w>>29&3)<<11) >> 11)
	return ((pc - 4) &^ 4095) + uint64(pages<<12), true
}

// writtenARM64 returns the registers that an instruction writes, false if it may change where control goes.
func writtenARM64(w uint32) ([]uint32, bool) {
	switch {
	case w>>26&7 == 0b101: // branches, and what concerns the system, NOP among it
		return nil, w == 0xd503201f
	case w>>25&5 != 0b100: // no load or store
		return []uint32{w & 31}, true
	case w>>27&7 == 0b101: // of a pair
		return []uint32{w & 31, w >> 10 & 31, w >> 5 & 31}, true
	}
	return []uint32{w & 31, w >> 5 & 31}, true
}
