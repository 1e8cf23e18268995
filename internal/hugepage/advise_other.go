//go:build !linux

package hugepage

import "errors"

func available(int64) error { return errors.ErrUnsupported }

func advise([]byte) error { return errors.ErrUnsupported }

func populate(_, _ uintptr) error { return errors.ErrUnsupported }
