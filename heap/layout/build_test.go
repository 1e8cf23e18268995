package layout

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// built holds the binaries of this run, by how they were built.
var built = struct {
	sync.Mutex
	paths map[string]string
}{paths: make(map[string]string)}

// build builds a program of testdata with a toolchain ("" is the one that runs the test); settings with "=" are
// environment variables, others arguments of go build.
func build(t testing.TB, program, toolchain string, settings ...string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	key := strings.Join(append([]string{program, toolchain}, settings...), " ")
	if path, ok := built.paths[key]; ok {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	dir := t.TempDir()
	source, err := filepath.Abs(filepath.Join("testdata", program, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"main.go": text, "go.mod": []byte("module target\n\ngo 1.24\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "target")
	args := []string{"build", "-o", out}
	env := append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -buildvcs=false")
	if toolchain != "" {
		env = append(env, "GOTOOLCHAIN="+toolchain)
	}
	for _, s := range settings {
		if strings.Contains(s, "=") && !strings.HasPrefix(s, "-") {
			env = append(env, s)
		} else {
			args = append(args, s)
		}
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir, cmd.Env = dir, env
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, text)
	}
	built.paths[key] = out
	return out
}
