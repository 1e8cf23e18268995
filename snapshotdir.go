package memwarden

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/memwarden/memwarden/heap/archive"
)

// ownDir is the directory of snapshots that nobody has set.
type ownDir struct {
	mu      sync.Mutex
	kept    *archive.Archive // nil: it was not needed yet
	release func() error
}

// ownSnapshots are those in a directory of the program's own, from when leak detection is first allowed to take any.
func (w *Warden) ownSnapshots() (*archive.Archive, error) {
	d := &w.ownDir
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.kept != nil:
		return d.kept, nil
	case !w.config.config().Leaks.Snapshots:
		return nil, ErrNoSnapshotDir
	case w.stopped():
		return nil, ErrClosed
	}
	dir, release, err := ownSnapshotDir(os.TempDir(), programName())
	if err != nil {
		return nil, fmt.Errorf("%w: no directory is set, and there can be none among temporary files: %w", ErrSnapshotDir, err)
	}
	kept, err := w.openSnapshots(dir)
	if err != nil {
		_ = release() // of a lock there is nothing to lose
		return nil, err
	}
	d.kept, d.release = kept, release
	w.o.Logger.Info("memory heap snapshots of leaks are kept among temporary files (MEMWARDEN_SNAPSHOT_DIR sets another directory)", "directory", dir)
	return kept, nil
}

// close gives the directory back. What is in it stays.
func (d *ownDir) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.release == nil {
		return nil
	}
	release := d.release
	d.release = nil
	return release()
}

// programName is that of the program's file, as far as it can be part of another file's name.
func programName() string {
	path, err := os.Executable()
	if err != nil {
		path = "program"
	}
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c) {
			return c
		}
		return '_'
	}, filepath.Base(path))
	return name[:min(len(name), 64)]
}
