package archtest

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// floors places every package of the library but those for tests; "." is the facade. An import goes to a lower floor.
var floors = map[string]int{
	"bytesize": 0,
	"bounded":  0,
	"shutdown": 0,
	"limit":    0,
	"settings": 0,
	"leak":     0,
	"memstat":  1,
	"pressure": 2,
	"gcpolicy": 2,
	"health":   2,
	"history":  2,
	"cleanup":  3,
	"incident": 4,

	"leak/track": 1,

	"heap/layout":    0,
	"heap/snapshot":  0,
	"heap/dominator": 0,
	"heap/capture":   1,
	"heap/gotype":    1,
	"heap/functab":   1,
	"heap/graph":     1,
	"heap/archive":   1,
	"heap/scan":      2,
	"heap/retain":    2,
	"heap/report":    3,

	"internal/bounddir":   0,
	"internal/frontend":   0,
	"internal/hugepage":   0,
	"internal/lograte":    0,
	"internal/snaphelper": 4,
	"internal/sorting":    -1,

	".":       5,
	"memhttp": 6,
	"auto":    6,
}

// sideways are the imports that do not go to a lower floor.
var sideways = []excuse{
	{"auto", "memhttp", "it serves the routes where the environment gives an address"},
	{"gcpolicy", "pressure", "what is asked of the collector depends on the level"},
	{"health", "pressure", "the memory checks tell the level in force"},
	{"history", "pressure", "a point of the history keeps the level that was in force"},
	{"internal/bounddir", "bounded", "a list with bounds tells its use as every owner does"},
	{"limit", "bytesize", "a decision prints its inputs, which are sizes"},
	{"settings", "bytesize", "the value of a setting may be a size"},
}

// testPackages are imported by tests alone; they may read the clock and the environment.
var testPackages = []excuse{
	{"internal/archtest", "*", "these rules"},
	{"internal/leakcheck", "*", "fails a test binary whose goroutines outlive it"},
	{"server/internal/servicetest", "*", "runs the service for the tests that look at it from outside"},
	{"internal/testprogram", "*", "builds the programs that tests look at from outside"},
	{"internal/faultproxy", "*", "does to connections what networks do; stands on the standard library, for every module's tests"},
	{"leak/leaksim", "*", "makes up what heaps do over days, for the rules that judge them"},
	{"leak/trend", "*", "says of soak and load tests whether a series rises"},
	{"internal/freeport", "*", "finds ports for the three beside it"},
	{"internal/scratch", "*", "finds room in memory for the databases of tests, and disks that are soon full"},
	{"internal/pgtest", "*", "runs a PostgreSQL server for a test; stands on the standard library, for every module's tests"},
	{"internal/redistest", "*", "runs a Redis server for a test; stands on the standard library, for every module's tests"},
	{"heap/heaptest", "*", "builds synthetic snapshots"},
}

func forTests(dir string) bool {
	return slices.ContainsFunc(testPackages, func(p excuse) bool { return p.place == dir })
}

// facadeFloor is the first floor that may know the process's outside: signals, the environment, HTTP.
const facadeFloor = 5

// below returns the packages under a floor.
func below(floor int) []string {
	var dirs []string
	for dir, f := range floors {
		if f < floor {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// ban is an import that packages never have.
type ban struct {
	packages []string
	never    string // import path; one of ours is relative to the module
	why      string
}

// bans hold through whatever the packages import.
var bans = []ban{
	{below(facadeFloor), "net/http", "a process that serves nothing must not link a web stack to watch its memory"},
	{below(facadeFloor), "database/sql", "what is kept goes through the facade's Store; the service brings the database"},
	{below(facadeFloor), "os/signal", "who catches signals decides for the whole process: the facade, when it is asked"},
	{below(facadeFloor), "flag", "a library must not add flags to a program"},
	{below(facadeFloor), "expvar", "it mounts a handler on import and brings net/http"},
	{[]string{"heap/dominator"}, "heap/snapshot", "dominators are integers in, integers out: they know nothing of Go"},
	{[]string{"heap/dominator"}, "heap/graph", "dominators are integers in, integers out: they know nothing of Go"},
	{[]string{"heap/graph", "heap/retain", "heap/report"}, "heap/layout", "a snapshot is analysed from the file alone, on any machine"},
	{[]string{"bounded"}, "memstat", "owners know their own bytes; the facade joins them to the process through Owner"},
}

// directBans hold for the packages' own files.
var directBans = []ban{
	{[]string{"bytesize", "bounded", "pressure", "gcpolicy", "health", "history"}, "os",
		"pure cores: the world comes as arguments"},
	{[]string{"bytesize", "bounded", "pressure", "gcpolicy", "health", "history"}, "runtime/metrics",
		"memstat alone reads the runtime; pure cores take its Sample"},
}

func TestFloorsPlaceEveryPackage(t *testing.T) {
	r := open(t)
	dirs := r.libraryPackages()
	for _, dir := range dirs {
		if _, placed := floors[dir]; !placed && !forTests(dir) {
			t.Errorf("package %s stands on no floor: place it in floors, or in testPackages if only tests import it", dir)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(floors)) {
		if !slices.Contains(dirs, dir) {
			t.Errorf("floors places %s, which is not there", dir)
		}
	}
}

func TestImportsGoDown(t *testing.T) {
	r := open(t)
	permitted := newExcuses(sideways)
	for _, f := range r.golang {
		from, placed := floors[f.dir()]
		if !f.library() || f.isTest() || !placed {
			continue
		}
		for _, imported := range r.ownImports(f) {
			to, placed := floors[imported]
			if placed && to >= from && !permitted.permits(f.dir(), imported) {
				t.Errorf("%s (floor %d) imports %s (floor %d): an import goes to a lower floor", f.path, from, imported, to)
			}
		}
	}
	permitted.check(t)
}

// TestOnlyTestsImportTestPackages leaves out the benchmarks, which nobody requires.
func TestOnlyTestsImportTestPackages(t *testing.T) {
	r := open(t)
	for _, f := range r.golang {
		if f.isTest() || forTests(f.dir()) || within(f.dir(), "bench") {
			continue
		}
		for _, imported := range r.ownImports(f) {
			if forTests(imported) {
				t.Errorf("%s imports %s, which is for tests", f.path, imported)
			}
		}
	}
	dirs := r.packages(func(f *goFile) bool { return !f.isTest() })
	for _, p := range testPackages {
		if !slices.Contains(dirs, p.place) {
			t.Errorf("testPackages lists %s, which is not there", p.place)
		}
	}
}

func TestBannedImports(t *testing.T) {
	r := open(t)
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			graph := r.dependencies(t, goos)
			for _, ban := range bans {
				never := ban.never
				if !standard(r.resolve(never)) {
					never = r.resolve(never)
				}
				for _, dir := range ban.packages {
					if way := chain(graph, r.importPath(dir), never); way != nil {
						t.Errorf("%s imports %s: %s\n\t%s", dir, never, ban.why, strings.Join(way, " -> "))
					}
				}
			}
		})
	}
}

func TestDirectlyBannedImports(t *testing.T) {
	r := open(t)
	for _, ban := range directBans {
		for _, f := range r.golang {
			if slices.Contains(ban.packages, f.dir()) && !f.isTest() && slices.Contains(imports(f.syntax), ban.never) {
				t.Errorf("%s imports %s: %s", f.path, ban.never, ban.why)
			}
		}
	}
}

// TestBansAreOfThings keeps the tables honest: a ban that names what does not exist bans nothing.
func TestBansAreOfThings(t *testing.T) {
	r := open(t)
	dirs := r.libraryPackages()
	ruled, banned := make(map[string]string), make(map[string]bool)
	for _, ban := range slices.Concat(bans, directBans) {
		banned[ban.never] = true
		for _, dir := range ban.packages {
			ruled[dir] = ban.never
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(ruled)) {
		if !slices.Contains(dirs, dir) {
			t.Errorf("package %s, which never imports %s, is no longer there", dir, ruled[dir])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(banned)) {
		if slices.Contains(dirs, name) {
			continue
		}
		if out := r.runGo(t, ".", nil, "list", "-e", "-f", "{{.Standard}}", name); strings.TrimSpace(string(out)) != "true" {
			t.Errorf("banned name %s is neither ours nor of the standard library", name)
		}
	}
}

// TestLibraryStandsAlone looks at every file, those of other platforms and the tests included.
func TestLibraryStandsAlone(t *testing.T) {
	r := open(t)
	for _, f := range r.golang {
		if !f.library() {
			continue
		}
		for _, imported := range imports(f.syntax) {
			if standard(imported) {
				continue
			}
			if !within(imported, r.library()) {
				t.Errorf("%s imports %s: the library stands on the standard library alone, its tests included", f.path, imported)
			}
			for _, m := range r.modules {
				if m.dir != "." && within(imported, m.path) {
					t.Errorf("%s imports %s: the library knows no other module", f.path, imported)
				}
			}
		}
	}
}

// TestInternalStaysInternal sees to it that the library's exported API suffices: the language would let a nested
// module import the root's internal packages, and break when a user upgrades only one of the two. Tests may import
// what is there for tests: no user builds them.
func TestInternalStaysInternal(t *testing.T) {
	r := open(t)
	if r.module("server") == nil {
		t.Skip("SKIPPED: there is no server module beside the library")
	}
	for _, f := range r.golang {
		if f.library() {
			continue
		}
		for _, imported := range r.ownImports(f) {
			if within(imported, "internal") && !((f.isTest() || forTests(f.dir())) && forTests(imported)) {
				t.Errorf("%s imports %s: outside the library only its exported API is used", f.path, imported)
			}
		}
	}
}

// resolve turns a path of the root module into an import path; others stay.
func (r *repository) resolve(name string) string {
	if slices.Contains(r.libraryPackages(), name) {
		return r.importPath(name)
	}
	return name
}

// ownImports are the directories of the packages of this repository that a file imports.
func (r *repository) ownImports(f *goFile) []string {
	var dirs []string
	for _, imported := range imports(f.syntax) {
		if within(imported, r.library()) {
			dirs = append(dirs, path.Clean(strings.TrimPrefix(strings.TrimPrefix(imported, r.library()), "/")))
		}
	}
	return dirs
}
