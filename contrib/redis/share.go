package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/memwarden/memwarden/bounded"
)

// What Redis keeps under a key begins with one of these. A deleted key is marked for deletedFor, so that a load that
// was under way does not bring back what it read before.
const (
	valueMark   byte = 'v'
	deletedMark byte = 'd'
)

const (
	// maxUntold bounds the changes that wait for Redis.
	maxUntold = 1_000
	// tellAtOnce is how many of them go in one exchange.
	tellAtOnce = 100
	// heartbeat is how often an instance asks whether messages still reach it; without an answer in as long, they do not.
	heartbeat = time.Second
)

// newID names an instance in its messages.
func newID() string { return rand.Text()[:16] }

// encode returns what Redis keeps for a value.
func (c *Cache[V]) encode(value V) ([]byte, error) {
	text, err := c.o.Encode(value)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	if len(text) > c.o.MaxValueBytes {
		return nil, fmt.Errorf("value of %d bytes, want at most %d: %w", len(text), c.o.MaxValueBytes, bounded.ErrTooLarge)
	}
	return append([]byte{valueMark}, text...), nil
}

// exchange has Redis asked, unless it is left alone, within the time for it. It reports whether that went well.
func (c *Cache[V]) exchange(ctx context.Context, ask func(context.Context) error) bool {
	round, ok := c.circuit.enter()
	if !ok {
		c.counters.skipped.Add(1)
		return false
	}
	limited, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	err := ask(limited)
	v := judge(ctx, err)
	c.circuit.leave(round, v)
	if v == failed {
		c.counters.failures.Add(1)
	}
	return err == nil
}

// fetch returns what Redis has under a key. It reads no more of it than a value may have.
func (c *Cache[V]) fetch(ctx context.Context, key string) (value V, found bool) {
	if len(key) > MaxKeyBytes || c.untold.has(key) {
		return value, false
	}
	var text []byte
	if !c.exchange(ctx, func(ctx context.Context) (err error) {
		text, err = c.o.Client.GetRange(ctx, c.prefix+key, 0, int64(c.o.MaxValueBytes)+1).Bytes()
		return err
	}) {
		return value, false
	}
	if len(text) == 0 || text[0] == deletedMark {
		c.counters.misses.Add(1)
		return value, false
	}
	if text[0] == valueMark && len(text)-1 <= c.o.MaxValueBytes {
		v, err := c.o.Decode(text[1:])
		if err == nil {
			c.counters.hits.Add(1)
			return v, true
		}
	}
	c.counters.refused.Add(1)
	return value, false
}

// share stores what was loaded, unless there is something by now: a newer value, or a mark that the key was deleted.
func (c *Cache[V]) share(ctx context.Context, key string, value V) {
	if len(key) > MaxKeyBytes || c.untold.has(key) {
		return
	}
	text, err := c.encode(value)
	if err != nil {
		c.counters.refused.Add(1)
		return
	}
	c.exchange(ctx, func(ctx context.Context) error {
		err := c.o.Client.SetArgs(ctx, c.prefix+key, text, goredis.SetArgs{Mode: "NX", TTL: c.o.TTL}).Err()
		if errors.Is(err, goredis.Nil) {
			return nil // there is something
		}
		return err
	})
}

// change puts something under a key in Redis and tells the other instances, or has that done later.
func (c *Cache[V]) change(ctx context.Context, key string, text []byte, ttl time.Duration) error {
	if !c.untold.has(key) && c.exchange(ctx, func(ctx context.Context) error { return c.put(ctx, text, ttl, key) }) {
		return nil
	}
	if !c.untold.add(key) {
		return fmt.Errorf("redis: cache %s: %d changes wait for Redis: %w", c.o.Name, maxUntold, ErrUntold)
	}
	return nil
}

// ordering makes the changes of one key follow each other, so that Redis sees them in the order in which this instance
// did. Of those that wait for a Redis that does not answer, the first finds that out, and the others leave it alone.
type ordering struct {
	seed  maphash.Seed
	locks [64]sync.Mutex
}

// lock returns what unlocks.
func (o *ordering) lock(key string) (unlock func()) {
	l := &o.locks[maphash.String(o.seed, key)%uint64(len(o.locks))]
	l.Lock()
	return l.Unlock
}

// put is one exchange: each key is set before the others hear of it, so that whoever then asks finds it.
func (c *Cache[V]) put(ctx context.Context, text []byte, ttl time.Duration, keys ...string) error {
	_, err := c.o.Client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for _, key := range keys {
			p.Set(ctx, c.prefix+key, text, ttl)
			p.Publish(ctx, c.channel, c.id+key)
		}
		return nil
	})
	return err
}

// untold are the keys of changes that Redis was not told. It is safe for concurrent use.
type untold struct {
	wake chan struct{} // has room for one

	mu   sync.Mutex
	keys map[string]uint64 // with the number of the change; at most maxUntold
	last uint64
}

func (u *untold) init() {
	u.wake, u.keys = make(chan struct{}, 1), make(map[string]uint64)
}

// add notes a key; false if there is no room.
func (u *untold) add(key string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.keys[key]; !known && len(u.keys) >= maxUntold {
		return false
	}
	u.last++
	u.keys[key] = u.last
	select {
	case u.wake <- struct{}{}:
	default: // it is awake
	}
	return true
}

func (u *untold) has(key string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, waits := u.keys[key]
	return waits
}

func (u *untold) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.keys)
}

// some returns a number of keys, with the numbers of their changes.
func (u *untold) some(most int) map[string]uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	picked := make(map[string]uint64, min(most, len(u.keys)))
	for key, change := range u.keys {
		if len(picked) == most {
			break
		}
		picked[key] = change
	}
	return picked
}

// told forgets keys that were not changed once more meanwhile.
func (u *untold) told(keys map[string]uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, change := range keys {
		if u.keys[key] == change {
			delete(u.keys, key)
		}
	}
	if len(u.keys) == 0 {
		u.keys = make(map[string]uint64) // a map keeps its memory
	}
}

// tell tells Redis of the changes that it was not told when they were made: it drops what it has of their keys, and so
// do the other instances.
func (c *Cache[V]) tell() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.untold.wake:
		}
		for {
			keys := c.untold.some(tellAtOnce)
			if len(keys) == 0 {
				break
			}
			names := make([]string, 0, len(keys))
			for key := range keys {
				names = append(names, key)
			}
			if c.exchange(c.ctx, func(ctx context.Context) error {
				return c.put(ctx, []byte{deletedMark}, deletedFor, names...)
			}) {
				c.untold.told(keys)
				continue
			}
			if c.circuit.wait(c.ctx); c.ctx.Err() != nil {
				return
			}
		}
	}
}

// listen drops what other instances have changed. Whenever messages may have been missed, it drops everything.
func (c *Cache[V]) listen() {
	pause := shortestPause
	for c.ctx.Err() == nil {
		heard := c.subscribe()
		c.subscribed.Store(false)
		if pause = min(2*pause, longestPause); heard {
			pause = shortestPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-c.ctx.Done():
		}
		timer.Stop()
	}
}

// subscribe listens until messages no longer come, and reports whether they ever did.
func (c *Cache[V]) subscribe() (heard bool) {
	s := c.o.Client.Subscribe(c.ctx, c.channel)
	ctx, cancel := context.WithCancel(c.ctx)
	var received atomic.Int64
	var guard sync.WaitGroup
	guard.Go(func() { watch(ctx, s, &received) })
	defer guard.Wait()
	defer cancel()
	for {
		message, err := s.Receive(ctx)
		if err != nil {
			return heard
		}
		received.Add(1)
		switch m := message.(type) {
		case *goredis.Subscription: // for the first time, or anew after go-redis lost the connection
			c.local.Clear()
			c.counters.resets.Add(1)
			c.subscribed.Store(true)
			heard = true
		case *goredis.Message:
			if from, key, ok := cutID(m.Payload); ok && from != c.id {
				c.local.Delete(key)
				c.counters.messages.Add(1)
			}
		}
	}
}

// watch asks in each heartbeat whether messages still come, and closes the subscription when nothing has come in one,
// or ctx ends. This also ends a read that is under way: a read with a deadline could stop in the middle of a message.
func watch(ctx context.Context, s *goredis.PubSub, received *atomic.Int64) {
	defer s.Close() // its only error is that it was closed before
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for before := int64(-1); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := received.Load()
		if now == before || s.Ping(ctx) != nil {
			return
		}
		before = now
	}
}

// cutID parts a message into the instance that sent it and the key that it changed.
func cutID(payload string) (id, key string, ok bool) {
	const length = 16
	if len(payload) < length {
		return "", "", false
	}
	return payload[:length], strings.Clone(payload[length:]), true
}
