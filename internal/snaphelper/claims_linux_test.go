package snaphelper

import (
	"errors"
	"os"
	"testing"

	"github.com/memwarden/memwarden/heap/heaptest"
	"github.com/memwarden/memwarden/heap/snapshot"
)

func opened(t *testing.T, file *os.File) *snapshot.Reader {
	t.Helper()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	reader, err := snapshot.Open(file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return reader
}

// TestClaims: a file that has fewer objects than it says is refused as damaged, within a budget for those that it has.
func TestClaims(t *testing.T) {
	file := sessions(t, 100)
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	chunks := heaptest.Chunks(text)
	for i := range chunks {
		if c := &chunks[i]; c.Kind == heaptest.ChunkSpans {
			c.Extra = 8 * uint64(len(c.Payload))
		}
	}
	if err := os.WriteFile(file.Name(), heaptest.Sign(chunks), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := analyze(t.Context(), file, 1<<30); !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("analysed here: %v", err)
	}
	if a, err := Analyze(t.Context(), Options{BudgetBytes: 1 << 30}, file); err == nil || a != nil || errors.Is(err, ErrEnded) {
		t.Errorf("analysed by a helper: %v, %v", a, err)
	}
}
