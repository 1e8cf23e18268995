package published

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden/internal/freeport"
	"github.com/memwarden/memwarden/internal/leakcheck"
)

var (
	long = flag.Bool("long", false, "all published leaks, with windows of half a minute")
	only = flag.String("only", "", "the leak of this program alone")
	tidy = flag.Bool("tidy", false, "write the lists of requirements anew, with the same releases of the modules that leak")
)

// togetherMost is how many leaks are looked at at a time, each in two programs: they sleep more than they compute.
const togetherMost = 4

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", fmt.Sprint(togetherMost)); err != nil {
		panic(err)
	}
	leakcheck.Main(m, http.DefaultClient.CloseIdleConnections)
}

// settings are the shortest window of the detection, and how often it looks.
func settings() (window, interval time.Duration) {
	if *long || *only != "" {
		return 30 * time.Second, 500 * time.Millisecond
	}
	return 12 * time.Second, 150 * time.Millisecond
}

// TestVersions: a program is built with the releases that are told of it.
func TestVersions(t *testing.T) {
	for _, l := range publishedLeaks() {
		for file, version := range map[string]string{"old.mod": l.old, "fixed.mod": l.fixed} {
			text, err := os.ReadFile(filepath.Join("testdata", l.program, file))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), l.module+" "+version+"\n") {
				t.Errorf("%s/%s does not require %s %s", l.program, file, l.module, version)
			}
		}
	}
}

// TestPublishedLeaks runs each program with the release that leaks and with the one that does not, side by side: the
// first is confirmed, and named by what holds the memory; the second is not even suspected.
func TestPublishedLeaks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: heap snapshots are taken on Linux alone")
	}
	for _, l := range publishedLeaks() {
		if *only != "" && l.program != *only || *only == "" && !*long && !l.quick {
			continue
		}
		t.Run(l.program, func(t *testing.T) {
			t.Parallel()
			window, _ := settings()
			old, fixed := start(t, l, "old"), start(t, l, "fixed")
			named := time.Duration(0)
			for ; named == 0 || time.Since(fixed.began) < max(named, 3*window); time.Sleep(500 * time.Millisecond) {
				healthy(t, l, fixed.ask(t))
				if named == 0 {
					s := old.ask(t)
					lacks, sentence := l.in(s.Leaks)
					if lacks == "" {
						named = time.Since(old.began)
						t.Logf("%s %s, named after %s: %s", l.module, l.old, named.Round(time.Second), sentence)
					} else if time.Since(old.began) > 6*window+time.Minute {
						t.Fatalf("%s %s: %s: %s", l.module, l.old, lacks, indented(s))
					}
				}
			}
			s := fixed.ask(t)
			healthy(t, l, s)
			t.Logf("%s %s, after %s: %s", l.module, l.fixed, time.Since(fixed.began).Round(time.Second), s.Verdict)
		})
	}
}

// healthy fails the test if a release without the leak is suspected of one.
func healthy(t *testing.T, l publishedLeak, s status) {
	t.Helper()
	if s.Verdict == "suspect" || s.Verdict == "confirmed" || len(s.Leaks) > 0 {
		t.Fatalf("%s %s is suspected: %s", l.module, l.fixed, indented(s))
	}
}

// in says what the reports lack of the leak, or the sentence of the one that names it.
func (l publishedLeak) in(reports []report) (lacks, sentence string) {
	lacks = "there is no confirmed report of " + l.kind
	for _, r := range reports {
		if r.Kind != l.kind || r.Status != "confirmed" {
			continue
		}
		if strings.Contains(strings.Join(r.Path, ""), l.holder) || l.kind == "goroutines" && strings.Contains(strings.Join(r.AllocStack, "\n"), l.holder) {
			return "", r.Sentence
		}
		lacks = "the report does not name " + l.holder
	}
	return lacks, ""
}

// status is what the API tells of a process.
type status struct {
	Verdict  string
	Findings []struct{ Kind, Verdict, Reason string }
	Leaks    []report
}

// report is what the API tells of a leak.
type report struct {
	Kind, Status, Sentence, Type string
	Path                         []string
	AllocStack                   []string `json:"alloc_stack"`
	Evidence                     []string
}

func indented(s status) string {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// program is one that runs.
type program struct {
	url   string
	began time.Time
}

// building is held while a program is built: go build takes all processors by itself.
var building sync.Mutex

// build builds a program with a list of requirements and returns its path. It is built elsewhere, because nobody else's
// module should see its go.mod, nor it a path of this machine.
func build(t *testing.T, l publishedLeak, requirements string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	source, dir := filepath.Join("testdata", l.program), t.TempDir()
	files := map[string]string{"main.go": "main.go", requirements + ".mod": "go.mod", requirements + ".sum": "go.sum"}
	for from, to := range files {
		copyFile(t, filepath.Join(source, from), filepath.Join(dir, to))
	}
	const library = "github.com/memwarden/memwarden"
	goCommand(t, dir, "mod", "edit", "-replace="+library+"="+root)
	if *tidy {
		goCommand(t, dir, "mod", "tidy")
	}
	goCommand(t, dir, "build", "-o", l.program, ".")
	if *tidy {
		goCommand(t, dir, "mod", "edit", "-dropreplace="+library)
		for from, to := range files {
			copyFile(t, filepath.Join(dir, to), filepath.Join(source, from))
		}
	}
	return filepath.Join(dir, l.program)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func goCommand(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", arguments...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// start builds a program with a list of requirements and runs it until the test ends.
func start(t *testing.T, l publishedLeak, requirements string) program {
	t.Helper()
	file := build(t, l, requirements)
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	window, interval := settings()
	run := exec.CommandContext(t.Context(), file)
	run.Env = append(os.Environ(), "MEMWARDEN_ADDR="+addr, "MEMWARDEN_LEAK_WINDOW="+window.String(),
		"MEMWARDEN_LEAK_SAMPLE_INTERVAL="+interval.String(), "MEMWARDEN_LEAK_SNAPSHOTS=true", "MEMWARDEN_SNAPSHOT_DIR="+t.TempDir())
	run.Stdout, run.Stderr, run.WaitDelay = log, log, 10*time.Second
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Wait() // it is killed when the test ends
		if text, err := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("with %s.mod it wrote (%v):\n%s", requirements, err, text)
		}
	})
	p := program{"http://" + addr, time.Now()}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		_, err := p.try(t.Context())
		if err == nil {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// ask asks the program what it has found.
func (p program) ask(t *testing.T) status {
	t.Helper()
	s, err := p.try(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (p program) try(ctx context.Context) (s status, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/monitoring/memory/leaks", nil)
	if err != nil {
		return s, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return s, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil || response.StatusCode != http.StatusOK {
		return s, fmt.Errorf("%s: %v: %s", response.Status, err, text)
	}
	return s, nil
}
