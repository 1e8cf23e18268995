package websocket

import (
	"sync"

	"github.com/memwarden/memwarden/bounded"
)

// ConnectionBytes is what the hub accounts for a connection that does nothing: the resident memory that one was measured
// to take (see BenchmarkIdleConnection), and some more.
const ConnectionBytes = 8 << 10

// account keeps what the hub holds within its bounds.
type account struct {
	maxClients, maxQueued int64

	mu                     sync.Mutex
	clients, queued        int64 // clients <= maxClients and queued <= maxQueued at all times
	peakClients, peakBytes int64
}

// enter takes a client's place, if there is one.
func (a *account) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.clients == a.maxClients {
		return false
	}
	a.clients++
	a.notePeak()
	return true
}

// leave gives a place back.
func (a *account) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clients--
}

// take puts bytes on the account, if there is room for them.
func (a *account) take(bytes int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if bytes > a.maxQueued-a.queued {
		return false
	}
	a.queued += bytes
	a.notePeak()
	return true
}

// give takes bytes off the account.
func (a *account) give(bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queued -= bytes
}

// waiting is what waits in queues, or is being written.
func (a *account) waiting() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.queued
}

// notePeak remembers the highest use. mu is held.
func (a *account) notePeak() {
	a.peakClients = max(a.peakClients, a.clients)
	a.peakBytes = max(a.peakBytes, a.bytes())
}

func (a *account) bytes() int64 { return a.clients*ConnectionBytes + a.queued }

func (a *account) usage() bounded.Usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	return bounded.Usage{
		Entries: a.clients, MaxEntries: a.maxClients, PeakEntries: a.peakClients,
		Bytes: a.bytes(), MaxBytes: a.maxClients*ConnectionBytes + a.maxQueued, PeakBytes: a.peakBytes,
	}
}
