package layout

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
)

// image is the memory of a process that never was: one mapping, at the address imageBase.
type image []byte

const (
	imageBase = 0x100000
	imageSize = 0x40000
	imageText = imageBase           // code: a page
	imageData = imageBase + 0x1000  // variables: the heap's and the queues'
	imageList = imageBase + 0x3000  // arrays of pointers
	imageMeta = imageBase + 0x4000  // spans, goroutines, blocks of queues
	imageBits = imageBase + 0x10000 // bitmaps
	imageHeap = imageBase + 0x20000 // pages
	heapState = uint32(1000)        // the heap's sweep generation
	imageHead = imageData           // of mheap, so that the slice of spans is in imageData
	funcAddr  = imageText + 8       // of a function
	funcValue = imageData + 0x1000  // a funcval
	imageSpan = uint64(0x200)       // from one span to the next
	imageStep = imageMeta + 0x8000  // goroutines
)

func (m image) ReadAt(p []byte, off int64) (int, error) {
	if off < imageBase || off >= imageBase+imageSize {
		return 0, io.EOF
	}
	n := copy(p, m[off-imageBase:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m image) put(addr, value uint64)      { binary.LittleEndian.PutUint64(m[addr-imageBase:], value) }
func (m image) put32(addr uint64, v uint32) { binary.LittleEndian.PutUint32(m[addr-imageBase:], v) }
func (m image) put16(addr uint64, v uint16) { binary.LittleEndian.PutUint16(m[addr-imageBase:], v) }
func (m image) put8(addr uint64, v uint8)   { m[addr-imageBase] = v }

// runtime returns a Runtime that reads the image.
func (m image) runtime(minor int, arch string) *Runtime {
	p := Process{
		Memory:   m,
		Mappings: []Mapping{{Start: imageBase, End: imageBase + imageSize, Readable: true, Writable: true}},
	}
	r := &Runtime{Process: p, Minor: minor, Arch: arch, GreenTea: minor >= 26, memory: newCache(p), names: tableOf(minor)}
	r.at.load(r.names, arch)
	r.ELF = new(elf.File)
	r.symbols = map[string]uint64{}
	r.Modules = []Module{{Text: Range{imageText, imageText + 0x1000}, BSS: Range{imageData, imageList}}}
	return r
}

// fakeSpan is a span of an image.
type fakeSpan struct {
	state, class        uint8
	elemSize            uint64
	slots, free, count  uint16
	sweep               int32 // less the heap's
	alloc, mark, inline []byte
	arena               bool
}

// addSpan writes the span with a number, of one page; its address is returned.
func (m image) addSpan(r *Runtime, number int, f fakeSpan) uint64 {
	at, addr := &r.at.span, imageMeta+uint64(number)*imageSpan
	start := uint64(imageHeap + number*heapPage)
	m.put(addr+at.startAddr, start)
	m.put(addr+at.npages, 1)
	m.put(addr+at.elemsize, f.elemSize)
	m.put(addr+at.limit, start+f.elemSize*uint64(f.slots))
	m.put16(addr+at.nelems, f.slots)
	m.put16(addr+at.freeindex, f.free)
	m.put16(addr+at.freeIndexForScan, f.free)
	m.put16(addr+at.allocCount, f.count)
	m.put8(addr+at.spanclass, f.class)
	m.put8(addr+at.state, f.state)
	m.put32(addr+at.sweepgen, heapState+uint32(f.sweep))
	if f.elemSize > 0 {
		m.put32(addr+at.divMul, uint32((1<<32+f.elemSize-1)/f.elemSize))
	}
	bits := uint64(imageBits + number*0x400)
	m.put(addr+at.allocBits, bits)
	m.put(addr+at.gcmarkBits, bits+0x200)
	copy(m[bits-imageBase:], f.alloc)
	copy(m[bits+0x200-imageBase:], f.mark)
	copy(m[start+heapPage-marksOffset-imageBase:], f.inline)
	if f.arena {
		m.put8(addr+at.isUserArenaChunk, 1)
	}
	m.put(imageList+uint64(number)*8, addr)
	head := imageHead + r.at.heap.allspans%0x100
	m.put(head, imageList)
	m.put(head+8, uint64(number)+1)
	m.put(head+16, uint64(number)+1)
	m.put32(head-r.at.heap.allspans+r.at.heap.sweepgen, heapState)
	return addr
}

// accept makes the runtime use the image's spans.
func (m image) accept(t testing.TB, r *Runtime) {
	t.Helper()
	head := imageHead + r.at.heap.allspans%0x100
	all, err := r.sliceAt(head)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.acceptSpans(head-r.at.heap.allspans, all, nil); err != nil {
		t.Fatal(err)
	}
}

func eachTable(t *testing.T, test func(t *testing.T, minor int, arch string)) {
	for _, minor := range minors {
		for _, arch := range []string{"amd64", "arm64"} {
			t.Run(arch, func(t *testing.T) { test(t, minor, arch) })
		}
	}
}

// TestLive goes through the states that a span can be in.
func TestLive(t *testing.T) {
	eachTable(t, func(t *testing.T, minor int, arch string) {
		scan, noscan := uint8(5<<1), uint8(5<<1|1)
		for name, test := range map[string]struct {
			fakeSpan
			live, marked uint64 // slots
			tea          uint64 // live slots with Green Tea, if it differs
		}{
			"swept": {fakeSpan{1, scan, 64, 100, 3, 6, 0, []byte{0b1001_0001}, []byte{0xff}, nil, false}, 5, 3, 0},
			"fresh": {fakeSpan{1, noscan, 64, 100, 7, 7, 3, nil, []byte{1}, nil, false}, 7, 0, 0},
			"full":  {fakeSpan{1, scan, 64, 100, 100, 100, 0, []byte{1}, nil, nil, false}, 100, 1, 0},
			"unswept": {fakeSpan{1, scan, 64, 100, 100, 100, -2, []byte{0xff}, []byte{0b11}, []byte{0b110},
				false}, 2, 2, 3},
			"unswept and cached": {fakeSpan{1, noscan, 64, 100, 100, 100, 1, nil, []byte{0b11}, nil, false}, 2, 2, 0},
			"wide, unswept":      {fakeSpan{1, scan, 1024, 8, 8, 8, -2, nil, []byte{0xff, 0xff}, nil, false}, 8, 8, 0},
			"sweeper before the exchange": {fakeSpan{1, scan, 64, 100, 100, 100, -1, []byte{0xff}, []byte{1}, nil,
				false}, 1, 1, 0},
			"sweeper after it":       {fakeSpan{1, scan, 64, 100, 0, 2, -1, []byte{0b101}, nil, nil, false}, 2, 2, 0},
			"sweeper of a dead span": {fakeSpan{1, scan, 64, 100, 100, 100, -1, []byte{0xff}, nil, nil, false}, 0, 0, 0},
			"arena, freed":           {fakeSpan{1, 1, 8192, 1, 1, 1, -40, nil, nil, nil, true}, 1, 0, 0},
		} {
			m := make(image, imageSize)
			r := m.runtime(minor, arch)
			m.addSpan(r, 0, test.fakeSpan)
			m.accept(t, r)
			spans, err := r.Spans(context.Background())
			if err != nil || len(spans) != 1 {
				t.Fatalf("%s: %v, %v", name, spans, err)
			}
			live, marked := test.live, test.marked
			if test.tea != 0 && r.GreenTea {
				live, marked = test.tea, test.tea
			}
			s := &spans[0]
			if s.Objects() != live || s.MarkedBytes != marked*s.ElemSize {
				t.Errorf("go1.%d %s: %d live, %d bytes marked, want %d and %d slots",
					minor, name, s.Objects(), s.MarkedBytes, live, marked)
			}
			if s.NoScan != (test.class&1 == 1) || s.Header != (s.ElemSize > 512 && !s.NoScan) {
				t.Errorf("%s: %+v", name, *s)
			}
			end := uint64(0)
			if !s.NoScan && s.ElemSize <= 512 {
				end = s.End() - 128
				if r.GreenTea {
					end -= 128
				}
			}
			if s.HeapBits != end {
				t.Errorf("%s: heap bits at %#x, want %#x", name, s.HeapBits, end)
			}
		}
	})
}

// TestSpanKinds decodes what are not spans of small objects.
func TestSpanKinds(t *testing.T) {
	m := make(image, imageSize)
	r := m.runtime(26, "amd64")
	m.addSpan(r, 0, fakeSpan{state: spanManual, elemSize: 2048})
	m.addSpan(r, 1, fakeSpan{state: spanManual}) // work buffers
	m.addSpan(r, 2, fakeSpan{state: spanDead})
	large := m.addSpan(r, 3, fakeSpan{state: spanInUse, elemSize: 8192, slots: 1, free: 1, count: 1})
	m.put(large+r.at.span.largeType, imageText)
	m.addSpan(r, 4, fakeSpan{state: spanInUse, elemSize: 8192, slots: 1, free: 1, count: 1, arena: true})
	m.accept(t, r)
	spans, err := r.Spans(context.Background())
	if err != nil || len(spans) != 3 {
		t.Fatalf("%+v, %v", spans, err)
	}
	if s := spans[0]; !s.Stack || s.Slots != 0 {
		t.Errorf("stack: %+v", s)
	}
	if s := spans[1]; s.Type != imageText || s.Header || s.HeapBits != 0 || !s.Allocated(0) || s.Allocated(1) {
		t.Errorf("large: %+v", s)
	}
	if s := spans[2]; !s.UserArena || s.Type != 0 || s.HeapBits != s.End()-128 {
		t.Errorf("arena: %+v", s)
	}
	m.put(imageList+8, imageMeta) // the same span twice
	if _, err := m.runtime(26, "amd64").Spans(context.Background()); err != nil {
		t.Error(err) // no spans accepted: none
	}
	r.memory = newCache(r.Process)
	if _, err := r.Spans(context.Background()); err == nil {
		t.Error("overlapping spans: no error")
	}
}

// TestQueues puts finalizers and cleanups into the queues of each version, and finds them by symbol and by shape.
func TestQueues(t *testing.T) {
	eachTable(t, func(t *testing.T, minor int, arch string) {
		for _, stripped := range []bool{false, true} {
			m := make(image, imageSize)
			r := m.runtime(minor, arch)
			r.Modules[0].NoPtrBSS = Range{imageData, imageData + 0x800}
			r.Modules[0].BSS = Range{imageData + 0x800, imageList}
			m.put(funcValue, funcAddr)
			want := 0
			for i, q := range r.queues() {
				head := uint64(imageData + i*0x800)
				block := imageMeta + uint64(i)*0x4000
				second := block + 0x2000
				m.put(head+q.head, block)
				m.put(block+q.link, second)
				m.put32(block+q.count, 2)
				m.put32(second+q.count, 1)
				for _, entry := range []uint64{block + q.entries + q.stride, second + q.entries} { // the first is done
					for _, off := range q.words {
						m.put(entry+off, funcValue)
						want++
					}
				}
				if !stripped {
					r.symbols[q.symbol] = head
				}
			}
			words, err := r.Queued(context.Background())
			if err != nil || len(words) != want {
				t.Errorf("go1.%d, stripped %t: %d words, want %d: %v", minor, stripped, len(words), want, err)
			}
			for _, w := range words {
				if w.Value != funcValue {
					t.Errorf("word %+v", w)
				}
			}
		}
	})
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m := make(image, imageSize)
	r := m.runtime(26, "arm64")
	if _, err := r.Queued(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for i := range uint64(0x1000 / 8) { // one span, very often: enough that the context is looked at
		m.put(imageList+i*8, imageMeta)
	}
	r.allspans, r.allgs = Slice{imageList, 4096}, Slice{imageList, 4096}
	if _, err := r.Spans(ctx); err == nil {
		t.Error("spans: no error")
	}
	if _, err := r.Goroutines(ctx); err == nil {
		t.Error("goroutines: no error")
	}
}

// FuzzDecode decodes whatever a process's memory holds: errors, but no panics, and nothing allocated for what is not
// mapped. The inputs are what the variables, the arrays and the structures begin with.
func FuzzDecode(f *testing.F) {
	const part = 0x400
	for _, minor := range []int{24, 25, 26, 27} {
		m := make(image, imageSize)
		r := m.runtime(minor, "amd64")
		span := fakeSpan{state: spanInUse, class: 10, elemSize: 64, slots: 100, free: 3, count: 6, alloc: []byte{1}}
		special := m.addSpan(r, 0, span) + r.at.span.specials
		m.put(special, imageMeta+0x200)
		m.put8(imageMeta+0x200+r.at.special.kind, 3)
		f.Add(minor, []byte(m[imageData-imageBase:][:0x80]), []byte(m[imageList-imageBase:][:8]),
			[]byte(m[imageMeta-imageBase:][:0x280]), uint64(imageMeta))
	}
	f.Fuzz(func(_ *testing.T, minor int, data, list, meta []byte, addr uint64) {
		if tableOf(minor) == nil {
			return
		}
		m := make(image, imageSize)
		for at, bytes := range map[int][]byte{imageData: data, imageList: list, imageMeta: meta} {
			copy(m[at-imageBase:][:part], bytes)
		}
		fuzzed(m.runtime(minor, "amd64"), addr)
	})
}

func fuzzed(r *Runtime, addr uint64) {
	ctx := context.Background()
	head := imageHead + r.at.heap.allspans%0x100
	if s, err := r.sliceAt(head); err == nil && r.acceptSpans(head-r.at.heap.allspans, s, nil) == nil {
		if spans, err := r.Spans(ctx); err == nil {
			_ = r.Specials(spans, func(s Special) error { _, err := r.ProfileStack(s.Bucket); return err })
		}
	}
	_, _, _ = r.readModule(addr)
	_ = r.acceptGoroutines(Slice{addr, 3})
	r.allgs = Slice{imageList, 3}
	_, _ = r.Goroutines(ctx)
	_ = r.functionName(addr)
	_, _ = r.Queued(ctx)
	for _, q := range r.queues() {
		r.symbols[q.symbol] = imageData
	}
	_, _ = r.Queued(ctx)
	_, _ = r.String(addr, addr)
	_ = r.findSpans()
}

func TestMemory(t *testing.T) {
	m := make(image, imageSize)
	for i := range m {
		m[i] = byte(i % 251)
	}
	r := m.runtime(26, "amd64")
	for _, addr := range []uint64{imageBase, imageBase + blockSize - 4, imageBase + imageSize - 8} {
		word, err := r.Uint64(addr)
		if want := binary.LittleEndian.Uint64(m[addr-imageBase:]); err != nil || word != want {
			t.Errorf("at %#x: %#x, want %#x: %v", addr, word, want, err)
		}
	}
	for _, addr := range []uint64{0, imageBase - 1, imageBase + imageSize - 7, imageBase + imageSize, 1 << 63, ^uint64(0)} {
		if _, err := r.Uint64(addr); err == nil {
			t.Errorf("at %#x: no error", addr)
		}
		if err := r.Read(addr, make([]byte, 16)); err == nil {
			t.Errorf("at %#x: no error", addr)
		}
	}
	if s, err := r.String(imageBase+1, 3); err != nil || s != "\x01\x02\x03" {
		t.Errorf("string %q: %v", s, err)
	}
	for _, n := range []uint64{imageSize + 1, maxString + 1, ^uint64(0)} {
		if _, err := r.String(imageBase, n); err == nil {
			t.Errorf("string of %d bytes: no error", n)
		}
	}
	if s, err := r.String(0, 0); err != nil || s != "" {
		t.Errorf("empty string: %q, %v", s, err)
	}
	if _, err := r.Bytes(imageBase, blockSize+1); err == nil {
		t.Error("too many bytes: no error")
	}
	// More blocks than the cache has, in mappings that are longer than what they hold.
	var p Process
	p.Memory = m
	for i := range uint64(2 * cacheBlocks) {
		p.Mappings = append(p.Mappings, Mapping{Start: i * 2 * blockSize, End: (i*2 + 1) * blockSize, Readable: true})
	}
	slices.Reverse(p.Mappings)
	c := newCache(p)
	for range 2 {
		for i := range uint64(2 * cacheBlocks) {
			addr := i * 2 * blockSize
			word, err := c.uint64(addr)
			inside := addr >= imageBase && addr < imageBase+imageSize
			if inside != (err == nil) || inside && word != binary.LittleEndian.Uint64(m[addr-imageBase:]) {
				t.Fatalf("at %#x: %#x, %v", addr, word, err)
			}
		}
	}
}

// TestSpanBeingRecorded stops the process between the two stores by which the runtime records a span.
func TestSpanBeingRecorded(t *testing.T) {
	m := make(image, imageSize)
	r := m.runtime(26, "amd64")
	for number := range 2 {
		m.addSpan(r, number, fakeSpan{state: spanInUse, class: 10, elemSize: 64, slots: 100, count: 1, alloc: []byte{1}})
	}
	head := imageHead + r.at.heap.allspans%0x100
	m.put(head+8, 3)
	m.put(head+16, 3)
	m.accept(t, r)
	if spans, err := r.Spans(t.Context()); err != nil || len(spans) != 2 {
		t.Errorf("%d spans, %v: want 2", len(spans), err)
	}
	m.put(imageList, 0)
	r.memory = newCache(r.Process)
	if all, err := r.sliceAt(head); err != nil || r.acceptSpans(head-r.at.heap.allspans, all, nil) == nil {
		t.Errorf("a span before others is missing, %v: want an error", err)
	}
}
