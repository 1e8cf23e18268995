package heaptest

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// TestChunks: what was taken apart and put together again says the same; what is changed in between, only the contents tell.
func TestChunks(t *testing.T) {
	f := Random(1, 300)
	objects := open(t, f.Data).Totals().Objects
	chunks := Chunks(f.Data)
	again := loadReader(t, open(t, Sign(chunks)))
	if before := loadReader(t, open(t, f.Data)); !reflect.DeepEqual(before.edges, again.edges) || !reflect.DeepEqual(before.roots, again.roots) ||
		!reflect.DeepEqual(before.types, again.types) {
		t.Error("the file put together again has other contents")
	}
	for i := range chunks {
		if chunks[i].Kind == ChunkSpans {
			chunks[i].Extra++
		}
	}
	r := open(t, Sign(chunks))
	if _, err := r.Spans(); !errors.Is(err, snapshot.ErrDamaged) || r.Totals().Objects != objects+1 {
		t.Errorf("one object more was claimed: %d objects, %v", r.Totals().Objects, err)
	}
}

func TestWriteLeaves(t *testing.T) {
	for _, n := range []uint64{1, 63, 64, 1000, 100_000} {
		var out bytes.Buffer
		if err := WriteLeaves(&out, n); err != nil {
			t.Fatal(err)
		}
		r := open(t, out.Bytes())
		if spans, err := r.Spans(); err != nil || r.Totals().Objects != n || r.Totals().Records != 0 || !spans[0].NoScan {
			t.Errorf("%d: %v, %+v", n, err, r.Totals())
		}
	}
}
