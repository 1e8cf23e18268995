package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Origin says when, on what and from which commit something was measured, as a Markdown list. Root is where the machine's
// files are, "/"; dir is a directory of the repository. What cannot be read is left out.
func Origin(ctx context.Context, root, dir string, now time.Time) string {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return ""
		}
		return string(text)
	}
	var text strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&text, "- %s: %s\n", name, value)
		}
	}
	line("Date", now.UTC().Format("2006-01-02 15:04 UTC"))
	line("Commit", commit(ctx, dir))
	line("Go", runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	processor := field(read("proc/cpuinfo"), "model name")
	line("Machine", strings.TrimPrefix(fmt.Sprintf("%s, %d processors", processor, runtime.NumCPU()), ", "))
	line("Memory", field(read("proc/meminfo"), "MemTotal"))
	line("Kernel", strings.Join(strings.Fields(read("proc/sys/kernel/ostype")+read("proc/sys/kernel/osrelease")), " "))
	line("Transparent huge pages", chosen(read("sys/kernel/mm/transparent_hugepage/enabled")))
	line("Load at that time (1, 5, 15 minutes)", LoadAverage(root))
	return text.String()
}

// commit names what is checked out, and whether anything else than the report has been changed since.
func commit(ctx context.Context, dir string) string {
	git := func(arguments ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, arguments...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	id, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return "" // not a work tree, such as an unpacked archive
	}
	changes, err := git("status", "--porcelain", "--", ":/", ":(exclude,top)"+File, ":(exclude,top)"+filepath.Dir(File)+"/performance")
	if err != nil || changes != "" {
		return id + ", with changes"
	}
	return id
}

// field finds the first value of a name in lines of "name: value".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// chosen finds what stands in brackets among the choices of a file of the kernel.
func chosen(text string) string {
	_, text, _ = strings.Cut(text, "[")
	text, _, _ = strings.Cut(text, "]")
	return text
}

// LoadAverage is how many tasks ran or waited for a processor on average: more than there are processors, and the
// figures suffer from others.
func LoadAverage(root string) string {
	text, err := os.ReadFile(filepath.Join(root, "proc/loadavg"))
	if err != nil {
		return "unknown"
	}
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], ", ")
}
