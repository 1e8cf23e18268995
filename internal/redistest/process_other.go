//go:build !linux

package redistest

import "syscall"

// attributes are none: only Linux tells a process that its parent died.
func attributes() *syscall.SysProcAttr { return nil }
