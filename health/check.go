package health

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

const (
	maxPanicValue = 256
	maxStack      = 8 << 10
)

// check is a Check with what is known of it. Registry.mu guards all but the embedded Check, which does not change.
type check struct {
	Check
	removed bool
	run     *run   // the one under way
	last    Result // the zero value before the first
	at      time.Time
	up      time.Time // when it was last not down
	ready   hysteresis
}

// run is one run of a check.
type run struct {
	start   time.Time
	cut     bool          // its context ended before it returned: it hangs
	settled chan struct{} // closed when it has returned or was cut
}

// refresh makes sure that a check's result is no older than its TTL, or will be when the channel that it returns is
// closed; nil means that it is now. mu is held.
func (r *Registry) refresh(c *check, now time.Time) <-chan struct{} {
	switch {
	case r.closed || r.shuttingDown || c.ready.known && now.Sub(c.at) < c.TTL:
		return nil
	case c.run == nil:
		c.run = &run{start: now, settled: make(chan struct{})}
		r.begin(c, c.run)
		return c.run.settled
	case c.run.cut: // it hangs: that is one more result, so that readiness can go off by it
		r.record(c, c.last, now)
		return nil
	}
	return c.run.settled
}

// begin runs a check on a goroutine of its own.
func (r *Registry) begin(c *check, u *run) {
	ctx, cancel := context.WithTimeout(r.life, c.Timeout)
	stop := context.AfterFunc(ctx, func() {
		r.settle(c, u, c.overdue(ctx), false)
	})
	r.work.Go(func() {
		result := Result{Level: Down, Message: "the check ended its goroutine without returning"}
		defer func() { // also when the check calls runtime.Goexit
			if ctx.Err() != nil {
				result = c.overdue(ctx)
			}
			stop()
			cancel()
			r.settle(c, u, result, true)
		}()
		result = r.call(ctx, c)
	})
}

// overdue is the result of a check whose context has ended before it returned.
func (c *check) overdue(ctx context.Context) Result {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return Result{Level: Down, Message: fmt.Sprintf("timed out after %s", c.Timeout)}
	}
	return Result{Level: Down, Message: "cut off: the registry was closed"}
}

// call runs the check's function and turns a panic into a result.
func (r *Registry) call(ctx context.Context, c *check) (result Result) {
	defer func() {
		if value := recover(); value != nil {
			text, stack := fmt.Sprint(value), debug.Stack()
			r.log.Error("health check panicked", "check", c.Name, "panic", text, "stack", string(stack[:min(len(stack), maxStack)]))
			result = Result{Level: Down, Message: "the check panicked: " + text[:min(len(text), maxPanicValue)]}
		}
	}()
	return c.Check.Run(ctx)
}

// settle records the result of a run, unless that was done when it was cut, and lets go of those who wait for it.
func (r *Registry) settle(c *check, u *run, result Result, returned bool) {
	r.mu.Lock()
	before := c.last
	recorded := c.run == u && !u.cut
	if recorded {
		r.record(c, result, time.Now())
		u.cut = !returned
		close(u.settled)
	}
	if returned {
		c.run = nil
		if c.removed {
			r.strays--
		}
	}
	after := c.last
	r.mu.Unlock()
	if recorded && after.Level != before.Level {
		about := []any{"check", c.Name, "health", after.Level, "before", before.Level, "message", after.Message}
		if after.Err != nil {
			about = append(about, "error", after.Err)
		}
		r.log.Info("health check changed", about...)
	}
}

// record makes a result the last one. mu is held.
func (r *Registry) record(c *check, result Result, now time.Time) {
	result.Level = min(result.Level, Down)
	result.Message = result.Message[:min(len(result.Message), maxMessage)]
	c.last, c.at = result, now
	if result.Level != Down {
		c.up = now
	}
	c.ready = c.ready.next(result.Level == Down, c.FailAfter, c.RecoverAfter)
}
