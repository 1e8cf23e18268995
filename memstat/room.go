package memstat

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/memwarden/memwarden/bytesize"
)

// Room is what a process may still use before somebody kills it, and who would.
type Room struct {
	// Bytes may be below 0, and is 0 where no limit can be read.
	Bytes int64
	// Known tells that a limit can be read.
	Known bool
	// Limit names the limit, with its figures, or says that there is none: "the container's limit: 90.0 MiB of 100.0 MiB are
	// in use".
	Limit string
}

// Room finds the tightest limit in a sample: of the process's control group and of those above it, their high limits too,
// and what the machine has available. What the kernel can drop without harm does not count as used. A limit that cannot be
// seen does not count.
func (s *Sample) Room() Room {
	tightest := Room{Bytes: math.MaxInt64}
	note := func(name string, limit, used Int) {
		most, ok := limit.Get()
		held, known := used.Get()
		if ok && known && most-held < tightest.Bytes {
			tightest = Room{most - held, true, fmt.Sprintf("%s: %s of %s are in use", name, bytesize.Format(held), bytesize.Format(most))}
		}
	}
	c := &s.Cgroup
	note("the container's limit", c.MaxBytes, orElse(c.WorkingSetBytes, c.CurrentBytes))
	note("the container's high limit", c.HighBytes, orElse(c.WorkingSetBytes, c.CurrentBytes))
	for _, p := range c.Parents.List() {
		note("the limit of control group "+p.Path, p.MaxBytes, orElse(p.WorkingSetBytes, p.CurrentBytes))
		note("the high limit of control group "+p.Path, p.HighBytes, orElse(p.WorkingSetBytes, p.CurrentBytes))
	}
	if free, ok := s.System.AvailableBytes.Get(); ok && free < tightest.Bytes {
		tightest = Room{free, true, fmt.Sprintf("the machine has %s available", bytesize.Format(free))}
	}
	if !tightest.Known {
		return Room{Limit: "neither the container's limit nor the machine's memory can be read"}
	}
	return tightest
}

func orElse(first, second Int) Int {
	if _, ok := first.Get(); ok {
		return first
	}
	return second
}

// RoomMeter reads how much room a process has, anew at each question. It is not safe for concurrent use.
type RoomMeter struct {
	meminfo string // the path of that file
	sampler *Sampler
	sample  Sample
}

// NewRoomMeter watches the process with a PID whose files are below a root; both are as in Options, and so are the errors.
// Close it.
func NewRoomMeter(pid int, root string) (*RoomMeter, error) {
	sampler, err := New(Options{PID: pid, Root: root, FastInterval: time.Nanosecond, SlowInterval: 24 * time.Hour})
	if err != nil {
		return nil, err
	}
	if root == "" {
		root = "/"
	}
	return &RoomMeter{meminfo: filepath.Join(root, "proc", "meminfo"), sampler: sampler}, nil
}

// Read tells the room at now. The first call reads everything, as a Sampler does; later ones what is quick to read, in
// some 100 µs.
func (m *RoomMeter) Read(now time.Time) Room {
	m.sampler.Read(&m.sample, now)
	// A sampler reads what the machine has available beside costlier figures, less often.
	var available Int
	text, err := os.ReadFile(m.meminfo)
	if err == nil && parseKeyed(text, wanted{key: "MemAvailable", into: &available}) == nil && !available.IsZero() {
		m.sample.System.AvailableBytes = available
	}
	return m.sample.Room()
}

// Sample is what the last Read has read; of what is not quick to read, the first. It is the meter's, until the next Read.
func (m *RoomMeter) Sample() *Sample { return &m.sample }

// Close closes what is kept open. Further calls do nothing.
func (m *RoomMeter) Close() error { return m.sampler.Close() }
