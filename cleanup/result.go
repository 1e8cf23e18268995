package cleanup

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/memwarden/memwarden/pressure"
)

// maxErrorText bounds an error's text in JSON.
const maxErrorText = 1 << 10

// Result is what became of one run.
type Result struct {
	Task       string        `json:"task"`
	Trigger    Trigger       `json:"trigger"`
	At         time.Time     `json:"at"` // its start
	Duration   time.Duration `json:"-"`  // duration_seconds in JSON
	FreedBytes int64         `json:"freed_bytes"`
	// Err is why the task failed, or why it did not run; nil where it succeeded. In JSON "error", its text, of at most
	// 1 KiB.
	Err      error `json:"-"`
	TimedOut bool  `json:"timed_out"` // had not returned by its timeout; Err is ErrTimeout
	Panicked bool  `json:"panicked"`  // Err is a *PanicError
}

// MarshalJSON adds the duration in seconds and the error's text.
func (r Result) MarshalJSON() ([]byte, error) {
	type plain Result
	text := ""
	if r.Err != nil {
		text = r.Err.Error()
		text = text[:min(len(text), maxErrorText)]
	}
	return json.Marshal(struct {
		plain
		Duration float64 `json:"duration_seconds"`
		Err      string  `json:"error,omitzero"`
	}{plain(r), r.Duration.Seconds(), text})
}

// PanicError is the error of a task that panicked.
type PanicError struct {
	Task  string
	Value string // what it panicked with, printed; at most 1 KiB
	Stack string // of the panic; at most 8 KiB
}

// Error names the task and the value. The stack is left to the log, and to whoever asks for it.
func (e *PanicError) Error() string {
	return fmt.Sprintf("cleanup: task %q panicked: %s", e.Task, e.Value)
}

// Counts are the runs of a task since it was added.
type Counts struct {
	Runs       int64 `json:"runs_total"`
	Failures   int64 `json:"failures_total"` // of the runs; timeouts and panics among them
	Timeouts   int64 `json:"timeouts_total"`
	Panics     int64 `json:"panics_total"`
	FreedBytes int64 `json:"freed_bytes_total"`
}

// Status is a task's settings and what has become of it.
type Status struct {
	Name       string         `json:"name"`
	Interval   time.Duration  `json:"-"`                 // interval_seconds in JSON, absent for 0
	AtLevel    pressure.Level `json:"at_level,omitzero"` // absent: never by pressure
	OnLeak     bool           `json:"on_leak"`
	AtShutdown bool           `json:"at_shutdown"`
	Priority   int            `json:"priority"`
	Timeout    time.Duration  `json:"-"` // timeout_seconds in JSON

	RunningSince time.Time `json:"running_since,omitzero"` // absent: not running
	// Stuck tells that the run under way has been told to end and has not: it will not start again until it has.
	Stuck               bool      `json:"stuck"`
	NextRun             time.Time `json:"next_run_at,omitzero"` // by schedule; absent where there is none, or not started
	LastResult          Result    `json:"last_result,omitzero"` // absent: not run yet
	ConsecutiveFailures int64     `json:"consecutive_failures"`
	Counts
}

// MarshalJSON adds the durations in seconds.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	return json.Marshal(struct {
		plain
		Interval float64 `json:"interval_seconds,omitzero"`
		Timeout  float64 `json:"timeout_seconds"`
	}{plain(s), s.Interval.Seconds(), s.Timeout.Seconds()})
}
