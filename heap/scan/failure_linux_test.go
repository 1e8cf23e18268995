//go:build linux && (amd64 || arm64)

package scan

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memwarden/memwarden/heap/capture"
	"github.com/memwarden/memwarden/heap/layout"
)

var errBroken = errors.New("broken")

// limitedMemory counts reads and fails all from one on.
type limitedMemory struct {
	io.ReaderAt
	reads, limit atomic.Int64
	at           func(n int64) // told of each read, unless nil
}

func (m *limitedMemory) ReadAt(p []byte, offset int64) (int, error) {
	n := m.reads.Add(1)
	if m.at != nil {
		m.at(n)
	}
	if n > m.limit.Load() {
		return 0, errBroken
	}
	return m.ReaderAt.ReadAt(p, offset)
}

// limited returns a process whose memory fails after some reads.
func limited(p layout.Process, reads int64) (layout.Process, *limitedMemory) {
	m := &limitedMemory{ReaderAt: p.Memory}
	m.limit.Store(reads)
	p.Memory = m
	return p, m
}

const unlimited = 1 << 60

// limitedWriter takes so many bytes.
type limitedWriter struct{ left int }

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, errBroken
	}
	w.left -= len(p)
	return len(p), nil
}

// TestReported holds what Write tells its caller while it works.
func TestReported(t *testing.T) {
	process, memory := limited(freeze(t, start(t, build(t)), capture.AttachOptions{}), unlimited)
	var last, end uint64
	released := 0
	var readsThen int64
	_, err := Write(t.Context(), process, new(countingWriter), Options{
		Progress: func(done, total uint64) {
			if done <= last || end != 0 && total != end || done > total || released > 0 {
				t.Errorf("%d of %d bytes done after %d of %d", done, total, last, end)
			}
			last, end = done, total
		},
		Released: func() { released++; readsThen = memory.reads.Load() },
		Elapsed:  func() time.Duration { return 3 * time.Second },
	})
	if err != nil {
		t.Fatal(err)
	}
	if last == 0 || last != end {
		t.Errorf("ended at %d of %d bytes", last, end)
	}
	if released != 1 || readsThen != memory.reads.Load() {
		t.Errorf("released %d times, after %d of %d reads", released, readsThen, memory.reads.Load())
	}
}

// TestFailures lets everything fail at many places: each time there is an error that wraps the cause.
func TestFailures(t *testing.T) {
	frozen := freeze(t, start(t, build(t), "sessions", "20000"), capture.AttachOptions{})
	process, memory := limited(frozen, unlimited)
	var file bytes.Buffer
	if _, err := Write(t.Context(), process, &file, Options{}); err != nil {
		t.Fatal(err)
	}
	reads, size := memory.reads.Load(), file.Len()
	places := int64(6)
	if *long {
		places = 24
	}
	for i := range places {
		process, _ := limited(frozen, i*(reads-1)/(places-1))
		_, err := Write(t.Context(), process, new(countingWriter), Options{Workers: 4})
		if !errors.Is(err, errBroken) {
			t.Errorf("memory that fails after %d of %d reads: %v", i*(reads-1)/(places-1), reads, err)
		}
	}
	for i := range int(places) {
		limit := i * (size - 1) / int(places-1)
		if _, err := Write(t.Context(), frozen, &limitedWriter{limit}, Options{Workers: 4}); !errors.Is(err, errBroken) {
			t.Errorf("a file that fails after %d of %d bytes: %v", limit, size, err)
		}
	}
	for i := range places {
		process, memory := limited(frozen, unlimited)
		ctx, cancel := context.WithCancel(t.Context())
		limit := i * (reads - 1) / (places - 1)
		memory.at = func(n int64) {
			if n > limit {
				cancel()
			}
		}
		if limit == 0 {
			cancel()
		}
		if _, err := Write(ctx, process, new(countingWriter), Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at read %d of %d: %v", limit, reads, err)
		}
		cancel()
	}
}

// TestKilled ends the frozen process while it is read.
func TestKilled(t *testing.T) {
	image, err := capture.Attach(t.Context(), start(t, build(t), "sessions", "20000").Pid, capture.AttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Write(t.Context(), image.Process, new(countingWriter), Options{
		Workers: 1, Progress: func(uint64, uint64) { _ = image.Close() },
	})
	if !errors.Is(err, capture.ErrClosed) {
		t.Errorf("read a process that is gone: %v", err)
	}
}

func TestNotGo(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	_, err := Write(t.Context(), freeze(t, &target{Process: cmd.Process}, capture.AttachOptions{}), new(countingWriter), Options{})
	if !errors.Is(err, layout.ErrNotGo) {
		t.Errorf("a program that is not Go: %v", err)
	}
}
