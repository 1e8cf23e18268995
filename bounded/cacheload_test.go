package bounded

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errTest = errors.New("test")

// answer is a loader that returns a value at once.
func answer(value string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return value, nil }
}

// fail is a loader that returns an error at once.
func fail(err error) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return "", err }
}

// unwanted is a loader that must not be called.
func unwanted(t *testing.T) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		t.Error("loaded although it is there")
		return "", errTest
	}
}

// expect checks what Load returns.
func expect(t *testing.T, c *Cache[string, string], load func(context.Context) (string, error), want string, wantErr error) {
	t.Helper()
	if got, err := c.Load(t.Context(), "key", load); got != want || !errors.Is(err, wantErr) {
		t.Errorf("Load = %q, %v, want %q, %v", got, err, want, wantErr)
	}
}

// expectGet checks what is stored; "" is nothing.
func expectGet(t *testing.T, c *Cache[string, string], want string) {
	t.Helper()
	if got, found := c.Get("key"); got != want || found != (want != "") {
		t.Errorf("Get = %q, %v, want %q", got, found, want)
	}
}

func TestLoadIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, CacheOptions[string, string]{})
		calls := 0
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				expect(t, c, func(context.Context) (string, error) {
					calls++
					time.Sleep(time.Second)
					return "value", nil
				}, "value", nil)
			})
		}
		callers.Wait()
		expectGet(t, c, "value")
		expect(t, c, unwanted(t), "value", nil)
		stats := c.Stats()
		if calls != 1 || stats.Loads != 1 || stats.LoadFailures != 0 || stats.LoadTime != time.Second || stats.Hits != 2 || stats.Misses != 10 {
			t.Errorf("%d calls, %+v", calls, stats)
		}
	})
}

func TestContextEndsOneWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, CacheOptions[string, string]{})
		type contextKey struct{}
		first, leave := context.WithCancelCause(context.WithValue(t.Context(), contextKey{}, "kept"))
		var loading context.Context
		load := func(ctx context.Context) (string, error) {
			loading = ctx
			select {
			case <-ctx.Done():
				return "", context.Cause(ctx)
			case <-time.After(time.Minute):
				return "value", nil
			}
		}
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := c.Load(first, "key", load); !errors.Is(err, errTest) {
				t.Errorf("the first caller gets %v", err)
			}
		})
		synctest.Wait()
		callers.Go(func() { expect(t, c, unwanted(t), "value", nil) })
		synctest.Wait()
		leave(errTest)
		synctest.Wait()
		if loading.Err() != nil || loading.Value(contextKey{}) != "kept" {
			t.Errorf("the second caller waits, but the load has ended: %v", loading.Err())
		}
		callers.Wait()

		c.Delete("key")
		ctx, leave := context.WithCancelCause(t.Context())
		callers.Go(func() {
			if _, err := c.Load(ctx, "key", load); !errors.Is(err, errTest) {
				t.Errorf("the only caller gets %v", err)
			}
		})
		synctest.Wait()
		leave(errTest)
		callers.Wait()
		synctest.Wait()
		if !errors.Is(context.Cause(loading), errAbandoned) || c.Len() != 0 {
			t.Errorf("nobody waits, but the load goes on: %v; %d stored", context.Cause(loading), c.Len())
		}
		if _, err := c.Load(ctx, "key", unwanted(t)); !errors.Is(err, errTest) {
			t.Errorf("a caller whose context has ended gets %v", err)
		}
	})
}

func TestLoaderThatDoesNotReturnHarmsNobody(t *testing.T) {
	for name, load := range map[string]func(context.Context) (string, error){
		"panic":         func(context.Context) (string, error) { panic(errTest) },
		"end goroutine": func(context.Context) (string, error) { runtime.Goexit(); return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t, CacheOptions[string, string]{})
			_, err := c.Load(t.Context(), "key", load)
			var panicked *PanicError
			if !errors.As(err, &panicked) || !strings.Contains(err.Error(), "panicked") || len(panicked.Stack) == 0 {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, errTest) != (name == "panic") {
				t.Errorf("the panic's error: %v", err)
			}
			expect(t, c, answer("value"), "value", nil)
			if stats := c.Stats(); stats.Loads != 2 || stats.LoadFailures != 1 {
				t.Errorf("%+v", stats)
			}
		})
	}
	t.Run("weigher", func(t *testing.T) {
		c := newCache(t, CacheOptions[string, string]{Weigh: func(string, string) int64 { panic(errTest) }})
		expect(t, c, answer("value"), "value", errTest)
	})
}

func TestWriteWinsOverLoad(t *testing.T) {
	for name, write := range map[string]func(*Cache[string, string]) error{
		"Set":    func(c *Cache[string, string]) error { return c.Set("key", "set") },
		"Delete": func(c *Cache[string, string]) error { c.Delete("key"); return nil },
		"Clear":  func(c *Cache[string, string]) error { c.Clear(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, CacheOptions[string, string]{})
				proceed := make(chan struct{})
				var callers sync.WaitGroup
				callers.Go(func() {
					expect(t, c, func(context.Context) (string, error) { <-proceed; return "loaded", nil }, "loaded", nil)
				})
				synctest.Wait()
				if err := write(c); err != nil {
					t.Fatal(err)
				}
				want := ""
				if name == "Set" {
					want = "set"
				} else { // who comes now must not get what was loaded before
					expect(t, c, answer("later"), "later", nil)
					want = "later"
				}
				close(proceed)
				callers.Wait()
				expectGet(t, c, want)
			})
		})
	}
}

func TestLoadedValueThatIsTooLargeIsReturned(t *testing.T) {
	c := newCache(t, CacheOptions[string, string]{MaxBytes: 1000, NegativeTTL: time.Minute})
	huge := strings.Repeat("x", 1001)
	expect(t, c, answer(huge), huge, nil)
	expectGet(t, c, "")
	if stats := c.Stats(); stats.Refused != 1 || stats.Entries != 0 {
		t.Errorf("%+v", stats)
	}
	light := newCache(t, CacheOptions[string, string]{Weigh: func(string, string) int64 { return -1 }})
	expect(t, light, answer("value"), "value", nil)
	expectGet(t, light, "")
}

func TestNegativeResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := fmt.Errorf("row: %w", ErrNotFound)
		told := 0
		c := newCache(t, CacheOptions[string, string]{NegativeTTL: time.Minute, OnEvict: func(string, string, Reason) { told++ }})
		expect(t, c, fail(none), "", none)
		expect(t, c, unwanted(t), "", none)
		expectGet(t, c, "")
		if c.Delete("key") {
			t.Error("a negative result was deleted as a value")
		}
		expect(t, c, fail(none), "", none)
		time.Sleep(time.Minute - 1)
		expect(t, c, unwanted(t), "", none)
		time.Sleep(1)
		expect(t, c, fail(errTest), "", errTest)
		expect(t, c, answer("value"), "value", nil) // other errors are not kept
		if told != 0 {
			t.Errorf("OnEvict was told %d times of negative results", told)
		}
		c.Delete("key")
		expect(t, c, fail(none), "", none)
		if err := c.Set("key", "set"); err != nil {
			t.Fatal(err)
		}
		expectGet(t, c, "set")

		without := newCache(t, CacheOptions[string, string]{})
		expect(t, without, fail(none), "", none)
		expect(t, without, answer("value"), "value", nil)
	})
}

func TestRefreshAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		c := newCache(t, CacheOptions[string, string]{
			RefreshAhead: time.Minute, TTL: time.Hour,
			OnEvict: func(_, value string, reason Reason) { told = append(told, value+" "+reason.String()) },
		})
		slowly := func(value string, err error) func(context.Context) (string, error) {
			return func(context.Context) (string, error) { time.Sleep(time.Second); return value, err }
		}
		expect(t, c, answer("1"), "1", nil)
		time.Sleep(time.Minute - 1)
		expect(t, c, unwanted(t), "1", nil)
		time.Sleep(1)
		expect(t, c, slowly("2", nil), "1", nil)
		expect(t, c, unwanted(t), "1", nil) // it is being loaded
		time.Sleep(2 * time.Second)
		expectGet(t, c, "2")

		time.Sleep(time.Minute)
		expect(t, c, slowly("", errTest), "2", nil)
		time.Sleep(5 * time.Second)
		expect(t, c, unwanted(t), "2", nil) // failed a moment ago
		time.Sleep(6 * time.Second)
		expect(t, c, slowly("", ErrNotFound), "2", nil)
		time.Sleep(2 * time.Second)
		expectGet(t, c, "")
		synctest.Wait()
		if got := strings.Join(told, ", "); got != "1 replaced, 2 deleted" {
			t.Errorf("told %s", got)
		}

		expect(t, c, answer("3"), "3", nil)
		time.Sleep(time.Minute)
		expect(t, c, slowly("4", nil), "3", nil)
		if err := c.Set("key", "5"); err != nil { // wins over the refresh
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		expectGet(t, c, "5")
	})
}

func TestRefreshesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, CacheOptions[int, int]{RefreshAhead: time.Minute})
		for key := range 2 * maxRefreshes {
			if err := c.Set(key, key); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		var running, most, calls atomic.Int32
		all := func() {
			for key := range 2 * maxRefreshes {
				got, err := c.Load(t.Context(), key, func(context.Context) (int, error) {
					calls.Add(1)
					if now := running.Add(1); now > most.Load() {
						most.Store(now)
					}
					defer running.Add(-1)
					time.Sleep(time.Second)
					return key, nil
				})
				if got != key || err != nil {
					t.Errorf("Load(%d) = %d, %v", key, got, err)
				}
			}
			time.Sleep(2 * time.Second)
		}
		all()
		if most.Load() != maxRefreshes || calls.Load() != maxRefreshes {
			t.Errorf("%d refreshes at once, %d in all, want %d", most.Load(), calls.Load(), maxRefreshes)
		}
		all() // the others
		if calls.Load() != 2*maxRefreshes {
			t.Errorf("%d refreshes, want %d", calls.Load(), 2*maxRefreshes)
		}
	})
}

func TestCloseEndsLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, CacheOptions[string, string]{})
		var callers sync.WaitGroup
		callers.Go(func() {
			expect(t, c, func(ctx context.Context) (string, error) {
				<-ctx.Done()
				time.Sleep(time.Minute) // it takes its time
				return "", context.Cause(ctx)
			}, "", ErrClosed)
		})
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Close(short); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 loads") {
			t.Errorf("Close did not wait as long as it may: %v", err)
		}
		expect(t, c, unwanted(t), "", ErrClosed)
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		callers.Wait()
		if err := c.Set("key", "value"); err != nil {
			t.Error(err)
		}
		expect(t, c, unwanted(t), "value", nil)
	})
}

// TestLoadsUnderFire has many goroutines load, write and give up at once. A value names its key, so that one that is
// under a wrong key is noticed.
func TestLoadsUnderFire(t *testing.T) {
	c := newCache(t, CacheOptions[int, int]{
		MaxEntries: 50, TTL: 3 * time.Millisecond, RefreshAhead: time.Millisecond, NegativeTTL: time.Millisecond,
	})
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 1000 {
				key := (i*7 + worker) % 100
				ctx, cancel := context.WithCancel(t.Context())
				if i%5 == 0 {
					go cancel()
				}
				value, err := c.Load(ctx, key, func(ctx context.Context) (int, error) {
					switch {
					case i%11 == 0:
						return 0, ErrNotFound
					case i%13 == 0:
						panic(errTest)
					}
					runtime.Gosched()
					return key, ctx.Err()
				})
				if err == nil && value != key {
					t.Errorf("key %d has %d", key, value)
				}
				if i%17 == 0 {
					c.Delete(key)
				}
				if i%19 == 0 {
					if err := c.Set(key, key); err != nil {
						t.Error(err)
					}
				}
				cancel()
			}
		})
	}
	group.Wait()
}
