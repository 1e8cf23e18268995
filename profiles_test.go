package memwarden

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
)

// TestRecentTrace has the last seconds while the warden runs, for several who ask at once; without a recorder it says how
// to have one.
func TestRecentTrace(t *testing.T) {
	for name, o := range map[string]IncidentOptions{"no bundles": {}, "no recorder": {Dir: t.TempDir()}} {
		w := begin(t, Options{Incidents: o})
		if _, err := w.RecentTrace(); !errors.Is(err, ErrNoFlightRecorder) || !strings.Contains(err.Error(), "MEMWARDEN_INCIDENT_TRACE") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := begin(t, Options{Incidents: IncidentOptions{Dir: t.TempDir(), Trace: true}})
	answers := make(chan error)
	for range 4 {
		go func() {
			trace, err := w.RecentTrace()
			if err == nil && (!bytes.HasPrefix(trace, []byte("go 1.")) || !bytes.Contains(trace[:16], []byte(" trace\x00"))) {
				err = errors.New("it does not begin as a trace does")
			}
			answers <- err
		}()
	}
	for range 4 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RecentTrace(); !errors.Is(err, ErrNoFlightRecorder) {
		t.Errorf("after the end: %v", err)
	}
}

// TestGoroutineProfileRoom: with room it may be taken, without it is refused with the figures.
func TestGoroutineProfileRoom(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: there are no control groups")
	}
	c := newContainer(t, "1073741824")
	o, _ := c.options()
	w := begin(t, o)
	if err := w.GoroutineProfileRoom(); err != nil {
		t.Errorf("with 1 GiB: %v", err)
	}
	c.use(1<<30 - 1<<10)
	if err := w.GoroutineProfileRoom(); !errors.Is(err, ErrProfileRoom) || !strings.Contains(err.Error(), "1.0 KiB are free") {
		t.Errorf("with 1 KiB: %v", err)
	}
}
