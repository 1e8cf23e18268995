package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// repository is what the rules look at. Paths are relative to its root and use slashes.
type repository struct {
	root    string
	files   []string // all that is tracked, or would be
	modules []*module
	golang  []*goFile
	fset    *token.FileSet
}

// module is a go.mod and what stands below it.
type module struct {
	dir  string // "." is the library
	path string
}

// goFile is a parsed Go file outside testdata.
type goFile struct {
	path   string
	module *module
	syntax *ast.File
	lines  int
}

func (f *goFile) dir() string   { return path.Dir(f.path) }
func (f *goFile) isTest() bool  { return strings.HasSuffix(f.path, "_test.go") }
func (f *goFile) library() bool { return f.module.dir == "." }

// contrib reports whether the file belongs to one of the small modules that are exported beside the library.
func (f *goFile) contrib() bool { return within(f.module.dir, "contrib") }

// shipped reports whether the file belongs to the library, to a module beside it or to the service.
func (f *goFile) shipped() bool { return f.library() || f.contrib() || f.module.dir == "server" }

// loadOnce reads the repository once for all tests.
var loadOnce = sync.OnceValues(load)

// open returns the repository; its files are not written while tests run.
func open(t *testing.T) *repository {
	t.Helper()
	r, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func load() (*repository, error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return nil, err
	}
	r := &repository{root: root, fset: token.NewFileSet()}
	if r.files, err = listFiles(root); err != nil {
		return nil, err
	}
	for _, file := range r.files {
		if path.Base(file) != "go.mod" || slices.Contains(strings.Split(file, "/"), "testdata") {
			continue
		}
		m, err := r.readModule(path.Dir(file))
		if err != nil {
			return nil, err
		}
		r.modules = append(r.modules, m)
	}
	for _, file := range r.files {
		if path.Ext(file) != ".go" || slices.Contains(strings.Split(file, "/"), "testdata") {
			continue
		}
		if err := r.parse(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return r, nil
}

// listFiles asks git for the files that are tracked or would be; without git it walks.
func listFiles(root string) ([]string, error) {
	git := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = root
	var files []string
	if out, err := git.Output(); err == nil {
		for file := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
			if info, err := os.Lstat(filepath.Join(root, file)); err == nil && info.Mode().IsRegular() {
				files = append(files, file)
			}
		}
	} else if err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", ".cache", "bin", "data", "node_modules"}, entry.Name()) {
			return filepath.SkipDir
		}
		if entry.Type().IsRegular() {
			relative, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			files = append(files, filepath.ToSlash(relative))
		}
		return nil
	}); err != nil {
		return nil, err
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

func (r *repository) readModule(dir string) (*module, error) {
	text, err := os.ReadFile(r.file(path.Join(dir, "go.mod")))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "module" {
			return &module{dir: dir, path: fields[1]}, nil
		}
	}
	return nil, fmt.Errorf("%s/go.mod names no module", dir)
}

func (r *repository) parse(file string) error {
	text, err := os.ReadFile(r.file(file))
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(r.fset, file, text, parser.ParseComments)
	if err != nil {
		return err
	}
	parsed := &goFile{path: file, syntax: syntax, lines: bytes.Count(text, []byte("\n"))}
	for _, m := range r.modules {
		inside := m.dir == "." || strings.HasPrefix(file, m.dir+"/")
		if inside && (parsed.module == nil || len(m.dir) > len(parsed.module.dir) || parsed.module.dir == ".") {
			parsed.module = m
		}
	}
	r.golang = append(r.golang, parsed)
	return nil
}

// file is the name by which the operating system finds a path of the repository.
func (r *repository) file(relative string) string {
	return filepath.Join(r.root, filepath.FromSlash(relative))
}

func (r *repository) read(t *testing.T, relative string) string {
	t.Helper()
	text, err := os.ReadFile(r.file(relative))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// module returns the module whose go.mod is in dir, or nil.
func (r *repository) module(dir string) *module {
	for _, m := range r.modules {
		if m.dir == dir {
			return m
		}
	}
	return nil
}

// library is the import path of the root module.
func (r *repository) library() string { return r.module(".").path }

// importPath is the import path of the package in a directory of the root module, or of the service's.
func (r *repository) importPath(dir string) string { return path.Join(r.library(), dir) }

// packages returns the directories that hold a Go file which keep accepts, sorted.
func (r *repository) packages(keep func(*goFile) bool) []string {
	var dirs []string
	for _, f := range r.golang {
		if keep(f) {
			dirs = append(dirs, f.dir())
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// libraryPackages are the directories of the library's packages, those for tests included.
func (r *repository) libraryPackages() []string {
	return r.packages(func(f *goFile) bool { return f.library() && !f.isTest() })
}

// at is the place of a node for a message.
func (r *repository) at(node ast.Node) string {
	position := r.fset.Position(node.Pos())
	return fmt.Sprintf("%s:%d", position.Filename, position.Line)
}

// runGo runs the go command in a directory and returns its output; a failure ends the test.
func (r *repository) runGo(t *testing.T, dir string, environment []string, arguments ...string) []byte {
	t.Helper()
	command := exec.Command("go", arguments...)
	command.Dir = r.file(dir)
	command.Env = append(os.Environ(), environment...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go %s in %s: %v\n%s", strings.Join(arguments, " "), dir, err, stderr.Bytes())
	}
	return out
}

// dependencies returns the import graph of the library and all that it needs on an operating system. What does not
// build is the compiler's to report.
func (r *repository) dependencies(t *testing.T, goos string) map[string][]string {
	t.Helper()
	out := r.runGo(t, ".", []string{"GOOS=" + goos, "GOARCH=amd64", "CGO_ENABLED=0"},
		"list", "-e", "-deps", "-json=ImportPath,Imports", "./...")
	graph := make(map[string][]string)
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		graph[p.ImportPath] = p.Imports
	}
	return graph
}

// chain is the shortest way of imports from one package to another, or nil.
func chain(graph map[string][]string, from, to string) []string {
	came := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range graph[queue[0]] {
			if _, seen := came[next]; seen {
				continue
			}
			came[next] = queue[0]
			if next == to {
				var way []string
				for at := to; at != ""; at = came[at] {
					way = append(way, at)
				}
				slices.Reverse(way)
				return way
			}
			queue = append(queue, next)
		}
	}
	return nil
}

// imports are the import paths of a file.
func imports(file *ast.File) []string {
	var paths []string
	for _, spec := range file.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, "\"`"))
	}
	return paths
}

// within reports whether an import path is a module's own, or of one nested in it.
func within(importPath, modulePath string) bool {
	return importPath == modulePath || strings.HasPrefix(importPath, modulePath+"/")
}

// standard reports whether an import path is of the standard library: its first element has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}
