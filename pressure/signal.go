package pressure

import "github.com/memwarden/memwarden/memstat"

// SignalName is which use is held against which limit.
type SignalName string

// The signals.
const (
	// SignalContainer is a cgroup's working set against the lower of its max and high limits: the process's own group's,
	// or that of a parent that is fuller. Whoever fills a parent, at its limit the kernel kills one of all below it.
	SignalContainer SignalName = "container"
	// SignalGoLimit is the Go memory that no collection gives back against the Go memory limit.
	SignalGoLimit SignalName = "go_limit"
	// SignalProcess is the resident set against Config.BytesOverride; only where there is no SignalContainer.
	SignalProcess SignalName = "process"
	// SignalSystem is the machine's memory that is not available against all of it; only where there is no
	// SignalContainer. It shows no more than Elevated to a process that holds less than 20 % of the machine's memory.
	SignalSystem SignalName = "system"
)

// maxSignals bounds the signals of one sample: process and system stand in for container.
const maxSignals = 3

const (
	// fullRatio is where garbage is no excuse any more: the live heap is as old as the last collection, and what was
	// taken for garbage may have become live since. 3 % of a container is what the next collection may need for itself.
	fullRatio = 0.97
	// heavyShare is the part of the machine's memory that a process must hold for the machine's shortage to be a matter
	// of its own: if it gave back half of that, the machine would be better off by the 10 % between two levels.
	heavyShare = 0.20
)

// Signal is one use held against one limit.
type Signal struct {
	Name SignalName `json:"name"`
	// Group is the path of the parent group whose use and limit these are; empty: the process's own, or no group.
	Group string `json:"group,omitzero"`
	// UsedBytes is what counts, GarbageBytes what was left out of it: Go memory that the collector gives back in time.
	UsedBytes    int64 `json:"used_bytes"`
	GarbageBytes int64 `json:"garbage_bytes,omitzero"`
	LimitBytes   int64 `json:"limit_bytes"`
	// Ratio is UsedBytes / LimitBytes; it may pass 1.
	Ratio float64 `json:"ratio"`
	// Level is what the signal shows by itself at this moment.
	Level Level `json:"level"`
}

// rawRatio counts the garbage too.
func (g *Signal) rawRatio() float64 {
	return float64(g.UsedBytes+g.GarbageBytes) / float64(g.LimitBytes)
}

// hard reports signals whose limit ends the process when it is reached, garbage or not.
func (g *Signal) hard() bool { return g.Name == SignalContainer || g.Name == SignalProcess }

// full reports a hard signal that is at fullRatio, garbage included.
func (g *Signal) full(slack float64) bool { return g.hard() && g.rawRatio() >= fullRatio-slack }

// stronger orders signals by level, then by ratio.
func (g *Signal) stronger(than *Signal) bool {
	return g.Level > than.Level || g.Level == than.Level && g.Ratio > than.Ratio
}

// newSignal holds a use against a limit, which must be more than 0.
func newSignal(name SignalName, use, garbage, limit int64) Signal {
	garbage = min(max(garbage, 0), max(use, 0))
	used := max(use, 0) - garbage
	return Signal{Name: name, UsedBytes: used, GarbageBytes: garbage, LimitBytes: limit, Ratio: float64(used) / float64(limit)}
}

// read fills in the signals that the sample has figures for, and what else the judgement needs of it.
func (d *Decision) read(s *memstat.Sample, judged *groups) {
	rss, resident := s.Process.RSSBytes.Get()
	total, _ := s.System.TotalBytes.Get()
	available, haveAvailable := s.System.AvailableBytes.Get()

	limited := d.addContainer(&s.Go, judged)
	contained := d.count > 0
	if !contained && d.config.BytesOverride > 0 && resident {
		limit := d.config.BytesOverride
		d.add(newSignal(SignalProcess, rss, reclaimable(&s.Go, rss, limit), limit))
	}
	d.addGoLimit(&s.Go)
	if !contained && total > 0 && haveAvailable {
		d.ownShare = float64(rss) / float64(total) // 0 where the resident set is not known: then not ours
		d.add(newSignal(SignalSystem, total-available, 0, total))
	}

	_, goLimited := s.Go.MemoryLimitBytes.Get()
	d.limitKnown = limited || goLimited || d.config.BytesOverride > 0 || total > 0
}

func (d *Decision) add(signal Signal) {
	signal.Level = d.levelOf(&signal, 0)
	d.signals[d.count] = signal
	d.count++
}

// addContainer adds the strongest of the groups' signals, and reports whether a group has a limit at all.
//
// What other groups hold below a parent is, like all memory that is not this process's Go memory, no garbage: none is
// known of in there, and what the process has of its own is left out only as far as the others leave room for it.
func (d *Decision) addContainer(of *memstat.Go, judged *groups) (limited bool) {
	var strongest Signal
	for i := range judged {
		g := &judged[i]
		limited = limited || g.limited
		if !g.judged() {
			continue
		}
		signal := newSignal(SignalContainer, g.use, reclaimable(of, g.use, g.limit), g.limit)
		signal.Group = g.parent
		signal.Level = d.levelOf(&signal, 0)
		if strongest.Name == "" || signal.stronger(&strongest) {
			strongest = signal
		}
	}
	if strongest.Name != "" {
		d.add(strongest)
	}
	return limited
}

// levelOf is what a signal shows by itself, where the levels begin lower by slack.
func (d *Decision) levelOf(signal *Signal, slack float64) Level {
	level := d.config.at(signal.Ratio, slack)
	switch {
	case signal.full(slack):
		return max(level, High)
	case d.capped(signal):
		return min(level, Elevated)
	}
	return level
}

// capped reports whether the signal is the machine's shortage and the process too small to be its cause or its cure.
func (d *Decision) capped(signal *Signal) bool {
	return signal.Name == SignalSystem && d.ownShare < heavyShare
}

// addGoLimit adds what is left of the Go memory limit's domain after the best of collections: live heap, stacks,
// metadata and fragmentation. Near the limit the collector runs without end.
func (d *Decision) addGoLimit(g *memstat.Go) {
	limit, limited := g.MemoryLimitBytes.Get()
	used, known := g.UsedBytes.Get()
	_, judged := g.HeapObjectsBytes.Get()
	if limited && limit > 0 && known && judged {
		d.add(newSignal(SignalGoLimit, used, garbage(g), limit))
	}
}

// garbage is the Go memory that the next collection can give back, as far as is known: objects beyond the live heap of
// the last collection, and free heap that was not returned. Before the first collection, or without a live heap, no
// object is known to be garbage.
func garbage(g *memstat.Go) int64 {
	bytes := max(g.HeapFreeBytes.Or(0), 0)
	objects, haveObjects := g.HeapObjectsBytes.Get()
	live, haveLive := g.HeapLiveBytes.Get()
	if haveObjects && haveLive && g.GCCycles.Or(1) > 0 {
		bytes += max(objects-live, 0)
	}
	return bytes
}

// reclaimable is the garbage that the collector will have taken back in time before use reaches a limit.
//
// The kernel does not know what is garbage, and the collector does not know the kernel's limit: only a Go memory limit
// below it makes the collector run in time, and only as far as the Go memory limit and the memory that is not Go's fit
// into the limit together. Garbage counts as use by as much as they do not.
func reclaimable(g *memstat.Go, use, limit int64) int64 {
	goLimit, limited := g.MemoryLimitBytes.Get()
	goUsed, known := g.UsedBytes.Get()
	if !limited || !known || goLimit >= limit {
		return 0
	}
	notGo := max(use-goUsed, 0)
	excess := max(notGo+goLimit-limit, 0)
	return max(garbage(g)-excess, 0)
}
