package memwarden

import (
	"context"
	"fmt"
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
	quiet, err := w.dismissed(ctx, r.Signature)
	if err == nil && !quiet {
		err = w.eachLeak(ctx, func(l KeptLeak, newest bool) bool {
			known := newest && l.Case != "" && l.Case == r.Case
			if known {
				r.FirstSeen = l.FirstSeen
				if l.Status == LeakAcknowledged {
					r.Status = l.Status
				}
			}
			return !known
		})
	}
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
