//go:build linux

package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/memwarden/memwarden/server/internal/servicetest"
)

// diskBytes is room for the database and not for much more.
const diskBytes = 24 << 20

// smallDisk mounts a file system in memory. It is unmounted after the service has ended.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = servicetest.OpenDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		t.Skipf("NOT TESTED ON A FULL DISK: a file system cannot be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// takesNothing: nothing can be written, so that nothing is accepted.
var takesNothing = level("database", "down")

func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	filler := filepath.Join(dir, "filler")
	suffer(t, servicetest.Setup{Env: map[string]string{"DATA_DIR": filepath.Join(dir, "data")}}, func(*servicetest.Service) fault {
		return fault{
			name: "disk full", done: "the disk is filled to the last byte, then room made",
			begin: func() { fill(t, filler) }, seen: takesNothing, says: "database down",
			end: func() {
				if err := os.Remove(filler); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

// fill writes until there is no room.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
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
