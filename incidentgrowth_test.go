package memwarden

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// grownHeap is what TestABundleSaysWhatGrows has allocated.
var grownHeap [][]byte

//go:noinline
func growHeap() {
	for range 32 << 2 {
		grownHeap = append(grownHeap, make([]byte, 256<<10))
	}
}

//go:noinline
func waitForever(end <-chan struct{}) { <-end }

// TestABundleSaysWhatGrows: long before any rule could hold, by the place that allocates and by the one where goroutines wait.
func TestABundleSaysWhatGrows(t *testing.T) {
	config := DefaultConfig()
	w := begin(t, Options{Config: &config, Incidents: IncidentOptions{Dir: filepath.Join(t.TempDir(), "incidents"), NoSnapshots: true}})
	if _, err := w.CheckLeaks(t.Context()); err != nil { // what there was before is known from here on
		t.Fatal(err)
	}
	end := make(chan struct{})
	t.Cleanup(func() {
		close(end)
		grownHeap = nil
	})
	growHeap()
	for range manyGoroutines + 10 {
		go waitForever(end)
	}
	runtime.GC()
	runtime.GC() // what the profile has is of the one before
	r, err := w.RecordIncident(t.Context(), "a test")
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(r.Cause.Growing, "\n")
	for _, want := range []string{
		" MiB more than ", " % of all that grew, were allocated in github.com/memwarden/memwarden.growHeap (incidentgrowth_test.go:",
		" goroutines more than ", " ago are waiting to receive from a channel in github.com/memwarden/memwarden.waitForever (incidentgrowth_test.go:",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
}

// TestNothingIsSaidToGrow where nobody looks at what does.
func TestNothingIsSaidToGrow(t *testing.T) {
	config := DefaultConfig()
	config.Leaks.Enabled = false
	w := begin(t, Options{Config: &config, Incidents: IncidentOptions{Dir: filepath.Join(t.TempDir(), "incidents"), NoSnapshots: true}})
	if r, err := w.RecordIncident(t.Context(), "a test"); err != nil || r.Cause.Growing != nil {
		t.Errorf("%q, %v", r.Cause.Growing, err)
	}
}
