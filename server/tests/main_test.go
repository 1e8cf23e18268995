//go:build unix

// Package tests looks at the service from outside: it builds the program, runs it beside real databases and asks it over
// HTTP. What needs the inside is tested beside the code.
package tests

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/memwarden/memwarden/internal/testprogram"
)

// built is the directory of the program under test, which any user may run.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "memwarden-tests-"); err == nil {
		err = os.Chmod(built, 0o755)
	}
	if err == nil { // the tests wait more than they work; the command line still has the last word
		err = flag.Set("test.parallel", "6")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(built)
		testprogram.RemoveAll()
		os.Exit(code)
	}))
}

// version is what the program under test calls itself.
const version = "v9.8.7-test"

// program builds the service once, with the race detector if the tests have it, and returns its path.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "memwarden")
	arguments := []string{"build", "-ldflags", "-X main.version=" + version, "-o", path}
	if raceDetector {
		arguments = append(arguments, "-race")
	}
	build := exec.Command("go", append(arguments, "../cmd/memwarden")...)
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return path, nil
})
