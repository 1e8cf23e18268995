package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/internal/faultproxy"
	"github.com/memwarden/memwarden/internal/redistest"
)

var _ bounded.Owner = (*Cache[int])(nil)

// instance is one of several that share a cache, each with a client of its own.
type instance struct {
	*Cache[string]
	client *Client
	loads  int // of the loader of get, which is for one caller at a time
}

func newInstance(t testing.TB, url string, o CacheOptions[string]) *instance {
	t.Helper()
	client := newClient(t, url)
	o.Client = client
	if o.Name == "" {
		o.Name = "shared"
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second // the tests of several packages share few processors
	}
	c, err := NewCache(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return &instance{Cache: c, client: client}
}

// listening waits until the instance hears of changes.
func (i *instance) listening(t testing.TB) *instance {
	t.Helper()
	for deadline := time.Now().Add(patience); !i.subscribed.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no messages come")
		}
	}
	return i
}

// load returns the value under a key, from a source that has the value given.
func (i *instance) load(t *testing.T, key, source string) string {
	t.Helper()
	value, err := i.Load(t.Context(), key, func(context.Context) (string, error) {
		i.loads++
		return source, nil
	})
	if err != nil {
		t.Errorf("load %s: %v", key, err)
	}
	return value
}

func (i *instance) set(t *testing.T, key, value string) {
	t.Helper()
	if err := i.Set(t.Context(), key, value); err != nil {
		t.Errorf("set %s: %v", key, err)
	}
}

func (i *instance) want(t *testing.T, key, want string) {
	t.Helper()
	if got, found := i.Get(t.Context(), key); got != want || found != (want != "") {
		t.Errorf("%s is %q, %v, want %q", key, got, found, want)
	}
}

func TestInstancesShareValues(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := newInstance(t, server.URL(), CacheOptions[string]{}).listening(t)
	b := newInstance(t, server.URL(), CacheOptions[string]{}).listening(t)

	b.want(t, "k", "")
	if got := a.load(t, "k", "one"); got != "one" || a.loads != 1 {
		t.Errorf("%q after %d loads", got, a.loads)
	}
	if got := b.load(t, "k", "other"); got != "one" || b.loads != 0 {
		t.Errorf("the other instance has %q after %d loads of its own", got, b.loads)
	}
	a.set(t, "k", "two") // b has one, and hears of it
	a.want(t, "k", "two")
	within(t, "the other instance sees the change", func() bool { v, _ := b.Get(t.Context(), "k"); return v == "two" })

	if err := b.Delete(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	b.want(t, "k", "")
	within(t, "the other instance sees that it is gone", func() bool { _, found := a.Get(t.Context(), "k"); return !found })
	if got := a.load(t, "k", "three"); got != "three" {
		t.Errorf("after it was deleted: %q", got)
	}
	a.want(t, "k", "three")

	stats := a.Stats()
	if stats.Degraded || stats.Failures != 0 || stats.Skipped != 0 || stats.Refused != 0 || stats.Untold != 0 || stats.Messages != 1 || stats.Resets != 1 {
		t.Errorf("%+v", stats)
	}
	if stats := b.Stats(); stats.Hits < 2 || stats.Misses < 1 || stats.Messages != 1 || stats.Local.Loads == 0 {
		t.Errorf("%+v", stats)
	}
	if got := a.Usage(); got.Entries != 1 || got.Bytes <= 0 || got.MaxEntries != 10_000 || a.Name() != "shared" {
		t.Errorf("%s: %+v", a.Name(), got)
	}
	if freed := a.Shrink(t.Context(), 1); freed <= 0 || a.Usage().Entries != 0 {
		t.Errorf("shrinking freed %d: %+v", freed, a.Usage())
	}
}

// TestKeysExpire: what is in Redis is bounded in time, whatever put it there.
func TestKeysExpire(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := newInstance(t, server.URL(), CacheOptions[string]{Prefix: "test:", TTL: time.Minute})
	a.set(t, "set", "v")
	a.load(t, "loaded", "v")
	if err := a.Delete(t.Context(), "deleted"); err != nil {
		t.Error(err)
	}
	for key, most := range map[string]time.Duration{"set": time.Minute, "loaded": time.Minute, "deleted": deletedFor} {
		if ttl := a.client.PTTL(t.Context(), "test:cache:shared:"+key).Val(); ttl <= most/2 || ttl > most {
			t.Errorf("%s expires after %v, want at most %v", key, ttl, most)
		}
	}
	if n := a.client.DBSize(t.Context()).Val(); n != 3 {
		t.Errorf("there are %d keys", n)
	}
}

// TestChangeDuringLoad has a source that is read before a change and answers after it: what it says is kept nowhere.
func TestChangeDuringLoad(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := newInstance(t, server.URL(), CacheOptions[string]{}).listening(t)
	b := newInstance(t, server.URL(), CacheOptions[string]{}).listening(t)
	for name, change := range map[string]func(){
		"deleted here":  func() { a.Delete(t.Context(), "k") },
		"deleted there": func() { b.Delete(t.Context(), "k") },
		"set there":     func() { b.set(t, "k", "new") },
	} {
		messages := a.Stats().Messages
		got, err := a.Load(t.Context(), "k", func(context.Context) (string, error) {
			change()
			if strings.HasSuffix(name, "there") {
				within(t, "the message came", func() bool { return a.Stats().Messages > messages })
			}
			return "old", nil
		})
		if got != "old" || err != nil { // who asked before the change may get what was then
			t.Errorf("%s: %q, %v", name, got, err)
		}
		want := ""
		if name == "set there" {
			want = "new"
		}
		a.want(t, "k", want)
		b.want(t, "k", want)
		if err := a.client.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		a.local.Clear()
		b.local.Clear()
	}
}

// TestGetUnderway: who loads while somebody only looks gets a value.
func TestGetUnderway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	between := faultproxy.Start(t, server.Host())
	a := newInstance(t, strings.Replace(server.URL(), server.Host(), between.Addr(), 1), CacheOptions[string]{}).listening(t)
	a.want(t, "other", "") // and is connected
	between.Slow(200)      // bytes a second
	var looking sync.WaitGroup
	looking.Go(func() { a.Get(t.Context(), "k") })
	within(t, "Get is under way", func() bool { return a.Stats().Local.Misses > 1 })
	if got := a.load(t, "k", "v"); got != "v" {
		t.Errorf("%q", got)
	}
	looking.Wait()
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	broken := errors.New("broken")
	a := newInstance(t, server.URL(), CacheOptions[string]{
		MaxValueBytes: 10,
		Encode: func(v string) ([]byte, error) {
			if v == "broken" {
				return nil, broken
			}
			return []byte(v), nil
		},
		Decode: func(text []byte) (string, error) {
			if string(text) == "broken" {
				return "", broken
			}
			return string(text), nil
		},
	})
	longKey := strings.Repeat("k", MaxKeyBytes+1)
	for _, c := range []struct {
		key, value string
		want       error
	}{{"k", "12345678901", bounded.ErrTooLarge}, {"k", "broken", broken}, {longKey, "v", bounded.ErrTooLarge}} {
		a.set(t, "k", "1234567890")
		if err := a.Set(t.Context(), c.key, c.value); !errors.Is(err, c.want) {
			t.Errorf("%.20s: %v, want %v", c.value, err, c.want)
		}
		if c.key == "k" {
			a.want(t, "k", "") // what was there is not what was meant to be
		}
		a.want(t, longKey, "")
	}
	if err := a.Delete(t.Context(), longKey); err != nil {
		t.Error(err)
	}
	if n := a.client.DBSize(t.Context()).Val(); n != 1 {
		t.Errorf("there are %d keys", n)
	}

	// What is loaded is returned, whatever it is.
	for i, value := range []string{"12345678901", "broken"} {
		if got := a.load(t, fmt.Sprint("load", i), value); got != value {
			t.Errorf("%q, want %q", got, value)
		}
	}
	if got := a.load(t, longKey, "v"); got != "v" || a.Stats().Refused != 2 {
		t.Errorf("%q, %+v", got, a.Stats())
	}
	if n := a.client.DBSize(t.Context()).Val(); n != 1 {
		t.Errorf("there are %d keys", n)
	}
	// What others put there is none.
	for i, foreign := range []string{"x", "vbroken", "v" + strings.Repeat("x", 11), "v" + strings.Repeat("x", 1_000_000)} {
		if err := a.client.Set(t.Context(), a.prefix+fmt.Sprint(i), foreign, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		a.want(t, fmt.Sprint(i), "")
		if got := a.load(t, fmt.Sprint(i), "own"); got != "own" {
			t.Errorf("%.20q: %q", foreign, got)
		}
	}
	failing := errors.New("the source is gone")
	if _, err := a.Load(t.Context(), "f", func(context.Context) (string, error) { return "", failing }); !errors.Is(err, failing) {
		t.Errorf("%v", err)
	}
	if a.Stats().Degraded && a.subscribed.Load() {
		t.Errorf("%+v", a.Stats())
	}
}

// TestWithoutRedis: an instance goes on alone, and does not ask each time.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	a := newInstance(t, "redis://127.0.0.1:1", CacheOptions[string]{})
	const calls = 200
	for i := range calls {
		key := fmt.Sprint(i % 10)
		if got := a.load(t, key, key); got != key {
			t.Errorf("%q, want %q", got, key)
		}
		a.set(t, key, key)
		a.want(t, key, key)
	}
	if a.loads != 10 {
		t.Errorf("%d loads, want 10: this instance has what it loaded", a.loads)
	}
	stats := a.Stats()
	if !stats.Degraded || stats.Failures < 1 || stats.Failures > 20 || stats.Skipped < 10 || stats.Untold != 10 {
		t.Errorf("%+v", stats)
	}
	// No more wait than may.
	for i := range maxUntold {
		err := a.Delete(t.Context(), fmt.Sprint("more", i))
		if refused := i >= maxUntold-10; errors.Is(err, ErrUntold) != refused || !refused && err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	if n := a.Stats().Untold; n != maxUntold {
		t.Errorf("%d wait", n)
	}
	if err := a.Set(t.Context(), "one more", "v"); !errors.Is(err, ErrUntold) {
		t.Errorf("%v", err)
	}
	a.want(t, "one more", "v") // here it is set
}

func TestCacheMistakes(t *testing.T) {
	t.Parallel()
	_, err := NewCache(CacheOptions[string]{
		Name: "C", Prefix: strings.Repeat("x", 129), TTL: time.Millisecond, LocalTTL: -1, MaxEntries: -1, MaxValueBytes: -1,
		Encode: func(string) ([]byte, error) { return nil, nil }, Timeout: 1,
	})
	for _, want := range []string{`name "C"`, "client: missing", "prefix of 129 bytes", "TTL 1ms", "local TTL -1ns", "max entries -1",
		"max value bytes -1", "encode and decode: one is missing", "timeout 1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	o, err := CacheOptions[string]{Client: &Client{}, TTL: 5 * time.Second}.check()
	if err != nil || o.Prefix != "memwarden:" || o.LocalTTL != 5*time.Second || o.Timeout != 50*time.Millisecond || o.MaxValueBytes != 1<<20 {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	if _, _, ok := cutID("short"); ok {
		t.Error("a message without an instance is one")
	}
}

func TestCacheCloses(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := newInstance(t, server.URL(), CacheOptions[string]{}).listening(t)
	a.set(t, "k", "v")
	under := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		_, err := a.Load(context.Background(), "slow", func(ctx context.Context) (string, error) {
			close(under)
			<-ctx.Done()
			return "", context.Cause(ctx)
		})
		ended <- err
	}()
	<-under
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Close(over); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for range 2 {
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; err == nil {
		t.Error("a load survives Close")
	}
	a.want(t, "k", "v")
	if _, err := a.Load(t.Context(), "new", nil); !errors.Is(err, bounded.ErrClosed) {
		t.Errorf("%v, want bounded.ErrClosed", err)
	}
}

func BenchmarkCache(b *testing.B) {
	server := redistest.Start(b)
	a := newInstance(b, server.URL(), CacheOptions[string]{}).listening(b)
	if err := a.Set(b.Context(), "k", "v"); err != nil {
		b.Fatal(err)
	}
	b.Run("first level", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a.Get(b.Context(), "k")
		}
	})
	b.Run("second level", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a.local.Delete("k")
			if _, found := a.Get(b.Context(), "k"); !found {
				b.Fatal("it is gone")
			}
		}
	})
	b.Run("set", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := a.Set(b.Context(), "k", "v"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestOrderOfOwnChanges has many set one key at once: in the end both levels have the same.
func TestOrderOfOwnChanges(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := newInstance(t, server.URL(), CacheOptions[string]{}).listening(t)
	for round := range 50 {
		var setting sync.WaitGroup
		for i := range 8 {
			setting.Go(func() { a.set(t, "k", fmt.Sprint(round, i)) })
		}
		setting.Wait()
		here, _ := a.local.Get("k")
		if there := a.client.Get(t.Context(), a.prefix+"k").Val(); there != `v"`+here+`"` {
			t.Fatalf("round %d: %q here, %q in Redis", round, here, there)
		}
	}
}

// TestUntold: what waits for Redis is not read from it, and what changed while Redis was told of it waits on.
func TestUntold(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := newInstance(t, server.URL(), CacheOptions[string]{}).listening(t)
	a.set(t, "k", "old")
	a.local.Delete("k")
	a.untold.mu.Lock()
	a.untold.keys["k"] = 1 // and nobody is awake to tell it
	a.untold.mu.Unlock()
	a.want(t, "k", "")
	if got := a.load(t, "k", "new"); got != "new" {
		t.Errorf("%q", got)
	}
	if there := a.client.Get(t.Context(), a.prefix+"k").Val(); there != `v"old"` {
		t.Errorf("%q is in Redis: who set that?", there)
	}
	if err := a.Set(t.Context(), "k", "newer"); err != nil { // which wakes
		t.Error(err)
	}
	within(t, "Redis was told", func() bool { return a.Stats().Untold == 0 })
	if there := a.client.Get(t.Context(), a.prefix+"k").Val(); there != string(deletedMark) {
		t.Errorf("%q is in Redis", there)
	}

	var u untold
	u.init()
	u.add("a")
	u.add("b")
	picked := u.some(10)
	u.add("b")
	u.told(picked)
	if u.has("a") || !u.has("b") || u.count() != 1 || len(u.some(0)) != 0 {
		t.Errorf("%v waits", u.keys)
	}
}
