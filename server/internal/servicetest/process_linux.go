package servicetest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Attributes run a process as a user, and end it when the test dies.
func Attributes(user *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: user, Pdeathsig: syscall.SIGKILL}
}

// StartProcess starts the command on a thread that lives as long as the command: the kernel takes the end of the thread
// that started a process for the death of its parent.
func StartProcess(command *exec.Cmd, ended chan<- struct{}) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // how it ended is in its state
			close(ended)
		}
	}()
	return <-started
}
