package archtest

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/doc/comment"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/api anew")

// apiDir holds one text for each package of the library.
const apiDir = "docs/api"

// TestAPI compares docs/api with the exported API as it is, and the API of the operating systems with each other.
func TestAPI(t *testing.T) {
	r := open(t)
	var want []string
	for _, dir := range r.libraryPackages() {
		if slices.Contains(strings.Split(dir, "/"), "internal") {
			continue
		}
		text := r.api(t, dir, "linux")
		for _, goos := range []string{"darwin", "windows"} {
			if there := r.api(t, dir, goos); there != text {
				t.Errorf("the API of %s on %s is another than on linux:\n%s", dir, goos, firstDifference(text, there))
			}
		}
		name := path.Join(apiDir, strings.ReplaceAll(dir, "/", "-")+".txt")
		if dir == "." {
			name = path.Join(apiDir, path.Base(r.library())+".txt")
		}
		want = append(want, name)
		if *update {
			if err := os.WriteFile(r.file(name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if kept, err := os.ReadFile(r.file(name)); err != nil {
			t.Errorf("%v: run make generate", err)
		} else if string(kept) != text {
			t.Errorf("%s is not what %s exports; if that is meant, run make generate:\n%s", name, dir,
				firstDifference(string(kept), text))
		}
	}
	for _, file := range r.files {
		if path.Dir(file) != apiDir || path.Ext(file) != ".txt" || slices.Contains(want, file) {
			continue
		}
		if !*update {
			t.Errorf("%s: there is no such package; run make generate", file)
		} else if err := os.Remove(r.file(file)); err != nil {
			t.Fatal(err)
		}
	}
}

// api writes the exported API of a package as it is on an operating system: each declaration with the first sentence
// of its comment.
func (r *repository) api(t *testing.T, dir, goos string) string {
	t.Helper()
	context := build.Default
	context.GOOS, context.GOARCH, context.CgoEnabled = goos, "amd64", false
	fset := token.NewFileSet()
	var files []*ast.File
	for _, f := range r.golang {
		if f.dir() != dir || f.isTest() {
			continue
		}
		matches, err := context.MatchFile(r.file(dir), path.Base(f.path))
		if err != nil {
			t.Fatal(err)
		}
		if !matches {
			continue
		}
		// go/doc changes what it is given: parse anew.
		file, err := parser.ParseFile(fset, r.file(f.path), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return ""
	}
	p, err := doc.NewFromFiles(fset, files, r.importPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	w := &apiWriter{fset: fset, pkg: p}
	fmt.Fprintf(&w.text, "package %s // import %q\n\n", p.Name, p.ImportPath)
	w.synopsis("", p.Doc)
	w.values("CONSTANTS", p.Consts)
	w.values("VARIABLES", p.Vars)
	w.section("FUNCTIONS", len(p.Funcs))
	w.functions(p.Funcs)
	w.section("TYPES", len(p.Types))
	for _, typ := range p.Types {
		w.declaration(typ.Doc, typ.Decl)
		w.values("", typ.Consts)
		w.values("", typ.Vars)
		w.functions(typ.Funcs)
		w.functions(typ.Methods)
	}
	return w.text.String()
}

type apiWriter struct {
	text bytes.Buffer
	fset *token.FileSet
	pkg  *doc.Package
}

func (w *apiWriter) section(title string, entries int) {
	if title != "" && entries > 0 {
		fmt.Fprintf(&w.text, "\n%s\n", title)
	}
}

func (w *apiWriter) values(title string, values []*doc.Value) {
	w.section(title, len(values))
	for _, v := range values {
		w.declaration(v.Doc, v.Decl)
	}
}

func (w *apiWriter) functions(functions []*doc.Func) {
	for _, f := range functions {
		w.declaration(f.Doc, f.Decl)
	}
}

func (w *apiWriter) declaration(text string, declaration ast.Decl) {
	w.text.WriteByte('\n')
	w.synopsis("// ", text)
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		d.Doc, d.Body = nil, nil
	case *ast.GenDecl:
		d.Doc = nil
	}
	config := printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 4}
	if err := config.Fprint(&w.text, w.fset, declaration); err != nil {
		panic(err) // a bytes.Buffer takes all, and the declaration was parsed
	}
	w.text.WriteByte('\n')
}

// synopsis writes the first sentence of a comment.
func (w *apiWriter) synopsis(prefix, text string) {
	lines := comment.Printer{TextPrefix: prefix, TextWidth: 120 - len(prefix)}
	w.text.Write(lines.Text(w.pkg.Parser().Parse(w.pkg.Synopsis(text))))
}

// firstDifference shows where two texts part.
func firstDifference(kept, now string) string {
	a, b := strings.Split(kept, "\n"), strings.Split(now, "\n")
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	show := func(lines []string) string {
		return strings.Join(lines[min(i, len(lines)):min(i+5, len(lines))], "\n\t")
	}
	return fmt.Sprintf("line %d was\n\t%s\nand is\n\t%s", i+1, show(a), show(b))
}
