package redistest

import "syscall"

// attributes make the server end at once when this process dies.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
