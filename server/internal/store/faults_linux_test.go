package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/memwarden/memwarden/internal/scratch"
)

const nobody = 65534

// asNobody prepares a child process that root's privileges do not help. The paths it needs are opened up to it.
func asNobody(t *testing.T, task string, o Options) *exec.Cmd {
	t.Helper()
	command := child(t, task, o)
	command.Dir = "/"
	if os.Geteuid() != 0 {
		return command
	}
	from, err := os.Open(command.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	program := filepath.Join(openDir(t), "store.test") // the original lies in a directory of root's
	to, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	command.Path = program
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return command
}

// openDir makes a temporary directory that every user can get to.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "store-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSQLiteWithoutPermission(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(dir string) error
		want    string
	}{
		"new database": {func(dir string) error { return os.Chmod(dir, 0o555) }, "give it to the user that runs this program"},
		"new directory": {func(dir string) error {
			return errors.Join(os.Remove(dir), os.Chmod(filepath.Dir(dir), 0o555))
		}, "cannot make the data directory"},
		"database of another user": {func(dir string) error {
			path := filepath.Join(dir, fileName)
			return errors.Join(os.WriteFile(path, nil, 0o444), os.Chmod(path, 0o444), os.Chmod(dir, 0o777))
		}, ""}, // what is said depends on who owns it
		"database that cannot be read": {func(dir string) error {
			path := filepath.Join(dir, fileName)
			return errors.Join(os.WriteFile(path, nil, 0), os.Chmod(dir, 0o777))
		}, "belong to the user that runs this program"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(openDir(t), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(dir, 0o700); os.Chmod(filepath.Dir(dir), 0o700) }) // to be removed
			output, err := asNobody(t, "open", Options{DataDir: dir}).CombinedOutput()
			if os.Geteuid() != 0 && c.want == "" {
				return // an owner's file mode is mended
			}
			if err == nil || !strings.HasPrefix(string(output), "error store: open:") || !strings.Contains(string(output), c.want) ||
				!strings.Contains(string(output), dir) {
				t.Errorf("%v: %s, want %q", err, output, c.want)
			}
		})
	}
}

// mount makes a small file system in memory.
func mount(t *testing.T, bytes int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	scratch.SmallDisk(t, dir, bytes)
	return dir
}

func TestSQLiteReadOnlyFileSystem(t *testing.T) {
	dir := mount(t, 4<<20)
	s, err := Open(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	save(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Options{DataDir: dir})
	wantError(t, err, "mounted read-only: choose another data directory")
	_, err = Open(t.Context(), Options{DataDir: filepath.Join(dir, "deeper")})
	wantError(t, err, "mounted read-only: choose another data directory")
}

// onSmallDisk is a store with one change on a disk of 4 MiB, and the name of a file that can fill it.
func onSmallDisk(t *testing.T) (s *Store, filler string) {
	t.Helper()
	dir := mount(t, 4<<20)
	s, err := Open(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the disk is unmounted
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	save(t, s, 1)
	return s, filepath.Join(dir, "filler")
}

func TestSQLiteFullDisk(t *testing.T) {
	s, filler := onSmallDisk(t)
	err := os.WriteFile(filler, make([]byte, 3<<20), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	newest := int64(1)
	for err == nil {
		big := change(newest + 1)
		big.Patch = append(append([]byte{'"'}, bytes.Repeat([]byte("x"), MaxConfigBytes-2)...), '"')
		if err = s.SaveConfig(t.Context(), big); err == nil {
			newest++
		}
	}
	wantError(t, err, "room")
	if c, _, err := s.LatestConfig(t.Context()); err != nil || c.Version != newest {
		t.Errorf("newest on the full disk is %d, %v, want %d", c.Version, err, newest)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	save(t, s, newest+1)
	checkIntegrity(t, s)
}

func TestSQLiteNewOnAFullDisk(t *testing.T) {
	dir := mount(t, 1<<20)
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20-8192), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Options{DataDir: dir})
	wantError(t, err, "room")
}

// TestSQLiteFilesAreForTheirOwner opens a database as a process would that has no umask.
func TestSQLiteFilesAreForTheirOwner(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, Options{DataDir: dir})
	save(t, s, 1)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 { // the database, its journal, the lock
		t.Fatalf("%d files, %v, want 3", len(entries), err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", entry.Name(), info.Mode(), err)
		}
	}
}

func TestSQLiteLockOfAKilledProcess(t *testing.T) {
	o := Options{DataDir: t.TempDir()}
	holder := child(t, "hold", o)
	output, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.StdinPipe(); err != nil { // stays open as long as it is to hold
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer holder.Process.Kill()
	line := make([]byte, 4)
	if _, err := io.ReadFull(output, line); err != nil || string(line) != "open" {
		t.Fatalf("child: %s, %v", line, err)
	}
	_, err = Open(t.Context(), o)
	if wantError(t, err, fmt.Sprintf("process %d holds", holder.Process.Pid)); !errors.Is(err, ErrInUse) {
		t.Errorf("%v, want ErrInUse", err)
	}
	if r, err := MigrationStatus(t.Context(), o); err != nil || r.Version != r.Latest {
		t.Errorf("status beside a running process: %+v, %v", r, err)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	holder.Wait() // "killed" is what we wanted
	save(t, open(t, o), 1)
}

// BenchmarkProcess is the time and the memory of a process that opens a database and ends.
func BenchmarkProcess(b *testing.B) {
	o := Options{DataDir: b.TempDir()}
	var grown int64
	run := func() string {
		output, err := child(b, "open", o).Output()
		if err != nil {
			b.Fatalf("%v: %s", err, output)
		}
		return string(output)
	}
	run() // makes it
	for b.Loop() {
		var before, after int64
		if _, err := fmt.Sscanf(run(), "open %d %d", &before, &after); err != nil {
			b.Fatal(err)
		}
		grown += after - before
	}
	b.ReportMetric(float64(grown)/float64(b.N), "KiB-rss/open")
}

// TestSQLiteFullDiskFailsPing: a disk that takes nothing can still be read, and the check must not call that well.
func TestSQLiteFullDiskFailsPing(t *testing.T) {
	s, filler := onSmallDisk(t)
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for v, err := int64(2), error(nil); err == nil; v++ {
		err = s.SaveConfig(t.Context(), change(v))
	}
	wantError(t, s.Ping(t.Context()), "room")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("there is room again, and the check says %v", err)
	}
}
