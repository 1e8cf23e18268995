package incident

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// syncFile makes a file, or the entries of a directory, durable, where the system can.
func syncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	err = file.Sync()
	// File systems that cannot, and Windows, which does it only for who may write.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	return errors.Join(err, file.Close())
}
