//go:build unix

package memstat

import (
	"io/fs"
	"os"
	"syscall"
)

// openFile opens a file for reading. os.Open would register kernel files that can be polled, all of a cgroup's, with
// the runtime's network poller, which would then wake up whenever the kernel announces a change in one of them.
func openFile(path string) (*os.File, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), nil
		case syscall.EINTR:
			continue
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
}
