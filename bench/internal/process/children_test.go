package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// stat is a line of the kernel, of a process whose name is chosen badly.
func stat(parent, exitSignal int) string {
	return fmt.Sprintf("9 (a) b (c)) S %d 9 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 7 0 99 1000 100 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 %d 1 0 0 0 0 0\n",
		parent, exitSignal)
}

func TestParseStat(t *testing.T) {
	if parent, signal, err := parseStat(stat(7, 17)); err != nil || parent != 7 || signal != 17 {
		t.Errorf("%d, %d, %v", parent, signal, err)
	}
	for _, wrong := range []string{"", "9 (a) S 7", strings.Replace(stat(7, 17), " 7 ", " x ", 1)} {
		if _, _, err := parseStat(wrong); err == nil {
			t.Errorf("%q: want an error", wrong)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add(stat(7, 17))
	f.Add(")")
	f.Fuzz(func(_ *testing.T, text string) { _, _, _ = parseStat(text) })
}

func TestSilentChild(t *testing.T) {
	root := t.TempDir()
	add := func(pid, parent, signal int) {
		dir := filepath.Join(root, fmt.Sprint(pid))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(stat(parent, signal)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	add(7, 1, 17)
	add(8, 7, 17) // a helper
	add(9, 1, 0)  // another's
	known := map[string]bool{}
	if child, err := findSilent(root, 7, known); err != nil || child != "" {
		t.Errorf("%q, %v: there is none", child, err)
	}
	add(10, 7, 0)
	if child, err := findSilent(root, 7, known); err != nil || child != "10" {
		t.Errorf("%q, %v: want 10", child, err)
	}
	stop := make(chan struct{})
	close(stop)
	if life, err := SilentChild(root, 7, stop); err != nil || life <= 0 {
		t.Errorf("it lives: %v, %v", life, err)
	}
	if life, err := SilentChild(root, 11, stop); err != nil || life != 0 {
		t.Errorf("there is none: %v, %v", life, err)
	}
	if _, err := SilentChild(filepath.Join(root, "nowhere"), 7, stop); err == nil {
		t.Error("without /proc: want an error")
	}
}

func TestMaxRSS(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: known on Linux alone")
	}
	command := exec.CommandContext(t.Context(), "true")
	if err := command.Run(); err != nil {
		t.Skip("SKIPPED: there is no program to run: ", err)
	}
	if got, err := MaxRSS(command.ProcessState); err != nil || got < 64<<10 {
		t.Errorf("%d, %v", got, err)
	}
}
