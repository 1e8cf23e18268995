package memwarden

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/memwarden/memwarden/incident"
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

// bundleSays is what a bundle says has grown that is written now.
func bundleSays(t *testing.T, w *Warden) string {
	t.Helper()
	runtime.GC()
	runtime.GC() // what the profile has is of the one before
	r, err := w.RecordIncident(t.Context(), "a test")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(r.Cause.Growing, "\n")
}

func beginWithBundles(t *testing.T, change func(*Config)) *Warden {
	t.Helper()
	config := DefaultConfig()
	change(&config)
	return begin(t, Options{Config: &config, Incidents: IncidentOptions{Dir: filepath.Join(t.TempDir(), "incidents"), NoSnapshots: true}})
}

const (
	heapGrew       = " of all that grew, were allocated in github.com/memwarden/memwarden.growHeap (incidentgrowth_test.go:"
	goroutinesGrew = " ago are waiting to receive from a channel in github.com/memwarden/memwarden.waitForever (incidentgrowth_test.go:"
)

// TestABundleSaysWhatGrows: long before any rule could hold, and before it was looked at all, by the place that allocates and
// by the one where goroutines wait; but nothing that was dismissed, and of too many goroutines how many they are.
func TestABundleSaysWhatGrows(t *testing.T) {
	end := make(chan struct{})
	t.Cleanup(func() {
		close(end)
		grownHeap = nil
	})
	w, dismissing := beginWithBundles(t, func(*Config) {}), beginWithBundles(t, func(*Config) {})
	crowded := beginWithBundles(t, func(*Config) {})
	growHeap()
	for range manyGoroutines + 10 {
		go waitForever(end)
	}
	said := bundleSays(t, w)
	for _, want := range []string{" MiB more than was known ", heapGrew, " goroutines more than ", goroutinesGrew} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	for _, function := range []string{"heap github.com/memwarden/memwarden.growHeap", "goroutines github.com/memwarden/memwarden.waitForever"} {
		dismissing.quietLeaks.add(quietCase{function, function})
	}
	if said := bundleSays(t, dismissing); strings.Contains(said, heapGrew) || strings.Contains(said, goroutinesGrew) {
		t.Errorf("what was dismissed is told of:\n%s", said)
	}
	for range incident.MaxStacks {
		go waitForever(end)
	}
	if said := bundleSays(t, crowded); !strings.Contains(said, heapGrew) || strings.Contains(said, goroutinesGrew) || !strings.Contains(said, " goroutines, too many to look at") {
		t.Errorf("of very many goroutines it says:\n%s", said)
	}
	if said := strings.Join(crowded.growing(1<<10), "\n"); strings.Contains(said, heapGrew) {
		t.Errorf("without any room it is looked at all allocation sites:\n%s", said)
	}
}

// TestNothingIsSaidToGrow where nobody looks at what does.
func TestNothingIsSaidToGrow(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"off": func(c *Config) { c.Leaks.Enabled = false }, "paused": func(c *Config) { c.Leaks.Paused = true },
	} {
		if said := bundleSays(t, beginWithBundles(t, change)); said != "" {
			t.Errorf("%s: %s", name, said)
		}
	}
}
