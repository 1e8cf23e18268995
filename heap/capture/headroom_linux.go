//go:build amd64 || arm64

package capture

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// childBytes is what a process costs the kernel beside its page tables: a task, its stack, the tree of its mappings.
const childBytes = 1 << 20

// headroom judges whether a frozen child can be afforded.
type headroom struct {
	available func() (int64, error)
	reserve   int64
	written   int64
}

func newHeadroom(o Options) *headroom {
	return &headroom{o.Headroom, positive(o.Reserve, DefaultReserve), o.Written}
}

// checkBefore refuses where the fork and what is likely to be written during the child's life would eat into the reserve.
func (h *headroom) checkBefore() error {
	if h.available == nil {
		return nil
	}
	status, err := os.ReadFile("/proc/self/status")
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
		return fmt.Errorf("memory left below the limit: %w", err)
	}
	if available < cost+h.reserve {
		return fmt.Errorf("%w: %d bytes are available, a frozen child may cost %d (page tables %d, pages written while it "+
			"lives %d) and %d must stay in reserve", ErrHeadroom, available, cost, tables, written, h.reserve)
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
			return fmt.Errorf("%w: memory left below the limit: %w", ErrHeadroom, err)
		}
		if available < h.reserve {
			return fmt.Errorf("%w: %d bytes are available and %d must stay in reserve: the frozen child was killed",
				ErrHeadroom, available, h.reserve)
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
