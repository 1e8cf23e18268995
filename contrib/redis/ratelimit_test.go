package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/internal/faultproxy"
	"github.com/memwarden/memwarden/internal/redistest"
)

var _ bounded.Owner = (*RateLimiter)(nil)

func newLimiter(t testing.TB, o RateLimiterOptions) *RateLimiter {
	t.Helper()
	if o.Name == "" {
		o.Name = "limiter"
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second // the tests of several packages share few processors
	}
	l, err := NewRateLimiter(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSharedLimitsAgainstATwin gives the script a clock of ours, and compares it with the limiter in memory.
func TestSharedLimitsAgainstATwin(t *testing.T) {
	t.Parallel()
	client := newClient(t, redistest.Start(t).URL())
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range 8 {
		time0 := newClock()
		o := bounded.RateLimiterOptions{
			Name: fmt.Sprintf("twin%d", round), Burst: 1 + random.IntN(8), Now: time0.now,
			Rate: 1 / float64(10+random.IntN(20)), // so slowly that no key expires by the real clock
		}
		twin, err := bounded.NewRateLimiter(o)
		if err != nil {
			t.Fatal(err)
		}
		l := newLimiter(t, RateLimiterOptions{Client: client, Name: o.Name, Burst: o.Burst, Rate: o.Rate, Now: time0.now})
		l.script = goredis.NewScript(strings.Replace(decide, "redis.call('TIME')", "{ARGV[3], ARGV[4]}", 1))
		l.client = clocked{client, time0}
		for step := range 150 {
			time0.add(time.Duration(random.IntN(15_000_000)) * time.Microsecond)
			key := fmt.Sprint(random.IntN(3))
			got, want := l.Allow(t.Context(), key), twin.Allow(key)
			if got != want {
				t.Fatalf("seed %d, round %d, step %d: %+v, want %+v", seed, round, step, got, want)
			}
		}
		if stats := l.Stats(); stats.Local != 0 || stats.Shared != 150 {
			t.Fatalf("%+v", stats)
		}
	}
}

// clocked adds the time of a clock to the arguments of a script.
type clocked struct {
	goredis.Scripter
	clock *clock
}

func (c clocked) with(args []any) []any {
	at := c.clock.at
	return append(args, at.Unix(), at.Nanosecond()/1000)
}

func (c clocked) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *goredis.Cmd {
	return c.Scripter.EvalSha(ctx, sha, keys, c.with(args)...)
}

func (c clocked) Eval(ctx context.Context, script string, keys []string, args ...any) *goredis.Cmd {
	return c.Scripter.Eval(ctx, script, keys, c.with(args)...)
}

func TestInstancesShareLimits(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	const instances, burst = 3, 20
	var allowed atomic.Int64
	var work sync.WaitGroup
	for range instances {
		l := newLimiter(t, RateLimiterOptions{Client: newClient(t, server.URL()), Rate: 1. / 3600, Burst: burst})
		work.Go(func() {
			for range 2 * burst {
				d := l.Allow(t.Context(), "somebody")
				if d.Allowed {
					allowed.Add(1)
				}
				if d.Limit != burst || d.Allowed == (d.RetryAfter > 0) || d.Remaining < 0 || d.Remaining >= burst || d.ResetAfter <= 0 {
					t.Errorf("%+v", d)
				}
			}
			if stats := l.Stats(); stats.Shared != 2*burst || stats.Local != 0 || stats.Degraded {
				t.Errorf("%+v", stats)
			}
		})
	}
	work.Wait()
	if allowed.Load() != burst {
		t.Errorf("%d were allowed, want %d", allowed.Load(), burst)
	}
}

// counting counts the commands of a client.
type counting struct{ commands atomic.Int64 }

func (c *counting) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}
func (c *counting) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, command goredis.Cmder) error {
		c.commands.Add(1)
		return next(ctx, command)
	}
}
func (c *counting) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, commands []goredis.Cmder) error {
		c.commands.Add(1)
		return next(ctx, commands)
	}
}

func TestOneRoundTripAndExpiringKeys(t *testing.T) {
	t.Parallel()
	client := newClient(t, redistest.Start(t).URL())
	l := newLimiter(t, RateLimiterOptions{Client: client, Name: "api", Rate: 10, Burst: 5, Prefix: "test:"})
	secret := "somebody@example.org " + strings.Repeat("x", 10_000)
	count := &counting{}
	client.AddHook(count)
	for range 2 {
		if err := client.ScriptFlush(t.Context()).Err(); err != nil { // as a restart does
			t.Fatal(err)
		}
		before := count.commands.Load()
		l.Allow(t.Context(), secret)
		if n := count.commands.Load() - before; n > 2 {
			t.Errorf("%d commands where the script was not known, want 2", n)
		}
		before = count.commands.Load()
		d := l.Allow(t.Context(), secret)
		if n := count.commands.Load() - before; n != 1 {
			t.Errorf("%d commands for a decision, want 1", n)
		}
		keys, err := client.Keys(t.Context(), "*").Result()
		if err != nil || len(keys) != 1 || !strings.HasPrefix(keys[0], "test:rate:api:") || len(keys[0]) != len("test:rate:api:")+22 {
			t.Fatalf("keys %q, %v", keys, err)
		}
		if ttl, err := client.PTTL(t.Context(), keys[0]).Result(); err != nil || ttl <= 0 || ttl > d.ResetAfter+time.Millisecond {
			t.Errorf("the key expires after %v, %v; the burst is there again after %v", ttl, err, d.ResetAfter)
		}
		within(t, "the key has expired", func() bool { return client.DBSize(t.Context()).Val() == 0 })
	}
	if stats := l.Stats(); stats.Local != 0 {
		t.Errorf("%+v", stats)
	}
}

// TestClockThatWasAhead: a time that no clock of now can have made does not lock a key out.
func TestClockThatWasAhead(t *testing.T) {
	t.Parallel()
	client := newClient(t, redistest.Start(t).URL())
	l := newLimiter(t, RateLimiterOptions{Client: client, Rate: 1, Burst: 5})
	if err := client.Set(t.Context(), l.key("k"), time.Now().Add(24*time.Hour).UnixMicro(), time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if d := l.Allow(t.Context(), "k"); d.Allowed || d.RetryAfter > time.Second || d.ResetAfter > 5*time.Second {
		t.Errorf("%+v, want to wait for a second at most", d)
	}
}

// TestLimitsAlone takes Redis away: this instance decides, and knows whom it let pass before.
func TestLimitsAlone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	time0 := newClock()
	l := newLimiter(t, RateLimiterOptions{Client: newClient(t, server.URL()), Rate: 1. / 3600, Burst: 3, Now: time0.now})
	for i := range 4 {
		if d := l.Allow(t.Context(), "known"); d.Allowed != (i < 3) {
			t.Errorf("request %d: %+v", i, d)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if d := l.Allow(cancelled, "known"); d.Allowed || l.Stats().Local != 1 || l.Stats().Degraded {
		t.Errorf("with a context that is over: %+v, %+v", d, l.Stats())
	}
	server.Kill(t)
	for i := range 5 {
		if d := l.Allow(t.Context(), "known"); d.Allowed {
			t.Errorf("a new burst because Redis is gone: %+v", d)
		}
		if d := l.Allow(t.Context(), "new"); d.Allowed != (i < 3) {
			t.Errorf("request %d alone: %+v", i, d)
		}
	}
	if stats := l.Stats(); stats.Shared != 4 || stats.Local != 11 || !stats.Degraded {
		t.Errorf("%+v", stats)
	}
	if got := l.Usage(); got.Entries != 2 || l.Name() != "limiter" {
		t.Errorf("%s: %+v", l.Name(), got)
	}
	if l.Shrink(t.Context(), 1) < 0 {
		t.Error("shrinking grows")
	}
	server.Restart(t)
	time0.add(longestPause)
	if d := l.Allow(t.Context(), "new"); !d.Allowed || l.Stats().Degraded {
		t.Errorf("Redis is back, and empty: %+v, %+v", d, l.Stats())
	}
}

// TestScriptThatIsAnother has something else answer.
func TestScriptThatIsAnother(t *testing.T) {
	t.Parallel()
	client := newClient(t, redistest.Start(t).URL())
	l := newLimiter(t, RateLimiterOptions{Client: client, Rate: 1, Burst: 1})
	l.script = goredis.NewScript("return {1}")
	if d := l.Allow(t.Context(), "k"); !d.Allowed || l.Stats().Local != 1 || !l.Stats().Degraded {
		t.Errorf("%+v, %+v", d, l.Stats())
	}
}

// TestLimiterThroughFaults has clients ask through a network that does what networks do.
func TestLimiterThroughFaults(t *testing.T) {
	t.Parallel()
	const timeout, slack = 50 * time.Millisecond, 2 * time.Second
	server := redistest.Start(t)
	between := faultproxy.Start(t, server.Host())
	client := newClient(t, strings.Replace(server.URL(), server.Host(), between.Addr(), 1))
	l := newLimiter(t, RateLimiterOptions{Client: client, Rate: 1000, Burst: 1000, Timeout: timeout})
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				l.Allow(ctx, fmt.Sprint(i))
				if took := time.Since(start); took > timeout+slack {
					t.Errorf("a decision took %v of the %v that Redis may take", took, timeout)
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	t.Cleanup(work.Wait)
	t.Cleanup(stop)
	within(t, "Redis decides", func() bool { return l.Stats().Shared > 100 })
	throughFaults(t, between, func() bool { return l.Stats().Degraded }, func() func() bool {
		before := l.Stats().Shared
		return func() bool { s := l.Stats(); return !s.Degraded && s.Shared > before+100 }
	})
	stop()
	work.Wait()
	if got := client.Usage(); got.Entries > defaultMaxConns || got.PeakEntries > defaultMaxConns {
		t.Errorf("%+v", got)
	}
}

// throughFaults raises one fault after the other. begun tells that it is felt; back returns what tells that all is
// well.
func throughFaults(t *testing.T, between *faultproxy.Proxy, begun func() bool, back func() func() bool) {
	t.Helper()
	rounds, keep := 1, time.Duration(0)
	if *long {
		rounds, keep = 5, time.Second
	}
	for range rounds {
		for _, fault := range []struct {
			name       string
			begin, end func()
		}{
			{"refuse", between.Refuse, func() { between.Accept(t) }},
			{"slow", func() { between.Slow(50) }, func() { between.Slow(0) }},
			{"swallow requests", func() { between.Swallow(faultproxy.ToServer) }, func() { between.Swallow(faultproxy.Nowhere) }},
			{"swallow answers", func() { between.Swallow(faultproxy.ToClient) }, func() { between.Swallow(faultproxy.Nowhere) }},
			{"swallow all", func() { between.Swallow(faultproxy.Both) }, func() { between.Swallow(faultproxy.Nowhere) }},
		} {
			fault.begin()
			within(t, fault.name+" is felt", begun)
			time.Sleep(keep)
			fault.end()
			start := time.Now()
			within(t, "all is well after "+fault.name, back())
			t.Logf("%s: back after %v", fault.name, time.Since(start))
			// A cut that nobody has to notice: an idle connection is replaced.
			between.Cut()
			within(t, "all is well after a cut", back())
		}
	}
}

func TestLimiterMistakes(t *testing.T) {
	t.Parallel()
	_, err := NewRateLimiter(RateLimiterOptions{Name: "L", Rate: 2e4, Burst: 0, Prefix: strings.Repeat("x", 129), Timeout: 1})
	for _, want := range []string{`name "L"`, "burst 0", "client: missing", "prefix of 129 bytes", "rate 20000", "timeout 1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	l, err := NewRateLimiter(RateLimiterOptions{Client: &goredis.Client{}, Name: "l", Rate: 1, Burst: 1})
	if err != nil || l.timeout != 50*time.Millisecond || !strings.HasPrefix(l.key(""), "memwarden:rate:l:") {
		t.Errorf("defaults: %+v, %v", l, err)
	}
}

func BenchmarkRateLimiter(b *testing.B) {
	server := redistest.Start(b)
	b.Run("shared", func(b *testing.B) {
		l := newLimiter(b, RateLimiterOptions{Client: newClient(b, server.URL()), Rate: 1000, Burst: 1000})
		b.ReportAllocs()
		for b.Loop() {
			l.Allow(b.Context(), "k")
		}
		if l.Stats().Local > 0 {
			b.Errorf("%+v", l.Stats())
		}
	})
	b.Run("alone", func(b *testing.B) {
		l := newLimiter(b, RateLimiterOptions{Client: newClient(b, "redis://127.0.0.1:1"), Rate: 1000, Burst: 1000, Now: newClock().now})
		b.ReportAllocs()
		for b.Loop() {
			l.Allow(b.Context(), "k")
		}
	})
}
