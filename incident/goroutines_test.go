package incident

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// waiting starts n goroutines that wait in a function of this package until the test is over.
func waiting(t *testing.T, n int) {
	t.Helper()
	var all sync.WaitGroup
	over := make(chan struct{})
	var there atomic.Int64
	for range n {
		all.Go(func() { there.Add(1); wait(over) })
	}
	for there.Load() < int64(n) {
		runtime.Gosched()
	}
	t.Cleanup(func() { close(over); all.Wait() })
}

//go:noinline
func wait(over chan struct{}) { inlined(over) }

// inlined is a frame that no call leads to.
func inlined(over chan struct{}) { <-over }

// shown is what pprof shows of a profile, of this package.
func shown(t *testing.T, write func(io.Writer) error) (lines []string) {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "goroutine.pb.gz")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command("go", "tool", "pprof", "-traces", "-lines", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if head := string(text[:min(len(text), 200)]); !strings.Contains(head, "Type: goroutine") || !strings.Contains(head, "File: incident.test") {
		t.Errorf("the head is\n%s", head)
	}
	for _, line := range regexp.MustCompile(`(?m)^ +123 +runtime\.gopark.*\n(?: +[a-z].*\n)+`).FindAllString(string(text), -1) {
		lines = append(lines, strings.ReplaceAll(strings.Join(strings.Fields(line), " "), " (inline)", ""))
	}
	return lines
}

// TestGoroutines: pprof shows the same of it as of the runtime's own profile, inlined functions and lines too.
func TestGoroutines(t *testing.T) {
	waiting(t, 123)
	ours, theirs := shown(t, Goroutines(epoch)), shown(t, Profile("goroutine"))
	if len(ours) != 1 || !strings.Contains(ours[0], "incident.inlined") || !strings.Contains(ours[0], "incident.wait ") || strings.Join(ours, "\n") != strings.Join(theirs, "\n") {
		t.Errorf("%q\nwant %q", ours, theirs)
	}
}

// TestGoroutinesThatComeFast: the profile comes to an end while there are more all the time, and has those that were there.
func TestGoroutinesThatComeFast(t *testing.T) {
	waiting(t, 20_000)
	stop, over := make(chan struct{}), make(chan struct{})
	var coming, all sync.WaitGroup
	coming.Go(func() {
		for n := 0; n < 500_000; n++ {
			select {
			case <-stop:
				return
			default:
				all.Go(func() { <-over })
			}
		}
	})
	records, err := stacksOfAll()
	close(stop)
	coming.Wait()
	close(over)
	all.Wait()
	if err != nil || len(records) < 20_000 {
		t.Errorf("%d goroutines, %v", len(records), err)
	}
}

// TestGoroutineBytes holds what a profile takes against what is reckoned with.
func TestGoroutineBytes(t *testing.T) {
	const n = 20_000
	waiting(t, n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := Goroutines(epoch)(io.Discard); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	each := int64(after.TotalAlloc-before.TotalAlloc) / n
	t.Logf("%d bytes for each goroutine", each)
	if each > GoroutineBytes || each < GoroutineBytes/2 {
		t.Errorf("%d bytes for each goroutine, %d are reckoned with", each, GoroutineBytes)
	}
}
