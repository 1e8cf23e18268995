//go:build unix && !linux

package tests

import (
	"os/exec"
	"syscall"
)

// attributes run a process as a user.
func attributes(user *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: user}
}

func startProcess(command *exec.Cmd, ended chan<- struct{}) error {
	err := command.Start()
	if err == nil {
		go func() {
			_ = command.Wait() // how it ended is in its state
			close(ended)
		}()
	}
	return err
}
