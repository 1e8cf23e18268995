package shutdown

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Report is what became of a shutdown.
type Report struct {
	Reason string        `json:"reason"` // as given to Run
	Phases []PhaseReport `json:"phases"` // all of them, in their order
	Forced bool          `json:"forced"` // Force was called before it was over
}

// PhaseReport is what became of one phase.
type PhaseReport struct {
	Name     Phase         `json:"name"`
	Duration time.Duration `json:"-"` // duration_seconds in JSON
	Steps    []StepReport  `json:"steps"`
}

// StepReport is what became of one step.
type StepReport struct {
	Name     string        `json:"name"`
	Duration time.Duration `json:"-"` // duration_seconds in JSON; until it was left behind, if it was
	// Err is what the step returned, its panic, or ErrOverran; "error" in JSON.
	Err error `json:"-"`
	// TimedOut tells that the phase's time was over before the step had returned. Err is ErrOverran then, with what the
	// step returned if it returned soon after.
	TimedOut bool `json:"timed_out"`
}

// Codes that a process should exit with; see Report.ExitCode.
const (
	ExitClean  = 0 // every step did its work in time
	ExitFailed = 1 // a step failed, panicked or overran
	ExitForced = 3 // the shutdown was forced: work may have been cut off
)

// ExitCode returns the code that the process should exit with: ExitForced before ExitFailed before ExitClean. 2 is
// left out because the Go runtime exits with it after a panic, and 128 and above because shells use them for signals.
func (r Report) ExitCode() int {
	switch {
	case r.Forced:
		return ExitForced
	case r.Err() != nil:
		return ExitFailed
	}
	return ExitClean
}

// Err returns nil after a clean shutdown, else every step's error with its phase and name, and ErrForced.
func (r Report) Err() error {
	var all []error
	if r.Forced {
		all = append(all, fmt.Errorf("shutdown: %w", ErrForced))
	}
	for _, phase := range r.Phases {
		for _, step := range phase.Steps {
			if step.Err != nil {
				all = append(all, fmt.Errorf("shutdown: %s: %s: %w", phase.Name, step.Name, step.Err))
			}
		}
	}
	return errors.Join(all...)
}

// MarshalJSON adds the exit code.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report
	return json.Marshal(struct {
		plain
		ExitCode int `json:"exit_code"`
	}{plain(r), r.ExitCode()})
}

// MarshalJSON adds the duration in seconds.
func (p PhaseReport) MarshalJSON() ([]byte, error) {
	type plain PhaseReport
	return json.Marshal(struct {
		plain
		Duration float64 `json:"duration_seconds"`
	}{plain(p), p.Duration.Seconds()})
}

// MarshalJSON adds the duration in seconds and the error's text.
func (s StepReport) MarshalJSON() ([]byte, error) {
	type plain StepReport
	text := ""
	if s.Err != nil {
		text = s.Err.Error()
	}
	return json.Marshal(struct {
		plain
		Duration float64 `json:"duration_seconds"`
		Err      string  `json:"error,omitzero"`
	}{plain(s), s.Duration.Seconds(), text})
}
