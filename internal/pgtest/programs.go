package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// packaged is where Debian and Ubuntu keep the programs, off PATH, one directory per version.
const packaged = "/usr/lib/postgresql/*/bin"

// programs are the paths of the two programs of PostgreSQL that are needed.
type programs struct {
	initdb, postgres string
}

// findPrograms looks on PATH first, then among the packaged versions, newest first.
func findPrograms() (programs, error) {
	initdb, err1 := exec.LookPath("initdb")
	postgres, err2 := exec.LookPath("postgres")
	if err1 == nil && err2 == nil {
		return programs{initdb, postgres}, nil
	}
	if p, ok := newest(packaged); ok {
		return p, nil
	}
	return programs{}, fmt.Errorf("none under %s; %w", packaged, errors.Join(err1, err2))
}

// newest returns the programs of the highest version among the directories that match.
func newest(pattern string) (found programs, ok bool) {
	directories, _ := filepath.Glob(pattern) // the pattern is well formed
	best := 0
	for _, dir := range directories {
		p := programs{filepath.Join(dir, "initdb"), filepath.Join(dir, "postgres")}
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil || version <= best || !exists(p.initdb) || !exists(p.postgres) {
			continue
		}
		best, found, ok = version, p, true
	}
	return found, ok
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// absent tells what to say where there is no PostgreSQL, and whether that fails the test instead of skipping it.
func absent(cause error, getenv func(string) string) (message string, fatal bool) {
	fatal = getenv("CI") == "true" || getenv("MEMWARDEN_TEST_REQUIRE_POSTGRES") == "1"
	if fatal {
		return fmt.Sprintf("PostgreSQL is required here (CI or MEMWARDEN_TEST_REQUIRE_POSTGRES is set) but not found: %v", cause), true
	}
	return fmt.Sprintf("NOT TESTED AGAINST POSTGRESQL: initdb and postgres not found; install PostgreSQL to run this test: %v", cause), false
}
