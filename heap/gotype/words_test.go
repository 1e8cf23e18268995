package gotype

import (
	"math/bits"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// TestWords compares the table of words with a map, under one writer and several readers.
func TestWords(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, seed))
	want := make(map[uint64]entry)
	for range 5000 {
		want[r.Uint64N(1<<20)<<3+8] = newEntry(itabEntry, snapshot.TypeID(r.Uint32N(1<<20)))
	}
	var w words
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for word := uint64(0); ; word += 8 {
				select {
				case <-stop:
					return
				default:
				}
				if e := w.find(word & (1<<23 - 1)); e != unknown && e != want[word&(1<<23-1)] {
					t.Errorf("%#x: %v, want %v", word, e, want[word])
					return
				}
			}
		})
	}
	for word, e := range want {
		w.add(word, e)
		w.add(word, e)
	}
	close(stop)
	readers.Wait()
	for word, e := range want {
		if got := w.find(word); got != e {
			t.Errorf("seed %d: %#x: %v, want %v", seed, word, got, e)
		}
	}
	for range 5000 {
		word := r.Uint64()
		if got := w.find(word); got != want[word] {
			t.Errorf("seed %d: %#x: %v, want %v", seed, word, got, want[word])
		}
	}
	if used := w.table.Load().used; used != len(want) {
		t.Errorf("%d words, want %d", used, len(want))
	}
}

func TestRegion(t *testing.T) {
	r := newRegion(layout.Range{Start: 0x1000, End: 0x1000 + 3*pageBytes + 8})
	for _, offset := range []uint64{0, 8, pageBytes - 8, pageBytes, 3 * pageBytes} {
		if got := r.at(offset); got != unknown {
			t.Errorf("%#x: %v before it is set", offset, got)
		}
		want := newEntry(typeEntry, snapshot.TypeID(offset))
		r.set(offset, want)
		if got := r.at(offset); got != want || !got.isType() || !got.isDynamic() || got.id() != want.id() {
			t.Errorf("%#x: %v, want %v", offset, got, want)
		}
	}
	if r.pages[2].Load() != nil {
		t.Error("a page that nothing was asked for exists")
	}
}

// testConcurrent asks for the same words from several goroutines while types are decoded.
func testConcurrent(t *testing.T, s source) {
	table, err := newTable(s)
	if err != nil {
		t.Fatal(err)
	}
	r := &table.regions[0]
	var workers sync.WaitGroup
	found := make([]int, 4)
	for i := range found {
		workers.Go(func() {
			for offset := uint64(0); offset < r.size; offset += 8 {
				if table.IsTypeWord(r.base + offset) {
					found[i]++
				}
			}
		})
	}
	workers.Go(func() {
		if err := table.LoadAll(t.Context()); err != nil {
			t.Error(err)
		}
	})
	workers.Wait()
	for _, n := range found {
		if n != found[0] || n < 500 {
			t.Errorf("found %v words", found)
		}
	}
}

// BenchmarkIsTypeWord measures the check of a word beside a pointer.
func BenchmarkIsTypeWord(b *testing.B) {
	table, err := newTable(openImage(b, build(b, "", nil), localMinor(b)))
	if err != nil {
		b.Fatal(err)
	}
	if err := table.LoadAll(b.Context()); err != nil {
		b.Fatal(err)
	}
	table.itabs.add(0x7f0000001000, newEntry(itabEntry, 1)) // as the runtime makes them
	var hits, misses []uint64
	r := &table.regions[0]
	for offset := uint64(0); offset < r.size; offset += 8 {
		if word := r.base + offset; table.IsTypeWord(word) {
			hits = append(hits, word)
		} else {
			misses = append(misses, word)
		}
	}
	heap := make([]uint64, 1<<12)
	for i := range heap {
		heap[i] = 0xc000000000 + rand.Uint64N(1<<30)
	}
	for name, words := range map[string][]uint64{"hit": hits, "inside": misses, "outside": heap} {
		b.Run(name, func(b *testing.B) {
			n := 0
			mask := 1<<(bits.Len(uint(len(words)))-1) - 1
			for i := range b.N {
				if table.IsTypeWord(words[i&mask]) {
					n++
				}
			}
			if (n > 0) != (name == "hit") {
				b.Fatalf("%d of %d are type words", n, b.N)
			}
		})
	}
}

func BenchmarkLoadAll(b *testing.B) {
	s := measured(b)
	for b.Loop() {
		table, err := newTable(s)
		if err != nil {
			b.Fatal(err)
		}
		if err := table.LoadAll(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(table.Len()), "types")
	}
}

// measured is the program that benchmarks read.
func measured(b *testing.B) source {
	b.Helper()
	path := *binaryPath
	if path == "" {
		path = build(b, "", nil)
	}
	return openImage(b, path, localMinor(b))
}

func BenchmarkGlobals(b *testing.B) {
	s := measured(b)
	for b.Loop() {
		table, err := newTable(s)
		if err != nil {
			b.Fatal(err)
		}
		globals, err := table.Globals(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(globals)), "variables")
	}
}

// BenchmarkLocals asks for the variables of functions, in each of which it looks at one place.
func BenchmarkLocals(b *testing.B) {
	s := measured(b)
	table, err := newTable(s)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := table.debugInfo(); err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		f := table.dwarf.functions[i%len(table.dwarf.functions)]
		if _, err := table.Locals(f.entry+s.bias, f.entry+s.bias+40+uint64(i/len(table.dwarf.functions))); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// testReleased asks for all that needs no memory of the process once LoadAll has seen it.
func testReleased(t *testing.T, s source) {
	table, err := newTable(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	table.process.Memory, table.mem.r = image{}, image{}
	if err := table.LoadAll(t.Context()); err != nil {
		t.Error(err)
	}
	checkGlobals(t, table, true, true)
	checkDWARF(t, s.binary, table)
	checkFunctions(t, s, table)
	checkItabs(t, s, table)
	checkConsistent(t, table)
}
