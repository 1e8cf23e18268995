package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// prepareDirectory makes the data directory if it is not there, and returns its path without symbolic links.
func prepareDirectory(dir string) (string, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := makeDirectory(path); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// makeDirectory makes a directory and its parents for the owner only, and sees to it that they survive a power loss.
func makeDirectory(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("the data directory %s is a file: move it away or choose another data directory", path)
	case !errors.Is(err, fs.ErrNotExist):
		return explainFile("use the data directory "+path, err)
	}
	if err := makeDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return explainFile("make the data directory "+path, err)
	}
	return syncDirectory(filepath.Dir(path))
}

// touch makes an empty file for its owner only, unless it is there.
func touch(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return explainFile("open "+path, err)
	}
	return file.Close()
}

// explainFile says what to do about the failure of an operation on a file.
func explainFile(operation string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, ErrInUse):
		return err
	case errors.Is(err, fs.ErrPermission):
		advice = ": give it to the user that runs this program"
	case errors.Is(err, syscall.EROFS):
		advice = ": its file system is mounted read-only: choose another data directory"
	case errors.Is(err, syscall.ENOSPC):
		advice = ": free space on its disk"
	case errors.Is(err, syscall.ENOTDIR):
		advice = ": a part of its path is a file: choose another data directory"
	}
	return inPlainWords("cannot "+operation+advice, err.Error(), err)
}
