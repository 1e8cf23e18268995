package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
)

// lookAlikes are healthy.
func lookAlikes() []exhibit {
	return []exhibit{
		{name: "bounded_cache", run: fillCache},
		{name: "batch_spikes", run: loadBatches},
		{name: "connection_pool", run: warmPool},
		{name: "arena", run: reuseArena},
		{name: "growing_cache_of_old", run: fillQuickly},
		{name: "worker_waves", run: workInWaves},
	}
}

// fillCache fills a cache for as long as anybody watches; it has a bound, and the warden knows of it.
func fillCache(ctx context.Context, warden *memwarden.Warden) error {
	cache, err := bounded.NewCache(bounded.CacheOptions[int, []byte]{Name: "pages", MaxEntries: 1 << 20, MaxBytes: 1 << 30})
	if err != nil {
		return err
	}
	if _, err := warden.Register(cache); err != nil {
		return err
	}
	return every(ctx, 100, func(n int) error {
		cache.Set(n, make([]byte, 4096))
		return nil
	})
}

// batch is what is worked on.
type batch struct{ rows [][]byte }

// loadBatches loads a batch bit by bit, works on it, and lets it go.
func loadBatches(ctx context.Context, _ *memwarden.Warden) error {
	current := &batch{}
	return every(ctx, 100, func(n int) error {
		switch n % 800 {
		case 0:
			current = &batch{}
		default:
			if n%800 < 600 {
				current.rows = append(current.rows, make([]byte, 32<<10))
			}
		}
		return nil
	})
}

// warmPool opens connections up to the bound of a pool, one after the other, and keeps them.
func warmPool(ctx context.Context, _ *memwarden.Warden) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }() // until the other side closes
		}
	}()
	var pool []net.Conn
	defer func() {
		for _, conn := range pool {
			_ = conn.Close() // of which nothing is expected any more
		}
	}()
	return every(ctx, 10, func(n int) error {
		if len(pool) < 120 {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
			if err != nil {
				return errors.Join(err, ctx.Err())
			}
			pool = append(pool, conn)
		}
		one := pool[n%len(pool)]
		if _, err := one.Write([]byte("ping")); err != nil {
			return err
		}
		_, err := io.ReadFull(one, make([]byte, 4))
		return err
	})
}

// reuseArena fills a large block bit by bit, and begins anew in the same when it is full.
func reuseArena(ctx context.Context, _ *memwarden.Warden) error {
	arena := make([]byte, 0, 64<<20)
	var blocks [][]byte // of the arena
	return every(ctx, 200, func(int) error {
		if len(arena)+64<<10 > cap(arena) {
			arena, blocks = arena[:0], nil
		}
		arena = arena[:len(arena)+64<<10]
		block := arena[len(arena)-64<<10:]
		block[0] = 1
		blocks = append(blocks, block)
		return nil
	})
}

// fillQuickly fills a table of all that there is within some seconds, and looks it up from then on.
func fillQuickly(ctx context.Context, _ *memwarden.Warden) error {
	const all = 4000
	table := map[int][]byte{}
	return every(ctx, 500, func(n int) error {
		if _, known := table[n%all]; !known {
			table[n%all] = make([]byte, 4096)
		}
		return nil
	})
}

// workInWaves has a hundred workers now and none then.
func workInWaves(ctx context.Context, _ *memwarden.Warden) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	return every(ctx, 10, func(n int) error {
		if n%60 < 30 {
			for range 10 {
				workers.Go(func() {
					buffer := make([]byte, 64<<10)
					select {
					case <-time.After(3 * time.Second):
					case <-ctx.Done():
					}
					buffer[0]++
				})
			}
		}
		return nil
	})
}
