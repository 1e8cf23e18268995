package snapshot

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
)

// Totals are the numbers of entries of a snapshot. Those of the tables that have an entry 0 count it.
type Totals struct {
	Objects     uint64
	Spans       uint64
	Blocks      int
	Records     uint64 // objects of spans that are not NoScan
	Edges       uint64 // of records
	Types       uint64
	Functions   uint64
	Shapes      uint64
	Stacks      uint64
	StackFrames uint64
	Roots       uint64
	RootEdges   uint64
	Goroutines  uint64
	Frames      uint64 // of goroutines
	Weak        uint64
	Sampled     uint64
}

// BlockInfo says what a block holds.
type BlockInfo struct {
	// First is the number of the first record, which is the one that the block before began if Continued.
	First   uint64
	Records uint64 // begun in the block
	Edges   uint64
	// FirstEdge is the number of edges in the blocks before.
	FirstEdge uint64
	Continued bool
	Bytes     uint64 // of the block in the file
}

// Reader reads a snapshot. What it returns has been checked: every number is that of an entry which is there, so no
// index behind it is out of range. It is safe for concurrent use if what it reads from is. Errors wrap one of
// ErrNotSnapshot, ErrVersion, ErrTruncated and ErrDamaged, or are those of the file. A table takes at most 80 times the
// bytes that it has in the file, whatever is in it.
//
// Tables are decoded at each call and belong to the caller.
type Reader struct {
	r       io.ReaderAt
	size    int64
	chunks  []chunk
	totals  Totals
	header  Header
	summary Summary
	blocks  []block

	layoutOnce sync.Once
	layout     layout
	layoutErr  error
}

// chunk is a chunk in the file.
type chunk struct {
	chunkHeader
	offset int64 // of the chunk's header
}

// block is a block in the file.
type block struct {
	BlockInfo
	chunk int    // in Reader.chunks
	span  int    // of its first record's object
	skip  uint64 // objects of the span before that
}

// Open reads a snapshot's header and summary and walks over its chunks without decoding them. It costs a read of 48
// bytes for each mebibyte or so. The file must stay as it is while the Reader is in use.
func Open(r io.ReaderAt, size int64) (*Reader, error) {
	in := &Reader{r: r, size: size}
	offset, err := in.magic()
	if err == nil {
		err = in.walk(offset)
	}
	if err == nil {
		err = in.ends()
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return in, nil
}

// Header says what was captured.
func (r *Reader) Header() Header { return r.header }

// Summary is what the writer said at the end.
func (r *Reader) Summary() Summary { return r.summary }

// Totals are the numbers of entries.
func (r *Reader) Totals() Totals { return r.totals }

// BlockInfo says what block i of Totals().Blocks holds, without decoding it.
func (r *Reader) BlockInfo(i int) BlockInfo { return r.blocks[i].BlockInfo }

// magic reads the first line and returns the offset behind it.
func (r *Reader) magic() (int64, error) {
	line := make([]byte, min(int64(len(magicPrefix)+10), max(r.size, 0)))
	if err := r.readAt(line, 0); err != nil {
		return 0, err
	}
	if len(line) < len(magicPrefix) && strings.HasPrefix(magicPrefix, string(line)) && len(line) > 0 {
		return 0, fmt.Errorf("%w: it has %d bytes: was the capture interrupted?", ErrTruncated, len(line))
	}
	text, found := strings.CutPrefix(string(line), magicPrefix)
	if !found {
		return 0, fmt.Errorf("%w: it does not begin with %q", ErrNotSnapshot, magicPrefix)
	}
	digits, _, found := strings.Cut(text, "\n")
	version, err := strconv.ParseUint(digits, 10, 32)
	switch {
	case !found && r.size < int64(len(magicPrefix)+10):
		return 0, fmt.Errorf("%w: it ends in its first line: was the capture interrupted?", ErrTruncated)
	case !found || err != nil || version == 0:
		return 0, fmt.Errorf("%w: its first line has no version", ErrNotSnapshot)
	case version > Version:
		return 0, fmt.Errorf("%w: it has version %d, and this program knows versions up to %d: use a newer memwarden", ErrVersion, version, Version)
	}
	return int64(len(magicPrefix) + len(digits) + 1), nil
}

func (r *Reader) readAt(p []byte, offset int64) error {
	n, err := r.r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends at byte %d, before the %d bytes that it had", ErrTruncated, offset+int64(n), r.size)
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(p), offset, err)
}

// walk reads the headers of all chunks.
func (r *Reader) walk(offset int64) error {
	r.totals = Totals{Types: 1, Functions: 1, Shapes: 1, Stacks: 1}
	for {
		c := chunk{offset: offset}
		number := len(r.chunks)
		if offset == r.size {
			return fmt.Errorf("%w: it ends behind chunk %d without an end chunk: was the capture interrupted?", ErrTruncated, number-1)
		}
		if missing := offset + headerBytes - r.size; missing > 0 {
			return fmt.Errorf("%w: it ends in the middle of the header of chunk %d (at byte %d), at least %d bytes are missing: was the capture interrupted?",
				ErrTruncated, number, offset, missing)
		}
		var head [headerBytes]byte
		if err := r.readAt(head[:], offset); err != nil {
			return err
		}
		if !c.parse(&head) {
			return fmt.Errorf("%w: the header of chunk %d (at byte %d) has a wrong checksum", ErrDamaged, number, offset)
		}
		if c.number != uint32(number) {
			return c.damaged(fmt.Errorf("it calls itself chunk %d: chunks are missing or out of order", c.number), number)
		}
		if err := c.check(); err != nil {
			return c.damaged(err, number)
		}
		if left := uint64(r.size - offset - headerBytes); c.stored > left {
			return fmt.Errorf("%w: it ends in the middle of chunk %d (%s, at byte %d), at least %d bytes are missing: was the capture interrupted?",
				ErrTruncated, number, c.kind, offset, c.stored-left)
		}
		if err := r.add(&c); err != nil {
			return c.damaged(err, number)
		}
		offset += headerBytes + int64(c.stored)
		if c.kind == kindEnd {
			if offset != r.size {
				return fmt.Errorf("%w: %d bytes follow the end", ErrDamaged, r.size-offset)
			}
			return nil
		}
	}
}

// damaged says of which chunk something cannot be.
func (c *chunk) damaged(err error, number int) error {
	return fmt.Errorf("%w: chunk %d (%s, at byte %d): %w", ErrDamaged, number, c.kind, c.offset, err)
}

// add enters a chunk and its counts.
func (r *Reader) add(c *chunk) error {
	t := &r.totals
	first := len(r.chunks) == 0
	if first != (c.kind == kindHeader) {
		return errors.New("the header is not the first chunk, or not the only header")
	}
	switch c.kind {
	case kindSpans:
		if len(r.blocks) > 0 {
			return errors.New("spans behind objects")
		}
		t.Spans += c.count
		t.Objects += c.extra
	case kindObjects:
		if err := r.addBlock(c); err != nil {
			return err
		}
	case kindTypes:
		t.Types += c.count
	case kindFunctions:
		t.Functions += c.count
	case kindShapes:
		t.Shapes += c.count
	case kindStacks:
		t.Stacks += c.count
		t.StackFrames += c.extra
	case kindRoots:
		t.Roots += c.count
		t.RootEdges += c.extra
	case kindGoroutines:
		t.Goroutines += c.count
		t.Frames += c.extra
	case kindWeak:
		t.Weak += c.count
	case kindSampled:
		t.Sampled += c.count
	case kindEnd:
		if c.count != uint64(len(r.chunks)) {
			return fmt.Errorf("it counts %d chunks before it", c.count)
		}
		if n := len(r.blocks); n > 0 && r.chunks[r.blocks[n-1].chunk].flags&flagOpen != 0 {
			return errors.New("the last record is not complete")
		}
	}
	if t.Objects >= math.MaxUint32 || t.Records > t.Objects {
		return fmt.Errorf("%d objects with %d records", t.Objects, t.Records)
	}
	r.chunks = append(r.chunks, *c)
	return nil
}

func (r *Reader) addBlock(c *chunk) error {
	t := &r.totals
	open := false
	if n := len(r.blocks); n > 0 {
		open = r.chunks[r.blocks[n-1].chunk].flags&flagOpen != 0
	}
	continued := c.flags&flagContinued != 0
	if open != continued {
		return errors.New("it does not go on with the record of the block before it")
	}
	if c.flags&flagOpen != 0 && c.count == 0 && !continued {
		return errors.New("it leaves a record open, and has none")
	}
	first := t.Records
	if continued {
		first--
	}
	r.blocks = append(r.blocks, block{
		BlockInfo: BlockInfo{
			First: first, Records: c.count, Edges: c.extra, FirstEdge: t.Edges, Continued: continued, Bytes: c.stored,
		},
		chunk: len(r.chunks),
	})
	t.Blocks++
	t.Records += c.count
	t.Edges += c.extra
	return nil
}

// ends decodes the first and the last chunk. What later versions append to them is not looked at.
func (r *Reader) ends() error {
	last := len(r.chunks) - 1
	for _, number := range []int{0, last} {
		d, err := r.decoder(number, nil)
		if err != nil {
			return err
		}
		if number == 0 {
			d.header(&r.header)
		} else {
			d.summary(&r.summary)
		}
		if d.err != nil {
			return r.chunks[number].damaged(d.err, number)
		}
	}
	if s, t := &r.summary, &r.totals; s.Objects != t.Objects || s.Edges != t.Edges {
		return fmt.Errorf("%w: it says that it has %d objects and %d pointers, and has %d and %d", ErrDamaged, s.Objects, s.Edges, t.Objects, t.Edges)
	}
	return nil
}

// payload reads the payload of a chunk as it is stored, into buf if that is large enough.
func (r *Reader) payload(number int, buf []byte) ([]byte, error) {
	c := &r.chunks[number]
	if c.stored > math.MaxInt {
		return nil, c.damaged(fmt.Errorf("%d bytes are more than this machine can address", c.stored), number)
	}
	if uint64(cap(buf)) < c.stored {
		buf = make([]byte, c.stored)
	}
	buf = buf[:c.stored]
	if err := r.readAt(buf, c.offset+headerBytes); err != nil {
		return nil, err
	}
	if sum := checksum(buf); sum != c.sum {
		return nil, c.damaged(fmt.Errorf("checksum %#x, want %#x", sum, c.sum), number)
	}
	return buf, nil
}

// decoder returns a decoder of a chunk's payload.
func (r *Reader) decoder(number int, unfold *unfolder) (*decoder, error) {
	buf, err := r.payload(number, nil)
	if err != nil {
		return nil, err
	}
	c := &r.chunks[number]
	if c.flags&flagDeflate != 0 {
		if buf, err = unfold.bytes(buf, int(c.raw)); err != nil {
			return nil, c.damaged(err, number)
		}
	}
	return &decoder{buf: buf, totals: &r.totals}, nil
}

// unfolder decompresses chunks, one after another.
type unfolder struct{ stream io.ReadCloser }

// bytes decompresses what must have a size.
func (u *unfolder) bytes(packed []byte, size int) ([]byte, error) {
	in := bytes.NewReader(packed)
	if again, ok := u.stream.(flate.Resetter); !ok {
		u.stream = flate.NewReader(in)
	} else if err := again.Reset(in, nil); err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	raw := make([]byte, size)
	if _, err := io.ReadFull(u.stream, raw); err != nil {
		return nil, fmt.Errorf("decompress to %d bytes: %w", size, err)
	}
	if n, err := u.stream.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("it unfolds to more than its %d bytes", size)
	}
	return raw, nil
}
