package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// account is whom PostgreSQL runs as: somebody else than root, which it refuses.
type account struct {
	credential *syscall.Credential // nil: the user of the test
}

func chooseAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	var problems []error
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		uid, err1 := strconv.ParseUint(found.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(found.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			problems = append(problems, err)
			continue
		}
		return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return account{}, fmt.Errorf("PostgreSQL does not run as root, and there is no other user: %w", errors.Join(problems...))
}

// own hands a file or directory over to the account.
func (a account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// attributes run a program as the account, and make it shut down at once when this process dies.
func (a account) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: a.credential, Pdeathsig: syscall.SIGQUIT}
}

// process is a running server.
type process struct {
	command *exec.Cmd
	done    chan struct{} // closed when it has ended and was waited for
}

// startProcess starts the command on a thread that lives as long as the command: the kernel takes the end of the thread
// that started a process for the death of its parent.
func startProcess(command *exec.Cmd) (*process, error) {
	p := &process{command: command, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			command.Wait() // how it ended is in its log
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// interrupt asks for a fast shutdown.
func (p *process) interrupt() error { return p.signal(syscall.SIGINT) }

// kill ends the server and its children, which are process group leaders of their own, and waits until all are gone.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGSTOP); err != nil { // so that no child is born meanwhile
		return err
	}
	children := childrenOf(p.command.Process.Pid)
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	for _, pid := range children {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill server process %d: %w", pid, err)
		}
	}
	deadline := time.Now().Add(stopTimeout)
	for _, pid := range children {
		for alive(pid) {
			if time.Now().After(deadline) {
				return fmt.Errorf("server process %d outlived its SIGKILL by %v", pid, stopTimeout)
			}
			time.Sleep(pollInterval)
		}
	}
	return nil
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %v to the server: %w", s, err)
	}
	return nil
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	var children []int
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, file := range files {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if _, parent, ok := status(child); ok && parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// alive reports whether a process exists and is not merely waiting to be reaped.
func alive(pid int) bool {
	state, _, ok := status(pid)
	return ok && state != "Z" && state != "X"
}

// status reads state and parent from /proc/PID/stat, where they follow the name in parentheses.
func status(pid int) (state string, parent int, ok bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0, false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err == nil
}
