package memhttp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/internal/frontend"
	"github.com/memwarden/memwarden/shutdown"
)

// ReportIDs remembers by their contents which reports were kept, for some minutes, so that a report that is sent again
// because its answer was lost is kept once. A bounded.Cache is one, and so is a cache that several instances share. It
// must be safe for concurrent use. It may forget at any time: then a report is kept twice.
type ReportIDs interface {
	// Load returns the number that is known under a key, of 64 bytes, or calls load, remembers what it returns and returns
	// that. Those who ask for a key while load runs share its outcome. An error of load is returned and not remembered.
	Load(ctx context.Context, key string, load func(context.Context) (int64, error)) (int64, error)
}

const (
	// reportTimeout bounds how long a report may take to be kept; its sender is not waited for.
	reportTimeout = 20 * time.Second

	reportIDsTTL      = 10 * time.Minute
	maxReportIDs      = 10_000
	maxReportIDsBytes = 4 << 20
)

func newReportIDs(name string) (*bounded.Cache[string, int64], error) {
	return bounded.NewCache(bounded.CacheOptions[string, int64]{
		Name: name, MaxEntries: maxReportIDs, MaxBytes: maxReportIDsBytes, TTL: reportIDsTTL,
	})
}

// buildReports makes what keeps reports where the options have nothing for it, and returns what of that is shown among
// the limits and what ends with the warden's shutdown.
func (h *handler) buildReports() (owners []bounded.Owner, ends []end, err error) {
	if h.o.Reports == nil {
		reports, err := memwarden.NewMemoryReports(h.o.Name+"reports", nil)
		if err != nil {
			return nil, nil, err
		}
		h.o.Reports = reports
		owners = append(owners, reports)
	}
	if h.o.ReportIDs == nil {
		ids, err := newReportIDs(h.o.Name + "report_ids")
		if err != nil {
			return nil, nil, err
		}
		h.o.ReportIDs = ids
		owners = append(owners, ids)
		ends = append(ends, end{shutdown.Pools, "report_ids", ids.Close})
	}
	h.figures = newFigures(h.o.Name+"report_figures", h.o.Reports, frontend.Bounds{
		MaxCount: h.o.ReportsMaxCount, MaxAge: h.o.ReportsMaxAge, MaxBytes: maxFigureBytes,
	})
	return append(owners, h.figures), ends, nil
}

// keep keeps a report, which is compact JSON, unless it is there already, and returns its number; what it says of leaks goes
// to the list of these. It goes on when the sender has gone: a page that is being left sends its report again at the next
// chance, and that must find this one.
func (h *handler) keep(r *http.Request, data []byte, report *frontend.Report) (id int64, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), reportTimeout)
	defer cancel()
	sum := sha256.Sum256(data)
	return h.o.ReportIDs.Load(ctx, hex.EncodeToString(sum[:]), func(ctx context.Context) (int64, error) {
		id, err := h.o.Reports.Add(ctx, data)
		if err == nil {
			h.tellLeaks(ctx, report)
		}
		return id, err
	})
}
