package history

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

var begin = time.Unix(1_800_000_000, 0) // a whole minute

func sample(live, rss int64) *memstat.Sample {
	var s memstat.Sample
	s.Go.HeapLiveBytes = memstat.Known(live)
	s.Process.RSSBytes = memstat.Known(rss)
	s.Go.GCCycles = memstat.Known(live) // any figure of which the newest counts
	return &s
}

func column(t *testing.T, name string) int {
	t.Helper()
	for i, have := range Columns() {
		if have == name {
			return i
		}
	}
	t.Fatalf("no column %q", name)
	return 0
}

func points(t *testing.T, h *History, resolution time.Duration) []Point {
	t.Helper()
	p, err := h.Points(resolution, time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBucketsKeepLargestSmallestNewest(t *testing.T) {
	h := New()
	for i, live := range []int64{50, 90, 20, 40} {
		h.Add(begin.Add(time.Duration(i)*time.Second), sample(live, 1000-live), pressure.Level(i%3))
	}
	if got := points(t, h, time.Second); len(got) != 4 {
		t.Fatalf("%d points of a second, want 4", len(got))
	}
	tens := points(t, h, 10*time.Second)
	if len(tens) != 1 {
		t.Fatalf("%d points of ten seconds, want 1", len(tens))
	}
	for name, want := range map[string]int64{
		"heap_live_bytes": 90, "heap_live_min_bytes": 20, "rss_bytes": 980, "gc_cycles_total": 40, "pressure_level": 2, "goroutines": Absent,
	} {
		if got := tens[0].Values[column(t, name)]; got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

func TestTiersNeverPassTheirBounds(t *testing.T) {
	h := New()
	bound := h.Usage()
	var most int
	for _, tier := range Tiers() {
		most += int(tier.Keep / tier.Resolution)
	}
	if bound.MaxEntries != int64(most) || bound.MaxBytes != int64(most*pointBytes) {
		t.Errorf("bound %+v, want %d points", bound, most)
	}
	for i := range 8 * 24 * 60 { // eight days, a sample a minute
		h.Add(begin.Add(time.Duration(i)*time.Minute), sample(int64(i), 1), pressure.Normal)
		if u := h.Usage(); u.Entries > u.MaxEntries || u.Bytes > u.MaxBytes || u.PeakEntries < u.Entries {
			t.Fatalf("after %d minutes: %+v", i, u)
		}
	}
	minutes := points(t, h, time.Minute)
	if len(minutes) != 7*24*60 {
		t.Fatalf("%d minutes kept, want a week", len(minutes))
	}
	if oldest := minutes[0].Values[column(t, "heap_live_bytes")]; oldest != 24*60 {
		t.Errorf("the oldest kept is minute %d, want the first of the second day", oldest)
	}
	if h.Shrink(context.Background(), 1<<20) != 0 || h.Name() != "history" {
		t.Error("the history must not shrink")
	}
}

func TestPointsAreSelectedByTime(t *testing.T) {
	h := New()
	for i := range 100 {
		h.Add(begin.Add(time.Duration(i)*time.Second), sample(int64(i), 1), pressure.Normal)
	}
	got, err := h.Points(time.Second, begin.Add(10*time.Second), begin.Add(20*time.Second))
	if err != nil || len(got) != 10 || got[0].At != begin.Unix()+10 || got[9].At != begin.Unix()+19 {
		t.Errorf("%d points, %v", len(got), err)
	}
	if _, err := h.Points(time.Hour, time.Time{}, time.Time{}); err == nil {
		t.Error("a resolution that is not kept was answered")
	}
}

func TestClockSetBack(t *testing.T) {
	h := New()
	for i := range 60 {
		h.Add(begin.Add(time.Duration(i)*time.Second), sample(1, 1), pressure.Normal)
	}
	h.Add(begin.Add(55*time.Second), sample(7, 1), pressure.Normal)
	seconds := points(t, h, time.Second)
	if len(seconds) != 60 || seconds[59].Values[0] != 7 {
		t.Errorf("a little back: %d points, newest live %d; want 60 and the sample merged into the open bucket", len(seconds), seconds[59].Values[0])
	}
	h.Add(begin.Add(10*time.Second), sample(8, 1), pressure.Normal)
	seconds = points(t, h, time.Second)
	if len(seconds) != 11 || seconds[10].At != begin.Unix()+10 {
		t.Errorf("far back: %d points up to %d; want the points of the wrong future dropped", len(seconds), seconds[len(seconds)-1].At)
	}
	for i := 1; i < len(seconds); i++ {
		if seconds[i].At <= seconds[i-1].At {
			t.Fatalf("points out of order at %d", i)
		}
	}
}

// TestSavingLosesNothing runs random saves, some of which fail, against a store that is a map, and restores from it.
func TestSavingLosesNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	h, now := New(), begin
	stored := map[time.Duration]map[int64]Point{}
	for _, tier := range Tiers() {
		stored[tier.Resolution] = map[int64]Point{}
	}
	for range 2000 {
		now = now.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
		h.Add(now, sample(random.Int64N(1000), 5), pressure.Normal)
		if random.IntN(10) > 0 {
			continue
		}
		for resolution, rows := range stored {
			unsaved, err := h.Unsaved(resolution)
			if err != nil {
				t.Fatal(err)
			}
			if random.IntN(3) == 0 {
				continue // the store failed: nothing is noted as saved
			}
			for _, p := range unsaved {
				rows[p.At] = p
			}
			if random.IntN(2) == 0 { // samples come in between
				h.Add(now, sample(random.Int64N(1000), 5), pressure.Normal)
			}
			if err := h.Saved(resolution, unsaved); err != nil {
				t.Fatal(err)
			}
		}
	}
	for resolution, rows := range stored {
		until := h.SavedUntil(resolution)
		if until.IsZero() {
			t.Fatalf("seed %d: nothing of %v was saved", seed, resolution)
		}
		for _, p := range points(t, h, resolution) {
			if p.At < until.Unix() && rows[p.At] != p {
				t.Fatalf("seed %d: point %d of %v is said to be saved, but the store has %v, not %v", seed, p.At, resolution, rows[p.At], p)
			}
		}
	}
}

func TestRestore(t *testing.T) {
	h := New()
	for i := range 30 {
		h.Add(begin.Add(time.Duration(i)*time.Second), sample(int64(i), 1), pressure.Normal)
	}
	old := points(t, h, time.Second)
	now := begin.Add(31 * time.Second)
	again := New()
	wrong := append([]Point{{At: 5}}, old...)
	wrong = append(wrong, old[3], Point{At: now.Unix() + 60})
	taken, err := again.Restore(time.Second, slices.Values(wrong), now)
	if err != nil || taken != 30 {
		t.Fatalf("%d points restored, %v; want the 30 that are in order and in time", taken, err)
	}
	if got := points(t, again, time.Second); len(got) != 30 || got[29] != old[29] {
		t.Errorf("restored %d points, newest %v, want %v", len(got), got[len(got)-1], old[29])
	}
	if unsaved, _ := again.Unsaved(time.Second); len(unsaved) != 1 {
		t.Errorf("%d points are unsaved after a restore, want the one that may have been open", len(unsaved))
	}
	if _, err := again.Restore(time.Second, slices.Values(old), now); err == nil {
		t.Error("restored twice")
	}
	if _, err := again.Restore(time.Hour, slices.Values(old), now); err == nil {
		t.Error("restored a resolution that is not kept")
	}
	for _, call := range []func() error{
		func() error { _, err := again.Unsaved(time.Hour); return err }, func() error { return again.Saved(time.Hour, nil) },
	} {
		if call() == nil {
			t.Error("a resolution that is not kept was accepted")
		}
	}
	if !again.SavedUntil(time.Hour).IsZero() || !New().SavedUntil(time.Second).IsZero() {
		t.Error("saved until, without anything saved")
	}
}

func TestEncoding(t *testing.T) {
	p := newPoint(60, sample(1<<40, 0), pressure.High)
	data := p.AppendBinary(nil)
	got, err := DecodePoint(60, data)
	if err != nil || got != p {
		t.Errorf("decoded %v, %v; want %v", got, err, p)
	}
	if len(data) > 4<<10 {
		t.Errorf("%d bytes", len(data))
	}
	for name, data := range map[string][]byte{"empty": nil, "short": data[:len(data)-1], "other version": append([]byte{9}, data[1:]...)} {
		if _, err := DecodePoint(60, data); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
	older := append([]byte{encodingVersion, 1}, 20) // one figure: zigzag of 10
	if got, err := DecodePoint(60, older); err != nil || got.Values[0] != 10 || got.Values[1] != Absent {
		t.Errorf("older point: %v, %v", got, err)
	}
	newer := append([]byte{encodingVersion, byte(len(series) + 1)}, data[2:]...)
	if got, err := DecodePoint(60, append(newer, 2)); err != nil || got != p {
		t.Errorf("newer point: %v, %v", got, err)
	}
}

func FuzzDecodePoint(f *testing.F) {
	f.Add(newPoint(0, sample(1, 2), pressure.Normal).AppendBinary(nil))
	f.Add([]byte{})
	f.Add([]byte{encodingVersion, 255, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodePoint(7, data)
		if err != nil {
			return
		}
		again, err := DecodePoint(7, p.AppendBinary(nil))
		if err != nil || again != p {
			t.Errorf("%v became %v, %v", p, again, err)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	h, s := New(), sample(1, 2)
	b.ReportAllocs()
	for i := range b.N {
		h.Add(begin.Add(time.Duration(i)*time.Second), s, pressure.Normal)
	}
}

// BenchmarkPoints reads a week.
func BenchmarkPoints(b *testing.B) {
	h := New()
	for i := range 7 * 24 * 60 {
		h.Add(begin.Add(time.Duration(i)*time.Minute), sample(300_000_000+int64(i*7919%5_000_000), int64(i)), pressure.Normal)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Points(time.Minute, time.Time{}, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}
