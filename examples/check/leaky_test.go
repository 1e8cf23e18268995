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

// TestLeakyReadme does what the README of leaky says, at other ports and in less time, and finds what it promises.
func TestLeakyReadme(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: heap snapshots are taken on Linux alone")
	}
	text, err := os.ReadFile(filepath.Join("..", "leaky", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		script += block[1]
	}
	script = strings.ReplaceAll(script, `leaky" &`, `leaky" -addr 127.0.0.1:8080 &`)
	script = strings.ReplaceAll(script, "LEAK_WINDOW=10s", "LEAK_WINDOW=4s")
	for _, port := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		free, err := freeport.Find()
		if err != nil {
			t.Fatal(err)
		}
		script = strings.ReplaceAll(script, port, fmt.Sprint("127.0.0.1:", free))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script)
	shell.Dir = filepath.Join("..", "leaky")
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
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
