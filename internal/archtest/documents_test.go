package archtest

import (
	"bytes"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// owedDocuments are what a stranger looks for first.
var owedDocuments = []string{
	"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE",
}

func TestDocumentsAreThere(t *testing.T) {
	r := open(t)
	for _, name := range owedDocuments {
		if !slices.Contains(r.files, name) {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestLinks(t *testing.T) {
	r := open(t)
	documents := make(map[string]document)
	for _, file := range r.files {
		if path.Ext(file) == ".md" {
			documents[file] = readMarkdown(r.read(t, file))
		}
	}
	for file, d := range documents {
		for _, link := range d.links {
			target, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: link %q: %v", file, link, err)
				continue
			}
			if target.Scheme != "" || target.Host != "" {
				continue
			}
			to := file
			if strings.HasPrefix(target.Path, "/") {
				to = path.Clean(target.Path[1:])
			} else if target.Path != "" {
				to = path.Join(path.Dir(file), target.Path)
			}
			if !r.has(to) {
				t.Errorf("%s: link %q: there is no %s", file, link, to)
			} else if other, ok := documents[to]; ok && target.Fragment != "" && !other.anchors[target.Fragment] {
				t.Errorf("%s: link %q: %s has no heading for it", file, link, to)
			}
		}
	}
}

// has reports whether a path is a file or a directory of the repository.
func (r *repository) has(name string) bool {
	return slices.ContainsFunc(r.files, func(file string) bool { return name == "." || within(file, name) })
}

// TestArchitectureNamesEveryPackage: the picture that is drawn in words has every package of the library.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	r := open(t)
	if !slices.Contains(r.files, "ARCHITECTURE.md") {
		t.Skip("SKIPPED: there is no ARCHITECTURE.md; TestDocumentsAreThere fails for it")
	}
	text := r.read(t, "ARCHITECTURE.md")
	for _, dir := range r.libraryPackages() {
		if dir != "." && !regexp.MustCompile(`\b`+regexp.QuoteMeta(dir)+`\b`).MatchString(text) {
			t.Errorf("ARCHITECTURE.md does not name package %s", dir)
		}
	}
}

var (
	makeCommand = regexp.MustCompile(`(?:^|[;&|$]|\w=\S*)\s*make((?: [a-z][a-z0-9-]*)+)`)
	makeTarget  = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):(?:[^=].*)?$`)
	makeHelp    = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):.* ## \S`)
)

// TestMakeTargets: each target has a line of help, and documents name only targets that exist.
func TestMakeTargets(t *testing.T) {
	r := open(t)
	makefile := r.read(t, "Makefile")
	var targets []string
	for _, m := range makeTarget.FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, m[1])
	}
	var helped []string
	for _, m := range makeHelp.FindAllStringSubmatch(makefile, -1) {
		helped = append(helped, m[1])
	}
	for _, target := range targets {
		if !slices.Contains(helped, target) {
			t.Errorf("Makefile: target %s has no line of help: \"%s: ## what it does\"", target, target)
		}
	}
	for _, file := range r.files {
		if path.Ext(file) != ".md" {
			continue
		}
		for _, code := range readMarkdown(r.read(t, file)).code {
			for _, m := range makeCommand.FindAllStringSubmatch(code, -1) {
				for _, target := range strings.Fields(m[1]) {
					if !slices.Contains(targets, target) {
						t.Errorf("%s names make %s, which is no target", file, target)
					}
				}
			}
		}
	}
}

// TestContinuousIntegrationRunsTheTests: what is promised is what make test shows, no more and no less.
func TestContinuousIntegrationRunsTheTests(t *testing.T) {
	r := open(t)
	var commands []string
	for line := range strings.Lines(r.read(t, ".ci/run")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			commands = append(commands, line)
		}
	}
	if last := commands[len(commands)-1]; last != "exec make test" {
		t.Errorf(".ci/run ends with %q, want \"exec make test\"", last)
	}
}

// registryHosts are put together here so that this file does not name them.
var registryHosts = []string{
	"proxy." + "golang.org", "sum." + "golang.org", "registry." + "npmjs.org", "registry." + "yarnpkg.com",
	"deb." + "debian.org", "security." + "debian.org", "pypi." + "org", "crates." + "io",
}

// TestNoTraceOfAMachine: no file names where it was written or where its parts were fetched.
func TestNoTraceOfAMachine(t *testing.T) {
	r := open(t)
	traces := slices.Concat(registryHosts, proxyHosts(r, t), machinePaths(t, r.root))
	for _, file := range r.files {
		text, err := os.ReadFile(r.file(file))
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			continue // removed meanwhile, or binary
		}
		for _, trace := range traces {
			if line := lineOf(string(text), trace); line > 0 {
				t.Errorf("%s:%d names %s, a place of one machine", file, line, trace)
			}
		}
	}
}

// proxyHosts are the hosts from which this machine's go command fetches modules.
func proxyHosts(r *repository, t *testing.T) []string {
	t.Helper()
	var hosts []string
	fetches := strings.FieldsFunc(string(r.runGo(t, ".", nil, "env", "GOPROXY", "GOSUMDB")), func(c rune) bool {
		return strings.ContainsRune(",|\n ", c)
	})
	for _, fetch := range fetches {
		if u, err := url.Parse(fetch); err == nil && u.Host != "" {
			hosts = append(hosts, u.Host)
		}
	}
	return hosts
}

// machinePaths are what lies beside the repository, and the home directory.
func machinePaths(t *testing.T, root string) []string {
	t.Helper()
	paths := []string{root}
	if home, err := os.UserHomeDir(); err == nil && len(home) > 1 {
		paths = append(paths, home+string(filepath.Separator))
	}
	parent := filepath.Dir(root)
	neighbours, err := os.ReadDir(parent)
	if err != nil {
		return paths // it may be hidden from us
	}
	for _, neighbour := range neighbours {
		if path := filepath.Join(parent, neighbour.Name()); path != os.TempDir() && filepath.Dir(path) != "/" {
			paths = append(paths, path)
		}
	}
	return paths
}

// lineOf returns the line, from 1, of a text in which a path or a host stands as a whole; 0 if there is none.
func lineOf(text, name string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return 0
		}
		start, end := from+i, from+i+len(name)
		before := start > 0 && nameByte(text[start-1])
		after := end < len(text) && nameByte(text[end]) && !strings.HasSuffix(name, "/")
		if !before && !after {
			return strings.Count(text[:start], "\n") + 1
		}
		from = end
	}
}

func nameByte(b byte) bool {
	return b == '_' || b == '-' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}

func TestLineOf(t *testing.T) {
	for _, c := range []struct {
		text, name string
		want       int
	}{
		{"a\nin /srv/me/repo.\n", "/srv/me/repo", 2},
		{"/srv/me/repository /srv/me/repo-2", "/srv/me/repo", 0},
		{"x/srv/me/repo", "/srv/me/repo", 0},
		{"\n\ncd /home/me/src", "/home/me/", 3},
		{"https://example.org/x", "example.org", 1},
		{"", "example.org", 0},
	} {
		if got := lineOf(c.text, c.name); got != c.want {
			t.Errorf("lineOf(%q, %q) = %d, want %d", c.text, c.name, got, c.want)
		}
	}
}
