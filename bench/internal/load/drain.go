package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Tally is what became of requests to a server that shut down meanwhile.
type Tally struct {
	Answered int64 // got their whole answer
	// Turned are the answers among them with which the server asked the client to connect anew.
	Turned int64
	// Refused are attempts to connect that failed: nothing was sent.
	Refused int64
	// Unsent are requests that could not be sent, because the connection had been closed by then.
	Unsent int64
	// Unaccepted are requests that were the first of their connection, which was reset before a byte of an answer. It
	// stood in the kernel's queue when the listener was closed: the server never had it. A connection that Go's
	// http.Server has accepted does not end by a reset: its request is read before it is closed.
	Unaccepted int64
	// Lost are the requests that were sent completely, on a connection that the server had, and did not get their
	// answer; Examples are the first few reasons.
	Lost     int64
	Examples []error
}

const maxExamples = 5

func (t *Tally) add(other Tally) {
	t.Answered += other.Answered
	t.Turned += other.Turned
	t.Refused += other.Refused
	t.Unsent += other.Unsent
	t.Unaccepted += other.Unaccepted
	t.Lost += other.Lost
	t.Examples = append(t.Examples, other.Examples[:min(len(other.Examples), maxExamples-len(t.Examples))]...)
}

func (t *Tally) lose(err error) {
	t.Lost++
	if len(t.Examples) < maxExamples {
		t.Examples = append(t.Examples, err)
	}
}

// Drain asks on so many connections until each of them cannot connect any more or ctx ends, connects anew whenever a
// connection ends, and tells what became of the requests. A server that goes on serving is asked until ctx ends.
func Drain(ctx context.Context, address string, request []byte, connections int) Tally {
	var total Tally
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range connections {
		workers.Go(func() {
			var t Tally
			for t.Refused == 0 && ctx.Err() == nil {
				t.oneConnection(ctx, address, request)
			}
			mu.Lock()
			defer mu.Unlock()
			total.add(t)
		})
	}
	workers.Wait()
	return total
}

// oneConnection asks until the connection ends.
func (t *Tally) oneConnection(ctx context.Context, address string, request []byte) {
	connection, err := dial(ctx, address)
	if err != nil {
		t.Refused++
		return
	}
	defer func() { _ = connection.Close() }() // all that was sent has been accounted for
	answers := newReader(connection)
	for first := true; ctx.Err() == nil; first = false {
		if err := connection.SetDeadline(time.Now().Add(exchangeTimeout)); err != nil {
			t.Unsent++
			return
		}
		if _, err := connection.Write(request); err != nil {
			t.Unsent++
			return
		}
		a, err := answers.next()
		switch {
		case err != nil && first && !answers.begun && errors.Is(err, syscall.ECONNRESET):
			t.Unaccepted++
			return
		case err != nil:
			t.lose(fmt.Errorf("%s of its connection: %w", ordinal(first), describe(err)))
			return
		case a.Status != 200:
			t.lose(fmt.Errorf("status %d: %.200q", a.Status, a.Body))
		default:
			t.Answered++
		}
		if a.Close {
			t.Turned++
			return
		}
	}
}

func ordinal(first bool) string {
	if first {
		return "first request"
	}
	return "later request"
}

// describe says in words what the end of a connection means here.
func describe(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("closed without an answer: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("closed within the answer: %w", err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer within %v: %w", exchangeTimeout, err)
	}
	return err
}
