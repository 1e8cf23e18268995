// Package process reads what Linux knows of a process: its processor time to the nanosecond, its resident memory, its
// descriptors and threads.
//
// It reads /proc without the library's help, so that the library is not measured by itself. The benchmarks stand above
// it.
package process

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Memory is what smaps_rollup says, in bytes.
type Memory struct {
	RSS       int64 // resident, pages of files that others map too included
	Anonymous int64 // resident and not of a file: heap, stacks, written data
	PSS       int64 // resident, shared pages counted by their share
}

// ReadMemory reads the memory of a process under root, which is /proc.
func ReadMemory(root string, pid int) (Memory, error) {
	file := filepath.Join(root, strconv.Itoa(pid), "smaps_rollup")
	text, err := os.ReadFile(file)
	if err != nil {
		return Memory{}, err
	}
	m, err := parseRollup(text)
	if err != nil {
		return Memory{}, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

func parseRollup(text []byte) (Memory, error) {
	var m Memory
	missing := map[string]*int64{"Rss:": &m.RSS, "Anonymous:": &m.Anonymous, "Pss:": &m.PSS}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[2] != "kB" || missing[fields[0]] == nil {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 53)
		if err != nil || kib < 0 {
			return Memory{}, fmt.Errorf("line %q", lines.Text())
		}
		*missing[fields[0]] = kib << 10
		delete(missing, fields[0])
	}
	if len(missing) > 0 {
		return Memory{}, errors.New("one of Rss, Anonymous, Pss is missing")
	}
	return m, nil
}

// ReadCPU sums the time that the threads of a process have run, under root, which is /proc. A thread that ends takes
// its time with it: Go's runtime keeps its threads.
func ReadCPU(root string, pid int) (time.Duration, error) {
	tasks := filepath.Join(root, strconv.Itoa(pid), "task")
	threads, err := os.ReadDir(tasks)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, thread := range threads {
		file := filepath.Join(tasks, thread.Name(), "schedstat")
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			if _, gone := os.Stat(filepath.Join(tasks, thread.Name())); gone != nil {
				continue
			}
		}
		if err != nil {
			return 0, err
		}
		ran, err := parseSchedstat(text)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sum += ran
	}
	return sum, nil
}

func parseSchedstat(text []byte) (time.Duration, error) {
	fields := strings.Fields(string(text))
	if len(fields) != 3 {
		return 0, fmt.Errorf("%q: want three numbers", text)
	}
	ran, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || ran < 0 {
		return 0, fmt.Errorf("%q: want nanoseconds", fields[0])
	}
	return time.Duration(ran), nil
}

// CountDescriptors counts the open descriptors of a process under root, which is /proc.
func CountDescriptors(root string, pid int) (int, error) {
	entries, err := os.ReadDir(filepath.Join(root, strconv.Itoa(pid), "fd"))
	return len(entries), err
}

// ReadRSS reads the resident memory of a process under root, which is /proc, without walking its pages.
func ReadRSS(root string, pid int) (int64, error) {
	file := filepath.Join(root, strconv.Itoa(pid), "statm")
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("%s: %q: want seven numbers", file, text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 40)
	if err != nil || pages < 0 {
		return 0, fmt.Errorf("%s: %q: want a number of pages", file, fields[1])
	}
	return pages * int64(os.Getpagesize()), nil
}

// ReadProcessorPressure reads for how long something on the machine has waited for a processor since its start, under
// root, which is /proc.
func ReadProcessorPressure(root string) (time.Duration, error) {
	file := filepath.Join(root, "pressure", "cpu")
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	some, _, _ := strings.Cut(string(text), "\n")
	_, total, found := strings.Cut(some, " total=")
	microseconds, err := strconv.ParseInt(strings.TrimSpace(total), 10, 53)
	if !found || err != nil || microseconds < 0 {
		return 0, fmt.Errorf("%s: %q: want a total", file, some)
	}
	return time.Duration(microseconds) * time.Microsecond, nil
}
