package incident

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"

	"github.com/memwarden/memwarden/bytesize"
)

// Profile writes one of the runtime's profiles in pprof's form. "heap" stands for the last collection that has ended, and
// takes memory by its sites, some MB in large programs; "goroutine" stops the program for moments and takes some hundred
// bytes for each goroutine; "goroutineleak", where the runtime has it, costs about a collection. An error that wraps
// errors.ErrUnsupported: the runtime has no such profile.
func Profile(name string) func(io.Writer) error {
	return Buffered(func(w io.Writer) error {
		p := pprof.Lookup(name)
		if p == nil {
			return fmt.Errorf("%s has no profile %q: %w", runtime.Version(), name, errors.ErrUnsupported)
		}
		return p.WriteTo(w, 0)
	})
}

// MaxStacks is with how many goroutines their stacks are written as text: the world stands still for that.
const MaxStacks = 10_000

// Stacks writes the stack of each goroutine as text: what it waits for, for how long, and who created it. Arguments show
// as the words that they are in memory, not as what these lead to. It is refused with MaxStacks goroutines or more.
func Stacks(w io.Writer) error {
	if n := runtime.NumGoroutine(); n >= MaxStacks {
		return fmt.Errorf("there are %d goroutines: the text is written of fewer than %d", n, MaxStacks)
	}
	return Buffered(func(w io.Writer) error { return pprof.Lookup("goroutine").WriteTo(w, 2) })(w)
}

// cgroupFiles are those of the memory controller of either version that tell of memory.
func cgroupFiles() []string {
	return []string{
		"memory.max", "memory.high", "memory.current", "memory.peak", "memory.swap.current", "memory.events", "memory.events.local",
		"memory.stat", "memory.pressure",
		"memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt", "memory.oom_control",
	}
}

// maxCgroupFile bounds what is taken of one.
const maxCgroupFile = 64 << 10

// Cgroup writes the files of a control group's directory that tell of memory, each below its name. It is an error if there
// is none of them.
func Cgroup(dir string) func(io.Writer) error {
	return Buffered(func(w io.Writer) error {
		found := false
		for _, name := range cgroupFiles() {
			file, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				continue // each version has its own
			}
			text, err := io.ReadAll(io.LimitReader(file, maxCgroupFile+1))
			_ = file.Close() // only read
			switch {
			case err != nil:
				text = fmt.Appendf(nil, "cannot be read: %v\n", err)
			case len(text) > maxCgroupFile:
				text = fmt.Appendf(text[:maxCgroupFile], "\nthe rest, beyond %s, is left out\n", bytesize.Format(maxCgroupFile))
			}
			found = true
			if _, err := fmt.Fprintf(w, "== %s\n%s\n", name, text); err != nil {
				return err
			}
		}
		if !found {
			return fmt.Errorf("there are no files of a memory control group in %s", dir)
		}
		return nil
	})
}
