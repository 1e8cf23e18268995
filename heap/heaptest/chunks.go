package heaptest

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// Chunk is one of the parts that a snapshot's file is made of, taken out to be changed.
type Chunk struct {
	Kind, Flags  uint32
	Count, Extra uint64
	Payload      []byte // not compressed
}

// The kinds of chunks that Sign looks at, and of Chunks; see docs/format/snapshot.md.
const (
	ChunkSpans   = 2
	ChunkObjects = 3
	ChunkEnd     = 12
)

const (
	chunkHeaderBytes = 48
	chunkCompressed  = 2 // of the flags
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Chunks takes a file apart that snapshot.Writer has written.
func Chunks(data []byte) []Chunk {
	var chunks []Chunk
	rest := data[bytes.IndexByte(data, '\n')+1:]
	for len(rest) > 0 {
		stored := binary.LittleEndian.Uint64(rest[24:])
		c := Chunk{
			Kind: binary.LittleEndian.Uint32(rest), Flags: binary.LittleEndian.Uint32(rest[4:]),
			Count: binary.LittleEndian.Uint64(rest[8:]), Extra: binary.LittleEndian.Uint64(rest[16:]),
			Payload: bytes.Clone(rest[chunkHeaderBytes : chunkHeaderBytes+stored]),
		}
		if c.Flags&chunkCompressed != 0 {
			var err error
			if c.Payload, err = io.ReadAll(flate.NewReader(bytes.NewReader(c.Payload))); err != nil {
				panic(fmt.Sprintf("heaptest: chunk %d: %v", len(chunks), err))
			}
			c.Flags &^= chunkCompressed
		}
		chunks = append(chunks, c)
		rest = rest[chunkHeaderBytes+stored:]
	}
	return chunks
}

// Sign makes a file of chunks, whatever is in them: sizes, numbers and checksums are right, and what the end says of the
// chunks, objects and pointers before it is what these claim. A reader has to look at the contents to see what is wrong.
func Sign(chunks []Chunk) []byte {
	out := []byte("memwarden heap snapshot 1\n")
	objects, edges := uint64(0), uint64(0)
	for number, c := range chunks {
		switch c.Kind {
		case ChunkSpans:
			objects += c.Extra
		case ChunkObjects:
			edges += c.Extra
		case ChunkEnd:
			c.Count = uint64(number)
			c.Payload = sumUp(c.Payload, objects, edges)
		}
		start := len(out)
		out = binary.LittleEndian.AppendUint32(out, c.Kind)
		out = binary.LittleEndian.AppendUint32(out, c.Flags)
		out = binary.LittleEndian.AppendUint64(out, c.Count)
		out = binary.LittleEndian.AppendUint64(out, c.Extra)
		out = binary.LittleEndian.AppendUint64(out, uint64(len(c.Payload)))
		out = binary.LittleEndian.AppendUint32(out, 0) // it is not compressed
		out = binary.LittleEndian.AppendUint32(out, uint32(number))
		out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(c.Payload, castagnoli))
		out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out[start:], castagnoli))
		out = append(out, c.Payload...)
	}
	return out
}

// sumUp puts other numbers of objects and pointers where the end's payload begins with them.
func sumUp(payload []byte, objects, edges uint64) []byte {
	rest := payload
	for range 2 {
		_, n := binary.Uvarint(rest)
		if n <= 0 {
			return payload
		}
		rest = rest[n:]
	}
	return append(binary.AppendUvarint(binary.AppendUvarint(nil, objects), edges), rest...)
}
