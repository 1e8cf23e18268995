package cleanup

import (
	"strings"
	"time"

	"github.com/memwarden/memwarden/internal/sorting"
)

// batch is a number of tasks that became due together, and are started in their order by one goroutine. A task belongs
// to the batch that claimed it last: pressure takes tasks over from a scheduled batch that has not got to them yet.
type batch struct{ why Trigger }

// schedule is the scheduler: it starts what is due and sleeps until something else is, or until it is woken.
func (r *Registry) schedule() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		r.dispatch(time.Now(), timer)
		select {
		case <-r.life.Done():
			return
		case <-r.wake:
		case <-timer.C:
		}
	}
}

// dispatch starts a batch for each trigger that has made tasks due, and sets the timer to when the next task is.
func (r *Registry) dispatch(now time.Time, timer *time.Timer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	timer.Stop()
	if r.closed {
		return
	}
	due := make(map[Trigger][]item)
	var next time.Time
	for _, t := range r.tasks {
		if t.run != nil || t.batch != nil && t.batch.why == Pressure {
			continue // looked at again when it has returned
		}
		at, why := t.nextRun(now, r)
		switch {
		case why == "":
		case !at.After(now):
			due[why] = append(due[why], item{t, why})
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	for why, items := range due {
		b := &batch{why}
		for _, it := range items {
			it.task.batch = b
		}
		r.work.Go(func() { r.runBatch(b, items) })
	}
	if !next.IsZero() {
		timer.Reset(next.Sub(now))
	}
}

// nextRun returns when a task that does not run is due next and why; "" for never, as things are. A task that waits in
// a scheduled batch can be due by pressure only. mu is held.
func (t *task) nextRun(now time.Time, r *Registry) (at time.Time, why Trigger) {
	if t.AtLevel > 0 && r.level >= t.AtLevel {
		at, why = t.pressed.Add(r.options.PressureInterval), Pressure
		if r.level > t.pressure {
			at = now
		}
	}
	if t.Interval > 0 && t.batch == nil && (why == "" || at.After(now) && t.next.Before(at)) {
		at, why = t.next, Schedule
	}
	return at, why
}

// runBatch starts the tasks of a batch, one priority after the other: the next when all of the one before have
// returned or were cut. It leaves out tasks that were run, removed or taken over meanwhile.
func (r *Registry) runBatch(b *batch, items []item) {
	for _, group := range groups(items) {
		var runs []*run
		r.mu.Lock()
		for _, it := range group {
			if it.task.batch != b {
				continue
			}
			it.task.batch = nil
			if u, err := r.begin(r.life, it.task, it.why); err == nil {
				runs = append(runs, u)
			}
		}
		r.mu.Unlock()
		for _, u := range runs {
			<-u.settled
		}
	}
}

// Status returns what is known of each task, sorted by name.
func (r *Registry) Status() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Status, 0, len(r.tasks))
	for _, t := range r.tasks {
		s := Status{
			Name: t.Name, Interval: t.Interval, AtLevel: t.AtLevel, OnLeak: t.OnLeak, AtShutdown: t.AtShutdown,
			Priority: t.Priority, Timeout: t.Timeout, LastResult: t.last, ConsecutiveFailures: t.failing, Counts: t.counts,
		}
		if t.run != nil {
			s.RunningSince, s.Stuck = t.run.start, t.run.cut
		} else if r.started && !r.closed {
			s.NextRun = t.next
		}
		all = append(all, s)
	}
	sorting.By(all, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}
