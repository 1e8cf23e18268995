package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// errorSharingViolation is what Windows answers when another handle excludes this one.
const errorSharingViolation syscall.Errno = 32

// lockFile opens a file for this process alone. Windows closes it when the process ends, however it ends.
func lockFile(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS,
		syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, fmt.Errorf("%w: another process holds %s: stop it or choose another data directory", ErrInUse, path)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

// syncDirectory has nothing to do: the file systems of Windows keep a journal of their entries.
func syncDirectory(string) error { return nil }
