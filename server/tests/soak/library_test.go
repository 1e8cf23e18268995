package soak

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

// skewed returns a number below n, small ones far more often.
func skewed(random *rand.Rand, n int) int {
	return int(float64(n) * math.Pow(random.Float64(), 4))
}

// bytesOf returns new bytes, so many at most.
func bytesOf(random *rand.Rand, most int) []byte { return make([]byte, random.IntN(most+1)) }

// addCaches adds one of each policy. The one has small values, so that its entries come to their bound, the other large
// ones, so that its bytes do.
func (s *soak) addCaches() {
	ttl := max(12*time.Second, time.Minute/time.Duration(s.plan.share))
	for _, c := range []struct {
		name   string
		policy bounded.CachePolicy
		value  int
	}{{"cache_lru", bounded.LRU, 8 << 10}, {"cache_tinylfu", bounded.TinyLFU, 512}} {
		entries, bytes := 16_000/s.plan.share, int64(32<<20/s.plan.share)
		cache, err := bounded.NewCache(bounded.CacheOptions[string, []byte]{
			Name: c.name, MaxEntries: entries, MaxBytes: bytes, Policy: c.policy,
			TTL: ttl, IdleExpiry: ttl * 3 / 4, RefreshAhead: ttl / 3, NegativeTTL: time.Second,
			OnEvict: func(_ string, value []byte, _ bounded.Reason) { s.loss.take(value) },
		})
		if err != nil {
			s.t.Fatal(err)
		}
		s.add(cache, peaked(cache))
		s.closing(c.name, cache.Close)
		s.drive(2, 2*time.Millisecond, func(random *rand.Rand) {
			for range 32 {
				s.useCache(random, cache, strconv.Itoa(skewed(random, 20*entries)), c.value)
			}
			switch random.IntN(2000) {
			case 0:
				cache.Shrink(s.ctx, random.Int64N(bytes/64))
			case 1:
				err := errors.Join(cache.Resize(entries*7/8, bytes*7/8), cache.Resize(entries, bytes))
				if err != nil {
					s.fail(err)
				}
			}
		})
	}
}

// errLoad is what some loads fail with.
var errLoad = errors.New("the source does not answer")

func (s *soak) useCache(random *rand.Rand, cache *bounded.Cache[string, []byte], key string, largest int) {
	switch dice := random.IntN(100); {
	case dice < 40:
		cache.Get(key)
	case dice < 60:
		if err := cache.Set(key, bytesOf(random, largest)); err != nil {
			s.fail(err)
		}
	case dice < 63:
		cache.Delete(key)
	default:
		value, outcome := bytesOf(random, largest), random.IntN(40)
		ctx, cancel := context.WithTimeout(s.ctx, time.Duration(random.IntN(20_000))*time.Microsecond)
		defer cancel()
		_, err := cache.Load(ctx, key, func(ctx context.Context) ([]byte, error) {
			switch outcome {
			case 0:
				return nil, errLoad
			case 1:
				return nil, fmt.Errorf("row %s: %w", key, bounded.ErrNotFound)
			case 2:
				panic("a loader that panics")
			case 3:
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			return value, nil
		})
		var panicked *bounded.PanicError
		if err != nil && !errors.Is(err, errLoad) && !errors.Is(err, bounded.ErrNotFound) && !errors.As(err, &panicked) &&
			!errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			s.fail(err)
		}
	}
}

func (s *soak) addRetention() {
	count := 1000 / s.plan.share
	store, err := bounded.NewRetention(bounded.RetentionOptions[[]byte]{
		Name: "retention", MaxCount: count, MaxAge: time.Minute, MaxBytes: int64(count) * 8 << 10,
		Weigh: func(value []byte) int64 { return int64(cap(value)) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.add(store, peaked(store))
	s.drive(1, 5*time.Millisecond, func(random *rand.Rand) {
		var id int64
		for range 4 {
			var err error
			if id, err = store.Add(bytesOf(random, 16<<10)); err != nil {
				s.fail(err)
			}
		}
		switch before := id - random.Int64N(int64(count)); random.IntN(10) {
		case 0:
			store.Delete(before)
		case 1:
			store.Get(before)
		case 2:
			store.List(max(0, before), 10)
		}
		if random.IntN(1000) == 0 {
			store.Shrink(s.ctx, random.Int64N(64<<10))
		}
	})
}

// addRateLimiter adds a limiter that is flooded with keys that come once, beside some that stay.
func (s *soak) addRateLimiter() {
	keys := 100_000 / s.plan.share
	limiter, err := bounded.NewRateLimiter(bounded.RateLimiterOptions{
		Name: "rate_limiter", Rate: 100, Burst: 100, MaxKeys: keys, IdleExpiry: 4 * time.Second,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.add(limiter, peaked(limiter))
	s.drive(2, 2*time.Millisecond, func(random *rand.Rand) {
		for range 512 / min(4, s.plan.share) {
			if random.IntN(4) == 0 {
				limiter.Allow(strconv.Itoa(random.IntN(1000)))
			} else {
				limiter.Allow(strconv.FormatUint(random.Uint64(), 36))
			}
		}
		if random.IntN(2000) == 0 {
			limiter.Shrink(s.ctx, 1)
		}
	})
}

// event is what goes through the topic.
type event struct{ text [1 << 10]byte }

// addTopic adds a topic whose listeners are stuck, slow, panicking, and coming and going.
func (s *soak) addTopic() {
	const stuck, slow, panicking, others, queue = 8, 4, 2, 6, 64
	var full, panics atomic.Int64
	topic, err := bounded.NewTopic[*event](bounded.TopicOptions{
		Name: "event_bus", MaxListeners: stuck + slow + panicking + others, MaxQueue: queue, EventBytes: 1 << 10,
		OnPanic: func(bounded.ListenerPanic) { panics.Add(1) }, OnGrowth: func(bounded.TopicGrowth) {},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	listen := func(count int, handle func(context.Context, *event)) {
		for range count {
			if _, err := topic.Subscribe(bounded.ListenerOptions{Queue: queue}, handle); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	listen(stuck, func(ctx context.Context, _ *event) { <-ctx.Done() })
	listen(slow, func(ctx context.Context, _ *event) {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
		}
	})
	listen(panicking, func(context.Context, *event) { panic("a listener that panics") })
	s.add(topic, func() bool {
		return topic.Stats().Queued >= stuck*queue && full.Load() > 0 && panics.Load() > 0
	})
	s.closing("event_bus", func(context.Context) error {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_ = topic.Close(ctx) // the stuck ones are told by the end of it
		return nil
	})
	s.drive(2, 2*time.Millisecond, func(random *rand.Rand) {
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Millisecond)
		defer cancel()
		for range 4 {
			if err := topic.Publish(ctx, new(event)); err != nil && ctx.Err() == nil {
				s.fail(err)
			}
		}
		if random.IntN(500) == 0 {
			topic.Shrink(ctx, 16<<10)
		}
	})
	s.drive(2, 2*time.Millisecond, func(random *rand.Rand) { s.comeAndGo(random, topic, &full) })
}

// comeAndGo subscribes a few times, publishes, and cancels.
func (s *soak) comeAndGo(random *rand.Rand, topic *bounded.Topic[*event], full *atomic.Int64) {
	ctx, cancel := context.WithTimeout(s.ctx, 20*time.Millisecond)
	defer cancel()
	var leave []func(context.Context) error
	var heard sync.Map
	for range 1 + random.IntN(4) {
		o := bounded.ListenerOptions{Queue: 1 + random.IntN(64), Overflow: bounded.OverflowPolicy(random.IntN(3))}
		end, err := topic.Subscribe(o, func(_ context.Context, e *event) { heard.Store(o.Queue, e) })
		switch {
		case errors.Is(err, bounded.ErrTooManyListeners):
			full.Add(1)
		case err != nil:
			s.fail(err)
		default:
			leave = append(leave, end)
		}
	}
	if err := topic.Publish(ctx, new(event)); err != nil && ctx.Err() == nil {
		s.fail(err)
	}
	for _, end := range leave {
		if err := end(context.WithoutCancel(ctx)); err != nil {
			s.fail(err)
		}
	}
}
