package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goTest begins a command that runs tests, in a Makefile and in a shell.
var goTest = regexp.MustCompile(`(?:\bgo|\$\(GO\))(?: -C (\S+))? test(?:\s|$)`)

// selectors are the flags of go test that choose by a regular expression, and how the names begin that they choose from.
var selectors = map[string][]string{
	"-run":   {"Test", "Fuzz", "Example"},
	"-bench": {"Benchmark"},
	"-fuzz":  {"Fuzz"},
}

// TestCommandsRunTests: go test is content with a name that no test has. A command that chooses tests by name chooses some
// in each package that it names.
func TestCommandsRunTests(t *testing.T) {
	r := open(t)
	seen := 0
	for _, file := range r.files {
		if name := path.Base(file); name != "Makefile" && path.Ext(name) != ".sh" && path.Ext(name) != ".md" && !within(file, ".ci") {
			continue
		}
		text := r.read(t, file)
		if path.Base(file) == "Makefile" {
			text = strings.ReplaceAll(text, "$$", "$")
		}
		for _, c := range testCommands(text) {
			seen++
			if err := r.choosesTests(c); err != nil {
				t.Errorf("%s:%d: %v", file, c.line, err)
			}
		}
	}
	if seen < 5 {
		t.Errorf("found %d commands that choose tests by name", seen)
	}
}

// testCommand is a go test that chooses by name.
type testCommand struct {
	line     int
	selector string   // of selectors
	pattern  string   // its value
	packages []string // directories from the root, or patterns that end in "...", as in go test; "..." alone is everything
}

// testCommands finds the commands of a text that choose by name. What chooses nothing (^$), and what is a variable of a shell,
// is left out.
func testCommands(text string) (found []testCommand) {
	line := 0
	for one := range strings.Lines(text) {
		line++
		at := goTest.FindStringSubmatchIndex(one)
		if at == nil {
			continue
		}
		dir := "."
		if at[2] >= 0 {
			dir = one[at[2]:at[3]]
		}
		words := shellWords(one[at[1]:])
		var packages []string
		var chosen []testCommand
		for i := 0; i < len(words); i++ {
			name, value, joined := strings.Cut(words[i], "=")
			switch {
			case selectors[name] != nil && !joined && i+1 < len(words):
				i++
				value = words[i]
				fallthrough
			case selectors[name] != nil && joined:
				if value != "^$" && !strings.Contains(value, "$target") {
					chosen = append(chosen, testCommand{line: line, selector: name, pattern: value})
				}
			case words[i] == "." || strings.HasPrefix(words[i], "./"):
				packages = append(packages, path.Join(dir, words[i]))
			case strings.HasPrefix(words[i], "$"):
				packages = append(packages, "...") // of a variable it is known that it names packages
			}
		}
		if packages == nil {
			packages = []string{dir}
		}
		for _, c := range chosen {
			c.packages = packages
			found = append(found, c)
		}
	}
	return found
}

// shellWords splits a line as a shell does, up to the end of its first command, as far as the commands here need it.
func shellWords(line string) (words []string) {
	var word strings.Builder
	begun := false
	var quote rune
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, begun = c, true
		case quote == 0 && strings.ContainsRune(" \t\n", c):
			end()
		case quote == 0 && strings.ContainsRune(";&|`#<>", c):
			end()
			return words
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	end()
	return words
}

// choosesTests wants each alternative of a command's pattern to match a name in each package that the command names.
func (r *repository) choosesTests(c testCommand) error {
	pattern, _, _ := strings.Cut(c.pattern, "/") // what follows is for subtests
	alternatives := []string{pattern}
	if !strings.Contains(pattern, "(") {
		alternatives = strings.Split(pattern, "|")
	}
	for _, alternative := range alternatives {
		name, err := regexp.Compile(alternative)
		if err != nil {
			return fmt.Errorf("%s %s: %w", c.selector, c.pattern, err)
		}
		for _, where := range c.packages {
			if !slices.ContainsFunc(r.golang, func(f *goFile) bool {
				return f.isTest() && chosenDir(f.dir(), where) && declares(f, name, selectors[c.selector])
			}) {
				return fmt.Errorf("%s %s matches nothing in %s: go test would do nothing and say ok", c.selector, alternative, where)
			}
		}
	}
	return nil
}

// chosenDir reports whether a directory is one that a command names.
func chosenDir(dir, where string) bool {
	parent, all := strings.CutSuffix(where, "...")
	if !all {
		return dir == path.Clean(where)
	}
	parent = path.Clean(parent)
	return parent == "." || within(dir, parent)
}

// declares reports whether a file has a function that a pattern chooses, whose name begins with one of the prefixes.
func declares(f *goFile, name *regexp.Regexp, prefixes []string) bool {
	return slices.ContainsFunc(f.syntax.Decls, func(declaration ast.Decl) bool {
		function, ok := declaration.(*ast.FuncDecl)
		return ok && function.Recv == nil && name.MatchString(function.Name.Name) &&
			slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(function.Name.Name, prefix) })
	})
}

func TestTestCommands(t *testing.T) {
	r := open(t)
	for command, want := range map[string]string{
		"\tgo test ./internal/archtest -run '^TestTestCommands$' -v":                      "",
		"\t$(GO) test -race -run TestCommands -timeout=60m ./internal/archtest -long":     "",
		"go -C internal test -run=TestTestCommands ./archtest && go vet ./none":           "",
		"go test -run '^TestTestCommands$' ./internal/... # all":                          "",
		"go test -run '^$' -bench '^Benchmark(Sample|ReadMemStats)$' -benchmem ./memstat": "",
		"go test -run 'Commands|Nothing' ./internal/archtest":                             "",
		"go test -run TestTestCommands/case $(PACKAGES)":                                  "",
		"go test -run ThisIsNoTest ./internal/archtest":                                   "matches nothing in internal/archtest",
		"go test ./internal/archtest -run 'Commands|ThisIsNoTest'":                        "ThisIsNoTest matches nothing",
		"go test -run '^TestTestCommands$'":                                               "matches nothing in .",
		"go test -run TestTestCommands ./internal/archtest ./bytesize":                    "matches nothing in bytesize",
		"go test -bench TestTestCommands ./internal/archtest":                             "matches nothing",
		"go test -run testCommands ./internal/archtest":                                   "matches nothing",
		"go test -run '(' ./internal/archtest":                                            "missing closing",
	} {
		var got string
		commands := testCommands(command)
		if len(commands) != 1 {
			t.Errorf("%s: found %+v", command, commands)
		}
		for _, c := range commands {
			if err := r.choosesTests(c); err != nil {
				got += err.Error()
			}
		}
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	if found := testCommands("go test -run '^$' ./...\ngo testing -run X\ngo vet -run X\n(cd x && go test -fuzz \"^$target\\$\" .)\n"); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}
