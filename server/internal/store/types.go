package store

import (
	"errors"

	"github.com/memwarden/memwarden"
)

// Bounds of what the store takes and keeps. What is larger is refused, what is older is removed.
const (
	// MaxConfigChanges is how many configuration versions are kept; saving one removes the oldest beyond it.
	MaxConfigChanges = 1_000
	// MaxConfigBytes bounds Patch and Overrides of a configuration version, each.
	MaxConfigBytes = 32 << 10
	// MaxNameBytes bounds Actor and Peer of a configuration version, each.
	MaxNameBytes = 256
	// MaxHistoryRows is how many rows of a resolution are kept, 41 MB at the worst; saving removes the oldest beyond it.
	MaxHistoryRows = 20_000
	// MaxRowsPerSave bounds one SaveHistory.
	MaxRowsPerSave = 1_000
	// MaxRowBytes bounds Data of a row.
	MaxRowBytes = 4 << 10
)

// Errors to tell apart with errors.Is.
var (
	// ErrVersionConflict: another change was saved first. Read LatestConfig and decide anew.
	ErrVersionConflict = errors.New("configuration version is not the next one")
	// ErrOutcomeUnknown: the connection or the file was lost while a write was being made final, so that it may or may
	// not have been saved, but never in part. Read back to find out.
	ErrOutcomeUnknown = errors.New("it is not known whether this was saved")
	// ErrInUse: another process has this data directory open.
	ErrInUse = errors.New("the data directory is in use")
	// ErrNewerSchema: the database was migrated by a newer release than this one.
	ErrNewerSchema = errors.New("the database is newer than this program")
	// ErrMigrationsPending: the database has to be migrated first, and Options.NoMigrate forbids to do it here.
	ErrMigrationsPending = errors.New("the database has to be migrated first")
	// ErrClosed: the store was used after Close.
	ErrClosed = errors.New("the store is closed")
)

// ConfigChange is one version of the run-time configuration and one entry of the audit log. Its time is kept to the
// microsecond, in UTC.
type ConfigChange = memwarden.ConfigChange

// Row is one point of the memory history: at most MaxRowBytes of Data, its time kept to the microsecond, in UTC.
type Row = memwarden.HistoryRow

// PoolStats tells how the connections to the database are used.
type PoolStats struct {
	Kind        string  `json:"kind"` // "sqlite" or "postgres"
	Max         int64   `json:"max"`  // bound
	InUse       int64   `json:"in_use"`
	Idle        int64   `json:"idle"`
	Open        int64   `json:"open"`        // in use, idle, and those about to be
	Peak        int64   `json:"peak"`        // most in use at once since Open
	PeakOpen    int64   `json:"peak_open"`   // most open at once; exact for PostgreSQL, for SQLite as often as it was asked
	Waits       int64   `json:"waits_total"` // operations that had to wait for a connection
	WaitSeconds float64 `json:"wait_seconds_total"`
	HeldTooLong int64   `json:"held_too_long_total"` // connections that were not given back for 30 s; PostgreSQL only
}
