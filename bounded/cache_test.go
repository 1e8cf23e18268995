package bounded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hand is a clock that is moved by hand.
type hand struct{ at atomic.Int64 }

func (h *hand) now() time.Time          { return time.Unix(0, h.at.Load()) }
func (h *hand) advance(d time.Duration) { h.at.Add(int64(d)) }

// newCache returns a cache named "test", of which invariants are checked when the test ends.
func newCache[K comparable, V any](t testing.TB, options CacheOptions[K, V]) *Cache[K, V] {
	t.Helper()
	options.Name = "test"
	c, err := NewCache(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
		checkCache(t, c)
	})
	return c
}

// checkCache compares what a cache accounts for with what is in it.
func checkCache[K comparable, V any](t testing.TB, c *Cache[K, V]) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var entries, bytes int64
	slots := c.table.slots.Load()
	for slot := range slots {
		for e := c.table.at(slot).Load(); e != nil; e = e.chain.Load() {
			entries++
			bytes += c.size(e)
			if e.segment() == removed || slotOf(c.hash(e.key), slots) != slot {
				t.Errorf("key %v is in segment %d and slot %d of %d", e.key, e.segment(), slot, slots)
			}
		}
	}
	bounds := c.bounds.Load()
	if entries != c.entries.Load() || bytes != c.bytes.Load() || entries > bounds.entries || bytes > bounds.bytes {
		t.Errorf("%d entries of %d bytes are there, accounted are %d of %d, bounds are %+v", entries, bytes, c.entries.Load(), c.bytes.Load(), *bounds)
	}
	if int64(slots) > slotsEach*entries+pageSlots || int64(slots) < slotsEach*entries {
		t.Errorf("%d slots for %d entries", slots, entries)
	}
	var queued, weight int64
	for _, q := range queuesOf(c) {
		n := int64(0)
		for e := q.newest; e != nil; e = e.older {
			n++
			weight += c.size(e)
			if e.segment() != q.segment || e.older != nil && e.older.newer != e || e.older == nil && q.oldest != e {
				t.Errorf("key %v in the queue of segment %d: the links are wrong", e.key, q.segment)
			}
		}
		if n != q.entries {
			t.Errorf("segment %d counts %d entries and has %d", q.segment, q.entries, n)
		}
		queued += n
	}
	if queued != entries || weight != bytes {
		t.Errorf("%d entries of %d bytes are queued, %d of %d there", queued, weight, entries, bytes)
	}
	if len(c.flights) > 0 || len(c.running) > 0 || c.refreshing != 0 {
		t.Errorf("%d flights, %d running, %d refreshing after all has ended", len(c.flights), len(c.running), c.refreshing)
	}
}

func queuesOf[K comparable, V any](c *Cache[K, V]) []*cacheQueue[K, V] {
	switch p := c.policy.(type) {
	case *lru[K, V]:
		return []*cacheQueue[K, V]{&p.queue}
	case *tinyLFU[K, V]:
		return []*cacheQueue[K, V]{&p.window, &p.probation, &p.protected}
	}
	panic("unknown policy")
}

// evictionRecord is what OnEvict was told.
type evictionRecord struct {
	key, value int
	reason     Reason
}

// modelEntry is an entry of the model.
type modelEntry struct {
	key, value   int
	stored, used time.Duration
}

// cacheModel is an LRU cache as one would write it without caring for time: a slice, the oldest first.
type cacheModel struct {
	entries             []modelEntry
	maxEntries          int
	maxBytes, own       int64
	ttl, idle           time.Duration
	hits, misses, slips uint64
	evicted             map[Reason]uint64
}

func (m *cacheModel) bytes() (sum int64) {
	for _, e := range m.entries {
		sum += m.own + int64(e.value)
	}
	return sum
}

func (m *cacheModel) find(key int) int {
	for i, e := range m.entries {
		if e.key == key {
			return i
		}
	}
	return -1
}

func (m *cacheModel) drop(i int, reason Reason) {
	m.evicted[reason]++
	m.entries = append(m.entries[:i:i], m.entries[i+1:]...)
}

// expire removes what has expired.
func (m *cacheModel) expire(now time.Duration) {
	for i := len(m.entries) - 1; i >= 0; i-- {
		switch e := m.entries[i]; {
		case m.ttl > 0 && now-e.stored >= m.ttl:
			m.drop(i, Expired)
		case m.idle > 0 && now-e.used >= m.idle:
			m.drop(i, Idle)
		}
	}
}

func (m *cacheModel) get(key int, now time.Duration) (int, bool) {
	i := m.find(key)
	if i < 0 {
		m.misses++
		return 0, false
	}
	m.hits++
	e := m.entries[i]
	e.used = now
	m.entries = append(append(m.entries[:i:i], m.entries[i+1:]...), e)
	return e.value, true
}

func (m *cacheModel) set(key, value int, now time.Duration) bool {
	old := m.find(key)
	if old >= 0 {
		m.drop(old, Replaced)
	}
	size := m.own + int64(value)
	if size > m.maxBytes {
		m.slips++
		return false
	}
	m.trim(m.maxEntries-1, m.maxBytes-size)
	m.entries = append(m.entries, modelEntry{key, value, now, now})
	return true
}

func (m *cacheModel) trim(entries int, bytes int64) {
	for len(m.entries) > entries {
		m.drop(0, Capacity)
	}
	for m.bytes() > bytes {
		m.drop(0, Size)
	}
}

// TestLRUIsExact compares a cache used by one goroutine with the model, operation by operation. Values weigh what they
// are.
func TestLRUIsExact(t *testing.T) {
	for _, timed := range []bool{false, true} {
		for range 8 {
			compareWithModel(t, rand.Uint64(), timed, 1000)
		}
	}
}

func FuzzLRUIsExact(f *testing.F) {
	f.Add(uint64(1), false)
	f.Add(uint64(2), true)
	f.Fuzz(func(t *testing.T, seed uint64, timed bool) { compareWithModel(t, seed, timed, 500) })
}

func compareWithModel(t *testing.T, seed uint64, timed bool, operations int) {
	random := rand.New(rand.NewPCG(seed, 0))
	var clock hand
	var told []evictionRecord
	options := CacheOptions[int, int]{
		MaxEntries: 1 + random.IntN(600), MaxBytes: int64(2000 + random.IntN(60_000)), Now: clock.now,
		Weigh:   func(_, value int) int64 { return int64(value) },
		OnEvict: func(key, value int, reason Reason) { told = append(told, evictionRecord{key, value, reason}) },
	}
	if timed {
		options.TTL, options.IdleExpiry = time.Duration(1+random.IntN(300)), time.Duration(1+random.IntN(200))
	}
	c := newCache(t, options)
	m := &cacheModel{
		maxEntries: options.MaxEntries, maxBytes: options.MaxBytes, own: c.ownBytes, ttl: options.TTL, idle: options.IdleExpiry,
		evicted: map[Reason]uint64{},
	}
	fail := func(step int, format string, args ...any) {
		t.Helper()
		t.Fatalf("seed %d, timed %v, step %d: %s", seed, timed, step, fmt.Sprintf(format, args...))
	}
	keys := 1 + random.IntN(2*options.MaxEntries)
	for step := range operations {
		now := time.Duration(clock.at.Load())
		key, value := random.IntN(keys), random.IntN(300)
		switch random.IntN(40) {
		case 0:
			value = random.IntN(2 * int(m.maxBytes))
			fallthrough
		case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12:
			err := c.Set(key, value)
			if stored := m.set(key, value, now); stored != (err == nil) || err != nil && !errors.Is(err, ErrTooLarge) {
				fail(step, "Set(%d, %d): %v, stored in the model: %v", key, value, err, stored)
			}
		case 13:
			if got, want := c.Delete(key), false; true {
				if i := m.find(key); i >= 0 {
					want = true
					m.drop(i, Deleted)
				}
				if got != want {
					fail(step, "Delete(%d) = %v", key, got)
				}
			}
		case 14:
			clock.advance(time.Duration(random.IntN(40)))
			now = time.Duration(clock.at.Load())
			sweepAll(c) // the model does not wait for the sweep
			m.expire(now)
		case 15:
			if random.IntN(20) == 0 {
				m.maxEntries, m.maxBytes = 1+random.IntN(600), int64(2000+random.IntN(60_000))
				if err := c.Resize(m.maxEntries, m.maxBytes); err != nil {
					fail(step, "%v", err)
				}
				m.trim(m.maxEntries, m.maxBytes)
			}
		case 16:
			if random.IntN(20) == 0 {
				want, before := random.Int64N(m.bytes()+1), m.bytes()
				for before-m.bytes() < want {
					m.drop(0, Shrunk)
				}
				if got := c.Shrink(context.Background(), want); got != before-m.bytes() {
					fail(step, "Shrink(%d) = %d, want %d", want, got, before-m.bytes())
				}
			}
		default:
			got, found := c.Get(key)
			if want, there := m.get(key, now); got != want || found != there {
				fail(step, "Get(%d) = %d, %v, want %d, %v", key, got, found, want, there)
			}
		}
		usage := c.Usage()
		if int(usage.Entries) != len(m.entries) || usage.Bytes != m.bytes() || usage.MaxBytes != m.maxBytes {
			fail(step, "usage %+v, want %d entries of %d bytes", usage, len(m.entries), m.bytes())
		}
	}
	stats := c.Stats()
	if stats.Hits != m.hits || stats.Misses != m.misses || stats.Refused != m.slips || fmt.Sprint(stats.Evictions) != fmt.Sprint(m.evicted) {
		fail(operations, "%+v, want %d hits, %d misses, %d refused and evictions %v", stats, m.hits, m.misses, m.slips, m.evicted)
	}
	order := make([]int, 0, len(m.entries))
	for e := c.policy.(*lru[int, int]).queue.oldest; e != nil; e = e.newer {
		order = append(order, e.key)
	}
	for i, e := range m.entries {
		if order[i] != e.key {
			fail(operations, "order %v, want key %d at %d", order, e.key, i)
		}
	}
	told = told[:0]
	c.Clear()
	if len(told) != len(m.entries) || c.Len() != 0 {
		fail(operations, "Clear: %d told, %d left, want %d and 0", len(told), c.Len(), len(m.entries))
	}
	for i, e := range m.entries {
		if told[i] != (evictionRecord{e.key, e.value, Deleted}) {
			fail(operations, "Clear told %+v, want %+v", told[i], e)
		}
	}
}

// sweepAll removes all that has expired.
func sweepAll[K comparable, V any](c *Cache[K, V]) {
	if !c.timed {
		return
	}
	var left evictions[K, V]
	c.mu.Lock()
	c.sweep(math.MaxInt, &left)
	c.mu.Unlock()
	c.tell(left)
}

// TestBoundsHoldAtEveryMoment has writers, readers and a changing bound, and observers: one that asks all the time, and
// the cache's own functions. What is told of values is added up apart: at the end it must be what is there.
func TestBoundsHoldAtEveryMoment(t *testing.T) {
	for _, policy := range []CachePolicy{LRU, TinyLFU} {
		t.Run(fmt.Sprint("policy ", policy), func(t *testing.T) { boundsUnderFire(t, policy, 0, 4000) })
		t.Run(fmt.Sprint("policy ", policy, " with expiry"), func(t *testing.T) { boundsUnderFire(t, policy, time.Millisecond, 400) })
	}
}

func boundsUnderFire(t *testing.T, policy CachePolicy, ttl time.Duration, operations int) {
	const workers, maxEntries, maxBytes = 4, 300, 60_000
	if *long {
		operations *= 100
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var c *Cache[int, []byte]
	var out, in atomic.Int64 // values told to have left, and stored
	look := func() {
		if u := c.Usage(); u.Entries > u.MaxEntries || u.Bytes > u.MaxBytes || u.PeakBytes > maxBytes || u.PeakEntries > maxEntries {
			t.Errorf("beyond a bound: %+v", u)
		}
	}
	c = newCache(t, CacheOptions[int, []byte]{
		MaxEntries: maxEntries, MaxBytes: maxBytes, Policy: policy, TTL: ttl,
		Weigh:   func(_ int, value []byte) int64 { look(); return int64(cap(value)) },
		OnEvict: func(int, []byte, Reason) { look(); out.Add(1) },
	})
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				look()
				runtime.Gosched()
			}
		}
	})
	var writers sync.WaitGroup
	for worker := range uint64(workers) {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(seed, worker))
			for range operations {
				key := random.IntN(1000)
				switch random.IntN(100) {
				case 0:
					if err := c.Resize(1+random.IntN(maxEntries), int64(1000+random.IntN(maxBytes-1000))); err != nil {
						t.Error(err)
					}
				case 1:
					c.Shrink(t.Context(), random.Int64N(2000))
				case 2, 3:
					c.Delete(key)
				default:
					if value, found := c.Get(key); found {
						if len(value) == 0 || int(value[0]) != key%256 {
							t.Errorf("key %d has another's value", key)
						}
						continue
					}
					value := make([]byte, 1+random.IntN(1000))
					value[0] = byte(key)
					if err := c.Set(key, value); err == nil {
						in.Add(1)
					} else if !errors.Is(err, ErrTooLarge) {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	group.Wait()
	if left := in.Load() - out.Load(); left != int64(c.Len()) {
		t.Errorf("%d came in and %d left, but %d are there", in.Load(), out.Load(), c.Len())
	}
}

func TestCacheOptionMistakes(t *testing.T) {
	_, err := NewCache(CacheOptions[string, string]{
		Name: "A b", MaxEntries: -1, MaxBytes: 3, Policy: 9, TTL: -1, IdleExpiry: -1, RefreshAhead: -1, NegativeTTL: -1,
	})
	for _, want := range []string{"name", "max entries", "max bytes", "policy", "TTL", "idle expiry", "refresh ahead", "negative TTL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if _, err := NewCache(CacheOptions[string, string]{Name: "a", TTL: 5, RefreshAhead: 5}); err == nil {
		t.Error("a refresh as late as the expiry: want an error")
	}
}
