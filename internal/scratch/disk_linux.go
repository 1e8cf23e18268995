package scratch

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// SmallDisk mounts a file system of so many bytes in memory at a directory that is there, until the end of the test. Where
// that is not allowed, as to all but root, the test is skipped; in CI it fails.
func SmallDisk(t testing.TB, dir string, bytes int) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		const left = "NOT TESTED ON A FULL DISK: a file system cannot be mounted here, which takes root: %v"
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI=true: nothing may be left out: "+left, err)
		}
		t.Skipf(left, err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
}
