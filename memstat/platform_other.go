//go:build !darwin && !windows

package memstat

import (
	"errors"
	"fmt"
	"runtime"
)

// platform stands for operating systems without /proc of which nothing is known.
type platform struct{}

func newPlatform(pid int) (kernel, error) {
	if pid != 0 {
		return nil, fmt.Errorf("watching process %d: %w on %s", pid, errors.ErrUnsupported, runtime.GOOS)
	}
	return platform{}, nil
}

func (platform) fast(*Sample, []byte) {}
func (platform) slow(*Sample, []byte) {}
func (platform) gone() bool           { return false }
func (platform) problems() []Problem  { return nil }
func (platform) close() error         { return nil }
