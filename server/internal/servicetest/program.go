//go:build unix

package servicetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/memwarden/memwarden/internal/testprogram"
)

// Version is what the program under test calls itself.
const Version = "v9.8.7-test"

// Dir makes, once, the directory of the programs that a test binary builds, which any user may run.
var Dir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "memwarden-tests-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
})

// program builds the service once, with the race detector if the tests have it, and returns its path.
var program = sync.OnceValues(func() (string, error) {
	dir, err := Dir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "memwarden")
	arguments := []string{"build", "-ldflags", "-X main.version=" + Version, "-o", path}
	if raceDetector {
		arguments = append(arguments, "-race")
	}
	build := exec.Command("go", append(arguments, "github.com/memwarden/memwarden/server/cmd/memwarden")...)
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return path, nil
})

// RemoveAll removes what was built; for TestMain, after the tests.
func RemoveAll() error {
	testprogram.RemoveAll()
	dir, err := Dir()
	return errors.Join(err, os.RemoveAll(dir))
}
