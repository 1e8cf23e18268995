package reference

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/auto"
	"github.com/memwarden/memwarden/memhttp"
	"github.com/memwarden/memwarden/server/internal/config"
)

const repository = "../../.."

// documents are the Markdown files of the repository by their paths in it.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", ".cache", "bin", "data", "node_modules", "testdata"}, entry.Name()) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(repository, path)
			if err != nil {
				return err
			}
			texts[filepath.ToSlash(name)] = string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) < 10 {
		t.Fatalf("%d documents were found", len(texts))
	}
	return texts
}

// settingName is the name of a setting in a text; one that ends with "_" stands for all that begin so.
var settingName = regexp.MustCompile(`MEMWARDEN_[A-Z_]*`)

// TestDocumentsNameSettingsThatExist: what a document tells to set is read by the code.
func TestDocumentsNameSettingsThatExist(t *testing.T) {
	known := []string{memwarden.DerivedMark}
	for _, s := range slices.Concat(config.Settings(), auto.Settings()) {
		known = append(known, s.Name)
	}
	for name, text := range documents(t) {
		for _, found := range settingName.FindAllString(text, -1) {
			whole := slices.Contains(known, found)
			family := strings.HasSuffix(found, "_") && slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, found) })
			if !whole && !family {
				t.Errorf("%s names %s, which no code reads", name, found)
			}
		}
	}
}

var (
	routePath = regexp.MustCompile(`/(?:api|debug/pprof)/[a-zA-Z0-9_{}/.-]*|/(?:livez|readyz|startupz|metrics|openapi\.yaml)\b`)
	routeID   = regexp.MustCompile(`^(?:\{[a-z]+\}|\d{8}T\d{6}Z-[0-9a-f]{8}|\d+)$`)
)

// TestDocumentsNameRoutesThatExist: a path in a document is one that the service answers, or the beginning of some.
func TestDocumentsNameRoutesThatExist(t *testing.T) {
	seen := 0
	for name, text := range documents(t) {
		for _, place := range routePath.FindAllStringIndex(text, -1) {
			found := text[place[0]:place[1]]
			if place[0] > 0 && !strings.ContainsRune(" `\n(\"|", rune(text[place[0]-1])) && !followsHost(text[:place[0]]) {
				continue // a path of something else, such as docs/api/
			}
			seen++
			if found == "/api/v2/alerts" { // of an Alertmanager
				continue
			}
			if !slices.ContainsFunc(memhttp.Routes(), func(r memhttp.Route) bool { return answers(r.Path, strings.TrimRight(found, ".")) }) {
				t.Errorf("%s names %s, which is no route", name, found)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d routes were found in the documents", seen)
	}
}

// followsHost reports whether a text ends with a host, such as "localhost:8080" or "$HOST".
func followsHost(text string) bool {
	return regexp.MustCompile(`(?:\$[A-Z]+|localhost|[0-9]):?[0-9]*$`).MatchString(text)
}

// answers reports whether a path is that of a route, or some of its first parts.
func answers(route, path string) bool {
	parts, have := strings.Split(strings.Trim(route, "/"), "/"), strings.Split(strings.Trim(path, "/"), "/")
	if len(have) > len(parts) {
		return false
	}
	for i, part := range have {
		named := strings.HasPrefix(parts[i], "{") && (routeID.MatchString(part) || !strings.Contains(part, "{"))
		if part != parts[i] && !named {
			return false
		}
	}
	return true
}

func TestAnswers(t *testing.T) {
	for path, want := range map[string]bool{
		"/api/monitoring/memory/snapshots/{id}": true, "/api/monitoring/memory/": true, "/debug/pprof/heap": true,
		"/api/monitoring/memory/snapshots/20261126T085622Z-c736e1b5": true,
		"/api/monitoring/memory/stat":                                false, "/api/health/x": false,
	} {
		if got := slices.ContainsFunc(memhttp.Routes(), func(r memhttp.Route) bool { return answers(r.Path, path) }); got != want {
			t.Errorf("%s is a route: %v, want %v", path, got, want)
		}
	}
}

var (
	commandLine = regexp.MustCompile(`(?:memwarden|\./bin/memwarden) (\w+)((?: [^|;&\n` + "`" + `]*)?)`)
	longFlag    = regexp.MustCompile(`--[a-z][a-z0-9-]*`)
	codeSpan    = regexp.MustCompile("(?s)```.*?```|`[^`\n]+`")
)

// noCommands follow the program's name where no command is meant: "memwarden watches itself", "memwarden heap snapshot".
var noCommands = []string{"watches", "heap"}

// TestDocumentsNameCommandsThatExist: "memwarden X" in code is a command, and its long flags are of some command.
func TestDocumentsNameCommandsThatExist(t *testing.T) {
	source, err := sources(filepath.Join(repository, "server", "cmd", "memwarden"))
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{"--help": true}
	for _, s := range config.Settings() {
		flags["--"+s.Flag()] = true
	}
	seen := 0
	for name, text := range documents(t) {
		for _, code := range codeSpan.FindAllString(text, -1) {
			for _, m := range commandLine.FindAllStringSubmatch(code, -1) {
				command := m[1]
				if slices.Contains(noCommands, command) {
					continue
				}
				if !regexp.MustCompile(`Use:\s+"` + command + `\b`).MatchString(source) {
					t.Errorf("%s names memwarden %s, which is no command", name, command)
				}
				seen++
				before, _, _ := strings.Cut(m[2], " -- ")
				for _, flag := range longFlag.FindAllString(before, -1) {
					if !flags[flag] && !strings.Contains(source, `"`+strings.TrimPrefix(flag, "--")+`"`) {
						t.Errorf("%s names the flag %s of memwarden %s, which there is not", name, flag, command)
					}
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d commands were found in the documents", seen)
	}
}

// sources are the Go files of a directory, without tests.
func sources(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		all.Write(text)
	}
	return all.String(), nil
}
