package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/memstat"
)

// Exit codes of a program that could not be run, as shells have them.
const (
	ExitNotExecutable = 126
	ExitNotFound      = 127
	exitSignal        = 128 // plus the signal's number
)

// StartError tells why a program could not be started, and with which code a launcher then exits.
type StartError struct {
	Code int
	Err  error
}

func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }

func startError(err error) *StartError {
	code := ExitNotExecutable
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = ExitNotFound
	}
	return &StartError{code, err}
}

// copyDelay bounds how long the end of a program's output is waited for that something it has left behind still holds.
const copyDelay = 5 * time.Second

// Streams of a program. Files are passed on as they are; anything else is copied.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Result is how a program ended.
type Result struct {
	Code   int            // its own exit code, or 128 + the signal's number
	Signal syscall.Signal // that killed it; 0: none
	// PeakRSSBytes is the most memory that the program, or the largest of the children that it waited for, had
	// resident. On Linux it is no less than what the launcher had when it started the program.
	PeakRSSBytes memstat.Int
	// KilledForMemory says that the kernel killed it, as memory ran out in the container (or in the machine).
	KilledForMemory bool
	// Cgroup is the container's account of memory after the end.
	Cgroup memstat.Cgroup
}

// String tells how the program ended in one sentence.
func (r Result) String() string {
	switch {
	case r.KilledForMemory:
		text := "the kernel killed the program because memory ran out"
		if limit, ok := r.Cgroup.MaxBytes.Get(); ok {
			text += ": its container may use " + bytesize.Format(limit)
		}
		if peak, ok := r.Cgroup.PeakBytes.Get(); ok {
			text += ", the container's use peaked at " + bytesize.Format(peak)
		}
		if peak, ok := r.PeakRSSBytes.Get(); ok {
			text += ", the program's own at " + bytesize.Format(peak)
		}
		return text
	case r.Signal != 0:
		return fmt.Sprintf("the program was killed by signal %d (%v)", int(r.Signal), r.Signal)
	default:
		return fmt.Sprintf("the program exited with code %d", r.Code)
	}
}

// Log writes how the program ended, in one line, as serious as it is.
func (r Result) Log(logger *slog.Logger) {
	level := slog.LevelWarn
	switch {
	case r.KilledForMemory:
		level = slog.LevelError
	case r.Code == 0:
		level = slog.LevelDebug
	}
	attributes := []slog.Attr{slog.Int("code", r.Code)}
	figure := func(name string, bytes memstat.Int) {
		if n, ok := bytes.Get(); ok {
			attributes = append(attributes, slog.Int64(name, n))
		}
	}
	if r.Signal == syscall.SIGKILL { // figures help to tell why
		figure("limit_bytes", r.Cgroup.MaxBytes)
		figure("cgroup_peak_bytes", r.Cgroup.PeakBytes)
		figure("peak_rss_bytes", r.PeakRSSBytes)
	}
	logger.LogAttrs(context.Background(), level, r.String(), attributes...) //nolint:sloglint // a sentence for people: what it says is in the attributes, too
}

// Run starts the planned program, passes signals on to it, and waits for its end. The error is a *StartError if there
// was no program to wait for.
//
// Signals that a terminal sends to every process in its foreground are not passed on while the program is in the
// foreground: it has them already, unless it is Apart. All others are, so a supervisor should signal the launcher alone (with systemd:
// KillMode=mixed): a signal that it sends to both reaches the program twice.
//
// On Linux the program gets SIGTERM when the launcher is killed, so that it is not left behind with nobody to report
// its end; a program that changes its user on the way loses that. With init, every orphan that the launcher inherits
// is waited for, too, as the first process of a container must; nothing else in the process may then wait for
// children.
func (p Plan) Run(streams Streams, signals <-chan os.Signal, init bool) (Result, error) {
	before := p.readCgroup()
	cmd := &exec.Cmd{
		Path: p.Path, Args: p.Args, Env: p.Env, Dir: p.Dir,
		Stdin: streams.In, Stdout: streams.Out, Stderr: streams.Err, WaitDelay: copyDelay,
		SysProcAttr: processAttributes(p.Apart),
	}
	started, ended := make(chan error, 1), make(chan Result, 1)
	go func() {
		// The program's parent, whose death signals it, is the thread that started it, not the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- wait(cmd, init)
		}
	}()
	if err := <-started; err != nil {
		return Result{}, startError(err)
	}
	for {
		select {
		case s := <-signals:
			if !reachesProgram(s, p.Apart) {
				// The only error is that the program has ended, which is about to be known here, too.
				_ = cmd.Process.Signal(s)
			}
		case result := <-ended:
			result.Cgroup = p.readCgroup()
			result.KilledForMemory = result.Signal == syscall.SIGKILL && rose(before.OOMKillEvents, result.Cgroup.OOMKillEvents)
			return result, nil
		}
	}
}

func rose(before, after memstat.Int) bool {
	now, ok := after.Get()
	return ok && now > before.Or(0)
}
