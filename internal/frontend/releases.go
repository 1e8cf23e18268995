package frontend

import (
	"cmp"
	"slices"

	"github.com/memwarden/memwarden/internal/sorting"
)

// HeapTotals are what the readings of one source tell. Those of different sources measure different things.
type HeapTotals struct {
	Source    string  `json:"source"`
	Readings  int     `json:"readings"`
	MeanBytes int64   `json:"mean_bytes"`
	MaxBytes  int64   `json:"max_bytes"`
	sum       float64 // of bytes
}

// ReleaseTotals are what the reports of a release tell of pages.
type ReleaseTotals struct {
	Release string `json:"release"`
	seen
	Heap       []*HeapTotals  `json:"heap"` // by source
	LongTasks  Blocking       `json:"long_tasks"`
	LongFrames Blocking       `json:"long_frames"`
	Warnings   map[string]int `json:"warnings"` // by kind
	Leaks      int            `json:"leaks"`    // how often one was told of
	MonitorOff int            `json:"monitor_off"`
}

func (t *ReleaseTotals) add(r *Report) {
	t.in(r)
	for _, h := range r.Heap {
		i := slices.IndexFunc(t.Heap, func(of *HeapTotals) bool { return of.Source == h.Source })
		if i < 0 {
			i = len(t.Heap)
			t.Heap = append(t.Heap, &HeapTotals{Source: h.Source})
		}
		of := t.Heap[i]
		of.Readings++
		of.sum += h.Bytes
		of.MaxBytes = max(of.MaxBytes, int64(h.Bytes))
	}
	t.LongTasks.add(r.LongTasks)
	t.LongFrames.add(r.LongFrames)
	for kind, n := range r.Warnings {
		if _, known := t.Warnings[kind]; !known && len(t.Warnings) >= maxWarnings {
			kind = Other
		}
		t.Warnings[kind] += n
	}
	t.Leaks += len(r.Leaks)
	t.MonitorOff += r.MonitorOff
}

func (t *ReleaseTotals) finish() {
	for _, h := range t.Heap {
		h.MeanBytes = int64(h.sum / float64(h.Readings))
	}
	sorting.By(t.Heap, func(a, b *HeapTotals) int { return cmp.Compare(a.Source, b.Source) })
}

// Releases adds up what reports tell of each release, the one that was seen last first; folded is how many reports were
// counted under Other for want of room.
func Releases(reports []*Report, f Filter) (rows []*ReleaseTotals, folded int64) {
	all := newTable(maxReleases, func(name string) *ReleaseTotals {
		return &ReleaseTotals{Release: name, Heap: []*HeapTotals{}, Warnings: map[string]int{}}
	})
	for _, r := range byPage(reports, f) {
		all.row(r.Release, Other).add(r)
	}
	for _, row := range all.rows {
		row.finish()
	}
	sorting.By(all.rows, func(a, b *ReleaseTotals) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.Release, b.Release))
	})
	return all.rows, all.folded
}
