package memwarden

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"sync/atomic"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/internal/sorting"
)

const (
	// maxDismissed and maxDismissedBytes bound what is dismissed and kept in memory.
	maxDismissed, maxDismissedBytes = 1000, 4 << 20
)

// leakMemory keeps leak reports in memory, and apart from them those of pages, so that none of these makes room for one of
// those, and those that were dismissed, which stay. All have numbers of one series. Reports are settled one after the other,
// see Warden.SettleLeak.
type leakMemory struct {
	own, browser MemoryReports

	dismissed *bounded.Retention[dismissal]
}

// dismissal is a report whose signature was dismissed.
type dismissal struct {
	signature string
	report    []byte
}

// buildLeakMemory makes what keeps leak reports where the options have nothing for it.
func (w *Warden) buildLeakMemory() error {
	var last atomic.Int64
	next := func() int64 { return last.Add(1) }
	own, err := newMemoryReports("leak_reports", maxReportsBytes, next, w.o.Now)
	if err != nil {
		return err
	}
	browser, err := newMemoryReports("browser_leaks", maxBrowserLeakBytes, next, w.o.Now)
	if err != nil {
		return err
	}
	dismissed, err := bounded.NewRetention(bounded.RetentionOptions[dismissal]{
		Name: "dismissed_leaks", MaxCount: maxDismissed, MaxAge: math.MaxInt64, MaxBytes: maxDismissedBytes,
		Weigh: func(d dismissal) int64 { return int64(len(d.signature) + cap(d.report)) }, NextID: next, Now: w.o.Now,
	})
	if err != nil {
		return err
	}
	for _, kept := range []bounded.Owner{own, dismissed} {
		if err := w.owners.registerKept(kept); err != nil {
			return err
		}
	}
	if _, err := w.owners.register(browser); err != nil {
		return err
	}
	m := leakMemory{own, browser, dismissed}
	w.o.LeakReports, w.o.BrowserLeaks, w.o.DismissedLeaks = m, browser, m
	return nil
}

func (m leakMemory) Add(ctx context.Context, data []byte) (int64, error) { return m.own.Add(ctx, data) }

func (m leakMemory) List(_ context.Context, before int64, limit int) ([]Report, error) {
	list := slices.Concat(m.own.Retention.List(before, limit), m.browser.Retention.List(before, limit))
	for _, d := range m.dismissed.List(before, limit) {
		list = append(list, Report{ID: d.ID, At: d.At, Value: d.Value.report})
	}
	sorting.By(list, func(a, b bounded.Retained[[]byte]) int { return cmp.Compare(b.ID, a.ID) })
	return list[:min(len(list), limit)], nil
}

// Dismiss is that of DismissedLeaks.
func (m leakMemory) Dismiss(_ context.Context, signature string, report []byte) (int64, error) {
	if err := m.readmit(signature); err != nil {
		return 0, err
	}
	return m.dismissed.Add(dismissal{signature, bytes.Clone(report)})
}

// Readmit is that of DismissedLeaks.
func (m leakMemory) Readmit(ctx context.Context, signature string, report []byte) (int64, error) {
	if err := m.readmit(signature); err != nil {
		return 0, err
	}
	return m.own.Add(ctx, report)
}

// readmit makes the report of a signature an ordinary one.
func (m leakMemory) readmit(signature string) error {
	for _, d := range m.dismissed.List(0, maxDismissed) {
		if d.Value.signature != signature {
			continue
		}
		if _, err := m.own.Retention.Add(d.Value.report); err != nil {
			return err
		}
		m.dismissed.Delete(d.ID)
	}
	return nil
}

// Dismissed is that of DismissedLeaks.
func (m leakMemory) Dismissed(_ context.Context, signature string) (bool, error) {
	return slices.ContainsFunc(m.dismissed.List(0, maxDismissed), func(d bounded.Retained[dismissal]) bool {
		return d.Value.signature == signature
	}), nil
}
