//go:build unix && !linux

package launch

import (
	"runtime"
	"syscall"
)

// maxrssUnit is the number of bytes in which the kernel counts a peak.
func maxrssUnit() int64 {
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return 1
	}
	return 1 << 10
}

func processAttributes(apart bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: apart} }
