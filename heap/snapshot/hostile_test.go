package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

// checked reports errors that are none of what a damaged file gives.
func checked(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrNotSnapshot) && !errors.Is(err, ErrVersion) {
		t.Errorf("%v is no error of a damaged file", err)
	}
}

func TestTruncated(t *testing.T) {
	c, random := randomContents(5, 3)
	data := c.write(t, random)
	for n := 1; n < len(data); n++ {
		_, err := read(data[:n])
		if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "interrupted?") {
			t.Fatalf("the first %d bytes of %d: %v", n, len(data), err)
		}
	}
	_, err := Open(bytes.NewReader(data), int64(len(data)-10))
	if want := "10 bytes are missing"; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "end, at byte") {
		t.Errorf("without the last ten bytes: %v, want %q and the chunk", err, want)
	}
	if _, err := read(append(data, 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("with one byte more: %v", err)
	}
}

// TestFlippedBits: no byte of a file can change unnoticed.
func TestFlippedBits(t *testing.T) {
	c, random := randomContents(5, 2)
	data := c.write(t, random)
	for i := range data {
		data[i] ^= 1 << (i % 8)
		_, err := read(data)
		if err == nil {
			t.Fatalf("byte %d of %d changed, and nobody noticed", i, len(data))
		}
		checked(t, err)
		data[i] ^= 1 << (i % 8)
	}
}

// place is a chunk in the bytes of a file.
type place struct{ header, payload, end int }

// places finds the chunks of a file as far as their sizes are right.
func places(data []byte) []place {
	var all []place
	at := bytes.IndexByte(data, '\n') + 1
	for at > 0 && at+headerBytes <= len(data) {
		stored := binary.LittleEndian.Uint64(data[at+24:])
		if stored > uint64(len(data)-at-headerBytes) {
			break
		}
		p := place{at, at + headerBytes, at + headerBytes + int(stored)}
		all = append(all, p)
		at = p.end
	}
	return all
}

// sign gives all chunks of a file right checksums and numbers.
func sign(data []byte) []byte {
	for i, p := range places(data) {
		binary.LittleEndian.PutUint32(data[p.header+36:], uint32(i))
		binary.LittleEndian.PutUint32(data[p.header+40:], checksum(data[p.payload:p.end]))
		binary.LittleEndian.PutUint32(data[p.header+44:], checksum(data[p.header:p.header+44]))
	}
	return data
}

// allocated returns how many bytes a function allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const maxGrowth = 80

// allowance is what reading a file may allocate: the factor that Reader promises, and what decompressors take.
func allowance(size int) uint64 { return maxGrowth*uint64(size) + 4<<20 }

// TestMutated reads files in which some bytes were changed and the checksums made right.
func TestMutated(t *testing.T) {
	refused := 0
	for seed := range uint64(150) {
		c, random := randomContents(seed%40, 4)
		data := c.write(t, random)
		mutate(data, random)
		var err error
		if used := allocated(func() { _, err = read(data) }); used > allowance(len(data)) {
			t.Errorf("seed %d: %d bytes allocated for a file of %d", seed, used, len(data))
		}
		checked(t, err)
		if err != nil {
			refused++
		}
	}
	if refused < 50 {
		t.Errorf("only %d files were refused", refused)
	}
}

// mutate changes some bytes, most of them in payloads, and signs the file.
func mutate(data []byte, random *rand.Rand) {
	chunks := places(data)
	for range 1 + random.IntN(3) {
		p := chunks[random.IntN(len(chunks))]
		from, to := p.payload, p.end
		if random.IntN(4) == 0 {
			from, to = p.header, p.header+24
		}
		if from == to {
			continue
		}
		at := from + random.IntN(to-from)
		switch random.IntN(3) {
		case 0:
			data[at] ^= 1 << random.IntN(8)
		case 1:
			data[at] = byte(random.Uint32())
		case 2:
			data[at] = 0xff
		}
	}
	sign(data)
}

// raw builds a file of chunks with chosen payloads and right checksums.
type raw struct{ data []byte }

func newRaw() *raw {
	r := &raw{[]byte(magicPrefix + "1\n")}
	var e encoder
	e.header(&Header{})
	return r.chunk(kindHeader, 0, 1, 0, e.buf)
}

func (r *raw) chunk(k kind, flags uint32, count, extra uint64, payload []byte) *raw {
	h := chunkHeader{kind: k, flags: flags, count: count, extra: extra, stored: uint64(len(payload))}
	r.data = append(h.append(r.data), payload...)
	return r
}

// numbers adds a chunk whose payload is numbers.
func (r *raw) numbers(k kind, flags uint32, count, extra uint64, numbers ...uint64) *raw {
	var payload []byte
	for _, v := range numbers {
		payload = binary.AppendUvarint(payload, v)
	}
	return r.chunk(k, flags, count, extra, payload)
}

// span adds a span of objects of two words each.
func (r *raw) span(objects uint64) *raw {
	numbers := []uint64{1, 1, 2, objects << spanShift}
	for left := objects; left > 0; left -= min(left, 7) {
		numbers = append(numbers, 1<<min(left, 7)-1) // a byte below 0x80 is a number of itself
	}
	if objects > 7 {
		panic("seven objects at most")
	}
	return r.numbers(kindSpans, 0, 1, objects, numbers...)
}

// end completes the file with sums.
func (r *raw) end(objects, edges uint64) []byte {
	var e encoder
	e.summary(&Summary{Objects: objects, Edges: edges})
	r.chunk(kindEnd, 0, uint64(len(places(r.data))), 0, e.buf)
	return sign(r.data)
}

func TestRaw(t *testing.T) {
	data := newRaw().span(2).numbers(kindObjects, 0, 2, 1, 0, 1+1<<2, 2, 0, 0, 0).end(2, 1)
	c, err := read(data)
	if err != nil || len(c.Records) != 2 || c.Records[0].Edges[0] != (Edge{Slot: 1, Target: 1}) {
		t.Errorf("%+v, %v", c, err)
	}
	data = newRaw().chunk(99, flagSkippable, 5, 5, []byte("later")).end(0, 0)
	if _, err := read(data); err != nil {
		t.Errorf("a chunk that may be skipped: %v", err)
	}
}

// hostile are files with one lie each, and a part of the error that they give.
func hostile() map[string][]byte {
	record := func(numbers ...uint64) []byte {
		edges := uint64(1)
		return newRaw().span(2).numbers(kindObjects, 0, 2, edges, numbers...).end(2, edges)
	}
	long := bytes.Repeat([]byte{0xff}, 12)
	table := func(k kind, numbers ...uint64) []byte {
		return newRaw().span(1).numbers(kindObjects, 0, 1, 0, 0, 0).numbers(k, 0, 1, 0, numbers...).end(1, 0)
	}
	return map[string][]byte{
		"slot 2 of an object of 2 words":         record(0, 1+2<<2, 0, 0, 0, 0),
		"object 2 of 2":                          record(0, 1, 4, 0, 0, 0),
		"object -1 of 2":                         record(0, 1, 1, 0, 0, 0),
		"shape 7 of 1":                           record(14, 1, 0, 0, 0, 0),
		"function 3 of 1":                        record(1, 3, 1, 0, 0, 0, 0),
		"offset 16 into object 0 of 16 bytes":    record(0, 2, 0, 16, 0, 0, 0),
		"type 4 of 1":                            record(0, 3, 0, 8, 0, 0, 0),
		"length 17 and capacity 0":               record(0, 3, 0, 17<<1|1, 0, 0, 0, 0),
		"ends within a record":                   record(0, 1, 0, 0, 0),
		"do not add up":                          record(0, 0, 0, 0, 0, 0),
		"records and 1 edges in 3 bytes":         record(0, 1, 0),
		"ends within a record: ":                 newRaw().span(1).chunk(kindObjects, 0, 1, 1, append([]byte{0, 5}, long...)).end(1, 1),
		"objects with 3 records":                 newRaw().span(2).numbers(kindObjects, 0, 3, 0, 0, 0, 0, 0, 0, 0).end(2, 0),
		"1 records of 2 objects":                 newRaw().span(2).numbers(kindObjects, 0, 1, 0, 0, 0).end(2, 0),
		"does not go on":                         newRaw().span(1).numbers(kindObjects, flagContinued, 1, 0, 0, 0, 0).end(1, 0),
		"last record is not complete":            newRaw().span(1).numbers(kindObjects, flagOpen, 1, 0, 0).end(1, 0),
		"leaves a record open, and has none":     newRaw().span(1).numbers(kindObjects, flagOpen, 0, 0, 0).end(1, 0),
		"slot 3 of 2":                            newRaw().span(1).numbers(kindObjects, flagOpen, 1, 0, 0).numbers(kindObjects, flagContinued, 0, 0, 3, 0).end(1, 0),
		"says that it has 9 objects":             newRaw().span(1).numbers(kindObjects, 0, 1, 0, 0, 0).end(9, 0),
		"spans behind objects":                   newRaw().span(1).numbers(kindObjects, 0, 1, 0, 0, 0).span(1).end(1, 0),
		"not the only header":                    newRaw().numbers(kindHeader, 0, 1, 0, 0, 0, 0, 0).end(0, 0),
		"kind 99 is not known":                   newRaw().numbers(99, 0, 0, 0).end(0, 0),
		"flags 0x100":                            newRaw().numbers(kindTypes, 0x100, 0, 0).end(0, 0),
		"flags 0x4, which are of objects":        newRaw().numbers(kindTypes, flagContinued, 0, 0).end(0, 0),
		"compressed to 1":                        newRaw().numbers(kindObjects, flagDeflate, 0, 0, 1).end(0, 0),
		"1000000 spans and":                      newRaw().numbers(kindSpans, 0, 1_000_000, 5, 1, 1, 1, 4, 1).end(5, 0),
		"1 spans and 4294967295 objects":         newRaw().numbers(kindSpans, 0, 1, 1<<32-1, 1, 1, 1, 4, 1).end(1<<32-1, 0),
		"instead of 3":                           newRaw().numbers(kindSpans, 0, 1, 3, 1, 1, 2, 2<<spanShift, 3).end(3, 0),
		"live bits beyond 2 slots":               newRaw().numbers(kindSpans, 0, 1, 3, 1, 1, 2, 2<<spanShift, 7).end(3, 0),
		"slots of 2 words in 1 pages":            newRaw().numbers(kindSpans, 0, 1, 1, 1, 1, 2, 9000<<spanShift, 1).end(1, 0),
		"slots of 0 words":                       newRaw().numbers(kindSpans, 0, 1, 1, 1, 1, 0, 1<<spanShift, 1).end(1, 0),
		"0 pages behind":                         newRaw().numbers(kindSpans, 0, 1, 1, 1, 0, 2, 1<<spanShift, 1).end(1, 0),
		"pages behind 9007199254740992":          newRaw().numbers(kindSpans, 0, 1, 1, 1<<53, 1, 2, 1<<spanShift, 1).end(1, 0),
		"ends within an entry":                   newRaw().numbers(kindSpans, 0, 1, 1, 1, 1, 2, 300<<spanShift, 1).end(1, 0),
		"1000 entries in 6 bytes":                newRaw().numbers(kindTypes, 0, 1000, 0, 0, 0, 0, 0, 0, 0).end(0, 0),
		"a type of kind 27":                      table(kindTypes, 0, 0, 27, 0, 0, 0),
		"a type of kind 1 with flags 0x80":       table(kindTypes, 0, 0, 1, 128, 0, 0, 0),
		"pointers in 8":                          table(kindTypes, 0, 0, 1, 0, 7, 8),
		"type 5 of 2":                            table(kindTypes, 0, 0, 22, typeElem, 8, 8, 5),
		"type 6 of 2":                            table(kindTypes, 0, 0, 21, typeElem|typeKey, 8, 8, 1, 6),
		"a list of 1000000 entries":              table(kindTypes, 0, 0, 25, typeFields, 8, 8, 1_000_000),
		"a list of 99 entries":                   table(kindStacks, 99, 0),
		"string 3 of 0":                          table(kindFunctions, 7, 0, 0, 0),
		"type 7 of 1":                            table(kindShapes, 0, 7),
		"bytes behind its last entry":            table(kindShapes, 0, 0, 5),
		"line 4294967296 of":                     table(kindFunctions, 0, 0, 1<<32, 0),
		"a root of kind 8":                       table(kindRoots, 8, 0, 0, 0, 0),
		"a root of kind 1 with flags 0x8":        table(kindRoots, 1, 8, 0, 0, 0),
		"goroutine 1 of 1":                       table(kindRoots, 2, rootGoroutine, 0, 0, 1, 0, 0),
		"object 9 of 1":                          table(kindRoots, 4, rootObject, 0, 0, 9, 0),
		"a pointer in slot 0 to object 4":        table(kindRoots, 1, 0, 0, 0, 1, 0, 0, 8),
		"a pointer in slot 18446744073709551615": table(kindRoots, 1, 0, 0, 0, 1, 0, 1, 0),
		"offset 77, length":                      table(kindRoots, 1, 0, 0, 0, 1, 1, 0, 0, 77),
		"offset 0, length 99":                    table(kindRoots, 1, 0, 0, 0, 1, 2, 0, 0, 99<<1|1, 0),
		"object 3 of 1":                          table(kindWeak, 6),
		"stack 2 of 1":                           table(kindSampled, 0, 2, 0),
		"type 5 of 1":                            table(kindSampled, 0, 0, 5),
		"seconds":                                newRaw().chunk(kindEnd, 0, 1, 0, append(make([]byte, 6), bytes.Repeat([]byte{0xff}, 9)...)).signed(),
		"it counts 7 chunks":                     newRaw().chunk(kindEnd, 0, 7, 0, make([]byte, 20)).signed(),
		"longer than 64 bits":                    newRaw().chunk(kindShapes, 0, 1, 0, long).end(0, 0),
		"header is not the first":                (&raw{[]byte(magicPrefix + "1\n")}).span(1).end(1, 0),
		"frame 2 of 1":                           newRaw().span(1).numbers(kindObjects, 0, 1, 0, 0, 0).numbers(kindGoroutines, 0, 1, 1, 1, 0, 0, 1, 0, 5).numbers(kindRoots, 0, 1, 0, 2, 2, 0, 0, 1, 2, 0).end(1, 0),
	}
}

func (r *raw) signed() []byte { return sign(r.data) }

func TestHostile(t *testing.T) {
	for want, data := range hostile() {
		var err error
		used := allocated(func() { _, err = read(data) })
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), strings.TrimSuffix(want, ": ")) {
			t.Errorf("%v, want an error with %q", err, want)
		}
		if used > allowance(len(data)) {
			t.Errorf("%q: %d bytes allocated for a file of %d", want, used, len(data))
		}
	}
}

// TestLargeTables reads large tables of the smallest entries there are: nothing takes more memory than is promised.
func TestLargeTables(t *testing.T) {
	const n = 60_000
	least := map[kind][]byte{
		kindSpans: {0, 1, 1, 0}, kindTypes: {0, 0, 0, 0, 0, 0}, kindFunctions: {0, 0, 0, 0}, kindShapes: {1, 0},
		kindGoroutines: {0, 0, 0, 0}, kindStacks: {0}, kindRoots: {0, 0, 0, 0, 0}, kindWeak: {0}, kindSampled: {0, 0, 0},
	}
	for k, entry := range least {
		if uint64(len(entry)) < kindInfos[k].least {
			t.Errorf("%s: the smallest entry has %d bytes, not %d", k, len(entry), kindInfos[k].least)
		}
		payload := bytes.Repeat(entry, n)
		objects := uint64(0)
		in := newRaw()
		if k == kindWeak || k == kindSampled {
			in.span(1).numbers(kindObjects, 0, 1, 0, 0, 0)
			objects = 1
		}
		in.chunk(k, 0, n, 0, payload)
		if kindInfos[k].deflate {
			var w Writer
			packed, err := w.pack(payload)
			if err != nil {
				t.Fatal(err)
			}
			in.data = in.data[:len(in.data)-len(payload)-headerBytes]
			in.chunk(k, flagDeflate, n, 0, packed)
			chunks := places(in.data)
			binary.LittleEndian.PutUint32(in.data[chunks[len(chunks)-1].header+32:], uint32(len(payload)))
		}
		data := in.end(objects, 0)
		var err error
		used := allocated(func() { _, err = read(data) })
		if err != nil {
			t.Errorf("%s: %v", k, err)
		}
		if used > allowance(len(data)) {
			t.Errorf("%s: %d bytes allocated for a file of %d: %d times as much", k, used, len(data), used/uint64(len(data)))
		}
		t.Logf("%-16s %5.1f bytes allocated for each byte of the file", k, float64(used)/float64(len(data)))
	}
}

func FuzzReader(f *testing.F) {
	for seed := range uint64(20) {
		c, random := randomContents(seed, 2)
		f.Add(c.write(f, random))
	}
	for _, data := range hostile() {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := read(data)
		checked(t, err)
		sign(data)
		var c *contents
		if used := allocated(func() { c, err = read(data) }); used > allowance(len(data)) {
			t.Errorf("%d bytes allocated for a file of %d", used, len(data))
		}
		checked(t, err)
		if err == nil {
			checkReferences(t, c)
		}
	})
}

// FuzzCursor reads raw bytes as a block of a heap of five objects.
func FuzzCursor(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint8(5), uint8(1), false)
	f.Add([]byte{0, 7, 2, 8, 0, 0, 2, 3, 4, 5}, uint8(2), uint8(1), true)
	f.Fuzz(func(t *testing.T, payload []byte, records, edges uint8, open bool) {
		flags := uint32(0)
		if open {
			flags = flagOpen
		}
		in := newRaw().span(5).chunk(kindObjects, flags, uint64(records), uint64(edges), payload)
		if open {
			in.chunk(kindObjects, flagContinued, 5-uint64(records), uint64(edges), payload)
		}
		in.numbers(kindShapes, 0, 1, 0, 1, 3)
		c, err := read(in.end(5, uint64(edges)*uint64(1+flags/flagOpen)))
		checked(t, err)
		if err == nil {
			checkReferences(t, c)
		}
	})
}

// FuzzRoundTrip writes random contents and reads them again, with the twin as well.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, spans uint8) {
		c, random := randomContents(seed, int(spans%16))
		data := c.write(t, random)
		got, err := read(data)
		if err != nil {
			t.Fatal(err)
		}
		twin, err := readTwin(data)
		if err != nil {
			t.Fatal(err)
		}
		if d := difference(c, got); d != "" {
			t.Error(d)
		}
		if d := difference(twin, got); d != "" {
			t.Error(d)
		}
	})
}

// checkReferences does what readers behind do without looking: it follows every number.
func checkReferences(t *testing.T, c *contents) {
	t.Helper()
	sizes := make([]uint64, 0, c.Summary.Objects)
	for _, s := range c.Spans {
		for range liveObjects(&s) {
			sizes = append(sizes, s.ElemSize)
		}
	}
	text := 0
	edge := func(e *Edge) {
		if e.Offset >= sizes[e.Target] || e.Len > sizes[e.Target] || e.Cap > sizes[e.Target] {
			t.Errorf("edge %+v to an object of %d bytes", *e, sizes[e.Target])
		}
		text += len(c.Types[e.Type].Name)
	}
	for _, r := range c.Records {
		text += len(c.Shapes[r.Shape].Mask) + len(c.Functions[r.Closure].Name)
		for i := range r.Edges {
			edge(&r.Edges[i])
			if r.Edges[i].Slot*wordBytes >= sizes[r.Object] {
				t.Errorf("slot %d of an object of %d bytes", r.Edges[i].Slot, sizes[r.Object])
			}
		}
	}
	for _, r := range c.Roots {
		text += len(c.Types[r.Type].Name)
		if r.Goroutine > 0 {
			g := c.Goroutines[r.Goroutine-1]
			if r.Kind == StackRoot {
				text += int(g.Frames[r.Frame].Func)
			}
		}
		if len(sizes) > 0 {
			text += int(sizes[r.Object])
		}
		for i := range r.Edges {
			edge(&r.Edges[i])
		}
	}
	for _, g := range c.Goroutines {
		text += len(c.Functions[g.CreatedBy].Name)
		for _, f := range g.Frames {
			text += len(c.Functions[f.Func].Name)
		}
	}
	for _, s := range c.Sampled {
		text += len(c.Stacks[s.Stack].Frames) + len(c.Types[s.Type].Name) + int(sizes[s.Object])
	}
	for _, w := range c.Weak {
		text += int(sizes[w.Object])
	}
	for _, s := range c.Shapes {
		text += len(c.Types[s.Type].Name)
	}
	if text < 0 {
		t.Error(fmt.Sprint(text))
	}
}
