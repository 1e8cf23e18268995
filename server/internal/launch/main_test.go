package launch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// probes is where test programs are built.
var probes string

func TestMain(m *testing.M) {
	var err error
	if probes, err = os.MkdirTemp("", "memwarden-launch-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(probes)
		os.Exit(code)
	}))
}

// probe builds testdata/probe, once.
var probe = sync.OnceValues(func() (string, error) { return build("") })

func build(goMod string) (string, error) {
	dir, err := os.MkdirTemp(probes, "")
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(filepath.Join("testdata", "probe", "main.go"))
	if err != nil {
		return "", err
	}
	if goMod == "" {
		goMod = "module probe\n\ngo 1.26\n"
	}
	for name, text := range map[string]string{"main.go": string(source), "go.mod": goMod} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	path := filepath.Join(dir, "probe")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
}

// buildProbe returns the path of a probe; with a go.mod, one built for it.
func buildProbe(t *testing.T, goMod string) string {
	t.Helper()
	path, err := probe()
	if goMod != "" {
		path, err = build(goMod)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
