//go:build !linux || !(amd64 || arm64)

package capture

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

func self(context.Context, Options) (*Child, error) { return nil, unsupported() }

func collapse(context.Context) (Collapsed, error) { return Collapsed{}, unsupported() }

func settle([][2]uint64) error { return nil }

func attach(context.Context, int, AttachOptions) (*Image, error) { return nil, unsupported() }

func unsupported() error {
	return fmt.Errorf("capture a process on %s/%s: %w", runtime.GOOS, runtime.GOARCH, errors.ErrUnsupported)
}
