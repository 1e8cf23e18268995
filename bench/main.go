// Command bench measures what the documents promise and prints the figures beside their goals, as Markdown:
//
//	go -C bench run .
//
// It builds the service and two small programs, one with a warden and one without, and runs them on the loopback
// interface of a Linux machine. All loads are bounded in time and number. It exits with 1 when a goal is missed or
// something could not be measured. The flags say what is measured and how often; without any it takes about six minutes.
// Heap snapshots are measured on request, for they take ten more, a few GB of memory and disk, the right to trace
// processes, and programs from the module proxy. So are the parts with a bound, which take four, and the
// simulation of leaks:
//
//	go -C bench run . -only heap-capture,heap-pid,heap-analysis,heap-typing
//	go -C bench run . -only cache,rate-limiter,bus,websocket
//	go -C bench run . -only leaks
//
// With -report the sections go into docs/PERFORMANCE_AUDIT_REPORT.md, each in place of what was measured before.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/memwarden/memwarden/bench/internal/figure"
	"github.com/memwarden/memwarden/bench/internal/service"
	"github.com/memwarden/memwarden/bench/report"
)

// The other modules, as seen from this one's directory.
const (
	libraryDir = ".."
	serverDir  = "../server"
)

// plan is how often and how long to measure.
type plan struct {
	settle    time.Duration // before a measurement of the overhead
	window    time.Duration // of one
	rounds    int           // of them
	requests  int64         // of the load
	starts    int           // with and without data
	shutdowns int
	count     int // of each benchmark
	heap      heapPlan
	cache     cachePlan
	parts     partsPlan
	leak      leakPlan
	watch     watchPlan
}

// section is a group of figures that are measured together.
type section struct {
	name    string
	title   string
	measure func(context.Context, plan, workshop) ([]figure.Figure, error)
	// onRequest says that it is measured only if it is named.
	onRequest bool
}

var sections = []section{
	{name: "overhead", title: "What a warden costs the program that it watches", measure: measureOverhead},
	{name: "stats", title: "Statistics under load: 8 connections, on the same processors as the service", measure: measureStats},
	{name: "startup", title: "Start-up: from the start of the process to its first healthy answer", measure: measureStartUp},
	{name: "shutdown", title: "Shutdown under load: 8 connections that go on asking", measure: measureShutdown},
	{name: "sample", title: "A sample beside runtime.ReadMemStats, which stops the world", measure: measureSample},
	{name: "packages", title: "What a tick of the warden is made of", measure: measurePackages},
	{
		name: "heap-capture", title: "A heap snapshot in the service itself, beside WriteHeapDump",
		measure: measureCapture, onRequest: true,
	},
	{name: "heap-pid", title: "A heap snapshot of another process, beside goref", measure: measurePID, onRequest: true},
	{name: "heap-analysis", title: "From the frozen child to the analysis", measure: measureAnalysis, onRequest: true},
	{name: "heap-typing", title: "How much of a heap is understood", measure: measureTyping, onRequest: true},
	{name: "cache", title: "A cache beside those of others", measure: measureCache, onRequest: true},
	{name: "rate-limiter", title: "The rate limiter", measure: measureRateLimiter, onRequest: true},
	{name: "bus", title: "Event topics", measure: measureBus, onRequest: true},
	{name: "websocket", title: "The WebSocket hub", measure: measureWebSocket, onRequest: true},
	{
		name: "leak-watching", title: "What a warden costs a healthy program with a heap of 300 MiB, checks for leaks included",
		measure: measureWatching, onRequest: true,
	},
	{name: "cold", title: "From a clean checkout to a healthy service", measure: measureCold, onRequest: true},
	{name: "leaks", title: "Rules for leaks, in simulation", measure: measureLeaks, onRequest: true},
}

// workshop is where things are built and run.
type workshop struct {
	dir      string
	progress io.Writer
	notes    *[]string // remarks for below the table, see note
	grids    *[]string // tables of what has no goal of its own, see grid
}

// service builds the service.
func (w workshop) service(ctx context.Context) (file string, err error) {
	return service.Build(ctx, serverDir, "./cmd/memwarden", w.dir)
}

// room makes a directory for one process.
func (w workshop) room() (string, error) { return os.MkdirTemp(w.dir, "room") }

func main() {
	var p plan
	var only, file string
	var toReport bool
	names := make([]string, len(sections))
	for i, s := range sections {
		names[i] = s.name
	}
	flag.StringVar(&only, "only", "", "measure these alone, with commas between them, or all: "+strings.Join(names, ", "))
	flag.BoolVar(&toReport, "report", false, "put what is measured into "+report.File)
	flag.DurationVar(&p.settle, "settle", 10*time.Second, "how long a program has, before its overhead is measured, for what only happens once")
	flag.DurationVar(&p.window, "window", 45*time.Second, "how long one measurement of the overhead takes")
	flag.IntVar(&p.rounds, "rounds", 3, "how often the overhead is measured")
	flag.Int64Var(&p.requests, "requests", 1_000_000, "requests of the load, after a quarter of them to warm up")
	flag.IntVar(&p.starts, "starts", 20, "starts of the service, without data and with data each")
	flag.IntVar(&p.shutdowns, "shutdowns", 20, "shutdowns of the service under load")
	flag.IntVar(&p.count, "count", 5, "runs of each Go benchmark")
	p.heap, p.cache, p.parts, p.leak, p.watch = heapDefaults, cacheDefaults, partsDefaults, leakDefaults, watchDefaults
	flag.IntVar(&p.cache.rounds, "cache-rounds", p.cache.rounds, "how often caches are read")
	flag.IntVar(&p.parts.rounds, "parts-rounds", p.parts.rounds, "how often rate limiter and topics are measured")
	flag.DurationVar(&p.watch.window, "watch", p.watch.window, "how long a healthy program is watched for leaks")
	flag.IntVar(&p.leak.seeds, "leak-seeds", p.leak.seeds, "runs of each shape in the simulation of leaks")
	flag.IntVar(&p.heap.rounds, "heap-rounds", p.heap.rounds, "how often heap snapshots are taken and analysed")
	flag.IntVar(&p.heap.captured, "heap-captured", p.heap.captured, "sessions, of 10 objects, of the program that takes snapshots of itself")
	flag.IntVar(&p.heap.attached, "heap-attached", p.heap.attached, "sessions of the program of which snapshots are taken and analysed")
	flag.Parse()
	if toReport {
		file = filepath.Join(libraryDir, filepath.FromSlash(report.File))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	chosen, err := choose(only)
	err = errors.Join(err, p.check())
	met := false
	if err == nil {
		met, err = run(ctx, chosen, p, file, os.Stdout, os.Stderr)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err != nil || !met {
		os.Exit(1)
	}
}

// run measures, prints to out, and reports whether all goals are met. What goes on meanwhile it tells to progress. With a
// file each section is put into the report there as soon as it was measured.
func run(ctx context.Context, chosen []section, p plan, file string, out, progress io.Writer) (met bool, err error) {
	dir, err := os.MkdirTemp("", "memwarden-bench")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprint(out, "# Measured figures\n\n", report.Origin(ctx, "/", libraryDir, time.Now()))
	var goals, missed int
	var failed []error
	for _, s := range chosen {
		fmt.Fprintf(progress, "bench: %s …\n", s.name)
		var notes, grids []string
		figures, err := s.measure(ctx, p, workshop{dir, progress, &notes, &grids})
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s.name, err))
		}
		for _, f := range figures {
			if f.HasGoal() {
				goals++
			}
			if f.HasGoal() && !f.Met() {
				missed++
			}
		}
		var body strings.Builder
		if err := figure.Table(&body, figures); err != nil {
			return false, err
		}
		for _, grid := range grids {
			body.WriteString("\n" + grid)
		}
		for _, note := range notes {
			fmt.Fprintf(&body, "\nNote: %s.\n", strings.TrimSuffix(note, "."))
		}
		fmt.Fprintf(out, "\n## %s\n\n%s", s.title, body.String())
		if file == "" || len(figures) == 0 {
			continue // what could not be measured leaves the report as it was
		}
		if err := report.Write(file, report.Section{
			Name: "bench-" + s.name, Title: s.title, Origin: report.Origin(ctx, "/", libraryDir, time.Now()),
			Body: fmt.Sprintf("`go -C bench run . -only %s -report`\n\n%s", s.name, body.String()),
		}); err != nil {
			return false, err
		}
	}
	fmt.Fprintf(out, "\n%d of %d goals met. Load of the machine at the end: %s.\n", goals-missed, goals, report.LoadAverage("/"))
	return missed == 0, errors.Join(failed...)
}

// choose returns the sections of a list of names, or all; for none all but those on request.
func choose(names string) ([]section, error) {
	switch names {
	case "all":
		return sections, nil
	case "":
		return slices.DeleteFunc(slices.Clone(sections), func(s section) bool { return s.onRequest }), nil
	}
	var chosen []section
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(sections, func(s section) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: there is no such section", name)
		}
		chosen = append(chosen, sections[i])
	}
	return chosen, nil
}

// address is that of a server in a remark.
var address = regexp.MustCompile(`https?://[^/\s]+`)

// note keeps a remark for below the section's table, on one line. What servers the machine uses is its own business.
func (w workshop) note(text string) {
	*w.notes = append(*w.notes, address.ReplaceAllString(strings.Join(strings.Fields(text), " "), "…"))
}

// grid keeps a table for below the section's own, with a line above it that says what it has.
func (w workshop) grid(title string, rows [][]string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s:\n\n", title)
	if err := figure.Grid(&text, rows); err != nil {
		return err
	}
	*w.grids = append(*w.grids, text.String())
	return nil
}

func (p plan) check() error {
	if p.settle < 0 || p.window <= 0 || p.rounds < 1 || p.requests < 1000 || p.starts < 1 || p.shutdowns < 1 || p.count < 1 {
		return errors.New("want a window above 0, at least 1000 requests, and 1 of everything else")
	}
	if p.cache.rounds < 1 {
		return errors.New("-cache-rounds: want 1 or more")
	}
	if p.parts.rounds < 1 {
		return errors.New("-parts-rounds: want 1 or more")
	}
	return p.heap.check()
}
