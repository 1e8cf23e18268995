// Package start takes the service from an environment file to a process that answers: it brings the database's schema up
// to date, starts the service with the settings that its container asks for, waits until it is ready, keeps what it says
// in a log file, and ends with its exit code.
//
// It knows the order of these steps and when one of them ends the start. What the settings are is decided by package
// launch, which also passes signals on; files are read by package config. The command `start` of cmd/memwarden stands
// above, and the start scripts are shells around that.
package start

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/memwarden/memwarden/server/internal/config"
	"github.com/memwarden/memwarden/server/internal/doctor"
	"github.com/memwarden/memwarden/server/internal/launch"
	"github.com/memwarden/memwarden/server/internal/logfile"
)

// Options say what to start.
type Options struct {
	Config config.Config
	// Plan is this program without its arguments, prepared for the directory of the service.
	Plan launch.Plan
	// MaxProcs is what the runtime takes for GOMAXPROCS where nobody sets it.
	MaxProcs int
	// Examine asks package doctor, once the address is known to be free; Run logs what is worse than information.
	Examine func() []doctor.Finding
	// Out and Err get what the service says, too.
	Out, Err io.Writer
	// Signals are passed on to what is running.
	Signals <-chan os.Signal
	// Init says that the process is the first of its container.
	Init bool
	Now  func() time.Time
	// NewLogger makes the logger of the launcher's own lines.
	NewLogger func(io.Writer) *slog.Logger
}

// Run starts the service and waits for its end. The code is the service's; an error without a code is why nothing was
// started.
func Run(o Options) (code int, err error) {
	if err := portIsFree(o.Config.Addr); err != nil {
		return 0, err
	}
	file, err := logfile.Open(logfile.Options{
		Path: o.inDir(o.Config.LogFile), MaxBytes: o.Config.LogFileMaxBytes, MaxOlder: o.Config.LogFileMaxCount,
	})
	if err != nil {
		return 0, err
	}
	code, err = o.run(file)
	return code, errors.Join(err, file.Close())
}

func (o Options) run(file *logfile.File) (code int, err error) {
	own := newTee(o.Out, file.WriteLine)
	logger := o.NewLogger(own)
	for _, f := range o.Examine() {
		switch f.Status {
		case doctor.Warn:
			logger.Warn(f.Summary, "finding", f.Name, "advice", f.Advice) //nolint:sloglint // a sentence for people
		case doctor.Broken:
			logger.Error(f.Summary, "finding", f.Name, "advice", f.Advice) //nolint:sloglint // as above
		}
	}
	// What migrate prints is for people; the standard output is the log's alone.
	result, err := o.attend(o.Plan.With("migrate", "--env-file="), newTee(o.Err, file.WriteLine), newTee(o.Err, file.WriteLine))
	if err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	if result.Code != 0 {
		logger.Error("the database could not be migrated; the service was not started", "code", result.Code)
		return result.Code, nil
	}
	if s, ended := o.toldToEnd(); ended {
		logger.Warn("the service was not started", "signal", s.String())
		return 128 + int(s), nil
	}
	o.Plan.Log(logger)
	ready := watch(logger, o.Now)
	defer ready.stop()
	result, err = o.attend(o.Plan.With("serve", "--env-file="), newTee(o.Out, file.WriteLine), newTee(o.Err, func(line []byte) {
		file.WriteLine(line)
		ready.read(line)
	}))
	ready.stop()
	if err != nil {
		return 0, err
	}
	result.Log(logger)
	return result.Code, nil
}

// attend runs one command to its end.
func (o Options) attend(plan launch.Plan, out, errs *tee) (launch.Result, error) {
	result, err := plan.Run(launch.Streams{Out: out, Err: errs}, o.Signals, o.Init)
	out.lines.Flush()
	errs.lines.Flush()
	return result, err
}

// toldToEnd looks for a signal to end that came while nothing was running.
func (o Options) toldToEnd() (syscall.Signal, bool) {
	for {
		select {
		case s := <-o.Signals:
			if number, ok := s.(syscall.Signal); ok && (number == syscall.SIGTERM || number == syscall.SIGINT) {
				return number, true
			}
		default:
			return 0, false
		}
	}
}

// inDir is where a path of the settings leads: from the directory of the service.
func (o Options) inDir(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(o.Plan.Dir, path)
}

// portIsFree says early what the service would say after the migration: somebody else, perhaps the service itself, has
// its address.
func portIsFree(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (MEMWARDEN_ADDR): %w", addr, err)
	}
	return listener.Close()
}

// tee writes to a stream as it comes, and its lines to a second place.
type tee struct {
	out   io.Writer
	lines *logfile.Lines
}

func newTee(out io.Writer, line func([]byte)) *tee { return &tee{out, logfile.NewLines(line)} }

func (t *tee) Write(p []byte) (int, error) {
	_, _ = t.lines.Write(p) // never fails
	n, err := t.out.Write(p)
	if err != nil {
		// A stream that nobody reads any more is no reason to end the service, which would find its own broken.
		t.out = io.Discard
		n = len(p)
	}
	return n, nil
}

// patience is how long the service may take to be ready before somebody is told, again and again.
const patience = 30 * time.Second
