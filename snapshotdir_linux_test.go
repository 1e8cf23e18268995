package memwarden

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestOwnSnapshotDir: for its owner only, one for each process of a program, and taken over by the next.
func TestOwnSnapshotDir(t *testing.T) {
	temporary := t.TempDir()
	take := func() (string, func() error) {
		t.Helper()
		dir, release, err := ownSnapshotDir(temporary, "shop")
		if err != nil {
			t.Fatal(err)
		}
		return dir, release
	}
	first, release := take()
	parent := filepath.Join(temporary, "memwarden-shop-"+strconv.Itoa(os.Geteuid()))
	for _, dir := range []string{parent, first} {
		if info, err := os.Stat(dir); err != nil || info.Mode() != os.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	if first != filepath.Join(parent, "1") {
		t.Error(first)
	}
	second, releaseSecond := take()
	if second == first {
		t.Errorf("two have %s at once", first)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(first, 0o755); err != nil {
		t.Fatal(err)
	}
	again, release := take()
	if info, err := os.Stat(again); again != first || err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s after %s, %v, %v", again, first, info.Mode(), err)
	}
	all := []func() error{release, releaseSecond}
	for range mostOwnDirs - 2 {
		_, release := take()
		all = append(all, release)
	}
	if dir, _, err := ownSnapshotDir(temporary, "shop"); err == nil || !strings.Contains(err.Error(), "16 processes") {
		t.Errorf("one more has %s, %v", dir, err)
	}
	for _, release := range all {
		if err := release(); err != nil {
			t.Error(err)
		}
	}
}

// TestOwnSnapshotDirOfOthers: what somebody else has put there is not used.
func TestOwnSnapshotDirOfOthers(t *testing.T) {
	elsewhere := t.TempDir()
	for name, occupy := range map[string]func(path string) error{
		"a link":            func(path string) error { return os.Symlink(elsewhere, path) },
		"a file":            func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"another user's":    func(path string) error { return errors.Join(os.Mkdir(path, 0o777), os.Chown(path, 1, 1)) },
		"a link to nowhere": func(path string) error { return os.Symlink(filepath.Join(elsewhere, "none"), path) },
		"a link in its place": func(path string) error {
			return errors.Join(os.Mkdir(path, 0o700), os.Symlink(elsewhere, filepath.Join(path, "1")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			temporary := t.TempDir()
			path := filepath.Join(temporary, "memwarden-shop-"+strconv.Itoa(os.Geteuid()))
			if err := occupy(path); errors.Is(err, os.ErrPermission) {
				t.Skip("only root can give a directory to another user")
			} else if err != nil {
				t.Fatal(err)
			}
			if dir, _, err := ownSnapshotDir(temporary, "shop"); err == nil || !strings.Contains(err.Error(), "somebody else has made it") {
				t.Errorf("%s, %v", dir, err)
			}
			if files, err := os.ReadDir(elsewhere); err != nil || len(files) != 0 {
				t.Errorf("%v was written elsewhere, %v", files, err)
			}
		})
	}
}

// TestSnapshotsThatAreAllowedLater are kept in a directory of the program's own, from then on.
func TestSnapshotsThatAreAllowedLater(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	w := begin(t, Options{})
	if _, err := w.Snapshots(); !errors.Is(err, ErrNoSnapshotDir) {
		t.Errorf("before: %v", err)
	}
	if files, err := os.ReadDir(temporary); err != nil || len(files) != 0 {
		t.Errorf("there is %v, %v", files, err)
	}
	if _, err := w.PatchConfig(t.Context(), ConfigPatch{Actor: "test", Patch: []byte(`{"leaks":{"snapshots":true}}`)}); err != nil {
		t.Fatal(err)
	}
	record, err := w.StoreSnapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found, err := filepath.Glob(filepath.Join(temporary, "memwarden-"+programName()+"-*", "1", record.ID+".snapshot")); len(found) != 1 || err != nil {
		t.Errorf("the snapshot is not there: %v, %v", found, err)
	}
	if u := ownerOf(w, "heap_snapshots"); u.Usage.Entries != 1 || u.Usage.MaxEntries != 5 {
		t.Errorf("%+v", u)
	}
	other := begin(t, Options{Config: ofSeconds()}) // another process has a directory of its own
	if kept, err := other.Snapshots(); err != nil || len(kept.List()) != 0 {
		t.Errorf("%v", err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := begin(t, Options{Config: ofSeconds()}) // what is kept outlives the process
	if kept, err := next.Snapshots(); err != nil || len(kept.List()) != 1 {
		t.Errorf("%v", err)
	}

	refused := t.TempDir()
	t.Setenv("TMPDIR", filepath.Join(refused, "none"))
	if _, err := begin(t, Options{Config: ofSeconds()}).Snapshots(); !errors.Is(err, ErrSnapshotDir) || !strings.Contains(err.Error(), "none") {
		t.Errorf("%v", err)
	}
}

func ownerOf(w *Warden, name string) (found OwnerUsage) {
	for _, u := range w.owners.usage(nil) {
		if u.Name == name {
			found = u
		}
	}
	return found
}
