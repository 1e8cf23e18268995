package shutdown

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// maxStack bounds the stack that is logged for a panic.
const maxStack = 8 << 10

// Run takes the program down and reports. The first caller's goroutine does it; further callers, whatever their reason,
// wait and get the same report. A step must not call it.
//
// When ctx ends the shutdown is forced. Do not pass the context that the first signal has ended: the second signal's
// is meant, or none. Further callers' contexts are not looked at.
//
// A step that overruns its phase's deadline is left behind with its goroutine, and is reported; the phases after it
// come all the same. A step that panics harms nobody else.
func (s *Sequence) Run(ctx context.Context, reason string) Report {
	s.mu.Lock()
	first := !s.started
	s.started = true
	s.mu.Unlock()
	if !first {
		<-s.done
		return s.report
	}
	defer context.AfterFunc(ctx, s.Force)()

	start := time.Now()
	s.log.Info("shutdown started", "reason", reason)
	report := Report{Reason: reason}
	for phase, steps := range s.steps { // not changed any more
		report.Phases = append(report.Phases, s.runPhase(Phase(phase), steps))
	}
	report.Forced = isClosed(s.forced)
	level := slog.LevelInfo
	if report.ExitCode() != ExitClean {
		level = slog.LevelError
	}
	s.log.Log(context.Background(), level, "shutdown done",
		"duration_seconds", time.Since(start).Seconds(), "forced", report.Forced, "exit_code", report.ExitCode())
	s.report = report
	close(s.done)
	return report
}

// outcome is what the step with this index became.
type outcome struct {
	index  int
	report StepReport
}

// runPhase runs the steps of one phase at the same time, and returns when all of them have returned or its time is over.
func (s *Sequence) runPhase(phase Phase, steps []*step) PhaseReport {
	start := time.Now()
	base, end := context.WithCancelCause(context.Background())
	ctx, cancel := context.WithTimeout(base, s.deadlines[phase])
	defer cancel()
	if phase < Flush && isClosed(s.forced) {
		end(ErrForced) // before the steps are called
	}

	report := PhaseReport{Name: phase, Steps: make([]StepReport, len(steps))}
	outcomes := make(chan outcome, len(steps)) // a step left behind can still say what it has to say
	for i, step := range steps {
		report.Steps[i] = StepReport{
			Name: step.name, Err: fmt.Errorf("%w and was left behind", ErrOverran), TimedOut: true,
		}
		go s.runStep(ctx, phase, step, i, outcomes)
	}
	pending := s.await(ctx, end, phase, outcomes, report.Steps)
	report.Duration = time.Since(start)
	for i := range report.Steps {
		if pending[i] {
			report.Steps[i].Duration = report.Duration
			s.log.Error("shutdown step left behind", "phase", phase, "step", report.Steps[i].Name)
		}
	}
	s.log.Info("shutdown phase done", "phase", phase, "steps", len(steps), "duration_seconds", report.Duration.Seconds())
	return report
}

// await collects outcomes into reports until there are no more to come, or the time is over: that is lastWords after
// the context has ended by itself, or ForceGrace after it was forced to. It returns the steps that are left.
func (s *Sequence) await(ctx context.Context, end context.CancelCauseFunc, phase Phase, outcomes <-chan outcome, reports []StepReport) map[int]bool {
	pending := make(map[int]bool, len(reports))
	for i := range reports {
		pending[i] = true
	}
	var delay, cut, leave <-chan time.Time
	if phase == Drain && s.options.DrainDelay > 0 {
		delay = time.After(s.options.DrainDelay)
	}
	forced, ended := s.forced, ctx.Done()
	for len(pending) > 0 || delay != nil {
		select {
		case got := <-outcomes:
			reports[got.index] = got.report
			delete(pending, got.index)
		case <-delay:
			delay = nil
		case <-forced:
			forced, delay = nil, nil
			if phase == Flush {
				cut = time.After(s.options.ForceGrace)
			} else {
				end(ErrForced)
			}
		case <-cut:
			end(context.DeadlineExceeded)
		case <-ended:
			ended = nil
			leave = time.After(lastWords)
			if errors.Is(context.Cause(ctx), ErrForced) {
				leave = time.After(s.options.ForceGrace)
			}
		case <-leave:
			return pending
		}
	}
	return pending
}

// runStep calls one step and sends what became of it.
func (s *Sequence) runStep(ctx context.Context, phase Phase, step *step, index int, outcomes chan<- outcome) {
	start := time.Now()
	report := StepReport{Name: step.name, Err: errors.New("ended its goroutine without returning")}
	defer func() {
		if value := recover(); value != nil {
			stack := debug.Stack()
			report.Err = fmt.Errorf("panic: %v", value)
			s.log.Error("shutdown step panicked", "phase", phase, "step", step.name, "panic", fmt.Sprint(value),
				"stack", string(stack[:min(len(stack), maxStack)]))
		} else if report.Err != nil {
			s.log.Error("shutdown step failed", "phase", phase, "step", step.name, "error", report.Err)
		}
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			report.TimedOut = true
			report.Err = overran(report.Err)
		}
		report.Duration = time.Since(start)
		outcomes <- outcome{index, report}
	}()
	report.Err = step.run(ctx)
}

// overran joins ErrOverran and what a late step returned, if that says anything.
func overran(err error) error {
	if err == nil {
		return ErrOverran
	}
	return fmt.Errorf("%w: %w", ErrOverran, err)
}

func isClosed(channel <-chan struct{}) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}
