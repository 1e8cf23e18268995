package memwarden

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/memwarden/memwarden/history"
)

// storeStatus remembers whether the store could be used, for health and so that a failure is logged once.
type storeStatus struct {
	mu  sync.Mutex
	err error
}

// set notes the newest outcome and reports whether it differs in kind from the one before.
func (s *storeStatus) set(err error) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = (s.err == nil) != (err == nil)
	s.err = err
	return changed
}

func (s *storeStatus) get() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// storeTimeout bounds one exchange with the store.
const storeTimeout = 10 * time.Second

// errEnough ends a load whose rest is not wanted.
var errEnough = errors.New("enough")

// restoreHistory takes over what the store has.
func (w *Warden) restoreHistory(ctx context.Context) error {
	now := w.o.Now()
	for _, tier := range history.Tiers() {
		var unreadable int
		var failed error
		points := func(yield func(history.Point) bool) {
			failed = w.o.Store.LoadHistory(ctx, tier.Resolution, now.Add(-tier.Keep), func(row HistoryRow) error {
				point, err := history.DecodePoint(row.At.Unix(), row.Data)
				if err != nil {
					unreadable++
				} else if !yield(point) {
					return errEnough
				}
				return nil
			})
		}
		_, err := w.history.Restore(tier.Resolution, points, now)
		if err = errors.Join(err, failed); err != nil {
			return fmt.Errorf("load history of %v: %w", tier.Resolution, err)
		}
		if unreadable > 0 {
			w.o.Logger.Warn("memory history: stored points cannot be read and are left out", "resolution", tier.Resolution, "points", unreadable)
		}
	}
	return nil
}

// trimInterval is how often stored points that are too old are removed.
const trimInterval = time.Minute

// keepHistory stores the history until the warden closes; Close stores the rest.
func (w *Warden) keepHistory(ctx context.Context) {
	save, trim := time.NewTicker(w.o.FlushInterval), time.NewTicker(trimInterval)
	defer save.Stop()
	defer trim.Stop()
	for {
		select {
		case <-save.C:
			w.noteStore(ctx, w.saveHistory(ctx))
		case <-trim.C:
			w.noteStore(ctx, w.trimHistory(ctx))
		case <-ctx.Done():
			return
		}
	}
}

// noteStore remembers an outcome for health; a failure and its end are logged once. What could not be stored stays
// unsaved: the next save tries again.
func (w *Warden) noteStore(ctx context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		return // Close broke it off, and stores the rest itself
	}
	switch changed := w.store.set(err); {
	case changed && err != nil:
		w.o.Logger.Error("memory history cannot be stored; it is kept and tried again", "error", err)
	case changed:
		w.o.Logger.Info("memory history is stored again")
	}
}

// maxRowsPerSave bounds one transaction: after a long outage the backlog is stored in pieces.
const maxRowsPerSave = 1000

// saveHistory stores what is unsaved. Only when all of it is stored does any of it count as saved: rows are replaced,
// so storing one again does no harm.
func (w *Warden) saveHistory(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var rows []HistoryRow
	unsaved := map[time.Duration][]history.Point{}
	for _, tier := range history.Tiers() {
		points, err := w.history.Unsaved(tier.Resolution)
		if err != nil {
			return err
		}
		unsaved[tier.Resolution] = points
		rows = slices.Grow(rows, len(points))
		for _, p := range points {
			rows = append(rows, HistoryRow{Resolution: tier.Resolution, At: time.Unix(p.At, 0), Data: p.AppendBinary(nil)})
		}
	}
	for piece := range slices.Chunk(rows, maxRowsPerSave) {
		if err := w.o.Store.SaveHistory(ctx, piece); err != nil {
			return fmt.Errorf("store history: %w", err)
		}
	}
	for resolution, points := range unsaved {
		if err := w.history.Saved(resolution, points); err != nil {
			return err
		}
	}
	return nil
}

func (w *Warden) trimHistory(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for _, tier := range history.Tiers() {
		if _, err := w.o.Store.TrimHistory(ctx, tier.Resolution, w.o.Now().Add(-tier.Keep)); err != nil {
			return fmt.Errorf("trim history of %v: %w", tier.Resolution, err)
		}
	}
	return nil
}
