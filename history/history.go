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
	"math"
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

// pointBytes is the memory of one point that is not packed.
const pointBytes = 8 * (1 + len(series))

// History is the rings of all tiers. It is safe for concurrent use; Add costs one comparison a tier, Points copies.
// Points are kept packed, in about a quarter of the bytes that they are accounted for at most.
type History struct {
	mu                    sync.Mutex
	tiers                 []*ring
	peakPoints, peakBytes int64
}

// ring holds the newest points of one resolution.
type ring struct {
	Tier
	*sequence
	step  int64 // seconds
	saved int64 // At of the newest point that is stored and closed: all up to here need no saving
}

// New returns an empty history.
func New() *History {
	h := &History{}
	for _, tier := range Tiers() {
		h.tiers = append(h.tiers, &ring{
			Tier: tier, sequence: newSequence(int(tier.Keep / tier.Resolution)),
			step: int64(tier.Resolution / time.Second), saved: -1,
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
	h.notePeak()
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

func (r *ring) dropAfter(at int64) {
	for open := r.newest(); open != nil && open.At > at; open = r.newest() {
		r.dropNewest()
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
	from := int64(math.MinInt64)
	if !since.IsZero() {
		from = since.Unix()
	}
	points := make([]Point, 0, r.count())
	for p := range r.from(from) {
		if !until.IsZero() && p.At >= until.Unix() {
			break
		}
		points = append(points, *p)
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
	var points []Point
	for p := range r.from(r.saved + 1) {
		points = append(points, *p)
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
	if r.count() > 0 {
		return 0, fmt.Errorf("history: resolution %v already has points: restore before the first sample", resolution)
	}
	oldest, taken := now.Add(-r.Keep).Unix(), 0
	for p := range points {
		before := r.newest()
		if p.At < oldest || p.At > now.Unix() || p.At%r.step != 0 || before != nil && p.At <= before.At {
			continue
		}
		if before != nil {
			r.saved = before.At // the one after it may have been open when it was stored
		}
		r.push(p)
		taken++
	}
	h.notePeak()
	return taken, nil
}

// size returns how many points there are, and their bytes.
func (h *History) size() (points, bytes int64) {
	for _, r := range h.tiers {
		points, bytes = points+int64(r.count()), bytes+int64(r.bytes())
	}
	return points, bytes
}

func (h *History) notePeak() {
	points, bytes := h.size()
	h.peakPoints, h.peakBytes = max(h.peakPoints, points), max(h.peakBytes, bytes)
}

// Name is "history".
func (h *History) Name() string { return "history" }

// Usage counts points and their bytes.
func (h *History) Usage() bounded.Usage {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := bounded.Usage{PeakEntries: h.peakPoints, PeakBytes: h.peakBytes}
	u.Entries, u.Bytes = h.size()
	for _, r := range h.tiers {
		u.MaxEntries, u.MaxBytes = u.MaxEntries+int64(r.most), u.MaxBytes+int64(r.maxBytes())
	}
	return u
}

// Shrink frees nothing: what the history holds is needed most when memory is short.
func (h *History) Shrink(context.Context, int64) int64 { return 0 }
