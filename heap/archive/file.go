package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// temporary ends the names of files that are being written.
const temporary = ".partial"

// File is a file that is being written. It stands under a temporary name beside its final one until Commit, so that
// nobody ever meets half of it: neither a reader nor whoever comes after a crash.
type File struct {
	*os.File

	path string
	done bool
}

// CreateFile begins a file that will be called path, readable by its owner alone. End it with Commit or Discard.
func CreateFile(path string) (*File, error) {
	dir, base := filepath.Split(path)
	if base == "" || base == "." || base == ".." {
		return nil, fmt.Errorf("archive: %q does not name a file", path)
	}
	if dir == "" {
		dir = "."
	}
	file, err := os.CreateTemp(dir, "."+base+".*"+temporary) // mode 0600
	if err != nil {
		return nil, fmt.Errorf("archive: create %s: %w", path, err)
	}
	return &File{File: file, path: path}, nil
}

// Commit makes what was written durable and gives the file its name, in place of a file that had it. After an error
// nothing is left.
func (f *File) Commit() error {
	if f.done {
		return fmt.Errorf("archive: %s has been ended: %w", f.path, fs.ErrClosed)
	}
	f.done = true
	err := errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("archive: write %s: %w", f.path, errors.Join(err, remove(f.Name())))
	}
	return syncDirectory(filepath.Dir(f.path))
}

// Discard throws away what was written. After Commit, or a second time, it does nothing.
func (f *File) Discard() error {
	if f.done {
		return nil
	}
	f.done = true
	return errors.Join(f.Close(), remove(f.Name()))
}

// remove removes a file; that it has gone already is no error.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDirectory makes the entries of a directory durable, where the system can.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	// File systems that cannot, and Windows, whose file systems keep a journal of their entries.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	return errors.Join(err, dir.Close())
}
