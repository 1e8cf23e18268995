package memwarden

import (
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/memwarden/memwarden/leak"
)

var keptBySites [][]byte

//go:noinline
func allocateForSites(n int) {
	for range n {
		keptBySites = append(keptBySites, make([]byte, 1<<20))
	}
}

// TestHeapSites: what a function allocates is found under its name, and by as much as it is.
func TestHeapSites(t *testing.T) {
	defer func() { keptBySites = nil }()
	const mib = 32
	allocateForSites(mib)
	runtime.GC()
	runtime.GC()
	sites, stacks := heapSites()
	var found float64
	for _, s := range sites {
		if stack := frames(stacks[s.Name]); len(stack) > 0 && strings.Contains(stack[0], "allocateForSites") {
			found += s.Value
		}
	}
	if found < mib<<20*3/4 || found > mib<<20*5/4 {
		t.Errorf("%.1f MiB of %d", found/(1<<20), mib)
	}
}

// TestGoroutineSites: goroutines with one stack are one site, and it is known what they wait for.
func TestGoroutineSites(t *testing.T) {
	const n = 100
	release := make(chan struct{})
	var ready, ended sync.WaitGroup
	ready.Add(n)
	for range n {
		ended.Go(func() {
			ready.Done()
			<-release
		})
	}
	defer ended.Wait()
	defer close(release)
	ready.Wait()
	most := leak.Site{}
	var stacks siteStacks
	for most.Value < n { // some may not be waiting yet
		var sites []leak.Site
		sites, stacks = goroutineSites()
		most = leak.Site{}
		for _, s := range sites {
			if s.Value > most.Value && strings.Contains(strings.Join(frames(stacks[s.Name]), " "), "TestGoroutineSites") {
				most = s
			}
		}
		runtime.Gosched()
	}
	if what := doing(stacks[most.Name]); most.Value != n || what != "waiting to receive from a channel" {
		t.Errorf("%v goroutines, %q", most.Value, what)
	}
	if frames(nil) != nil || doing(nil) != "" {
		t.Error("nothing has frames")
	}
}

func TestUnsample(t *testing.T) {
	for _, c := range []struct{ objects, bytes, rate, want float64 }{
		{10, 10 << 20, 512 << 10, 10 << 20 / 0.8647}, {1, 64, 512 << 10, 524320}, {3, 300, 1, 300},
	} {
		if got := unsample(c.objects, c.bytes, c.rate); got < c.want*0.999 || got > c.want*1.001 {
			t.Errorf("%v: %v, want %v", c, got, c.want)
		}
	}
}
