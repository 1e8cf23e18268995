package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Version is the format's version. A reader refuses files of a newer one.
const Version = 1

// magicPrefix and the version in decimal are the first line of a file.
const magicPrefix = "memwarden heap snapshot "

// What is wrong with a file, for errors.Is. The error itself says where.
var (
	// ErrNotSnapshot means that a file is something else.
	ErrNotSnapshot = errors.New("not a heap snapshot of memwarden")
	// ErrVersion means that a file was written by a newer program.
	ErrVersion = errors.New("written in a newer format")
	// ErrTruncated means that a file ends before its end: capturing was interrupted, or copying was.
	ErrTruncated = errors.New("incomplete heap snapshot")
	// ErrDamaged means that a file's bytes contradict their checksums or each other.
	ErrDamaged = errors.New("damaged heap snapshot")
)

// kind says what a chunk holds.
type kind uint32

// The kinds of chunks.
const (
	kindHeader kind = iota + 1
	kindSpans
	kindObjects
	kindTypes
	kindFunctions
	kindShapes
	kindRoots
	kindGoroutines
	kindWeak
	kindSampled
	kindStacks
	kindEnd
	kinds
)

// kindInfo is what holds for all chunks of a kind.
type kindInfo struct {
	name string
	// least is the number of bytes that an entry takes at least: what bounds the entries that a chunk can have.
	least uint64
	// deflate tells that chunks of the kind may be compressed: not those whose entries may be so small, beside what
	// they are once decoded, that a small file would fill a large memory.
	deflate bool
}

var kindInfos = [kinds]kindInfo{
	kindHeader:     {name: "header", least: 1},
	kindSpans:      {name: "spans", least: 4},
	kindObjects:    {name: "objects", least: 1},
	kindTypes:      {name: "types", least: 6, deflate: true},
	kindFunctions:  {name: "functions", least: 4, deflate: true},
	kindShapes:     {name: "shapes", least: 2},
	kindRoots:      {name: "roots", least: 5},
	kindGoroutines: {name: "goroutines", least: 4, deflate: true},
	kindWeak:       {name: "weak pointers", least: 1},
	kindSampled:    {name: "sampled objects", least: 3},
	kindStacks:     {name: "stacks", least: 1},
	kindEnd:        {name: "end"},
}

// String returns the name of a kind as the document gives it.
func (k kind) String() string {
	if k > 0 && k < kinds {
		return kindInfos[k].name
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

// Flags of a chunk.
const (
	flagSkippable = 1 << iota // who does not know the kind may skip the chunk
	flagDeflate               // the payload is compressed
	flagContinued             // objects: it begins in the record that the block before left open
	flagOpen                  // objects: its last record goes on in the next block
	knownFlags    = 1<<iota - 1
)

const (
	headerBytes = 48 // of a chunk
	pageBytes   = 8192
	wordBytes   = 8
	// maxRaw is what a compressed chunk may unfold to, and maxRatio to how many times its stored size.
	maxRaw   = 4 << 20
	maxRatio = 4
	// tableBytes is the size at which the chunk of a table is written.
	tableBytes = 1 << 20
	// maxRootSlot bounds the slots of roots so that a slot's offset in bytes is a number.
	maxRootSlot = 1<<61 - 1
	// maxAddress bounds addresses and sizes of types, so that their sums are numbers.
	maxAddress = 1 << 56
)

// checksum is the CRC-32C of data. The table is made when it is first asked for: most programs that could take a snapshot
// never do.
func checksum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

// chunkHeader stands before each chunk.
type chunkHeader struct {
	kind   kind
	flags  uint32
	count  uint64 // entries
	extra  uint64 // of spans the objects, of objects and roots the edges, of goroutines and stacks the frames
	stored uint64 // bytes of the payload
	raw    uint32 // bytes of the payload once unfolded; 0 if it is not compressed
	number uint32 // of the chunk, from 0
	sum    uint32 // CRC-32C of the payload
}

// size returns how many bytes the payload has once it is unfolded.
func (h *chunkHeader) size() uint64 {
	if h.flags&flagDeflate != 0 {
		return uint64(h.raw)
	}
	return h.stored
}

func (h *chunkHeader) append(b []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.kind))
	b = binary.LittleEndian.AppendUint32(b, h.flags)
	b = binary.LittleEndian.AppendUint64(b, h.count)
	b = binary.LittleEndian.AppendUint64(b, h.extra)
	b = binary.LittleEndian.AppendUint64(b, h.stored)
	b = binary.LittleEndian.AppendUint32(b, h.raw)
	b = binary.LittleEndian.AppendUint32(b, h.number)
	b = binary.LittleEndian.AppendUint32(b, h.sum)
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// parse reads a header. It reports false if its checksum is not right.
func (h *chunkHeader) parse(b *[headerBytes]byte) bool {
	*h = chunkHeader{
		kind:   kind(binary.LittleEndian.Uint32(b[0:])),
		flags:  binary.LittleEndian.Uint32(b[4:]),
		count:  binary.LittleEndian.Uint64(b[8:]),
		extra:  binary.LittleEndian.Uint64(b[16:]),
		stored: binary.LittleEndian.Uint64(b[24:]),
		raw:    binary.LittleEndian.Uint32(b[32:]),
		number: binary.LittleEndian.Uint32(b[36:]),
		sum:    binary.LittleEndian.Uint32(b[40:]),
	}
	return binary.LittleEndian.Uint32(b[44:]) == checksum(b[:44])
}

// check tells what a header claims that cannot be.
func (h *chunkHeader) check() error {
	if h.flags&^knownFlags != 0 {
		return fmt.Errorf("flags %#x, which this format does not have", h.flags)
	}
	if h.kind == 0 || h.kind >= kinds {
		if h.flags&flagSkippable == 0 {
			return fmt.Errorf("its kind %d is not known", uint32(h.kind))
		}
		return nil
	}
	info := &kindInfos[h.kind]
	if h.flags&flagDeflate != 0 {
		if !info.deflate || h.raw > maxRaw || uint64(h.raw) > maxRatio*h.stored {
			return fmt.Errorf("%d bytes compressed to %d, which this format does not allow", h.raw, h.stored)
		}
	} else if h.raw != 0 {
		return fmt.Errorf("a size of %d unfolded bytes, but it is not compressed", h.raw)
	}
	if h.kind != kindObjects && h.flags&(flagContinued|flagOpen) != 0 {
		return fmt.Errorf("flags %#x, which are of objects", h.flags)
	}
	return h.checkCounts(info)
}

// checkCounts holds the claimed numbers of entries against the bytes that there are for them.
func (h *chunkHeader) checkCounts(info *kindInfo) error {
	size := h.size()
	switch h.kind {
	case kindObjects:
		// Records and edges take two bytes each, but for the end of an open record.
		if h.count > size || h.extra > size || 2*(h.count+h.extra) > size+1 {
			return fmt.Errorf("%d records and %d edges in %d bytes", h.count, h.extra, size)
		}
	case kindSpans:
		if h.count > size/info.least || h.extra > 8*size {
			return fmt.Errorf("%d spans and %d objects in %d bytes", h.count, h.extra, size)
		}
	case kindEnd:
	default:
		if h.count > size/info.least || h.extra > size/2 {
			return fmt.Errorf("%d entries in %d bytes", h.count, size)
		}
	}
	return nil
}
