//go:build unix

package memwarden

import "syscall"

// processorSeconds is the processor time that the process has taken; false if that is not known.
func processorSeconds() (float64, bool) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, false
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9, true
}
