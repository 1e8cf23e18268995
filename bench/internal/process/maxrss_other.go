//go:build !linux

package process

import (
	"errors"
	"os"
)

// MaxRSS is known on Linux alone.
func MaxRSS(*os.ProcessState) (int64, error) { return 0, errors.ErrUnsupported }
