package check

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/freeport"
)

// TestLeakyReadme does what the README of leaky says, from the clone on, and finds what it promises. It takes other ports, and
// clones the repository that it is in: what is committed.
func TestLeakyReadme(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: heap snapshots are taken on Linux alone")
	}
	text, err := os.ReadFile(filepath.Join("..", "leaky", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	script := "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		script += block[1]
	}
	for _, port := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		free, err := freeport.Find()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(script, port) {
			t.Fatalf("the README does not say %s", port)
		}
		script = strings.ReplaceAll(script, port, fmt.Sprint("127.0.0.1:", free))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script)
	shell.Dir = t.TempDir()
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "GIT_CONFIG_COUNT=2",
		"GIT_CONFIG_KEY_0=url."+root+".insteadOf", "GIT_CONFIG_VALUE_0=https://github.com/memwarden/memwarden",
		"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*") // whoever owns it
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`"type":"main.session"`, "main.sessions", "main.openSession (main.go:", `"status":"confirmed"`, "main.waitForAnswer", "waiting to receive from a channel", `"snapshot `} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is not in what was written:\n%s", want, out)
		}
	}
}
