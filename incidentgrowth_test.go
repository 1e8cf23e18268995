package memwarden

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/leak"
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

//go:noinline
func waitToo(end <-chan struct{}) { <-end }

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

func beginWithBundles(t *testing.T) *Warden {
	t.Helper()
	config := DefaultConfig()
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
	w, dismissing := beginWithBundles(t), beginWithBundles(t)
	crowded := beginWithBundles(t)
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
	for range manyGoroutines {
		go waitToo(end)
	}
	if said := bundleSays(t, dismissing); strings.Contains(said, heapGrew) || strings.Contains(said, goroutinesGrew) || !strings.Contains(said, "memwarden.waitToo (") {
		t.Errorf("what was dismissed is told of, or hides what was not:\n%s", said)
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
	t.Cleanup(func() { grownHeap = nil })
	for _, change := range []string{`{"leaks":{"enabled":false}}`, `{"leaks":{"paused":true}}`} {
		w := beginWithBundles(t)
		if _, err := w.PatchConfig(t.Context(), patch(change)); err != nil {
			t.Fatal(err)
		}
		for w.leakDetector.Load() != nil && !w.Leaks().Paused { // until it is adopted
			if _, err := w.CheckLeaks(t.Context()); err != nil && !errors.Is(err, ErrLeaksOff) && !errors.Is(err, ErrLeaksPaused) {
				t.Fatal(err)
			}
		}
		growHeap()
		if said := bundleSays(t, w); said != "" {
			t.Errorf("%s: %s", change, said)
		}
	}
}

// manySites allocates at each of n sites, which is a power of two: each call has a stack of its own.
//
//go:noinline
func manySites(n int, kept []*[8]int64) []*[8]int64 {
	if n == 1 {
		return append(kept, new([8]int64))
	}
	kept = manySites(n/2, kept)
	return manySites(n/2, kept)
}

// TestSiteBytes holds what looking at allocation sites takes against what is reckoned with.
func TestSiteBytes(t *testing.T) {
	detector, err := leak.NewDetector(leak.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	kept := manySites(1<<10, nil)
	runtime.MemProfileRate = rate
	sites, _ := heapSites()
	detector.AddSites(leak.Heap, sites)
	runtime.GC()
	runtime.GC()
	n, _ := runtime.MemProfile(nil, false)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sites, stacks := heapSites()
	grown := detector.Grown(time.Now(), leak.Heap, sites)
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	runtime.KeepAlive(stacks)
	runtime.KeepAlive(grown)
	if each := int(after.TotalAlloc-before.TotalAlloc) / n; n < 1000 || each > siteBytes || each < siteBytes/4 {
		t.Errorf("%d bytes for each of %d sites, %d are reckoned with", each, n, siteBytes)
	}
}
