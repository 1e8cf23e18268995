// Package load asks a server the same over and over and watches how it answers: one request at a time on each of a few
// connections, the next as soon as the answer is there.
//
// It knows HTTP/1.1 as far as answers with a length go, over TCP: net/http's client would use more of the machine
// that the server shares with it. It knows nothing of what is asked for. The benchmarks stand above it.
package load

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bench/internal/histogram"
)

// exchangeTimeout bounds the wait for one answer: a server that hangs must not hang the benchmark.
const exchangeTimeout = 30 * time.Second

// Get is a request for a path.
func Get(host, path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
}

// Options of a load.
type Options struct {
	Address     string // host:port
	Request     []byte
	Connections int
	Requests    int64 // in all, on whichever connection is free
	// Check looks at one answer in a thousand, besides its status, which must be 200 each time. Nil: at none.
	Check func(Answer) error
}

// checkEvery is how many answers of a connection go unchecked for one that is checked.
const checkEvery = 1000

// Result is what a load measured.
type Result struct {
	Elapsed time.Duration // from the first request to the last answer
	Latency *histogram.Histogram
}

// PerSecond is the number of answers a second.
func (r Result) PerSecond() float64 { return float64(r.Latency.Count()) / r.Elapsed.Seconds() }

// Run connects, asks until all requests are answered, and disconnects. Anything but an answer of status 200 on a
// connection that stays open is an error, and ends the load.
func Run(ctx context.Context, o Options) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	connections := make([]net.Conn, o.Connections)
	for i := range connections {
		connection, err := dial(ctx, o.Address)
		if err != nil {
			return Result{}, err
		}
		defer func() { _ = connection.Close() }() // all that was asked for has come
		connections[i] = connection
	}
	var sent atomic.Int64
	latencies := make([]histogram.Histogram, o.Connections)
	var workers sync.WaitGroup
	start := time.Now()
	for i, connection := range connections {
		workers.Go(func() {
			if err := ask(ctx, connection, o, &sent, &latencies[i]); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	result := Result{time.Since(start), &histogram.Histogram{}}
	for i := range latencies {
		result.Latency.Merge(&latencies[i])
	}
	return result, context.Cause(ctx)
}

// ask sends requests on one connection until all are sent on any of them.
func ask(ctx context.Context, connection net.Conn, o Options, sent *atomic.Int64, latency *histogram.Histogram) error {
	defer context.AfterFunc(ctx, func() { _ = connection.Close() })()
	answers := newReader(connection)
	for i := 0; sent.Add(1) <= o.Requests; i++ {
		if i%checkEvery == 0 { // now and then: it costs as much as an answer
			if err := connection.SetDeadline(time.Now().Add(2 * exchangeTimeout)); err != nil {
				return err
			}
		}
		asked := time.Now()
		if _, err := connection.Write(o.Request); err != nil {
			return err
		}
		a, err := answers.next()
		if err != nil {
			return err
		}
		latency.Add(time.Since(asked))
		if a.Status != 200 || a.Close {
			return fmt.Errorf("status %d, closes the connection: %v: %.200q", a.Status, a.Close, a.Body)
		}
		if o.Check != nil && i%checkEvery == 0 {
			if err := o.Check(a); err != nil {
				return fmt.Errorf("%w: %.200q", err, a.Body)
			}
		}
	}
	return nil
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: exchangeTimeout}
	return dialer.DialContext(ctx, "tcp", address)
}
