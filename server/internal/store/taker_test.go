package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/internal/scratch"
)

// reads and writes ask for a connection, and tell the functions on the stack where it is taken.
func reads(t *testing.T, s *Store) (functions []string) {
	t.Helper()
	if err := s.read(t.Context(), "read", func(context.Context, *sql.Conn) error { functions = callers(); return nil }); err != nil {
		t.Fatal(err)
	}
	return functions
}

func writes(t *testing.T, s *Store) (functions []string) {
	t.Helper()
	if err := s.write(t.Context(), "write", func(context.Context, *sql.Tx) error { functions = callers(); return nil }); err != nil {
		t.Fatal(err)
	}
	return functions
}

// callers are those of the function that calls it.
func callers() (functions []string) {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		functions = append(functions, frame.Function)
	}
	return functions
}

func TestTaker(t *testing.T) {
	s := open(t, Options{DataDir: filepath.Join(scratch.Dir(t), "data")})
	const here = "github.com/memwarden/memwarden/server/internal/store."
	for want, functions := range map[string][]string{
		here + "reads": reads(t, s), here + "writes": writes(t, s),
		"main.take":                  {"main.take", "main.main"},
		here + "(*Store).it":         {here + "(*Store).it", "main.main"},
		here + "(*Store).read.func1": {here + "(*Store).read.func1", here + "(*Store).operate"},
		"":                           nil,
	} {
		if got := Taker(functions); got != want {
			t.Errorf("%s: it is %q, want %q", strings.Join(functions, " < "), got, want)
		}
	}
	if first := reads(t, s)[0]; !strings.Contains(first, "(*Store).read.") {
		t.Errorf("a connection is taken by %s", first)
	}
}
