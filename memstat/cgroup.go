package memstat

import (
	"bytes"
	"errors"
	"path/filepath"
)

// group is the memory controller's files of a control group and of its parents.
type group struct {
	version int64
	files   files   // all of them
	levels  []level // the group itself, then its parents that can have limits, nearest first
	whole   Int     // cgroup v1 only: the limit that memory.stat tells
}

// level is one of a group and its parents.
type level struct {
	files files  // part of the group's, by the constants of its version; a parent has fewer
	seen  Parent // as of the last reading; of the group itself its limits alone
}

// maxFile is the file of the limit among a level's, whatever the version.
const maxFile = 0

// newGroup prepares the files of a group. Its own are looked for again and again if they are missing. A parent without
// a limit's file is the root of the hierarchy, which never has limits.
func newGroup(c charged) *group {
	own, above := ownV2, parentV2
	if c.version == 1 {
		own, above = ownV1, parentV1
	}
	g := &group{version: c.version, files: own(c.dirs[0]), levels: make([]level, 1, len(c.dirs))}
	ends := []int{0, len(g.files)}
	name := c.path
	for _, dir := range c.dirs[1:] {
		name = pathAbove(name)
		if set := above(dir); exists(set[maxFile].path) {
			g.files = append(g.files, set...)
			g.levels = append(g.levels, level{seen: Parent{Path: name}})
			ends = append(ends, len(g.files))
		}
	}
	for i := range g.levels {
		g.levels[i].files = g.files[ends[i]:ends[i+1]]
	}
	return g
}

// read fills dst, but for its parents, and returns which files the limits come from.
func (g *group) read(dst *Cgroup, buffer []byte) (maxPath, highPath string) {
	*dst = Cgroup{Version: Known(g.version)}
	if g.version == 1 {
		g.readV1(dst, buffer)
	} else {
		g.readV2(dst, buffer)
	}
	dst.WorkingSetBytes = workingSet(dst.CurrentBytes, dst.InactiveFileBytes)
	var most, high lowest
	for i := range g.levels {
		l := &g.levels[i]
		l.seen.MaxBytes = l.files[maxFile].limit(buffer)
		most.see(l.seen.MaxBytes, &l.files[maxFile])
		if g.version == 2 {
			l.seen.HighBytes = l.files[v2High].limit(buffer)
			high.see(l.seen.HighBytes, &l.files[v2High])
		}
	}
	if most.see(g.whole, &g.levels[0].files[v1Stat]) && len(g.levels) > 1 {
		g.seeOutside(buffer)
	}
	dst.MaxBytes, dst.HighBytes = most.bytes, high.bytes
	return most.path, high.path
}

// readParents reads the use of the parents that had limits when read was last called.
func (g *group) readParents(dst *Parents, buffer []byte) {
	for i := range g.levels[1:] {
		l := &g.levels[1+i]
		if l.seen.zero() {
			continue
		}
		if g.version == 1 {
			l.readV1(buffer)
		} else {
			l.readV2(buffer)
		}
		l.seen.WorkingSetBytes = workingSet(l.seen.CurrentBytes, l.seen.InactiveFileBytes)
		dst.add(&l.seen)
	}
}

func workingSet(current, inactive Int) Int {
	total, known := current.Get()
	cache, split := inactive.Get()
	if !known || !split {
		return Int{}
	}
	return Known(max(0, total-cache))
}

// lowest is the lowest of the limits that it has seen, and the file that it stands in.
type lowest struct {
	bytes Int
	path  string
}

// see reports whether a limit is the lowest so far.
func (l *lowest) see(limit Int, in *file) bool {
	n, ok := limit.Get()
	if !ok || n >= l.bytes.Or(unlimited) {
		return false
	}
	l.bytes, l.path = limit, in.path
	return true
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

// limit reads a file of one limit; absent where there is none.
func (f *file) limit(buffer []byte) Int {
	text := f.read(buffer)
	if text == nil {
		return Int{}
	}
	var n Int
	n, f.problem = parseLimit(text)
	return n
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
		c.group.files.wake()
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
	found, err := h.memory()
	if err != nil {
		c.member.problem = err
	}
	if found.version != 0 {
		c.group = newGroup(found)
		// The memory controller may yet be enabled for a group below the one found: then it is looked for again.
		c.fixed = found.version == 1 || found.dirs[0] == h.dirs("")[0]
	}
	if path, ok := h.pressure(); ok {
		c.pressure = files{{path: path}}
	}
}

// release closes the group's files.
func (c *cgroup) release() error {
	failed := c.pressure.close()
	if c.group != nil {
		failed = errors.Join(failed, c.group.files.close())
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
	c.group.readParents(&dst.Parents, buffer)
	if !c.group.files.lost() {
		return
	}
	*dst = Cgroup{}
	c.resolve(c.member.read(buffer))
	if c.group != nil {
		c.group.read(dst, buffer)
		c.group.readParents(&dst.Parents, buffer)
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
		list = c.group.files.appendProblems(list)
	}
	list = c.pressure.appendProblems(list)
	if c.unclosed != nil {
		list = append(list, Problem{Path: c.member.path, Reason: "leaving the last control group: " + c.unclosed.Error()})
	}
	return list
}

func (c *cgroup) close() error { return errors.Join(c.release(), c.member.close()) }
