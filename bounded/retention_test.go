package bounded

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"
)

var _ Owner = (*Retention[string])(nil)

func newRetention[T any](t testing.TB, options RetentionOptions[T]) (*Retention[T], *handClock) {
	t.Helper()
	clock := new(handClock)
	options.Name, options.Now = "test", clock.now
	store, err := NewRetention(options)
	if err != nil {
		t.Fatal(err)
	}
	return store, clock
}

func keep[T any](t testing.TB, store *Retention[T], value T) int64 {
	t.Helper()
	id, err := store.Add(value)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// slicedRetention is the twin of a Retention: a slice of all that may still be seen, oldest first.
type slicedRetention struct {
	maxCount int
	maxAge   time.Duration
	room     int64 // for weights, and each entry's own size
	size     int64
	entries  []Retained[int64] // a value is its own weight
	peak     int64
}

func (s *slicedRetention) bytes() (sum int64) {
	for _, e := range s.entries {
		sum += s.size + e.Value
	}
	return sum
}

func (s *slicedRetention) trim(now time.Time) {
	for len(s.entries) > s.maxCount || len(s.entries) > 0 && (now.Sub(s.entries[0].At) > s.maxAge || s.bytes() > s.room) {
		s.entries = s.entries[1:]
	}
	s.peak = max(s.peak, s.bytes())
}

func (s *slicedRetention) page(before int64, limit int) []Retained[int64] {
	page := []Retained[int64]{}
	for _, e := range slices.Backward(s.entries) {
		if (before == 0 || e.ID < before) && len(page) < limit {
			page = append(page, e)
		}
	}
	return page
}

func TestRetentionAgainstASlice(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rounds := 12
	if *long {
		rounds = 200
	}
	for round := range rounds {
		if err := compareRetention(t, random); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

func compareRetention(t *testing.T, random *rand.Rand) error {
	options := RetentionOptions[int64]{
		MaxCount: 1 + random.IntN(100), MaxAge: time.Hour, Weigh: func(weight int64) int64 { return weight },
	}
	if random.IntN(2) == 0 {
		options.MaxBytes = 4500 + random.Int64N(20_000)
	}
	store, clock := newRetention(t, options)
	twin := &slicedRetention{maxCount: options.MaxCount, maxAge: options.MaxAge, room: store.room, size: store.entrySize}
	ids := int64(0)
	for step := range 600 {
		someID := ids - int64(random.IntN(2*options.MaxCount+2)) + 2
		switch action := random.IntN(20); action {
		case 0, 1, 2:
			clock.advance(time.Duration(random.ExpFloat64() * float64(20*time.Minute) / float64(options.MaxCount) * 10))
			if random.IntN(20) == 0 {
				clock.advance(time.Hour)
			}
		case 3, 4:
			twin.trim(clock.now())
			at := slices.IndexFunc(twin.entries, func(e Retained[int64]) bool { return e.ID == someID })
			if got := store.Delete(someID); got != (at >= 0) {
				return fmt.Errorf("step %d: Delete(%d) = %t", step, someID, got)
			}
			if at >= 0 {
				twin.entries = slices.Delete(twin.entries, at, at+1)
			}
		case 5:
			before := twin.bytes()
			bytes := random.Int64N(500) - 100
			freed := store.Shrink(t.Context(), bytes)
			twin.trim(clock.now())
			for len(twin.entries) > 0 && before-twin.bytes() < bytes {
				twin.entries = twin.entries[1:]
			}
			if want := before - twin.bytes(); freed != want {
				return fmt.Errorf("step %d: Shrink(%d) freed %d, want %d", step, bytes, freed, want)
			}
		default:
			weight := int64(random.ExpFloat64() * 300)
			id, err := store.Add(weight)
			if refuse := weight+store.entrySize > store.room; refuse != errors.Is(err, ErrNotRetained) || refuse != (err != nil) {
				return fmt.Errorf("step %d: Add of %d bytes where there is room for %d: %v", step, weight, store.room, err)
			} else if !refuse {
				if ids++; id != ids {
					return fmt.Errorf("step %d: id %d, want %d", step, id, ids)
				}
				twin.entries = append(twin.entries, Retained[int64]{id, clock.now(), weight})
			}
		}
		twin.trim(clock.now())
		if err := sameRetention(store, twin, someID, random.IntN(30)); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
	}
	return nil
}

// sameRetention compares what can be seen of a store with its twin, and its inside with what its comments promise.
func sameRetention(store *Retention[int64], twin *slicedRetention, id int64, limit int) error {
	if got, want := store.List(id, limit), twin.page(id, limit); !slices.Equal(got, want) {
		return fmt.Errorf("List(%d, %d) = %v, want %v", id, limit, got, want)
	}
	if got, want := store.List(0, math.MaxInt), twin.page(0, math.MaxInt); !slices.Equal(got, want) {
		return fmt.Errorf("all: %v, want %v", got, want)
	}
	at := slices.IndexFunc(twin.entries, func(e Retained[int64]) bool { return e.ID == id })
	if entry, found := store.Get(id); found != (at >= 0) || found && entry != twin.entries[at] {
		return fmt.Errorf("Get(%d) = %v, %t", id, entry, found)
	}
	usage := store.Usage()
	if usage.Entries != int64(len(twin.entries)) || usage.Bytes-store.base != twin.bytes() || usage.PeakBytes-store.base != twin.peak ||
		store.options.MaxBytes > 0 && usage.PeakBytes > usage.MaxBytes || usage.PeakEntries > usage.MaxEntries {
		return fmt.Errorf("%+v, want %d bytes beside %d, peak %d", usage, twin.bytes(), store.base, twin.peak)
	}
	segments, used := 0, 0
	for _, segment := range store.segments {
		if segment == nil {
			continue
		}
		segments++
		for _, entry := range segment {
			if entry != (retained[int64]{}) {
				used++
			}
		}
	}
	if used != store.count || segments > (used+2*segmentLength-2)/segmentLength || used == 0 && segments > 0 {
		return fmt.Errorf("%d segments for %d entries, %d places in use", segments, store.count, used)
	}
	return nil
}

func TestRetentionPages(t *testing.T) {
	store, _ := newRetention(t, RetentionOptions[string]{})
	if page := store.List(0, 10); page == nil || len(page) != 0 {
		t.Errorf("an empty store lists %v", page)
	}
	for _, value := range []string{"a", "b", "c", "d", "e"} {
		keep(t, store, value)
	}
	var pages []string
	for before := int64(0); ; {
		page := store.List(before, 2)
		if len(page) == 0 {
			break
		}
		text := ""
		for _, entry := range page {
			text += entry.Value
		}
		pages = append(pages, text)
		before = page[len(page)-1].ID
		keep(t, store, "new") // entries that come meanwhile move nothing
	}
	if got := strings.Join(pages, " "); got != "ed cb a" {
		t.Errorf("pages %s", got)
	}
	for _, limit := range []int{0, -1, math.MinInt} {
		if page := store.List(0, limit); len(page) != 0 {
			t.Errorf("limit %d: %v", limit, page)
		}
	}
}

func TestRetentionAges(t *testing.T) {
	store, clock := newRetention(t, RetentionOptions[string]{})
	first := keep(t, store, "first")
	clock.advance(24 * time.Hour)
	if _, found := store.Get(first); !found {
		t.Error("dropped at 24 h")
	}
	clock.advance(1)
	if entry, found := store.Get(first); found {
		t.Errorf("kept beyond 24 h: %v", entry)
	}

	// A clock that is set back stands still: order, and the age of what is kept, hold.
	at := clock.now()
	keep(t, store, "before")
	clock.advance(-time.Hour)
	keep(t, store, "after")
	if page := store.List(0, 2); len(page) != 2 || page[0].Value != "after" || !page[0].At.Equal(at) || !page[1].At.Equal(at) {
		t.Errorf("%v, want both at %s", page, at)
	}
	clock.advance(25*time.Hour + 1)
	if usage := store.Usage(); usage.Entries != 0 || usage.Bytes != store.base {
		t.Errorf("%+v", usage)
	}
}

// TestRetentionBoundsUnderConcurrency adds, reads, deletes and shrinks from several goroutines, and looks at the bounds
// all the time.
func TestRetentionBoundsUnderConcurrency(t *testing.T) {
	const workers, calls, maxCount, maxBytes = 4, 3000, 50, 20_000
	store, clock := newRetention(t, RetentionOptions[int64]{
		MaxCount: maxCount, MaxAge: time.Second, MaxBytes: maxBytes, Weigh: func(weight int64) int64 { return weight },
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(worker)))
			for range calls {
				id := keep(t, store, random.Int64N(1000))
				switch random.IntN(20) {
				case 0:
					store.Delete(id - int64(random.IntN(20)))
				case 1:
					store.Shrink(t.Context(), random.Int64N(2000))
				case 2:
					clock.advance(100 * time.Millisecond)
				}
				var sum int64
				now, last := clock.now(), int64(math.MaxInt64)
				page := store.List(0, 2*maxCount)
				for _, entry := range page {
					sum += entry.Value + store.entrySize
					if entry.ID >= last || now.Sub(entry.At) > time.Second {
						t.Errorf("entry %d of %s at %s, after %d", entry.ID, entry.At, now, last)
					}
					last = entry.ID
				}
				if usage := store.Usage(); len(page) > maxCount || sum+store.base > maxBytes || usage.Bytes > maxBytes ||
					usage.PeakBytes > maxBytes || usage.Entries > maxCount || usage.PeakEntries > maxCount {
					t.Errorf("a bound is passed: %d entries with %d bytes; %+v", len(page), sum, usage)
				}
			}
		})
	}
	group.Wait()
	clock.advance(time.Second + 1)
	if usage := store.Usage(); usage.Entries != 0 || usage.Bytes != store.base {
		t.Errorf("after all expired: %+v", usage)
	}
}

// TestRetentionMemory compares Usage with the heap, with entries of several sizes, and sees to it that memory comes back.
func TestRetentionMemory(t *testing.T) {
	compareHeap(t, func(i int) int { return i })
	compareHeap(t, func(i int) *int { return nil })
	compareHeap(t, func(i int) [5]*int { return [5]*int{} })
	compareHeap(t, func(i int) [100]byte { return [100]byte{} })
	compareHeap(t, func(i int) [300]string { return [300]string{} })
}

func compareHeap[T any](t *testing.T, value func(int) T) {
	t.Helper()
	const count = 2000
	store, clock := newRetention(t, RetentionOptions[T]{MaxCount: count})
	before := heapBytes()
	for i := range count {
		keep(t, store, value(i))
	}
	const others = 16 << 10 // what else of the process comes and goes
	held, usage := heapBytes()-before, store.Usage()
	t.Logf("%T: %d bytes on the heap, %d in Usage", value(0), held, usage.Bytes)
	if held > usage.Bytes+others || held < usage.Bytes-store.base-others || usage.Bytes != usage.MaxBytes {
		t.Errorf("%T: %d bytes on the heap, Usage says %+v", value(0), held, usage)
	}
	clock.advance(25 * time.Hour)
	store.Usage()
	if left := heapBytes() - before; left > others {
		t.Errorf("%T: %d bytes left after they expired", value(0), left)
	}
	runtime.KeepAlive(store)
}

// TestRetentionKeepsNothingAlive lets entries go in each way that there is, beside others that stay in the same segment.
func TestRetentionKeepsNothingAlive(t *testing.T) {
	type value *[100]int
	for name, remove := range map[string]func(store *Retention[value], clock *handClock, id int64){
		"by age": func(store *Retention[value], clock *handClock, _ int64) {
			clock.advance(31 * time.Minute)
			store.Usage()
		},
		"by count":  func(store *Retention[value], _ *handClock, _ int64) { keep(t, store, new([100]int)) },
		"by Delete": func(store *Retention[value], _ *handClock, id int64) { store.Delete(id) },
		"by Shrink": func(store *Retention[value], _ *handClock, _ int64) { store.Shrink(t.Context(), 1) },
	} {
		store, clock := newRetention(t, RetentionOptions[value]{MaxCount: 5, MaxAge: time.Hour})
		old := new([100]int)
		gone := weak.Make(old)
		id := keep(t, store, old)
		old = nil
		clock.advance(30 * time.Minute)
		for range 4 {
			keep(t, store, new([100]int))
		}
		remove(store, clock, id)
		if _, found := store.Get(id); found {
			t.Errorf("%s: not removed", name)
		}
		runtime.GC()
		if gone.Value() != nil {
			t.Errorf("%s: kept alive", name)
		}
		if got := store.Usage().Entries; got < 4 {
			t.Errorf("%s: %d entries left, want those that stay", name, got)
		}
	}
}

func TestRetentionUsageDoesNotAllocate(t *testing.T) {
	store, clock := newRetention(t, RetentionOptions[int]{MaxAge: time.Second})
	for i := range 1000 {
		keep(t, store, i)
		clock.advance(time.Millisecond)
	}
	if n := testing.AllocsPerRun(100, func() { clock.advance(10 * time.Millisecond); store.Usage() }); n != 0 {
		t.Errorf("Usage makes %v allocations, want none", n)
	}
}

func TestRetentionRefuses(t *testing.T) {
	weight := int64(-1)
	store, _ := newRetention(t, RetentionOptions[int]{Weigh: func(int) int64 { return weight }})
	if _, err := store.Add(1); err == nil || !strings.Contains(err.Error(), "retention test: a value weighs -1 bytes") {
		t.Errorf("a negative weight: %v", err)
	}
	weight = math.MaxInt64
	if _, err := store.Add(1); err == nil || errors.Is(err, ErrNotRetained) {
		t.Errorf("an absurd weight: %v", err)
	}
	if usage := store.Usage(); usage.Entries != 0 || usage.MaxBytes != NotApplicable || usage.MaxEntries != 1000 || store.Name() != "test" {
		t.Errorf("%+v", usage)
	}
}

func TestNewRetentionListsEveryMistake(t *testing.T) {
	weigh := func(string) int64 { return 0 }
	for _, test := range []struct {
		options RetentionOptions[string]
		want    []string
	}{
		{RetentionOptions[string]{}, []string{`name ""`}},
		{
			RetentionOptions[string]{Name: "a b", MaxCount: -1, MaxAge: -1, MaxBytes: -1},
			[]string{`name "a b"`, "max count -1", "max age -1ns", "max bytes -1"},
		},
		{RetentionOptions[string]{Name: "a", MaxCount: math.MaxInt}, []string{"max count 9223372036854775807"}},
		{RetentionOptions[string]{Name: "a", MaxBytes: 1000, Weigh: weigh}, []string{"max bytes 1000: want at least "}},
		{RetentionOptions[string]{Name: "a", MaxBytes: 1 << 30}, []string{"without a function that weighs"}},
	} {
		_, err := NewRetention(test.options)
		if err == nil {
			t.Errorf("%+v: accepted", test.options)
			continue
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) != len(test.want) {
			t.Errorf("%d mistakes, want %d:\n%v", len(lines), len(test.want), err)
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nlacks %q", err, want)
			}
		}
	}
	store, err := NewRetention(RetentionOptions[string]{Name: "defaults"})
	if err != nil {
		t.Fatal(err)
	}
	if id := keep(t, store, "now"); time.Since(store.List(0, 1)[0].At) > time.Minute || store.options.MaxAge != 24*time.Hour || id != 1 {
		t.Errorf("defaults: %+v", store.List(0, 1))
	}
}

// BenchmarkRetention has the store at its bound all the time.
func BenchmarkRetention(b *testing.B) {
	const count = 1000
	value := strings.Repeat("a report ", 100)
	store, err := NewRetention(RetentionOptions[string]{Name: "bench", MaxBytes: 100 << 20, Weigh: func(s string) int64 { return int64(len(s)) }})
	if err != nil {
		b.Fatal(err)
	}
	for range count {
		keep(b, store, value)
	}
	b.Run("add", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			keep(b, store, value)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "adds/s")
		usage := store.Usage()
		b.ReportMetric(float64(usage.Bytes-int64(count*len(value)))/count, "overhead-B/entry")
	})
	newest := store.List(0, 1)[0].ID
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for i := int64(0); b.Loop(); i++ {
			if _, found := store.Get(newest - i*7%count); !found {
				b.Fatal("an entry is missing")
			}
		}
	})
	b.Run("list of 50", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			store.List(newest-100, 50)
		}
	})
}
