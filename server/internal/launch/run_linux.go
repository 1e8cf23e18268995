package launch

import "syscall"

// maxrssUnit is the number of bytes in which the kernel counts a peak.
func maxrssUnit() int64 { return 1 << 10 }

func processAttributes(apart bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: apart}
}
