package process

import (
	"errors"
	"os"
	"syscall"
)

// MaxRSS is the largest resident memory, in bytes, that a process had which has ended and been waited for.
func MaxRSS(state *os.ProcessState) (int64, error) {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, errors.New("what the process used is not known")
	}
	return usage.Maxrss << 10, nil
}
