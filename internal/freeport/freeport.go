// Package freeport finds loopback ports for the servers of tests that stop listening and begin again.
//
// It knows which ports systems give to connections: one of those that is left alone for a moment may be a client's when
// its server comes back. internal/pgtest, internal/redistest and internal/faultproxy stand above.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports between these are given to connections neither by Linux (from 32768 on), nor by macOS and Windows (from 49152
// on).
const (
	lowest  = 20_000
	highest = 32_767
)

const attempts = 100

// Listen listens on a loopback port on which nobody does.
func Listen() (net.Listener, error) { return listen(lowest, highest) }

func listen(low, high int) (net.Listener, error) {
	var problems []error
	for range attempts {
		port := low + rand.IntN(high-low+1)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return listener, nil
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("freeport: none among %d: %w", attempts, errors.Join(problems...))
}

// Find returns a port on which nobody listens just now.
func Find() (int, error) {
	listener, err := Listen()
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}
