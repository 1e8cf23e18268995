package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// outcome takes down how a test ended.
type outcome struct {
	testing.TB

	how, why string
}

func (*outcome) Helper() {}

func (o *outcome) Fatalf(format string, args ...any) { o.end("failed", format, args...) }

func (o *outcome) Skipf(format string, args ...any) { o.end("skipped", format, args...) }

func (o *outcome) end(how, format string, args ...any) {
	o.how, o.why = how, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// TestNoSmallDisk: where nothing can be mounted a test is left out, but in CI it fails.
func TestNoSmallDisk(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	for ci, want := range map[string]string{"": "skipped", "false": "skipped", "true": "failed"} {
		t.Setenv("CI", ci)
		o := &outcome{TB: t}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			SmallDisk(o, nowhere, 1<<20)
		}()
		<-ended
		if o.how != want || !strings.Contains(o.why, "NOT TESTED ON A FULL DISK: ") || strings.Contains(o.why, "CI=true") != (want == "failed") {
			t.Errorf("CI=%s: it is %q: %s", ci, o.how, o.why)
		}
	}
}

// TestSmallDisk has the room that it was asked for, and is gone after the test.
func TestSmallDisk(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	t.Run("test", func(t *testing.T) {
		SmallDisk(t, dir, 64<<10)
		if err := os.WriteFile(file, make([]byte, 32<<10), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(file, make([]byte, 128<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("twice as much as there is room for: %v", err)
		}
	})
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after it: %v", err)
	}
}
