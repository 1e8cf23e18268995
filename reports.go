package memwarden

import (
	"bytes"
	"context"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

// Reports keeps reports of one kind, within bounds of its own. It must be safe for concurrent use.
type Reports interface {
	// Add keeps a report, which is compact JSON of at most 64 KiB, and returns its number: higher than those before. When
	// it returns nil, the report is as durable as it will ever be. It does not keep data itself.
	Add(ctx context.Context, data []byte) (id int64, err error)
	// List returns reports newest first: those whose number is below before (0: the newest), at most limit of them.
	List(ctx context.Context, before int64, limit int) ([]Report, error)
}

// DismissedLeaks keep the reports of leaks that somebody has dismissed, beyond the bounds of others: until that is taken
// back, and at most so many that those go first that were dismissed first. It must be safe for concurrent use.
type DismissedLeaks interface {
	// Dismiss keeps a report as Reports.Add does, until its signature is readmitted; the one before of that signature
	// becomes an ordinary report.
	Dismiss(ctx context.Context, signature string, report []byte) (id int64, err error)
	// Readmit makes what was dismissed of a signature an ordinary report, and keeps another as Reports.Add does: both or
	// neither.
	Readmit(ctx context.Context, signature string, report []byte) (id int64, err error)
	// Dismissed reports whether a signature was dismissed and not readmitted.
	Dismissed(ctx context.Context, signature string) (bool, error)
}

// Report is an entry of Reports: a number, when it was added, and what.
type Report = bounded.Retained[[]byte]

// MemoryReports are Reports that live as long as the process: the newest 1,000, none older than 24 hours, together in at
// most 8 MiB. They are a bounded.Owner.
type MemoryReports struct{ *bounded.Retention[[]byte] }

// maxReportsBytes bounds reports in memory: a thousand of them are small as a rule.
const maxReportsBytes = 8 << 20

// NewMemoryReports returns empty ones, with the name that they have as an owner. A nil clock is time.Now.
func NewMemoryReports(name string, now func() time.Time) (MemoryReports, error) {
	return newMemoryReports(name, maxReportsBytes, nil, now)
}

func newMemoryReports(name string, maxBytes int64, nextID func() int64, now func() time.Time) (MemoryReports, error) {
	kept, err := bounded.NewRetention(bounded.RetentionOptions[[]byte]{
		Name: name, MaxBytes: maxBytes, Weigh: func(data []byte) int64 { return int64(cap(data)) }, NextID: nextID, Now: now,
	})
	return MemoryReports{kept}, err
}

// Add is that of Reports; its error wraps bounded.ErrNotRetained if the report alone is too large.
func (m MemoryReports) Add(_ context.Context, data []byte) (id int64, err error) {
	return m.Retention.Add(bytes.Clone(data))
}

// List is that of Reports.
func (m MemoryReports) List(_ context.Context, before int64, limit int) ([]Report, error) {
	return m.Retention.List(before, limit), nil
}
