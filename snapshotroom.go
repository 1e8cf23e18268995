package memwarden

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/memstat"
)

// ErrSnapshotRoom means that there is too little free memory for a snapshot, or for its analysis. Nothing was done, or
// what was begun was broken off, before it could bring about what a snapshot is to explain.
var ErrSnapshotRoom = errors.New("there is not enough free memory")

// room is what the process may still use before somebody kills it, and who would.
type room memstat.Room

// refusal is the error of something that needs more than there is.
func (r room) refusal(what string, need, reserve int64) error {
	return fmt.Errorf("%w: %s needs about %s and %s stay in reserve, but only %s are free (%s)",
		ErrSnapshotRoom, what, bytesize.Format(need), bytesize.Format(reserve), bytesize.Format(max(0, r.Bytes)), r.Limit)
}

// roomMeter reads how much room there is, anew at each question. It is not safe for concurrent use.
type roomMeter struct{ *memstat.RoomMeter }

func newRoomMeter(root string) (roomMeter, error) {
	m, err := memstat.NewRoomMeter(0, root)
	return roomMeter{m}, err
}

func (m roomMeter) read(now time.Time) room { return room(m.Read(now)) }

// roomInterval is how often the room is looked at while a snapshot or an analysis is under way: memory is written at
// some GB/s at most, so the reserve outlasts it.
const roomInterval = 20 * time.Millisecond

// guard ends the context that it returns when the room falls to the reserve. Call stop to end the guard itself; it
// waits for it.
func (m roomMeter) guard(ctx context.Context, what string, reserve int64, now func() time.Time) (guarded context.Context, stop func()) {
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
			if r := m.read(now()); r.Bytes < reserve {
				cancel(fmt.Errorf("%w: %s was broken off with %s left (%s)", ErrSnapshotRoom, what, bytesize.Format(max(0, r.Bytes)), r.Limit))
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
