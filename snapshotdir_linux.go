package memwarden

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// mostOwnDirs is how many processes of one program may have a directory of their own for snapshots at one time.
const mostOwnDirs = 16

// ownSnapshotDir returns a directory for the snapshots of this process below one that is the user's and the program's,
// memwarden-PROGRAM-UID among temporary files, and what gives it back. The kernel does when the process ends, however it
// ends, and the next process of the program takes the directory over with what is in it: so there are no more of them than
// processes that ran at one time. A directory that somebody else has made there is refused.
func ownSnapshotDir(temporary, program string) (dir string, release func() error, err error) {
	parent := filepath.Join(temporary, "memwarden-"+program+"-"+strconv.Itoa(os.Geteuid()))
	if err := makeOwnDir(parent); err != nil {
		return "", nil, err
	}
	for n := range mostOwnDirs {
		dir := filepath.Join(parent, strconv.Itoa(n+1))
		lock, err := os.OpenFile(dir+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return "", nil, fmt.Errorf("lock a directory: %w", err)
		}
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			err = makeOwnDir(dir)
		}
		if err == nil {
			return dir, lock.Close, nil
		}
		if closed := lock.Close(); !errors.Is(err, syscall.EWOULDBLOCK) || closed != nil {
			return "", nil, errors.Join(fmt.Errorf("take %s: %w", dir, err), closed)
		}
	}
	return "", nil, fmt.Errorf("%d processes of this program have directories in %s already: set one for this process", mostOwnDirs, parent)
}

// makeOwnDir makes a directory for its owner only, or sees that one that is there is no link and this user's, and takes it
// from everybody else.
func makeOwnDir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !known || int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is no directory of this user's: somebody else has made it: remove it, or set another", path)
	}
	if info.Mode().Perm() != 0o700 {
		return os.Chmod(path, 0o700)
	}
	return nil
}
