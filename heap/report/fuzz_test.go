package report

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// FuzzHostileSnapshot: whatever stands in a file whose checksums are right, and whose claims its bytes allow, it is analysed
// and told, or refused with an error, and takes no more memory than its bytes account for. A file is one of bases, changed as
// a script says.
func FuzzHostileSnapshot(f *testing.F) {
	files := bases(f)
	for seed := range uint64(30) {
		base, script := randomScript(seed)
		f.Add(base, script)
	}
	f.Fuzz(func(t *testing.T, base byte, script []byte) {
		if err := digest(t, changed(files[int(base)%len(files)], script)); err != nil {
			refused(t, err)
		}
	})
}

// TestHostileSnapshots: files are changed such that many of them reach the end, and many do not.
func TestHostileSnapshots(t *testing.T) {
	files := bases(t)
	told, not := 0, 0
	for seed := range uint64(2000) {
		base, script := randomScript(seed)
		if err := digest(t, changed(files[int(base)%len(files)], script)); err != nil {
			refused(t, err)
			not++
		} else {
			told++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if told < 300 || not < 300 {
		t.Errorf("%d files were analysed and %d refused, want 300 of each", told, not)
	}
}

// bases are files of all that there is, taken apart.
func bases(tb testing.TB) [][]heaptest.Chunk {
	tb.Helper()
	var sessions, dense bytes.Buffer
	if err := errors.Join(heaptest.WriteSessions(&sessions, 30), heaptest.WriteDense(&dense, 20, 70)); err != nil {
		tb.Fatal(err)
	}
	files := [][]heaptest.Chunk{heaptest.Chunks(sessions.Bytes()), heaptest.Chunks(dense.Bytes())}
	for seed := range uint64(6) {
		files = append(files, heaptest.Chunks(heaptest.Random(seed, 20+10*int(seed)).Data))
	}
	return files
}

// edit is one change of a script: eight bytes.
type edit struct {
	op, chunk byte
	at        uint16
	value     uint32
}

const (
	editBytes = 8
	maxEdits  = 64
	maxFile   = 1 << 20
)

// randomScript is a base and some edits.
func randomScript(seed uint64) (base byte, script []byte) {
	random := rand.New(rand.NewPCG(seed, 7))
	for range 1 + random.IntN(4)*random.IntN(2) {
		script = append(script, byte(random.Uint32()), byte(random.Uint32()))
		script = binary.LittleEndian.AppendUint16(script, uint16(random.Uint32()))
		script = binary.LittleEndian.AppendUint32(script, random.Uint32()>>random.IntN(32))
	}
	return byte(random.Uint32()), script
}

// changed returns a file after all edits of a script, signed.
func changed(base []heaptest.Chunk, script []byte) []byte {
	chunks := slices.Clone(base)
	for i := range chunks {
		chunks[i].Payload = slices.Clone(chunks[i].Payload)
	}
	for range maxEdits {
		if len(script) < editBytes || len(chunks) == 0 {
			break
		}
		e := edit{script[0], script[1], binary.LittleEndian.Uint16(script[2:]), binary.LittleEndian.Uint32(script[4:])}
		script = script[editBytes:]
		chunks = e.apply(chunks)
	}
	return heaptest.Sign(chunks)
}

// striking are numbers at which something may go wrong.
var striking = []uint64{0, 1, 2, 7, 8, 63, 64, 512, 513, 8192, 32768, 65535, 65536, 1 << 20, 1<<31 - 1, 1<<32 - 2, 1<<32 - 1, 1 << 40, 1 << 56, 1 << 61, 1<<63 - 1, 1 << 63, math.MaxUint64}

func (e edit) apply(chunks []heaptest.Chunk) []heaptest.Chunk {
	i := int(e.chunk) % len(chunks)
	c := &chunks[i]
	at := int(e.at) % (len(c.Payload) + 1)
	rest := c.Payload[at:]
	switch e.op % 16 {
	case 0, 1, 2:
		if len(rest) > 0 {
			rest[0] ^= 1 << (e.value % 8)
		}
	case 3, 4, 5:
		if len(rest) > 0 {
			rest[0] = byte(e.value)
		}
	case 6, 7, 8: // another number in the place of one
		if _, n := binary.Uvarint(rest); n > 0 {
			v := uint64(e.value)
			if e.op&0x10 != 0 {
				v = striking[int(e.value)%len(striking)]
			}
			c.Payload = slices.Replace(c.Payload, at, at+n, binary.AppendUvarint(nil, v)...)
		}
	case 9:
		c.Payload = slices.Insert(c.Payload, at, binary.LittleEndian.AppendUint32(nil, e.value)[:1+e.chunk>>6]...)
	case 10:
		c.Payload = slices.Delete(c.Payload, at, min(at+1+int(e.value%16), len(c.Payload)))
	case 11: // the same again
		if n := min(int(e.value%64), len(rest)); len(c.Payload)+n <= maxFile {
			c.Payload = slices.Insert(c.Payload, at, slices.Clone(rest[:n])...)
		}
	case 12:
		c.Count += uint64(int8(e.value))
	case 13:
		c.Extra += uint64(int64(int32(e.value)))
	case 14:
		c.Flags ^= 1 << (e.value % 5)
	case 15:
		if e.value%2 == 0 {
			return slices.Delete(chunks, i, i+1)
		}
		again := *c
		again.Payload = slices.Clone(c.Payload)
		return slices.Insert(chunks, i, again)
	}
	return chunks
}

// digestTime is far more than such a file needs.
const digestTime = time.Minute

// allowance is what the analysis of a file, and telling of it, may allocate in all: eight objects for each byte, and tables.
func allowance(file int) uint64 { return 1000*uint64(file) + 4<<20 }

// digest analyses a file and tells all that there is to tell of it, and looks at what is allocated for that.
func digest(t *testing.T, data []byte) error {
	t.Helper()
	r, err := snapshot.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = tell(t, r)
	runtime.ReadMemStats(&after)
	if allocated, most := after.TotalAlloc-before.TotalAlloc, allowance(len(data)); allocated > most {
		t.Errorf("%d bytes allocated for a file of %d, want %d at most", allocated, len(data), most)
	}
	return err
}

func tell(t *testing.T, r *snapshot.Reader) error {
	t.Helper()
	late := errors.New("it takes too long")
	ctx, cancel := context.WithTimeoutCause(t.Context(), digestTime, late)
	defer cancel()
	g, err := graph.Load(ctx, r, graph.Options{})
	if err != nil {
		return err
	}
	a, err := retain.Analyze(ctx, g, retain.Options{MaxSuspects: -1, MaxTypes: -1, MaxRoots: -1, MaxShared: -1, MaxGoroutines: -1, MaxPins: -1})
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		t.Error(late)
	}
	if _, err := json.Marshal(a); err != nil {
		t.Errorf("as JSON: %v", err)
	}
	shown(t, "the analysis", func(out *strings.Builder) error { return Write(out, a, Options{}) })
	for i := range a.Types[:min(len(a.Types), 5)] {
		name := a.Types[i].Name
		closer, err := a.ByType(name)
		if err != nil {
			continue // a name may be that of several types
		}
		if _, err := json.Marshal(closer); err != nil {
			t.Errorf("type %q as JSON: %v", name, err)
		}
		shown(t, fmt.Sprintf("type %q", name), func(out *strings.Builder) error { return WriteType(out, closer, Options{}) })
		paths, err := a.PathTo(name)
		if err != nil {
			t.Errorf("paths to type %q: %v", name, err)
		}
		shown(t, fmt.Sprintf("paths to type %q", name), func(out *strings.Builder) error { return WritePaths(out, name, paths, Options{}) })
	}
	return nil
}

// shown wants what is written to fit a terminal.
func shown(t *testing.T, what string, write func(out *strings.Builder) error) {
	t.Helper()
	var out strings.Builder
	if err := write(&out); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	fits(t, what, out.String())
}

// refused wants an error that says what is wrong with a file.
func refused(t *testing.T, err error) {
	t.Helper()
	for _, known := range []error{
		snapshot.ErrDamaged, snapshot.ErrTruncated, snapshot.ErrNotSnapshot, snapshot.ErrVersion, graph.ErrTooLarge,
	} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Errorf("%v is no error of a damaged file", err)
}
