package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/faultproxy"
	"github.com/memwarden/memwarden/internal/redistest"
)

// behind starts an instance whose network can be disturbed.
func behind(t testing.TB, server *redistest.Server, o CacheOptions[string]) (*instance, *faultproxy.Proxy) {
	t.Helper()
	between := faultproxy.Start(t, server.Host())
	t.Cleanup(func() { // once cache and client are closed
		for deadline := time.Now().Add(patience); between.Open() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d connections are left open", between.Open())
			}
		}
	})
	return newInstance(t, strings.Replace(server.URL(), server.Host(), between.Addr(), 1), o), between
}

// TestChangesWhileCutOff changes a value on both sides of a cut network: both sides have the newest once it is whole.
func TestChangesWhileCutOff(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	o := CacheOptions[string]{Timeout: 100 * time.Millisecond}
	a, network := behind(t, server, o)
	b := newInstance(t, server.URL(), CacheOptions[string]{}).listening(t)
	a.listening(t)
	for _, key := range []string{"mine", "yours"} {
		a.set(t, key, "old")
		b.want(t, key, "old")
	}
	for _, fault := range []struct {
		name       string
		begin, end func()
	}{
		{"refuse", network.Refuse, func() { network.Accept(t) }},
		{"swallow all", func() { network.Swallow(faultproxy.Both) }, func() { network.Swallow(faultproxy.Nowhere) }},
	} {
		value := "new after " + fault.name
		fault.begin()
		b.set(t, "yours", value)
		a.set(t, "mine", value)
		within(t, "a knows that it is cut off", func() bool { return !a.subscribed.Load() })
		a.want(t, "mine", value)
		if got := a.load(t, "yours", "-"); got == value || got == "-" {
			t.Errorf("%s: %q comes from nowhere", fault.name, got)
		}
		if n := a.Stats().Untold; n != 1 {
			t.Errorf("%s: %d changes wait for Redis", fault.name, n)
		}
		fault.end()
		within(t, fault.name+": a has what b has set", func() bool { v, _ := a.Get(t.Context(), "yours"); return v == value })
		within(t, fault.name+": b drops what a has changed", func() bool { v, _ := b.Get(t.Context(), "mine"); return v == "" })
		if got := b.load(t, "mine", value); got != value {
			t.Errorf("%s: %q", fault.name, got)
		}
		within(t, "Redis was told", func() bool { s := a.Stats(); return s.Untold == 0 && !s.Degraded })
	}
}

// TestCacheThroughFaults wants each call back in time, whatever the network does.
func TestCacheThroughFaults(t *testing.T) {
	t.Parallel()
	const timeout, slack = 50 * time.Millisecond, 2 * time.Second
	server := redistest.Start(t)
	a, between := behind(t, server, CacheOptions[string]{Timeout: timeout})
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for i := range 6 {
		work.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			for ctx.Err() == nil {
				key, start := fmt.Sprint(random.IntN(50)), time.Now()
				var err error
				switch random.IntN(4) {
				case 0:
					err = a.Set(ctx, key, key)
				case 1:
					err = a.Delete(ctx, key)
				default:
					_, err = a.Load(ctx, key, func(context.Context) (string, error) { return key, nil })
				}
				if took := time.Since(start); took > 3*timeout+slack { // two exchanges at most, and a wait for one
					t.Errorf("a call took %v of the %v that Redis may take", took, timeout)
				}
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	t.Cleanup(work.Wait)
	t.Cleanup(stop)
	a.listening(t)
	throughFaults(t, between, func() bool { return a.Stats().Degraded }, func() func() bool {
		before := a.Stats().Misses
		return func() bool { s := a.Stats(); return !s.Degraded && s.Untold == 0 && s.Misses > before }
	})
	stop()
	work.Wait()
	if got := a.client.Usage(); got.Entries > defaultMaxConns || got.PeakEntries > defaultMaxConns {
		t.Errorf("%+v", got)
	}
}

// source is what the instances cache: a table whose rows are locked while they are changed.
type source struct {
	rows [8]sync.Mutex
	mu   sync.Mutex
	data [8]string
}

func (s *source) read(row int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data[row]
}

func (s *source) write(row int, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[row] = value
}

// TestInstancesAgree has instances change and read the same values through networks that fail at random. When all is
// whole again, all must have what the source has; nothing expires meanwhile.
func TestInstancesAgree(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	server := redistest.Start(t)
	const instances = 3
	var all [instances]*instance
	var networks [instances]*faultproxy.Proxy
	for i := range instances {
		all[i], networks[i] = behind(t, server, CacheOptions[string]{Timeout: 100 * time.Millisecond, TTL: time.Hour, LocalTTL: time.Hour})
	}
	rounds, steps := 2, 150
	if *long {
		rounds, steps = 20, 1000
	}
	table := &source{}
	for round := range rounds {
		var work sync.WaitGroup
		for i := range instances {
			work.Go(func() {
				changeAtRandom(t, rand.New(rand.NewPCG(seed, uint64(round*100+i))), table, all[i], networks[i], steps)
			})
			work.Go(func() { readAtRandom(t, rand.New(rand.NewPCG(seed, uint64(round*100+50+i))), table, all[i], steps) })
		}
		work.Wait()
		for i, network := range networks {
			network.Swallow(faultproxy.Nowhere)
			network.Accept(t)
			within(t, "the instance is well", func() bool { s := all[i].Stats(); return !s.Degraded && s.Untold == 0 })
		}
		for i, instance := range all {
			for row := range table.rows {
				var got string
				agree := func() bool {
					got, _ = instance.Load(t.Context(), fmt.Sprint(row), func(context.Context) (string, error) { return table.read(row), nil })
					return got == table.read(row)
				}
				for deadline := time.Now().Add(3 * time.Second); !agree(); time.Sleep(time.Millisecond) { // messages are on their way
					if time.Now().After(deadline) {
						t.Fatalf("seed %d, round %d: instance %d has %q in row %d, the source %q", seed, round, i, got, row, table.read(row))
					}
				}
			}
		}
	}
}

// changeAtRandom changes the source, and tells the cache; and it disturbs the network.
func changeAtRandom(t *testing.T, random *rand.Rand, table *source, c *instance, network *faultproxy.Proxy, steps int) {
	for step := range steps {
		row := random.IntN(len(table.rows))
		switch random.IntN(40) {
		case 0:
			network.Cut()
		case 1:
			network.Refuse()
		case 2:
			network.Swallow(faultproxy.ToClient)
		case 3:
			network.Swallow(faultproxy.Both)
		case 4, 5, 6, 7, 8:
			network.Swallow(faultproxy.Nowhere)
			network.Accept(t)
		}
		table.rows[row].Lock()
		value := fmt.Sprintf("%p %d", c, step)
		table.write(row, value)
		var err error
		if random.IntN(2) == 0 {
			err = c.Set(t.Context(), fmt.Sprint(row), value)
		} else {
			err = c.Delete(t.Context(), fmt.Sprint(row))
		}
		table.rows[row].Unlock()
		if err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
	}
}

func readAtRandom(t *testing.T, random *rand.Rand, table *source, c *instance, steps int) {
	for range steps {
		row := random.IntN(len(table.rows))
		if _, err := c.Load(t.Context(), fmt.Sprint(row), func(context.Context) (string, error) {
			value := table.read(row)
			time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond) // it was read a while ago when it comes
			return value, nil
		}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond)
	}
}
