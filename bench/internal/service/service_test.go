package service

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	t.Setenv("MEMWARDEN_ADDR", "elsewhere")
	t.Setenv("GOMEMLIMIT", "1GiB")
	t.Setenv("KEPT_BY_CLEAN", "yes")
	clean := Clean("MEMWARDEN_RATE_LIMIT=0")
	if !slices.Contains(clean, "KEPT_BY_CLEAN=yes") || clean[len(clean)-1] != "MEMWARDEN_RATE_LIMIT=0" {
		t.Errorf("%q", clean)
	}
	for _, variable := range clean[:len(clean)-1] {
		if strings.HasPrefix(variable, "MEMWARDEN_") || strings.HasPrefix(variable, "GOMEMLIMIT=") {
			t.Errorf("%s is left", variable)
		}
	}
}

func TestService(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: a process cannot be sent SIGTERM")
	}
	file, err := Build(t.Context(), filepath.Join("..", "..", "..", "server"), "./cmd/memwarden", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), file, t.TempDir(), "MEMWARDEN_DRAIN_DELAY=0s", "MEMWARDEN_GC_MIN_INTERVAL=1s", "MEMWARDEN_GC_MAX_INTERVAL=1s")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second has to wait for the first one's interval
		state, err := s.Collect(t.Context())
		if err != nil || state.Goroutines == 0 || state.HeapLiveBytes == 0 || s.StartUp <= 0 {
			t.Errorf("%+v, started in %v, %v", state, s.StartUp, err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Errorf("stopped twice: %v", err)
	}
	if _, err := Start(t.Context(), file, t.TempDir(), "MEMWARDEN_RATE_LIMIT=many"); err == nil || !strings.Contains(err.Error(), "MEMWARDEN_RATE_LIMIT") {
		t.Errorf("a wrong setting: %v, want what the service says of it", err)
	}
}

func TestBuildFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(t.Context(), dir, ".", t.TempDir()); err == nil {
		t.Error("a directory without a module: want an error")
	}
}
