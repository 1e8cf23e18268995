package bounded

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultMaxEntries = 10_000
	defaultMaxBytes   = 100_000_000
	// mostEntries keeps the number of slots of a table within 32 bits.
	mostEntries = 1 << 30
	// slotBytes is what an entry has of the table.
	slotBytes = slotsEach * wordBytes
	// timesBytes is entryTimes, which only entries of a cache with expiry have.
	timesBytes = 48
)

// Errors of a Cache. Those returned wrap them.
var (
	// ErrTooLarge refuses an entry that is larger than the cache's bound in bytes, or not below 1 GiB.
	ErrTooLarge = errors.New("entry is larger than the cache may be")
	// ErrNotFound is what a loader returns, wrapped or not, if there is nothing under a key. It is kept for
	// NegativeTTL.
	ErrNotFound = errors.New("not found")
	// ErrUnequalKey refuses a key that is not equal to itself (NaN), for it would never be found again.
	ErrUnequalKey = errors.New("key is not equal to itself")
	// ErrClosed refuses a load after Close.
	ErrClosed = errors.New("cache is closed")
)

// CachePolicy chooses the entry that makes room for another one.
type CachePolicy uint8

// The policies.
const (
	// LRU removes the entry whose last use is the longest ago.
	LRU CachePolicy = iota
	// TinyLFU lets a new entry prove itself in a small window, and then in place of an older one only if it was used
	// more often lately: scans and loops larger than the cache do not flush what is used again and again. It takes
	// 40 bytes an entry more than LRU at most, which are counted.
	TinyLFU
)

// Reason tells why an entry left a cache.
type Reason uint8

// The reasons.
const (
	Capacity Reason = iota // another entry needed its place among MaxEntries
	Size                   // another entry needed its bytes among MaxBytes
	Expired                // it was older than TTL
	Idle                   // it was not used for IdleExpiry
	Replaced               // a new value was set under its key, or refused as too large
	Deleted                // by Delete or Clear, or because its source has nothing under its key any more
	Shrunk                 // by Shrink
	reasons
)

// String returns the reason in lower case.
func (r Reason) String() string {
	if r >= reasons {
		return fmt.Sprintf("reason(%d)", uint8(r))
	}
	return [reasons]string{"capacity", "size", "expired", "idle", "replaced", "deleted", "shrunk"}[r]
}

// CacheOptions are the settings of a Cache. They are read once, by NewCache.
type CacheOptions[K comparable, V any] struct {
	// Name identifies the cache as an Owner: lower-case letters, digits, '_', '.' and '-'. Required.
	Name string
	// MaxEntries bounds the entries; default 10,000, at most 2^30.
	MaxEntries int
	// MaxBytes bounds the bytes of all entries; default 100,000,000. An entry takes what Weigh says and what the cache
	// itself needs for it: some 80 bytes and the words of key and value, and 48 bytes more with an expiry.
	MaxBytes int64
	// Policy chooses what makes room; default LRU.
	Policy CachePolicy
	// TTL is how long after it was stored an entry is served; default: as long as it is there.
	TTL time.Duration
	// IdleExpiry is how long after its last use an entry is served; default: as long as it is there.
	IdleExpiry time.Duration
	// RefreshAhead is the age from which Load has an entry loaded anew in the background, and meanwhile serves what is
	// there; below TTL if there is one. Default: never.
	RefreshAhead time.Duration
	// NegativeTTL is how long Load answers with a loader's ErrNotFound without asking again; default: not at all.
	NegativeTTL time.Duration
	// Weigh returns the bytes that a key and a value hold beyond their own words: of a string its length, not its
	// header. It is called once for each entry that comes in, outside of locks. A negative weight is refused.
	//
	// The default counts strings by length and slices by capacity, and follows pointers, structs, arrays and elements
	// likewise. This is exact for values that hold no pointers, strings, slices of such, and structs of all these.
	// Of what has more parts it weighs 256 and takes the rest to be like them; what hides behind a map it takes for
	// twice its elements, and behind channels and functions for nothing.
	Weigh func(K, V) int64
	// OnEvict is told of each value that has left the cache, by the call that had it removed, before that call returns
	// and outside of locks: it may call the cache, and must not panic. It is not told of negative results. Default:
	// nobody is told.
	OnEvict func(K, V, Reason)
	// Now is the clock, which must not run backwards; default time.Now. It is read only for entries that expire, and
	// to time loads.
	Now func() time.Time
}

// Cache keeps values by their keys: at most MaxEntries and at most MaxBytes of them at every moment, whoever writes at
// the same time, for room is made before an entry comes in. It is safe for concurrent use and implements Owner.
//
// Reads take no lock that another read would wait for. Writes take one lock for the whole cache, for some 100 ns, for
// strict bounds and one order of all entries need no more. A new value for a key in use takes none where that changes
// neither bytes nor order, if values are small and hold no pointers, and do not expire.
//
// Used by one goroutine, LRU is exact. As soon as a read finds the lock taken, and until an eighth of the entries has
// been renewed, each entry's use is noted once only: a read of an entry whose use is already noted is free of writes.
// The order is then that of a cache of between 7/8 of the entries and all of them: an entry may go that was last used
// before the last seven eighths were renewed, although an older one is still there. A use that finds the lock taken is
// noted in the entry itself, which is then spared once.
//
// Nothing runs in the background but loads that were asked for. What has expired is never served; it leaves when it is
// asked for, and by a sweep: each write looks at two slots of the table, each Usage at 1024. A Get may miss an entry
// that another goroutine is just storing, never one that was stored before.
//
// An empty cache takes about 2 KiB, which are not counted.
type Cache[K comparable, V any] struct {
	// What follows is set by NewCache.
	name         string
	seed         maphash.Seed
	clock        func() time.Time
	started      time.Time // all times are since then
	ttl          time.Duration
	idleExpiry   time.Duration
	refreshAhead time.Duration
	negativeTTL  time.Duration
	timed        bool // entries have times
	exchanges    bool // see exchange
	weigh        func(K, V) int64
	onEvict      func(K, V, Reason)
	ownBytes     int64 // what each entry takes beside its weight

	table  cacheTable[K, V]
	era    atomic.Uint32 // 0: each use is noted at once; else see use
	bounds atomic.Pointer[cacheBounds]
	reads  readCounters

	_ [cacheLine]byte // the same the other way round

	mu      sync.Mutex // held for everything that changes; never while calling a function of the user's
	policy  cachePolicy[K, V]
	evicted [reasons]uint64
	refused uint64

	_ [cacheLine]byte

	loading[K, V]
	entries atomic.Int64 // entries, bytes and their peaks are written with mu held
	bytes   atomic.Int64
	peakEntries,
	peakBytes atomic.Int64
	renewed int    // entries that came in during this era
	swept   uint32 // slot where the sweep goes on
	lastEra atomic.Uint32
	hits    uint64 // of reads that held mu; the others are in reads

	_         [cacheLine]byte
	exchanged atomic.Uint64 // values replaced without mu; the others are in evicted
}

// cacheLine is how much memory processors pass to each other at once, or rather twice that, as they fetch lines in pairs.
const cacheLine = 128

// cacheBounds are replaced as a whole, so that nobody sees one of them changed.
type cacheBounds struct{ entries, bytes int64 }

// NewCache returns an empty cache, or an error that lists every mistake in the options.
func NewCache[K comparable, V any](options CacheOptions[K, V]) (*Cache[K, V], error) {
	if options.MaxEntries == 0 {
		options.MaxEntries = defaultMaxEntries
	}
	if options.MaxBytes == 0 {
		options.MaxBytes = defaultMaxBytes
	}
	if options.Weigh == nil {
		options.Weigh = weigherOf[K, V]()
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	own := options.ownBytes()
	if err := options.check(own); err != nil {
		return nil, err
	}
	c := &Cache[K, V]{
		name: options.Name, seed: maphash.MakeSeed(), clock: options.Now, started: options.Now(),
		ttl: options.TTL, idleExpiry: options.IdleExpiry, refreshAhead: options.RefreshAhead, negativeTTL: options.NegativeTTL,
		timed: options.timed(), exchanges: options.exchanges(), weigh: options.Weigh, onEvict: options.OnEvict, ownBytes: own,
	}
	c.bounds.Store(&cacheBounds{int64(options.MaxEntries), options.MaxBytes})
	c.table.init()
	c.loading.init()
	c.policy = c.newPolicy(options.Policy)
	return c, nil
}

// newPolicy returns an empty policy.
func (c *Cache[K, V]) newPolicy(which CachePolicy) cachePolicy[K, V] {
	if which == TinyLFU {
		return newTinyLFU(c)
	}
	return newLRU[K, V]()
}

// timed reports whether entries need times.
func (o CacheOptions[K, V]) timed() bool {
	return o.TTL > 0 || o.IdleExpiry > 0 || o.RefreshAhead > 0 || o.NegativeTTL > 0
}

// mostExchanged is the size up to which values are exchanged: the entry keeps its first one, of no use, as long as it lives.
const mostExchanged = 64

// exchanges reports whether values can be exchanged without the lock. They must hold nothing that an entry would keep with
// them, and not expire.
func (o CacheOptions[K, V]) exchanges() bool {
	value := reflect.TypeFor[V]()
	return !o.timed() && value.Size() <= mostExchanged && pointerFree(value)
}

// ownBytes is what an entry takes beside its weight: itself and another content, as the allocator rounds them, and slots
// of the table.
func (o CacheOptions[K, V]) ownBytes() int64 {
	own := int64(allocated(int(reflect.TypeFor[cacheEntry[K, V]]().Size()))) + slotBytes
	if o.exchanges() {
		own += int64(allocated(int(reflect.TypeFor[cacheContent[V]]().Size())))
	}
	if o.timed() {
		own += timesBytes
	}
	if o.Policy == TinyLFU {
		own += policyBytes
	}
	return own
}

// allocated returns the size of the piece of memory that the allocator gives for so many bytes.
func allocated(bytes int) int {
	const pointerHeader = 8 // of larger objects with pointers
	if bytes > 512 {
		bytes += pointerHeader
	}
	return cap(append([]byte(nil), make([]byte, bytes)...))
}

// check returns every mistake in the options.
func (o CacheOptions[K, V]) check(own int64) error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("bounded: cache: "+format, args...))
	}
	if o.Name == "" || strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
		mistake("name %q: want lower-case letters, digits, '_', '.' and '-'", o.Name)
	}
	if err := checkBounds(o.MaxEntries, o.MaxBytes, own); err != nil {
		mistakes = append(mistakes, err)
	}
	if o.Policy > TinyLFU {
		mistake("policy %d: want LRU or TinyLFU", o.Policy)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"TTL", o.TTL}, {"idle expiry", o.IdleExpiry}, {"refresh ahead", o.RefreshAhead}, {"negative TTL", o.NegativeTTL}} {
		if d.value < 0 {
			mistake("%s %s: want above 0", d.name, d.value)
		}
	}
	if o.TTL > 0 && o.RefreshAhead >= o.TTL {
		mistake("refresh ahead %s: want below the TTL of %s", o.RefreshAhead, o.TTL)
	}
	return errors.Join(mistakes...)
}

// checkBounds returns what is wrong with bounds.
func checkBounds(entries int, bytes, own int64) error {
	var mistakes []error
	if entries < 1 || entries > mostEntries {
		mistakes = append(mistakes, fmt.Errorf("bounded: cache: max entries %d: want 1 to %d", entries, mostEntries))
	}
	if bytes < own || bytes > math.MaxInt64/2 {
		mistakes = append(mistakes, fmt.Errorf("bounded: cache: max bytes %d: want at least %d, what one entry takes without its contents", bytes, own))
	}
	return errors.Join(mistakes...)
}

// Get returns the value under a key, and whether there is one that may be served. A hit costs some 20 ns and allocates
// nothing; with an expiry the clock is read too.
func (c *Cache[K, V]) Get(key K) (value V, found bool) {
	e := c.lookup(key)
	if e == nil {
		c.reads.misses.Add(1)
		return value, false
	}
	content := e.content.Load()
	if content.times != nil {
		if !c.serve(e, content, c.now()) || content.times.err != nil {
			c.reads.misses.Add(1)
			return value, false
		}
	}
	c.use(e)
	return content.value, true
}

// lookup returns the entry under a key, expired or not.
func (c *Cache[K, V]) lookup(key K) *cacheEntry[K, V] {
	hash := c.hash(key)
	e, certain := c.table.find(hash, key)
	if !certain {
		c.mu.Lock()
		e, _ = c.table.find(hash, key)
		c.mu.Unlock()
	}
	return e
}

// serve reports whether an entry may be served, and takes note of the use. One that has expired it removes, unless the
// lock is taken: then the sweep will.
func (c *Cache[K, V]) serve(e *cacheEntry[K, V], content *cacheContent[V], now time.Duration) bool {
	reason, gone := c.expired(content, now)
	if !gone {
		if c.idleExpiry > 0 {
			content.times.used.Store(int64(now))
		}
		return true
	}
	if c.mu.TryLock() {
		var left evictions[K, V]
		if e.segment() != removed && e.content.Load() == content {
			c.remove(e, reason, &left)
		}
		c.mu.Unlock()
		c.tell(left)
	}
	return false
}

// expired reports whether a content may not be served any more, and why.
func (c *Cache[K, V]) expired(content *cacheContent[V], now time.Duration) (Reason, bool) {
	times := content.times
	age := now - times.stored
	switch {
	case times.err != nil:
		return Expired, age >= c.negativeTTL
	case c.ttl > 0 && age >= c.ttl:
		return Expired, true
	case c.idleExpiry > 0 && now-time.Duration(times.used.Load()) >= c.idleExpiry:
		return Idle, true
	}
	return 0, false
}

// use takes note that an entry was used, and counts a hit.
//
// In an era, each entry's mark tells whether that has been done in this era, so that entries that are used all the time
// are only read. An era begins with a read that finds the lock taken, and ends when an eighth of the entries is new.
func (c *Cache[K, V]) use(e *cacheEntry[K, V]) {
	era := c.era.Load()
	if era != 0 && e.mark.Load()>>1 == era {
		c.reads.hit()
		return
	}
	if c.mu.TryLock() {
		if e.segment() != removed {
			c.policy.touch(e)
		}
		c.hits++
		c.mu.Unlock()
		if era != 0 {
			e.mark.Store(era << 1)
		}
		return
	}
	if era == 0 {
		era = c.beginEra()
	}
	e.mark.Store(era<<1 | spared)
	c.reads.hit()
}

// beginEra begins an era, unless another read has just done so, and returns its number.
func (c *Cache[K, V]) beginEra() uint32 {
	next := max(c.lastEra.Add(1)&(1<<31-1), 1)
	if c.era.CompareAndSwap(0, next) {
		return next
	}
	return c.era.Load()
}

// lock locks mu. It is never held for long, so it is worth while to look a few times before waiting as sync.Mutex does.
func (c *Cache[K, V]) lock() {
	const looks = 100
	for range looks {
		if c.mu.TryLock() {
			return
		}
	}
	c.mu.Lock()
}

// hash returns the hash of a key.
func (c *Cache[K, V]) hash(key K) uint64 { return maphash.Comparable(c.seed, key) }

// now returns the time since the cache was made.
func (c *Cache[K, V]) now() time.Duration { return c.clock().Sub(c.started) }
