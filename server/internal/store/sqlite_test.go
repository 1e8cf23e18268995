package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", words)
		return
	}
	for _, want := range words {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

func TestSQLiteSettings(t *testing.T) {
	s := open(t, Options{DataDir: t.TempDir()})
	for _, pool := range []*sql.DB{s.db.writer(), s.db.reader()} {
		for pragma, want := range map[string]string{
			"journal_mode": "truncate", "synchronous": "2", "fullfsync": "1", "foreign_keys": "1", "cache_size": "-2000",
			"busy_timeout": "5000", "temp_store": "2",
		} {
			var got string
			if err := pool.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q, %v, want %q", pragma, got, err, want)
			}
		}
	}
	if _, err := s.db.reader().ExecContext(t.Context(), "DELETE FROM memwarden_write_check"); err == nil {
		t.Error("a reading connection writes")
	}
	s.db.writer().Driver() // database/sql's own use of the connector
}

func TestSQLitePlaceThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir string) string
		want    string
	}{
		"file instead of a directory": {func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "data"), nil)
			return filepath.Join(dir, "data")
		}, "data is a file"},
		"parent is a file": {func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "file"), nil)
			return filepath.Join(dir, "file", "data")
		}, "file"},
		"database is a directory": {func(t *testing.T, dir string) string {
			if err := os.Mkdir(filepath.Join(dir, fileName), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "is not a file"},
		"database is a link": {func(t *testing.T, dir string) string {
			if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, fileName)); err != nil {
				t.Skip(err)
			}
			return dir
		}, "is not a file"},
		"lock is a directory": {func(t *testing.T, dir string) string {
			if err := os.Mkdir(filepath.Join(dir, lockName), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "cannot lock the data directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), Options{DataDir: c.prepare(t, t.TempDir())})
			wantError(t, err, c.want)
		})
	}
}

func TestSQLiteDirectoryIsMadeForItsOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b ?#%20ü")
	open(t, Options{DataDir: dir})
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	for path, want := range map[string]fs.FileMode{filepath.Dir(dir): 0o700, dir: 0o700, filepath.Join(dir, fileName): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}

func TestSQLiteLooseModeIsTightened(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	write(t, path, nil)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, Options{DataDir: dir})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
}

// filled makes a database of many pages and returns its directory.
func filled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, Options{DataDir: dir})
	save(t, s, 1, 2, 3)
	rows := make([]Row, 200)
	for i := range rows {
		rows[i] = Row{Resolution: time.Second, At: noon.Add(time.Duration(i) * time.Second), Data: bytes.Repeat([]byte("memory"), 100)}
	}
	if err := s.SaveHistory(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSQLiteClosedFileIsWhole: the database's file alone is a backup.
func TestSQLiteClosedFileIsWhole(t *testing.T) {
	dir := filled(t)
	if _, err := MigrationStatus(t.Context(), Options{DataDir: dir}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, fileName+journalSuffix)); err != nil || info.Size() != 0 {
		t.Errorf("the journal is not empty: %v, %v", info, err)
	}
	if err := os.Remove(filepath.Join(dir, fileName+journalSuffix)); err != nil {
		t.Fatal(err)
	}
	if v := newestVersion(t, open(t, Options{DataDir: dir})); v != 3 {
		t.Errorf("newest is %d, want 3", v)
	}
}

// TestSQLiteWriteAheadLog: a file that an earlier release was killed over is taken up, with what is in its log alone; while
// another program has it open that way it is refused.
func TestSQLiteWriteAheadLog(t *testing.T) {
	dir := filled(t)
	path := filepath.Join(dir, fileName)
	old, err := connectSQLite(t.Context(), path, []string{"journal_mode(wal)"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.ExecContext(t.Context(), "CREATE TABLE left_in_the_log (a)", nil); err != nil {
		t.Fatal(err)
	}
	left := t.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(left, fileName+suffix), content)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = Open(ctx, Options{DataDir: dir})
	wantError(t, err, "locked by another program")
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}

	s := open(t, Options{DataDir: left})
	var mode string
	var there bool
	if err := s.db.reader().QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode); err != nil || mode != "truncate" {
		t.Errorf("the journal mode is %s, %v", mode, err)
	}
	find := "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'left_in_the_log'"
	if err := s.db.reader().QueryRowContext(t.Context(), find).Scan(&there); err != nil || !there {
		t.Errorf("what was in the log alone is lost: %v", err)
	}
	checkIntegrity(t, s)
	save(t, s, 4)
}

func TestSQLiteDamagedFile(t *testing.T) {
	damage := func(t *testing.T, do func(content []byte) []byte) string {
		dir := filled(t)
		content, err := os.ReadFile(filepath.Join(dir, fileName))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, fileName), do(content))
		return dir
	}
	t.Run("no database", func(t *testing.T) {
		dir := damage(t, func([]byte) []byte { return bytes.Repeat([]byte("no database"), 1000) })
		_, err := Open(t.Context(), Options{DataDir: dir})
		wantError(t, err, "damaged or not a database", "restore it from a backup")
		_, err = MigrationStatus(t.Context(), Options{DataDir: dir})
		wantError(t, err, "damaged or not a database")
		if content, err := os.ReadFile(filepath.Join(dir, fileName)); err != nil || !bytes.HasPrefix(content, []byte("no database")) {
			t.Errorf("the damaged file was touched: %.20q, %v", content, err)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		dir := damage(t, func(content []byte) []byte { return content[:len(content)/2] })
		_, err := Open(t.Context(), Options{DataDir: dir})
		wantError(t, err, "damaged or not a database")
	})
	t.Run("damaged inside", func(t *testing.T) {
		dir := damage(t, func(content []byte) []byte {
			copy(content[len(content)/2:], bytes.Repeat([]byte{0xaa}, 3*4096))
			return content
		})
		s := open(t, Options{DataDir: dir})
		_, err := loadRows(t.Context(), s, time.Second, time.Time{})
		wantError(t, err, "load history", "damaged or not a database")
		save(t, s, 4) // what lies elsewhere is still to be had
	})
	t.Run("damaged log", func(t *testing.T) {
		dir := filled(t)
		for _, suffix := range []string{journalSuffix, "-wal"} {
			write(t, filepath.Join(dir, fileName+suffix), bytes.Repeat([]byte("garbage"), 5000))
		}
		if v := newestVersion(t, open(t, Options{DataDir: dir})); v != 3 {
			t.Errorf("newest is %d, want 3", v)
		}
	})
	t.Run("empty", func(t *testing.T) {
		dir := damage(t, func([]byte) []byte { return nil })
		if v := newestVersion(t, open(t, Options{DataDir: dir})); v != 0 {
			t.Errorf("newest is %d, want 0", v)
		}
	})
}

// TestSQLiteFileThatGoesAndComesBack needs a system where an open file can be moved.
func TestSQLiteFileThatGoesAndComesBack(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows moves no open files")
	}
	dir := filled(t)
	path, away := filepath.Join(dir, fileName), filepath.Join(dir, "away")
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{DataDir: dir})
	save(t, s, 4)

	rename(t, path, away)
	wantError(t, s.Ping(t.Context()), "is gone: put it back")
	wantError(t, s.SaveConfig(t.Context(), change(5)), "save configuration", "is gone: put it back")
	_, err = loadRows(t.Context(), s, time.Second, noon)
	wantError(t, err, "is gone: put it back")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a new database took its place: %v", err)
	}

	rename(t, away, path)
	save(t, s, 5)
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}

	// One that goes just before a commit: what was written is in a file that nobody will find.
	err = s.write(t.Context(), "write", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE memwarden_write_check SET at_us = 1`)
		rename(t, path, away)
		return err
	})
	if wantError(t, err, "not known whether this was saved", "moved, deleted or replaced"); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("%v, want ErrOutcomeUnknown", err)
	}

	// A backup in its place is taken up without a restart, and by readers too.
	if err := os.Remove(path + journalSuffix); err != nil {
		t.Fatal(err)
	}
	write(t, path, backup)
	if v := newestVersion(t, s); v != 3 {
		t.Errorf("newest is %d, the backup's is 3", v)
	}
	save(t, s, 4)
	checkIntegrity(t, s)
}

func TestSQLiteLockedByAnotherProgram(t *testing.T) {
	dir := filled(t)
	s := open(t, Options{DataDir: dir})
	other, err := connectSQLite(t.Context(), filepath.Join(dir, fileName), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.SaveConfig(ctx, change(4)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want context.DeadlineExceeded", err)
	} else {
		wantError(t, err, "is locked by another program")
	}
	if v := newestVersion(t, s); v != 3 { // readers are not in the way
		t.Errorf("newest is %d, want 3", v)
	}
	execute(t, s, "PRAGMA busy_timeout = 1")
	wantError(t, s.SaveConfig(t.Context(), change(4)), "is locked by another program")
	if _, err := other.ExecContext(t.Context(), "ROLLBACK", nil); err != nil {
		t.Fatal(err)
	}
	save(t, s, 4)
}

func TestSQLiteSecondStore(t *testing.T) {
	o := Options{DataDir: t.TempDir()}
	s := open(t, o)
	_, err := Open(t.Context(), o)
	if wantError(t, err, "in use", "stop it or choose another data directory"); !errors.Is(err, ErrInUse) {
		t.Errorf("%v, want ErrInUse", err)
	}
	if _, err := Migrate(t.Context(), o); !errors.Is(err, ErrInUse) {
		t.Errorf("%v, want ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, o)
}

func TestSQLiteStatusMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r, err := MigrationStatus(t.Context(), Options{DataDir: dir})
	if err != nil || r.Version != 0 || r.Latest == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the status made the data directory: %v", err)
	}
}

func TestOpenIsLogged(t *testing.T) {
	var log bytes.Buffer
	at := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	s := open(t, Options{DataDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return at }})
	for _, want := range []string{"database open", "kind=sqlite", "schema_version=5", "migrations_applied=5"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s: %s", want, &log)
		}
	}
	var us []int64
	err := s.read(t.Context(), "read", func(ctx context.Context, conn *sql.Conn) error {
		us = append(us, 0)
		return conn.QueryRowContext(ctx, `SELECT at_us FROM memwarden_write_check`).Scan(&us[0])
	})
	if err != nil || !slices.Equal(us, []int64{at.UnixMicro()}) {
		t.Errorf("moment of opening: %v, %v", us, err)
	}
}
