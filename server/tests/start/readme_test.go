//go:build unix

package start

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestProductionQuickStart does what README.md says, in a copy of the repository, with an editor that sets an address.
func TestProductionQuickStart(t *testing.T) {
	dir := checkout(t)
	steps := quickStart(t, dir)
	addr := freeAddr(t)
	editor := filepath.Join(t.TempDir(), "editor")
	write(t, editor, "#!/bin/sh\nsed -i.orig 's/^#MEMWARDEN_ADDR=.*/MEMWARDEN_ADDR="+addr+"/' \"$1\"\n", 0o755)
	for _, step := range steps[:3] {
		command := exec.Command("bash", "-c", step)
		command.Dir, command.Env = dir, append(environment(), "EDITOR="+editor)
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", step, err, output)
		}
	}
	binary, err := os.Stat(filepath.Join(dir, "bin", "memwarden"))
	if err != nil {
		t.Fatal(err)
	}
	const most = 35_000_000 // what an image of it may have; a dependency that keeps the linker from leaving out code shows here
	if binary.Size() > most {
		t.Errorf("the binary has %d bytes, want at most %d", binary.Size(), most)
	}
	r := &running{command: exec.Command("bash", "-c", "exec "+steps[3]), addr: addr, ended: make(chan struct{})}
	r.command.Dir, r.command.Env = dir, environment()
	r.command.Stdout, r.command.Stderr = &r.out, &r.errs
	r.begin(t)
	r.waitUntilReady(t)
	if status, body, err := get(addr, "/api/health"); status != http.StatusOK || !strings.Contains(body, `"status":"ok"`) {
		t.Errorf("health: %d %s %v", status, body, err)
	}
	r.signal(t, syscall.SIGTERM)
	r.wantExit(t, 0)
	if !strings.Contains(r.out.String(), `"forced":false`) {
		t.Error("it did not stop in order")
	}

	if err := os.Remove(filepath.Join(dir, "bin", "memwarden")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "elsewhere"), 0o755); err != nil {
		t.Fatal(err)
	}
	again := launch(t, dir, "production", "--dry-run")
	again.wantExit(t, 0)
	if !strings.Contains(again.errs.String(), "building ") || assignments(t, again.out.String())["MEMWARDEN_ADDR"] != addr {
		t.Error("without a binary it is not built, or the output is not the plan alone")
	}
}

var quickStartBlock = regexp.MustCompile("(?s)## Production quick start\n.*?```\n(.*?)```")

func quickStart(t *testing.T, dir string) []string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := quickStartBlock.FindSubmatch(readme)
	if block == nil {
		t.Fatal("README.md has no production quick start")
	}
	steps := strings.Split(strings.TrimSpace(string(block[1])), "\n")
	if len(steps) != 4 {
		t.Fatalf("it has %d steps, want 4: %q", len(steps), steps)
	}
	return steps
}

// checkout copies what is tracked, or would be.
func checkout(t *testing.T) (dir string) {
	t.Helper()
	from := filepath.Join("..", "..", "..")
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	names, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "repository")
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(from, name))
		if os.IsNotExist(err) { // removed, and not committed yet
			continue
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(data), info.Mode().Perm())
	}
	return dir
}
