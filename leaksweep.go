package memwarden

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/memwarden/memwarden/leak"
)

// KindAbandoned is the kind of leak reports of goroutines that nothing can wake any more; see LeakConfig.GoroutineProfile.
const KindAbandoned = "abandoned_goroutines"

const (
	// sweepPause is the least time between two sweeps that somebody waits for.
	sweepPause = 10 * time.Second
	// maxAbandoned bounds the stacks that are known, maxSweepNews those that are told of at once.
	maxAbandoned, maxSweepNews = 1000, 16
	// leastAbandoned is how many of one stack are told of that do not become more: a program may mean some to wait for ever.
	leastAbandoned = 10
	// maxSweepBytes bounds what a profile may have.
	maxSweepBytes = 16 << 20
)

// sweeps look for goroutines that wait for what nothing reachable could do for them, by the runtime's own account: its
// profile goroutineleak, of Go 1.27 and later. It has no false positives, and misses goroutines that wait for what a
// variable of the program leads to. A sweep takes as long as a collection, and a chain of goroutines that wait for each
// other many times that; so there is one at a time, and they take no more than their share of a processor. It may find
// but a part of them, so what is known is the most that any has found of a stack. The zero value is ready.
type sweeps struct {
	mu     sync.Mutex // held while there is a sweep, those of incident bundles included
	last   time.Time
	pause  time.Duration // after the last, for what it took
	found  map[string]*abandoned
	before map[string]int // what the last sweep has found by stack
}

// abandoned are goroutines of one stack.
type abandoned struct {
	stack []uintptr
	since time.Time // when a sweep found some for the first time
	count int
	grown bool // the last sweep has found more than the one before
	told  int  // how many there were when it was told of them
}

// look sweeps, if the last sweep is so long ago and has taken no more than its share since, and reports whether it did.
func (s *sweeps) look(now time.Time, least time.Duration) (swept bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := now.Sub(s.last)
	profile := pprof.Lookup("goroutineleak")
	if profile == nil || since >= 0 && since < max(least, s.pause) {
		return false, nil
	}
	if why := tooManyGoroutines(); why != "" {
		return false, errors.New(why)
	}
	text, cost, err := sweep(profile)
	s.last, s.pause = now, seconds(cost/collectionShare)
	if err != nil {
		return false, err
	}
	all, err := parseAbandoned(text)
	if err != nil {
		return false, err
	}
	s.merge(now, all)
	return true, nil
}

// sweep takes the profile, and returns it with the processor time that it took.
func sweep(profile *pprof.Profile) (text []byte, cost float64, err error) {
	out := &limitedBuffer{most: maxSweepBytes}
	taken, known := processorSeconds()
	began := time.Now()
	if err := profile.WriteTo(out, 1); err != nil {
		return nil, time.Since(began).Seconds(), fmt.Errorf("goroutineleak profile: %w", err)
	}
	if now, ok := processorSeconds(); known && ok {
		return out.Bytes(), now - taken, nil
	}
	return out.Bytes(), time.Since(began).Seconds(), nil
}

// merge takes in what a sweep has found.
func (s *sweeps) merge(now time.Time, all []abandoned) {
	if s.found == nil {
		s.found = map[string]*abandoned{}
	}
	counts := map[string]int{}
	for _, a := range all {
		name := siteOf(a.stack)
		counts[name] += a.count
		if s.found[name] == nil && len(s.found) < maxAbandoned {
			s.found[name] = &abandoned{stack: a.stack, since: now}
		}
	}
	for name, known := range s.found {
		before, swept := s.before[name]
		known.grown = swept && counts[name] > before
		known.count = max(known.count, counts[name])
	}
	s.before = counts
}

// total is how many are known, and whether there was a sweep.
func (s *sweeps) total() (n int, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.found {
		n += a.count
	}
	return n, s.found != nil
}

// seen are the names of the stacks that were told of and that the last sweep has found.
func (s *sweeps) seen() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, known := range s.found {
		if known.told > 0 && s.before[name] > 0 {
			names = append(names, name)
		}
	}
	return names
}

// news are those that should be told of: many of one stack, or ever more, and twice as many as were told before.
func (s *sweeps) news() (list []abandoned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.SortedFunc(maps.Values(s.found), func(a, b *abandoned) int { return cmp.Compare(b.count, a.count) })
	for _, a := range all {
		if (a.count >= leastAbandoned || a.grown) && a.count >= 2*a.told && len(list) < maxSweepNews {
			a.told = a.count
			list = append(list, *a)
		}
	}
	return list
}

// parseAbandoned reads a profile as the runtime writes it for people, of which lines such as "3 @ 0x1 0x2" have the number
// and the stack of goroutines.
func parseAbandoned(text []byte) (all []abandoned, err error) {
	for line := range strings.Lines(string(text)) {
		number, addresses, ok := strings.Cut(line, " @")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		a := abandoned{}
		if a.count, err = strconv.Atoi(number); err != nil || a.count < 1 {
			return nil, fmt.Errorf("goroutineleak profile: %.80q: want a number of goroutines", line)
		}
		for _, word := range strings.Fields(addresses) {
			pc, err := strconv.ParseUint(word, 0, 64)
			if err != nil {
				return nil, fmt.Errorf("goroutineleak profile: %.80q is no address", word)
			}
			a.stack = append(a.stack, uintptr(pc))
		}
		all = append(all, a)
	}
	return all, nil
}

// limitedBuffer refuses what would be more than most.
type limitedBuffer struct {
	bytes.Buffer
	most int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, errors.New("it is larger than " + strconv.Itoa(b.most) + " bytes")
	}
	return b.Buffer.Write(p)
}

// dueSweep has a sweep made by who looks into leaks, which may take seconds.
func (w *Warden) dueSweep() {
	select {
	case w.sweepDue <- struct{}{}:
	default: // one is due already
	}
}

// sweep looks for abandoned goroutines, and reports those that are news.
func (i *investigator) sweep(ctx context.Context) {
	w := i.w
	swept, err := w.sweeps.look(w.o.Now(), sweepPause)
	if err != nil {
		w.o.Logger.Warn("memory leak detection: abandoned goroutines are not looked for", "error", err)
	}
	if !swept {
		return
	}
	for _, name := range w.sweeps.seen() {
		w.openLeaks.see(abandonedCase(name), w.o.Now())
	}
	news := w.sweeps.news()
	if len(news) == 0 {
		return
	}
	grows := w.growingGoroutines()
	for _, a := range news {
		r, ok := abandonedReport(a, w.o.Now())
		if ok && functionOf(ownFrame(r.AllocStack)) != grows && !i.quiet(ctx, r) {
			w.reportHeld(ctx, r)
		}
	}
}

// goroutineEvidence is that there are too many goroutines to be looked at, if so, and how many abandoned ones are known,
// after a sweep if there may be one.
func (w *Warden) goroutineEvidence(sweeps bool) (lines []string) {
	if why := tooManyGoroutines(); why != "" {
		lines = append(lines, "no stacks of goroutines: "+why)
	} else if sweeps {
		if _, err := w.sweeps.look(w.o.Now(), sweepPause); err != nil {
			return []string{oneLine("no goroutineleak profile: " + err.Error())}
		}
	}
	if n, known := w.sweeps.total(); known && sweeps {
		lines = append(lines, fmt.Sprintf("goroutineleak profile: %d goroutines wait for what nobody can do any more", n))
	}
	return lines
}

// growingGoroutines is the function whose goroutines a finding tells of already; empty: none does.
func (w *Warden) growingGoroutines() string {
	for _, f := range w.Leaks().Findings {
		if f.Kind != leak.Goroutines || f.Verdict < leak.Suspect || len(f.Sites) == 0 {
			continue
		}
		if stack, _ := site(f); len(stack) > 0 {
			return functionOf(ownFrame(stack))
		}
	}
	return ""
}

// abandonedCase is the case of goroutines of a stack.
func abandonedCase(stack string) string { return KindAbandoned + "-" + stack }

// abandonedReport tells of goroutines that wait for ever; false if nothing is known of their stack.
func abandonedReport(a abandoned, now time.Time) (LeakReport, bool) {
	stack := frames(a.stack)
	if len(stack) == 0 {
		return LeakReport{}, false
	}
	own := ownFrame(stack)
	waits := cmp.Or(doing(a.stack), "waiting")
	goroutines, could := "goroutines are", "them"
	if a.count == 1 {
		goroutines, could = "goroutine is", "it"
	}
	text := fmt.Sprintf("%d %s %s in %s, and nothing that the program can reach could wake %s", a.count, goroutines, waits, own, could)
	if hint := hints[functionOf(own)]; hint != "" {
		text += ", " + hint
	}
	return LeakReport{
		Kind: KindAbandoned, Status: leak.Confirmed.String(), Sentence: oneLine(text), AllocStack: stack, FirstSeen: a.since, LastSeen: now,
		Case:      abandonedCase(siteOf(a.stack)),
		Signature: leak.Goroutines.String() + " " + functionOf(own), // who has dismissed their growth has dismissed them
		Evidence:  []string{"goroutineleak profile"},
	}, true
}
