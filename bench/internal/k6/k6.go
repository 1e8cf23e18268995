// Package k6 installs the k6 that tools/k6 pins, outside of the repository, runs scripts with it, and reads its summary.
//
// It knows k6's command line and files, not what the scripts ask for. The load command stands above it.
package k6

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const module = "go.k6.io/k6"

// Program is an installed k6.
type Program struct{ file, Version string }

// Install builds k6 with the Go toolchain, unless that was done before, and returns it. Tools is the directory of the
// module that pins it; it is kept below cache, once for each version.
func Install(ctx context.Context, tools, cache string, progress io.Writer) (Program, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", module)
	list.Dir, list.Env = tools, append(os.Environ(), "GOWORK=off")
	out, err := list.Output()
	if err != nil {
		return Program{}, fmt.Errorf("which k6 is pinned in %s: %w", tools, err)
	}
	p := Program{Version: strings.TrimSpace(string(out))}
	dir := filepath.Join(cache, "k6-"+p.Version)
	p.file = filepath.Join(dir, "k6")
	if _, err := os.Stat(p.file); err == nil {
		return p, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Program{}, err
	}
	fmt.Fprintf(progress, "load: building k6 %s into %s, once; this takes minutes …\n", p.Version, dir)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Program{}, err
	}
	built, err := os.MkdirTemp(cache, "building-")
	if err != nil {
		return Program{}, err
	}
	install := exec.CommandContext(ctx, "go", "install", "tool")
	install.Dir, install.Env = tools, append(os.Environ(), "GOWORK=off", "GOBIN="+built)
	if out, err := install.CombinedOutput(); err != nil {
		return Program{}, errors.Join(fmt.Errorf("go install %s %s: %w\n%s", module, p.Version, err, out), os.RemoveAll(built))
	}
	if err := os.Rename(built, dir); err != nil {
		if _, there := os.Stat(p.file); there != nil { // another may have built it meanwhile
			return Program{}, errors.Join(err, os.RemoveAll(built))
		}
		return p, os.RemoveAll(built)
	}
	return p, nil
}

// Run is one run of a script.
type Run struct {
	Script      string
	VUs         int           // 0: what the script says
	Duration    time.Duration // 0: what the script says
	Environment []string      // NAME=value, for the script
	Dir         string        // for its files
	Progress    io.Writer
}

// thresholdsCrossed is how k6 exits when it ran to the end and a threshold was crossed.
const thresholdsCrossed = 99

// Do runs a script to its end. Thresholds that are crossed are no error but in the result.
func (p Program) Do(ctx context.Context, r Run) (Result, error) {
	result := Result{Console: filepath.Join(r.Dir, "console.log")}
	summary := filepath.Join(r.Dir, "summary.json")
	arguments := []string{
		"run", "--quiet", "--no-color", "--no-usage-report", "--summary-export", summary,
		"--summary-trend-stats", "avg,min,med,max,p(95),p(99)", "--console-output", result.Console, "--log-format", "raw",
	}
	if r.VUs > 0 {
		arguments = append(arguments, "--vus", fmt.Sprint(r.VUs))
	}
	if r.Duration > 0 {
		arguments = append(arguments, "--duration", r.Duration.String())
	}
	command := exec.CommandContext(ctx, p.file, append(arguments, r.Script)...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	command.Env = append(os.Environ(), r.Environment...)
	command.Stdout, command.Stderr = r.Progress, r.Progress
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == thresholdsCrossed:
		result.Crossed = true
	case err != nil:
		return result, fmt.Errorf("k6 run %s: %w", r.Script, err)
	}
	text, err := os.ReadFile(summary)
	if err != nil {
		return result, err
	}
	result.Metrics, err = parseSummary(text)
	return result, err
}

// Result is what came of a run.
type Result struct {
	Crossed bool   // a threshold was crossed
	Console string // file with what the script wrote
	Metrics map[string]Metric
}

// Metric is what k6 has measured, by the names of k6: "p(99)" of a trend, in milliseconds, "count" of a counter, "value" of
// a rate.
type Metric map[string]float64

func parseSummary(text []byte) (map[string]Metric, error) {
	var summary struct{ Metrics map[string]map[string]any }
	if err := json.Unmarshal(text, &summary); err != nil {
		return nil, fmt.Errorf("summary of k6: %w", err)
	}
	metrics := make(map[string]Metric)
	for name, values := range summary.Metrics {
		m := make(Metric)
		for key, value := range values {
			if number, ok := value.(float64); ok { // thresholds stand beside the numbers
				m[key] = number
			}
		}
		metrics[name] = m
	}
	if len(metrics["http_reqs"]) == 0 {
		return nil, errors.New("summary of k6: it has no http_reqs")
	}
	return metrics, nil
}
