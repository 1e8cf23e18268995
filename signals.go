package memwarden

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/shutdown"
)

// RunUntilSignal waits for SIGTERM, an interrupt, or the end of ctx, runs the shutdown sequence, and returns its
// report; the program should end with the report's ExitCode. A second signal forces the rest of the sequence; after
// the end of ctx, which a signal may have brought about, it takes two. While it
// waits the two signals have no other effect on the process.
func (w *Warden) RunUntilSignal(ctx context.Context) shutdown.Report {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	reason, ignored := "the context ended", 0
	select {
	case s := <-signals:
		reason = "signal " + s.String()
	case <-ctx.Done():
		ignored = 1 // signal.NotifyContext may have ended it: the same signal comes here too
	case <-w.shutdown.Done():
		reason = "shut down already"
	}
	over := make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
			case <-over:
				return
			}
			if ignored == 0 {
				w.shutdown.Force()
				return
			}
			ignored--
		}
	}()
	defer close(over)
	return w.shutdown.Run(context.WithoutCancel(ctx), reason)
}

// addShutdownSteps puts the warden's own steps into the sequence.
func (w *Warden) addShutdownSteps() error {
	steps := []struct {
		phase shutdown.Phase
		name  string
		run   func(context.Context) error
	}{
		{shutdown.ReadinessOff, "readiness", func(context.Context) error { w.health.SetShuttingDown(); return nil }},
		{shutdown.Flush, "memwarden", w.closeLast},
	}
	for _, step := range steps {
		if _, err := w.shutdown.Add(step.phase, step.name, step.run); err != nil {
			return err
		}
	}
	return nil
}

// closeLast runs the cleanup tasks that belong to a shutdown and closes the warden.
func (w *Warden) closeLast(ctx context.Context) error {
	var failed []error
	for _, result := range w.cleanup.RunAll(ctx, cleanup.Shutdown) {
		if result.Err != nil {
			failed = append(failed, fmt.Errorf("cleanup task %s: %w", result.Task, result.Err))
		}
	}
	return errors.Join(append(failed, w.Close(ctx))...)
}
