package testprogram

import (
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m, RemoveAll) }

// TestToolchains: the last of them is what the Makefile calls the newest.
func TestToolchains(t *testing.T) {
	all := Toolchains()
	if !slices.IsSortedFunc(all, version.Compare) {
		t.Errorf("%v are not in order", all)
	}
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if newest := all[len(all)-1]; !strings.Contains(string(makefile), "\nNEWEST_GO := "+newest+"\n") {
		t.Errorf("the newest of %v is not NEWEST_GO of the Makefile", all)
	}
}

func TestSnapshotHelper(t *testing.T) {
	path := SnapshotHelper(t)
	if again := SnapshotHelper(t); again != path {
		t.Errorf("it was built twice: %s, %s", path, again)
	}
	if text, err := exec.Command(path).CombinedOutput(); err != nil || len(text) > 0 {
		t.Errorf("it says %q, %v", text, err)
	}
}

func TestBuild(t *testing.T) {
	source := t.TempDir()
	program := "package main\n\nimport \"os\"\n\nvar word = \"plain\"\n\nfunc main() { os.Stdout.WriteString(word) }\n"
	if err := os.WriteFile(filepath.Join(source, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := Build(t, source, "")
	if again := Build(t, source, ""); again != plain {
		t.Errorf("it was built twice: %s, %s", plain, again)
	}
	told := Build(t, source, "", "CGO_ENABLED=0", "-ldflags=-X main.word=told")
	for path, want := range map[string]string{plain: "plain", told: "told"} {
		if out, err := exec.Command(path).Output(); err != nil || string(out) != want {
			t.Errorf("%s says %q, %v: want %q", path, out, err, want)
		}
	}
	if err := copyModule(t.TempDir(), filepath.Join(source, "nothing")); err == nil {
		t.Error("a program that is not there was copied")
	}
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "go.mod"), []byte("module own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyModule(own, source); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(own, "go.mod")); err != nil || string(text) != "module own\n" {
		t.Errorf("go.mod is %q, %v: want the program's own", text, err)
	}
	RemoveAll()
	if _, err := os.Stat(plain); err == nil || !strings.HasSuffix(plain, "target") {
		t.Errorf("%s is still there: %v", plain, err)
	}
}
