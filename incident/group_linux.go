package incident

import (
	"io/fs"
	"syscall"
)

// fileIdentity tells a file from all others of the machine.
func fileIdentity(info fs.FileInfo) (device, inode uint64, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return uint64(stat.Dev), stat.Ino, true
}
