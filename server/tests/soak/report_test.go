package soak

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/memwarden/memwarden/bounded"

	"github.com/memwarden/memwarden/leak/trend"
)

// report is what a soak measured.
type report struct {
	soak       *soak
	at         []float64 // seconds
	series     []series
	usages     []bounded.Usage // of the parts, at the last sample
	took       time.Duration
	operations int64
}

// series is one figure of all samples.
type series struct {
	name   string
	judged bool
	values []float64
	trend  trend.Trend
}

// newReport returns a report of no samples yet. Of goroutines and descriptors some seconds say little, for connections
// come and go; a goroutine that stays fails the test at its end.
func newReport(s *soak) report {
	few := s.plan.calm
	return report{
		soak:   s,
		series: []series{{name: "live heap, B", judged: true}, {name: "stacks, B"}, {name: "goroutines", judged: !few}, {name: "descriptors", judged: !few}},
		usages: make([]bounded.Usage, len(s.parts)),
	}
}

// add adds a sample, its figures in the order of the series.
func (r *report) add(at time.Duration, figures ...float64) {
	r.at = append(r.at, at.Seconds())
	for i, figure := range figures {
		r.series[i].values = append(r.series[i].values, figure)
	}
}

func (r *report) judge() {
	for i, one := range r.series {
		r.series[i].trend = trend.Of(r.at, one.values, r.soak.plan.alpha)
	}
}

// verdicts are sentences on what has a trend, and must not.
func (r *report) verdicts() (sentences []string) {
	for _, one := range r.series {
		if t := one.trend; one.judged && t.Distinguishable(r.soak.plan.alpha) {
			verb := "grows"
			if t.Slope <= 0 {
				verb = "does not stay: it changes"
			}
			sentences = append(sentences, fmt.Sprintf("%s: %s by %+.4g a second (%.4g to %.4g with a confidence of %s, p = %.2g)",
				one.name, verb, t.Slope, t.Low, t.High, r.confidence(), t.P))
		}
	}
	return sentences
}

func (r *report) confidence() string { return fmt.Sprintf("%.4g %%", 100*(1-r.soak.plan.alpha)) }

// print writes the figures as Markdown.
func (r *report) print(w io.Writer) {
	s := r.soak
	fmt.Fprintf(w, "\n# Soak\n\n%s", machine())
	fmt.Fprintf(w, "- Beside: %s\n", strings.Join(s.servers, ", "))
	fmt.Fprintf(w, "- Load, seed %d: %d operations in %v (%.0f/s), after a warm-up of %v\n",
		s.plan.seed, r.operations, r.took.Round(time.Second), float64(r.operations)/r.took.Seconds(), s.warm.Round(time.Second))
	fmt.Fprintf(w, "- %d samples of what was live after a collection, while the load held still; load of the machine at the end: %s\n\n",
		len(r.at), loadAverage())
	rows := [][]string{{"", "median", "min", "max", "slope a second", "confidence " + r.confidence(), "slope an hour", "p", "verdict"}}
	for _, one := range r.series {
		t := one.trend
		verdict := "not distinguishable from 0"
		switch {
		case t.Distinguishable(s.plan.alpha) && t.Slope > 0:
			verdict = "**grows**"
		case t.Distinguishable(s.plan.alpha):
			verdict = "**changes**"
		}
		if !one.judged {
			verdict += " (for information)"
		}
		rows = append(rows, []string{
			one.name, number(median(slices.Sorted(slices.Values(one.values)))), number(slices.Min(one.values)), number(slices.Max(one.values)),
			fmt.Sprintf("%+.3g", t.Slope), fmt.Sprintf("%+.3g to %+.3g", t.Low, t.High), fmt.Sprintf("%+.3g", t.Slope*3600),
			fmt.Sprintf("%.2g", t.P), verdict,
		})
	}
	table(w, rows)
	rows = [][]string{{"owner", "entries", "peak", "bound", "bytes", "peak", "bound"}}
	for i, p := range s.parts {
		u := r.usages[i]
		row := []string{p.Name()}
		for _, n := range []int64{u.Entries, u.PeakEntries, u.MaxEntries, u.Bytes, u.PeakBytes, u.MaxBytes} {
			text := "–"
			if n != bounded.NotApplicable {
				text = number(float64(n))
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	table(w, rows)
	sentences := r.verdicts()
	if len(sentences) == 0 {
		sentences = []string{"no slope is distinguishable from 0"}
	}
	fmt.Fprintf(w, "Verdict: %s.\n", strings.Join(sentences, "; "))
}

// table writes rows in columns, the first with a line below.
func table(w io.Writer, rows [][]string) {
	columns := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	for i, row := range rows {
		fmt.Fprintf(columns, "| %s\t|\n", strings.Join(row, "\t| "))
		if i == 0 {
			fmt.Fprintf(columns, "|%s\n", strings.Repeat(" ---\t|", len(row)))
		}
	}
	columns.Flush()
	fmt.Fprintln(w)
}

// number writes a whole number with a comma every three digits.
func number(v float64) string {
	text := fmt.Sprint(int64(math.Round(math.Abs(v))))
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if v < 0 {
		return "-" + text
	}
	return text
}

// machine says on what the soak ran. What cannot be read is left out.
func machine() string {
	processor := ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				processor = strings.TrimSpace(value) + ", "
				break
			}
		}
	}
	return fmt.Sprintf("- Machine: %s%d processors; %s %s/%s\n",
		processor, runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// loadAverage is the kernel's, over 1, 5 and 15 minutes.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], ", ")
}

// median of what is in order.
func median(sorted []float64) float64 {
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
