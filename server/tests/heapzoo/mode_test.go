//go:build linux

package heapzoo

import (
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/memwarden/memwarden/internal/testprogram"
)

// stripping leaves out symbols and debug information.
const stripping = "-ldflags=-s -w"

// mode is a way to build a program. The name of a stripped one is that of the mode that is the same but for that, and
// " stripped".
type mode struct {
	name        string
	toolchain   string // "" is the one at hand
	flags       []string
	environment []string
	stripped    bool // no names of variables
}

// modes returns the ways to build: the most different ones with the toolchain at hand, or with -long all of them.
func modes(t *testing.T) []mode {
	if !*long {
		return []mode{{name: "default"}, {name: "default stripped", flags: []string{stripping}, stripped: true}}
	}
	var all []mode
	for _, toolchain := range testprogram.Toolchains() {
		all = append(all,
			mode{toolchain: toolchain, name: "default"},
			mode{toolchain: toolchain, name: "default stripped", flags: []string{stripping}, stripped: true},
			mode{toolchain: toolchain, name: "trimpath", flags: []string{"-trimpath"}},
			mode{toolchain: toolchain, name: "pie", flags: []string{"-buildmode=pie"}},
			mode{toolchain: toolchain, name: "pie stripped", flags: []string{"-buildmode=pie", stripping}, stripped: true},
			mode{toolchain: toolchain, name: "race", flags: []string{"-race"}},
			mode{toolchain: toolchain, name: "no cgo", environment: []string{"CGO_ENABLED=0"}},
			mode{toolchain: toolchain, name: "cgo", environment: []string{"CGO_ENABLED=1"}, flags: []string{"-tags=cgo_used"}},
			mode{toolchain: toolchain, name: "no green tea", environment: []string{"GOEXPERIMENT=nogreenteagc"}},
		)
		if strings.HasPrefix(toolchain, "go1.25.") { // later ones have it by default, earlier ones do not know it
			all = append(all, mode{toolchain: toolchain, name: "green tea", environment: []string{"GOEXPERIMENT=greenteagc"}})
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

// shows reports whether a path is the one that is wanted, which begins with a variable's name. A stripped program has the
// place of the variable instead of the name, the stripped path if it is not nil, and no names of variables on stacks. In a
// stripped path "name…" is any place within the variable, and of "one|another" either will do.
func (m mode) shows(t *testing.T, path, wanted, stripped []string) bool {
	t.Helper()
	if !m.stripped {
		return slices.Equal(path, wanted)
	}
	if stripped != nil {
		wanted = stripped
	}
	if len(path) != len(wanted) {
		return false
	}
	for i, step := range path[1:] {
		if !slices.Contains(strings.Split(wanted[i+1], "|"), step) {
			return false
		}
	}
	if strings.Contains(wanted[0], " ") { // "stack of main.worker": no variable
		return path[0] == wanted[0]
	}
	segment, offset, _ := strings.Cut(path[0], "+0x")
	at, err := strconv.ParseUint(offset, 16, 64)
	if err != nil || segment != "data" && segment != "bss" {
		return false
	}
	for name := range strings.SplitSeq(wanted[0], "|") {
		name, within := strings.CutSuffix(name, "…")
		from, to := m.named().variable(t, segment, name)
		if from < to && (at == from || within && from <= at && at < to) {
			return true
		}
	}
	return false
}

// named is the mode that is the same but for stripping.
func (m mode) named() mode {
	return mode{
		name: strings.TrimSuffix(m.name, " stripped"), toolchain: m.toolchain, environment: m.environment,
		flags: slices.DeleteFunc(slices.Clone(m.flags), func(flag string) bool { return flag == stripping }),
	}
}

// variable is where in a segment the zoo has a variable, 0 to 0 if it is in another; of "*name", where that begins which
// the variable points to when the program begins.
func (m mode) variable(t *testing.T, segment, name string) (from, to uint64) {
	t.Helper()
	file := m.zoo(t)
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatalf("symbols of %s: %v", file, err)
	}
	known := make(map[string]elf.Symbol)
	for _, s := range symbols {
		known[s.Name] = s
	}
	name, pointee := strings.CutPrefix(name, "*")
	of, ok := known[name]
	if !ok {
		t.Fatalf("%s has no variable %s", file, name)
	}
	from, to = of.Value, of.Value+of.Size
	if pointee {
		if from, err = pointer(f, of.Value); err != nil {
			t.Fatalf("what %s points to in %s: %v", name, file, err)
		}
		to = from + 1
	}
	start, end := known["runtime."+segment].Value, known["runtime.e"+segment].Value
	if start == 0 || end == 0 {
		t.Fatalf("%s does not say where its %s is", file, segment)
	}
	if from < start || from >= end {
		return 0, 0
	}
	return from - start, to - start
}

// pointer reads the pointer at an address as the program has it when it begins: from its data, or if it is relocated,
// from the relocation.
func pointer(f *elf.File, address uint64) (uint64, error) {
	for _, s := range f.Sections {
		content, offset := s.Type == elf.SHT_PROGBITS && s.Addr <= address && address < s.Addr+s.Size, address-s.Addr
		if !content && s.Type != elf.SHT_RELA {
			continue
		}
		data, err := s.Data()
		if err != nil {
			return 0, err
		}
		if content {
			if value := f.ByteOrder.Uint64(data[offset:]); value != 0 {
				return value, nil
			}
			continue
		}
		for ; len(data) >= 24; data = data[24:] { // offset, kind and symbol, addend
			if f.ByteOrder.Uint64(data) == address {
				return f.ByteOrder.Uint64(data[16:]), nil
			}
		}
	}
	return 0, errors.New("nothing is there")
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
