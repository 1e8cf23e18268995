package archtest

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// audit tells of every package and dependency what bounds it.
const audit = "docs/COMPREHENSIVE_MEMORY_AUDIT.md"

var (
	auditRow  = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*$")
	auditTest = regexp.MustCompile("`(?:([a-z0-9/]+)\\.)?(Test\\w+)`")
	// auditWebTest is a test of the packages for browsers: its file below web, and its title.
	auditWebTest = regexp.MustCompile("`([\\w/.-]+\\.test\\.tsx?)` \\(([^)]+)\\)")
	webPackage   = regexp.MustCompile(`^web/packages/[^/]+/package\.json$`)
)

// webPackages are the names of the packages for browsers.
func (r *repository) webPackages(t *testing.T) (names []string) {
	for _, file := range r.files {
		if !webPackage.MatchString(file) {
			continue
		}
		var manifest struct{ Name string }
		if err := json.Unmarshal([]byte(r.read(t, file)), &manifest); err != nil || manifest.Name == "" {
			t.Fatalf("%s: want the name of a package: %v", file, err)
		}
		names = append(names, manifest.Name)
	}
	return names
}

// TestMemoryAuditIsComplete: each package and each direct dependency of what is shipped, and each package for browsers, has
// a row with a test that proves its bound, other packages are named, and no row is of what is not there.
func TestMemoryAuditIsComplete(t *testing.T) {
	r := open(t)
	text, _, _ := strings.Cut(r.read(t, audit), "\n## What the audit has found")
	rows := map[string]string{}
	for _, m := range auditRow.FindAllStringSubmatch(text, -1) {
		rows[m[1]] += m[0] + "\n"
	}
	owed := r.packages(func(f *goFile) bool { return f.shipped() && !f.isTest() && !forTests(f.dir()) })
	for _, m := range r.modules {
		if m.dir != "server" && !within(m.dir, "contrib") {
			if m.dir != "." && !strings.Contains(text, "`"+m.dir+"`") && !strings.Contains(text, "`"+strings.Split(m.dir, "/")[0]+"`") && !strings.Contains(text, "`"+path.Dir(m.dir)+"`") {
				t.Errorf("%s does not name the module %s", audit, m.dir)
			}
			continue
		}
		for _, requirement := range r.readModFile(t, m.dir).Require {
			if !requirement.Indirect && !within(requirement.Path, r.library()) && !slices.Contains(owed, requirement.Path) {
				owed = append(owed, requirement.Path)
			}
		}
	}
	owed = append(owed, r.webPackages(t)...)
	for _, name := range owed {
		if !auditTest.MatchString(rows[name]) && !auditWebTest.MatchString(rows[name]) {
			t.Errorf("%s has no row of %s that names a test: what can grow in it, what bounds it, what proves that?", audit, name)
		}
	}
	for name := range rows {
		if !slices.Contains(owed, name) {
			t.Errorf("%s has a row of %s, which is not there", audit, name)
		}
	}
	for _, p := range testPackages {
		if !strings.Contains(text, "`"+p.place+"`") {
			t.Errorf("%s does not name %s", audit, p.place)
		}
	}
}

// TestMemoryAuditNamesTests: each test that the audit names exists where it says.
func TestMemoryAuditNamesTests(t *testing.T) {
	r := open(t)
	tests := map[string]bool{} // by directory and name
	for _, f := range r.golang {
		if f.isTest() {
			for _, name := range testsOf(f) {
				tests[f.dir()+"."+name] = true
			}
		}
	}
	seen := 0
	for line := range strings.Lines(r.read(t, audit)) {
		for _, m := range auditWebTest.FindAllStringSubmatch(line, -1) {
			seen++
			if file := "web/" + m[1]; !slices.Contains(r.files, file) || !strings.Contains(r.read(t, file), m[2]) {
				t.Errorf("%s names the test %q of %s, which there is not", audit, m[2], file)
			}
		}
		dir := "."
		if m := auditRow.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			dir = m[1]
		}
		for _, m := range auditTest.FindAllStringSubmatch(line, -1) {
			seen++
			at := dir
			if m[1] != "" {
				at = m[1]
			} else if dir == "." && line[0] != '|' {
				at = "internal/archtest" // of itself
			}
			if !tests[at+"."+m[2]] {
				t.Errorf("%s names the test %s of %s, which there is not", audit, m[2], at)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%s names %d tests", audit, seen)
	}
}

// testsOf are the tests of a file.
func testsOf(f *goFile) (names []string) {
	for name := range f.syntax.Scope.Objects {
		if strings.HasPrefix(name, "Test") {
			names = append(names, name)
		}
	}
	return names
}

// summary tells what each measure has brought.
const summary = "docs/MEMORY_OPTIMIZATION_SUMMARY.md"

var (
	benchSection  = regexp.MustCompile("`go -C bench run \\. -only ([a-z-]+)`")
	summaryFigure = regexp.MustCompile(`\d+(?:[.,]\d+)+`)
)

// TestSummaryOfMeasuresIsTrue: each measure has a command or a test that exists, and the figures that are no plain numbers
// are those of the README.
func TestSummaryOfMeasuresIsTrue(t *testing.T) {
	r := open(t)
	readme := r.read(t, "README.md")
	tests := map[string]bool{}
	for _, f := range r.golang {
		if f.isTest() {
			for _, name := range testsOf(f) {
				tests[name] = true
			}
		}
	}
	rows := 0
	for line := range strings.Lines(r.read(t, summary)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| measure") {
			continue
		}
		rows++
		cells := strings.Split(line, " | ")
		proof := cells[len(cells)-1]
		for _, m := range auditTest.FindAllStringSubmatch(proof, -1) {
			if !tests[m[2]] {
				t.Errorf("%s names the test %s, which there is not", summary, m[2])
			}
		}
		section := benchSection.FindStringSubmatch(proof)
		if section != nil && !strings.Contains(r.read(t, "bench/main.go"), `name: "`+section[1]+`"`) {
			t.Errorf("%s names the section %s of the benchmarks, which there is not", summary, section[1])
		}
		if section == nil && !strings.Contains(proof, "`make ") && !auditTest.MatchString(proof) { // TestMakeTargets looks at the targets
			t.Errorf("%s: what measures this? %s", summary, line)
		}
		for _, figure := range summaryFigure.FindAllString(cells[2], -1) {
			if !strings.Contains(readme, figure) {
				t.Errorf("%s: the README does not have the figure %s of: %s", summary, figure, line)
			}
		}
	}
	if rows < 15 {
		t.Errorf("%s has %d measures", summary, rows)
	}
}
