package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
)

const (
	kindSQLite = "sqlite"
	fileName   = "memwarden.db"
	lockName   = "memwarden.lock"
	// journalSuffix is that of the file beside the database's.
	journalSuffix = "-journal"
	// SQLite takes one writer at a time; readers beside it are cheap, but each holds a cache of its own.
	maxReaders, maxIdleReaders = 4, 1
)

// pragmas are set on every connection. The cache is 2 MB; sorting happens in memory, because the directory for temporary
// files of a hardened container takes none. On macOS only fullfsync reaches the disk.
//
// What a transaction overwrites is kept in a rollback journal. A write-ahead log would be twice as fast, but SQLite maps the
// index of one: on a disk that is full, or that the kernel takes for read-only, to write there is no error but a signal that
// ends the process.
var pragmas = []string{
	"busy_timeout(5000)", "journal_mode(truncate)", "synchronous(full)", "fullfsync(1)", "foreign_keys(1)", "cache_size(-2000)", "temp_store(memory)",
	"trusted_schema(0)",
}

// sqliteDB is an SQLite file with one writing and a few reading connections.
type sqliteDB struct {
	path  string
	write *sql.DB
	read  *sql.DB
	lock  *os.File // nil when only inspecting
	// written is the file that the writing connection has open.
	written atomic.Pointer[fileIdentity]
}

type fileIdentity struct{ info os.FileInfo }

// openSQLite makes and locks the data directory and opens the database in it, new if it is not there.
func openSQLite(ctx context.Context, o Options) (*sqliteDB, error) {
	dir, err := prepareDirectory(o.DataDir)
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, explainFile("lock the data directory "+dir, err)
	}
	db := newSQLite(filepath.Join(dir, fileName))
	db.lock = lock
	if err := db.prepareFile(o.Logger); err != nil {
		return nil, errors.Join(err, db.close())
	}
	if err := db.useJournal(ctx, o.Logger); err != nil {
		return nil, errors.Join(db.explain(err), db.close())
	}
	return db, nil
}

// inspectSQLite opens an existing database beside a process that may be using it. It fails with fs.ErrNotExist where
// there is none.
func inspectSQLite(_ context.Context, o Options) (*sqliteDB, error) {
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fileName)
	if _, err := os.Stat(path); err != nil {
		return nil, explainFile("read the database "+path, err)
	}
	return newSQLite(path), nil
}

func newSQLite(path string) *sqliteDB {
	db := &sqliteDB{path: path}
	db.write = sql.OpenDB(&connector{db: db, pragmas: pragmas, writes: true})
	db.write.SetMaxOpenConns(1)
	readOnly := append([]string{"query_only(1)"}, pragmas...)
	db.read = sql.OpenDB(&connector{db: db, pragmas: readOnly})
	db.read.SetMaxOpenConns(maxReaders)
	db.read.SetMaxIdleConns(maxIdleReaders)
	return db
}

// prepareFile makes an empty database file if there is none, and takes an existing one from everybody but its owner.
func (db *sqliteDB) prepareFile(logger *slog.Logger) error {
	info, err := os.Lstat(db.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return touch(db.path)
	case err != nil:
		return explainFile("open the database "+db.path, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("the database %s is not a file: move it away or choose another data directory", db.path)
	case info.Mode().Perm()&0o077 != 0:
		if err := os.Chmod(db.path, 0o600); err != nil { // a file system may know no modes
			logger.Warn("others may read the database: its mode cannot be changed", "file", db.path, "error", err)
		}
	}
	return nil
}

// useJournal sees that the file is not one with a write-ahead log, as earlier releases had: that stays with a file as long as
// another program has it open. And it takes the journal from everybody but its owner: SQLite removes that of a file without a
// page, whatever mode it had, and makes another for all to read, so a new file gets its first page here.
func (db *sqliteDB) useJournal(ctx context.Context, logger *slog.Logger) error {
	var mode string
	if err := db.write.QueryRowContext(ctx, "PRAGMA journal_mode = truncate").Scan(&mode); err != nil {
		return err
	}
	if mode != "truncate" {
		return fmt.Errorf("it keeps its journal mode %q, because another program has it open: close that", mode)
	}
	if _, err := db.write.ExecContext(ctx, "PRAGMA user_version = 0"); err != nil {
		return err
	}
	if err := os.Chmod(db.path+journalSuffix, 0o600); err != nil {
		logger.Warn("others may read the database's journal: its mode cannot be changed", "file", db.path+journalSuffix, "error", err)
	}
	return nil
}

func (db *sqliteDB) kind() string    { return kindSQLite }
func (db *sqliteDB) name() string    { return db.path }
func (db *sqliteDB) writer() *sql.DB { return db.write }
func (db *sqliteDB) reader() *sql.DB { return db.read }
func (db *sqliteDB) migrationsExist() string {
	return "SELECT count(*) > 0 FROM sqlite_schema WHERE name = $1"
}

// uncertain is false: a commit that fails is rolled back by SQLite.
func (db *sqliteDB) uncertain(error) bool { return false }

// verify fails if the file that was written to is no longer the one at the database's path.
func (db *sqliteDB) verify() error {
	if written := db.written.Load(); written == nil || !db.isAt(written.info) {
		return fmt.Errorf("the database file %s was moved, deleted or replaced while it was written to", db.path)
	}
	return nil
}

// isAt reports whether an open file is the one at the database's path.
func (db *sqliteDB) isAt(open os.FileInfo) bool {
	now, err := os.Stat(db.path)
	return err == nil && os.SameFile(open, now)
}

// SQLite's primary result codes that have a cause outside of this program.
const (
	sqliteBusy     = 5
	sqliteReadOnly = 8
	sqliteIOError  = 10
	sqliteCorrupt  = 11
	sqliteFull     = 13
	sqliteCantOpen = 14
	sqliteNotADB   = 26
)

func (db *sqliteDB) explain(err error) error {
	var done *plain
	if errors.As(err, &done) {
		return err
	}
	words := "the database " + db.path
	switch code, _ := sqliteCode(err); code {
	case sqliteBusy:
		words += " is locked by another program: close it"
	case sqliteReadOnly:
		words += " cannot be written: give the file and its directory to the user that runs this program, on a disk mounted for writing"
	case sqliteIOError:
		words += " cannot be read or written: check its disk and the room left on it"
	case sqliteCorrupt, sqliteNotADB:
		words += " is damaged or not a database: restore it from a backup, or move it away (with its " + journalSuffix + " file) to begin anew"
	case sqliteFull:
		words += " has no room to grow: free space on its disk"
	case sqliteCantOpen:
		words += " cannot be opened: check that it and its directory are there and belong to the user that runs this program"
	default:
		switch {
		case errors.Is(err, fs.ErrNotExist):
			words += " is gone: put it back, or restart to begin with an empty one"
		case errors.Is(err, fs.ErrPermission):
			words += " cannot be opened: give it and its directory to the user that runs this program"
		case errors.Is(err, context.DeadlineExceeded):
			words += " did not answer in time"
		}
	}
	return inPlainWords(words, err.Error(), err)
}

func (db *sqliteDB) stats() PoolStats {
	w, r := db.write.Stats(), db.read.Stats()
	return PoolStats{
		Kind:        kindSQLite,
		Max:         int64(w.MaxOpenConnections + r.MaxOpenConnections),
		InUse:       int64(w.InUse + r.InUse),
		Idle:        int64(w.Idle + r.Idle),
		Open:        int64(w.OpenConnections + r.OpenConnections),
		Waits:       w.WaitCount + r.WaitCount,
		WaitSeconds: (w.WaitDuration + r.WaitDuration).Seconds(),
	}
}

// close closes the writing connection last.
func (db *sqliteDB) close() error {
	err := errors.Join(db.read.Close(), db.write.Close())
	if db.lock != nil {
		err = errors.Join(err, db.lock.Close()) // which releases it
	}
	return err
}

// connector makes the connections of a pool.
type connector struct {
	db      *sqliteDB
	pragmas []string
	writes  bool
}

// Connect opens the database, which must be there. SQLite would make its journal readable for all.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	info, err := os.Stat(c.db.path)
	if err != nil {
		return nil, err
	}
	if err := touch(c.db.path + journalSuffix); err != nil {
		return nil, err
	}
	conn, err := connectSQLite(ctx, c.db.path, c.pragmas)
	if err != nil {
		return nil, err
	}
	if c.writes {
		c.db.written.Store(&fileIdentity{info})
	}
	return &connection{conn, c.db, info}, nil
}

// Driver serves database/sql's DB.Driver, which nobody here calls.
func (c *connector) Driver() driver.Driver { return nil }

// connection is used only as long as its file is the one at the database's path: a database that was deleted, restored
// or replaced is noticed, and the one that is there now is opened.
type connection struct {
	sqliteConn
	db   *sqliteDB
	info os.FileInfo
}

// ResetSession is called before the connection is used again.
func (c *connection) ResetSession(context.Context) error {
	if !c.db.isAt(c.info) {
		return driver.ErrBadConn
	}
	return nil
}
