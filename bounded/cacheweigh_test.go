package bounded

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unique"
)

func weighed[T any](t *testing.T, value T, want int64) {
	t.Helper()
	if got := weigh1[T]()(value); got != want {
		t.Errorf("%T: weighs %d, want %d", value, got, want)
	}
}

func TestDefaultWeigher(t *testing.T) {
	type flatPair struct {
		a int32
		b [3]float64
	}
	type named string
	type record struct {
		name string
		tags []string
		next *record
		any  any
	}
	weighed(t, 7, 0)
	weighed(t, flatPair{}, 0)
	weighed(t, "12345", 5)
	weighed(t, named("123"), 3)
	weighed(t, make([]byte, 3, 10), 10)
	weighed(t, make([]flatPair, 2, 4), 4*32)
	weighed(t, &flatPair{}, 32)
	weighed(t, (*flatPair)(nil), 0)
	weighed(t, []string{"a", "bc"}, 2*16+3)
	weighed(t, [2]string{"a", "bc"}, 3)
	weighed(t, any(nil), 0)
	weighed(t, any("abc"), 16+3)
	weighed(t, any(&flatPair{}), 32)
	recordBytes := int64(16 + 24 + 8 + 16)
	weighed(t, record{name: "ab", tags: []string{"c"}, next: &record{name: "d"}, any: 5}, 2+16+1+recordBytes+1+8)
	weighed(t, map[int]int(nil), 8)
	weighed(t, map[int]int{1: 1, 2: 2}, 2*17*2)
	weighed(t, map[string]int{"abc": 1}, 25*2+3)
	weighed(t, func() {}, 0)
	weighed(t, unique.Make("abc"), weigh1[unique.Handle[string]]()(unique.Make("abc")))

	// More parts than are looked at: the others are taken to be alike.
	many := make([]string, 10_000)
	for i := range many {
		many[i] = "12345678"
	}
	weighed(t, many, 10_000*(16+8))
	big := map[int]string{}
	for i := range 10_000 {
		big[i] = "12345678"
	}
	weighed(t, big, 10_000*(25*2+8))
	cycle := &record{}
	cycle.next = cycle
	if got := weigh1[*record]()(cycle); got < recordBytes || got > (maxDepth+1)*recordBytes {
		t.Errorf("a cycle weighs %d", got)
	}
}

// TestOwnBytesAreReal compares what is accounted for with what the runtime says, for entries whose contents take no
// memory of their own or a known amount.
func TestOwnBytesAreReal(t *testing.T) {
	const entries = 8_000
	numbers := func(options CacheOptions[int, int]) func(t *testing.T) {
		return func(t *testing.T) {
			ownBytesAreReal(t, options, entries, func(c *Cache[int, int], i int) error { return c.Set(i, i) })
		}
	}
	t.Run("numbers", numbers(CacheOptions[int, int]{}))
	t.Run("numbers with expiry", numbers(CacheOptions[int, int]{TTL: 1 << 40}))
	t.Run("numbers, TinyLFU", numbers(CacheOptions[int, int]{Policy: TinyLFU}))
	t.Run("strings and bytes", func(t *testing.T) {
		ownBytesAreReal(t, CacheOptions[string, []byte]{}, entries, func(c *Cache[string, []byte], i int) error {
			return c.Set(fmt.Sprintf("%016d", i), make([]byte, 64))
		})
	})
	t.Run("large words", func(t *testing.T) {
		ownBytesAreReal(t, CacheOptions[int, [100]int]{}, entries/10, func(c *Cache[int, [100]int], i int) error {
			return c.Set(i, [100]int{})
		})
	})
}

func ownBytesAreReal[K comparable, V any](t *testing.T, options CacheOptions[K, V], entries int, set func(*Cache[K, V], int) error) {
	options.MaxEntries, options.MaxBytes = entries, 1<<40
	before := heapInUse()
	c := newCache(t, options)
	for round := range 2 {
		for i := range entries {
			if err := set(c, i); err != nil {
				t.Fatal(err)
			}
		}
		if round == 0 { // the second time, values are exchanged where they can be, which takes most
			c.era.Store(1)
			for e := c.policy.victim(); e != nil; e = e.newer {
				e.mark.Store(1 << 1)
			}
		}
	}
	if options.Policy == LRU && c.exchanges != (c.exchanged.Load() == uint64(entries)) {
		t.Errorf("%d values were exchanged", c.exchanged.Load())
	}
	taken := heapInUse() - before
	accounted := c.Usage().Bytes
	least := 0.97 // of what is accounted, that is taken
	if options.Policy == TinyLFU {
		least = 0.7 // what it takes is doubled in steps
	}
	if share := float64(taken) / float64(accounted); share > 1.02 || share < least {
		t.Errorf("%d bytes accounted for %d entries, %d taken: %.3f", accounted, entries, taken, share)
	}
	c.Clear()
	if left := heapInUse() - before; left > 8<<10 {
		t.Errorf("an empty cache still takes %d bytes", left)
	}
	runtime.KeepAlive(c)
}

func heapInUse() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestReasons(t *testing.T) {
	var names []string
	for r := range reasons + 1 {
		names = append(names, r.String())
	}
	if got := strings.Join(names, " "); got != "capacity size expired idle replaced deleted shrunk reason(7)" {
		t.Error(got)
	}
}
