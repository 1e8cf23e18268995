package memwarden

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/incident"
)

// Errors of profiles.
var (
	// ErrNoFlightRecorder means that no flight recorder is running.
	ErrNoFlightRecorder = errors.New("no flight recorder is running (MEMWARDEN_INCIDENT_TRACE)")
	// ErrProfileRoom means that a profile would take more memory than is free.
	ErrProfileRoom = errors.New("there is too little memory for the profile")
)

// goroutineBytes is what a profile of goroutines takes for each while it is written: 240 were measured for short stacks.
const goroutineBytes = 300

// RecentTrace returns the execution trace of the last seconds, for go tool trace: about 8 MiB at most. ErrNoFlightRecorder
// is returned unless IncidentOptions have a trace kept. Calls wait for each other.
func (w *Warden) RecentTrace() ([]byte, error) {
	if w.incidents == nil {
		return nil, ErrNoFlightRecorder
	}
	var out bytes.Buffer
	if err := w.incidents.writeTrace(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writeTrace has one at a time, as the recorder wants it, so that a bundle is not without for somebody who has asked.
func (i *incidents) writeTrace(out io.Writer) error {
	i.tracing.Lock()
	defer i.tracing.Unlock()
	if i.recorder == nil {
		return ErrNoFlightRecorder
	}
	if _, err := i.recorder.WriteTo(out); err != nil {
		return fmt.Errorf("memwarden: flight recorder: %w", err)
	}
	return nil
}

// endTrace stops the recorder.
func (i *incidents) endTrace() {
	i.tracing.Lock()
	defer i.tracing.Unlock()
	if i.recorder != nil {
		i.recorder.Stop()
		i.recorder = nil
	}
}

// GoroutineProfileRoom reports whether a profile of all goroutines can be taken: with hundreds of thousands of them it may
// take what is left of the memory, and be the end. The error wraps ErrProfileRoom and has the figures.
func (w *Warden) GoroutineProfileRoom() error { return w.goroutineRoom(goroutineBytes) }

// goroutineRoom reports whether there are so many bytes for each goroutine.
func (w *Warden) goroutineRoom(bytes int64) error {
	meter, err := newRoomMeter(w.o.Root)
	if err != nil {
		return err
	}
	defer func() { _ = meter.Close() }() // only read
	n := int64(runtime.NumGoroutine())
	if r := meter.read(w.o.Now()); n*bytes+incident.DefaultRule().SmallBytes > r.Bytes {
		return fmt.Errorf("%w: there are %d goroutines, of which a profile takes about %s, and only %s are free (%s)",
			ErrProfileRoom, n, bytesize.Format(n*bytes), bytesize.Format(max(0, r.Bytes)), r.Limit)
	}
	return nil
}
