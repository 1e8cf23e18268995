// Package report writes docs/PERFORMANCE_AUDIT_REPORT.md section by section, so that each measurement can be repeated
// alone and nobody has to edit the report.
//
// It knows the report's markers and what a section tells of its origin: the date, the machine, the kernel, the release
// of Go and the commit. It does not know what was measured. Benchmarks, load and chaos stand above it; what is no part
// of this module hands its section to cmd/report.
package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// File is where the report is in the repository.
const File = "docs/PERFORMANCE_AUDIT_REPORT.md"

// head begins a new report.
const head = `# Performance audit report

Written by commands, section by section, and by nobody's hand: ` + "`make audit`" + ` measures all of it anew. Each section says
on what and when it was measured, and which command measures it alone.
`

// Section is a part of the report.
type Section struct {
	Name   string // in the markers: lower-case letters, digits, hyphens; bounded by 64 bytes
	Title  string // its heading, on one line
	Origin string // see Origin
	Body   string // Markdown, with headings of the third level and below
}

// Write puts a section into a report in place of the one of that name, or at its end, as a whole or not at all. A report
// that is not there yet is begun. Two writers at the same time are not provided for: the later one wins.
func Write(file string, s Section) error {
	old, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = []byte(head), os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err != nil {
		return err
	}
	text, err := replace(string(old), s)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return writeWhole(file, text)
}

// WriteBeside writes a file that a section shows, such as a chart, into the directory performance beside the report,
// and returns the link to it.
func WriteBeside(file, name string, content string) (link string, err error) {
	const dir = "performance"
	if name != filepath.Base(name) {
		return "", fmt.Errorf("%q: want the name of a file", name)
	}
	if err := os.MkdirAll(filepath.Join(filepath.Dir(file), dir), 0o755); err != nil {
		return "", err
	}
	return dir + "/" + name, writeWhole(filepath.Join(filepath.Dir(file), dir, name), content)
}

// writeWhole replaces a file by one of the same directory, so that a reader sees the old or the new one.
func writeWhole(file, text string) (err error) {
	written, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(written.Name()))
		}
	}()
	_, err = written.WriteString(text)
	if err = errors.Join(err, written.Chmod(0o644), written.Sync(), written.Close()); err != nil {
		return err
	}
	return os.Rename(written.Name(), file)
}

var (
	name   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	marker = regexp.MustCompile(`(?m)^<!-- (begin|end) (\S*) -->$`)
)

func begin(name string) string { return "<!-- begin " + name + " -->" }
func end(name string) string   { return "<!-- end " + name + " -->" }

// replace returns a report with a section in its place.
func replace(text string, s Section) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	places, err := find(text)
	if err != nil {
		return "", err
	}
	if at, there := places[s.Name]; there {
		return text[:at.from] + s.text() + text[at.to:], nil
	}
	return strings.TrimRight(text, "\n") + "\n\n" + s.text() + "\n", nil
}

func (s Section) check() error {
	switch {
	case !name.MatchString(s.Name):
		return fmt.Errorf("section %q: want a name of lower-case letters, digits and hyphens", s.Name)
	case s.Title == "" || strings.ContainsAny(s.Title, "\r\n"):
		return fmt.Errorf("section %s: want a title of one line, got %q", s.Name, s.Title)
	case marker.MatchString(s.Origin) || marker.MatchString(s.Body):
		return fmt.Errorf("section %s has a marker in its text", s.Name)
	}
	return nil
}

func (s Section) text() string {
	parts := []string{begin(s.Name), "## " + s.Title}
	for _, part := range []string{s.Origin, s.Body} {
		if part = strings.Trim(part, "\n"); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(append(parts, end(s.Name)), "\n\n")
}

// place is where a section is in a report, its markers included.
type place struct{ from, to int }

// find returns the places of the sections. Each must begin and end once, and none may lie in another.
func find(text string) (map[string]place, error) {
	places := make(map[string]place)
	open, from := "", 0
	for _, m := range marker.FindAllStringSubmatchIndex(text, -1) {
		kind, name := text[m[2]:m[3]], text[m[4]:m[5]]
		_, again := places[name]
		switch {
		case kind == "begin" && open != "":
			return nil, fmt.Errorf("section %s begins within section %s", name, open)
		case kind == "begin" && again:
			return nil, fmt.Errorf("section %s begins twice", name)
		case kind == "begin":
			open, from = name, m[0]
		case name != open:
			return nil, fmt.Errorf("section %s ends without a beginning", name)
		default:
			places[name] = place{from, m[1]}
			open = ""
		}
	}
	if open != "" {
		return nil, fmt.Errorf("section %s does not end", open)
	}
	return places, nil
}
