package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/memwarden/memwarden"
)

// goroutinesPerSecond is how many each of these leaks.
const goroutinesPerSecond = 10

// heldByGoroutines are goroutines that never end.
func heldByGoroutines() []exhibit {
	return []exhibit{
		{name: "blocked_on_channel", run: askForever, want: []leak{{
			kind: "goroutines", function: "main.ask.func1", says: "waiting to send to a channel in main.ask.func1", perSecond: goroutinesPerSecond, also: []string{"heap"},
		}}},
		{name: "blocked_on_mutex", run: lockForever, want: []leak{{
			kind: "goroutines", function: "main.(*account).withdraw", says: "waiting for a lock in main.(*account).withdraw", perSecond: goroutinesPerSecond, also: []string{"heap"},
		}}},
		{name: "blocked_on_network", run: readForever, want: []leak{{
			kind: "goroutines", function: "main.serveClient", says: "waiting for the network in main.serveClient", perSecond: goroutinesPerSecond, also: []string{"heap", "descriptors"},
		}}},
		{name: "forgotten_ticker", run: pingForever, want: []leak{{
			kind: "goroutines", function: "main.(*peer).ping", says: "main.(*peer).ping", perSecond: goroutinesPerSecond, also: []string{"heap"},
		}}},
		{name: "waiting_for_group", run: waitForever, want: []leak{{
			kind: "goroutines", function: "main.collect.func1", says: "waiting for a group in main.collect.func1", perSecond: goroutinesPerSecond, also: []string{"heap"},
		}}},
	}
}

// ask has something worked out and gives up soon; the answer comes later, and nobody takes it.
func ask(ctx context.Context) error {
	answer := make(chan int)
	go func() {
		time.Sleep(20 * time.Millisecond)
		answer <- 42
	}()
	select {
	case <-answer:
	case <-time.After(time.Millisecond):
	case <-ctx.Done():
	}
	return nil
}

func askForever(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, goroutinesPerSecond, func(int) error { return ask(ctx) })
}

type account struct {
	mu    sync.Mutex
	cents int
}

var errShort = errors.New("there is not enough")

// withdraw forgets to unlock when it fails.
func (a *account) withdraw(cents int) error {
	a.mu.Lock()
	if a.cents < cents {
		return errShort
	}
	a.cents -= cents
	a.mu.Unlock()
	return nil
}

func lockForever(ctx context.Context, _ *memwarden.Warden) error {
	a := &account{cents: 100}
	return every(ctx, goroutinesPerSecond, func(int) error {
		go func() { _ = a.withdraw(30) }()
		return nil
	})
}

// serveClient reads without a deadline from clients that are gone without a word.
func serveClient(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 1024)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

func readForever(ctx context.Context, _ *memwarden.Warden) error {
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
			go serveClient(conn)
		}
	}()
	var clients []net.Conn // which say nothing any more
	return every(ctx, goroutinesPerSecond, func(int) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
		clients = append(clients, conn)
		return err
	})
}

// peer is a connection that is kept alive, also after it has ended.
type peer struct{ pings int }

func (p *peer) ping(ticker *time.Ticker) {
	for range ticker.C {
		p.pings++
	}
}

func pingForever(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, goroutinesPerSecond, func(int) error {
		p := &peer{}
		go p.ping(time.NewTicker(time.Second))
		return nil
	})
}

// collect counts a worker more than there are.
func collect() {
	var workers sync.WaitGroup
	workers.Add(2)
	go workers.Done()
	go func() { workers.Wait() }()
}

func waitForever(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, goroutinesPerSecond, func(int) error {
		collect()
		return nil
	})
}
