//go:build !linux

package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// account is whom PostgreSQL runs as: here always the user of the test.
type account struct{}

func chooseAccount() (account, error) {
	if os.Geteuid() == 0 {
		return account{}, errors.New("PostgreSQL does not run as root: run the tests as another user")
	}
	return account{}, nil
}

func (account) own(string) error                 { return nil }
func (account) attributes() *syscall.SysProcAttr { return nil }

// process is a running server.
type process struct {
	command *exec.Cmd
	done    chan struct{} // closed when it has ended and was waited for
}

func startProcess(command *exec.Cmd) (*process, error) {
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{command: command, done: make(chan struct{})}
	go func() {
		command.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

// interrupt asks for a fast shutdown; Windows knows no such signal.
func (p *process) interrupt() error {
	if runtime.GOOS == "windows" {
		return p.kill()
	}
	return p.signal(os.Interrupt)
}

// kill ends the server; its other processes notice and follow.
func (p *process) kill() error {
	if err := p.signal(os.Kill); err != nil {
		return err
	}
	<-p.done
	return nil
}

func (p *process) signal(s os.Signal) error {
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %v to the server: %w", s, err)
	}
	return nil
}
