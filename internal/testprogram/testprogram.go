// Package testprogram builds the programs that tests look at from outside: each once in a test binary, in whichever way.
//
// It knows go build, and nothing of what the programs are for. The tests of packages that freeze processes stand above it.
package testprogram

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Toolchains are those whose runtime's layout is known, the newest release of each minor version, in order: long tests build
// programs with every one of them. A version that comes is added here; CONTRIBUTING.md has the whole step.
func Toolchains() []string {
	return []string{"go1.24.11", "go1.25.5", "go1.26.8", "go1.27.2"}
}

// built holds the programs of this process, by how they were built, and the directory that they lie in.
var built = struct {
	sync.Mutex
	dir   string
	paths map[string]string
}{paths: make(map[string]string)}

// Build builds the program in a directory, or finds it built already, and returns its path, which is good until
// RemoveAll. toolchain is such as "go1.27.2"; "" is the one that runs the test. Settings with "=" that are no flags are
// environment variables, others are arguments of go build.
//
// The sources are copied into a module of their own that asks for Go 1.24, unless they have a go.mod, because toolchains
// older than the library's would refuse its module.
func Build(t testing.TB, source, toolchain string, settings ...string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	key := strings.Join(append([]string{source, toolchain}, settings...), "\x00")
	if path, ok := built.paths[key]; ok {
		return path
	}
	dir := room(t, filepath.Base(source))
	if err := copyModule(dir, source); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "target")
	arguments := []string{"build", "-o", path}
	environment := append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -buildvcs=false")
	if toolchain != "" {
		environment = append(environment, "GOTOOLCHAIN="+toolchain)
	}
	for _, s := range settings {
		if strings.Contains(s, "=") && !strings.HasPrefix(s, "-") {
			environment = append(environment, s)
		} else {
			arguments = append(arguments, s)
		}
	}
	cmd := exec.Command("go", append(arguments, ".")...)
	cmd.Dir, cmd.Env = dir, environment
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: go %s: %v\n%s", source, strings.Join(arguments, " "), err, text)
	}
	built.paths[key] = path
	return path
}

// helper is a program of this module, which is built where it is.
const helper = "github.com/memwarden/memwarden/internal/testprogram/testdata/helper"

// SnapshotHelper builds a program for SnapshotOptions.Helper, or finds it built already: without the race detector, which
// makes the analysis of a heap ten times as slow. A test that is about the default takes the test binary instead.
func SnapshotHelper(t testing.TB) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if path, ok := built.paths[helper]; ok {
		return path
	}
	path := filepath.Join(room(t, "helper"), "helper")
	if text, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, helper).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", helper, err, text)
	}
	built.paths[helper] = path
	return path
}

// room makes a directory for a program. built is locked.
func room(t testing.TB, name string) string {
	t.Helper()
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "testprogram-")
		if err != nil {
			t.Fatal(err)
		}
		built.dir = dir
	}
	dir, err := os.MkdirTemp(built.dir, name+"-")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyModule copies a program, and makes a module of it if it is none.
func copyModule(to, source string) error {
	if err := os.CopyFS(to, os.DirFS(source)); err != nil {
		return err
	}
	name := filepath.Join(to, "go.mod")
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(name, []byte("module target\n\ngo 1.24\n"), 0o600)
}

// RemoveAll removes what was built; for TestMain, after the tests.
func RemoveAll() {
	built.Lock()
	defer built.Unlock()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir) // under the system's directory for what is temporary
	}
	built.dir = ""
	clear(built.paths)
}
