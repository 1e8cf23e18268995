// Package scratch gives tests directories in memory, for databases that they write much to: on a disk each commit waits for
// it, which some take a hundred times as long for as others. Processes may be killed all the same, because files outlive
// them in either place; what survives a failing machine no test here can show. And it gives them disks that are soon full.
//
// It knows file systems, and nothing of what is kept there. internal/pgtest and the tests of stores stand above.
package scratch

import (
	"os"
	"testing"
)

// least is how much must be free in memory, in bytes.
const least = 2 << 30

// Parent is the directory for os.MkdirTemp that lies in memory, or "", the usual one, where there is none with room, or
// TMPDIR says where temporary files are to be.
func Parent() string {
	if os.Getenv("TMPDIR") != "" {
		return ""
	}
	return parent("/dev/shm")
}

// Dir makes a directory that is removed at the end of the test.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(Parent(), "scratch-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("scratch: %v", err)
	}
}
