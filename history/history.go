// Package history keeps what a process used over the last days in a bounded number of bytes: one point a second for
// ten minutes, one in ten seconds for six hours, one a minute for a week.
//
// It knows points and buckets. It does not know when samples are taken or where points are stored: the facade above
// feeds it and hands what is unsaved to a store.
package history

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/pressure"
)

// Tier is one resolution of the history.
type Tier struct {
	Resolution time.Duration // length of a bucket, whole seconds
	Keep       time.Duration // how far back it reaches
}

// Tiers are the resolutions kept, finest first.
func Tiers() []Tier {
	return []Tier{
		{time.Second, 10 * time.Minute},
		{10 * time.Second, 6 * time.Hour},
		{time.Minute, 7 * 24 * time.Hour},
	}
}

// pointBytes is the memory of one point.
const pointBytes = 8 * (1 + len(series))

// History is the rings of all tiers. It is safe for concurrent use; Add costs one comparison a tier, Points copies.
// It allocates its bound at once, but the operating system gives pages only as the rings fill.
type History struct {
	mu    sync.Mutex
	tiers []*ring
	peak  int64
}

// ring holds the newest points of one resolution; points[head-1] is the open bucket.
type ring struct {
	Tier
	step   int64   // seconds
	points []Point // fixed length
	head   int     // where the next point goes
	count  int
	saved  int64 // At of the newest point that is stored and closed: all up to here need no saving
}

// New returns an empty history.
func New() *History {
	h := &History{}
	for _, tier := range Tiers() {
		h.tiers = append(h.tiers, &ring{
			Tier: tier, step: int64(tier.Resolution / time.Second),
			points: make([]Point, tier.Keep/tier.Resolution), saved: -1,
		})
	}
	return h
}

// Add merges a sample into the open bucket of every tier. A sample from before the open bucket, as after a clock was
// set back, is merged into it; once the clock lies more than ten buckets back, the points of the wrong future are
// dropped.
func (h *History) Add(now time.Time, sample *memstat.Sample, level pressure.Level) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.tiers {
		r.add(newPoint(now.Unix()/r.step*r.step, sample, level))
	}
	h.peak = max(h.peak, h.bytes())
}

func (r *ring) add(p Point) {
	if open := r.newest(); open != nil {
		if p.At < open.At-10*r.step {
			r.dropAfter(p.At)
			open = r.newest()
		}
		if open != nil && p.At <= open.At {
			open.add(p)
			return
		}
	}
	r.push(p)
}

func (r *ring) push(p Point) {
	r.points[r.head] = p
	r.head = (r.head + 1) % len(r.points)
	r.count = min(r.count+1, len(r.points))
}

// newest is the open bucket, or nil.
func (r *ring) newest() *Point {
	if r.count == 0 {
		return nil
	}
	return r.at(r.count - 1)
}

// at is the i-th oldest point.
func (r *ring) at(i int) *Point {
	return &r.points[(r.head-r.count+i+len(r.points))%len(r.points)]
}

func (r *ring) dropAfter(at int64) {
	for r.count > 0 && r.newest().At > at {
		r.head = (r.head - 1 + len(r.points)) % len(r.points)
		r.count--
	}
	r.saved = min(r.saved, at-1)
}

// Points copies the points of a resolution that begin at since or later and before until, oldest first. A zero time
// does not bound. The newest point is still open: it may change.
func (h *History) Points(resolution time.Duration, since, until time.Time) ([]Point, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.tier(resolution)
	if err != nil {
		return nil, err
	}
	points := make([]Point, 0, r.count)
	for i := range r.count {
		p := r.at(i)
		if (since.IsZero() || p.At >= since.Unix()) && (until.IsZero() || p.At < until.Unix()) {
			points = append(points, *p)
		}
	}
	return points, nil
}

func (h *History) tier(resolution time.Duration) (*ring, error) {
	for _, r := range h.tiers {
		if r.Resolution == resolution {
			return r, nil
		}
	}
	return nil, fmt.Errorf("history: no resolution of %v: want 1s, 10s or 1m", resolution)
}

// Unsaved copies the points of a resolution that a store does not have yet, the open bucket included: its row is
// written again until it is closed.
func (h *History) Unsaved(resolution time.Duration) ([]Point, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.tier(resolution)
	if err != nil {
		return nil, err
	}
	first := r.count
	for first > 0 && r.at(first-1).At > r.saved {
		first--
	}
	points := make([]Point, 0, r.count-first)
	for i := first; i < r.count; i++ {
		points = append(points, *r.at(i))
	}
	return points, nil
}

// Saved notes that the points which Unsaved returned are stored. The last of them was open then, and may have changed
// since: it stays unsaved.
func (h *History) Saved(resolution time.Duration, points []Point) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.tier(resolution)
	if err != nil {
		return err
	}
	if len(points) > 1 {
		r.saved = max(r.saved, points[len(points)-2].At)
	}
	return nil
}

// SavedUntil is the time before which all points of a resolution are stored for good; zero if none is.
func (h *History) SavedUntil(resolution time.Duration) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.tier(resolution)
	if err != nil || r.saved < 0 {
		return time.Time{}
	}
	return time.Unix(r.saved+r.step, 0)
}

// Restore puts stored points, oldest first, into a resolution that is still empty, as at start. Points that are out of
// order, older than the tier reaches or later than now are left out; it returns how many it took. The points come one
// by one, because a week of them at once would double what the history takes.
func (h *History) Restore(resolution time.Duration, points iter.Seq[Point], now time.Time) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.tier(resolution)
	if err != nil {
		return 0, err
	}
	if r.count > 0 {
		return 0, fmt.Errorf("history: resolution %v already has points: restore before the first sample", resolution)
	}
	oldest, taken := now.Add(-r.Keep).Unix(), 0
	for p := range points {
		if newest := r.newest(); p.At < oldest || p.At > now.Unix() || p.At%r.step != 0 || newest != nil && p.At <= newest.At {
			continue
		}
		r.push(p)
		taken++
	}
	// The newest may have been open when it was stored.
	if r.count > 1 {
		r.saved = r.at(r.count - 2).At
	}
	h.peak = max(h.peak, h.bytes())
	return taken, nil
}

func (h *History) bytes() int64 {
	var count int
	for _, r := range h.tiers {
		count += r.count
	}
	return int64(count * pointBytes)
}

// Name is "history".
func (h *History) Name() string { return "history" }

// Usage counts points and their bytes.
func (h *History) Usage() bounded.Usage {
	h.mu.Lock()
	defer h.mu.Unlock()
	bytes, most := h.bytes(), int64(0)
	for _, r := range h.tiers {
		most += int64(len(r.points))
	}
	return bounded.Usage{
		Entries: bytes / int64(pointBytes), MaxEntries: most, PeakEntries: h.peak / int64(pointBytes),
		Bytes: bytes, MaxBytes: most * int64(pointBytes), PeakBytes: h.peak,
	}
}

// Shrink frees nothing: what the history holds is needed most when memory is short.
func (h *History) Shrink(context.Context, int64) int64 { return 0 }
