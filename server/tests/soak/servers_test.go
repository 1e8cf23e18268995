package soak

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	pool "github.com/memwarden/memwarden/contrib/pgxpool"
	"github.com/memwarden/memwarden/contrib/redis"
	"github.com/memwarden/memwarden/internal/faultproxy"
	"github.com/memwarden/memwarden/internal/pgtest"
	"github.com/memwarden/memwarden/internal/redistest"
	"github.com/memwarden/memwarden/server/internal/store"
)

// have reports whether a server can be started here; where it must be, starting it fails the test.
func (s *soak) have(program, packaged, required string) bool {
	_, err := exec.LookPath(program)
	found, _ := filepath.Glob(packaged) // the pattern is well formed
	if err == nil || len(found) > 0 || os.Getenv("CI") == "true" || os.Getenv(required) == "1" {
		return true
	}
	s.t.Logf("LEFT OUT: there is no %s on this machine", program)
	s.servers = append(s.servers, "no "+program)
	return false
}

// addPostgres adds a pool of connections, and reports that are kept in a database.
func (s *soak) addPostgres() {
	if !s.have("initdb", "/usr/lib/postgresql/*/bin/initdb", "MEMWARDEN_TEST_REQUIRE_POSTGRES") {
		return
	}
	server := pgtest.Start(s.t)
	config, err := pgxpool.ParseConfig(server.NewDatabase(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	conns := max(3, 20/s.plan.share)
	p, err := pool.Open(s.ctx, config, pool.Options{MaxConns: conns, HeldLimit: 50 * time.Millisecond, OnHeld: func(pool.Held) {}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.add(p, func() bool { n := p.Stats(); return n.PeakOpen == n.MaxConns && n.HeldTooLong > 0 && n.Canceled > 0 })
	s.closing("connection_pool", p.Close)
	var version string
	if err := p.QueryRow(s.ctx, "show server_version").Scan(&version); err != nil {
		s.t.Fatal(err)
	}
	s.servers = append(s.servers, "PostgreSQL "+version)
	s.drive(2*conns, 10*time.Millisecond, func(random *rand.Rand) { s.query(random, p) })
	s.addReports(server.NewDatabase(s.t))
}

// query reads a row, holds a connection for too long, or gives up early.
func (s *soak) query(random *rand.Rand, p *pool.Pool) {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	pause := 0.0
	switch random.IntN(200) {
	case 0:
		pause = 0.1
	case 1:
		var hurried func()
		ctx, hurried = context.WithTimeout(ctx, time.Millisecond)
		defer hurried()
		pause = 0.01
	}
	var text string
	err := p.QueryRow(ctx, "select repeat('x', $1), pg_sleep($2)", random.IntN(4<<10), pause).Scan(&text, nil)
	if err != nil && ctx.Err() == nil {
		s.fail(err)
	}
}

// addReports adds what the service keeps of reports.
func (s *soak) addReports(url string) {
	database, err := store.Open(s.ctx, store.Options{DatabaseURL: url, MaxConns: 3})
	if err != nil {
		s.t.Fatal(err)
	}
	s.closing("store", func(context.Context) error { return database.Close() })
	reports, err := database.Reports(s.ctx, store.ReportOptions{Kind: store.FrontendReports, MaxCount: 400 / s.plan.share})
	if err != nil {
		s.t.Fatal(err)
	}
	s.add(reports, peaked(reports))
	s.drive(2, 5*time.Millisecond, func(random *rand.Rand) {
		id, err := reports.Add(s.ctx, bytesOf(random, 4<<10))
		switch before := max(1, id-random.Int64N(1000)); random.IntN(20) {
		case 0:
			_, err = reports.List(s.ctx, before, 10)
		case 1:
			_, err = reports.Get(s.ctx, before)
		case 2:
			_, err = reports.Trim(s.ctx)
		}
		if ignore(err, store.ErrNoReport) != nil {
			s.fail(err)
		}
	})
}

// addRedis adds what instances share by a Redis, behind a network that fails now and then.
func (s *soak) addRedis() {
	if !s.have("redis-server", "", "MEMWARDEN_TEST_REQUIRE_REDIS") {
		return
	}
	server := redistest.Start(s.t)
	network := faultproxy.Start(s.t, server.Host())
	client, err := redis.Open(strings.Replace(server.URL(), server.Host(), network.Addr(), 1), redis.Options{MaxConns: 4, Timeout: time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	s.closing("redis client", func(context.Context) error { return client.Close() })
	const patience = 300 * time.Millisecond // more than usual: the machine is busy
	keys := 2000 / s.plan.share
	cache, err := redis.NewCache(redis.CacheOptions[[]byte]{
		Client: client, Name: "redis_cache", TTL: time.Minute, LocalTTL: 30 * time.Second, Timeout: patience,
		MaxEntries: keys / 4, MaxBytes: int64(keys) / 4 * 1 << 10, // each fault empties it
		Encode: func(b []byte) ([]byte, error) { return b, nil }, Decode: func(b []byte) ([]byte, error) { return append([]byte(nil), b...), nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.closing("redis cache", cache.Close)
	limiter, err := redis.NewRateLimiter(redis.RateLimiterOptions{
		Client: client, Name: "redis_limiter", Rate: 10, Burst: 20, MaxKeys: keys, Timeout: patience,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.add(client, peaked(client))
	s.add(cache, peaked(cache))
	s.add(limiter, peaked(limiter))
	s.servers = append(s.servers, "Redis "+s.redisVersion(client))
	s.drive(6, 2*time.Millisecond, func(random *rand.Rand) {
		var err error
		key := strconv.Itoa(skewed(random, 3*keys))
		switch random.IntN(10) {
		case 0:
			err = ignore(cache.Set(s.ctx, key, bytesOf(random, 2<<10)), redis.ErrUntold)
		case 1:
			err = ignore(cache.Delete(s.ctx, key), redis.ErrUntold)
		case 2, 3, 4:
			limiter.Allow(s.ctx, strconv.Itoa(random.IntN(10*keys)))
		default:
			value := bytesOf(random, 2<<10)
			_, err = cache.Load(s.ctx, key, func(context.Context) ([]byte, error) { return value, nil })
		}
		if err != nil {
			s.fail(err)
		}
	})
	s.recovery = func() func() bool {
		found, decided := cache.Stats().Hits, limiter.Stats().Shared
		return func() bool { // all connections are there again, which each have buffers
			u := client.Usage()
			return cache.Stats().Hits > found && limiter.Stats().Shared > decided && u.Entries == u.MaxEntries
		}
	}
	const moment = 100 * time.Millisecond
	s.faults = append(s.faults,
		network.Cut,
		func() { network.Refuse(); time.Sleep(moment); network.Accept(s.t) },
		func() { network.Swallow(faultproxy.Both); time.Sleep(moment); network.Swallow(faultproxy.Nowhere) },
	)
}

func (s *soak) redisVersion(client *redis.Client) string {
	info, err := client.Info(s.ctx, "server").Result()
	for line := range strings.Lines(info) {
		if version, ok := strings.CutPrefix(line, "redis_version:"); ok {
			return strings.TrimSpace(version)
		}
	}
	s.t.Fatal(errors.Join(errors.New("redis does not tell its version"), err))
	return ""
}
