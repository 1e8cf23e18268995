// Package traces has the order in which programs asked for something again and again: some made by rule, others
// recorded from programs at work.
//
// It knows no cache. The benchmarks stand above it.
package traces

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// Trace is a series of keys, and how many entries a cache may have that it is replayed to.
type Trace struct {
	Name     string
	Keys     []uint64
	Capacity int
}

// share of a recorded trace's keys is how many of them a cache may hold.
const share = 8

// recorded are the files of recorded traces; how they were recorded stands beside them.
var recorded = []struct{ name, file string }{
	{"files opened by go vet", "govet"},
	{"objects read by git", "git"},
	{"pages read by SQLite", "sqlite"},
}

// All returns the traces, those recorded from a directory.
func All(dir string) ([]Trace, error) {
	all := []Trace{zipf(), polluted(), loop()}
	for _, r := range recorded {
		trace, err := read(filepath.Join(dir, r.file+".txt.gz"))
		if err != nil {
			return nil, err
		}
		trace.Name = r.name
		all = append(all, trace)
	}
	return all, nil
}

const (
	requests = 1_000_000
	keys     = 100_000
	capacity = 5_000
)

// draw returns a source of keys of which the nth is asked for in proportion to 1/n.
func draw() func() uint64 {
	source := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.001, 1, keys-1)
	scatter := rand.New(rand.NewPCG(3, 4)).Perm(keys)
	return func() uint64 { return uint64(scatter[source.Uint64()]) }
}

func zipf() Trace {
	next := draw()
	t := Trace{Name: "zipf", Capacity: capacity}
	for range requests {
		t.Keys = append(t.Keys, next())
	}
	return t
}

// polluted is zipf with a scan of twice a cache's capacity after every so many requests. No scan meets a key again.
func polluted() Trace {
	const between, scan = 40_000, 2 * capacity
	next, once := draw(), uint64(keys)
	t := Trace{Name: "zipf, polluted by scans", Capacity: capacity}
	for len(t.Keys) < requests {
		for range between {
			t.Keys = append(t.Keys, next())
		}
		for range scan {
			once++
			t.Keys = append(t.Keys, once)
		}
	}
	return t
}

// loop asks for twice as many keys as a cache may have, one after the other, again and again.
func loop() Trace {
	t := Trace{Name: "loop", Capacity: capacity}
	for i := range uint64(requests / 2) {
		t.Keys = append(t.Keys, i%(2*capacity))
	}
	return t
}

// read reads a recorded trace: a number a line.
func read(file string) (t Trace, err error) {
	packed, err := os.Open(file)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, packed.Close()) }()
	text, err := gzip.NewReader(packed)
	if err != nil {
		return t, fmt.Errorf("%s: %w", file, err)
	}
	distinct := map[uint64]bool{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		key, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			return t, fmt.Errorf("%s: line %d: %w", file, len(t.Keys)+1, err)
		}
		distinct[key] = true
		t.Keys = append(t.Keys, key)
	}
	t.Capacity = max(1, len(distinct)/share)
	if err := lines.Err(); err != nil {
		return t, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}
