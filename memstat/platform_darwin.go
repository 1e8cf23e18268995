package memstat

import (
	"errors"
	"fmt"
	"syscall"
)

// platform is what macOS tells of the calling process by calls that the standard library has: its peak, its
// descriptors and the machine's memory. What it says of the resident size needs its own C library.
type platform struct {
	descriptors descriptors
	failed      []Problem
}

func newPlatform(pid int) (kernel, error) {
	if pid != 0 {
		return nil, fmt.Errorf("watching process %d: %w on macOS", pid, errors.ErrUnsupported)
	}
	return &platform{descriptors: newDescriptors("/dev/fd")}, nil
}

func (p *platform) fast(*Sample, []byte) {}

func (p *platform) slow(sample *Sample, buffer []byte) {
	p.failed = p.failed[:0]
	process, system := &sample.Process, &sample.System
	process.FileDescriptors = p.descriptors.count(buffer)
	process.PeakRSSBytes, process.MaxFileDescriptors = Int{}, Int{}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		p.fail("getrusage", err)
	} else {
		process.PeakRSSBytes = Known(usage.Maxrss) // in bytes here, in KiB elsewhere
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		p.fail("getrlimit", err)
	} else if limit.Cur < unlimited {
		process.MaxFileDescriptors = Known(int64(limit.Cur))
	}
	system.TotalBytes = p.word("hw.memsize", 0)
	system.SwapTotalBytes = p.word("vm.swapusage", 0) // struct xsw_usage: total, free, used
	system.SwapFreeBytes = p.word("vm.swapusage", 1)
}

// word reads the i-th 64-bit word of a kernel value.
func (p *platform) word(name string, i int) Int {
	value, err := syscall.Sysctl(name)
	if err != nil {
		p.fail(name, err)
		return Int{}
	}
	n, err := parseWord(value, i)
	if err != nil {
		p.fail(name, err)
	}
	return n
}

func (p *platform) fail(source string, err error) {
	p.failed = append(p.failed, Problem{Path: source, Reason: err.Error()})
}

func (p *platform) gone() bool { return false }

func (p *platform) problems() []Problem {
	list := append([]Problem(nil), p.failed...)
	if p.descriptors.problem != nil {
		list = append(list, Problem{Path: p.descriptors.path, Reason: p.descriptors.problem.Error()})
	}
	return list
}

func (p *platform) close() error { return p.descriptors.close() }
