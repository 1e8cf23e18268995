package memwarden

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/internal/sorting"
)

// KindBrowser is the kind of leaks that pages report.
const KindBrowser = "browser"

// maxBrowserLeakBytes bounds those that are kept in memory: some hundred.
const maxBrowserLeakBytes = 1 << 20

// ReportBrowserLeak keeps what a page says of a leak in it among Options.BrowserLeaks, with the kind "browser", whatever
// r.Kind is. Whoever likes can be such a page, so that the report stands in the list of leaks and changes nothing else: it
// counts for no verdict, makes no room among the other reports, and has no event, no snapshot and no cleanup follow.
// One whose Signature somebody has dismissed is not kept, and one whose Case somebody has acknowledged stays acknowledged.
// It returns when the report is kept.
func (w *Warden) ReportBrowserLeak(ctx context.Context, r LeakReport) error {
	if w.o.BrowserLeaks == nil {
		return nil
	}
	r.Kind, r.Status = KindBrowser, ""
	quiet := false
	err := w.eachLeak(ctx, func(l KeptLeak, newest bool) bool {
		quiet = r.Signature != "" && l.Signature == r.Signature && l.Status == LeakDismissed
		if newest && l.Case != "" && l.Case == r.Case {
			r.FirstSeen = l.FirstSeen
			if l.Status == LeakAcknowledged {
				r.Status = l.Status
			}
		}
		return !quiet
	})
	if err != nil || quiet {
		return err
	}
	data, err := r.encode(w.o.Now())
	if err == nil {
		_, err = w.o.BrowserLeaks.Add(ctx, data)
	}
	if err != nil {
		return fmt.Errorf("memwarden: report a leak in a page: %w", err)
	}
	return nil
}

// leakMemory keeps leak reports in memory, and those of pages apart from them, so that none of these makes room for one of
// those. All have numbers of one series.
type leakMemory struct{ own, browser MemoryReports }

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
	if err := w.owners.registerKept(own); err != nil {
		return err
	}
	if _, err := w.owners.register(browser); err != nil {
		return err
	}
	w.o.LeakReports, w.o.BrowserLeaks = leakMemory{own, browser}, browser
	return nil
}

func (m leakMemory) Add(ctx context.Context, data []byte) (int64, error) { return m.own.Add(ctx, data) }

func (m leakMemory) List(_ context.Context, before int64, limit int) ([]Report, error) {
	list := slices.Concat(m.own.Retention.List(before, limit), m.browser.Retention.List(before, limit))
	sorting.By(list, func(a, b bounded.Retained[[]byte]) int { return cmp.Compare(b.ID, a.ID) })
	return list[:min(len(list), limit)], nil
}
