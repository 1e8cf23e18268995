package caches

import (
	"slices"
	"testing"
)

// TestAllKeepAndBound: each cache has what was just stored, and not much more than it may have.
func TestAllKeepAndBound(t *testing.T) {
	const entries, keys = 2000, 10_000
	for _, kind := range All() {
		t.Run(kind.Name, func(t *testing.T) {
			c, err := kind.New(entries, true)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if c.Get(1) {
				t.Error("an empty cache has something")
			}
			c.Set(1)
			c.Settle()
			if !c.Get(1) {
				t.Error("it has not what was stored")
			}
			for key := range uint64(keys) {
				c.Set(key)
			}
			c.Settle()
			held := 0
			for key := range uint64(keys) {
				if c.Get(key) {
					held++
				}
			}
			if held < entries/2 || held > entries*11/10 {
				t.Errorf("it has %d entries of %d", held, entries)
			}
		})
	}
	if _, err := newFreecache(10, true); err == nil {
		t.Error("freecache with 10 entries: want an error")
	}
}

// TestLedger: what is held is what has been stored and has not left.
func TestLedger(t *testing.T) {
	var l Ledger
	one, two, three := &Block{Data: make([]byte, 5)}, &Block{Data: make([]byte, 7)}, &Block{Data: make([]byte, 100)}
	l.stored(one)
	l.left(one)
	l.left(one)
	l.stored(two)
	l.left(three) // told before its storing returned
	l.stored(three)
	l.left(nil)
	if held := l.held.Load(); held != 7 || l.Peak() != 7 {
		t.Errorf("held %d, peak %d, want 7", held, l.Peak())
	}
}

// TestSizedTellAll: each cache tells of all that leaves, so that not all that was stored is held in the end.
func TestSizedTellAll(t *testing.T) {
	const bound, size = 32 << 20, 1 << 20
	for _, kind := range AllSized() {
		t.Run(kind.Name, func(t *testing.T) {
			var l Ledger
			set, stop, err := kind.New(bound, &l)
			if err != nil {
				t.Fatal(err)
			}
			data := make([]byte, size)
			for key := range uint64(500) {
				set(key, &Block{Data: data})
			}
			stop()
			if l.Peak() < bound*3/4 || l.held.Load() == 500*size {
				t.Errorf("%d MiB are held, %d at most, with a bound of %d", l.held.Load()>>20, l.Peak()>>20, bound>>20)
			}
		})
	}
	if !slices.ContainsFunc(AllSized(), func(k Sized) bool { return k.Ours }) {
		t.Error("ours is missing")
	}
}
