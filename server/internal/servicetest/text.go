package servicetest

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// Within asks again and again until something holds, for so long at most.
func Within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v passed and it never %s", limit, what)
		}
	}
}

// Text is what a process writes; it may be read meanwhile.
type Text struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (w *Text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.content.Write(p)
}

func (w *Text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.content.String()
}

func (w *Text) tail(bytes int) string {
	all := w.String()
	return all[max(0, len(all)-bytes):]
}
