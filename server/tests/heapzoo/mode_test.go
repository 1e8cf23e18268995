//go:build linux

package heapzoo

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// mode is a way to build a program.
type mode struct {
	name        string
	toolchain   string // "" is the one at hand
	flags       []string
	environment []string
	stripped    bool // no names of variables
}

// The toolchains whose layouts are known.
var toolchains = []string{"go1.24.11", "go1.25.5", "go1.26.8", "go1.27.2"}

// modes returns the ways to build: the most different ones with the toolchain at hand, or with -long all of them.
func modes(t *testing.T) []mode {
	if !*long {
		return []mode{{name: "default"}, {name: "stripped", flags: []string{"-ldflags=-s -w"}, stripped: true}}
	}
	var all []mode
	for _, toolchain := range toolchains {
		all = append(all,
			mode{toolchain: toolchain, name: "default"},
			mode{toolchain: toolchain, name: "stripped", flags: []string{"-ldflags=-s -w"}, stripped: true},
			mode{toolchain: toolchain, name: "trimpath", flags: []string{"-trimpath"}},
			mode{toolchain: toolchain, name: "pie", flags: []string{"-buildmode=pie"}},
			mode{toolchain: toolchain, name: "pie stripped", flags: []string{"-buildmode=pie", "-ldflags=-s -w"}, stripped: true},
			mode{toolchain: toolchain, name: "race", flags: []string{"-race"}},
			mode{toolchain: toolchain, name: "no cgo", environment: []string{"CGO_ENABLED=0"}},
			mode{toolchain: toolchain, name: "cgo", environment: []string{"CGO_ENABLED=1"}, flags: []string{"-tags=cgo_used"}},
		)
		if toolchain >= "go1.26" {
			all = append(all, mode{toolchain: toolchain, name: "no green tea", environment: []string{"GOEXPERIMENT=nogreenteagc"}})
		}
	}
	for i := range all {
		all[i].name = all[i].toolchain + " " + all[i].name
	}
	return slices.DeleteFunc(all, func(m mode) bool { return !m.builds(t) })
}

// builds reports whether the toolchain knows the mode: experiments come and go.
func (m mode) builds(t *testing.T) bool {
	if len(m.environment) == 0 {
		return true
	}
	cmd := exec.Command("go", "env", "GOEXPERIMENT")
	cmd.Env = m.environ()
	output, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(string(output), "unknown GOEXPERIMENT") {
		t.Logf("%s is left out: the toolchain does not know it", m.name)
		return false
	}
	return true
}

func (m mode) environ() []string {
	environment := append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if m.toolchain != "" {
		environment = append(environment, "GOTOOLCHAIN="+m.toolchain)
	}
	return append(environment, m.environment...)
}

// zoo builds the zoo in a mode, once, and returns its path.
func (m mode) zoo(t *testing.T) string {
	t.Helper()
	once, _ := zoos.LoadOrStore(m.name, sync.OnceValues(func() (string, error) { return m.build("zoo", "testdata/zoo", ".") }))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var zoos sync.Map // by mode: func() (string, error)

// build builds a package from a directory.
func (m mode) build(name, dir, pkg string) (string, error) {
	path := filepath.Join(built, strings.ReplaceAll(name+" "+m.name, " ", "-"))
	cmd := exec.Command("go", append(append([]string{"build"}, m.flags...), "-o", path, pkg)...)
	cmd.Dir = dir
	cmd.Env = m.environ()
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New("build of " + name + " (" + m.name + "): " + err.Error() + "\n" + string(output))
	}
	return path, nil
}
