package scratch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDir: it is there, empty, for a test alone, and gone after it.
func TestDir(t *testing.T) {
	var dirs [2]string
	t.Run("test", func(t *testing.T) {
		for i := range dirs {
			dirs[i] = Dir(t)
			if info, err := os.Stat(dirs[i]); err != nil || info.Mode() != fs.ModeDir|0o700 {
				t.Errorf("%v, %v", info, err)
			}
			if err := os.WriteFile(filepath.Join(dirs[i], "file"), nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	for _, dir := range dirs {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
	if dirs[0] == dirs[1] || Parent() != "" && !strings.HasPrefix(dirs[0], Parent()) {
		t.Error(dirs)
	}
}

// TestParent: what is no file system in memory, and what is not there, is not taken, and nothing where TMPDIR is set.
func TestParent(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if got := Parent(); got != "" {
		t.Errorf("with TMPDIR: %q", got)
	}
	for _, dir := range []string{"/proc", filepath.Join(t.TempDir(), "none")} {
		if got := parent(dir); got != "" {
			t.Errorf("%s: %q", dir, got)
		}
	}
}
