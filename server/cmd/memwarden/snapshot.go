package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/report"
	"github.com/memwarden/memwarden/heap/scan"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/memstat"
)

// snapshotFlags are the flags of the snapshot command.
type snapshotFlags struct {
	pid      int
	output   string
	stop     string
	force    bool
	deadline time.Duration
}

func newSnapshotCommand(w *world) *cobra.Command {
	var f snapshotFlags
	cmd := &cobra.Command{
		Use:   "snapshot --pid N -o FILE",
		Short: "Write a snapshot of the heap of a running Go process",
		Long: `Freezes a running Go process for milliseconds and writes what its memory is made of to
a file, for memwarden analyze. The process needs nothing of memwarden, and no debug
information. The file holds objects, pointers, types, roots, goroutines and where
sampled objects were allocated; it holds no contents of strings or byte slices.

The process is made to fork, and the frozen copy is read while the process runs on.
Where that is refused, or would not leave 64 MiB below the process's memory limit,
the process itself is read while it stands still, unless --stop=never forbids it; the
output says which it was, and how long the process stood still. One snapshot of a
process at a time. Linux only; it needs the right to trace the process: the same user
and kernel.yama.ptrace_scope 0, or root.`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&f.pid, "pid", 0, "the process")
	flags.StringVarP(&f.output, "output", "o", "", "the `file` to write")
	flags.StringVar(&f.stop, "stop", "allow", "read the process while it stands still: allow (where it cannot be made to fork, or there is no room for a copy), never, or only")
	flags.BoolVar(&f.force, "force", false, "replace the file if it is there")
	flags.DurationVar(&f.deadline, "deadline", time.Minute, "how long the frozen copy, or the process that stands still, may be held")
	for _, name := range []string{"pid", "output"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // a flag of that name has just been added
		}
	}
	cmd.RunE = action(func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		ctx, stop := w.interruptible(ctx)
		defer stop()
		return takeSnapshot(ctx, w, &f)
	})
	return cmd
}

func (f *snapshotFlags) check() error {
	switch {
	case f.pid <= 0:
		return &exit{exitUsage, fmt.Errorf("--pid %d: want the number of a process", f.pid)}
	case f.output == "":
		return &exit{exitUsage, errors.New("--output: want the name of a file")}
	case f.deadline <= 0:
		return &exit{exitUsage, fmt.Errorf("--deadline %v: want more than 0s", f.deadline)}
	case f.stop != "allow" && f.stop != "never" && f.stop != "only":
		return &exit{exitUsage, fmt.Errorf("--stop %q: want allow, never or only", f.stop)}
	}
	return nil
}

// takeSnapshot writes the file, or leaves nothing of it.
func takeSnapshot(ctx context.Context, w *world, f *snapshotFlags) error {
	if info, err := os.Stat(f.output); err == nil {
		if info.IsDir() {
			return fmt.Errorf("%s is a directory: want the name of a file", f.output)
		}
		if !f.force {
			return fmt.Errorf("%s is there already: --force replaces it", f.output)
		}
	}
	room, err := newRoomBelow(w, f.pid)
	if err != nil {
		return err
	}
	defer room.close()
	rss := room.resident()
	file, err := archive.CreateFile(f.output)
	if err != nil {
		return err
	}
	defer func() { _ = file.Discard() }() // of a file that is committed it is nothing
	if err := enoughDisk(f.output, rss); err != nil {
		return err
	}
	taken, err := writeSnapshot(ctx, w, f, file.File, room)
	if err != nil {
		return err
	}
	size, err := file.Seek(0, 1)
	if err != nil {
		return err
	}
	if err := file.Commit(); err != nil {
		return err
	}
	taken.print(w, f.output, size)
	return nil
}

// roomBelow reads how much room a process has below its memory limit.
type roomBelow struct {
	meter *memstat.RoomMeter
	now   func() time.Time
	last  atomic.Pointer[memstat.Room]
}

func newRoomBelow(w *world, pid int) (*roomBelow, error) {
	meter, err := memstat.NewRoomMeter(pid, w.root)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no process %d: %w", pid, err)
		}
		return nil, err
	}
	r := &roomBelow{meter: meter, now: w.now}
	if _, err := r.bytes(); err != nil {
		return nil, errors.Join(err, meter.Close())
	}
	return r, nil
}

// bytes is for AttachOptions.Headroom.
func (r *roomBelow) bytes() (int64, error) {
	room := r.meter.Read(r.now())
	r.last.Store(&room)
	return room.Bytes, nil
}

// resident is the size of the process in memory, -1 if it is not known.
func (r *roomBelow) resident() int64 { return r.meter.Sample().Process.RSSBytes.Or(-1) }

// where adds to an error that tells of too little room which limit that is.
func (r *roomBelow) where(err error) error {
	if !errors.Is(err, capture.ErrHeadroom) {
		return err
	}
	return fmt.Errorf("%w (%s)", err, r.last.Load().Limit)
}

// explain adds what to do, too.
func (r *roomBelow) explain(err error) error {
	if !errors.Is(err, capture.ErrHeadroom) {
		return err
	}
	return fmt.Errorf("%w: raise that limit, or let the process be read while it stands still, for which it needs no memory: --stop=only",
		r.where(err))
}

func (r *roomBelow) close() { _ = r.meter.Close() } // only read

// fileShare is the part of a process's memory that its snapshot takes on the disk at most, by experience.
const fileShare = 4

// enoughDisk wants room for the snapshot of a process of so many bytes.
func enoughDisk(path string, rss int64) error {
	dir := filepath.Dir(path)
	free, err := archive.FreeBytes(dir)
	if err != nil {
		return nil //nolint:nilerr // where it cannot be told, writing will tell
	}
	if need := rss / fileShare; free < need {
		return fmt.Errorf("no room in %s: the snapshot of %s in memory may take %s, and the disk has %s free", dir,
			bytesize.Format(rss), bytesize.Format(need), bytesize.Format(free))
	}
	return nil
}

// taken is what came of a capture.
type taken struct {
	header  snapshot.Header
	summary snapshot.Summary
	pause   time.Duration
	took    time.Duration
	refused error // why the process was not made to fork
}

// writeSnapshot freezes the process and reads it.
func writeSnapshot(ctx context.Context, w *world, f *snapshotFlags, file *os.File, room *roomBelow) (t taken, err error) {
	bar := w.newProgress()
	defer bar.end()
	bar.show("freezing", 0, 0)
	began := w.now()
	rss := room.resident()
	image, err := capture.Attach(ctx, f.pid, capture.AttachOptions{
		NoStop: f.stop == "never", NoFork: f.stop == "only", Deadline: f.deadline, Headroom: room.bytes,
	})
	if err != nil {
		return taken{}, room.explain(err)
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	binary, err := os.Open(fmt.Sprintf("/proc/%d/exe", f.pid)) // the names are looked up when the image is closed
	if err != nil {
		return taken{}, fmt.Errorf("process %d: open its executable: %w", f.pid, err)
	}
	defer func() { _ = binary.Close() }() // only read
	image.Process.Binary = binary
	t.header = snapshot.Header{
		Executable: executableOf(f.pid), PID: int64(f.pid), TakenAt: w.now().UnixNano(), Method: snapshot.InjectedFork,
		RSSBytes: rss,
	}
	if image.Method == capture.MethodStop {
		t.header.Method = snapshot.Stop
	}
	t.refused = room.where(image.Refused)
	t.summary, err = scan.Write(ctx, image.Process, file, scan.Options{
		Header:   t.header,
		Progress: func(done, total uint64) { bar.show("reading the heap", done, total) },
		Released: func() {
			_ = image.Close() // the deferred one tells
			bar.show("finding names", 0, 0)
		},
		Pause:   func() time.Duration { return image.Pause },
		Elapsed: func() time.Duration { return w.now().Sub(began) },
	})
	if ctx.Err() != nil {
		return taken{}, context.Cause(ctx)
	}
	if reason := image.Err(); err != nil && reason != nil && !errors.Is(reason, capture.ErrClosed) {
		err = reason // it was given up: that is why it could not be read
	}
	if err != nil {
		return taken{}, fmt.Errorf("process %d: %w", f.pid, room.explain(err))
	}
	_ = image.Close() // so that Pause is known
	t.pause, t.took = image.Pause, w.now().Sub(began)
	return t, nil
}

// executableOf is the base name of a process's program.
func executableOf(pid int) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return ""
	}
	return filepath.Base(path)
}

// print tells what was taken and what to do with it.
func (t *taken) print(w *world, path string, size int64) {
	how := "a fork was injected"
	if t.header.Method == snapshot.Stop {
		how = "it was read while it stopped"
		if t.refused != nil {
			how += fmt.Sprintf(", as it could not be made to fork (%v)", t.refused)
		}
	}
	fmt.Fprintf(w.stdout, "%s, process %d, stood still for %v: %s\n", t.header.Executable, t.header.PID, report.Duration(t.pause), how)
	fmt.Fprintf(w.stdout, "%s objects of %s, %s pointers between them, read in %v\n", report.Count(t.summary.Objects),
		bytesize.Format(int64(t.summary.AllocatedBytes)), report.Count(t.summary.Edges), report.Duration(t.took))
	for _, warning := range t.summary.Warnings {
		fmt.Fprintln(w.stdout, "note: "+warning)
	}
	fmt.Fprintf(w.stdout, "wrote %s, %s: memwarden analyze %s\n", path, bytesize.Format(size), path)
}
