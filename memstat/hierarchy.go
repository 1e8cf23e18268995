package memstat

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// maxLevels bounds how many parents of a group are looked at, and with them how many files are kept open.
const maxLevels = 64

// maxMountinfo bounds the list of mounts; a line has some 150 bytes.
const maxMountinfo = 4 << 20

var errUnreachable = errors.New("names a memory control group that no visible mount leads to")

// procDir is a process's directory under root/proc.
func procDir(root string, pid int) string {
	if pid == 0 {
		return filepath.Join(root, "proc", "self")
	}
	return filepath.Join(root, "proc", strconv.Itoa(pid))
}

// hierarchies is what /proc says about a process's control groups and about where they are mounted.
type hierarchies struct {
	groups []byte // the process's cgroup file
	views  []view
}

// view is a list of mounts and the directory that its paths start from.
type view struct {
	prefix string
	mounts []byte
}

// readHierarchies reads the mounts. A process in another mount namespace is first looked for through the reader's own
// mounts, which show more of its parents, then through its own, which the kernel offers below /proc/PID/root.
func readHierarchies(root string, pid int, groups []byte) (hierarchies, error) {
	h := hierarchies{groups: groups}
	own, failed := readWhole(filepath.Join(procDir(root, 0), "mountinfo"), maxMountinfo)
	if failed == nil {
		h.views = append(h.views, view{prefix: root, mounts: own})
	}
	if pid != 0 {
		// Another user's process does not let its mounts be read; those that are the reader's own mostly suffice.
		dir := procDir(root, pid)
		if theirs, err := readWhole(filepath.Join(dir, "mountinfo"), maxMountinfo); err == nil {
			h.views = append(h.views, view{prefix: filepath.Join(dir, "root"), mounts: theirs})
		}
	}
	if len(h.views) > 0 {
		return h, nil
	}
	return h, failed
}

// dirs returns the directories of the process's group in the hierarchy of a cgroup v1 controller, or in cgroup v2's
// for "": the group's own, then its parents' up to the mount point. There are none if it cannot be found.
func (h hierarchies) dirs(controller string) []string {
	group, ok := parseGroup(h.groups, controller)
	if !ok {
		return nil
	}
	for _, v := range h.views {
		for _, p := range parsePlaces(v.mounts, controller, group) {
			top := filepath.Join(v.prefix, p.mount)
			own := filepath.Join(top, p.below)
			if !exists(own) {
				continue
			}
			dirs := []string{own}
			for dir := own; dir != top && len(dirs) < maxLevels; {
				dir = filepath.Dir(dir)
				dirs = append(dirs, dir)
			}
			return dirs
		}
	}
	return nil
}

// charged is the group that a process's memory is charged to.
type charged struct {
	version int64    // of the memory controller; 0: there is none
	path    string   // as /proc/PID/cgroup has it
	dirs    []string // the group's own directory, then its parents'
}

// memory returns the group that the process's memory is charged to: in cgroup v2 the nearest parent for which the
// controller is enabled.
func (h hierarchies) memory() (charged, error) {
	group, v1 := parseGroup(h.groups, "memory")
	if dirs := h.dirs("memory"); len(dirs) > 0 {
		return charged{1, group, dirs}, nil
	}
	group, v2 := parseGroup(h.groups, "")
	dirs := h.dirs("")
	for i, dir := range dirs {
		if exists(filepath.Join(dir, "memory.current")) || exists(filepath.Join(dir, "memory.max")) {
			return charged{2, group, dirs[i:]}, nil
		}
		group = pathAbove(group)
	}
	if v1 || v2 && len(dirs) == 0 {
		return charged{}, errUnreachable
	}
	return charged{}, nil
}

// pathAbove is the path of a group's parent. One outside the reader's cgroup namespace begins with "/..".
func pathAbove(group string) string {
	if i := strings.LastIndexByte(group, '/'); i > 0 {
		return group[:i]
	}
	return "/"
}

// pressure returns the memory pressure file of the process's group in cgroup v2, whichever version its memory
// controller has; none for the root group, whose figures are the machine's. Only the root has no cgroup.events.
func (h hierarchies) pressure() (string, bool) {
	dirs := h.dirs("")
	if len(dirs) == 0 || !exists(filepath.Join(dirs[0], "cgroup.events")) {
		return "", false
	}
	path := filepath.Join(dirs[0], "memory.pressure")
	return path, exists(path)
}

// CgroupLimits is what a process's control groups allow it, and which file says so.
type CgroupLimits struct {
	Version int64  `json:"version,omitzero"` // of the memory controller: 1 or 2; 0 where it has none
	Path    string `json:"path,omitzero"`    // directory of the group that its memory is charged to
	// MaxBytes and HighBytes are the strictest of the group's and its parents'; absent when none is set.
	MaxBytes  Int    `json:"max_bytes,omitzero"`
	MaxPath   string `json:"max_path,omitzero"`
	HighBytes Int    `json:"high_bytes,omitzero"` // cgroup v2 only
	HighPath  string `json:"high_path,omitzero"`
	// CPUCores is the strictest CPU quota divided by its period, in processors; absent when none is set.
	CPUCores Float  `json:"cpu_cores,omitzero"`
	CPUPath  string `json:"cpu_path,omitzero"`
	// OOMKillEvents is how many of the group's processes the kernel has killed for want of memory.
	OOMKillEvents Int       `json:"oom_kill_events_total,omitzero"`
	Problems      []Problem `json:"problems,omitzero"` // what exists but could not be made sense of
}

// ReadCgroupLimits reads the limits that hold for a process, 0 being the calling one, with proc and sys below root
// ("" for "/"). It opens some ten files and three for each parent group, closes them, and keeps nothing. The error is
// for a process of which no control group can be told; it wraps fs.ErrNotExist where there is no such process, or no
// control group at all, as on other platforms than Linux.
func ReadCgroupLimits(root string, pid int) (CgroupLimits, error) {
	if root == "" {
		root = "/"
	}
	groups, err := readWhole(filepath.Join(procDir(root, pid), "cgroup"), bufferSize)
	if err != nil {
		return CgroupLimits{}, fmt.Errorf("memstat: control group: %w", err)
	}
	h, err := readHierarchies(root, pid, groups)
	if err != nil {
		return CgroupLimits{}, fmt.Errorf("memstat: mounts of control groups: %w", err)
	}
	buffer := make([]byte, bufferSize)
	limits := CgroupLimits{}
	limits.readMemory(h, filepath.Join(procDir(root, pid), "cgroup"), buffer)
	limits.readQuota(h, buffer)
	return limits, nil
}

func (l *CgroupLimits) readMemory(h hierarchies, source string, buffer []byte) {
	found, err := h.memory()
	if err != nil {
		l.Problems = append(l.Problems, Problem{Path: source, Reason: err.Error()})
	}
	if found.version == 0 {
		return
	}
	l.Version, l.Path = found.version, found.dirs[0]
	g := newGroup(found)
	var c Cgroup
	l.MaxPath, l.HighPath = g.read(&c, buffer)
	l.MaxBytes, l.HighBytes, l.OOMKillEvents = c.MaxBytes, c.HighBytes, c.OOMKillEvents
	l.Problems = g.files.appendProblems(l.Problems)
	if err := g.files.close(); err != nil {
		l.Problems = append(l.Problems, Problem{Path: l.Path, Reason: err.Error()})
	}
}

// readQuota takes the strictest CPU quota of the group and its parents.
func (l *CgroupLimits) readQuota(h hierarchies, buffer []byte) {
	names, read := []string{"cpu.cfs_quota_us", "cpu.cfs_period_us"}, quotaV1
	dirs := h.dirs("cpu")
	if len(dirs) == 0 {
		names, read = []string{"cpu.max"}, quotaV2
		dirs = h.dirs("")
	}
	for _, dir := range dirs {
		set := newFiles(dir, names...)
		cores, err := read(set, buffer)
		if err != nil {
			set[0].problem = err
		}
		if err := set.close(); err != nil {
			set[0].problem = err
		}
		l.Problems = set.appendProblems(l.Problems)
		if v, ok := cores.Get(); ok && (l.CPUCores.IsZero() || v < l.CPUCores.Or(0)) {
			l.CPUCores, l.CPUPath = cores, set[0].path
		}
	}
}
