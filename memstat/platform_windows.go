package memstat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

// memoryCounters is PROCESS_MEMORY_COUNTERS.
type memoryCounters struct {
	size                       uint32
	pageFaultCount             uint32
	peakWorkingSetSize         uintptr
	workingSetSize             uintptr
	quotaPeakPagedPoolUsage    uintptr
	quotaPagedPoolUsage        uintptr
	quotaPeakNonPagedPoolUsage uintptr
	quotaNonPagedPoolUsage     uintptr
	pagefileUsage              uintptr
	peakPagefileUsage          uintptr
}

// memoryStatus is MEMORYSTATUSEX.
type memoryStatus struct {
	length               uint32
	memoryLoad           uint32
	totalPhys            uint64
	availPhys            uint64
	totalPageFile        uint64
	availPageFile        uint64
	totalVirtual         uint64
	availVirtual         uint64
	availExtendedVirtual uint64
}

// platform is what Windows tells of a process and the machine. While its handle is open, the process's id is given to
// no other.
type platform struct {
	process  syscall.Handle
	watched  bool
	counters *syscall.LazyProc
	status   *syscall.LazyProc
	handles  *syscall.LazyProc
	failed   map[string]error // by call; a key for each of the three at most
}

func newPlatform(pid int) (kernel, error) {
	dll := syscall.NewLazyDLL("kernel32.dll") // one of the known DLLs: not looked for in other directories
	p := &platform{
		watched:  pid != 0,
		counters: dll.NewProc("K32GetProcessMemoryInfo"),
		status:   dll.NewProc("GlobalMemoryStatusEx"),
		handles:  dll.NewProc("GetProcessHandleCount"),
		failed:   make(map[string]error),
	}
	if err := p.open(pid); err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	return p, nil
}

func (p *platform) open(pid int) (err error) {
	if !p.watched {
		p.process, err = syscall.GetCurrentProcess() // not a real handle: nothing to close
		return err
	}
	const queryLimitedInformation, synchronize = 0x1000, 0x100000
	const invalidParameter = syscall.Errno(87)
	p.process, err = syscall.OpenProcess(queryLimitedInformation|synchronize, false, uint32(pid))
	if err == invalidParameter {
		return fs.ErrNotExist
	}
	if err == nil && p.gone() {
		return errors.Join(fmt.Errorf("has ended: %w", fs.ErrNotExist), p.close())
	}
	return err
}

// ok notes whether a call succeeded: those that are made here return 0 if not.
func (p *platform) ok(proc *syscall.LazyProc, result uintptr, err error) bool {
	if result == 0 {
		p.failed[proc.Name] = err
		return false
	}
	delete(p.failed, proc.Name)
	return true
}

// found reports whether the call exists; calling one that does not would panic.
func (p *platform) found(proc *syscall.LazyProc) bool {
	err := proc.Find()
	if err != nil {
		p.failed[proc.Name] = err
	}
	return err == nil
}

func (p *platform) fast(sample *Sample, _ []byte) {
	process := &sample.Process
	process.RSSBytes, process.PeakRSSBytes = Int{}, Int{}
	if !p.found(p.counters) || p.gone() {
		return
	}
	var c memoryCounters
	c.size = uint32(unsafe.Sizeof(c))
	// The call writes at most size bytes, which is all of c; c stays in place during it because the conversion stands
	// in the argument list (unsafe.Pointer, pattern 4).
	result, _, err := p.counters.Call(uintptr(p.process), uintptr(unsafe.Pointer(&c)), uintptr(c.size))
	if p.ok(p.counters, result, err) {
		process.RSSBytes = Known(int64(c.workingSetSize))
		process.PeakRSSBytes = Known(int64(c.peakWorkingSetSize))
	}
}

func (p *platform) slow(sample *Sample, _ []byte) {
	process, system := &sample.Process, &sample.System
	process.FileDescriptors, *system = Int{}, System{}
	if p.found(p.handles) && !p.gone() {
		var count uint32
		// The call writes the 4 bytes of count, which stays in place as c does above.
		result, _, err := p.handles.Call(uintptr(p.process), uintptr(unsafe.Pointer(&count)))
		if p.ok(p.handles, result, err) {
			process.FileDescriptors = Known(int64(count))
		}
	}
	if !p.found(p.status) {
		return
	}
	var m memoryStatus
	m.length = uint32(unsafe.Sizeof(m))
	// The call writes length bytes, which is all of m, which stays in place as c does above.
	result, _, err := p.status.Call(uintptr(unsafe.Pointer(&m)))
	if p.ok(p.status, result, err) {
		system.TotalBytes = Known(int64(m.totalPhys))
		system.AvailableBytes = Known(int64(m.availPhys))
	}
}

// gone asks whether the watched process's handle is signalled, which it is from the process's end on.
func (p *platform) gone() bool {
	if !p.watched {
		return false
	}
	event, err := syscall.WaitForSingleObject(p.process, 0)
	return err == nil && event == syscall.WAIT_OBJECT_0
}

func (p *platform) problems() []Problem {
	var list []Problem
	for _, call := range []string{p.counters.Name, p.status.Name, p.handles.Name} {
		if err := p.failed[call]; err != nil {
			list = append(list, Problem{Path: call, Reason: err.Error()})
		}
	}
	return list
}

func (p *platform) close() error {
	if !p.watched {
		return nil
	}
	return os.NewSyscallError("CloseHandle", syscall.CloseHandle(p.process))
}
