package redistest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// process is a running server.
type process struct {
	command *exec.Cmd
	done    chan struct{} // closed when it has ended and was waited for
}

// startProcess starts the command on a thread that lives as long as the command: Linux takes the end of the thread that
// started a process for the death of its parent.
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

// kill ends the server and waits until it is gone.
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
