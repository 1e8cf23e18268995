package bounded

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRateShardAgainstAMap compares the table with a Go map, with hashes that often meet.
func TestRateShardAgainstAMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range 6 {
		var shard rateShard
		twin := map[keyTag]time.Duration{}
		var bytes int64
		homes := 1 + random.IntN(40)
		newTag := func() keyTag {
			home := uint64(random.IntN(homes)) << 54 >> rateShardBits // few homes, many keys for each
			return tagOf(home | uint64(random.IntN(20))<<2)
		}
		for step := range 3000 {
			switch tag := newTag(); {
			case random.IntN(200) == 0:
				percent := keyTag(random.IntN(101))
				keep := func(tag keyTag) bool { return tag>>2%101 < percent }
				for tag := range twin {
					if !keep(tag) {
						delete(twin, tag)
					}
				}
				before := shard.keys
				dropped, freed := shard.retain(func(key rateKey) bool { return keep(key.tag) })
				bytes -= freed
				if before-dropped != len(twin) {
					t.Fatalf("round %d, step %d: %d of %d keys dropped, want %d left", round, step, dropped, before, len(twin))
				}
			case arrivalOf(&shard, tag) < 0:
				if _, known := twin[tag]; known {
					t.Fatalf("round %d, step %d: %x is lost", round, step, tag)
				}
				bytes += shard.makeRoom()
				slot, _ := find(shard.slots(), tag)
				slot.put(rateKey{tag | keyTag(random.IntN(2))*tagRecent, time.Duration(step)})
				shard.keys++
				twin[tag] = time.Duration(step)
			default:
				if arrival, known := twin[tag]; !known || arrivalOf(&shard, tag) != arrival {
					t.Fatalf("round %d, step %d: %x has %d, want %d (%t)", round, step, tag, arrivalOf(&shard, tag), arrival, known)
				}
			}
			checkShard(t, &shard, bytes)
		}
	}
}

// arrivalOf is the arrival of a key; negative if it is not there.
func arrivalOf(s *rateShard, tag keyTag) time.Duration {
	slot, found := find(s.slots(), tag)
	if found == 0 {
		return -1
	}
	return time.Duration(slot.arrival.Load())
}

// checkShard reports what the fields' comments promise and the shard does not keep.
func checkShard(t *testing.T, s *rateShard, bytes int64) {
	t.Helper()
	used := 0
	slots := s.slots()
	for i := range slots {
		if slots[i].tag.Load() != 0 {
			used++
		}
	}
	if used != s.keys || bytes != rateSlotBytes*int64(cap(slots)) || s.keys*5 > len(slots)*4 ||
		len(slots) > max(rateMinSlots, s.keys*5/2) || s.keys == 0 && len(slots) > rateMinSlots {
		t.Fatalf("%d slots of %d keys, %d in use, %d bytes", len(slots), s.keys, used, bytes)
	}
}

func TestSizesOfShardsAndSlots(t *testing.T) {
	if size := reflect.TypeFor[rateSlot]().Size(); size != rateSlotBytes {
		t.Errorf("a slot takes %d bytes, want %d", size, rateSlotBytes)
	}
	if size := reflect.TypeFor[rateShard]().Size(); size != 64 {
		t.Errorf("a shard takes %d bytes, want a cache line", size)
	}
	if size := reflect.TypeFor[RateLimiter]().Size(); size > limiterBytes*15/16 {
		t.Errorf("a limiter takes %d bytes, want some less than %d", size, limiterBytes)
	}
}

// TestRateLimiterOneTimeKeys is the flood that fills a map for good: the memory is back with the second sweep, which
// nobody but Usage brings about.
func TestRateLimiterOneTimeKeys(t *testing.T) {
	keys := 100_000
	if *long {
		keys = 1_000_000
	}
	limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 10, Burst: 10, MaxKeys: keys})
	before, empty := heapBytes(), limiter.Usage()
	for i := range keys {
		limiter.Allow(strconv.Itoa(i))
	}
	held, usage := heapBytes()-before, limiter.Usage()
	const others = 16 << 10 // what else of the process comes and goes
	if usage.Entries != int64(keys) || held > int64(40*keys) || held > usage.Bytes+others {
		t.Errorf("%d bytes on the heap for %d keys, Usage says %+v", held, keys, usage)
	}
	for second := range 120 {
		clock.advance(time.Second)
		usage = limiter.Usage()
		if want := second < 59; want != (usage.Entries > 0) {
			t.Fatalf("after %d s: %+v", second+1, usage)
		}
	}
	if left := heapBytes() - before; left > others || usage.Bytes != empty.Bytes {
		t.Errorf("%d bytes left on the heap, %d in Usage", left, usage.Bytes-empty.Bytes)
	}
	runtime.KeepAlive(limiter)
}

// TestRateLimiterBoundsUnderConcurrency floods a limiter from several goroutines while time passes, with sweeps and
// shrinking between, and looks at the bounds all the time; a key in use keeps its state through all of it.
func TestRateLimiterBoundsUnderConcurrency(t *testing.T) {
	const workers, calls, burst = 4, 20_000, 50
	limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 10, Burst: burst, MaxKeys: 300, IdleExpiry: 10 * time.Second})
	var allowed atomic.Int64
	limiter.Allow("in use")
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for i := range calls {
				limiter.Allow(strconv.Itoa(worker*calls + i))
				if limiter.Allow("in use").Allowed {
					allowed.Add(1)
				}
				if usage := limiter.Usage(); usage.Entries > usage.MaxEntries || usage.Bytes > usage.MaxBytes ||
					usage.PeakEntries > usage.MaxEntries || usage.PeakBytes > usage.MaxBytes {
					t.Errorf("a bound is passed: %+v", usage)
					return
				}
				switch {
				case i%1000 == 0:
					limiter.Shrink(t.Context(), 1)
				case i%10 == 0:
					clock.advance(10 * time.Millisecond)
				}
			}
		})
	}
	group.Wait()
	elapsed := time.Duration(clock.elapsed.Load())
	if most := burst + int64(elapsed/limiter.interval); allowed.Load() > most {
		t.Errorf("%d requests of a key passed in %s, at most %d fit", allowed.Load(), elapsed, most)
	}
	clock.advance(10 * time.Second)
	if usage := limiter.Usage(); usage.Entries != 0 || usage.Bytes != limiterBytes {
		t.Errorf("after all expired: %+v", usage)
	}
	for i := range limiter.shards {
		checkShard(t, &limiter.shards[i], 0)
	}
}

// TestRateLimiterSweepsWhenFull sees to it that a new key gets the place of one that expired in a shard that nobody
// has called since, and not the bucket of the flood.
func TestRateLimiterSweepsWhenFull(t *testing.T) {
	limiter, clock := newLimiter(t, RateLimiterOptions{Rate: 1, Burst: 1, MaxKeys: 100})
	for i := range 101 {
		limiter.Allow(strconv.Itoa(i)) // the last one exhausts the shared bucket
	}
	clock.advance(999 * time.Millisecond)
	if limiter.Allow("too many").Allowed {
		t.Error("passed beyond the shared bucket")
	}
	clock.advance(59 * time.Second)
	limiter.Allow("0")
	clock.advance(2 * time.Millisecond) // the keys expire, at 60 s and 1 ms
	for i := range 99 {
		if key := "new " + strconv.Itoa(i); !limiter.Allow(key).Allowed || limiter.Allow(key).Allowed {
			t.Fatalf("%s has no bucket of its own", key)
		}
	}
	if usage := limiter.Usage(); usage.Entries != 100 {
		t.Errorf("%+v, want the key in use and 99 new ones", usage)
	}
}
