package memwarden

import (
	"fmt"
	"runtime"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/leak"
)

const (
	// toldGrown is how many allocation sites are told of, leastGrown what one of them must have gained, and leastGrownShare
	// its share of what all have.
	toldGrown, leastGrown, leastGrownShare = 3, 1 << 20, 0.1
	// manyGoroutines are so many more with one stack that what they hold may be what is missing: some 10 MiB.
	manyGoroutines = 1000
)

// growing says what has grown most since the detection of leaks began, or since a day ago, for people: the allocation sites
// of the live heap as of the last collections, and goroutines with one stack. It is what is so, and no verdict: where the
// kernel kills before a rule holds there would be nothing else that names anything.
func (w *Warden) growing() (lines []string) {
	detector := w.leakDetector.Load()
	if detector == nil {
		return nil
	}
	sites, stacks := heapSites()
	grown := detector.Grown(leak.Heap, sites)
	for _, s := range grown.Sites[:min(len(grown.Sites), toldGrown)] {
		stack := frames(stacks[s.Name])
		if s.By < leastGrown || s.Share < leastGrownShare || len(stack) == 0 {
			break
		}
		lines = append(lines, fmt.Sprintf("%s more than %s ago, %.0f %% of all that grew, were allocated in %s",
			bytesize.Format(int64(s.By)), grown.Over.Round(time.Second), 100*s.Share, ownFrame(stack)))
	}
	if runtime.NumGoroutine() < manyGoroutines {
		return leakLines(lines, maxLeakLines)
	}
	if many := tooManyGoroutines(); many != "" {
		return leakLines(append(lines, many), maxLeakLines)
	}
	sites, stacks = goroutineSites()
	if grown = detector.Grown(leak.Goroutines, sites); len(grown.Sites) > 0 && grown.Sites[0].By >= manyGoroutines {
		most := mostTelling(grown.Sites, stacks)
		if stack := frames(stacks[most.Name]); len(stack) > 0 {
			lines = append(lines, fmt.Sprintf("%.0f goroutines more than %s ago are %s", most.By, grown.Over.Round(time.Second), whereabouts(stacks[most.Name], stack)))
		}
	}
	return leakLines(lines, maxLeakLines)
}
