package bounded

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
)

const million = 1_000_000

func benchLimiter(b *testing.B, options RateLimiterOptions) *RateLimiter {
	b.Helper()
	options.Name = "bench"
	limiter, err := NewRateLimiter(options)
	if err != nil {
		b.Fatal(err)
	}
	return limiter
}

// addresses returns so many different keys of the length that peer addresses have.
func addresses(count int) []string {
	keys := make([]string, count)
	for i := range keys {
		keys[i] = "2001:db8::" + strconv.Itoa(i)
	}
	return keys
}

// decide calls Allow from all processors, each with the keys in an order of its own, and reports decisions a second.
func decide(b *testing.B, limiter *RateLimiter, keys []string) {
	b.Helper()
	b.ReportAllocs()
	var workers atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for at := int(workers.Add(1)) * 7919; pb.Next(); at++ {
			limiter.Allow(keys[at%len(keys)])
		}
	})
	reportDecisions(b)
}

func reportDecisions(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

func BenchmarkRateLimiter(b *testing.B) {
	for _, count := range []int{1, 4, 10_000, million} {
		b.Run("keys="+strconv.Itoa(count), func(b *testing.B) {
			keys := addresses(count)
			limiter := benchLimiter(b, RateLimiterOptions{Rate: 100, Burst: 100, MaxKeys: million})
			for _, key := range keys {
				limiter.Allow(key)
			}
			b.ResetTimer()
			decide(b, limiter, keys)
		})
	}
	b.Run("keys=10000/one goroutine", func(b *testing.B) {
		keys := addresses(10_000)
		limiter := benchLimiter(b, RateLimiterOptions{Rate: 100, Burst: 100})
		b.ReportAllocs()
		for at := 0; b.Loop(); at++ {
			limiter.Allow(keys[at%len(keys)])
		}
		reportDecisions(b)
	})
}

// BenchmarkRateLimiterFlood asks with a new key each time, so that the limiter is at its bound nearly always.
func BenchmarkRateLimiterFlood(b *testing.B) {
	const length = 16
	text := make([]byte, 64<<20) // every 16 bytes of it are another key
	random := rand.NewChaCha8([32]byte{})
	if _, err := random.Read(text); err != nil {
		b.Fatal(err)
	}
	source := string(text)
	for _, maxKeys := range []int{10_000, million} {
		b.Run("keys="+strconv.Itoa(maxKeys), func(b *testing.B) {
			limiter := benchLimiter(b, RateLimiterOptions{Rate: 100, Burst: 100, MaxKeys: maxKeys})
			var workers atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for at := int(workers.Add(1)) << 24; pb.Next(); at++ {
					from := at % (len(source) - length)
					limiter.Allow(source[from : from+length])
				}
			})
			reportDecisions(b)
		})
	}
}

// BenchmarkRateLimiterMemory reports the live heap per key at a million keys, all of them in use in two generations.
func BenchmarkRateLimiterMemory(b *testing.B) {
	keys := addresses(million)
	for b.Loop() {
		limiter, clock := newLimiter(b, RateLimiterOptions{Rate: 10, Burst: 10, MaxKeys: million})
		before := heapBytes()
		for _, key := range keys {
			limiter.Allow(key)
		}
		first := heapBytes() - before
		clock.advance(limiter.half)
		for _, key := range keys {
			limiter.Allow(key)
		}
		held := max(first, heapBytes()-before)
		b.ReportMetric(float64(held)/million, "B/key")
		clock.advance(2 * limiter.half)
		limiter.Usage()
		b.ReportMetric(float64(heapBytes()-before), "B-left")
		runtime.KeepAlive(limiter)
	}
	runtime.KeepAlive(keys)
}

func BenchmarkRateLimiterShrink(b *testing.B) {
	limiter := benchLimiter(b, RateLimiterOptions{Rate: 0.01, Burst: 100})
	for _, key := range addresses(10_000) {
		limiter.Allow(key)
	}
	for b.Loop() { // no bucket is full: all are kept, the costliest case
		limiter.Shrink(b.Context(), 1)
	}
}
