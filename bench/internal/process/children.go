package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pollInterval is how exactly the life of a child is known.
const pollInterval = 2 * time.Millisecond

// SilentChild waits for a process to fork a child that does not signal its end, as a frozen copy does not, and then for
// the child to be gone. It returns how long that lived, to some milliseconds; 0 if stop is closed before there is one.
// root is /proc.
func SilentChild(root string, pid int, stop <-chan struct{}) (time.Duration, error) {
	known := map[string]bool{}
	child := ""
	var born time.Time
	for {
		if child == "" {
			var err error
			if child, err = findSilent(root, pid, known); err != nil {
				return 0, err
			}
			born = time.Now()
		} else if _, err := os.Stat(filepath.Join(root, child)); err != nil {
			return time.Since(born), nil //nolint:nilerr // it is gone
		}
		select {
		case <-stop:
			if child != "" {
				return time.Since(born), nil
			}
			return 0, nil
		case <-time.After(pollInterval):
		}
	}
}

// findSilent looks at the processes that are not known yet.
func findSilent(root string, parent int, known map[string]bool) (child string, err error) {
	dir, err := os.Open(root)
	if err != nil {
		return "", err
	}
	defer func() { _ = dir.Close() }() // only read
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if known[name] || strings.Trim(name, "0123456789") != "" {
			continue
		}
		known[name] = true
		text, err := os.ReadFile(filepath.Join(root, name, "stat"))
		if err != nil {
			continue // it has ended
		}
		of, signal, err := parseStat(string(text))
		if err != nil {
			return "", fmt.Errorf("%s/%s/stat: %w", root, name, err)
		}
		if of == parent && signal == 0 {
			return name, nil
		}
	}
	return "", nil
}

// parseStat returns the parent of a process, and the signal with which it tells that it ends.
func parseStat(text string) (parent, exitSignal int, err error) {
	// The name before it may hold anything.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const parentField, signalField = 1, 35 // the fourth and thirty-eighth, of which two are cut off
	if len(fields) <= signalField {
		return 0, 0, fmt.Errorf("%.100q: too few fields", text)
	}
	if parent, err = strconv.Atoi(fields[parentField]); err != nil {
		return 0, 0, err
	}
	exitSignal, err = strconv.Atoi(fields[signalField])
	return parent, exitSignal, err
}
