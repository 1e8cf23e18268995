package gotype

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	wordSize   = 8
	headerSize = 48 // abi.Type

	// Bits of abi.Type.TFlag.
	flagUncommon  = 1 << 0
	flagExtraStar = 1 << 1
	flagNamed     = 1 << 2
	// flagDirect says since 1.26 what the same bit of Kind_ said before.
	flagDirect  = 1 << 5
	knownFlags  = 1<<6 - 1
	kindMask    = 1<<5 - 1
	directMinor = 26
)

// header is abi.Type, with which every descriptor begins.
type header struct {
	size, ptrBytes uint64
	hash           uint32
	flags          uint8
	align          uint8
	fieldAlign     uint8
	kind           snapshot.Kind
	direct         bool
	equal, gcdata  uint64
	str            int32 // offset of the name from the module's types
}

// parseHeader decodes the first 48 bytes of a descriptor of Go 1.minor.
func parseHeader(b []byte, minor int) header {
	h := header{
		size:       binary.LittleEndian.Uint64(b),
		ptrBytes:   binary.LittleEndian.Uint64(b[8:]),
		hash:       binary.LittleEndian.Uint32(b[16:]),
		flags:      b[20],
		align:      b[21],
		fieldAlign: b[22],
		kind:       snapshot.Kind(b[23]),
		equal:      binary.LittleEndian.Uint64(b[24:]),
		gcdata:     binary.LittleEndian.Uint64(b[32:]),
		str:        int32(binary.LittleEndian.Uint32(b[40:])),
	}
	if minor < directMinor {
		h.direct = h.kind&flagDirect != 0
		h.kind &= kindMask
	} else {
		h.direct = h.flags&flagDirect != 0
	}
	return h
}

// plausible reports whether bytes can be a descriptor's header: it rejects nearly everything else, fast.
func plausible(b []byte) bool {
	kind := b[23] & kindMask
	return kind > 0 && kind <= byte(snapshot.UnsafePointer) && b[23]&^(kindMask|flagDirect) == 0 &&
		b[20]&^knownFlags == 0 && powerOfTwo(b[21]) && powerOfTwo(b[22])
}

func powerOfTwo(b uint8) bool { return bits.OnesCount8(b) == 1 }

// fixed are the size, the pointer prefix and the alignment of the kinds that have only one.
var fixed = [snapshot.UnsafePointer + 1]struct{ size, ptrBytes, align uint8 }{
	snapshot.Bool: {1, 0, 1}, snapshot.Int: {8, 0, 8}, snapshot.Int8: {1, 0, 1}, snapshot.Int16: {2, 0, 2},
	snapshot.Int32: {4, 0, 4}, snapshot.Int64: {8, 0, 8}, snapshot.Uint: {8, 0, 8}, snapshot.Uint8: {1, 0, 1},
	snapshot.Uint16: {2, 0, 2}, snapshot.Uint32: {4, 0, 4}, snapshot.Uint64: {8, 0, 8}, snapshot.Uintptr: {8, 0, 8},
	snapshot.Float32: {4, 0, 4}, snapshot.Float64: {8, 0, 8}, snapshot.Complex64: {8, 0, 4},
	snapshot.Complex128: {16, 0, 8}, snapshot.Chan: {8, 8, 8}, snapshot.Func: {8, 8, 8},
	snapshot.Interface: {16, 16, 8}, snapshot.Map: {8, 8, 8}, snapshot.Pointer: {8, 8, 8}, snapshot.Slice: {24, 8, 8},
	snapshot.String: {16, 8, 8}, snapshot.UnsafePointer: {8, 8, 8},
}

var errHeader = errors.New("no type descriptor")

// check reports why a header cannot be a descriptor's.
func (h *header) check() error {
	if h.kind == snapshot.Invalid || h.kind > snapshot.UnsafePointer || h.flags&^knownFlags != 0 ||
		!powerOfTwo(h.align) || !powerOfTwo(h.fieldAlign) || h.align > 64 {
		return fmt.Errorf("%w: kind %d, flags %#x, alignment %d", errHeader, h.kind, h.flags, h.align)
	}
	if h.size > maxSize || h.ptrBytes > h.size || h.ptrBytes%wordSize != 0 || h.size%uint64(h.align) != 0 {
		return fmt.Errorf("%w: size %d, pointers in %d, alignment %d", errHeader, h.size, h.ptrBytes, h.align)
	}
	f := fixed[h.kind]
	if f.size == 0 { // array or struct
		return nil
	}
	// A pointer to what is not in the heap counts as none.
	outside := h.kind == snapshot.Pointer && h.ptrBytes == 0
	if h.size != uint64(f.size) || h.ptrBytes != uint64(f.ptrBytes) && !outside || h.align != f.align {
		return fmt.Errorf("%w: kind %d with size %d, pointers in %d, alignment %d", errHeader, h.kind, h.size, h.ptrBytes,
			h.align)
	}
	return nil
}
