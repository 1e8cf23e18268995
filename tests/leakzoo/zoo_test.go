package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	long   = flag.Bool("long", false, "all programs of the zoo, with windows of half a minute")
	only   = flag.String("only", "", "these programs alone, by their names with commas between, as with -long")
	window = flag.Duration("window", 30*time.Second, "shortest window of -long and -only")
)

// few are those of the quick test.
var few = []string{"global_map", "blocked_on_mutex", "finalizer_cycle", "descriptors", "bounded_cache", "batch_spikes"}

// plan is how the zoo is visited.
type plan struct {
	window, interval time.Duration
	together         int // so many programs at a time: they sleep more than they compute
}

func planned() plan {
	if *long || *only != "" {
		return plan{*window, *window / 100, 12}
	}
	return plan{10 * time.Second, 125 * time.Millisecond, len(few)}
}

func TestMain(m *testing.M) {
	flag.Parse()
	// The number of processors says nothing of how many programs can be waited for.
	if err := flag.Set("test.parallel", fmt.Sprint(planned().together)); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestZoo starts each program as a process of its own and asks it, over HTTP, what it has found: every leak with its name,
// and nothing of those that only look like one.
func TestZoo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: heap snapshots are taken on Linux alone")
	}
	file := filepath.Join(t.TempDir(), "leakzoo")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if wanted("cgo_malloc") {
		t.Run("has cgo", func(t *testing.T) { needCgo(t) })
	}
	var book guestBook
	t.Run("all", func(t *testing.T) {
		for _, e := range exhibits() {
			if !wanted(e.name) {
				continue
			}
			t.Run(e.name, func(t *testing.T) {
				t.Parallel()
				a := start(t, file, e.name)
				if len(e.want) > 0 {
					book.add(a.await(t, e))
				} else {
					book.add(a.watch(t, e))
				}
			})
		}
	})
	book.print()
}

// needCgo skips the test if the programs are built without cgo, so that what C allocates cannot leak in them; in CI it
// fails.
func needCgo(t *testing.T) {
	t.Helper()
	switch {
	case len(nativeLeaks()) > 0:
	case os.Getenv("CI") == "true":
		t.Fatal("CI=true: nothing may be left out: cgo_malloc is built with cgo alone: set CGO_ENABLED=1 and install a C compiler")
	default:
		t.Skip("SKIPPED: cgo_malloc is built with cgo alone: set CGO_ENABLED=1 and install a C compiler")
	}
}

// wanted reports whether a program is to be looked at.
func wanted(name string) bool {
	if *only != "" {
		return slices.Contains(strings.Split(*only, ","), name)
	}
	return *long || slices.Contains(few, name)
}

// animal is a program that runs.
type animal struct {
	url   string
	began time.Time
}

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// start runs a program of the zoo until the test ends.
func start(t *testing.T, file, name string) *animal {
	t.Helper()
	p := planned()
	cmd := exec.CommandContext(t.Context(), file, "-leak", name)
	cmd.Env = append(os.Environ(), "MEMWARDEN_LEAK_WINDOW="+p.window.String(), "MEMWARDEN_LEAK_SAMPLE_INTERVAL="+p.interval.String(),
		"MEMWARDEN_LEAK_SNAPSHOTS=true", "MEMWARDEN_SNAPSHOT_DIR="+t.TempDir())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a := &animal{began: time.Now()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Wait() // it was told to end, and how it does is not the matter here
		if text, err := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("it wrote (%v):\n%s", err, text)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if a.url = listening.FindString(line); a.url == "" {
		t.Fatalf("it does not listen: %q, %v", line, err)
	}
	return a
}

// report is what the API tells of a leak.
type report struct {
	Kind            string
	Status          string
	Sentence        string
	Type            string
	Owner           string
	Path            []string
	AllocStack      []string `json:"alloc_stack"`
	GrowthPerSecond float64  `json:"growth_bytes_per_second"`
	RetainedBytes   uint64   `json:"retained_bytes"`
	Evidence        []string
}

// status is what the API tells of a process.
type status struct {
	Verdict  string
	Findings []struct{ Kind, Verdict, Reason string }
	Leaks    []report
}

// ask asks the program what it has found.
func (a *animal) ask(t *testing.T) (s status) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/api/monitoring/memory/leaks", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v: %s", response.Status, err, text)
	}
	return s
}

// guest is a line of what was seen in the zoo.
type guest struct {
	name      string
	suspected time.Duration // when it was first suspected; 0: never
	named     time.Duration // when a confirmed report said all that is wanted; 0: never
	verdict   string        // in the end
	sentence  string
}

// await waits until all that is wanted of a leak is told.
func (a *animal) await(t *testing.T, e exhibit) guest {
	t.Helper()
	g := guest{name: e.name}
	patience := 7*planned().window + 2*time.Minute // on a machine at rest it takes less than three windows
	var s status
	var missing []string
	for {
		s = a.ask(t)
		g.verdict = s.Verdict
		if g.suspected == 0 && (s.Verdict == "suspect" || s.Verdict == "confirmed") {
			g.suspected = time.Since(a.began)
		}
		missing = nil
		for _, want := range e.want {
			why, found := want.in(s.Leaks)
			missing = append(missing, why...)
			if g.sentence == "" && len(why) == 0 {
				g.sentence = found.Sentence
			}
		}
		if len(missing) == 0 {
			g.named = time.Since(a.began)
			break
		}
		if time.Since(a.began) > patience {
			t.Errorf("it lacks %q", missing)
			break
		}
		time.Sleep(300 * time.Millisecond)
	}
	for _, r := range s.Leaks {
		if !slices.ContainsFunc(e.want, func(l leak) bool { return l.kind == r.Kind || slices.Contains(l.also, r.Kind) }) {
			t.Errorf("it is blamed for what it does not do: %s", r.Sentence)
		}
	}
	if t.Failed() || *only != "" {
		text, err := json.MarshalIndent(s, "", "  ")
		t.Logf("%v: %s", err, text)
	}
	return g
}

// in looks for a leak among confirmed reports, and says what is missing in the one that comes nearest.
func (l leak) in(reports []report) (missing []string, found report) {
	missing = []string{"a confirmed report of " + l.kind}
	for i, r := range reports {
		if r.Kind != l.kind || r.Status != "confirmed" {
			continue
		}
		var lacks []string
		for _, text := range []struct{ name, want, in string }{
			{"type", l.typ, r.Type}, {"path", l.path, strings.Join(r.Path, "")}, {"stack", l.function, strings.Join(r.AllocStack, "\n")},
			{"sentence", l.says, r.Sentence}, {"owner", l.owner, r.Owner},
		} {
			if !strings.Contains(text.in, text.want) {
				lacks = append(lacks, fmt.Sprintf("%s: %q in %q", text.name, text.want, text.in))
			}
		}
		if l.perSecond > 0 && (r.GrowthPerSecond < l.perSecond/2 || r.GrowthPerSecond > l.perSecond*2) {
			lacks = append(lacks, fmt.Sprintf("pace: %.0f, want about %.0f", r.GrowthPerSecond, l.perSecond))
		}
		if len(lacks) == 0 {
			return nil, r
		}
		if i == 0 || len(lacks) < len(missing) {
			missing, found = lacks, r
		}
	}
	return missing, found
}

// watch looks at what does not leak for longer than any leak took to be confirmed. Nothing may be confirmed meanwhile, of
// any kind, and in the end nothing may be suspected, nor any report be left that says so.
func (a *animal) watch(t *testing.T, e exhibit) guest {
	t.Helper()
	g := guest{name: e.name}
	var s status
	for time.Since(a.began) < 4*planned().window {
		s = a.ask(t)
		if g.suspected == 0 && (s.Verdict == "suspect" || s.Verdict == "confirmed") {
			g.suspected = time.Since(a.began)
			t.Logf("after %s it is suspected: %+v", g.suspected, s)
		}
		if blamed := s.blamed("confirmed"); blamed != "" {
			t.Fatalf("a leak is confirmed that there is not: %s: %+v", blamed, s)
		}
		time.Sleep(300 * time.Millisecond)
	}
	g.verdict = s.Verdict
	if blamed := s.blamed("confirmed", "suspect"); blamed != "" {
		t.Errorf("in the end it is suspected: %s: %+v", blamed, s)
	}
	return g
}

// blamed is what says of the process that it leaks, by one of these statuses: the verdict, or a report of any kind.
func (s status) blamed(statuses ...string) string {
	if slices.Contains(statuses, s.Verdict) {
		return "the verdict is " + s.Verdict
	}
	for _, r := range s.Leaks {
		if slices.Contains(statuses, r.Status) {
			return r.Kind + ": " + r.Sentence
		}
	}
	return ""
}

// TestBlamed: a report is seen also where the verdict does not tell of it, as of what is retained or abandoned.
func TestBlamed(t *testing.T) {
	for _, c := range []struct {
		s      status
		blamed bool
	}{
		{status{Verdict: "healthy"}, false},
		{status{Verdict: "confirmed"}, true},
		{status{Verdict: "healthy", Leaks: []report{{Kind: "retained", Status: "over"}}}, false},
		{status{Verdict: "healthy", Leaks: []report{{Kind: "retained", Status: "over"}, {Kind: "abandoned_goroutines", Status: "confirmed"}}}, true},
	} {
		if got := c.s.blamed("confirmed"); (got != "") != c.blamed {
			t.Errorf("%+v: %q, want it blamed: %v", c.s, got, c.blamed)
		}
	}
}

// guestBook is what was seen, in the order in which it was.
type guestBook struct {
	mu     sync.Mutex
	guests []guest
}

func (b *guestBook) add(g guest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.guests = append(b.guests, g)
}

func (b *guestBook) print() {
	for _, g := range b.guests {
		fmt.Printf("%-24s suspected %5.1f s  named %5.1f s  %-10s %s\n", g.name, g.suspected.Seconds(), g.named.Seconds(), g.verdict, g.sentence)
	}
}
