//go:build !linux && !darwin

package archive

import (
	"errors"
	"fmt"
)

// FreeBytes is what an unprivileged user may still write to the file system of a directory. On systems that it does not
// know the error wraps errors.ErrUnsupported.
func FreeBytes(dir string) (int64, error) {
	return 0, fmt.Errorf("free space of %s: %w", dir, errors.ErrUnsupported)
}
