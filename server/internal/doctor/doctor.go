// Package doctor looks at what a machine and its container allow: which of the things that memwarden can do will work
// here, what is missing for the others, and what is broken.
//
// It knows the files in which the kernel says so, and what follows for a user. It changes nothing, but for a file
// that it writes to the data directory and removes at once. Everything else comes as an argument. The command
// `doctor` of cmd/memwarden stands above.
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/memwarden/memwarden/memstat"
	"github.com/memwarden/memwarden/server/internal/config"
)

// Status is how good a finding is.
type Status string

// The statuses, best first.
const (
	OK     Status = "ok"
	Info   Status = "info"   // good to know; something works less well
	Warn   Status = "warn"   // something will not work, or will do harm one day
	Broken Status = "broken" // the server does not start like this, or not work for long
)

// Finding is one thing that was looked at.
type Finding struct {
	Name    string `json:"name"` // stable, of words joined by hyphens
	Status  Status `json:"status"`
	Summary string `json:"summary"`         // one sentence
	Advice  string `json:"advice,omitzero"` // what to do about it
}

// Options are what is looked at.
type Options struct {
	// Root is where /proc and /sys are found; empty: "/".
	Root string
	// Environ is the environment, as NAME=value.
	Environ []string
	// Config is the configuration, as config.Load gave it with its warnings and its error.
	Config   config.Config
	Warnings []string
	Mistake  error
	Program  Program
}

// Program is what the running binary knows of itself.
type Program struct {
	OS, Arch, GoVersion string
	CPUs                int  // runtime.NumCPU
	MaxProcs            int  // runtime.GOMAXPROCS
	GoroutineLeaks      bool // the toolchain's goroutine-leak profile is there
}

// examination is what every check reads.
type examination struct {
	Options
	limits    memstat.CgroupLimits
	limitsErr error
	sample    memstat.Sample
}

// Examine looks at everything once; now is the time of the reading. The findings are always the same, in the same
// order, but for those that another operating system than Linux does not have.
func Examine(o Options, now time.Time) []Finding {
	if o.Root == "" {
		o.Root = "/"
	}
	e := examination{Options: o}
	e.limits, e.limitsErr = memstat.ReadCgroupLimits(o.Root, 0)
	if sampler, err := memstat.New(memstat.Options{Root: o.Root}); err == nil { // absent figures are findings, too
		sampler.Read(&e.sample, now)
		defer func() { _ = sampler.Close() }() // only read
	}
	checks := []func() Finding{e.configuration, e.platform, e.goroutineLeaks}
	if o.Program.OS == "linux" {
		checks = append(checks, e.cgroup, e.containerLimit, e.memoryHigh, e.oomGroup, e.pressure, e.smaps, e.swap, e.overcommit,
			e.ptrace, e.descriptors, e.hugePages, e.cpuQuota)
	}
	checks = append(checks, e.memoryLimit, e.collector, e.dataDir, e.database, e.redis)
	findings := make([]Finding, len(checks))
	for i, check := range checks {
		findings[i] = check()
	}
	return findings
}

// Worst is the worst status of the findings.
func Worst(findings []Finding) Status {
	worst := OK
	rank := map[Status]int{OK: 0, Info: 1, Warn: 2, Broken: 3}
	for _, f := range findings {
		if rank[f.Status] > rank[worst] {
			worst = f.Status
		}
	}
	return worst
}

// read returns a small file below the root, trimmed.
func (e *examination) read(path string) (string, error) {
	file, err := os.Open(filepath.Join(e.Root, path))
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(file, 64<<10))
	return strings.TrimSpace(string(data)), err
}

// groupFile reads a file of the memory control group.
func (e *examination) groupFile(name string) (string, error) {
	if e.limits.Path == "" {
		return "", os.ErrNotExist
	}
	path, err := filepath.Rel(e.Root, filepath.Join(e.limits.Path, name))
	if err != nil {
		return "", err
	}
	return e.read(path)
}

// lookup finds a variable in the environment, or else in the environment file.
func (e *examination) lookup(name string) (value, source string) {
	for _, entry := range e.Environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok && value != "" {
			return value, config.SourceEnvironment
		}
	}
	for _, a := range e.Config.File {
		if a.Name == name {
			return string(a.Value), e.Config.EnvFile
		}
	}
	return "", ""
}

// WriteJSON writes the findings as one document: {"status": the worst, "findings": [...]}.
func WriteJSON(w io.Writer, findings []Finding) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Status   Status    `json:"status"`
		Findings []Finding `json:"findings"`
	}{Worst(findings), findings})
}

// Columns of the text: status, name, sentence.
const (
	statusWidth = 8
	nameWidth   = 18
	width       = 80
)

// WriteText writes the findings for people, on 80 columns.
func WriteText(w io.Writer, findings []Finding) error {
	var out strings.Builder
	indent := strings.Repeat(" ", statusWidth+nameWidth)
	for _, f := range findings {
		head := fmt.Sprintf("%-*s%-*s", statusWidth, f.Status, nameWidth, f.Name)
		for _, line := range wrap(f.Summary, width-len(indent)) {
			out.WriteString(head + line + "\n")
			head = indent
		}
		arrow := "-> "
		for _, line := range wrap(f.Advice, width-len(indent)-len(arrow)) {
			out.WriteString(indent + arrow + line + "\n")
			arrow = "   "
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// wrap breaks a text into lines of at most columns characters; a longer word stands alone.
func wrap(text string, columns int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
