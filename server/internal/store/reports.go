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

// The kinds. BrowserLeaks are leak reports of pages: they have bounds of their own, but stand among the LeakReports, whose
// List and Get have both, by numbers of one series and within the age of these.
const (
	FrontendReports ReportKind = "reports"
	LeakReports     ReportKind = "leak_reports"
	BrowserLeaks    ReportKind = "browser_leaks"

	dismissedLeaks ReportKind = "dismissed_leaks" // see Dismissals
)

// reportQueries are the statements for the table of a kind: names of tables cannot be parameters.
type reportQueries struct{ lock, insert, trim, list, get, count string }

var reportTables = map[ReportKind]reportQueries{
	FrontendReports: queriesOf("memwarden_reports", "", "", "TRUE", "TRUE", "FALSE"),
	LeakReports:     queriesOf("memwarden_leak_reports", ", browser", ", 0", "browser = 0 AND dismissed IS NULL", "TRUE", "dismissed IS NOT NULL"),
	BrowserLeaks:    queriesOf("memwarden_leak_reports", ", browser", ", 1", "browser = 1 AND dismissed IS NULL", "browser = 1", "FALSE"),
	dismissedLeaks:  queriesOf("memwarden_leak_reports", "", "", "dismissed IS NOT NULL", "dismissed IS NOT NULL", "TRUE"),
}

// queriesOf are the statements for a table, whose rows of the kind have values in columns. Own are those that the bounds
// are for, shown those that are read, and ageless those among them that never become too old.
func queriesOf(table, columns, values, own, shown, ageless string) reportQueries {
	return reportQueries{
		lock:   `LOCK TABLE ` + table + ` IN SHARE ROW EXCLUSIVE MODE`,
		insert: `INSERT INTO ` + table + ` (at_us, data` + columns + `) VALUES ($1, $2` + values + `) RETURNING id`,
		trim: `DELETE FROM ` + table + ` WHERE ` + own + ` AND (at_us <= $1 OR id <= coalesce((
			SELECT id FROM ` + table + ` WHERE ` + own + ` ORDER BY id DESC LIMIT 1 OFFSET $2), 0)) RETURNING length(data)`,
		list: `SELECT id, at_us, data FROM ` + table + ` WHERE id < $1 AND (at_us > $2 OR ` + ageless + `) AND ` + shown +
			` ORDER BY id DESC LIMIT $3`,
		get:   `SELECT at_us, data FROM ` + table + ` WHERE id = $1 AND (at_us > $2 OR ` + ageless + `) AND ` + shown,
		count: `SELECT count(*), coalesce(sum(length(data)), 0) FROM ` + table + ` WHERE ` + own,
	}
}

// Reports keeps reports of one kind: the newest MaxCount, none older than MaxAge. Adding trims, in the same transaction,
// so that the bounds hold whatever happens; reading shows nothing that is too old, whether it was removed already or not.
// Processes that share a PostgreSQL database share the reports; they add one after another. It is safe for concurrent use,
// and a bounded.Owner.
type Reports struct {
	store   *Store
	queries reportQueries
	o       ReportOptions

	count, bytes         atomic.Int64 // counted by Trim, and by what this process has added and removed since
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
	var removed, freed int64
	err := r.store.write(ctx, "add to "+string(r.o.Kind), func(ctx context.Context, tx *sql.Tx) (err error) {
		if err := r.lock(ctx, tx); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, r.queries.insert, r.o.Now().UnixMicro(), data).Scan(&id); err != nil {
			return err
		}
		removed, freed, err = r.trim(ctx, tx)
		return err
	})
	if err != nil {
		return 0, err
	}
	r.note(r.count.Add(1-removed), r.bytes.Add(int64(len(data))-freed))
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

// Trim removes what is too old or too much, and returns the bytes that it freed. It counts what is left, what other
// processes have added included, in time proportional to that.
func (r *Reports) Trim(ctx context.Context) (freed int64, _ error) {
	var count, bytes int64
	err := r.store.write(ctx, "trim "+string(r.o.Kind), func(ctx context.Context, tx *sql.Tx) (err error) {
		if err := r.lock(ctx, tx); err != nil {
			return err
		}
		if _, freed, err = r.trim(ctx, tx); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, r.queries.count).Scan(&count, &bytes)
	})
	if err != nil {
		return 0, err
	}
	r.count.Store(count)
	r.bytes.Store(bytes)
	r.note(count, bytes)
	return freed, nil
}

// lock has transactions that change the reports wait for each other, for none of two at once would see what the other
// adds, and trim enough. Who reads does not wait. SQLite has one writer anyway.
func (r *Reports) lock(ctx context.Context, tx *sql.Tx) error {
	if r.store.db.kind() == kindSQLite {
		return nil
	}
	_, err := tx.ExecContext(ctx, r.queries.lock)
	return err
}

// trim removes what is too old or too much, and returns how many reports that was, and their bytes.
func (r *Reports) trim(ctx context.Context, tx *sql.Tx) (removed, freed int64, _ error) {
	rows, err := tx.QueryContext(ctx, r.queries.trim, r.oldest(), r.o.MaxCount)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	for ; rows.Next(); removed++ {
		var length int64
		if err := rows.Scan(&length); err != nil {
			return 0, 0, err
		}
		freed += length
	}
	return removed, freed, rows.Err()
}

// note keeps the peaks. Of two that add at once, each counts what it has done in whatever order: the bound, which the
// database keeps, is not passed.
func (r *Reports) note(count, bytes int64) {
	raise(&r.peakCount, min(count, int64(r.o.MaxCount)))
	raise(&r.peakBytes, bytes)
}

// oldest is the moment from before which reports are too old.
func (r *Reports) oldest() int64 { return r.o.Now().Add(-r.o.MaxAge).UnixMicro() }

// Name is the kind.
func (r *Reports) Name() string { return string(r.o.Kind) }

// Usage counts the reports on disk, those that other processes have added since the last Trim left out; bytes are those of
// their data.
func (r *Reports) Usage() bounded.Usage {
	return bounded.Usage{
		Entries: max(0, r.count.Load()), MaxEntries: int64(r.o.MaxCount), PeakEntries: r.peakCount.Load(),
		Bytes: max(0, r.bytes.Load()), MaxBytes: int64(r.o.MaxCount) * MaxReportBytes, PeakBytes: r.peakBytes.Load(),
	}
}

// OutsideHeap says that the bytes are on disk.
func (r *Reports) OutsideHeap() {}

// Shrink frees nothing: what is on disk takes no memory.
func (r *Reports) Shrink(context.Context, int64) int64 { return 0 }
