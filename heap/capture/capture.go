// Package capture freezes a Go process for the milliseconds that a fork takes, and hands out what froze.
//
// Self forks the process it runs in; Attach makes another process fork, by ptrace, without its knowledge. Either way the
// process runs on while its frozen child, a copy-on-write image of one moment, is read and then killed. Where a fork is
// refused, Attach can read the process itself while all its threads stand still.
//
// It knows processes: system calls, signals, threads, registers, mappings. It knows nothing of Go's heap and types:
// package layout defines what it delivers (a layout.Process) and finds the runtime's structures in it, and packages scan
// and the facade stand above. Linux on amd64 and arm64; elsewhere everything here fails with errors.ErrUnsupported.
package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/memwarden/memwarden/heap/layout"
)

// Reasons for which a capture is refused or ends early; errors of this package wrap them.
var (
	// ErrBusy: the process has a frozen child already. One capture at a time, for each costs copied pages.
	ErrBusy = errors.New("a capture of this process is already running")
	// ErrHeadroom: too little memory is left below the limit to have a frozen child, or to keep it.
	ErrHeadroom = errors.New("too little memory left")
	// ErrDeadline: the frozen child lived for as long as it may.
	ErrDeadline = errors.New("the frozen image was kept for longer than its deadline")
	// ErrGone: the process whose memory is read is no longer there.
	ErrGone = errors.New("the process is gone")
	// ErrClosed: the image was closed by its user.
	ErrClosed = errors.New("the frozen image is closed")
	// ErrPermission: the kernel does not let this process look into the other.
	ErrPermission = errors.New("not permitted")
	// ErrRefused: the fork was refused, by a limit, a filter or for want of memory.
	ErrRefused = errors.New("fork refused")
	// ErrTraced: a debugger or another capture has the process in its hands.
	ErrTraced = errors.New("already traced")
)

// Defaults of Options and AttachOptions.
const (
	DefaultDeadline = time.Minute
	DefaultReserve  = 64 << 20 // bytes
)

// Options of Self. The zero value checks no limit and keeps the child for a minute at most.
type Options struct {
	// FixedProcs says that the environment has GOMAXPROCS: then the number of processors is put back as it was.
	// Otherwise the runtime's automatic updates, which quiescing turns off, are turned on again.
	FixedProcs bool
	// Headroom returns how many bytes may still be used before the limit that would end the process. It is asked before
	// the fork and every 20 ms while the child lives, from another goroutine than Self's caller. An error of it ends the
	// capture. Nil: there is no limit.
	Headroom func() (bytes int64, err error)
	// Reserve is what must stay available, in bytes: less of it, and the child is killed at once. 0: DefaultReserve.
	Reserve int64
	// Written is how many bytes the process is expected to write to while the child lives: each page of them is copied.
	// 0: a sixteenth of its anonymous memory.
	Written int64
	// Deadline is how long the child may live. 0: DefaultDeadline.
	Deadline time.Duration

	// closeBelow makes the child close the descriptors below it one by one, as on kernels without close_range.
	closeBelow int
}

// Child is a frozen copy of this process, made by Self. Its methods are safe for concurrent use; the files belong to it
// and are closed by Close. They are opened close-on-exec: pass them to a helper with exec.Cmd.ExtraFiles, and let the
// helper call FromFiles.
type Child struct {
	PID int
	// Memory is /proc/PID/mem, Maps /proc/PID/maps (unread), Binary /proc/PID/exe.
	Memory, Maps, Binary *os.File
	// Wait is how long stopping the other goroutines took: mostly waiting for a running collection to end, while they ran.
	Wait time.Duration
	// Pause is from when the other goroutines had stopped to when they could run again; Fork is the part of it that the
	// kernel took to copy the page tables.
	Pause, Fork time.Duration
	// Thread is the one that forked. PC, SP and FP are those of the function that called the assembly: the return
	// address into it, its stack pointer after that return, its frame pointer. The goroutine's saved registers (g.sched)
	// are out of date: it was running.
	Thread layout.Thread

	life
}

// Self freezes a copy of the calling process: it stops all other goroutines, forks, and lets them run again. The child is
// a copy-on-write image: it costs page tables and the pages that either side writes to. It holds no descriptor, handles
// no signal, and dies with this process. It is killed when ctx is done, when Options.Deadline is over, when the headroom
// falls below the reserve, and by Close, which must be called.
//
// No Go code runs at the moment of the fork but the fork itself. Threads in C code or in system calls go on: memory that
// these write to, such as the buffer of a read, may be caught half-written, never the structure of Go's heap.
//
// One capture at a time, another process's Attach included: ErrBusy. Self waits for a running garbage collection to end; the
// service runs on meanwhile.
func Self(ctx context.Context, o Options) (*Child, error) { return self(ctx, o) }

// ReadAt reads the frozen memory: offset 0x1000 is address 0x1000. What is not mapped fails; once the child is gone every
// read fails with the reason, such as ErrHeadroom.
func (c *Child) ReadAt(p []byte, off int64) (int, error) { return c.read(c.Memory, p, off) }

// Process describes the frozen child to package layout. It reads Maps, once; the result is good until Close.
func (c *Child) Process() (layout.Process, error) {
	p, err := FromFiles(c.Memory, c.Binary, c.Maps, []layout.Thread{c.Thread})
	if err != nil {
		return layout.Process{}, err
	}
	p.Memory = c
	return p, nil
}

// Close kills the child, waits until it is reaped, and closes the files. It may be called again, and at any time.
func (c *Child) Close() error { return c.close(c.Memory, c.Maps, c.Binary) }

// Method is how an image came to be.
type Method string

// Methods of Attach.
const (
	// MethodFork: the process was made to fork, and runs on.
	MethodFork Method = "fork"
	// MethodStop: all threads of the process stand still until the image is closed.
	MethodStop Method = "stop"
)

// AttachOptions of Attach.
type AttachOptions struct {
	// NoStop forbids to read the process itself while it stands still, where it cannot be made to fork.
	NoStop bool
	// NoFork reads the process while it stands still, without trying to make it fork.
	NoFork bool
	// Headroom returns how many bytes the process may still use before the limit that would end it. It is asked before the
	// fork, before the process is stopped, and every 20 ms while the frozen child lives, from another goroutine than Attach's
	// caller. Too little, or an error of it, is ErrHeadroom: before the fork it refuses that, and the process is read while it
	// stands still, for which nothing is copied, unless NoStop; later it ends the image. It is not asked of a process that
	// stands still. Nil: there is no limit.
	Headroom func() (bytes int64, err error)
	// Reserve is what must stay available to the process, in bytes: less of it, and the child is killed at once. 0:
	// DefaultReserve.
	Reserve int64
	// Written is how many bytes the process is expected to write to while the child lives: each page of them is copied.
	// 0: a sixteenth of its anonymous memory.
	Written int64
	// Deadline is how long the image may be kept; past it the process, or its frozen child, is let go. 0:
	// DefaultDeadline.
	Deadline time.Duration
}

// Image is a frozen process, made by Attach. Its methods are safe for concurrent use.
type Image struct {
	// PID is the process, ChildPID its frozen copy: 0 for MethodStop.
	PID, ChildPID int
	// Process is good until Close. Its Threads are the registers of all threads.
	Process layout.Process
	Method  Method
	// Pause is from the first thread stopped to the last one let go: for MethodStop it is known after Close only.
	Pause time.Duration
	// Refused says why the process was not made to fork: it wraps ErrRefused or ErrHeadroom; nil for MethodFork and with
	// AttachOptions.NoFork.
	Refused error

	life
	memory, binary *os.File
}

// Attach freezes another process, which needs no library and no preparation: it stops all threads, makes one of them
// fork, and lets them run on, for which a process of 1 GB stands still for some 20 milliseconds. The child is kept stopped,
// has no descriptor, and is invisible to the process but as a child in /proc, until Close kills it and makes its parent
// reap it. It dies with the calling process too; only then it remains a zombie until its parent ends.
//
// Where the fork is refused, or no room for it is left, the process itself stands still until Close, unless
// AttachOptions.NoStop: the image's Method tells. System calls that were interrupted go on; those that never do (epoll_wait,
// reads with a timeout) return EINTR, as they do for any debugger.
//
// One capture of a process at a time, its own by Self included: ErrBusy. Of two at once the later gives up.
//
// The image is given up when ctx is done, when AttachOptions.Deadline is over, and when the headroom falls below the
// reserve. Attach needs the permission to ptrace the process: errors wrap ErrPermission, ErrTraced, ErrGone, ErrRefused,
// ErrHeadroom, ErrBusy, and say what to do.
func Attach(ctx context.Context, pid int, o AttachOptions) (*Image, error) {
	return attach(ctx, pid, o)
}

// Close lets go of the process, kills and reaps the frozen child, and closes the files. It may be called again, and at
// any time. Its error says what could not be tidied up in the process.
func (i *Image) Close() error { return i.close(i.memory, i.binary) }

// life is the common part of what was frozen: a goroutine, on a thread of its own, keeps it until it is told to end it,
// or until its time is over.
type life struct {
	once    *sync.Once
	closing chan struct{} // closed by close
	// over is closed by the keeper, after it has written reason, before it lets go: from then on memory may change.
	over   chan struct{}
	reason error
	// gone is closed by the keeper, after it has written left, when nothing is left but what left tells.
	gone chan struct{}
	left error
}

func newLife() life {
	return life{
		once:    new(sync.Once),
		closing: make(chan struct{}),
		over:    make(chan struct{}),
		gone:    make(chan struct{}),
	}
}

// Gone is closed once what was frozen is no longer there, whatever the reason.
func (l *life) Gone() <-chan struct{} { return l.gone }

// Err returns nil while the frozen memory can be read, and then why it no longer can.
func (l *life) Err() error {
	select {
	case <-l.over:
		return l.reason
	default:
		return nil
	}
}

// keepUntil waits until the life is to end, and ends it. check is called every interval; its error is a reason.
func (l *life) keepUntil(ctx context.Context, deadline, interval time.Duration, check func() error) {
	l.reason = l.await(ctx, deadline, interval, check)
	close(l.over)
}

// await returns why the life is to end, when it is.
func (l *life) await(ctx context.Context, deadline, interval time.Duration, check func() error) error {
	end := time.NewTimer(deadline)
	defer end.Stop()
	var tick <-chan time.Time
	if check != nil {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-l.closing:
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-end.C:
			return fmt.Errorf("%w of %v", ErrDeadline, deadline)
		case <-tick:
			if err := check(); err != nil {
				return err
			}
		}
	}
}

func (l *life) close(files ...*os.File) error {
	l.once.Do(func() {
		close(l.closing)
		<-l.gone
		for _, f := range files {
			if f != nil {
				_ = f.Close() // opened for reading
			}
		}
	})
	<-l.gone
	return l.left
}

// read reads memory. What was read while the life ended may not be of the frozen moment, so it is not returned.
func (l *life) read(memory io.ReaderAt, p []byte, off int64) (int, error) {
	n, err := readMemory(memory, p, off)
	if reason := l.Err(); reason != nil {
		return 0, fmt.Errorf("read frozen memory at %#x: %w", off, reason)
	}
	return n, err
}

// lifeReader reads a file for as long as the life lasts.
type lifeReader struct {
	*life
	memory io.ReaderAt
}

func (r lifeReader) ReadAt(p []byte, off int64) (int, error) { return r.read(r.memory, p, off) }

// positive returns value, or fallback where it was left at 0.
func positive[T int | int64 | time.Duration](value, fallback T) T {
	if value <= 0 {
		return fallback
	}
	return value
}
