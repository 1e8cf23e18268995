package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/memwarden/memwarden/bounded"
)

const (
	defaultTTL           = 10 * time.Minute
	defaultLocalTTL      = time.Minute
	minTTL               = time.Second
	defaultMaxValueBytes = 1 << 20
	maxMaxValueBytes     = 64 << 20
	// MaxKeyBytes bounds the keys of a Cache.
	MaxKeyBytes = 1024
	// deletedFor is how long Redis remembers that a key was deleted.
	deletedFor = 10 * time.Second
)

// ErrUntold is in the error of a Set or Delete that could be made known neither to Redis nor later: too many wait for
// that already. Other instances may serve what was before until it expires.
var ErrUntold = errors.New("the change is known to this instance only")

// CacheOptions are the settings of a Cache. They are read once, by NewCache. Instances that share values have the same
// Prefix, Name and encoding.
type CacheOptions[V any] struct {
	// Client is the Redis that is shared. Required; the cache does not close it. A Client of this package will do.
	Client goredis.UniversalClient
	// Prefix begins the keys in Redis; default "memwarden:", at most 128 bytes. They go on with "cache:", Name and the
	// key.
	Prefix string
	// Name identifies the cache in Redis and as an Owner: lower-case letters, digits, '_', '.' and '-'. Required.
	Name string
	// TTL is how long Redis keeps a value, which bounds what is there; at least 1 s, default 10 minutes.
	TTL time.Duration
	// LocalTTL is how long this instance serves a value without asking Redis; default 1 minute or TTL, whichever is less.
	LocalTTL time.Duration
	// MaxEntries and MaxBytes bound what this instance keeps; see bounded.CacheOptions, whose defaults they have.
	MaxEntries int
	MaxBytes   int64
	// Policy and Weigh are as in bounded.CacheOptions.
	Policy bounded.CachePolicy
	Weigh  func(string, V) int64
	// MaxValueBytes bounds an encoded value; default 1 MiB, at most 64 MiB.
	MaxValueBytes int
	// Encode and Decode turn values into bytes and back; default JSON. A value that cannot be decoded counts as none.
	Encode func(V) ([]byte, error)
	Decode func([]byte) (V, error)
	// Timeout is how long one exchange with Redis may take; at least 1 ms, default 50 ms.
	Timeout time.Duration
	// Now is the clock, which must not run backwards; default time.Now.
	Now func() time.Time
}

// check returns the options with their defaults, or every mistake in them that bounded.NewCache does not see.
func (o CacheOptions[V]) check() (CacheOptions[V], error) {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("redis: cache: "+format, args...))
	}
	o = o.withDefaults()
	if o.Client == nil {
		mistake("client: missing")
	}
	if len(o.Prefix) > maxPrefix {
		mistake("prefix of %d bytes: want at most %d", len(o.Prefix), maxPrefix)
	}
	if o.TTL < minTTL {
		mistake("TTL %s: want at least %s", o.TTL, minTTL)
	}
	if o.LocalTTL < 0 {
		mistake("local TTL %s: want above 0", o.LocalTTL)
	}
	if o.MaxValueBytes < 1 || o.MaxValueBytes > maxMaxValueBytes {
		mistake("max value bytes %d: want between 1 and %d", o.MaxValueBytes, maxMaxValueBytes)
	}
	if (o.Encode == nil) != (o.Decode == nil) {
		mistake("encode and decode: one is missing")
	}
	if o.Timeout < minTimeout {
		mistakes = append(mistakes, fmt.Errorf("redis: cache: %w", timeoutMistake(o.Timeout)))
	}
	return o, errors.Join(mistakes...)
}

func (o CacheOptions[V]) withDefaults() CacheOptions[V] {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.TTL == 0 {
		o.TTL = defaultTTL
	}
	if o.LocalTTL == 0 {
		o.LocalTTL = min(defaultLocalTTL, o.TTL)
	}
	if o.MaxValueBytes == 0 {
		o.MaxValueBytes = defaultMaxValueBytes
	}
	if o.Encode == nil && o.Decode == nil {
		o.Encode = func(v V) ([]byte, error) { return json.Marshal(v) }
		o.Decode = func(text []byte) (v V, err error) { return v, json.Unmarshal(text, &v) }
	}
	if o.Timeout == 0 {
		o.Timeout = defaultPatience
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Cache is a cache in two levels: what this instance keeps itself, and what all instances share in Redis. It is safe
// for concurrent use and implements Owner for its own level. It runs three goroutines until it is closed.
//
// How stale a value may be. Set and Delete change this instance at once and tell the others by a message, on which they
// drop what they have: that takes as long as the network. Who does not get messages notices within three seconds, and
// drops all he has once he gets them again; meanwhile he serves what he has for LocalTTL at most. What Redis keeps is
// at most TTL old; a change that Redis could not be told is told later, up to 1,000 of them, and until then this
// instance does not ask Redis for those keys. A load that was under way when its key was changed is not kept, here or
// by the others, unless it takes ten seconds longer than the change. What was given up after Timeout can still reach
// Redis, and if it is late by more than a later change of its key, stay there for TTL.
//
// When Redis is gone or slower than Timeout, each instance goes on with its own level, and asks again after 100 ms,
// then less and less often, until every 5 s: a dead Redis costs a Timeout now and then, and not on each call.
type Cache[V any] struct {
	o       CacheOptions[V]
	local   *bounded.Cache[string, V]
	circuit circuit
	prefix  string
	channel string
	id      string // of this instance, to know its own messages

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	order      ordering
	untold     untold
	subscribed atomic.Bool
	counters   cacheCounters
}

// cacheCounters are of the second level.
type cacheCounters struct {
	hits, misses, failures, skipped, refused, messages, resets atomic.Uint64
}

// NewCache returns a cache, or an error that lists every mistake in the options. It does not wait for Redis. Close it.
func NewCache[V any](o CacheOptions[V]) (*Cache[V], error) {
	o, mistakes := o.check()
	local, err := bounded.NewCache(bounded.CacheOptions[string, V]{
		Name: o.Name, MaxEntries: o.MaxEntries, MaxBytes: o.MaxBytes, Policy: o.Policy, TTL: max(o.LocalTTL, 0),
		Weigh: o.Weigh, Now: o.Now,
	})
	if err := errors.Join(mistakes, err); err != nil {
		return nil, err
	}
	c := &Cache[V]{o: o, local: local, circuit: circuit{now: o.Now}, prefix: o.Prefix + "cache:" + o.Name + ":", id: newID()}
	c.channel = c.prefix + "changes"
	c.order.seed = maphash.MakeSeed()
	c.untold.init()
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.work.Go(c.listen)
	c.work.Go(c.tell)
	return c, nil
}

// errNone says that neither level has a value; it never leaves the package.
var errNone = errors.New("neither level has a value")

// Get returns the value under a key, and whether there is one; a load of the key that is under way is waited for. A hit
// in the first level costs a fraction of a microsecond, one in the second a round trip.
func (c *Cache[V]) Get(ctx context.Context, key string) (value V, found bool) {
	value, err := c.local.Load(ctx, key, func(ctx context.Context) (V, error) {
		if v, ok := c.fetch(ctx, key); ok {
			return v, nil
		}
		var none V
		return none, errNone
	})
	return value, err == nil
}

// Load returns the value under a key, and has it loaded and stored in both levels if there is none. Callers of this
// instance that ask for the same key at the same time share one call of a loader; each instance may call its own. What
// bounded.Cache says of loaders holds: it runs in a goroutine of its own, and its errors are not kept. A value that
// cannot be encoded or is larger than MaxValueBytes is returned and not shared.
func (c *Cache[V]) Load(ctx context.Context, key string, load func(context.Context) (V, error)) (V, error) {
	both := func(ctx context.Context) (V, error) {
		if v, ok := c.fetch(ctx, key); ok {
			return v, nil
		}
		v, err := load(ctx)
		if err == nil {
			c.share(ctx, key, v)
		}
		return v, err
	}
	for {
		value, err := c.local.Load(ctx, key, both)
		if !errors.Is(err, errNone) { // which is what a Get brought back that was under way
			return value, err
		}
	}
}

// Set stores a value under a key: here, in Redis, and with a message to the other instances. A value or key that is too
// large is refused with bounded.ErrTooLarge, and one that cannot be encoded with the encoder's error; what was under
// the key is removed then, as it is no longer what was meant to be there. An error that is ErrUntold means that the
// value is set, for this instance alone. If Redis is gone the value is set here, the others are told to drop theirs
// once Redis is back, and there is no error.
func (c *Cache[V]) Set(ctx context.Context, key string, value V) error {
	if err := checkKey(key); err != nil {
		return err
	}
	text, err := c.encode(value)
	defer c.order.lock(key)()
	if err == nil {
		err = c.local.Set(key, value)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("redis: cache %s: %w", c.o.Name, err), c.drop(ctx, key))
	}
	return c.change(ctx, key, text, c.o.TTL)
}

// Delete removes what is under a key: here, in Redis, and by a message to the other instances. Its error is as that of
// Set.
func (c *Cache[V]) Delete(ctx context.Context, key string) error {
	if checkKey(key) != nil {
		return nil // nothing was ever stored under it
	}
	defer c.order.lock(key)()
	return c.drop(ctx, key)
}

// drop deletes a key whose order is held.
func (c *Cache[V]) drop(ctx context.Context, key string) error {
	c.local.Delete(key)
	return c.change(ctx, key, []byte{deletedMark}, deletedFor)
}

// checkKey refuses keys that are too long.
func checkKey(key string) error {
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("redis: cache: key of %d bytes, want at most %d: %w", len(key), MaxKeyBytes, bounded.ErrTooLarge)
	}
	return nil
}

// Name returns the name from the options.
func (c *Cache[V]) Name() string { return c.local.Name() }

// Usage returns what this instance keeps.
func (c *Cache[V]) Usage() bounded.Usage { return c.local.Usage() }

// Shrink drops about so many bytes of what this instance keeps.
func (c *Cache[V]) Shrink(ctx context.Context, bytes int64) int64 { return c.local.Shrink(ctx, bytes) }

// Close ends the goroutines and the loads that are under way, and waits for them or for ctx. Changes that Redis was not
// told are lost: what it has of their keys expires. From then on nothing is loaded, and the rest goes on as before.
func (c *Cache[V]) Close(ctx context.Context) error {
	c.cancel()
	ended := make(chan struct{})
	go func() {
		c.work.Wait()
		close(ended)
	}()
	err := c.local.Close(ctx)
	select {
	case <-ended:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("redis: cache %s: close: %w", c.o.Name, err)
	}
	return nil
}

// CacheStats are figures since the cache was made. Those of Local are of what this instance keeps; a miss there is a
// hit or a miss of the second level, or was answered without Redis.
type CacheStats struct {
	Local    bounded.CacheStats `json:"local"`
	Hits     uint64             `json:"hits_total"`     // values that Redis had
	Misses   uint64             `json:"misses_total"`   // that it had not
	Failures uint64             `json:"failures_total"` // exchanges that failed or took too long
	Skipped  uint64             `json:"skipped_total"`  // exchanges that were left out after failures
	Refused  uint64             `json:"refused_total"`  // values that were not shared, or could not be decoded
	Messages uint64             `json:"messages_total"` // of other instances' changes
	Resets   uint64             `json:"resets_total"`   // of the first level, as messages may have been missed
	Untold   int                `json:"untold"`         // changes that wait for Redis; at most 1,000
	Degraded bool               `json:"degraded"`       // Redis failed last, or messages are missed
}

// Stats does no I/O.
func (c *Cache[V]) Stats() CacheStats {
	n := &c.counters
	return CacheStats{
		Local: c.local.Stats(), Hits: n.hits.Load(), Misses: n.misses.Load(), Failures: n.failures.Load(),
		Skipped: n.skipped.Load(), Refused: n.refused.Load(), Messages: n.messages.Load(), Resets: n.resets.Load(),
		Untold: c.untold.count(), Degraded: c.circuit.open() || !c.subscribed.Load(),
	}
}
