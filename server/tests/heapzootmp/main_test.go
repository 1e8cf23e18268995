//go:build linux

// Package heapzoo looks at heap snapshots from outside: it builds programs that retain a known amount in a known way, and
// programs that no one here wrote, with the toolchains and build modes that users have, takes snapshots of them with the
// command line, and holds what it says against what is so.
package heapzoo

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// long asks for every toolchain, build mode and program.
var long = flag.Bool("long", false, "test every toolchain and build mode, and large programs")

// built is the directory of the programs.
var built string

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if built, err = os.MkdirTemp("", "memwarden-heapzoo-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(built)
		os.Exit(code)
	}))
}

// memwarden builds the program under test once and returns its path.
var memwarden = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "memwarden")
	if output, err := exec.Command("go", "build", "-o", path, "../../cmd/memwarden").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return path, nil
})
