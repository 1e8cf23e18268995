package bounded

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// maxRefreshes is how many entries are loaded anew in the background at once.
const maxRefreshes = 16

// PanicError is what callers of Load get if their loader panicked.
type PanicError struct {
	Value any    // of the panic; nil if the loader ended its goroutine
	Stack []byte // of the loader
}

// Error returns the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("loader panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns the value of the panic if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// loading is the part of a cache that loads. Its fields are guarded by Cache.mu.
type loading[K comparable, V any] struct {
	flights    map[K]*flight[V]        // loads that will be stored
	running    map[*flight[V]]struct{} // all loads
	refreshing int                     // those in the background
	idle       chan struct{}           // closed when nothing runs any more; made by Close
	closed     bool

	loads, failures uint64
	took            time.Duration
}

func (l *loading[K, V]) init() {
	l.flights, l.running = map[K]*flight[V]{}, map[*flight[V]]struct{}{}
}

// flight is one call of a loader.
type flight[V any] struct {
	cancel     context.CancelCauseFunc
	waiting    int  // callers; guarded by Cache.mu
	background bool // it goes on although nobody waits

	done  chan struct{} // closed when the result is here
	value V
	err   error
}

// errAbandoned is why a load is cancelled that nobody waits for any more.
var errAbandoned = errors.New("nobody waits for this load any more")

// Load returns the value under a key, and has it loaded and stored if there is none. Callers that ask for the same key
// at the same time share one call of the first one's loader.
//
// The loader runs in a goroutine of its own, with the values of the first caller's context. Its context ends when
// nobody waits any more, or by Close; when ctx ends, only this call does, with the cause of ctx. An error of the loader
// goes to all who wait and is not kept, but for ErrNotFound with a NegativeTTL. If the loader panics, all get a
// PanicError.
//
// A Set, Delete or Clear meanwhile wins: those who wait get what was loaded, but it is not stored, and who asks later
// does not get it. A value that is too large is returned, but not stored.
//
// With RefreshAhead, an entry of that age is loaded anew in the background by the first call that meets it, at most 16
// at once. If that fails, the entry stays, and it is tried again after another tenth of RefreshAhead.
func (c *Cache[K, V]) Load(ctx context.Context, key K, load func(context.Context) (V, error)) (value V, err error) {
	if e := c.lookup(key); e != nil {
		content := e.content.Load()
		if content.times == nil {
			c.use(e)
			return content.value, nil
		}
		if now := c.now(); c.serve(e, content, now) {
			c.use(e)
			if c.refreshAhead > 0 && now >= time.Duration(content.times.refresh.Load()) {
				c.refresh(ctx, e, load)
			}
			return content.value, content.times.err
		}
	}
	c.reads.misses.Add(1)
	if ctx.Err() != nil {
		return value, c.waitError(ctx)
	}
	f, content, err := c.join(ctx, key, load)
	if err != nil {
		return value, err
	}
	if content != nil {
		return content.value, content.negative()
	}
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		c.leave(key, f)
		return value, c.waitError(ctx)
	}
}

func (c *Cache[K, V]) waitError(ctx context.Context) error {
	return fmt.Errorf("bounded: cache %s: wait for a load: %w", c.name, context.Cause(ctx))
}

// join returns the load of a key that is under way, a new one, or what has come in meanwhile.
func (c *Cache[K, V]) join(ctx context.Context, key K, load func(context.Context) (V, error)) (*flight[V], *cacheContent[V], error) {
	if key != key { //nolint:staticcheck // NaN
		return nil, nil, fmt.Errorf("bounded: cache %s: %w", c.name, ErrUnequalKey)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[key]; f != nil {
		f.waiting++
		return f, nil, nil
	}
	if e, _ := c.table.find(c.hash(key), key); e != nil {
		content := e.content.Load()
		if content.times == nil {
			return nil, content, nil
		}
		if _, gone := c.expired(content, c.now()); !gone {
			return nil, content, nil
		}
	}
	if c.closed {
		return nil, nil, fmt.Errorf("bounded: cache %s: %w", c.name, ErrClosed)
	}
	f := &flight[V]{waiting: 1}
	c.start(ctx, key, f, load)
	return f, nil, nil
}

// start starts a load. mu is held.
func (c *Cache[K, V]) start(ctx context.Context, key K, f *flight[V], load func(context.Context) (V, error)) {
	ctx, f.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	f.done = make(chan struct{})
	c.flights[key] = f
	c.running[f] = struct{}{}
	go c.run(ctx, key, f, load)
}

// leave ends a caller's wait, and the load if he was the last.
func (c *Cache[K, V]) leave(key K, f *flight[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiting--; f.waiting == 0 && !f.background {
		if c.flights[key] == f {
			delete(c.flights, key)
		}
		f.cancel(errAbandoned)
	}
}

// detach sees to it that a load of the key that is under way is not stored. mu is held.
func (c *Cache[K, V]) detach(key K) {
	if len(c.flights) > 0 {
		delete(c.flights, key)
	}
}

// refresh loads an entry anew in the background, unless it is being loaded or too many are.
func (c *Cache[K, V]) refresh(ctx context.Context, e *cacheEntry[K, V], load func(context.Context) (V, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.refreshing >= maxRefreshes || c.flights[e.key] != nil || e.segment() == removed ||
		c.now() < time.Duration(e.content.Load().times.refresh.Load()) {
		return
	}
	c.refreshing++
	c.start(ctx, e.key, &flight[V]{background: true}, load)
}

// run calls the loader and the weigher, neither of which may harm anybody else, whether they return, panic or end their
// goroutine.
func (c *Cache[K, V]) run(ctx context.Context, key K, f *flight[V], load func(context.Context) (V, error)) {
	var entry *cacheEntry[K, V]
	var refused error
	began, returned := c.now(), false
	defer func() {
		if !returned {
			f.err = &PanicError{Value: recover(), Stack: debug.Stack()}
		}
		c.land(key, f, entry, refused, c.now()-began)
	}()
	if f.value, f.err = load(ctx); f.err == nil {
		var weight int64
		weight, refused = c.weighed(key, f.value)
		entry = c.newEntry(key, f.value, weight, nil)
	}
	returned = true
}

// land ends a load. The entry is that of its value, which must not be stored if it was refused.
func (c *Cache[K, V]) land(key K, f *flight[V], entry *cacheEntry[K, V], refused error, took time.Duration) {
	f.cancel(nil)
	var left evictions[K, V]
	c.mu.Lock()
	c.loads++
	c.took += took
	if f.err != nil {
		c.failures++
	}
	if f.background {
		c.refreshing--
	}
	if c.flights[key] == f {
		delete(c.flights, key)
		c.finish(key, f, entry, refused, &left)
	}
	close(f.done)
	c.mu.Unlock()
	c.tell(left)

	c.mu.Lock() // only now, so that Close waits for OnEvict too
	defer c.mu.Unlock()
	delete(c.running, f)
	if c.closed && len(c.running) == 0 {
		close(c.idle)
	}
}

// finish stores the result of a load that nothing has overtaken. mu is held.
func (c *Cache[K, V]) finish(key K, f *flight[V], e *cacheEntry[K, V], refused error, left *evictions[K, V]) {
	hash := c.hash(key)
	old, _ := c.table.find(hash, key)
	switch {
	case f.err == nil && refused == nil:
		_ = c.put(hash, e, left) // callers have the value, whether there is room for it or not
	case f.err == nil:
		c.refuse(e, left)
	case errors.Is(f.err, ErrNotFound):
		if c.negativeTTL > 0 {
			_ = c.put(hash, c.newEntry(key, f.value, 0, f.err), left) // an entry without a value that is too large is left out
		} else if old != nil {
			c.remove(old, Deleted, left)
		}
	case old != nil && c.refreshAhead > 0:
		old.content.Load().times.refresh.Store(int64(c.now() + c.refreshAhead/10))
	}
}

// negative returns the error that is kept in place of a value.
func (c *cacheContent[V]) negative() error {
	if c.times == nil {
		return nil
	}
	return c.times.err
}

// Close cancels the loads that are under way and waits until they have ended, or for ctx. From then on Load only finds
// what is there; everything else goes on as before.
func (c *Cache[K, V]) Close(ctx context.Context) error {
	c.mu.Lock()
	if !c.closed {
		c.closed, c.idle = true, make(chan struct{})
		if len(c.running) == 0 {
			close(c.idle)
		}
	}
	for f := range c.running {
		f.cancel(ErrClosed)
	}
	idle, running := c.idle, len(c.running)
	c.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bounded: cache %s: close: %d loads have not ended: %w", c.name, running, context.Cause(ctx))
	}
}
