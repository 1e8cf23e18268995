package frontend

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestWindowAgainstAModel fills a window as reports come, are read and grow old, beside a list of all of them.
func TestWindowAgainstAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	bounds := Bounds{MaxCount: 20, MaxAge: time.Hour, MaxBytes: 12_000}
	w := NewWindow(bounds)
	var all []*Report // oldest first
	read, now := 0, noon
	for range 2000 {
		now = now.Add(time.Duration(random.IntN(300)) * time.Second)
		for range random.IntN(8) {
			r := &Report{At: now, Page: string(make([]byte, random.IntN(1500)))}
			all = append(all, r)
		}
		if random.IntN(50) == 0 {
			w.Clear()
			read = 0
		}
		w.Expire(now)
		for i := len(all) - 1; i >= read; i-- {
			if now.Sub(all[i].At) > bounds.MaxAge || !w.Take(all[i]) {
				break
			}
		}
		w.Settle()
		read = len(all)

		var want []*Report
		bytes, complete := int64(0), true
		for _, r := range slices.Backward(all) {
			if now.Sub(r.At) > bounds.MaxAge {
				break
			}
			if bytes += r.size(); len(want) == bounds.MaxCount || bytes > bounds.MaxBytes {
				complete = false
				break
			}
			want = append(want, r)
		}
		slices.Reverse(want)
		got := w.Reports()
		// What was left out once is not taken again when others have grown old.
		if len(got) > len(want) || !slices.Equal(got, want[len(want)-len(got):]) || len(got) < len(want) && w.Complete(now) {
			t.Fatalf("%d reports are held, want %d; complete is %v", len(got), len(want), w.Complete(now))
		}
		if !complete && w.Complete(now) {
			t.Fatalf("reports are left out, and it is not told")
		}
		held := int64(0)
		for _, r := range got {
			held += r.size()
		}
		count, most := w.Peaks()
		if w.Bytes() != held || held > bounds.MaxBytes || w.Len() > bounds.MaxCount || most > bounds.MaxBytes || count > int64(bounds.MaxCount) {
			t.Fatalf("%d reports of %d bytes, told %d; peaks %d, %d", w.Len(), held, w.Bytes(), count, most)
		}
	}
}

func TestWindowThatIsTooSmall(t *testing.T) {
	w := NewWindow(Bounds{MaxCount: 10, MaxAge: time.Hour, MaxBytes: 100})
	if w.Take(&Report{At: noon}) || w.Len() != 0 || w.Complete(noon) || !w.Complete(noon.Add(2*time.Hour)) {
		t.Errorf("%d reports are held", w.Len())
	}
	w.Settle()
	if freed := w.Clear(); freed != 0 || !w.Complete(noon) {
		t.Errorf("%d bytes are freed", freed)
	}
}

// TestSizeIsThatOfTheHeap holds what reports are said to take against what they do.
func TestSizeIsThatOfTheHeap(t *testing.T) {
	text := []byte(whole(full))
	live := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	kept := make([]*Report, 2000)
	before, said := live(), int64(0)
	for i := range kept {
		r, err := Read(text, noon)
		if err != nil {
			t.Fatal(err)
		}
		kept[i] = r
		said += r.size()
	}
	real := live() - before
	if ratio := float64(said) / float64(real); ratio < 0.8 || ratio > 1.6 {
		t.Errorf("%d reports take %d bytes, and are said to take %d", len(kept), real, said)
	}
	runtime.KeepAlive(kept)
}
