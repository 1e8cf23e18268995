package gobench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun runs a benchmark of a module that is made for it.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example.org/m\n\ngo 1.26\n",
		"m_test.go": "package m\nimport \"testing\"\nfunc BenchmarkNothing(b *testing.B) { for b.Loop() {} }\nfunc BenchmarkFails(b *testing.B) { b.Fatal(\"broken\") }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOWORK", "off")
	results, err := Run(t.Context(), dir, []string{"."}, "-bench", "Nothing", "-benchtime", "10x", "-count", "2")
	if err != nil || len(Values(results, "BenchmarkNothing", "ns/op")) != 2 || len(Values(results, "BenchmarkNothing", "allocs/op")) != 2 {
		t.Errorf("%v, %v: want two results", results, err)
	}
	if _, err := Run(t.Context(), dir, []string{"."}, "-bench", "Fails"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a benchmark that fails: %v", err)
	}
}
