package snaphelper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/graph"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/scan"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// The functions of this file run in the helper.

// frozen are the files of a frozen process.
type frozen struct{ memory, maps, binary *os.File }

// scanTo reads a frozen process into a file. It calls released once the process is no longer needed.
func scanTo(ctx context.Context, r *scanRequest, budget int64, f frozen, out io.Writer, released func()) (Result, error) {
	if r.NeedBytes > budget {
		return Result{}, refuse("reading the process", r.NeedBytes, budget)
	}
	began := time.Now()
	process, err := capture.FromFiles(f.memory, f.binary, f.maps, r.Threads)
	if err != nil {
		return Result{}, err
	}
	file := &boundedWriter{out: out, left: r.MaxFileBytes, limit: r.MaxFileBytes}
	summary, err := scan.Write(ctx, process, file, scan.Options{
		Header: r.Header, Released: released, Pause: func() time.Duration { return r.Pause }, Elapsed: func() time.Duration { return time.Since(began) },
	})
	if err != nil {
		return Result{}, err
	}
	return Result{Summary: summary, Bytes: file.written}, nil
}

// boundedWriter writes so many bytes and no more.
type boundedWriter struct {
	out         io.Writer
	left, limit int64 // limit 0: no bound
	written     int64
}

func (w *boundedWriter) Write(p []byte) (int, error) {
	if w.limit > 0 {
		if int64(len(p)) > w.left {
			return 0, fmt.Errorf("%w: it would have more than %s", ErrFileLimit, bytesize.Format(w.limit))
		}
		w.left -= int64(len(p))
	}
	n, err := w.out.Write(p)
	w.written += int64(n)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EFBIG) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w: %w", ErrFileLimit, err)
	}
	return n, err
}

// analyze finds what holds the memory in a snapshot file.
func analyze(ctx context.Context, file *os.File, budget int64) (*retain.Analysis, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	reader, err := snapshot.Open(file, info.Size())
	if err != nil {
		return nil, err
	}
	total := reader.Totals()
	if need := retain.MemoryBytes(total); need > budget {
		what := fmt.Sprintf("the analysis of %d objects with %d pointers", total.Objects, total.Edges)
		return nil, fmt.Errorf("%w: analyse it elsewhere", refuse(what, need, budget))
	}
	undo, err := retain.Prepare(reader)
	if err != nil {
		return nil, err
	}
	defer undo()
	g, err := graph.Load(ctx, reader, graph.Options{})
	if err != nil {
		return nil, err
	}
	// All types, so that two analyses can be compared; of what can be as many as objects, some.
	a, err := retain.Analyze(ctx, g, retain.Options{
		MaxTypes: -1, MaxSuspects: 50, MaxRoots: 1000, MaxGoroutines: 1000, MaxShared: 200, MaxPins: 200,
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// heldAt tells how the objects at addresses are held, list by list.
func heldAt(a *retain.Analysis, addresses [][]uint64) ([]retain.Held, error) {
	list := make([]retain.Held, len(addresses))
	for i := range addresses {
		var err error
		if list[i], err = a.Held(addresses[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}
