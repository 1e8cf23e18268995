package retain

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPrepare(t *testing.T) {
	const own = 1 << 40
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(own))
	for _, objects := range []uint64{0, 1000, 10_000_000} {
		runtime.GC() // of what tests before left
		undo := Prepare(objects)
		if limit := debug.SetMemoryLimit(-1); limit != MemoryBytes(objects) {
			t.Errorf("%d objects: the memory limit is %d, want %d", objects, limit, MemoryBytes(objects))
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
	undo := Prepare(10_000_000)
	if limit := debug.SetMemoryLimit(-1); limit != own {
		t.Errorf("the memory limit is %d, want %d", limit, own)
	}
	undo()
}
