// Package store keeps what must outlive the process: points of the memory history, and the versions of the run-time
// configuration, which are also the audit log.
//
// It knows two databases: an embedded SQLite file, and PostgreSQL. It does not know what a history point says nor which
// options a configuration has: both are opaque bytes to it. The server's command line stands above and joins it to the
// warden.
//
// What a method has acknowledged survives the death of the process and of the machine: SQLite writes ahead with
// synchronous=FULL, PostgreSQL decides by its own fsync and synchronous_commit. Every write is one transaction. A
// database that is away makes operations fail, each with what to do about it, and is used again when it is back.
//
// One process uses a data directory at a time; the second is refused with ErrInUse. A PostgreSQL database may be used by
// several processes, which then share one history and one sequence of configuration versions.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/contrib/pgxpool"
)

const (
	// operationTimeout bounds how long an operation may hold or wait for a connection, whatever the caller's context.
	operationTimeout = 10 * time.Second
	// defaultMaxConns is the bound of the PostgreSQL pool.
	defaultMaxConns = 20
)

// Options say where the database is. The zero value is not valid: one of DataDir and DatabaseURL is needed.
type Options struct {
	// DataDir is the directory of the SQLite file memwarden.db; it is made if it is not there, for its owner only.
	// Not used when DatabaseURL is set.
	DataDir string
	// DatabaseURL chooses PostgreSQL: postgres://user:password@host:5432/database?sslmode=…
	// The password never appears in an error or in the log.
	DatabaseURL string
	// MaxConns bounds the PostgreSQL pool; 0 means pool_max_conns of the URL, or 20.
	MaxConns int
	// NoMigrate makes Open fail with ErrMigrationsPending instead of migrating.
	NoMigrate bool
	// Now is the clock for the row that shows that the database takes writes; nil means time.Now.
	Now func() time.Time
	// OnHeld is told, beside the log, of a connection to PostgreSQL that is held too long; nil means nobody is. It is called
	// from a goroutine of the pool, and must neither block nor close the store.
	OnHeld func(pgxpool.Held)
	// Logger gets a line about opening, migrations and loose file modes; nil means none.
	Logger *slog.Logger
}

// validate returns the options with their defaults, or an error that lists every mistake.
func (o Options) validate() (Options, error) {
	var mistakes []error
	if o.DataDir == "" && o.DatabaseURL == "" {
		mistakes = append(mistakes, errors.New("data directory: missing, and there is no database URL"))
	}
	if o.DatabaseURL != "" && !strings.HasPrefix(o.DatabaseURL, "postgres://") && !strings.HasPrefix(o.DatabaseURL, "postgresql://") {
		mistakes = append(mistakes, errors.New("database URL: must begin with postgres:// or postgresql://"))
	}
	if o.MaxConns < 0 || o.MaxConns > 10_000 {
		mistakes = append(mistakes, fmt.Errorf("maximal connections: %d is not between 0 and 10000", o.MaxConns))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(mistakes...)
}

// Store is an open database. Its methods are safe for concurrent use; each does I/O and returns within ten seconds or
// when its context ends.
type Store struct {
	db             database
	identity       string
	now            func() time.Time
	peak, peakOpen atomic.Int64
	// unwritten is true from a write that failed until one succeeds.
	unwritten atomic.Bool

	mu     sync.RWMutex // held for reading by every operation, for writing by Close
	closed bool
}

// database is what the two kinds have in common. Both speak the same SQL.
type database interface {
	// kind is "sqlite" or "postgres", also the directory of the migrations.
	kind() string
	// name identifies the database in messages, without a password.
	name() string
	// writer and reader are the pools; they may be the same.
	writer() *sql.DB
	reader() *sql.DB
	// migrationsExist is a query for whether there is a table of migrations.
	migrationsExist() string
	// uncertain tells whether a failed commit may have come through all the same.
	uncertain(commit error) bool
	// verify fails if what was committed just now went to a file that is no longer the database.
	verify() error
	// explain says in plain words what an error means and what to do.
	explain(err error) error
	// stats are the figures of the pools; Peak is not among them, PeakOpen where it is known exactly.
	stats() PoolStats
	close() error
}

// Open opens the database, creates it if it is a file that is not there, migrates it (see Options.NoMigrate) and writes
// a row to be sure that it takes writes. An existing SQLite database takes a few milliseconds.
func Open(ctx context.Context, o Options) (*Store, error) {
	start := time.Now()
	o, err := o.validate()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db, err := connect(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	s := &Store{db: db, now: o.Now}
	report, err := migrate(ctx, db, !o.NoMigrate)
	if err == nil && o.NoMigrate && report.Version < report.Latest {
		err = fmt.Errorf("%w: it is at version %d, this program needs %d", ErrMigrationsPending, report.Version, report.Latest)
	}
	if err == nil {
		err = s.checkWrites(ctx)
	}
	if err == nil {
		err = s.identify(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: open: %w", err), db.close())
	}
	o.Logger.Info("database open", "kind", db.kind(), "database", db.name(), "schema_version", report.Version,
		"migrations_applied", len(report.Applied), "duration_seconds", time.Since(start).Seconds())
	return s, nil
}

// connect opens the kind of database that the options ask for. The options are valid.
func connect(ctx context.Context, o Options) (database, error) {
	if o.DatabaseURL != "" {
		return openPostgres(ctx, o)
	}
	return openSQLite(ctx, o)
}

func (s *Store) checkWrites(ctx context.Context) error {
	return s.write(ctx, "write", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO memwarden_write_check (id, at_us) VALUES (1, $1)
			ON CONFLICT (id) DO UPDATE SET at_us = excluded.at_us`, s.now().UnixMicro())
		return err
	})
}

// identify reads the name of the database, and gives it one if it has none.
func (s *Store) identify(ctx context.Context) error {
	return s.write(ctx, "identify", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO memwarden_identity (id, name) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`,
			rand.Text()); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT name FROM memwarden_identity`).Scan(&s.identity)
	})
}

// Identity is a name of 26 letters and digits that no other database has. All who use this one, by whatever address, get
// the same one.
func (s *Store) Identity() string { return s.identity }

// Ping reports whether the database answers, is the one that was opened, and takes writes. It reads one row; after a write
// that failed it writes one instead, until that succeeds: a disk that is full or read-only can still be read.
func (s *Store) Ping(ctx context.Context) error {
	if s.unwritten.Load() {
		return s.checkWrites(ctx)
	}
	return s.read(ctx, "check", func(ctx context.Context, conn *sql.Conn) error {
		var at int64
		return conn.QueryRowContext(ctx, `SELECT at_us FROM memwarden_write_check`).Scan(&at)
	})
}

// Stats tells how the connections are used. It does no I/O.
func (s *Store) Stats() PoolStats {
	stats := s.db.stats()
	stats.Peak = max(s.peak.Load(), stats.InUse)
	stats.PeakOpen = raise(&s.peakOpen, max(stats.PeakOpen, stats.Open))
	return stats
}

// Close waits for the operations in progress and closes the database. It may be called more than once. A PostgreSQL
// server that has gone silent in the middle of an operation can hold it up for some 5 seconds.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.db.close(); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

// read runs do on a connection of the reading pool. what names the operation in errors.
func (s *Store) read(ctx context.Context, what string, do func(context.Context, *sql.Conn) error) error {
	return s.operate(ctx, what, func(ctx context.Context) error {
		conn, err := s.db.reader().Conn(ctx)
		if err != nil {
			return err
		}
		s.observe()
		return errors.Join(do(ctx, conn), conn.Close())
	})
}

// write runs do in a transaction; when it returns nil, all that do did is durable. what names the operation in errors.
func (s *Store) write(ctx context.Context, what string, do func(context.Context, *sql.Tx) error) error {
	return s.noteWrite(s.operate(ctx, what, func(ctx context.Context) error {
		tx, err := s.db.writer().BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		s.observe()
		err = do(ctx, tx)
		if err == nil {
			err = ctx.Err() // nothing was made final yet
		}
		if err != nil {
			if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) && ctx.Err() == nil {
				return errors.Join(err, fmt.Errorf("roll back: %w", undo))
			}
			return err
		}
		if err := tx.Commit(); err != nil {
			if s.db.uncertain(err) {
				return fmt.Errorf("%w: %w", ErrOutcomeUnknown, s.db.explain(err))
			}
			return err
		}
		if err := s.db.verify(); err != nil {
			return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
		}
		return nil
	}))
}

// noteWrite remembers for Ping how a write went, where that tells of the database, and returns its error.
func (s *Store) noteWrite(err error) error {
	switch {
	case err == nil:
		s.unwritten.Store(false)
	case errors.Is(err, ErrVersionConflict), errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
	default:
		s.unwritten.Store(true)
	}
	return err
}

// operate bounds an operation in time, keeps Close waiting for it, and explains its failure.
func (s *Store) operate(ctx context.Context, what string, do func(context.Context) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return fmt.Errorf("store: %s: %w", what, ErrClosed)
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	err := do(ctx)
	if err == nil {
		return nil
	}
	if over := ctx.Err(); over != nil && !errors.Is(err, over) { // drivers have their own words for it
		err = fmt.Errorf("%w: %w", over, err)
	}
	switch {
	case errors.Is(err, ErrVersionConflict) || errors.Is(err, ErrOutcomeUnknown):
		return fmt.Errorf("store: %s: %w", what, err)
	default:
		return fmt.Errorf("store: %s: %w", what, s.db.explain(err))
	}
}

// observe notes how many connections are in use.
func (s *Store) observe() { raise(&s.peak, s.db.stats().InUse) }

// raise makes a peak at least as high as n, and returns it.
func raise(peak *atomic.Int64, n int64) int64 {
	for {
		high := peak.Load()
		if n <= high {
			return high
		}
		if peak.CompareAndSwap(high, n) {
			return n
		}
	}
}

// plain is an error said in plain words, with its technical cause behind it.
type plain struct {
	text  string
	cause error
}

func (p *plain) Error() string { return p.text }
func (p *plain) Unwrap() error { return p.cause }

// inPlainWords puts words before the one-line text of a cause.
func inPlainWords(words, detail string, cause error) error {
	detail = strings.Join(strings.Fields(detail), " ") // some causes span lines
	return &plain{words + ": " + detail, cause}
}
