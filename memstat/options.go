package memstat

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// The intervals that hold where Options and SetIntervals leave them 0.
const (
	DefaultFastInterval = time.Second
	DefaultSlowInterval = 10 * time.Second
)

// Options of a Sampler. The zero value watches the calling process with the default intervals.
type Options struct {
	// PID is the process to watch; 0 is the calling process. A PID, be it the caller's own, is watched from outside:
	// its Go group is absent. The process's files must be readable: those of another user's process need privileges.
	PID int
	// FastInterval is how old the resident size, the cgroup's figures and limits, and PSI may be; default 1 s. The
	// calling process's Go group is read at every call, but for its pauses.
	FastInterval time.Duration
	// SlowInterval is how old everything else may be: peak, descriptors, threads, the machine's memory, the pauses,
	// which cgroup the process is in, and its proportional, anonymous and swapped memory, these one interval more for
	// each 64 MiB of resident size, 30 at most. Default 10 s, or FastInterval where that is longer; it must not be shorter than that.
	SlowInterval time.Duration
	// Root is the directory in which proc and sys are found; default "/". Files below it are kept open: a tree that
	// stands in for the real one must be changed in place.
	Root string
}

// validate fills in the defaults and names every mistake.
func (o Options) validate() (Options, error) {
	var mistakes []error
	if o.PID < 0 {
		mistakes = append(mistakes, fmt.Errorf("memstat: Options.PID is %d: want 0 or a process id", o.PID))
	}
	fast, slow, err := intervals(o.FastInterval, o.SlowInterval)
	if err != nil {
		mistakes = append(mistakes, err)
	}
	o.FastInterval, o.SlowInterval = fast, slow
	if o.Root == "" {
		o.Root = "/"
	}
	switch info, err := os.Stat(o.Root); {
	case err != nil:
		mistakes = append(mistakes, fmt.Errorf("memstat: Options.Root: %w", err))
	case !info.IsDir():
		mistakes = append(mistakes, fmt.Errorf("memstat: Options.Root: %s is not a directory", o.Root))
	}
	return o, errors.Join(mistakes...)
}

// intervals fills in the defaults of the two intervals and names every mistake.
func intervals(fast, slow time.Duration) (time.Duration, time.Duration, error) {
	var mistakes []error
	if fast < 0 {
		mistakes = append(mistakes, fmt.Errorf("memstat: fast interval is %v: want 0 or more", fast))
	}
	if slow < 0 {
		mistakes = append(mistakes, fmt.Errorf("memstat: slow interval is %v: want 0 or more", slow))
	}
	if fast == 0 {
		fast = DefaultFastInterval
	}
	if slow == 0 {
		slow = max(DefaultSlowInterval, fast)
	}
	if len(mistakes) == 0 && slow < fast {
		mistakes = append(mistakes, fmt.Errorf("memstat: slow interval %v is shorter than the fast one, %v", slow, fast))
	}
	return fast, slow, errors.Join(mistakes...)
}

// tier is a set of figures that are read together, at most once per interval.
type tier struct {
	interval time.Duration
	last     time.Time
	started  bool
}

// due reports whether the tier is to be read now, and takes it for read. A tenth of the interval early counts as due:
// else a ticker of the same period, which is a little early every other time, would have every second tick skipped.
// A clock that was set back makes it due as well.
func (t *tier) due(now time.Time) bool {
	age := now.Sub(t.last)
	if t.started && age >= 0 && age < t.interval-t.interval/10 {
		return false
	}
	t.last, t.started = now, true
	return true
}
