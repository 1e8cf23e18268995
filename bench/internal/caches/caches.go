// Package caches shows our cache and those of others through one face, so that they can be measured alike.
//
// It knows how each is built and asked, not what is measured of them. The benchmarks stand above it.
package caches

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/Yiling-J/theine-go"
	"github.com/coocood/freecache"
	"github.com/dgraph-io/ristretto/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"

	"github.com/memwarden/memwarden/bounded"
)

// Cache keeps a number under a number.
type Cache interface {
	// Get reports whether there is something under a key, and reads it.
	Get(key uint64) bool
	Set(key uint64)
	// Settle waits until what was asked for so far has been done, where that happens in the background.
	Settle()
	Close()
}

// Kind is a cache to build.
type Kind struct {
	Name string
	// Ours are of this library.
	Ours bool
	// Generic caches keep any type of key and value; the others copy bytes.
	Generic bool
	// New returns a cache of so many entries. One that replays does in each call what it would do in the background,
	// where it lets that be chosen, so that a trace always has the same result.
	New func(entries int, replays bool) (Cache, error)
}

// Names of our own.
const (
	LRU     = "memwarden, LRU"
	TinyLFU = "memwarden, TinyLFU"
)

// All are the caches.
func All() []Kind {
	return []Kind{
		{LRU, true, true, ours(bounded.LRU)},
		{TinyLFU, true, true, ours(bounded.TinyLFU)},
		{"otter v2", false, true, newOtter},
		{"theine", false, true, newTheine},
		{"ristretto v2", false, true, newRistretto},
		{"golang-lru v2", false, true, newGolangLRU},
		{"freecache", false, false, newFreecache},
	}
}

type ourCache struct{ *bounded.Cache[uint64, uint64] }

func ours(policy bounded.CachePolicy) func(int, bool) (Cache, error) {
	return func(entries int, _ bool) (Cache, error) {
		c, err := bounded.NewCache(bounded.CacheOptions[uint64, uint64]{
			Name: "bench", MaxEntries: entries, MaxBytes: math.MaxInt64 / 2, Policy: policy,
		})
		return ourCache{c}, err
	}
}

func (c ourCache) Get(key uint64) bool {
	_, found := c.Cache.Get(key)
	return found
}

func (c ourCache) Set(key uint64) {
	if err := c.Cache.Set(key, key); err != nil {
		panic(err) // no number is too large
	}
}

func (c ourCache) Settle() {}
func (c ourCache) Close()  {}

type otterCache struct{ *otter.Cache[uint64, uint64] }

func newOtter(entries int, replays bool) (Cache, error) {
	options := &otter.Options[uint64, uint64]{MaximumSize: entries}
	if replays {
		options.Executor = func(work func()) { work() }
	}
	c, err := otter.New(options)
	return otterCache{c}, err
}

func (c otterCache) Get(key uint64) bool {
	_, found := c.GetIfPresent(key)
	return found
}

func (c otterCache) Set(key uint64) { c.Cache.Set(key, key) }
func (c otterCache) Settle()        { c.CleanUp() }
func (c otterCache) Close()         { c.StopAllGoroutines() }

// theineCache and ristrettoCache store in the background: replaying, they wait for each.
type theineCache struct {
	*theine.Cache[uint64, uint64]
	replays bool
}

func newTheine(entries int, replays bool) (Cache, error) {
	c, err := theine.NewBuilder[uint64, uint64](int64(entries)).Build()
	return theineCache{c, replays}, err
}

func (c theineCache) Get(key uint64) bool {
	_, found := c.Cache.Get(key)
	return found
}

func (c theineCache) Set(key uint64) {
	c.Cache.Set(key, key, 1)
	if c.replays {
		c.Wait()
	}
}

func (c theineCache) Settle() { c.Wait() }

type ristrettoCache struct {
	*ristretto.Cache[uint64, uint64]
	replays bool
}

func newRistretto(entries int, replays bool) (Cache, error) {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, uint64]{
		NumCounters: 10 * int64(entries), MaxCost: int64(entries), BufferItems: 64, IgnoreInternalCost: true,
	})
	return ristrettoCache{c, replays}, err
}

func (c ristrettoCache) Get(key uint64) bool {
	_, found := c.Cache.Get(key)
	return found
}

func (c ristrettoCache) Set(key uint64) {
	c.Cache.Set(key, key, 1)
	if c.replays {
		c.Wait()
	}
}

func (c ristrettoCache) Settle() { c.Wait() }

type golangLRU struct{ *lru.Cache[uint64, uint64] }

func newGolangLRU(entries int, _ bool) (Cache, error) {
	c, err := lru.New[uint64, uint64](entries)
	return golangLRU{c}, err
}

func (c golangLRU) Get(key uint64) bool {
	_, found := c.Cache.Get(key)
	return found
}

func (c golangLRU) Set(key uint64) { c.Add(key, key) }
func (c golangLRU) Settle()        {}
func (c golangLRU) Close()         {}

// freecacheCache has a bound in bytes. Its values are made as large as brings that to the number of entries.
type freecacheCache struct {
	*freecache.Cache
	value []byte
}

const (
	freecacheHeader = 24
	freecacheLeast  = 512 << 10 // bytes of a freecache; an entry has at most a 1024th of it
)

func newFreecache(entries int, _ bool) (Cache, error) {
	size := max(freecacheLeast, entries*(freecacheHeader+16))
	entry := size / entries
	if entry > size/1024 {
		return nil, fmt.Errorf("freecache holds no fewer than 1024 entries, want %d", entries)
	}
	return freecacheCache{freecache.NewCache(size), make([]byte, entry-freecacheHeader-8)}, nil
}

func (c freecacheCache) Get(key uint64) bool {
	var text [8]byte
	binary.LittleEndian.PutUint64(text[:], key)
	_, err := c.Cache.Get(text[:])
	return err == nil
}

func (c freecacheCache) Set(key uint64) {
	var text [8]byte
	binary.LittleEndian.PutUint64(text[:], key)
	if err := c.Cache.Set(text[:], c.value, 0); err != nil {
		panic(err) // every entry is as large as newFreecache has found small enough
	}
}

func (c freecacheCache) Settle() {}
func (c freecacheCache) Close()  {}
