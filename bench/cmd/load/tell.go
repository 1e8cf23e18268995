package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/memwarden/memwarden/bench/internal/chart"
	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/report"
	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/leak/trend"
)

// tell writes the figures as Markdown, into the report too if that was asked for, and says whether all goals are met.
func (m measurement) tell(ctx context.Context, out io.Writer) (met bool, err error) {
	slope := m.seen.slope(warmUp(m.o.duration))
	figures, err := m.figures(slope)
	if err != nil {
		return false, err
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "`%s`\n\nk6 %s ran beside the service, on the same processors; %s. Rates are not limited, a refusal (429, 503) is a failure.\n\n",
		m.command(), m.version, m.place.sentence)
	if err := figure.Table(&body, figures); err != nil {
		return false, err
	}
	fmt.Fprintf(&body, "\n%s\n", m.slopeSentence(slope))
	if m.seen.still > 0 {
		fmt.Fprintf(&body, "\nNote: the machine as a whole stood still for %v during the run, as virtual machines do that are halted from outside: latencies have that in them.\n",
			m.seen.still.Round(time.Second))
	}
	met = !m.result.Crossed && !slices.ContainsFunc(figures, func(f figure.Figure) bool { return f.HasGoal() && !f.Met() })
	if m.result.Crossed {
		fmt.Fprint(&body, "\nA threshold of the script was crossed.\n")
	}
	if m.o.report {
		if err := m.write(ctx, body.String()); err != nil {
			return false, err
		}
	}
	_, err = body.WriteTo(out)
	return met, err
}

func (m measurement) command() string {
	command := "go -C bench run ./cmd/load -script " + m.o.script
	if m.o.vus > 0 {
		command += fmt.Sprintf(" -vus %d", m.o.vus)
	}
	if m.o.duration > 0 {
		command += fmt.Sprintf(" -duration %v", m.o.duration)
	}
	return command + " -report"
}

// changing are the scripts that ask for more than the service is made for, for some time: what they must not pass is in their
// own thresholds, and the latencies of a whole run mean little.
var changing = []string{"spike", "breakpoint"}

func (m measurement) figures(slope trend.Trend) ([]figure.Figure, error) {
	var missing []string
	metric := func(name, value string) float64 {
		v, ok := m.result.Metrics[name][value]
		if !ok {
			missing = append(missing, name+" "+value)
		}
		return v
	}
	one := func(name string, unit figure.Unit, goal figure.Goal, value float64) figure.Figure {
		return figure.Figure{Name: name, Unit: unit, Goal: goal, Values: []float64{value}}
	}
	latency := func(name, kind, quantile string, goal figure.Goal) figure.Figure {
		return one(name, figure.Seconds, goal, metric("http_req_duration{kind:"+kind+"}", quantile)/1000)
	}
	none := figure.Goal{}
	within := func(seconds float64) figure.Goal {
		if slices.Contains(changing, m.o.script) {
			return none
		}
		return figure.AtMost(seconds)
	}
	requests := metric("http_reqs", "count")
	figures := []figure.Figure{
		one("requests", figure.Count, none, requests),
		one("failed requests", figure.Count, figure.AtMost(0), metric("http_req_failed", "value")*requests),
		one("checks of answers that failed", figure.Count, figure.AtMost(0), metric("checks", "fails")),
		latency("reads, median", "read", "med", none),
		latency("reads, p95", "read", "p(95)", within(0.025)),
		latency("reads, p99", "read", "p(99)", within(0.050)),
		latency("reports, p99", "write", "p(99)", within(0.250)),
		latency("admin routes, p99", "admin", "p(99)", within(1)),
		one("messages of the live stream", figure.Count, none, m.result.Metrics["live_messages"]["count"]), // not every script follows it
		one("heap snapshots", figure.Count, none, m.result.Metrics["snapshots_taken"]["count"]),            // none in a run of seconds
		one("RSS, highest", figure.Bytes, figure.AtMost(float64(m.o.limit)), slices.Max(m.seen.rss)),
		one("goroutines, most", figure.Count, none, slices.Max(m.seen.goroutines)),
		one("reports that were accepted", figure.Count, none, float64(m.reports.accepted)),
		one(fmt.Sprintf("of the newest %d of them lost after a restart", m.reports.looked), figure.Count, figure.AtMost(0), float64(m.reports.lost)),
	}
	if m.place.group != nil {
		figures = append(figures,
			one("charged to the group, highest, pages of files included", figure.Bytes, none, float64(m.groupPeak)),
			one("processes that the kernel killed for memory", figure.Count, figure.AtMost(0), float64(m.kills)))
	}
	if !math.IsNaN(m.seen.waiting) {
		figures = append(figures, one("time in which something on the machine waited for a processor", figure.Percent, none, m.seen.waiting))
	}
	if m.o.duration >= leastJudged && !math.IsInf(slope.Low, 0) {
		perHour := func(v float64) string { return fmt.Sprintf("%+.2f MiB/h", v*3600/(1<<20)) }
		figures = append(figures, one("slope of the live heap, lower bound at 99 %", perHour, figure.AtMost(0), slope.Low))
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("k6 has not measured %s", strings.Join(missing, ", "))
	}
	return figures, nil
}

// slopeSentence says what the live heap did.
func (m measurement) slopeSentence(t trend.Trend) string {
	if math.IsInf(t.Low, 0) {
		return "The live heap was seen too seldom to judge its slope."
	}
	verdict := "not distinguishable from 0"
	if t.Distinguishable(alpha) {
		verdict = "distinguishable from 0"
	}
	if m.o.duration < leastJudged {
		verdict += ", which says little of a run shorter than " + leastJudged.String()
	}
	return fmt.Sprintf("Slope of the live heap after a warm-up of %v, by %d floors of %d s: %+.0f B/s (99 %%: %+.0f to %+.0f), p = %.2g by the test of Mann and Kendall: %s.",
		warmUp(m.o.duration), t.Samples, floorSeconds, t.Slope, t.Low, t.High, t.P, verdict)
}

// write puts the section with its charts into the report.
func (m measurement) write(ctx context.Context, body string) error {
	file := filepath.FromSlash("../" + report.File)
	size := func(v float64) string { return bytesize.Format(int64(v)) }
	end := m.seen.at[len(m.seen.at)-1]
	for _, picture := range []struct {
		name string
		chart.Chart
	}{
		{"load-memory.svg", chart.Chart{Title: "Memory of the service under load", Format: size, Series: []chart.Series{
			{Name: "RSS", At: m.seen.at, Values: m.seen.rss},
			{Name: "live heap", At: m.seen.at, Values: m.seen.heapLive},
			{Name: "limit", At: []float64{0, end}, Values: []float64{float64(m.o.limit), float64(m.o.limit)}, Dashed: true},
		}}},
		{"load-heap.svg", chart.Chart{Title: "Live heap of the service under load", Format: size, Series: []chart.Series{
			{Name: "live heap", At: m.seen.at, Values: m.seen.heapLive},
		}}},
	} {
		var text strings.Builder
		if err := picture.Write(&text); err != nil {
			return err
		}
		link, err := report.WriteBeside(file, picture.name, text.String())
		if err != nil {
			return err
		}
		body += fmt.Sprintf("\n![%s](%s)\n", picture.Title, link)
	}
	return report.Write(file, report.Section{
		Name: "load", Title: "The service under load", Origin: report.Origin(ctx, "/", "..", time.Now()), Body: body,
	})
}
