package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// values are those that columns may have: such as heaps, counters, limits, nothing at all, and what no process has.
func values(random *rand.Rand) [len(series)]int64 {
	var v [len(series)]int64
	for i := range v {
		switch i % 6 {
		case 0:
			v[i] = Absent
		case 1:
			v[i] = 1 << 30
		case 2:
			v[i] = 300_000_000 + random.Int64N(1_000_000)
		case 3:
			v[i] = int64(random.Uint64())
		case 4:
			v[i] = []int64{math.MinInt64, math.MaxInt64, Absent, 0, 255, 256, -256}[random.IntN(7)]
		default:
			v[i] = random.Int64N(300)
		}
	}
	return v
}

// TestSequenceIsAList does the same to a sequence and to a slice.
func TestSequenceIsAList(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 7))
	for _, most := range []int{300, 301, 359, 600} {
		s, list, at := newSequence(most), []Point(nil), int64(0)
		drops := 5
		for step := range 20_000 {
			if step%1000 == 0 {
				drops = random.IntN(50) // of a hundred steps: now it grows, now it shrinks
			}
			switch n := random.IntN(100); {
			case n < drops && s.newest() != nil:
				s.dropNewest()
				list = list[:len(list)-1]
			case n < 55 && s.newest() != nil:
				p := s.newest()
				p.Values[random.IntN(len(series))]++
				list[len(list)-1] = *p
			default:
				at += 1 + random.Int64N(3)
				p := Point{At: at, Values: values(random)}
				s.push(p)
				if list = append(list, p); len(list) > most {
					list = list[1:]
				}
			}
			if s.count() != len(list) || s.bytes() > s.maxBytes() || (s.newest() == nil) != (len(list) == 0) {
				t.Fatalf("seed %d, step %d: %d points, want %d, in %d bytes of %d", seed, step, s.count(), len(list), s.bytes(), s.maxBytes())
			}
			if step%50 != 0 {
				continue
			}
			from := at - random.Int64N(int64(3*most))
			var got, want []Point
			for p := range s.from(from) {
				got = append(got, *p)
			}
			for _, p := range list {
				if p.At >= from {
					want = append(want, p)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d, at most %d: %d points from %d on, want %d", seed, step, most, len(got), from, len(want))
			}
		}
	}
}

// TestPackedBound: what cannot be packed takes no more than it may, and has nearly as many points.
func TestPackedBound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	s := newSequence(10_080)
	for at := range int64(20_000) {
		p := Point{At: at}
		for i := range p.Values {
			p.Values[i] = int64(random.Uint64())
		}
		s.push(p)
		if s.bytes() > s.maxBytes() {
			t.Fatalf("%d bytes of %d", s.bytes(), s.maxBytes())
		}
	}
	if s.count() < 9_700 {
		t.Errorf("%d points of 10,080", s.count())
	}
}

func ExampleHistory_Usage() {
	h := New()
	for i := range 7 * 24 * 60 { // such as a heap of 300 MB and its limit
		h.Add(begin.Add(time.Duration(i)*time.Minute), sample(300_000_000+int64(i*7919%5_000_000), 400_000_000), 0)
	}
	u := h.Usage()
	fmt.Println(u.Bytes < u.MaxBytes/4)
	// Output: true
}
