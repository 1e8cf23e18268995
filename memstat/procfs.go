package memstat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of procfs.files.
const (
	procStatm = iota
	procStatus
	procRollup
	procLimits
	procMeminfo
	procPressure
)

// procfs reads a process and its machine from /proc and /sys.
type procfs struct {
	dir         string // the process's under /proc
	watched     bool   // from outside
	start       int64  // of the watched process
	ended       bool   // the watched process has; nothing of it is read any more
	pageSize    int64
	files       files
	pause       int64 // slow intervals for which smaps_rollup is left alone
	descriptors descriptors
	cgroup      *cgroup
}

// newProcfs prepares to read a process, 0 being the calling one. It opens nothing for good.
func newProcfs(root string, pid int) (*procfs, error) {
	dir := procDir(root, pid)
	p := &procfs{
		dir:         dir,
		watched:     pid != 0,
		pageSize:    int64(os.Getpagesize()),
		descriptors: newDescriptors(filepath.Join(dir, "fd")),
		cgroup:      newCgroup(root, pid),
	}
	p.files = newFiles(dir, "statm", "status", "smaps_rollup", "limits").require(procStatm, procStatus)
	p.files = append(p.files, newFiles(filepath.Join(root, "proc"), "meminfo", "pressure/memory")...).require(procMeminfo)
	if p.watched {
		id, err := readIdentity(dir)
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", pid, err)
		}
		if id.ended {
			return nil, fmt.Errorf("process %d has ended: %w", pid, fs.ErrNotExist)
		}
		p.start = id.start
	}
	return p, nil
}

// readIdentity reads a process's identity anew.
func readIdentity(dir string) (identity, error) {
	path := filepath.Join(dir, "stat")
	text, err := readWhole(path, bufferSize)
	if err != nil {
		return identity{}, err
	}
	id, err := parseStat(text)
	if err != nil {
		return identity{}, fmt.Errorf("%s %w", path, err)
	}
	return id, nil
}

// gone compares start times: an id can be given to another process as soon as the first was waited for. That the file
// cannot be read for another reason, such as a lack of descriptors, says nothing of the process.
func (p *procfs) gone() bool {
	if !p.watched {
		return false
	}
	id, err := readIdentity(p.dir)
	if err != nil {
		return missing(err)
	}
	return id.ended || id.start != p.start
}

// fast reads the resident size, the cgroup and PSI.
func (p *procfs) fast(sample *Sample, buffer []byte) {
	process := &sample.Process
	process.RSSBytes = Int{}
	if !p.ended {
		process.RSSBytes = p.rss(buffer)
		if p.watched && process.RSSBytes.IsZero() {
			p.settle(sample)
		}
	}
	p.cgroup.read(&sample.Cgroup, buffer)
	sample.PSI = p.psi(buffer)
}

func (p *procfs) rss(buffer []byte) Int {
	f := &p.files[procStatm]
	text := f.read(buffer)
	if text == nil {
		return Int{}
	}
	var rss Int
	rss, f.problem = parseStatm(text, p.pageSize)
	return rss
}

func (p *procfs) psi(buffer []byte) PSI {
	if psi, ok := p.cgroup.readPSI(buffer); ok {
		return psi
	}
	psi, ok := p.files[procPressure].psi(buffer)
	if ok {
		psi.Scope = "system"
	}
	return psi
}

// slow reads the rest, and tries again what could not be read.
func (p *procfs) slow(sample *Sample, buffer []byte) {
	p.files.wake()
	p.settle(sample)
	p.files[procMeminfo].keyed(buffer,
		wanted{key: "MemTotal", into: &sample.System.TotalBytes, must: true},
		wanted{key: "MemAvailable", into: &sample.System.AvailableBytes},
		wanted{key: "SwapTotal", into: &sample.System.SwapTotalBytes},
		wanted{key: "SwapFree", into: &sample.System.SwapFreeBytes})
	if p.ended {
		return
	}
	process := &sample.Process
	p.rollup(process, buffer)
	status := &p.files[procStatus]
	if process.AnonymousBytes.IsZero() { // smaps_rollup is newer, and closed to others where status is not
		status.keyed(buffer,
			wanted{key: "RssAnon", into: &process.AnonymousBytes},
			wanted{key: "VmSwap", into: &process.SwapBytes})
	}
	status.keyed(buffer,
		wanted{key: "VmHWM", into: &process.PeakRSSBytes},
		wanted{key: "Threads", into: &process.Threads, must: true})
	process.MaxFileDescriptors = p.maxDescriptors(buffer)
	process.FileDescriptors = p.descriptors.count(buffer)
	p.cgroup.refresh(buffer)
}

// longestPause is for how many slow intervals at most proportional memory may be left as it was: five minutes of 10 s.
const longestPause = 30

// rollup reads smaps_rollup, for which the kernel walks the page tables: 18 ms were measured for a GiB in pages of
// 4 KiB. To bound the share of time that it takes, it is left out for one slow interval more for each 64 MiB, but for longestPause at most.
func (p *procfs) rollup(process *Process, buffer []byte) {
	if p.pause > 0 {
		p.pause--
		return
	}
	p.files[procRollup].keyed(buffer,
		wanted{key: "Pss", into: &process.PSSBytes, must: true},
		wanted{key: "Anonymous", into: &process.AnonymousBytes},
		wanted{key: "Swap", into: &process.SwapBytes})
	if !process.PSSBytes.IsZero() {
		p.pause = min(process.RSSBytes.Or(0)>>26, longestPause)
	}
}

func (p *procfs) maxDescriptors(buffer []byte) Int {
	f := &p.files[procLimits]
	text := f.read(buffer)
	if text == nil {
		return Int{}
	}
	var n Int
	n, f.problem = parseMaxOpenFiles(text)
	return n
}

// settle takes note of it if the watched process has ended: what was known of it becomes absent and its files are
// closed, before another process that took over its id could be read in its place. The machine's figures remain.
func (p *procfs) settle(sample *Sample) {
	if p.ended || !p.gone() {
		return
	}
	p.ended = true
	sample.Process, sample.Cgroup = Process{}, Cgroup{}
	_ = p.closeProcess() // nothing is left to be read, nor to be written
	for i := range p.files[:procMeminfo] {
		p.files[i] = file{}
	}
	p.descriptors = descriptors{}
	p.cgroup = &cgroup{}
}

func (p *procfs) problems() []Problem {
	list := p.files.appendProblems(nil)
	if p.descriptors.problem != nil {
		list = append(list, Problem{Path: p.descriptors.path, Reason: p.descriptors.problem.Error()})
	}
	return p.cgroup.problems(list)
}

func (p *procfs) closeProcess() error {
	return errors.Join(p.files[:procMeminfo].close(), p.descriptors.close(), p.cgroup.close())
}

func (p *procfs) close() error { return errors.Join(p.closeProcess(), p.files[procMeminfo:].close()) }
