//go:build unix && !linux

package servicetest

import (
	"os/exec"
	"syscall"
)

// Attributes run a process as a user.
func Attributes(user *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: user}
}

func StartProcess(command *exec.Cmd, ended chan<- struct{}) error {
	err := command.Start()
	if err == nil {
		go func() {
			_ = command.Wait() // how it ended is in its state
			close(ended)
		}()
	}
	return err
}
