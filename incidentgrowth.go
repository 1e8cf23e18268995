package memwarden

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/incident"
	"github.com/memwarden/memwarden/leak"
)

const (
	// toldGrown is how many allocation sites are told of, leastGrown what one of them must have gained, and leastGrownShare
	// its share of what all have.
	toldGrown, leastGrown, leastGrownShare = 3, 1 << 20, 0.1
	// manyGoroutines are so many more with one stack that what they hold may be what is missing: some 10 MiB.
	manyGoroutines = 1000
	// siteBytes is what looking at an allocation site takes at most, TestSiteBytes measures some 600, and growthShare the part
	// of the room that all of them may take.
	siteBytes, growthShare = 1024, 8
)

// growing says what has grown most since the detection of leaks began, or since a day ago, for people: the allocation sites
// of the live heap, of which is known what the last collection but one has left, and goroutines with one stack. It is what is
// so, and no verdict: where the kernel kills before a rule holds there would be nothing else that names anything. What was
// suspected here and is dismissed is left out; so is all for which the room up to the limit is too small.
func (w *Warden) growing(room int64) (lines []string) {
	detector := w.leakDetector.Load()
	if detector == nil || w.config.config().Leaks.Paused { // of what came in a pause nobody knows since when
		return nil
	}
	if n, _ := runtime.MemProfile(nil, false); int64(n)*siteBytes <= room/growthShare {
		lines = w.heapGains(detector)
	}
	switch n := runtime.NumGoroutine(); {
	case n < manyGoroutines:
	case n >= incident.MaxStacks:
		lines = append(lines, fmt.Sprintf("there are %d goroutines, too many to look at in a hurry", n))
	case w.goroutineRoom(incident.GoroutineBytes) == nil:
		lines = append(lines, w.goroutineGains(detector)...)
	}
	return leakLines(lines, maxLeakLines)
}

// heapGains are the allocation sites that gained most.
func (w *Warden) heapGains(detector *leak.Detector) (lines []string) {
	sites, stacks := heapSites()
	grown := detector.Grown(w.o.Now(), leak.Heap, sites)
	for _, s := range grown.Sites {
		if s.By < leastGrown || s.Share < leastGrownShare || len(lines) == toldGrown {
			break
		}
		stack := frames(stacks[s.Name])
		if len(stack) == 0 || w.quietLeaks.hasSignature(signature(leak.Finding{Kind: leak.Heap}, stack)) {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s more than was known %s ago, %.0f %% of all that grew, were allocated in %s",
			bytesize.Format(int64(s.By)), grown.Over.Round(time.Second), 100*s.Share, ownFrame(stack)))
	}
	return lines
}

// goroutineGains is the stack that gained most goroutines, if many.
func (w *Warden) goroutineGains(detector *leak.Detector) []string {
	sites, stacks := goroutineSites()
	grown := detector.Grown(w.o.Now(), leak.Goroutines, sites)
	many := slices.DeleteFunc(grown.Sites, func(s leak.SiteGrowth) bool { // there are no more than MaxStacks/manyGoroutines of them
		if s.By < manyGoroutines {
			return true
		}
		stack := frames(stacks[s.Name])
		return len(stack) == 0 || w.quietLeaks.hasSignature(signature(leak.Finding{Kind: leak.Goroutines}, stack))
	})
	if len(many) == 0 {
		return nil
	}
	most := mostTelling(many, stacks)
	stack := frames(stacks[most.Name])
	return []string{fmt.Sprintf("%.0f goroutines more than %s ago are %s", most.By, grown.Over.Round(time.Second), whereabouts(stacks[most.Name], stack))}
}
