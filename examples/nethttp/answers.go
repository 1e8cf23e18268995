package main

import (
	"context"
	"sync"

	"github.com/memwarden/memwarden/bounded"
)

const (
	maxAnswers  = 1000
	answerBytes = 32 // of a small map's entry, about
)

// answers remembers the last primes that were asked for, at most maxAnswers of them. It is a bounded.Owner: once it is
// registered, the warden shows what it holds against its bound and empties it when memory is short.
type answers struct {
	mu    sync.Mutex
	prime map[int]int
	peak  int
}

func newAnswers() *answers { return &answers{prime: make(map[int]int)} }

// find returns the n-th prime, from memory where it is remembered.
func (a *answers) find(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if found, ok := a.prime[n]; ok {
		return found
	}
	if len(a.prime) == maxAnswers {
		clear(a.prime)
	}
	found := nthPrime(n)
	a.prime[n] = found
	a.peak = max(a.peak, len(a.prime))
	return found
}

// forget empties the memory and returns how many bytes that frees.
func (a *answers) forget() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	freed := int64(len(a.prime)) * answerBytes
	a.prime = make(map[int]int) // clear would keep the map's own memory
	return freed
}

// Name identifies the owner in reports.
func (a *answers) Name() string { return "answers" }

// Usage tells what is held now, the bound and the peak.
func (a *answers) Usage() bounded.Usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	entries, peak := int64(len(a.prime)), int64(a.peak)
	return bounded.Usage{
		Entries: entries, MaxEntries: maxAnswers, PeakEntries: peak,
		Bytes: entries * answerBytes, MaxBytes: maxAnswers * answerBytes, PeakBytes: peak * answerBytes,
	}
}

// Shrink gives back everything: it is quickly computed again.
func (a *answers) Shrink(context.Context, int64) int64 { return a.forget() }

// nthPrime counts primes up to the n-th, from 1.
func nthPrime(n int) int {
	for candidate, count := 2, 0; ; candidate++ {
		if isPrime(candidate) {
			if count++; count == n {
				return candidate
			}
		}
	}
}

func isPrime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}
