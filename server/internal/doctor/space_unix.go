//go:build linux || darwin

package doctor

import "golang.org/x/sys/unix"

// freeBytes is what an unprivileged user may still write to the file system of a directory.
func freeBytes(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail * uint64(fs.Bsize)), nil
}
