package memwarden

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/hugepage"
	"github.com/memwarden/memwarden/internal/snaphelper"
	"github.com/memwarden/memwarden/memstat"
)

// Errors of snapshots, besides ErrRemote, ErrSnapshotRoom and those that wrap errors.ErrUnsupported where the operating
// system, the processor or the version of Go is not known.
var (
	// ErrSnapshotBusy means that a snapshot is being taken, or one analysed: one at a time.
	ErrSnapshotBusy = errors.New("a heap snapshot is being taken or analysed")
	// ErrSnapshotDisabled means that SnapshotOptions.Disabled is set.
	ErrSnapshotDisabled = errors.New("heap snapshots are disabled (MEMWARDEN_SNAPSHOT_ENABLED)")
	// ErrSnapshotDeadline means that the frozen copy of the process had to live longer than it may.
	ErrSnapshotDeadline = errors.New("the heap snapshot took too long (MEMWARDEN_SNAPSHOT_DEADLINE)")
)

// SnapshotInfo is what a snapshot says of itself.
type SnapshotInfo struct {
	Header  snapshot.Header // when and how it was taken; GoVersion and what follows from the executable are the file's
	Summary snapshot.Summary
	Bytes   int64 // of the file
}

// Snapshot writes a snapshot of the calling process's heap to out, in the format of package snapshot: objects, pointers,
// types, roots, goroutines, and where sampled objects were allocated, but nothing of the contents of strings or byte
// slices. Command memwarden analyze, or packages graph and retain, say what holds the memory.
//
// The process stands still for milliseconds, while it makes a frozen copy of itself (package capture); a large one has
// seconds of preparation before that, while it runs (SnapshotOptions.Collapse). A helper process
// (SnapshotOptions.Helper) reads the copy, which costs the memory of the pages that the process writes meanwhile. All of
// it is in bounds: there must be room for it before, else ErrSnapshotRoom; while it lasts the room is watched and the
// copy killed before the reserve is touched; the copy lives for SnapshotOptions.Deadline at most. When ctx or the warden
// ends it is broken off. Nothing of it is left behind in any case, but for what was written to out.
//
// One snapshot is taken at a time, else ErrSnapshotBusy. If out is an *os.File the helper writes to it directly; else the
// call lasts until out has taken, or refused, what it was given last.
func (w *Warden) Snapshot(ctx context.Context, out io.Writer) (SnapshotInfo, error) {
	release, err := w.beginSnapshot()
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer release()
	return w.takeSnapshot(ctx, out, taking{})
}

// taking is how a snapshot is taken.
type taking struct {
	maxBytes int64 // of the file; 0: any number
	urgent   bool  // now: nothing is done before to make the halt brief
}

// takeSnapshot takes one. The caller has begun a snapshot.
func (w *Warden) takeSnapshot(ctx context.Context, out io.Writer, how taking) (SnapshotInfo, error) {
	began := w.o.Now()
	info, err := w.capture(ctx, out, how)
	if err != nil {
		err = fmt.Errorf("memwarden: heap snapshot: %w", err)
		w.o.Logger.Warn("memory heap snapshot failed", "error", err)
		return SnapshotInfo{}, err
	}
	w.o.Logger.Info("memory heap snapshot taken", "objects", info.Summary.Objects, "pause", seconds(info.Summary.PauseSeconds),
		"took", w.o.Now().Sub(began), "file", sizeOf(memstat.Known(info.Bytes)))
	return info, nil
}

// beginSnapshot takes the one place that there is for a snapshot or an analysis.
func (w *Warden) beginSnapshot() (release func(), err error) {
	switch {
	case w.Remote():
		return nil, ErrRemote
	case w.o.Snapshot.Disabled:
		return nil, ErrSnapshotDisabled
	case !w.snapshotting.TryLock():
		return nil, ErrSnapshotBusy
	}
	return w.snapshotting.Unlock, nil
}

// untilClosed ends the context when the warden stops.
func (w *Warden) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		select {
		case <-w.done:
			cancel(ErrClosed)
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		cancel(nil)
	}
}

// writtenShare is the part of the resident memory that a process is taken to write while its copy lives: each page costs
// a copy. What it really writes is watched.
const writtenShare = 16

// collapseFrom is from which size of a process on its memory is moved to huge pages before it halts: the fork of a smaller
// one takes some milliseconds as it is.
const collapseFrom = 256 << 20

// collapse moves memory to huge pages, where that makes the halt briefer. Call settle when the frozen copy is gone.
func (w *Warden) collapse(ctx context.Context, rss int64) (settle func()) {
	limit := w.o.Snapshot.Collapse
	if limit < 0 || rss < collapseFrom {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := w.o.Now()
	done, err := capture.Collapse(ctx)
	if err != nil { // the halt is longer, and the snapshot as right
		w.o.Logger.Debug("memory stays in small pages: a heap snapshot halts the process for longer", "error", err)
	}
	took := w.o.Now().Sub(began)
	return func() {
		began := w.o.Now()
		if err := done.Settle(); err != nil {
			w.o.Logger.Debug("memory that a heap snapshot leaves of huge pages stays until the kernel needs it", "error", err)
		}
		w.o.Logger.Debug("memory was in huge pages while a heap snapshot was taken", "huge", bytesize.Format(done.HugeBytes),
			"small", bytesize.Format(done.SmallBytes), "took", took, "settled_in", w.o.Now().Sub(began))
	}
}

// capture freezes the process and has the helper read the copy.
func (w *Warden) capture(ctx context.Context, out io.Writer, how taking) (info SnapshotInfo, err error) {
	o := &w.o.Snapshot
	ctx, cancel := w.untilClosed(ctx)
	defer cancel()
	meter, err := newRoomMeter(w.o.Root)
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer func() { _ = meter.Close() }() // only read
	r := meter.read(w.o.Now())
	task := snaphelper.Scan{NeedBytes: snaphelper.ScanBytes(executableBytes(), meter.Sample().Go.UsedBytes.Or(0)), MaxFileBytes: how.maxBytes}
	rss := meter.Sample().Process.RSSBytes.Or(0)
	budget, err := w.afford(r, "a snapshot", task.NeedBytes, rss/writtenShare)
	if err != nil {
		return SnapshotInfo{}, err
	}
	task.Header = snapshot.Header{
		Executable: executableName(), PID: int64(os.Getpid()), Method: snapshot.Fork, RSSBytes: meter.Sample().Process.RSSBytes.Or(-1),
	}
	ctx, stop := meter.guard(ctx, "the snapshot", o.ReserveBytes, w.o.Now)
	defer stop()
	if !how.urgent {
		defer w.collapse(ctx, rss)()
	}
	ctx, expire := context.WithTimeoutCause(ctx, o.Deadline, fmt.Errorf("%w: longer than %v", ErrSnapshotDeadline, o.Deadline))
	defer expire()
	child, err := capture.Self(ctx, capture.Options{FixedProcs: w.fixedProcs(), Deadline: o.Deadline})
	if errors.Is(err, capture.ErrBusy) {
		err = fmt.Errorf("%w: %w", ErrSnapshotBusy, err)
	}
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer func() { err = errors.Join(err, child.Close()) }()
	return w.readChild(ctx, child, task, budget, out)
}

// readChild has the helper read the frozen copy, and lets go of that as soon as it can.
func (w *Warden) readChild(ctx context.Context, child *capture.Child, task snaphelper.Scan, budget int64, out io.Writer) (SnapshotInfo, error) {
	task.Memory, task.Maps, task.Binary, task.Threads = child.Memory, child.Maps, child.Binary, []layout.Thread{child.Thread}
	task.Header.TakenAt, task.Pause = w.o.Now().UnixNano(), child.Pause
	task.Released = func() { _ = child.Close() } // the caller's Close tells
	result, err := task.Run(ctx, snaphelper.Options{Executable: w.o.Snapshot.Helper, BudgetBytes: budget}, out)
	return SnapshotInfo{Header: task.Header, Summary: result.Summary, Bytes: result.Bytes}, err
}

// afford says how much memory a helper may use that needs so much, where so many bytes go elsewhere; or that there is not
// enough.
func (w *Warden) afford(r room, what string, need, elsewhere int64) (budget int64, err error) {
	o := &w.o.Snapshot
	switch budget = r.Bytes - elsewhere - o.ReserveBytes; {
	case budget < need:
		return 0, r.refusal(what, need+elsewhere, o.ReserveBytes)
	case o.BudgetBytes > 0 && o.BudgetBytes < need:
		return 0, fmt.Errorf("%w: the helper of %s needs about %s, and may use %s (MEMWARDEN_SNAPSHOT_BUDGET)",
			ErrSnapshotRoom, what, bytesize.Format(need), bytesize.Format(o.BudgetBytes))
	case o.BudgetBytes > 0:
		budget = min(budget, o.BudgetBytes)
	}
	return budget, nil
}

// fixedProcs reports whether the environment sets GOMAXPROCS. The runtime takes no notice of what is no positive number.
func (w *Warden) fixedProcs() bool {
	value, _ := w.o.LookupEnv("GOMAXPROCS")
	n, err := strconv.Atoi(value)
	return err == nil && n > 0
}

// executableName is the base name of the program.
func executableName() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return filepath.Base(path)
}

// executableBytes is the size of the program's file; 0 if that cannot be told.
func executableBytes() int64 {
	info, err := os.Stat("/proc/self/exe")
	if err != nil {
		return 0
	}
	return info.Size()
}

// preferHugePages asks for huge pages for so much of the heap. Without them snapshots halt the process for longer, which
// is no reason not to start.
func (w *Warden) preferHugePages(size int64) {
	if limit := debug.SetMemoryLimit(-1); limit <= size {
		w.o.Logger.Warn("memory: huge pages are not asked for: the memory limit is not above SNAPSHOT_HUGE_PAGES",
			"limit", bytesize.Format(limit), "asked", bytesize.Format(size))
		return
	}
	if _, err := hugepage.Prefer(size); err != nil {
		w.o.Logger.Warn("memory: there are no huge pages: snapshots halt the process for longer", "error", err)
		return
	}
	w.o.Logger.Info("memory: the kernel was asked for huge pages", "heap", bytesize.Format(size))
}
