package redis

import (
	"context"
	"sync"
	"time"
)

// A failing Redis is left alone for a while that doubles with each failure, between these.
const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
)

// circuit keeps callers from a Redis that does not answer, so that a dead one costs a deadline now and then, and not
// each time. While it is closed all may ask. The first failure opens it: for a pause nobody asks. Then one caller at a
// time tries; if he gets an answer, the circuit closes. It is safe for concurrent use.
type circuit struct {
	now func() time.Time

	mu     sync.Mutex
	round  uint64        // counts the changes of what is below
	pause  time.Duration // 0: closed
	until  time.Time     // end of the pause
	trying bool
}

// verdict is what a caller learned about Redis.
type verdict int

const (
	answered verdict = iota
	failed
	unknown // the caller went away first
)

// judge returns the verdict for the error of an exchange that had a deadline inside the caller's context.
func judge(caller context.Context, err error) verdict {
	switch {
	case err == nil:
		return answered
	case caller.Err() != nil:
		return unknown
	default:
		return failed
	}
}

// enter tells whether Redis may be asked. If so, leave must be called with the round.
func (c *circuit) enter() (round uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pause == 0 {
		return c.round, true
	}
	if c.trying || c.now().Before(c.until) {
		return 0, false
	}
	c.trying = true
	return c.round, true
}

// leave learns what came of it. Callers of an earlier round have nothing new to say: when many failed at once, the
// pause is not doubled by each.
func (c *circuit) leave(round uint64, v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if round != c.round {
		return
	}
	switch {
	case v == failed:
		c.pause = min(max(2*c.pause, shortestPause), longestPause)
		c.until = c.now().Add(c.pause)
	case v == answered && c.pause > 0:
		c.pause = 0
	case c.trying: // unknown: the next one tries
	default:
		return
	}
	c.trying = false
	c.round++
}

// open reports whether Redis failed last.
func (c *circuit) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pause > 0
}

// wait blocks until a try may be worth it: a pause is over, or a little later while another caller tries. It returns
// early when ctx ends.
func (c *circuit) wait(ctx context.Context) {
	c.mu.Lock()
	rest := shortestPause
	if c.pause > 0 && !c.trying {
		rest = max(c.until.Sub(c.now()), 0)
	}
	c.mu.Unlock()
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
