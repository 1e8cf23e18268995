//go:build !linux

package memwarden

// ownSnapshotDir has none: no snapshots are taken here.
func ownSnapshotDir(string, string) (dir string, release func() error, err error) {
	return "", nil, ErrNoSnapshotDir
}
