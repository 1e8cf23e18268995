package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// worldNames read the clock, the environment or the command line.
var worldNames = map[string][]string{
	"os":      {"Args", "Environ", "ExpandEnv", "Getenv", "LookupEnv"},
	"syscall": {"Environ", "Getenv"},
	"time":    {"Now", "Since", "Until"},
}

// worldReaders are the packages that read the world; all others get it by their arguments. Who waits on the runtime's
// timers may read the clock that they run on: in a testing/synctest bubble both are the test's.
var worldReaders = []excuse{
	{".", "os.LookupEnv", "the facade asks whether GOMEMLIMIT and GOGC were set, unless Options says who to ask"},
	{".", "time.Now", "the facade reads the clock for all that stands below it, unless Options has one"},
	{".", "time.Since", "the facade tells for how long it has run"},
	{"auto", "*", "a blank import is configured by the environment alone"},
	{"bounded", "time.Now", "the rate limiter's clock, unless its Options have one"},
	{"bounded", "time.Since", "it reads the monotonic clock alone, in half the time"},
	{"heap/capture", "time.Now", "how long the process stood still is measured where it does"},
	{"heap/capture", "time.Since", "how long the process stood still is measured where it does"},
	{"internal/snaphelper", "*", "the helper is a program of its own, which reads the world for what stands below it"},
	{"cleanup", "time.Now", "the schedule waits on the runtime's timers"},
	{"cleanup", "time.Since", "how long a task ran"},
	{"contrib/pgxpool", "time.Now", "the pool's clock, unless its Options have one"},
	{"contrib/redis", "time.Now", "the clock of limiter and cache, unless their options have one"},
	{"contrib/websocket", "time.Now", "a connection's deadline is a time of day"},
	{"contrib/websocket", "time.Until", "how much of a context is left, which waits on the runtime's timers"},
	{"health", "time.Now", "checks time out, and results age, with the runtime's timers"},
	{"health", "time.Since", "how long ago a loop gave a sign of life"},
	{"memhttp", "time.Now", "a connection's deadline is a time of day"},
	{"server/cmd/memwarden", "*", "the program reads the world and passes it down"},
	{"server/internal/notify", "time.Now", "the clock of what is sent, unless Options have one"},
	{"server/internal/serve", "time.Now", "since when a connection has been idle, beside the HTTP server's own deadlines"},
	{"server/internal/store", "time.Now", "the store's clock, unless its Options have one"},
	{"server/internal/store", "time.Since", "how long opening took, for the log"},
	{"shutdown", "time.Now", "the deadlines wait on the runtime's timers"},
	{"shutdown", "time.Since", "how long a step took, for the report"},
}

func TestWorldIsAnArgument(t *testing.T) {
	r := open(t)
	permitted := newExcuses(worldReaders)
	for _, f := range r.golang {
		if !f.shipped() || f.isTest() || forTests(f.dir()) {
			continue
		}
		for _, read := range worldReads(f.syntax) {
			if !permitted.permits(f.dir(), read.name) {
				t.Errorf("%s: %s: the world comes as an argument, but to the packages in worldReaders",
					r.at(read.node), read.name)
			}
		}
		for _, spec := range f.syntax.Imports {
			if spec.Name != nil && spec.Name.Name == "." {
				t.Errorf("%s: a dot import hides where names come from", r.at(spec))
			}
		}
	}
	permitted.check(t)
}

// worldRead is a use of one of worldNames.
type worldRead struct {
	name string
	node ast.Node
}

// worldReads finds the uses of worldNames in a file, called or passed on, under whatever name the package is imported.
func worldReads(file *ast.File) []worldRead {
	packages := make(map[string]string) // by the name they have in the file
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, "\"`")
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		packages[name] = imported
	}
	var reads []worldRead
	ast.Inspect(file, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		// A name that the parser resolved is declared in the file: it is not a package.
		if x, ok := selector.X.(*ast.Ident); ok && x.Obj == nil {
			imported := packages[x.Name]
			if slices.Contains(worldNames[imported], selector.Sel.Name) {
				reads = append(reads, worldRead{imported + "." + selector.Sel.Name, selector})
			}
		}
		return true
	})
	return reads
}

func TestWorldReads(t *testing.T) {
	source := `package p
import ("os"; clock "time"; "example.com/time")
var now = clock.Now
func f(os struct{ Args []string }) { _ = os.Args; _ = time.Now() }
func g() { _, _ = os.LookupEnv("A"); _ = clock.Since(clock.Time{}); _ = clock.Second }
`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, read := range worldReads(file) {
		names = append(names, read.name)
	}
	if want := []string{"time.Now", "os.LookupEnv", "time.Since"}; !slices.Equal(names, want) {
		t.Errorf("found %v, want %v", names, want)
	}
}

// initPackages do something when they are imported.
var initPackages = []excuse{
	{"auto", "func init", "it exists to be imported blank"},
	{"internal/snaphelper", "func init", "the helper process is this executable, taken over before the user's main"},
}

func TestOnlyAutoHasInit(t *testing.T) {
	r := open(t)
	permitted := newExcuses(initPackages)
	for _, f := range r.golang {
		if !f.shipped() || f.isTest() {
			continue
		}
		for _, function := range functions(f.syntax, "init") {
			if !permitted.permits(f.dir(), "func init") {
				t.Errorf("%s: func init: nothing happens on import, but in the package that exists for it", r.at(function))
			}
		}
	}
	permitted.check(t)
}

// unsafeFiles may leave the language's guarantees.
var unsafeFiles = []excuse{
	{"memstat/*_windows.go", "unsafe", "the Windows API takes structures by address"},
	{"heap/capture/*_linux.go", "unsafe", "ptrace takes its arguments by address"},
	{"heap/capture/*_test.go", "unsafe", "tests look at the address of what the frozen image must hold, and call the kernel"},
	{"tests/leakzoo/native.go", "C", "a program that leaks what C has allocated"},
}

func TestUnsafe(t *testing.T) {
	r := open(t)
	permitted := newExcuses(unsafeFiles)
	for _, f := range r.golang {
		for _, imported := range imports(f.syntax) {
			if (imported == "unsafe" || imported == "C") && !permitted.permits(f.path, imported) {
				t.Errorf("%s imports %s: only the files in unsafeFiles do", f.path, imported)
			}
		}
	}
	permitted.check(t)
}

func TestPackageDocs(t *testing.T) {
	r := open(t)
	for _, dir := range r.packages(func(f *goFile) bool { return !f.isTest() }) {
		var documented []string
		for _, f := range r.golang {
			if f.dir() != dir || f.isTest() || f.syntax.Doc == nil {
				continue
			}
			documented = append(documented, f.path)
			name, text := f.syntax.Name.Name, f.syntax.Doc.Text()
			if name != "main" && !strings.HasPrefix(text, "Package "+name+" ") {
				t.Errorf("%s: the package comment does not begin with \"Package %s \"", f.path, name)
			}
		}
		switch len(documented) {
		case 0:
			t.Errorf("package %s has no comment: what does it know, what not, which package stands above?", dir)
		case 1:
		default:
			t.Errorf("package %s has comments in %v: want one", dir, documented)
		}
	}
}

// maxLines is how long a Go file may be.
const maxLines = 600

// longFiles may be longer.
var longFiles = []excuse{}

func TestFileLength(t *testing.T) {
	r := open(t)
	permitted := newExcuses(longFiles)
	for _, f := range r.golang {
		if f.lines > maxLines && !ast.IsGenerated(f.syntax) && !permitted.permits(f.path, "length") {
			t.Errorf("%s has %d lines, want at most %d: what are its two subjects?", f.path, f.lines, maxLines)
		}
	}
	permitted.check(t)
}

// TestNothingIsPutOff: what is not done is not promised in a comment either.
func TestNothingIsPutOff(t *testing.T) {
	r := open(t)
	mark := regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	for _, f := range r.golang {
		for _, group := range f.syntax.Comments {
			if found := mark.FindString(group.Text()); found != "" {
				t.Errorf("%s: a comment says %s", r.at(group), found)
			}
		}
	}
}

// leakChecks returns the calls of which the TestMain of a module's packages makes one. The library does without a
// requirement for that; the modules beside it may.
func leakChecks(f *goFile) []string {
	ours, theirs := []string{"leakcheck.Main"}, []string{"goleak.VerifyTestMain", "goleak.Find"}
	switch {
	case f.library():
		return ours
	case f.contrib():
		return append(ours, theirs...)
	default:
		return theirs
	}
}

func TestEveryTestPackageChecksForLeaks(t *testing.T) {
	r := open(t)
	for _, dir := range r.packages(func(f *goFile) bool { return f.isTest() && f.shipped() }) {
		var want []string
		checked := false
		for _, f := range r.golang {
			if f.dir() != dir || !f.isTest() {
				continue
			}
			want = leakChecks(f)
			for _, main := range functions(f.syntax, "TestMain") {
				checked = checked || slices.ContainsFunc(calls(main), func(name string) bool {
					return slices.Contains(want, name) || dir == "internal/leakcheck" && name == "Main"
				})
			}
		}
		if !checked {
			t.Errorf("the tests of %s have no TestMain that calls %s: a leaked goroutine must fail them",
				dir, strings.Join(want, " or "))
		}
	}
}

// functions returns the functions of a file, methods excepted, that have a name.
func functions(file *ast.File, name string) []*ast.FuncDecl {
	var found []*ast.FuncDecl
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
			found = append(found, f)
		}
	}
	return found
}

// calls returns what a function calls, as it is written: "leakcheck.Main".
func calls(function *ast.FuncDecl) []string {
	var names []string
	ast.Inspect(function, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch called := call.Fun.(type) {
		case *ast.Ident:
			names = append(names, called.Name)
		case *ast.SelectorExpr:
			if x, ok := called.X.(*ast.Ident); ok {
				names = append(names, x.Name+"."+called.Sel.Name)
			}
		}
		return true
	})
	return names
}
