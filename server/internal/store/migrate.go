package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrationFiles embed.FS

const (
	migrationTable = "memwarden_migrations"
	// migrationLock is the PostgreSQL advisory lock that lets one process migrate at a time: the letters of "memward".
	migrationLock int64 = 0x6d656d77617264
	// A process waits for another one's migration so many periods (of a second each).
	lockPeriodSeconds, lockPeriods = 1, 300
)

// Migration is one step of the schema.
type Migration struct {
	Version   int64     `json:"version"`
	Name      string    `json:"name"` // file name
	Applied   bool      `json:"applied"`
	AppliedAt time.Time `json:"applied_at,omitzero"`
}

// MigrationReport tells where the schema stands.
type MigrationReport struct {
	Database   string      `json:"database"`   // kind and place, without a password
	Before     int64       `json:"before"`     // schema version found; 0 is an empty database
	Version    int64       `json:"version"`    // schema version now
	Latest     int64       `json:"latest"`     // schema version that this program brings
	Applied    []string    `json:"applied"`    // names of the migrations applied by this call
	Migrations []Migration `json:"migrations"` // all that this program knows, oldest first
}

// Migrate brings the schema up to date and reports what it did. Each migration is a transaction of its own; one that
// fails leaves nothing behind. An SQLite database must not be in use by a server meanwhile (ErrInUse); of several
// processes that migrate a PostgreSQL database, one does it and the others wait.
func Migrate(ctx context.Context, o Options) (MigrationReport, error) {
	o, err := o.validate()
	if err != nil {
		return MigrationReport{}, fmt.Errorf("store: migrate: %w", err)
	}
	db, err := connect(ctx, o)
	if err != nil {
		return MigrationReport{}, fmt.Errorf("store: migrate: %w", err)
	}
	report, err := migrate(ctx, db, true)
	if err := errors.Join(err, db.close()); err != nil {
		return report, fmt.Errorf("store: migrate: %w", err)
	}
	return report, nil
}

// MigrationStatus reports where the schema stands and changes nothing. It may be used beside a running server.
func MigrationStatus(ctx context.Context, o Options) (MigrationReport, error) {
	o, err := o.validate()
	if err != nil {
		return MigrationReport{}, fmt.Errorf("store: migration status: %w", err)
	}
	report, err := migrationStatus(ctx, o)
	if err != nil {
		return report, fmt.Errorf("store: migration status: %w", err)
	}
	return report, nil
}

func migrationStatus(ctx context.Context, o Options) (MigrationReport, error) {
	var db database
	var err error
	if o.DatabaseURL != "" {
		db, err = openPostgres(ctx, o)
	} else {
		db, err = inspectSQLite(ctx, o)
		if errors.Is(err, fs.ErrNotExist) { // no database yet: all is still to be done
			report := MigrationReport{Database: kindSQLite + ": " + filepath.Join(o.DataDir, fileName), Applied: []string{}}
			err = report.list(kindSQLite)
			return report, err
		}
	}
	if err != nil {
		return MigrationReport{}, err
	}
	report, err := migrate(ctx, db, false)
	return report, errors.Join(err, db.close())
}

// migrate reports where the schema stands after having brought it up to date, if it may.
func migrate(ctx context.Context, db database, apply bool) (MigrationReport, error) {
	report, err := inspect(ctx, db)
	if err != nil || !apply || report.Version == report.Latest {
		return report, err
	}
	provider, err := newProvider(db)
	if err != nil {
		return report, err
	}
	results, err := provider.Up(ctx)
	if partial := (*goose.PartialError)(nil); errors.As(err, &partial) {
		return report, fmt.Errorf("migration %s failed and was undone: %w", path.Base(partial.Failed.Source.Path), db.explain(partial.Err))
	}
	if err != nil {
		return report, db.explain(err)
	}
	before := report.Before
	report, err = inspect(ctx, db)
	report.Before = before
	for _, result := range results {
		report.Applied = append(report.Applied, path.Base(result.Source.Path))
	}
	return report, err
}

// inspect reads where the schema stands. It fails with ErrNewerSchema where the database knows more than this program.
func inspect(ctx context.Context, db database) (MigrationReport, error) {
	report := MigrationReport{Database: db.kind() + ": " + db.name(), Applied: []string{}}
	if err := report.list(db.kind()); err != nil {
		return report, err
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	if err := report.readApplied(ctx, db); err != nil {
		return report, db.explain(err)
	}
	report.Before = report.Version
	if report.Version > report.Latest {
		return report, fmt.Errorf("%w: %s is at schema version %d, this program knows up to %d: use the release that wrote it, or a newer one",
			ErrNewerSchema, report.Database, report.Version, report.Latest)
	}
	return report, nil
}

// list fills in the migrations that this program brings.
func (r *MigrationReport) list(kind string) error {
	names, err := fs.Glob(migrationFiles, "migrations/"+kind+"/*.sql") // in lexical order, which is that of versions
	if err != nil {
		return err
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return err
		}
		r.Migrations = append(r.Migrations, Migration{Version: version, Name: path.Base(name)})
		r.Latest = version
	}
	return nil
}

// readApplied fills in which migrations the database has.
func (r *MigrationReport) readApplied(ctx context.Context, db database) (err error) {
	conn, err := db.reader().Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var exists bool
	if err := conn.QueryRowContext(ctx, db.migrationsExist(), migrationTable).Scan(&exists); err != nil || !exists {
		return err
	}
	table, err := goosedb.NewStore(dialectOf(db), migrationTable)
	if err != nil {
		return err
	}
	if r.Version, err = table.GetLatestVersion(ctx, conn); err != nil {
		return err
	}
	for i := range r.Migrations {
		m := &r.Migrations[i]
		found, err := table.GetMigration(ctx, conn, m.Version)
		switch {
		case errors.Is(err, goosedb.ErrVersionNotFound):
		case err != nil:
			return err
		default:
			m.Applied, m.AppliedAt = found.IsApplied, found.Timestamp.UTC()
		}
	}
	return nil
}

func newProvider(db database) (*goose.Provider, error) {
	files, err := fs.Sub(migrationFiles, "migrations/"+db.kind())
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{
		goose.WithTableName(migrationTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()),
	}
	if db.kind() == kindPostgres { // a data directory is locked as a whole
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(lockPeriodSeconds, lockPeriods))
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(dialectOf(db), db.writer(), files, options...)
}

func dialectOf(db database) goosedb.Dialect {
	if db.kind() == kindPostgres {
		return goosedb.DialectPostgres
	}
	return goosedb.DialectSQLite3
}
