//go:build unix

package launch

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/memwarden/memwarden/memstat"
)

// Signals are those that a launcher passes on.
func Signals() []os.Signal {
	return []os.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGALRM, syscall.SIGCONT, syscall.SIGWINCH,
	}
}

// reachesProgram reports whether a signal is one that a terminal sends to its foreground, and this process, and so
// the program, which is in the same process group unless it is apart, is in the foreground of one.
func reachesProgram(s os.Signal, apart bool) bool {
	if apart {
		return false
	}
	switch s {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGWINCH, syscall.SIGCONT:
	default:
		return false
	}
	terminal, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false // there is no terminal
	}
	defer func() { _ = terminal.Close() }() // only asked
	group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func wait(cmd *exec.Cmd, init bool) Result {
	if !init {
		_ = cmd.Wait()                                           // what it says is in the state
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus) // as both always are on Unix
		usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		return result(status, usage)
	}
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &usage)
		if err != nil && err != syscall.EINTR { // ECHILD: somebody else waited for the program
			return Result{Code: 1}
		}
		if pid == cmd.Process.Pid && (status.Exited() || status.Signaled()) {
			_ = cmd.Wait() // finds no process, but ends the copying of streams
			return result(status, &usage)
		}
	}
}

func result(status syscall.WaitStatus, usage *syscall.Rusage) Result {
	r := Result{Code: status.ExitStatus()}
	if status.Signaled() {
		r.Signal = status.Signal()
		r.Code = exitSignal + int(r.Signal)
	}
	if usage != nil && usage.Maxrss > 0 {
		r.PeakRSSBytes = memstat.Known(int64(usage.Maxrss) * maxrssUnit()) //nolint:unconvert // it has 32 bits on 32-bit systems
	}
	return r
}
