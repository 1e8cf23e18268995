package main

import (
	"context"
	"time"

	"github.com/memwarden/memwarden"
	"github.com/memwarden/memwarden/history"
)

// fullStore has every point of the history that there can be, and keeps nothing of what it is given: the cost of a
// database is not the warden's.
type fullStore struct{ now func() time.Time }

// LoadHistory makes up a point for every step from since until now.
func (s fullStore) LoadHistory(_ context.Context, resolution time.Duration, since time.Time, take func(memwarden.HistoryRow) error) error {
	step := int64(resolution / time.Second)
	last := s.now().Unix() / step * step
	first := (since.Unix() + step - 1) / step * step
	var data []byte
	for at := first; at <= last; at += step {
		p := history.Point{At: at}
		for i := range p.Values {
			p.Values[i] = 50_000_000 + at%1000*int64(i)
		}
		data = p.AppendBinary(data[:0])
		if err := take(memwarden.HistoryRow{Resolution: resolution, At: time.Unix(at, 0), Data: data}); err != nil {
			return err
		}
	}
	return nil
}

func (fullStore) SaveHistory(context.Context, []memwarden.HistoryRow) error { return nil }

func (fullStore) TrimHistory(context.Context, time.Duration, time.Time) (int64, error) { return 0, nil }

func (fullStore) SaveConfig(context.Context, memwarden.ConfigChange) error { return nil }

func (fullStore) LatestConfig(context.Context) (memwarden.ConfigChange, bool, error) {
	return memwarden.ConfigChange{}, false, nil
}

func (fullStore) ConfigChanges(context.Context, int) ([]memwarden.ConfigChange, error) {
	return nil, nil
}
