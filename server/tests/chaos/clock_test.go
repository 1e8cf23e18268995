//go:build linux

package chaos

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/health"
	"github.com/memwarden/memwarden/server/internal/servicetest"
	"github.com/memwarden/memwarden/server/internal/store"
)

// jumpyClock is the real one, off by what it was set to.
type jumpyClock struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *jumpyClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Round(0).Add(c.off)
}

func (c *jumpyClock) set(off time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = off
}

// TestClockJumps has a warden and its store with a clock that is set back and forth by hours while reports are kept. It is
// the clock that they are given: that of the system is everybody's.
func TestClockJumps(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(limit) })
	row := outcome{fault: "clock jumps", done: "the clock given to warden and store is set by ±1, ±12 and ±23 hours while reports are kept", said: "ok throughout"}
	defer func() {
		row.failed = t.Failed()
		outcomes.add(row)
	}()
	clock := &jumpyClock{}
	database, err := store.Open(t.Context(), store.Options{DataDir: t.TempDir(), Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	reports, err := database.Reports(t.Context(), store.ReportOptions{Kind: store.FrontendReports, MaxAge: 48 * time.Hour, Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	w, err := memwarden.Start(t.Context(), memwarden.Options{Now: clock.now, Store: database, FlushInterval: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[int64]string{}
	for _, hours := range []int{0, 1, 0, -1, 12, -12, 23, -23, 0} {
		clock.set(time.Duration(hours) * time.Hour)
		for range 20 {
			text := fmt.Sprintf(`{"number":%d}`, len(kept))
			id, err := reports.Add(t.Context(), []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			kept[id] = text
		}
		at := w.State().Sample.At
		servicetest.Within(t, soon, "sampled on", func() bool { return !w.State().Sample.At.Equal(at) })
		if report := w.Health().Report(t.Context(), health.All); !report.OK() {
			text, _ := json.Marshal(report) // a report is always JSON
			t.Errorf("with the clock off by %d hours health says %s", hours, text)
		}
	}
	list, err := reports.List(t.Context(), 0, 2*len(kept))
	if err != nil {
		t.Fatal(err)
	}
	row.accepted, row.lost = len(kept), len(kept)
	for _, one := range list {
		if kept[one.ID] == string(one.Value) {
			row.lost--
		}
	}
	if row.lost != 0 {
		t.Errorf("%d of %d reports are lost", row.lost, len(kept))
	}
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
