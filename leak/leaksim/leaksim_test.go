package leaksim

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestSeed: a seed says all of a run, and another seed something else.
func TestSeed(t *testing.T) {
	for _, s := range append(Healthy(), Leaks(20, 600)...) {
		one := s.Run(1)
		if len(one) != Minutes {
			t.Fatalf("%s: %d minutes, want %d", s.Name, len(one), Minutes)
		}
		// NaN, no load, equals nothing: it is looked at apart.
		again, other := s.Run(1), s.Run(2)
		for i := range one {
			if math.IsNaN(one[i].Load) != math.IsNaN(again[i].Load) {
				t.Fatalf("%s: the load of minute %d is known in one of two runs of a seed", s.Name, i)
			}
			if math.IsNaN(one[i].Load) {
				one[i].Load, again[i].Load, other[i].Load = 0, 0, 0
			}
		}
		if !reflect.DeepEqual(one, again) {
			t.Errorf("%s: two runs of a seed differ", s.Name)
		}
		if reflect.DeepEqual(one, other) {
			t.Errorf("%s: runs of two seeds are equal", s.Name)
		}
	}
}

// TestHealthy: what is no leak stays within bounds, for three days and with what owners account for as part of it.
func TestHealthy(t *testing.T) {
	for _, s := range Healthy() {
		if s.Leak {
			t.Errorf("%s is said to leak", s.Name)
		}
		starts := 0
		for i, m := range s.Run(3) {
			if m.Heap < base || m.Heap > base+400*mib || m.Owned < 0 || m.Owned > m.Heap-base {
				t.Fatalf("%s, minute %d: heap %.0f, of it owned %.0f", s.Name, i, m.Heap, m.Owned)
			}
			if m.Start {
				starts++
			}
		}
		if (starts > 0) != (s.Name == "restarts by deployments") {
			t.Errorf("%s starts %d times", s.Name, starts)
		}
	}
}

// TestLeaks: a leak takes what it is said to take, from when it is said to, and the profile tells of it.
func TestLeaks(t *testing.T) {
	const rate, from = 40, 600
	const all = rate * mib * (Minutes - from) / 60
	names := map[string]bool{}
	for _, s := range Leaks(rate, from) {
		if !s.Leak || s.From != from || names[s.Name] {
			t.Errorf("%s: leak %v from %d, named before: %v", s.Name, s.Leak, s.From, names[s.Name])
		}
		names[s.Name] = true
		parts, _, _ := s.parts(rand.New(rand.NewPCG(4, 4)))
		leak := parts[len(parts)-1]
		if leak.bytes[from-1] != 0 {
			t.Errorf("%s: %.0f bytes have leaked before the leak begins", s.Name, leak.bytes[from-1])
		}
		// Bursts come by chance, the load goes around the mean, and "ever faster" ends at eight times the pace.
		least, most := 0.85*all, 1.15*all
		if s.Name == "ever faster" {
			least, most = 2*all, 8*all
		}
		end := leak.bytes[Minutes-1]
		if end < least || end > most {
			t.Errorf("%s: %.0f MiB have leaked, want %.0f to %.0f", s.Name, end/mib, least/mib, most/mib)
		}
		seen := leak.sample(rand.New(rand.NewPCG(5, 5)))
		if off := math.Abs(seen[Minutes-1] - end); off > 6*math.Sqrt(end*sampled) {
			t.Errorf("%s: the profile has %.0f MiB of %.0f", s.Name, seen[Minutes-1]/mib, end/mib)
		}
		for i := 1; i < Minutes; i++ {
			if leak.bytes[i] < leak.bytes[i-1] || seen[i] < seen[i-1] {
				t.Fatalf("%s: what has leaked grows less in minute %d", s.Name, i)
			}
		}
	}
}
