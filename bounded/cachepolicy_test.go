package bounded

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// filled returns a cache of so many entries that is full of the keys from 0 on.
func filled(t *testing.T, entries int, policy CachePolicy) *Cache[int, int] {
	t.Helper()
	c := newCache(t, CacheOptions[int, int]{MaxEntries: entries, Policy: policy})
	store(t, c, 0, entries)
	return c
}

func store(t *testing.T, c *Cache[int, int], from, to int) {
	t.Helper()
	for key := from; key < to; key++ {
		if err := c.Set(key, key); err != nil {
			t.Fatal(err)
		}
	}
}

// oldest returns the keys of an LRU, the oldest first.
func oldest(c *Cache[int, int], most int) (keys []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.policy.(*lru[int, int]).queue.oldest; e != nil && len(keys) < most; e = e.newer {
		keys = append(keys, e.key)
	}
	return keys
}

// TestEra shows what is written of reads that find the lock taken.
func TestEra(t *testing.T) {
	c := filled(t, 80, LRU)
	c.mu.Lock()
	c.Get(0)
	c.mu.Unlock()
	if c.era.Load() == 0 {
		t.Fatal("a read found the lock taken, and no era began")
	}
	c.Get(1) // noted at once, the lock is free
	c.Get(3)
	c.Get(1) // has been noted already
	if got := fmt.Sprint(oldest(c, 3)); got != "[0 2 4]" {
		t.Errorf("oldest are %s", got)
	}
	store(t, c, 100, 101)
	if got := fmt.Sprint(oldest(c, 2)); got != "[4 5]" {
		t.Errorf("oldest are %s: want 2 gone, for 0 was used", got)
	}
	if _, found := c.Get(0); !found {
		t.Error("an entry went whose use could not be noted at once")
	}
	store(t, c, 101, 110)
	if c.era.Load() != 0 {
		t.Error("an eighth of the entries is new, and the era goes on")
	}
	c.Get(20)
	if got := c.policy.(*lru[int, int]).queue.newest.key; got != 20 {
		t.Errorf("the newest is %d: want LRU exact again", got)
	}
}

// TestLRUUnderConcurrency: whatever readers do at once, an entry that they use again and again, at least once between
// one eighth of all entries that come in and the next, never goes.
func TestLRUUnderConcurrency(t *testing.T) {
	const entries, kept, rounds = 800, 80, 60
	c := filled(t, entries, LRU)
	for round := range rounds {
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for i := range 4 * kept {
					if key := entries - 1 - i%kept; i >= 0 {
						if _, found := c.Get(key); !found {
							t.Errorf("round %d: key %d is gone", round, key)
						}
					}
				}
			})
		}
		readers.Wait()
		store(t, c, 1000*(round+1), 1000*(round+1)+entries/8)
	}
	if gone := c.Stats().Evictions[Capacity]; gone != rounds*entries/8 {
		t.Errorf("%d are gone, want %d", gone, rounds*entries/8)
	}
}

func TestHitsOfConcurrentReaders(t *testing.T) {
	const readers, reads = 4, 5000
	c := filled(t, 100, LRU)
	var group sync.WaitGroup
	for range readers {
		group.Go(func() {
			for i := range reads {
				c.Get(i % 200)
			}
		})
	}
	group.Wait()
	stats := c.Stats()
	if stats.Misses != readers*reads/2 {
		t.Errorf("%+v, want %d misses", stats, readers*reads/2)
	}
	c.era.Store(1)
	const more = 1_000_000
	for range more {
		c.reads.hit()
	}
	got := c.Stats().Hits - stats.Hits
	if deviation := math.Abs(float64(got) - more); got%hitSample != 0 || deviation > 7*math.Sqrt(hitSample*more) {
		t.Errorf("%d hits of %d", got, more)
	}
}

// TestReplacingInAnEra: a value that is set where one of the same weight is, whose use has been noted, takes its place: the
// entry, its mark and the order stay.
func TestReplacingInAnEra(t *testing.T) {
	for _, policy := range []CachePolicy{LRU, TinyLFU} {
		const entries = 20
		var told []int
		c := newCache(t, CacheOptions[int, int]{MaxEntries: entries, Policy: policy, OnEvict: func(_, value int, reason Reason) {
			if reason == Replaced {
				told = append(told, value)
			}
		}})
		store(t, c, 0, entries)
		c.era.Store(7)
		order := func() (keys []int) {
			for key := range entries {
				e, _ := c.table.find(c.hash(key), key)
				older := -1
				if e.older != nil {
					older = e.older.key
				}
				keys = append(keys, older)
			}
			return keys
		}
		for key := range entries {
			c.Get(key)
		}
		before := order()
		for key := range entries {
			e, _ := c.table.find(c.hash(key), key)
			if key%2 == 0 {
				e.mark.Store(7<<1 | spared)
			}
			if err := c.Set(key, 100+key); err != nil {
				t.Fatal(err)
			}
			if same, _ := c.table.find(c.hash(key), key); same != e || e.content.Load().value != 100+key || e.mark.Load()&spared != uint32(1-key%2) {
				t.Errorf("policy %d, key %d: value %d, mark %b", policy, key, e.content.Load().value, e.mark.Load())
			}
			checkCache(t, c)
		}
		if after := order(); !slices.Equal(before, after) || len(told) != entries || told[3] != 3 || c.Stats().Evictions[Replaced] != entries {
			t.Errorf("policy %d: order %v, then %v; told %v", policy, before, after, told)
		}
	}
}

// TestEveryValueLeavesOnce: while some replace values, and others remove them, each value that was set leaves exactly once,
// or is there at the end.
func TestEveryValueLeavesOnce(t *testing.T) {
	const keys, writers, writes = 20, 4, 20_000
	var left [writers * writes]atomic.Int32
	c := newCache(t, CacheOptions[int, int]{MaxEntries: keys - 2, OnEvict: func(_, value int, _ Reason) { left[value].Add(1) }})
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(writer), 1))
			for i := range writes {
				key := random.IntN(keys)
				if err := c.Set(key, writer*writes+i); err != nil {
					t.Error(err)
				}
				for range 3 {
					c.Get(random.IntN(keys))
				}
				if i%10 == 0 {
					c.Delete(random.IntN(keys))
				}
			}
		})
	}
	group.Wait()
	exchanged := c.exchanged.Load()
	for key := range keys {
		if value, found := c.Get(key); found {
			left[value].Add(1)
		}
	}
	for value := range left {
		if n := left[value].Load(); n != 1 {
			t.Fatalf("value %d left %d times", value, n)
		}
	}
	t.Logf("%d of %d replaced without the lock", exchanged, writers*writes)
	checkCache(t, c)
}

func TestRefusedValues(t *testing.T) {
	var told []string
	c := newCache(t, CacheOptions[float64, string]{
		MaxBytes: 1000,
		OnEvict:  func(_ float64, value string, reason Reason) { told = append(told, value+" "+reason.String()) },
		Weigh: func(_ float64, value string) int64 {
			switch value {
			case "light":
				return -1
			case "heaviest":
				return math.MaxInt64
			}
			return int64(len(value))
		},
	})
	for _, refused := range []string{"light", "heaviest", strings.Repeat("x", 1000)} {
		if err := c.Set(1, "old"); err != nil {
			t.Fatal(err)
		}
		if err := c.Set(1, refused); err == nil || errors.Is(err, ErrTooLarge) != (refused != "light") {
			t.Errorf("%.10s: %v", refused, err)
		}
		if value, found := c.Get(1); found {
			t.Errorf("%.10s: %q is still there", refused, value)
		}
	}
	if err := c.Set(math.NaN(), "value"); !errors.Is(err, ErrUnequalKey) {
		t.Errorf("NaN: %v", err)
	}
	if _, err := c.Load(t.Context(), math.NaN(), answer("value")); !errors.Is(err, ErrUnequalKey) {
		t.Errorf("load NaN: %v", err)
	}
	if got := strings.Join(told, ", "); got != "old replaced, old replaced, old replaced" || c.Stats().Refused != 3 || c.Len() != 0 {
		t.Errorf("told %s, %+v", got, c.Stats())
	}
	if err := c.Resize(0, 1); err == nil || c.Usage().MaxBytes != 1000 {
		t.Errorf("Resize(0, 1): %v, %+v", err, c.Usage())
	}
}

// TestReplacingStaysWithinTheBound grows a value until it is alone, and others meanwhile watch the bound.
func TestReplacingStaysWithinTheBound(t *testing.T) {
	for _, policy := range []CachePolicy{LRU, TinyLFU} {
		c := newCache(t, CacheOptions[int, []byte]{MaxBytes: 10_000, Policy: policy})
		for size := 100; size < 9_900; size += 100 {
			for _, key := range []int{0, size} {
				if err := c.Set(key, make([]byte, size/(1+key/9_000))); err != nil {
					t.Fatal(err)
				}
			}
			if value, found := c.Get(0); size < 4_000 && (!found || len(value) != size) {
				t.Fatalf("policy %d: %d of %d bytes are there", policy, len(value), size)
			}
			checkCache(t, c)
		}
		if usage := c.Usage(); usage.PeakBytes > 10_000 || usage.PeakBytes < 9_000 {
			t.Errorf("policy %d: %+v", policy, usage)
		}
	}
}

// TestTinyLFUResistsScans: what is used again and again stays, whatever passes by once.
func TestTinyLFUResistsScans(t *testing.T) {
	const hot, entries = 50, 100
	hits := func(policy CachePolicy) (sum int) {
		c := filled(t, entries, policy)
		for round := range 200 {
			for key := range hot {
				if _, found := c.Get(key); found {
					sum++
				} else {
					store(t, c, key, key+1)
				}
			}
			store(t, c, 1000*(round+1), 1000*(round+1)+2*entries)
		}
		return sum
	}
	if scanned := hits(LRU); scanned > 2*hot {
		t.Errorf("LRU has %d hits: the scans are too short to show anything", scanned)
	}
	if got := hits(TinyLFU); got < 190*hot {
		t.Errorf("TinyLFU has %d hits of %d", got, 200*hot)
	}
}

// returning asks for keys that come back once, after so many others, and never again, and returns the share of hits.
func returning(t *testing.T, c *Cache[int, int], after int) float64 {
	t.Helper()
	const first, requests = 1000, 15_000
	hits := 0
	for key := first; key < first+requests; key++ {
		store(t, c, key, key+1)
		if back := key - after; back >= first {
			if _, found := c.Get(back); found {
				hits++
			} else {
				store(t, c, back, back+1)
			}
		}
	}
	return float64(hits) / requests
}

// TestWindowFollowsTheProgram: keys that come back once, soon, and never again need a window as large as that; a loop
// needs none. Of one cache in 200 the seed of its hashes is such that the window is still large after the loop, so that the
// middle one of five is held to it.
func TestWindowFollowsTheProgram(t *testing.T) {
	for _, after := range []int{5, 30, 60} {
		var shares [5]float64
		for i := range shares {
			c := filled(t, 200, TinyLFU)
			p := c.policy.(*tinyLFU[int, int])
			if hits := returning(t, c, after); hits < 0.75 {
				t.Errorf("keys come back after %d others, and %.2f of them are hits; the window has %.2f of 200", after, hits, p.share)
			}
			for i := range 10_000 {
				if _, found := c.Get(i % 400); !found {
					store(t, c, i%400, i%400+1)
				}
			}
			shares[i] = p.share
			c.Clear()
			if len(p.sketch.words) > 16*leastSketched || p.entries() != 0 {
				t.Errorf("after Clear the sketch has %d words, %d entries are queued", len(p.sketch.words), p.entries())
			}
		}
		if slices.Sort(shares[:]); shares[2] > 0.25 {
			t.Errorf("a loop needs no window, but these have %.2f", shares)
		}
	}
}

// TestFrequencySketch compares it with exact counts: it never tells fewer, and seldom more.
func TestFrequencySketch(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	const keys = 1000
	var s frequencySketch
	s.fit(keys / 4)
	s.fit(keys)
	exact, hashes := map[int]uint64{}, map[int]uint64{}
	for key := range keys {
		hashes[key] = random.Uint64()
	}
	zipf := rand.NewZipf(random, 1.2, 1, keys-1)
	for range 8 * keys {
		key := int(zipf.Uint64())
		exact[key]++
		s.count(hashes[key])
	}
	more := 0
	for key := range keys {
		got, want := s.estimate(hashes[key]), min(exact[key], mostCounted)
		if got < want {
			t.Errorf("seed %d: key %d was used %d times, told %d", seed, key, want, got)
		}
		if got > want {
			more++
		}
	}
	if more > keys/20 {
		t.Errorf("seed %d: %d of %d estimates are too high", seed, more, keys)
	}
	before := s.estimate(hashes[0])
	for s.uses > usesPerWord*len(s.words)/2 || before == s.estimate(hashes[0]) {
		s.count(random.Uint64())
	}
	if got := s.estimate(hashes[0]); got > (before+1)/2+1 {
		t.Errorf("seed %d: %d of %d are left after the halving", seed, got, before)
	}
}

func TestGoneKeys(t *testing.T) {
	var g goneKeys
	g.fit(1000)
	if g.take(0, 10) {
		t.Error("nothing was put")
	}
	for key := range uint64(100) {
		g.put(key<<32 | key)
	}
	if !g.take(99<<32|99, 1) || g.take(99<<32|99, 1) || g.take(90<<32|90, 5) || g.take(50<<32|51, 100) || !g.take(80<<32|80, 50) {
		t.Error("want those taken that are among the last, once each")
	}
}

func TestReadsDoNotAllocate(t *testing.T) {
	for _, options := range []CacheOptions[int, int]{{}, {Policy: TinyLFU}, {TTL: 1 << 40, IdleExpiry: 1 << 40}} {
		c := newCache(t, options)
		store(t, c, 0, 100)
		if n := testing.AllocsPerRun(100, func() {
			c.Get(5)
			c.Get(-1)
			c.Usage()
		}); n != 0 {
			t.Errorf("%+v: %v allocations", options, n)
		}
	}
}

func BenchmarkCacheGet(b *testing.B) {
	for _, policy := range []CachePolicy{LRU, TinyLFU} {
		b.Run(fmt.Sprint("policy=", policy), func(b *testing.B) {
			c := newCache(b, CacheOptions[int, int]{MaxEntries: 10_000, Policy: policy})
			for key := range 10_000 {
				if err := c.Set(key, key); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for key := 0; pb.Next(); key++ {
					c.Get(key % 10_000)
				}
			})
		})
	}
}

func BenchmarkCacheSet(b *testing.B) {
	for _, policy := range []CachePolicy{LRU, TinyLFU} {
		b.Run(fmt.Sprint("policy=", policy), func(b *testing.B) {
			c := newCache(b, CacheOptions[int, int]{MaxEntries: 10_000, Policy: policy})
			b.ReportAllocs()
			for key := 0; b.Loop(); key++ {
				if err := c.Set(key, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
