package container

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGroup: the kernel holds a program to the limit.
func TestGroup(t *testing.T) {
	const limit = 32 << 20
	g, err := New("memwarden-container-test", limit)
	if err != nil {
		t.Skip("SKIPPED: no control group can be made here: ", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Remove(ctx); err != nil {
			t.Error(err)
		}
	})
	run := func(script string) (string, error) {
		line := append(g.Enter(), "sh", "-c", script)
		out, err := exec.CommandContext(t.Context(), line[0], line[1:]...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("cat /proc/self/cgroup"); err != nil || !strings.Contains(out, filepath.Base(g.Dir)) {
		t.Errorf("the program is not in the group: %v\n%s", err, out)
	}
	if kills, err := g.Kills(); err != nil || kills != 0 {
		t.Errorf("%d kills, %v", kills, err)
	}
	if out, err := run("head -c 100000000 /dev/zero | tail -n 1 >/dev/null"); err == nil {
		kills, err := g.Kills()
		if err != nil || kills == 0 {
			t.Errorf("100 MB in 32 MiB: %d kills, %v\n%s", kills, err, out)
		}
	}
	if peak, err := g.Peak(); err != nil || peak > limit || peak < limit/2 {
		t.Errorf("peak %d, %v", peak, err)
	}
}

// TestVersion2 looks at the files alone: a directory stands for the kernel's.
func TestVersion2(t *testing.T) {
	root := t.TempDir()
	own := filepath.Join(root, "app.slice", "app")
	if err := os.MkdirAll(own, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		filepath.Join(root, "app.slice", "cgroup.subtree_control"): "cpu memory pids\n",
		filepath.Join(own, "cgroup.subtree_control"):               "\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if parent, err := delegating(own); err != nil || parent != filepath.Join(root, "app.slice") {
		t.Errorf("%q, %v", parent, err)
	}
	if _, err := delegating(root); err == nil {
		t.Error("no group gives the controller: want an error")
	}
	if _, err := below(own, 2, "load", 1<<20); err == nil {
		t.Error("a directory that is no group has no memory.max: want an error")
	}
	if left, err := os.ReadDir(filepath.Join(root, "app.slice")); err != nil || len(left) != 2 {
		t.Errorf("%v, %v: the group is left behind", left, err)
	}
	if _, err := below(own, 0, "load", 1<<20); err == nil {
		t.Error("no version: want an error")
	}
	g := &Group{own, 2}
	if err := os.WriteFile(filepath.Join(own, "memory.events"), []byte("oom 3\noom_kill 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kills, err := g.Kills(); err != nil || kills != 2 {
		t.Errorf("%d kills, %v", kills, err)
	}
}
