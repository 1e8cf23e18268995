package caches

import (
	"sync/atomic"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"

	"github.com/memwarden/memwarden/bounded"
)

// Block is a value of some size that knows where it is.
type Block struct {
	Data  []byte
	place atomic.Int32
}

// Places of a block: with who stores it, in a cache, or in none any more.
const (
	inHand int32 = iota
	inCache
	gone
)

// Ledger adds up what a cache holds: blocks whose storing has returned, until the cache tells that they have left.
// Blocks that are still in the hands of who stores them are not counted, nor those whose leaving was told by then.
type Ledger struct{ held, peak atomic.Int64 }

// Peak returns the most bytes that were held at once.
func (l *Ledger) Peak() int64 { return l.peak.Load() }

func (l *Ledger) stored(b *Block) {
	if !b.place.CompareAndSwap(inHand, inCache) {
		return
	}
	held := l.held.Add(int64(len(b.Data)))
	for peak := l.peak.Load(); held > peak && !l.peak.CompareAndSwap(peak, held); peak = l.peak.Load() {
	}
}

func (l *Ledger) left(b *Block) {
	if b != nil && b.place.Swap(gone) == inCache {
		l.held.Add(-int64(len(b.Data)))
	}
}

// Sized is a cache with a bound in bytes.
type Sized struct {
	Name string
	Ours bool
	// New returns a function that stores a block, and one that closes the cache.
	New func(bytes int64, l *Ledger) (set func(key uint64, b *Block), stop func(), err error)
}

// AllSized are the caches that take large values by reference. freecache copies, and takes none of more than a 1024th
// of its size.
func AllSized() []Sized {
	return []Sized{
		{LRU, true, oursSized(bounded.LRU)},
		{TinyLFU, true, oursSized(bounded.TinyLFU)},
		{"otter v2", false, otterSized},
		{"theine", false, theineSized},
		{"ristretto v2", false, ristrettoSized},
		{"golang-lru v2", false, golangLRUSized},
	}
}

func oursSized(policy bounded.CachePolicy) func(int64, *Ledger) (func(uint64, *Block), func(), error) {
	return func(bytes int64, l *Ledger) (func(uint64, *Block), func(), error) {
		c, err := bounded.NewCache(bounded.CacheOptions[uint64, *Block]{
			Name: "bench", MaxBytes: bytes, Policy: policy,
			Weigh:   func(_ uint64, b *Block) int64 { return int64(len(b.Data)) },
			OnEvict: func(_ uint64, b *Block, _ bounded.Reason) { l.left(b) },
		})
		return func(key uint64, b *Block) {
			if err := c.Set(key, b); err == nil {
				l.stored(b)
			}
		}, func() {}, err
	}
}

// otterSized counts by OnAtomicDeletion, which is called in the moment of the removal. Otter evicts in a goroutine of
// its own, which may not have had its turn yet when the last block is stored: CleanUp does what is left to do.
func otterSized(bytes int64, l *Ledger) (func(uint64, *Block), func(), error) {
	c, err := otter.New(&otter.Options[uint64, *Block]{
		MaximumWeight:    uint64(bytes),
		Weigher:          func(_ uint64, b *Block) uint32 { return uint32(len(b.Data)) },
		OnAtomicDeletion: func(e otter.DeletionEvent[uint64, *Block]) { l.left(e.Value) },
	})
	stop := func() {
		c.CleanUp()
		c.StopAllGoroutines()
	}
	return func(key uint64, b *Block) {
		c.Set(key, b)
		l.stored(b)
	}, stop, err
}

func theineSized(bytes int64, l *Ledger) (func(uint64, *Block), func(), error) {
	c, err := theine.NewBuilder[uint64, *Block](bytes).
		RemovalListener(func(_ uint64, b *Block, _ theine.RemoveReason) { l.left(b) }).Build()
	return func(key uint64, b *Block) {
		if c.Set(key, b, int64(len(b.Data))) {
			l.stored(b)
		}
	}, func() { c.Close() }, err
}

func ristrettoSized(bytes int64, l *Ledger) (func(uint64, *Block), func(), error) {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, *Block]{
		NumCounters: 10_000, MaxCost: bytes, BufferItems: 64, IgnoreInternalCost: true,
		OnExit: l.left,
	})
	return func(key uint64, b *Block) {
		if c.Set(key, b, int64(len(b.Data))) {
			l.stored(b)
		}
	}, func() { c.Close() }, err
}

// golangLRUSized bounds entries alone: it has as many as blocks of 1 MiB fit. It does not tell of values that are
// replaced, so keys must be new.
func golangLRUSized(bytes int64, l *Ledger) (func(uint64, *Block), func(), error) {
	c, err := lru.NewWithEvict(int(bytes>>20), func(_ uint64, b *Block) { l.left(b) })
	return func(key uint64, b *Block) {
		c.Add(key, b)
		l.stored(b)
	}, func() {}, err
}
