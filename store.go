package memwarden

import (
	"context"
	"sync"
	"time"
)

// Store keeps what must survive the process. Its methods are called from several goroutines, off the sampling path.
type Store interface {
	ConfigStore
	HistoryStore
}

// ConfigStore keeps the versions of the configuration, which are also its audit log.
type ConfigStore interface {
	// SaveConfig returns once the change is durable. The version is the newest one's successor; another is refused
	// with an error.
	SaveConfig(ctx context.Context, change ConfigChange) error
	// LatestConfig returns the newest change; false if there is none.
	LatestConfig(ctx context.Context) (ConfigChange, bool, error)
	// ConfigChanges returns at most limit changes, newest first.
	ConfigChanges(ctx context.Context, limit int) ([]ConfigChange, error)
}

// HistoryRow is a point of the history as it is stored.
type HistoryRow struct {
	Resolution time.Duration
	At         time.Time
	Data       []byte // at most 4 KiB, opaque to the store
}

// HistoryStore keeps the history.
type HistoryStore interface {
	// SaveHistory writes all rows or none, replaces rows of the same resolution and time, and returns once they are
	// durable.
	SaveHistory(ctx context.Context, rows []HistoryRow) error
	// LoadHistory calls take with each row of a resolution from since on, oldest first, until take returns an error,
	// which is returned. take keeps nothing of the row's Data, and may be called again from the first row on.
	LoadHistory(ctx context.Context, resolution time.Duration, since time.Time, take func(HistoryRow) error) error
	// TrimHistory removes the rows of a resolution before a time and tells how many.
	TrimHistory(ctx context.Context, resolution time.Duration, before time.Time) (int64, error)
}

// memoryConfigStore keeps the newest changes of a warden that has no Store.
type memoryConfigStore struct {
	mu      sync.Mutex
	changes []ConfigChange // newest last
}

const maxMemoryChanges = 100

func (m *memoryConfigStore) SaveConfig(_ context.Context, change ConfigChange) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.changes) == maxMemoryChanges {
		copy(m.changes, m.changes[1:])
		m.changes = m.changes[:maxMemoryChanges-1]
	}
	m.changes = append(m.changes, change)
	return nil
}

func (m *memoryConfigStore) LatestConfig(context.Context) (ConfigChange, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.changes) == 0 {
		return ConfigChange{}, false, nil
	}
	return m.changes[len(m.changes)-1], true, nil
}

func (m *memoryConfigStore) ConfigChanges(_ context.Context, limit int) ([]ConfigChange, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var newest []ConfigChange
	for i := len(m.changes) - 1; i >= 0 && len(newest) < limit; i-- {
		newest = append(newest, m.changes[i])
	}
	return newest, nil
}
