//go:build !linux

package incident

import "io/fs"

// fileIdentity is not known: there are no control groups.
func fileIdentity(fs.FileInfo) (device, inode uint64, ok bool) { return 0, 0, false }
