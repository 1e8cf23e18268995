//go:build amd64 || arm64

package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"github.com/memwarden/memwarden/bytesize"
)

// childBytes is what a process costs the kernel beside its page tables: a task, its stack, the tree of its mappings.
const childBytes = 1 << 20

// headroom judges whether a frozen child can be afforded.
type headroom struct {
	status    string // of the process: /proc/PID/status
	available func() (int64, error)
	reserve   int64
	written   int64
}

// newHeadroom is that of a process ("self", or a number). available, reserve and written are as in Options.
func newHeadroom(process string, available func() (int64, error), reserve, written int64) *headroom {
	return &headroom{"/proc/" + process + "/status", available, positive(reserve, DefaultReserve), written}
}

// checkBefore refuses where the fork and what is likely to be written during the child's life would eat into the reserve.
func (h *headroom) checkBefore() error {
	if h.available == nil {
		return nil
	}
	status, err := os.ReadFile(h.status)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%w: estimate the cost of a fork: %w", ErrGone, err)
	}
	if err != nil {
		return fmt.Errorf("estimate the cost of a fork: %w", err)
	}
	tables, written := statusBytes(status, "VmPTE"), h.written
	if written <= 0 {
		written = statusBytes(status, "RssAnon") / 16
	}
	cost := tables + written + childBytes
	available, err := h.available()
	if err != nil {
		return fmt.Errorf("%w: memory left below the limit: %w", ErrHeadroom, err)
	}
	if available < cost+h.reserve {
		return fmt.Errorf("%w: %s are available, a frozen child may cost %s (page tables %s, pages written while it lives "+
			"%s) and %s must stay in reserve", ErrHeadroom, bytesize.Format(max(0, available)), bytesize.Format(cost),
			bytesize.Format(tables), bytesize.Format(written), bytesize.Format(h.reserve))
	}
	return nil
}

// check returns what is to be asked while the child lives, nil for nothing.
func (h *headroom) check() func() error {
	if h.available == nil {
		return nil
	}
	return func() error {
		available, err := h.available()
		if err != nil {
			return fmt.Errorf("%w: memory left below the limit: %w: the frozen child was killed", ErrHeadroom, err)
		}
		if available < h.reserve {
			return fmt.Errorf("%w: %s are available and %s must stay in reserve: the frozen child was killed", ErrHeadroom,
				bytesize.Format(max(0, available)), bytesize.Format(h.reserve))
		}
		return nil
	}
}

// statusField returns the value of a line of /proc/PID/status, without the blanks around it.
func statusField(status []byte, name string) string {
	for line := range bytes.Lines(status) {
		if key, value, found := bytes.Cut(line, []byte(":")); found && string(key) == name {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// statusBytes returns a size in /proc/PID/status ("VmPTE:\t  72 kB"), 0 where it is not there.
func statusBytes(status []byte, name string) int64 {
	value, unit, _ := bytes.Cut([]byte(statusField(status, name)), []byte(" "))
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || string(unit) != "kB" {
		return 0
	}
	return n << 10
}
