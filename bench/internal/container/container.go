// Package container makes a control group with a memory limit for a program, as a container has one.
//
// It knows the files of both versions of control groups, not what runs in the group. The load command stands above it.
package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/memwarden/memwarden/memstat"
)

// Group is a control group.
type Group struct {
	Dir     string
	Version int64
}

// files of a version: the limit, and those that tell of the peak and of kills.
type files struct{ limit, swap, peak, events string }

var versions = map[int64]files{
	1: {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"},
	2: {"memory.max", "memory.swap.max", "memory.peak", "memory.events"},
}

// New makes a group of that name with a limit in bytes, which swap does not widen. It is an error where this process may
// not.
func New(name string, limit int64) (*Group, error) {
	own, err := memstat.ReadCgroupLimits("", 0)
	if err != nil {
		return nil, err
	}
	return below(own.Path, own.Version, name, limit)
}

func below(parent string, version int64, name string, limit int64) (*Group, error) {
	known, ok := versions[version]
	if !ok {
		return nil, errors.New("there is no memory controller")
	}
	if version == 2 {
		var err error
		if parent, err = delegating(parent); err != nil {
			return nil, err
		}
	}
	g := &Group{filepath.Join(parent, name), version}
	if err := os.Mkdir(g.Dir, 0o755); err != nil {
		return nil, err
	}
	if err := g.write(known.limit, limit); err != nil {
		return nil, errors.Join(err, os.Remove(g.Dir))
	}
	swap := limit // of memory and swap together
	if version == 2 {
		swap = 0
	}
	if err := g.write(known.swap, swap); err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without swap has no such file
		return nil, errors.Join(err, os.Remove(g.Dir))
	}
	return g, nil
}

// delegating is the nearest group, from one upward, that gives the memory controller to its children: a group of version
// 2 that has processes cannot.
func delegating(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(at, "cgroup.subtree_control"))
		if err != nil {
			return "", fmt.Errorf("no group from %s upward gives the memory controller to its children: %w", dir, err)
		}
		for _, controller := range strings.Fields(string(text)) {
			if controller == "memory" {
				return at, nil
			}
		}
	}
}

func (g *Group) write(name string, value int64) error {
	file, err := os.OpenFile(filepath.Join(g.Dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(strconv.FormatInt(value, 10))
	return errors.Join(err, file.Close())
}

// Enter is a command that joins the group and executes the rest of its command line in its own place.
func (g *Group) Enter() []string {
	return []string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.Dir, "cgroup.procs")}
}

// Kills is how many processes of the group the kernel has killed for its memory.
func (g *Group) Kills() (int64, error) {
	file := filepath.Join(g.Dir, versions[g.Version].events)
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "oom_kill "); found {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no oom_kill", file)
}

// Peak is the most memory that was charged to the group, pages of files that the kernel may drop included.
func (g *Group) Peak() (int64, error) {
	text, err := os.ReadFile(filepath.Join(g.Dir, versions[g.Version].peak))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// Remove removes the group once its processes have ended, for which the kernel takes a moment.
func (g *Group) Remove(ctx context.Context) error {
	for {
		err := os.Remove(g.Dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
