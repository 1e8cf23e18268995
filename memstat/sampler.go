package memstat

import (
	"fmt"
	"runtime"
	"time"
)

// bufferSize bounds the files that are read again and again; the largest of them, memory.stat, has some 4 KiB. A
// longer file is a Problem and its figures are absent.
const bufferSize = 16 << 10

// maxProblems bounds what Problems returns.
const maxProblems = 64

// kernel is where the figures that are not the Go runtime's come from: /proc and /sys, or the calls of an operating
// system that has neither. Its methods leave absent what they cannot read. buffer is scratch space.
type kernel interface {
	fast(sample *Sample, buffer []byte)
	slow(sample *Sample, buffer []byte)
	gone() bool
	problems() []Problem
	close() error
}

// Sampler takes samples of one process. It is not safe for concurrent use, Gone excepted.
//
// It keeps some sixteen small files open, and for each parent of the process's cgroup up to two more, or five where the
// parent has a limit.
//
// Nothing it calls stops the world. Of the Go runtime it calls runtime/metrics.Read, whose scalar metrics are summed
// up from per-processor counters while the program runs, and runtime.NumGoroutine; never runtime.ReadMemStats nor
// debug.ReadGCStats. Of the kernel's files, smaps_rollup alone costs time in proportion to memory, some 18 ms for each
// GiB of small pages, during which a thread that maps memory may wait; the more memory, the more seldom it is read.
type Sampler struct {
	kernel  kernel
	runtime *goRuntime // nil: watched from outside
	fast    tier
	slow    tier
	last    Sample
	buffer  []byte
	closed  bool
}

// New returns a Sampler that has read nothing yet. It fails if an option is wrong, with every mistake named; if there
// is no such process, with an error that wraps fs.ErrNotExist; and for any PID where the platform has no means to
// watch another process, with one that wraps errors.ErrUnsupported.
func New(o Options) (*Sampler, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	kernel, err := newKernel(o)
	if err != nil {
		return nil, fmt.Errorf("memstat: %w", err)
	}
	s := &Sampler{
		kernel: kernel,
		fast:   tier{interval: o.FastInterval},
		slow:   tier{interval: o.SlowInterval},
		buffer: make([]byte, bufferSize),
	}
	if o.PID == 0 {
		s.runtime = newGoRuntime()
	}
	return s, nil
}

// newKernel picks /proc where there is one: on Linux, and everywhere below a Root that stands in for a Linux one.
func newKernel(o Options) (kernel, error) {
	if runtime.GOOS == "linux" || o.Root != "/" {
		return newProcfs(o.Root, o.PID)
	}
	return newPlatform(o.PID)
}

// Read fills dst with what is known at now, which should not run backwards. It never fails: what cannot be read is
// absent. It costs under a microsecond and allocates nothing; when the fast interval has passed it reads about ten
// small files in some 30 µs and those of the cgroup's parents, 10 to 15 µs for each that has a limit; when the slow one
// has, about eight more. After Close everything is absent.
func (s *Sampler) Read(dst *Sample, now time.Time) {
	if s.closed {
		*dst = Sample{At: now}
		return
	}
	s.last.At = now
	if s.runtime != nil {
		s.runtime.read(&s.last.Go)
	}
	if s.slow.due(now) {
		s.kernel.slow(&s.last, s.buffer)
		if s.runtime != nil {
			s.runtime.readPauses(&s.last.Go)
		}
	}
	if s.fast.due(now) {
		s.kernel.fast(&s.last, s.buffer)
		s.last.Process.derive(s.last.Go.UsedBytes)
	}
	*dst = s.last
}

// derive computes what follows from the resident size, with the Go runtime's share of the same moment.
func (p *Process) derive(used Int) {
	p.OffHeapBytes = Int{}
	rss, ok := p.RSSBytes.Get()
	if !ok {
		return
	}
	if used, ok := used.Get(); ok {
		p.OffHeapBytes = Known(max(0, rss-used))
	}
	if peak, ok := p.PeakRSSBytes.Get(); ok {
		p.PeakRSSBytes = Known(max(peak, rss)) // it is read less often, and must not fall behind
	}
}

// SetIntervals changes how old the two tiers may be, from the next Read on; 0 and what is refused are as in Options.
func (s *Sampler) SetIntervals(fast, slow time.Duration) error {
	fast, slow, err := intervals(fast, slow)
	if err != nil {
		return err
	}
	s.fast.interval, s.slow.interval = fast, slow
	return nil
}

// Problem is a file or a source that exists but could not be read or made sense of; its figures are absent.
type Problem struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Problems returns what is wrong as of the last Read, each file once, 64 at most. The slice is the caller's.
func (s *Sampler) Problems() []Problem {
	if s.closed {
		return nil
	}
	problems := s.kernel.problems()
	return problems[:min(len(problems), maxProblems)]
}

// Gone reports whether the process that is watched from outside has ended, which no process is mistaken for that took
// over its id; it is never so of the calling process. It reads one small file and is safe for concurrent use with
// itself and Read, but not with Close.
func (s *Sampler) Gone() bool { return s.kernel.gone() }

// Close closes what is kept open. Further calls do nothing.
func (s *Sampler) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	return s.kernel.close()
}
