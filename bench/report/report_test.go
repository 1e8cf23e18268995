package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docs", "report.md")
	write := func(s Section) string {
		t.Helper()
		if err := Write(file, s); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := write(Section{Name: "one", Title: "One", Origin: "- Date: x\n", Body: "\nfirst $1\n\n"})
	if want := head + "\n<!-- begin one -->\n\n## One\n\n- Date: x\n\nfirst $1\n\n<!-- end one -->\n"; first != want {
		t.Errorf("%q, want %q", first, want)
	}
	both := write(Section{Name: "two", Title: "Two", Body: "second"})
	if !strings.HasPrefix(both, first) {
		t.Errorf("another section changed the first:\n%s", both)
	}
	changed := write(Section{Name: "one", Title: "One", Origin: "- Date: x", Body: "other"})
	if want := strings.Replace(both, "first $1", "other", 1); changed != want {
		t.Errorf("%s\nwant\n%s", changed, want)
	}
	if again := write(Section{Name: "two", Title: "Two", Body: "second"}); again != changed {
		t.Errorf("the same section once more makes another report:\n%s", again)
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v: want the report alone", left, err)
	}
}

func TestWriteRefuses(t *testing.T) {
	good := Section{Name: "one", Title: "One", Body: "text"}
	for _, c := range []struct {
		name, report string
		section      Section
		want         string
	}{
		{"no name", head, Section{Title: "x"}, "want a name"},
		{"bad name", head, Section{Name: "a --> b", Title: "x"}, "want a name"},
		{"no title", head, Section{Name: "one"}, "want a title"},
		{"long title", head, Section{Name: "one", Title: "a\nb"}, "want a title"},
		{"marker in the body", head, Section{Name: "one", Title: "x", Body: "a\n<!-- end one -->\n"}, "marker in its text"},
		{"nested", "<!-- begin a -->\n<!-- begin b -->\n", good, "section b begins within section a"},
		{"open", "<!-- begin a -->\n", good, "section a does not end"},
		{"not begun", "<!-- end a -->\n", good, "section a ends without a beginning"},
		{"twice", "<!-- begin a -->\n<!-- end a -->\n<!-- begin a -->\n<!-- end a -->\n", good, "section a begins twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "report.md")
			if err := os.WriteFile(file, []byte(c.report), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := Write(file, c.section); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != c.report {
				t.Errorf("the report has changed: %q, %v", text, err)
			}
		})
	}
}

func TestWriteBeside(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.md")
	link, err := WriteBeside(file, "chart.svg", "<svg/>")
	if err != nil || link != "performance/chart.svg" {
		t.Fatalf("%q, %v", link, err)
	}
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(file), link)); err != nil || string(text) != "<svg/>" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := WriteBeside(file, "../chart.svg", ""); err == nil {
		t.Error("a file elsewhere: want an error")
	}
}

// FuzzReplace: whatever the report was, the new one has the section once, and all else as it was.
func FuzzReplace(f *testing.F) {
	f.Add(head, "one", "text")
	f.Add("<!-- begin one -->\nold\n<!-- end one -->\nrest", "one", "text\n")
	f.Add("<!-- begin a -->\n", "a", "<!-- end a -->")
	f.Fuzz(func(t *testing.T, text, name, body string) {
		s := Section{Name: name, Title: "Title", Body: body}
		written, err := replace(text, s)
		if err != nil {
			return
		}
		before, err := find(text)
		if err != nil {
			t.Fatal(err)
		}
		after, err := find(written)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%q", err, written)
		}
		at, there := after[name]
		if !there || written[at.from:at.to] != s.text() {
			t.Fatalf("section %q is not in %q", name, written)
		}
		for other, place := range before {
			if now := after[other]; other != name && written[now.from:now.to] != text[place.from:place.to] {
				t.Errorf("section %q has changed", other)
			}
		}
		if again, err := replace(written, s); err != nil || again != written {
			t.Errorf("once more: %q, %v", again, err)
		}
	})
}

func TestOrigin(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/cpuinfo":                               "processor\t: 0\nmodel name\t: Some Processor\n\nprocessor\t: 1\nmodel name\t: Another\n",
		"proc/meminfo":                               "MemTotal:       1024 kB\nMemFree: 1 kB\n",
		"proc/sys/kernel/ostype":                     "Linux\n",
		"proc/sys/kernel/osrelease":                  "6.1.0\n",
		"sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
		"proc/loadavg":                               "0.10 0.20 0.30 1/100 4242\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	got := Origin(t.Context(), root, ".", now)
	for _, want := range []string{
		"Date: 2026-11-26 12:00 UTC\n", "Machine: Some Processor, ", "Memory: 1024 kB\n", "Kernel: Linux 6.1.0\n",
		"huge pages: madvise\n", "minutes): 0.10, 0.20, 0.30\n", "Go: go",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if bare := Origin(t.Context(), t.TempDir(), t.TempDir(), now); strings.Contains(bare, "Kernel") || strings.Contains(bare, "Commit") || !strings.Contains(bare, "processors") {
		t.Errorf("without /proc and repository:\n%s", bare)
	}
}
