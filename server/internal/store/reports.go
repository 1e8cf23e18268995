package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bounded"
)

const (
	// MaxReportBytes bounds the data of a report.
	MaxReportBytes = 64 << 10
	// MaxReportCount is the highest bound of a kind of reports.
	MaxReportCount = 100_000
	// MaxReportList bounds one list.
	MaxReportList = 1_000

	defaultReportCount = 1_000
	defaultReportAge   = 24 * time.Hour
)

// ErrNoReport: there is no report of this number, or it was removed as too old or one too many.
var ErrNoReport = errors.New("there is no such report")

// Report is an entry of Reports. Its number is higher than those before, and never used again; its time is kept to the
// microsecond, in UTC.
type Report = bounded.Retained[[]byte]

// ReportOptions are the settings of Reports.
type ReportOptions struct {
	// Kind chooses the table and is the name among the limits.
	Kind ReportKind
	// MaxCount and MaxAge bound what is kept; default 1,000 and 24 h.
	MaxCount int
	MaxAge   time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// ReportKind is a kind of reports; each is kept apart from the others.
type ReportKind string

// The kinds.
const (
	FrontendReports ReportKind = "reports"
	LeakReports     ReportKind = "leak_reports"
)

// reportQueries are the statements for the table of a kind: names of tables cannot be parameters.
type reportQueries struct{ insert, trim, list, get, count string }

var reportTables = map[ReportKind]reportQueries{
	FrontendReports: queriesOf("memwarden_reports"), LeakReports: queriesOf("memwarden_leak_reports"),
}

func queriesOf(table string) reportQueries {
	return reportQueries{
		insert: `INSERT INTO ` + table + ` (at_us, data) VALUES ($1, $2) RETURNING id`,
		trim: `DELETE FROM ` + table + ` WHERE at_us <= $1 OR id <= coalesce((
			SELECT id FROM ` + table + ` ORDER BY id DESC LIMIT 1 OFFSET $2), 0)`,
		list:  `SELECT id, at_us, data FROM ` + table + ` WHERE id < $1 AND at_us > $2 ORDER BY id DESC LIMIT $3`,
		get:   `SELECT at_us, data FROM ` + table + ` WHERE id = $1 AND at_us > $2`,
		count: `SELECT count(*), coalesce(sum(length(data)), 0) FROM ` + table,
	}
}

// Reports keeps reports of one kind: the newest MaxCount, none older than MaxAge. Adding trims, in the same transaction,
// so that the bounds hold whatever happens; reading shows nothing that is too old, whether it was removed already or not.
// Processes that share a PostgreSQL database share the reports: each may trim before it sees what another adds at that
// moment, and the next one that is added makes up for it. It is safe for concurrent use, and a bounded.Owner.
type Reports struct {
	store   *Store
	queries reportQueries
	o       ReportOptions

	count, bytes         atomic.Int64 // as of the last change that this process made
	peakCount, peakBytes atomic.Int64
}

// Reports returns the reports of a kind, trimmed. It fails if an option is wrong or the database does not answer.
func (s *Store) Reports(ctx context.Context, o ReportOptions) (*Reports, error) {
	o, err := o.validate()
	if err != nil {
		return nil, fmt.Errorf("store: reports: %w", err)
	}
	r := &Reports{store: s, queries: reportTables[o.Kind], o: o}
	if _, err := r.Trim(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func (o ReportOptions) validate() (ReportOptions, error) {
	var mistakes []error
	if _, ok := reportTables[o.Kind]; !ok {
		mistakes = append(mistakes, fmt.Errorf("kind %q is not known", o.Kind))
	}
	if o.MaxCount < 0 || o.MaxCount > MaxReportCount {
		mistakes = append(mistakes, fmt.Errorf("maximal count: %d is not between 0 and %d", o.MaxCount, MaxReportCount))
	}
	if o.MaxAge < 0 {
		mistakes = append(mistakes, fmt.Errorf("maximal age: %v is negative", o.MaxAge))
	}
	if o.MaxCount == 0 {
		o.MaxCount = defaultReportCount
	}
	if o.MaxAge == 0 {
		o.MaxAge = defaultReportAge
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, errors.Join(mistakes...)
}

// Add adds a report and returns its number; when it returns nil, the report is durable.
func (r *Reports) Add(ctx context.Context, data []byte) (id int64, _ error) {
	if len(data) > MaxReportBytes {
		return 0, fmt.Errorf("store: add to %s: %d bytes are more than %d", r.o.Kind, len(data), MaxReportBytes)
	}
	if data == nil {
		data = []byte{} // nil would be NULL
	}
	err := r.change(ctx, "add to", func(ctx context.Context, tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, r.queries.insert, r.o.Now().UnixMicro(), data).Scan(&id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, r.queries.trim, r.oldest(), r.o.MaxCount)
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// List returns reports newest first: those whose number is below before (0: the newest), at most limit of them, and never
// more than MaxReportList.
func (r *Reports) List(ctx context.Context, before int64, limit int) (list []Report, _ error) {
	if before < 0 || limit < 1 {
		return nil, fmt.Errorf("store: list %s: before %d and limit %d must be positive", r.o.Kind, before, limit)
	}
	if before == 0 {
		before = 1<<63 - 1
	}
	err := r.store.read(ctx, "list "+string(r.o.Kind), func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, r.queries.list, before, r.oldest(), min(limit, MaxReportList))
		if err != nil {
			return err
		}
		defer rows.Close()
		list = nil // of an attempt before
		for rows.Next() {
			var one Report
			var at int64
			if err := rows.Scan(&one.ID, &at, &one.Value); err != nil {
				return err
			}
			one.At = time.UnixMicro(at).UTC()
			list = append(list, one)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Get returns a report; ErrNoReport if there is none of this number.
func (r *Reports) Get(ctx context.Context, id int64) (Report, error) {
	one := Report{ID: id}
	found := false
	err := r.store.read(ctx, "get of "+string(r.o.Kind), func(ctx context.Context, conn *sql.Conn) error {
		var at int64
		err := conn.QueryRowContext(ctx, r.queries.get, id, r.oldest()).Scan(&at, &one.Value)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		one.At, found = time.UnixMicro(at).UTC(), err == nil
		return err
	})
	switch {
	case err != nil:
		return Report{}, err
	case !found:
		return Report{}, fmt.Errorf("store: get %d of %s: %w", id, r.o.Kind, ErrNoReport)
	}
	return one, nil
}

// Trim removes what is too old or too much, and returns the bytes that it freed.
func (r *Reports) Trim(ctx context.Context) (freed int64, _ error) {
	before := r.bytes.Load()
	err := r.change(ctx, "trim", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, r.queries.trim, r.oldest(), r.o.MaxCount)
		return err
	})
	return max(0, before-r.bytes.Load()), err
}

// oldest is the moment from before which reports are too old.
func (r *Reports) oldest() int64 { return r.o.Now().Add(-r.o.MaxAge).UnixMicro() }

// change makes a change in a transaction and counts what is kept after it.
func (r *Reports) change(ctx context.Context, what string, do func(context.Context, *sql.Tx) error) error {
	var count, bytes int64
	err := r.store.write(ctx, what+" "+string(r.o.Kind), func(ctx context.Context, tx *sql.Tx) error {
		if err := do(ctx, tx); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, r.queries.count).Scan(&count, &bytes)
	})
	if err != nil {
		return err
	}
	r.count.Store(count)
	r.bytes.Store(bytes)
	raise(&r.peakCount, count)
	raise(&r.peakBytes, bytes)
	return nil
}

// Name is the kind.
func (r *Reports) Name() string { return string(r.o.Kind) }

// Usage counts the reports on disk as of the last change that this process made; bytes are those of their data.
func (r *Reports) Usage() bounded.Usage {
	return bounded.Usage{
		Entries: r.count.Load(), MaxEntries: int64(r.o.MaxCount), PeakEntries: r.peakCount.Load(),
		Bytes: r.bytes.Load(), MaxBytes: int64(r.o.MaxCount) * MaxReportBytes, PeakBytes: r.peakBytes.Load(),
	}
}

// Shrink frees nothing: what is on disk takes no memory.
func (r *Reports) Shrink(context.Context, int64) int64 { return 0 }
