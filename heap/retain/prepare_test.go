package retain

import (
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// leaves is a file of n objects.
func leaves(t *testing.T, n uint64) string {
	t.Helper()
	var file strings.Builder
	if err := heaptest.WriteLeaves(&file, n); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

func opened(t *testing.T, file string) *snapshot.Reader {
	t.Helper()
	r, err := snapshot.Open(strings.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPrepare(t *testing.T) {
	const own = 1 << 40
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(own))
	for _, objects := range []uint64{1, 1000, 10_000_000} {
		r := opened(t, leaves(t, objects))
		runtime.GC() // of what tests before left
		undo, err := Prepare(r)
		if err != nil {
			t.Fatal(err)
		}
		if limit := debug.SetMemoryLimit(-1); limit != MemoryBytes(r.Totals()) {
			t.Errorf("%d objects: the memory limit is %d, want %d", objects, limit, MemoryBytes(r.Totals()))
		}
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		if after.HeapAlloc > 64<<20 {
			t.Errorf("%d objects: %d bytes are still allocated", objects, after.HeapAlloc)
		}
		undo()
		if limit := debug.SetMemoryLimit(-1); limit != own {
			t.Errorf("%d objects: the memory limit is %d afterwards, want %d", objects, limit, own)
		}
	}
}

func TestALowerLimitStays(t *testing.T) {
	const own = 300 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(own))
	undo, err := Prepare(opened(t, leaves(t, 10_000_000)))
	if err != nil {
		t.Fatal(err)
	}
	if limit := debug.SetMemoryLimit(-1); limit != own {
		t.Errorf("the memory limit is %d, want %d", limit, own)
	}
	undo()
}

// TestNothingIsPreparedForClaims: a file whose spans do not have the objects that their header claims gets no memory.
func TestNothingIsPreparedForClaims(t *testing.T) {
	const own = 1 << 40
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(own))
	chunks := heaptest.Chunks([]byte(leaves(t, 10_000_000)))
	for i := range chunks {
		if c := &chunks[i]; c.Kind == heaptest.ChunkSpans {
			c.Payload[len(c.Payload)-1] &^= 1 // the last byte is of live bits
		}
	}
	r := opened(t, string(heaptest.Sign(chunks)))
	if objects := r.Totals().Objects; objects != 10_000_000 {
		t.Fatalf("the file claims %d objects", objects)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Prepare(r)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("error %v, want that the file is damaged", err)
	}
	if grown := int64(after.HeapSys - before.HeapSys); grown > 64<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if limit := debug.SetMemoryLimit(-1); limit != own {
		t.Errorf("the memory limit is %d, want %d", limit, own)
	}
}
