//go:build linux || darwin

package archive

import "syscall"

// FreeBytes is what an unprivileged user may still write to the file system of a directory. On systems that it does not
// know the error wraps errors.ErrUnsupported.
func FreeBytes(dir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil
}
