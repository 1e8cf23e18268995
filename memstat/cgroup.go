package memstat

import (
	"bytes"
	"errors"
	"path/filepath"
)

// group is the memory controller's files of a control group and its parents.
type group struct {
	version int64
	own     files // the group's own, by the constants of its version
	max     files // limits: the group's own, then its parents'
	high    files // cgroup v2 only
	whole   Int   // cgroup v1 only: the limit that memory.stat tells
}

// newGroup prepares the files in dirs, the group's own directory first.
func newGroup(version int64, dirs []string) *group {
	if version == 1 {
		return newGroupV1(dirs)
	}
	return newGroupV2(dirs)
}

// oneOfEach is the file of that name in each directory. Only the group's own is looked for again if it is missing: a
// parent that lacks it is the root of the hierarchy, which never has limits.
func oneOfEach(dirs []string, name string) files {
	set := newFiles(dirs[0], name)
	for _, dir := range dirs[1:] {
		if path := filepath.Join(dir, name); exists(path) {
			set = append(set, file{path: path})
		}
	}
	return set
}

// read fills dst and returns which files the limits come from.
func (g *group) read(dst *Cgroup, buffer []byte) (maxPath, highPath string) {
	*dst = Cgroup{Version: Known(g.version)}
	if g.version == 1 {
		maxPath = g.readV1(dst, buffer)
	} else {
		maxPath, highPath = g.readV2(dst, buffer)
	}
	if current, ok := dst.CurrentBytes.Get(); ok {
		if inactive, ok := dst.InactiveFileBytes.Get(); ok {
			dst.WorkingSetBytes = Known(max(0, current-inactive))
		}
	}
	return maxPath, highPath
}

// total reads a file of one number.
func (f *file) total(buffer []byte) Int {
	text := f.read(buffer)
	if text == nil {
		return Int{}
	}
	var n Int
	n, f.problem = parseTotal(text)
	return n
}

// keyed reads a file of keys and numbers.
func (f *file) keyed(buffer []byte, fields ...wanted) {
	text := f.read(buffer)
	if text == nil {
		for _, field := range fields {
			*field.into = Int{}
		}
		return
	}
	f.problem = parseKeyed(text, fields...)
}

// strictest is the lowest of the limits in a set of files, and the file that it stands in.
func (set files) strictest(buffer []byte) (lowest Int, path string) {
	for i := range set {
		text := set[i].read(buffer)
		if text == nil {
			continue
		}
		var limit Int
		limit, set[i].problem = parseLimit(text)
		if n, ok := limit.Get(); ok && (lowest.IsZero() || n < lowest.Or(0)) {
			lowest, path = limit, set[i].path
		}
	}
	return lowest, path
}

// sets lists the group's sets of files.
func (g *group) sets() [3]files { return [...]files{g.own, g.max, g.high} }

func (g *group) wake() {
	for _, set := range g.sets() {
		set.wake()
	}
}

func (g *group) lost() bool {
	for _, set := range g.sets() {
		if set.lost() {
			return true
		}
	}
	return false
}

func (g *group) appendProblems(list []Problem) []Problem {
	for _, set := range g.sets() {
		list = set.appendProblems(list)
	}
	return list
}

func (g *group) close() error {
	var failed []error
	for _, set := range g.sets() {
		failed = append(failed, set.close())
	}
	return errors.Join(failed...)
}

// cgroup follows the control group of a process: from one to another, and to nothing if its group is removed.
type cgroup struct {
	root     string
	pid      int
	member   file   // /proc/PID/cgroup
	resolved []byte // what member held when group was found
	fixed    bool   // group need not be looked for again while member holds the same
	group    *group // nil: none
	pressure files  // at most one: the group's own
	unclosed error  // from closing the files of a group that was left
}

func newCgroup(root string, pid int) *cgroup {
	return &cgroup{root: root, pid: pid, member: file{path: filepath.Join(procDir(root, pid), "cgroup")}}
}

// refresh looks whether the process is still in the same group, and tries again what could not be read.
func (c *cgroup) refresh(buffer []byte) {
	c.member.resting = false
	text := c.member.read(buffer)
	if c.fixed && bytes.Equal(text, c.resolved) {
		c.group.wake()
		c.pressure.wake()
		return
	}
	c.resolve(text)
}

// resolve finds the group that text, the content of /proc/PID/cgroup, names.
func (c *cgroup) resolve(text []byte) {
	c.unclosed = c.release()
	c.resolved = append(c.resolved[:0], text...)
	if len(text) == 0 {
		return
	}
	h, err := readHierarchies(c.root, c.pid, text)
	if err != nil {
		c.member.problem = err
		return
	}
	version, dirs, err := h.memory()
	if err != nil {
		c.member.problem = err
	}
	if version != 0 {
		c.group = newGroup(version, dirs)
		// The memory controller may yet be enabled for a group below the one found: then it is looked for again.
		c.fixed = version == 1 || dirs[0] == h.dirs("")[0]
	}
	if path, ok := h.pressure(); ok {
		c.pressure = files{{path: path}}
	}
}

// release closes the group's files.
func (c *cgroup) release() error {
	failed := c.pressure.close()
	if c.group != nil {
		failed = errors.Join(failed, c.group.close())
	}
	c.group, c.pressure, c.fixed = nil, nil, false
	return failed
}

// read fills dst. A file that was open and has gone means that the group was removed: the process is in another one.
func (c *cgroup) read(dst *Cgroup, buffer []byte) {
	*dst = Cgroup{}
	if c.group == nil {
		return
	}
	c.group.read(dst, buffer)
	if !c.group.lost() {
		return
	}
	*dst = Cgroup{}
	c.resolve(c.member.read(buffer))
	if c.group != nil {
		c.group.read(dst, buffer)
	}
}

// readPSI returns the group's memory pressure, if it has one.
func (c *cgroup) readPSI(buffer []byte) (PSI, bool) {
	if len(c.pressure) == 0 {
		return PSI{}, false
	}
	psi, ok := c.pressure[0].psi(buffer)
	psi.Scope = "cgroup"
	return psi, ok
}

// psi reads a pressure file; not ok if there is nothing to read.
func (f *file) psi(buffer []byte) (PSI, bool) {
	text := f.read(buffer)
	if text == nil {
		return PSI{}, false
	}
	var psi PSI
	psi, f.problem = parsePSI(text)
	return psi, psi != PSI{}
}

func (c *cgroup) problems(list []Problem) []Problem {
	list = files{c.member}.appendProblems(list)
	if c.group != nil {
		list = c.group.appendProblems(list)
	}
	list = c.pressure.appendProblems(list)
	if c.unclosed != nil {
		list = append(list, Problem{Path: c.member.path, Reason: "leaving the last control group: " + c.unclosed.Error()})
	}
	return list
}

func (c *cgroup) close() error { return errors.Join(c.release(), c.member.close()) }
