package scan

import (
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// randomSpans returns spans of several sizes, with holes between them, in the order of their addresses.
func randomSpans(random *rand.Rand, n int) []layout.Span {
	sizes := []uint64{8, 16, 24, 48, 96, 128, 512, 1024, 8192, 3 << 20}
	at := uint64(0xc000000000)
	spans := make([]layout.Span, 0, n)
	for range n {
		at += uint64(random.IntN(3)) * pageSize
		if random.IntN(20) == 0 {
			at += arenaSize
		}
		size := sizes[random.IntN(len(sizes))]
		span := layout.Span{Start: at, Pages: max(1, size/pageSize), ElemSize: size, NoScan: random.IntN(2) == 0}
		span.Slots = span.Pages * pageSize / size
		if span.Slots > 1 {
			span.DivMul = ^uint32(0)/uint32(size) + 1
		}
		span.Live = make([]uint64, (span.Slots+63)/64)
		for slot := range span.Slots {
			if random.IntN(3) > 0 {
				span.Live[slot/64] |= 1 << (slot % 64)
			}
		}
		spans = append(spans, span)
		at += span.Pages * pageSize
	}
	return spans
}

// TestIndexAgainstTwin compares with a search through all spans.
func TestIndexAgainstTwin(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	spans := randomSpans(random, 200)
	x, err := newIndex(spans)
	if err != nil {
		t.Fatal(err)
	}
	for range 20000 {
		word := spans[0].Start + random.Uint64N(spans[len(spans)-1].Start+8*pageSize-spans[0].Start)
		if random.IntN(10) == 0 {
			word = random.Uint64()
		}
		id, offset, what := x.find(word)
		wantID, wantOffset, want := searched(spans, word)
		if what != want || what == object && (id != wantID || offset != wantOffset) {
			t.Fatalf("seed %d: %#x: found %d+%d (%d), want %d+%d (%d)", seed, word, id, offset, what, wantID, wantOffset, want)
		}
	}
}

func searched(spans []layout.Span, word uint64) (snapshot.ObjectID, uint64, outcome) {
	id := snapshot.ObjectID(0)
	for _, span := range spans {
		if word >= span.Start+span.Pages*pageSize { // a span behind this one
			for _, live := range span.Live {
				id += snapshot.ObjectID(bits.OnesCount64(live))
			}
			continue
		}
		if word < span.Start {
			break
		}
		for slot := range span.Slots {
			start := span.Start + slot*span.ElemSize
			live := span.Live[slot/64]>>(slot%64)&1 != 0
			if word >= start && word < start+span.ElemSize {
				if !live {
					return 0, 0, free
				}
				return id, word - start, object
			}
			if live {
				id++
			}
		}
	}
	return 0, 0, outside
}

func TestIndexRefusesAbsurdAddresses(t *testing.T) {
	if _, err := newIndex([]layout.Span{{Start: 1 << 60, Pages: 1, ElemSize: 8, Slots: 1024}}); err == nil {
		t.Error("a heap outside of every address space was accepted")
	}
	if x, err := newIndex(nil); err != nil || x.objects != 0 {
		t.Errorf("an empty heap: %d objects, %v", x.objects, err)
	} else if _, _, what := x.find(0xc000000000); what != outside {
		t.Error("found an object in an empty heap")
	}
}
