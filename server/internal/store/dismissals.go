package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

// MaxDismissals is how many signatures stay dismissed; those that were dismissed first go first.
const MaxDismissals = 1_000

// Dismissals keep the reports of leaks that somebody has dismissed: the newest of each signature, MaxDismissals of them,
// however old they become, until that is taken back. They stand among the LeakReports, whose List and Get have them too,
// and take nothing of the bounds of these. They are safe for concurrent use, by processes that share a PostgreSQL database
// as well, and a bounded.Owner.
type Dismissals struct {
	leaks *Reports
	kept  *Reports
}

// Dismissals returns what is dismissed of leak reports.
func (r *Reports) Dismissals(ctx context.Context) (*Dismissals, error) {
	if r.o.Kind != LeakReports {
		return nil, fmt.Errorf("store: dismissals: reports are of kind %s: want %s", r.o.Kind, LeakReports)
	}
	kept, err := r.store.Reports(ctx, ReportOptions{Kind: dismissedLeaks, MaxCount: MaxDismissals, MaxAge: math.MaxInt64 * time.Nanosecond, Now: r.o.Now})
	if err != nil {
		return nil, err
	}
	return &Dismissals{r, kept}, nil
}

const (
	dismissedSet   = `UPDATE memwarden_leak_reports SET dismissed = $1 WHERE id = $2`
	dismissedClear = `UPDATE memwarden_leak_reports SET dismissed = NULL WHERE dismissed = $1`
	dismissedFind  = `SELECT 1 FROM memwarden_leak_reports WHERE dismissed = $1 LIMIT 1`
)

// Dismiss adds a report, as Reports.Add does, that is kept until its signature is readmitted. The one before becomes an
// ordinary report.
func (d *Dismissals) Dismiss(ctx context.Context, signature string, data []byte) (id int64, _ error) {
	return d.settle(ctx, "dismiss a leak", data, signature, true)
}

// Readmit takes back what was dismissed of a signature, whose report becomes an ordinary one, and adds a report as
// Reports.Add does: both or neither.
func (d *Dismissals) Readmit(ctx context.Context, signature string, data []byte) (id int64, _ error) {
	return d.settle(ctx, "readmit a leak", data, signature, false)
}

// settle adds a report, and has it or nothing stand for a signature.
func (d *Dismissals) settle(ctx context.Context, what string, data []byte, signature string, dismissed bool) (id int64, _ error) {
	if len(data) > MaxReportBytes || signature == "" {
		return 0, fmt.Errorf("store: %s: signature %.80q with %d bytes: want a signature, and at most %d bytes", what, signature, len(data), MaxReportBytes)
	}
	var counts [2]struct{ entries, bytes int64 }
	both := [2]*Reports{d.leaks, d.kept}
	err := d.leaks.store.write(ctx, what, func(ctx context.Context, tx *sql.Tx) error {
		if err := d.leaks.lock(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, dismissedClear, signature); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, d.leaks.queries.insert, d.leaks.o.Now().UnixMicro(), data).Scan(&id); err != nil {
			return err
		}
		if dismissed {
			if _, err := tx.ExecContext(ctx, dismissedSet, signature, id); err != nil {
				return err
			}
		}
		for i, r := range both {
			if _, _, err := r.trim(ctx, tx); err != nil {
				return err
			}
			if err := tx.QueryRowContext(ctx, r.queries.count).Scan(&counts[i].entries, &counts[i].bytes); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for i, r := range both {
		r.count.Store(counts[i].entries)
		r.bytes.Store(counts[i].bytes)
		r.note(counts[i].entries, counts[i].bytes)
	}
	return id, nil
}

// Dismissed reports whether a signature was dismissed and not readmitted.
func (d *Dismissals) Dismissed(ctx context.Context, signature string) (dismissed bool, _ error) {
	err := d.leaks.store.read(ctx, "look for what was dismissed", func(ctx context.Context, conn *sql.Conn) error {
		var one int
		err := conn.QueryRowContext(ctx, dismissedFind, signature).Scan(&one)
		dismissed = err == nil
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return dismissed && err == nil, err
}

// Name is that among the limits.
func (d *Dismissals) Name() string { return d.kept.Name() }

// Usage is that of Reports.
func (d *Dismissals) Usage() bounded.Usage { return d.kept.Usage() }

// OutsideHeap says that the bytes are on disk.
func (d *Dismissals) OutsideHeap() {}

// Shrink frees nothing: what is on disk takes no memory.
func (d *Dismissals) Shrink(context.Context, int64) int64 { return 0 }
