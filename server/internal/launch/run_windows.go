package launch

import (
	"os"
	"os/exec"
	"syscall"
)

// Signals are those that end a launcher if it does not ask for them.
func Signals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// reachesProgram: a console tells every process in it.
func reachesProgram(os.Signal, bool) bool { return true }

func processAttributes(bool) *syscall.SysProcAttr { return nil }

func wait(cmd *exec.Cmd, _ bool) Result {
	_ = cmd.Wait() // what it says is in the state
	return Result{Code: cmd.ProcessState.ExitCode()}
}
