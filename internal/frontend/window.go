package frontend

import (
	"slices"
	"time"
)

// Bounds are those of a Window.
type Bounds struct {
	MaxCount int
	MaxAge   time.Duration
	MaxBytes int64
}

// Window holds the newest reports: at most MaxCount, none older than MaxAge, together no larger than MaxBytes. It is filled
// from the newest to the oldest, as lists of reports are read. It is not safe for concurrent use.
type Window struct {
	bounds Bounds
	kept   []*Report // oldest first
	fresh  []*Report // newest first; they came after those kept
	bytes  int64     // of all; <= MaxBytes

	peakCount, peakBytes int64
	// cut is when the newest report came that was left out for want of room.
	cut time.Time
}

// NewWindow returns an empty one.
func NewWindow(b Bounds) *Window { return &Window{bounds: b} }

// Take takes a report that came before those taken since the last Settle, and after all others. The oldest make room. It
// returns false where there is no room left: the report is left out, and so are all older ones.
func (w *Window) Take(r *Report) bool {
	size := r.size()
	fits := func() bool { return w.Len() < w.bounds.MaxCount && size <= w.bounds.MaxBytes-w.bytes }
	for len(w.kept) > 0 && !fits() {
		w.leaveOut(w.kept[0].At)
		w.dropOldest()
	}
	if !fits() {
		w.leaveOut(r.At)
		return false
	}
	w.fresh = append(w.fresh, r)
	w.bytes += size
	w.peakCount, w.peakBytes = max(w.peakCount, int64(w.Len())), max(w.peakBytes, w.bytes)
	return true
}

func (w *Window) leaveOut(at time.Time) {
	if at.After(w.cut) {
		w.cut = at
	}
}

// Settle puts those that were taken behind the others.
func (w *Window) Settle() {
	if len(w.fresh) == 0 {
		return
	}
	slices.Reverse(w.fresh)
	w.kept = slices.Concat(w.kept, w.fresh)
	w.fresh = nil
}

// Expire drops what is too old.
func (w *Window) Expire(now time.Time) {
	for len(w.kept) > 0 && now.Sub(w.kept[0].At) > w.bounds.MaxAge {
		w.dropOldest()
	}
}

func (w *Window) dropOldest() {
	w.bytes -= w.kept[0].size()
	w.kept[0] = nil // the array lives on for the others
	w.kept = w.kept[1:]
}

// Clear drops all, and returns the bytes that this frees.
func (w *Window) Clear() (freed int64) {
	freed = w.bytes
	w.kept, w.fresh, w.bytes, w.cut = nil, nil, 0, time.Time{}
	return freed
}

// Complete tells whether no report of the last MaxAge was left out for want of room.
func (w *Window) Complete(now time.Time) bool { return now.Sub(w.cut) > w.bounds.MaxAge }

// Reports are those that are held, oldest first. The slice is the caller's.
func (w *Window) Reports() []*Report { return slices.Clone(w.kept) }

// Len is how many are held.
func (w *Window) Len() int { return len(w.kept) + len(w.fresh) }

// Bytes are what they take.
func (w *Window) Bytes() int64 { return w.bytes }

// Peaks are the highest number and the most bytes so far.
func (w *Window) Peaks() (count, bytes int64) { return w.peakCount, w.peakBytes }
