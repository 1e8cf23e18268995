package memhttp

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/internal/frontend"
)

const (
	defaultReportCount = 1000
	defaultReportAge   = 24 * time.Hour
	// maxFigureBytes bounds what is held of reports, of which a usual one takes about 1 KiB.
	maxFigureBytes = 8 << 20
	// figurePage is how many reports are read at once, which may be 64 KiB each.
	figurePage = 50
	maxOffset  = 1_000_000
)

// figures are made of the reports that are kept. What they need of these is read when somebody asks, and held until then, so
// that each report is read once: a report costs its sender nothing for them, and a restart or another instance that shares
// the reports changes nothing of them. They are a bounded.Owner.
type figures struct {
	name    string
	reports Reports
	bounds  frontend.Bounds
	now     func() time.Time
	turn    chan struct{} // held by who reads reports

	mu     sync.Mutex
	window *frontend.Window
	last   int64 // number of the newest report that was read
}

func newFigures(name string, reports Reports, b frontend.Bounds) *figures {
	return &figures{name: name, reports: reports, bounds: b, now: time.Now, turn: make(chan struct{}, 1), window: frontend.NewWindow(b)}
}

// read returns what is held of the reports, oldest first, once all are read that were kept by now; complete tells that none
// is left out for want of room.
func (f *figures) read(ctx context.Context) (reports []*frontend.Report, complete bool, err error) {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if err := f.catchUp(ctx); err != nil {
		f.drop() // there is a gap; what is missing is read with all the rest
		return nil, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.window.Reports(), f.window.Complete(f.now()), nil
}

// catchUp reads the reports that have come since it was called last, newest first.
func (f *figures) catchUp(ctx context.Context) error {
	f.mu.Lock()
	f.window.Expire(f.now())
	last, newest := f.last, f.last
	f.mu.Unlock()
	for before, more := int64(0), true; more; {
		page, err := f.reports.List(ctx, before, figurePage)
		if err != nil {
			return err
		}
		more = len(page) == figurePage
		for _, one := range page {
			before, newest = one.ID, max(newest, one.ID)
			if one.ID <= last || !f.take(one) {
				more = false
				break
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.window.Settle()
	f.last = newest
	return nil
}

// take holds what is needed of a report; false: there is no room for it, nor for what is older.
func (f *figures) take(one Report) bool {
	r, err := frontend.Read(one.Value, one.At)
	if err != nil { // an earlier version has kept it, which has let more through
		r = &frontend.Report{At: one.At, Unreadable: true}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now().Sub(r.At) <= f.bounds.MaxAge && f.window.Take(r)
}

// Name is that of an Owner.
func (f *figures) Name() string { return f.name }

// Usage counts the reports of which something is held.
func (f *figures) Usage() bounded.Usage {
	f.mu.Lock()
	defer f.mu.Unlock()
	count, bytes := f.window.Peaks()
	return bounded.Usage{
		Entries: int64(f.window.Len()), MaxEntries: int64(f.bounds.MaxCount), PeakEntries: count,
		Bytes: f.window.Bytes(), MaxBytes: f.bounds.MaxBytes, PeakBytes: bytes,
	}
}

// Shrink drops all of it, unless somebody waits for it: who asks next has the reports read again.
func (f *figures) Shrink(context.Context, int64) (freed int64) {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
		return f.drop()
	default:
		return 0
	}
}

func (f *figures) drop() (freed int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = 0
	return f.window.Clear()
}

// totalsDocument is what every answer about figures has: of what they are made, and which part of the rows this is.
type totalsDocument struct {
	Reports    int       `json:"reports"`
	Since      time.Time `json:"since,omitzero"` // when the oldest of them came
	Complete   bool      `json:"complete"`
	Unreadable int       `json:"unreadable"`
	Rows       int       `json:"rows"`
	Folded     int64     `json:"folded"`
}

type componentsDocument struct {
	totalsDocument
	Components []*frontend.ComponentTotals `json:"components"`
}

type releasesDocument struct {
	totalsDocument
	Releases []*frontend.ReleaseTotals `json:"releases"`
}

type pageLeaksDocument struct {
	totalsDocument
	Leaks []*frontend.LeakTotals `json:"leaks"`
}

// totals answers a question about figures: the document is made by a function of the reports and of what was asked.
func (h *handler) totals(document func([]*frontend.Report, totalsDocument, totalsQuery) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := totalsAsked(r)
		if err != nil {
			NewProblem(http.StatusBadRequest, err.Error()).ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), reportTimeout)
		defer cancel()
		reports, complete, err := h.figures.read(ctx)
		if err != nil {
			h.o.Logger.Error("memory frontend reports could not be read", "error", err)
			NewProblem(http.StatusServiceUnavailable, "the reports cannot be read at the moment; the log says why").ServeHTTP(w, r)
			return
		}
		readable := slices.DeleteFunc(slices.Clone(reports), func(r *frontend.Report) bool { return r.Unreadable })
		head := totalsDocument{Reports: len(readable), Complete: complete, Unreadable: len(reports) - len(readable)}
		if len(readable) > 0 {
			head.Since = readable[0].At
		}
		h.answer(w, r, document(readable, head, q))
	}
}

// totalsQuery is what somebody asks of figures.
type totalsQuery struct {
	filter        frontend.Filter
	order         string
	offset, limit int
}

func totalsAsked(r *http.Request) (q totalsQuery, err error) {
	query := r.URL.Query()
	given := func(name string) *string { // what was not given chooses all, what is empty the reports without it
		if !query.Has(name) {
			return nil
		}
		value := query.Get(name)
		return &value
	}
	q.filter = frontend.Filter{Release: given("release"), Name: given("name")}
	q.order = frontend.ComponentOrders[0]
	if query.Has("sort") {
		if q.order = query.Get("sort"); !slices.Contains(frontend.ComponentOrders, q.order) {
			return q, fmt.Errorf("query sort: %q: want %s", q.order, strings.Join(frontend.ComponentOrders, ", "))
		}
	}
	if q.limit, err = numberIn(r, "limit", defaultReports, 1, maxReports); err != nil {
		return q, err
	}
	q.offset, err = numberIn(r, "offset", 0, 0, maxOffset)
	return q, err
}

// part is the part of the rows that was asked for, which is never nil.
func part[T any](rows []T, head *totalsDocument, q totalsQuery, folded int64) []T {
	head.Rows, head.Folded = len(rows), folded
	from := min(q.offset, len(rows))
	return append([]T{}, rows[from:min(from+q.limit, len(rows))]...)
}

func (h *handler) serveComponents() http.HandlerFunc {
	return h.totals(func(reports []*frontend.Report, head totalsDocument, q totalsQuery) any {
		rows, folded := frontend.Components(reports, q.filter)
		frontend.SortComponents(rows, q.order)
		list := part(rows, &head, q, folded)
		return componentsDocument{head, list}
	})
}

func (h *handler) serveReleases() http.HandlerFunc {
	return h.totals(func(reports []*frontend.Report, head totalsDocument, q totalsQuery) any {
		rows, folded := frontend.Releases(reports, q.filter)
		list := part(rows, &head, q, folded)
		return releasesDocument{head, list}
	})
}

func (h *handler) servePageLeaks() http.HandlerFunc {
	return h.totals(func(reports []*frontend.Report, head totalsDocument, q totalsQuery) any {
		rows, folded := frontend.Leaks(reports, q.filter)
		list := part(rows, &head, q, folded)
		return pageLeaksDocument{head, list}
	})
}
