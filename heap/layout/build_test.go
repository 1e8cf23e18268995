package layout

import (
	"path/filepath"
	"testing"

	"github.com/memwarden/memwarden/internal/testprogram"
)

// build builds a program of testdata: see testprogram.Build.
func build(t testing.TB, program, toolchain string, settings ...string) string {
	t.Helper()
	return testprogram.Build(t, filepath.Join("testdata", program), toolchain, settings...)
}
