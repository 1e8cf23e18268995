// Package gobench runs Go benchmarks and reads their output.
//
// It knows the form of `go test -bench`. The benchmarks stand above it.
package gobench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Result is one line: a benchmark's name, without the number of processors, and its figures by their units.
type Result struct {
	Name    string
	Figures map[string]float64 // "ns/op", "B/op", "allocs/op", …
}

// Run runs the benchmarks of packages, in the module of dir, with further arguments for go test.
func Run(ctx context.Context, dir string, packages []string, arguments ...string) ([]Result, error) {
	all := append([]string{"test", "-run", "^$", "-benchmem"}, arguments...)
	command := exec.CommandContext(ctx, "go", append(all, packages...)...)
	command.Dir = dir
	out, err := command.Output()
	if err != nil {
		var stderr []byte
		if failed, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it as it is
			stderr = failed.Stderr
		}
		return nil, fmt.Errorf("go test in %s: %w\n%s%s", dir, err, out, stderr)
	}
	return Parse(out)
}

// Parse reads the output of go test -bench.
func Parse(out []byte) ([]Result, error) {
	var all []Result
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") || len(fields)%2 != 0 {
			continue
		}
		r := Result{fields[0], make(map[string]float64)}
		if i := strings.LastIndexByte(r.Name, '-'); i > 0 {
			if _, err := strconv.Atoi(r.Name[i+1:]); err == nil {
				r.Name = r.Name[:i]
			}
		}
		for i := 2; i < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("benchmark line %q: %w", lines.Text(), err)
			}
			r.Figures[fields[i+1]] = value
		}
		all = append(all, r)
	}
	return all, nil
}

// Values are the figures of a unit of all results of a name, in their order.
func Values(results []Result, name, unit string) []float64 {
	var values []float64
	for _, r := range results {
		if value, ok := r.Figures[unit]; ok && r.Name == name {
			values = append(values, value)
		}
	}
	return values
}
