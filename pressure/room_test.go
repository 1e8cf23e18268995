package pressure

import (
	"testing"

	"github.com/memwarden/memwarden/memstat"
)

// TestRoom: what is free is what the nearest limit leaves, with the garbage counted as used.
func TestRoom(t *testing.T) {
	_, d := Next(State{}, Default(), &memstat.Sample{}, epoch)
	if room, known := d.Room(); known {
		t.Errorf("%d bytes are free before a limit that nobody knows", room)
	}
	s := use(0.5)
	_, d = Next(State{}, Default(), s, epoch)
	if room, known := d.Room(); !known || room != 256*mib {
		t.Errorf("%d bytes, %v: want 256 MiB", room, known)
	}
	s = withGo(contained(256), 10, 60, 0, 100, 128) // 50 MiB of it are garbage
	_, d = Next(State{}, Default(), s, epoch)
	if room, known := d.Room(); !known || room != 28*mib {
		t.Errorf("%d bytes, %v: want the 28 MiB that the Go memory limit leaves: %+v", room, known, d.Signals())
	}
	s.Cgroup.WorkingSetBytes = memstat.Known(int64(600 * mib))
	_, d = Next(State{}, Default(), s, epoch)
	if room, known := d.Room(); !known || room != 0 {
		t.Errorf("%d bytes, %v: want none beyond a limit", room, known)
	}
}
