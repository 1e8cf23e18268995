//go:build linux

package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/memwarden/memwarden/internal/scratch"
	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// immutableFlag is FS_IMMUTABLE_FL of linux/fs.h.
const immutableFlag = 0x10

// diskBytes is room for the database and not for much more.
const diskBytes = 24 << 20

// smallDisk mounts a file system in memory. It is unmounted after the service has ended.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = servicetest.OpenDir(t)
	scratch.SmallDisk(t, dir, diskBytes)
	return dir
}

// takesNothing: nothing can be written, so that nothing is accepted.
var takesNothing = level("database", "down")

func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	full := filler{name: filepath.Join(dir, "filler")}
	suffer(t, servicetest.Setup{Env: map[string]string{"DATA_DIR": filepath.Join(dir, "data")}}, func(*servicetest.Service) fault {
		return fault{
			name: "disk full", done: "the disk is filled to the last byte, then room made",
			begin: func() { full.begin(t) }, seen: takesNothing, says: "database down", end: func() { full.end() },
		}
	})
}

// filler keeps a disk full: what the database gives up of it, as when it removes a journal, is taken at once.
type filler struct {
	name string
	end  func()
}

func (f *filler) begin(t *testing.T) {
	t.Helper()
	file, err := os.Create(f.name)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, file)
	stop := make(chan struct{})
	var filling sync.WaitGroup
	filling.Go(func() {
		for ticker := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-ticker.C:
				fill(t, file)
			case <-stop:
				ticker.Stop()
				return
			}
		}
	})
	f.end = sync.OnceFunc(func() {
		close(stop)
		filling.Wait()
		if err := errors.Join(file.Close(), os.Remove(f.name)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(f.end) // also where the fault was not seen
}

// fill writes until there is no room.
func fill(t *testing.T, file *os.File) {
	t.Helper()
	for size := 64 << 10; size > 0; {
		if _, err := file.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Errorf("fill the disk: %v", err)
			return
		}
	}
}

// TestQuota bounds the size of files, as a quota does, which takes no privilege.
func TestQuota(t *testing.T) {
	t.Parallel()
	suffer(t, servicetest.Setup{}, func(s *servicetest.Service) fault {
		limit := func(bytes uint64) {
			old := unix.Rlimit{}
			pid := s.Command.Process.Pid
			err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &old)
			if err == nil {
				err = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: min(bytes, old.Max), Max: old.Max}, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return fault{
			name: "quota exceeded", done: "no file may be longer than 16 KiB (RLIMIT_FSIZE), then as long as before",
			begin: func() { limit(16 << 10) }, end: func() { limit(unix.RLIM_INFINITY) }, seen: takesNothing, says: "database down",
		}
	})
}

// TestDiskReadOnly has the kernel refuse all writes to the data directory, also to those who have its files open. A mount
// with open files cannot be made read-only, so each file is made immutable.
func TestDiskReadOnly(t *testing.T) {
	t.Parallel()
	dir := servicetest.OpenDir(t)
	if err := immutable(dir, true); err != nil {
		t.Skipf("NOT TESTED ON A READ-ONLY DISK: no file can be made immutable here, which takes root and ext4, xfs, btrfs or tmpfs: %v", err)
	}
	data := filepath.Join(dir, "data")
	if err := immutable(dir, false); err != nil {
		t.Fatal(err)
	}
	suffer(t, servicetest.Setup{Env: map[string]string{"DATA_DIR": data}}, func(*servicetest.Service) fault {
		t.Cleanup(func() { setTree(t, data, false) }) // however the test ends
		return fault{
			name: "disk read-only", done: "all files of the data directory immutable, also for those who have them open",
			begin: func() { setTree(t, data, true) }, end: func() { setTree(t, data, false) }, seen: takesNothing, says: "database down",
		}
	})
}

// setTree sets or clears the attribute of all that is in a directory.
func setTree(t *testing.T, dir string, on bool) {
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && (entry.IsDir() || entry.Type().IsRegular()) {
			err = immutable(path, on)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// immutable sets or clears the attribute that chattr calls i.
func immutable(path string, on bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return fmt.Errorf("read the attributes of %s: %w", path, err)
	}
	if flags &^= immutableFlag; on {
		flags |= immutableFlag
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags)); err != nil {
		return fmt.Errorf("set the attributes of %s: %w", path, err)
	}
	return nil
}
