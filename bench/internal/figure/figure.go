// Package figure holds measured figures against their goals and prints them side by side.
//
// It knows numbers and units, not where they come from. The benchmarks stand above it.
package figure

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Unit prints a value.
type Unit func(float64) string

// The units.
var (
	Bytes    Unit = func(v float64) string { return fmt.Sprintf("%.2f MiB", v/(1<<20)) }
	Seconds  Unit = func(v float64) string { return significant(time.Duration(math.Round(v * 1e9))).String() }
	Percent  Unit = func(v float64) string { return fmt.Sprintf("%.3f %%", v*100) }
	Count    Unit = func(v float64) string { return grouped(int64(math.Round(v))) }
	PerS     Unit = func(v float64) string { return grouped(int64(math.Round(v))) + "/s" }
	Multiple Unit = func(v float64) string { return fmt.Sprintf("%.1f ×", v) }
)

// significant rounds to three digits.
func significant(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d.Abs()/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// grouped writes a number with a comma every three digits.
func grouped(n int64) string {
	text, sign := strconv.FormatInt(n, 10), ""
	if n < 0 {
		text, sign = text[1:], "-"
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// Goal is what was promised of a figure. The zero Goal is none.
type Goal struct {
	limit float64
	least bool // the limit is the least, not the most
	every bool // every value keeps it, not the median alone
	set   bool
}

// AtMost bounds the median from above.
func AtMost(limit float64) Goal { return Goal{limit: limit, set: true} }

// AtLeast bounds the median from below.
func AtLeast(limit float64) Goal { return Goal{limit: limit, set: true, least: true} }

// EveryAtMost bounds each value.
func EveryAtMost(limit float64) Goal { return Goal{limit: limit, set: true, every: true} }

// Figure is something measured several times.
type Figure struct {
	Name   string
	Unit   Unit
	Goal   Goal
	Values []float64
}

// Median is the middle of the values, or between the two in the middle.
func (f Figure) Median() float64 {
	sorted := slices.Sorted(slices.Values(f.Values))
	if len(sorted) == 0 {
		return math.NaN()
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Met reports whether the goal is met; a figure that was not measured meets none.
func (f Figure) Met() bool {
	keeps := func(v float64) bool {
		if f.Goal.least {
			return v >= f.Goal.limit
		}
		return v <= f.Goal.limit
	}
	if len(f.Values) == 0 {
		return false
	}
	if f.Goal.every {
		return !slices.ContainsFunc(f.Values, func(v float64) bool { return !keeps(v) })
	}
	return keeps(f.Median())
}

// HasGoal reports whether something was promised.
func (f Figure) HasGoal() bool { return f.Goal.set }

// Table writes figures as a Markdown table.
func Table(w io.Writer, figures []Figure) error {
	rows := [][]string{{"figure", "goal", "median", "min", "max", "verdict"}}
	for _, f := range figures {
		rows = append(rows, f.row())
	}
	return Grid(w, rows)
}

// Grid writes rows as a Markdown table; the first is its head, and all are as long.
func Grid(w io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var text strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(&text, "| %s%s ", cell, strings.Repeat(" ", widths[i]-len([]rune(cell))))
		}
		text.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				fmt.Fprintf(&text, "| %s ", strings.Repeat("-", width))
			}
			text.WriteString("|\n")
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (f Figure) row() []string {
	goal, verdict := "", ""
	if f.Goal.set {
		sign := "≤ "
		if f.Goal.least {
			sign = "≥ "
		}
		if goal = sign + f.Unit(f.Goal.limit); f.Goal.every {
			goal = "always " + goal
		}
		if verdict = "**missed**"; f.Met() {
			verdict = "met"
		}
	}
	if len(f.Values) == 0 {
		return []string{f.Name, goal, "not measured", "", "", verdict}
	}
	return []string{f.Name, goal, f.Unit(f.Median()), f.Unit(slices.Min(f.Values)), f.Unit(slices.Max(f.Values)), verdict}
}
