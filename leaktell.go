package memwarden

import (
	"context"
	"slices"

	"github.com/memwarden/memwarden/leak"
)

// tell logs a verdict that has changed, publishes it, and has a suspicion looked into; nothing of it where that was
// dismissed. What its site would be told by is asked first. A leak of the heap whose site is not known may be one that was
// dismissed by what a snapshot showed: that is told by who takes the snapshot.
func (l *leakWatch) tell(ctx context.Context, f LeakFinding, before leak.Finding) {
	w := l.w
	over := before.Verdict >= leak.Suspect && (f.Verdict < leak.Suspect || !f.Since.Equal(before.Since))
	dismissed := over && w.quietLeaks.has(caseOf(before))
	if over {
		w.quietLeaks.remove(caseOf(before))
		w.cleaner.over(caseOf(before))
		l.forget(f.Kind)
	}
	switch {
	case f.Verdict >= leak.Suspect:
		stack, _ := site(f.Finding)
		if w.quiet(ctx, quietCase{caseOf(f.Finding), signature(f.Finding, stack)}, askPatience) {
			return
		}
		c := leakCase{finding: f.Finding, inputs: f.Inputs, snapshots: l.config.Snapshots, sweeps: l.config.GoroutineProfile}
		c.told = f.Kind != leak.Heap || len(stack) > 0 || !c.snapshots
		if c.told {
			w.tellLeak(f)
		}
		l.forget(f.Kind)
		l.waiting = append(l.waiting, c)
		if l.handOver(); len(l.waiting) > 0 { // it is busy with more than there are kinds
			last := &l.waiting[len(l.waiting)-1]
			if !last.told {
				last.told = true
				w.tellLeak(f)
			}
			w.o.Logger.Warn("memory leak is looked into later: others are looked into", "kind", f.Kind.String())
		}
	default:
		w.events.publish(Event{EventLeak, w.o.Now(), f}) // it may have been told of before it was dismissed
		if over && !dismissed {
			w.o.Logger.Info("memory leak is over", "kind", f.Kind.String(), "reason", f.Reason)
		}
	}
}

// forget drops the case of a kind that waits: it is over, or there is a newer one.
func (l *leakWatch) forget(kind leak.Kind) {
	l.waiting = slices.DeleteFunc(l.waiting, func(c leakCase) bool { return c.finding.Kind == kind })
}

// handOver has the cases that wait looked into, as many as there is room for.
func (l *leakWatch) handOver() {
	for len(l.waiting) > 0 {
		select {
		case l.w.leakCases <- l.waiting[0]:
			l.waiting = slices.Delete(l.waiting, 0, 1)
		default:
			return
		}
	}
}

// tellLeak logs a suspicion or its confirmation, and publishes it.
func (w *Warden) tellLeak(f LeakFinding) {
	w.o.Logger.Warn("memory leak "+f.Verdict.String(), "kind", f.Kind.String(), "reason", f.Reason)
	w.events.publish(Event{EventLeak, w.o.Now(), f})
}
