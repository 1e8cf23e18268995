package memwarden

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/memstat"
)

// ErrSnapshotRoom means that there is too little free memory for a snapshot, or for its analysis. Nothing was done, or
// what was begun was broken off, before it could bring about what a snapshot is to explain.
var ErrSnapshotRoom = errors.New("there is not enough free memory")

// room is what the process may still use before somebody kills it, and who would.
type room struct {
	bytes int64
	where string // the limit, with its figures
}

// roomOf finds the tightest limit in a sample. A limit that cannot be seen does not count; without any there is no room.
func roomOf(s *memstat.Sample) room {
	tightest := room{math.MaxInt64, ""}
	note := func(name string, limit, used memstat.Int) {
		most, ok := limit.Get()
		held, known := used.Get()
		if ok && known && most-held < tightest.bytes {
			tightest = room{most - held, fmt.Sprintf("%s: %s of %s are in use", name, bytesize.Format(held), bytesize.Format(most))}
		}
	}
	c := &s.Cgroup
	note("the container's limit", c.MaxBytes, orElse(c.WorkingSetBytes, c.CurrentBytes))
	note("the container's high limit", c.HighBytes, orElse(c.WorkingSetBytes, c.CurrentBytes))
	for _, p := range c.Parents.List() {
		note("the limit of control group "+p.Path, p.MaxBytes, orElse(p.WorkingSetBytes, p.CurrentBytes))
		note("the high limit of control group "+p.Path, p.HighBytes, orElse(p.WorkingSetBytes, p.CurrentBytes))
	}
	if free, ok := s.System.AvailableBytes.Get(); ok && free < tightest.bytes {
		tightest = room{free, fmt.Sprintf("the machine has %s available", bytesize.Format(free))}
	}
	if tightest.where == "" {
		return room{0, "neither the container's limit nor the machine's memory can be read"}
	}
	return tightest
}

func orElse(first, second memstat.Int) memstat.Int {
	if _, ok := first.Get(); ok {
		return first
	}
	return second
}

// refusal is the error of something that needs more than there is.
func (r room) refusal(what string, need, reserve int64) error {
	return fmt.Errorf("%w: %s needs about %s and %s stay in reserve, but only %s are free (%s)",
		ErrSnapshotRoom, what, bytesize.Format(need), bytesize.Format(reserve), bytesize.Format(max(0, r.bytes)), r.where)
}

// roomMeter reads how much room there is, anew at each question. It is not safe for concurrent use.
type roomMeter struct {
	root    string
	sampler *memstat.Sampler
	sample  memstat.Sample
}

// newRoomMeter reads everything once; later only what is quick to read.
func newRoomMeter(root string) (*roomMeter, error) {
	sampler, err := memstat.New(memstat.Options{Root: root, FastInterval: time.Nanosecond, SlowInterval: 24 * time.Hour})
	if err != nil {
		return nil, err
	}
	if root == "" {
		root = "/"
	}
	return &roomMeter{root: root, sampler: sampler}, nil
}

func (m *roomMeter) read(now time.Time) room {
	m.sampler.Read(&m.sample, now)
	if available, ok := availableBytes(m.root); ok {
		m.sample.System.AvailableBytes = memstat.Known(available)
	}
	return roomOf(&m.sample)
}

func (m *roomMeter) close() error { return m.sampler.Close() }

// availableBytes reads what the machine has available, which a sampler reads beside costlier figures.
func availableBytes(root string) (int64, bool) {
	text, err := os.ReadFile(filepath.Join(root, "proc", "meminfo"))
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("MemAvailable:")); ok {
			if fields := bytes.Fields(rest); len(fields) == 2 && string(fields[1]) == "kB" {
				kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
				return kib << 10, err == nil
			}
		}
	}
	return 0, false
}

// roomInterval is how often the room is looked at while a snapshot or an analysis is under way: memory is written at
// some GB/s at most, so the reserve outlasts it.
const roomInterval = 20 * time.Millisecond

// guard ends the context that it returns when the room falls to the reserve. Call stop to end the guard itself; it
// waits for it.
func (m *roomMeter) guard(ctx context.Context, what string, reserve int64, now func() time.Time) (guarded context.Context, stop func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(roomInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-over:
				return
			}
			if r := m.read(now()); r.bytes < reserve {
				cancel(fmt.Errorf("%w: %s was broken off with %s left (%s)", ErrSnapshotRoom, what, bytesize.Format(max(0, r.bytes)), r.where))
				return
			}
		}
	}()
	return guarded, func() {
		close(over)
		<-ended
		cancel(nil)
	}
}
