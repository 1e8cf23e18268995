package memwarden

import (
	"errors"
	"fmt"
	"time"

	"github.com/memwarden/memwarden/settings"
)

// SnapshotOptions say how heap snapshots of the calling process are taken, and where they are kept. The zero value takes
// them and keeps none.
type SnapshotOptions struct {
	// Disabled refuses every snapshot.
	Disabled bool
	// Helper is the program that reads the frozen process and analyses files: one that imports this module, as
	// cmd/memwarden does. Empty: the calling program itself, started anew; its main is never entered.
	Helper string
	// ReserveBytes are left alone of the memory that the container, or the machine, has free: a snapshot that would
	// take more is refused, and one under way is broken off. Default 64 MiB.
	ReserveBytes int64
	// BudgetBytes bounds what a helper may use; 0: what is free, less the reserve.
	BudgetBytes int64
	// Deadline is how long the frozen copy of the process may live. Default 30 s.
	Deadline time.Duration
	// Dir is where snapshots are kept that StoreSnapshot takes: a directory of their own, made if it is not there.
	// Empty: none are kept, unless leak detection may take some (LeakConfig.Snapshots, also when that is allowed later): then
	// they are in a directory of the program's own below os.TempDir, memwarden-PROGRAM-UID, for this user only (Linux).
	Dir string
	// MaxCount, MaxAge and MaxBytes bound what is kept there; the oldest go first. Default 5, 24 h and 1 GiB.
	MaxCount int
	MaxAge   time.Duration
	MaxBytes int64
	// Cooldown is the least time between two snapshots that StoreSnapshot takes. Default 10 s; negative: none.
	Cooldown time.Duration
	// Collapse is for how long, before the process halts, its memory may be moved from small pages to huge ones
	// (capture.Collapse): of these the halt copies one entry each, in place of hundreds, and is a third or less as long. It
	// takes no more memory, but a processor for so long at most: up to 5 s for each GiB where it was measured. Done from
	// 256 MiB on, where the halt would be felt, and never for the snapshot of an incident bundle, which must not wait. Default
	// 10 s; negative: not at all.
	Collapse time.Duration
	// HugePageBytes is for how much of the heap the kernel is asked to use huge pages, from the start of the warden: as
	// much as the heap will have. A process is frozen page by page, so that snapshots then halt it for a third of the
	// time or less, and it runs faster; but its memory is taken by 2 MiB, and some of what the collector returns may come
	// back. Only for Linux where /sys/kernel/mm/transparent_hugepage/enabled says "madvise". Default 0: not asked.
	HugePageBytes int64
}

// withDefaults validates the options and fills in what is missing.
func (o SnapshotOptions) withDefaults() (SnapshotOptions, error) {
	var problems []error
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"ReserveBytes", o.ReserveBytes}, {"BudgetBytes", o.BudgetBytes}, {"Deadline", int64(o.Deadline)},
		{"MaxCount", int64(o.MaxCount)}, {"MaxAge", int64(o.MaxAge)}, {"MaxBytes", o.MaxBytes},
		{"HugePageBytes", o.HugePageBytes},
	} {
		if field.value < 0 {
			problems = append(problems, fmt.Errorf("Snapshot.%s %d is negative", field.name, field.value))
		}
	}
	standard := DefaultSnapshotOptions()
	for _, field := range []struct{ at, standard *int64 }{
		{&o.ReserveBytes, &standard.ReserveBytes}, {&o.MaxBytes, &standard.MaxBytes},
	} {
		if *field.at == 0 {
			*field.at = *field.standard
		}
	}
	for _, field := range []struct{ at, standard *time.Duration }{
		{&o.Deadline, &standard.Deadline}, {&o.MaxAge, &standard.MaxAge}, {&o.Cooldown, &standard.Cooldown},
		{&o.Collapse, &standard.Collapse},
	} {
		if *field.at == 0 {
			*field.at = *field.standard
		}
	}
	if o.MaxCount == 0 {
		o.MaxCount = standard.MaxCount
	}
	return o, errors.Join(problems...)
}

// The settings of snapshots.
const (
	snapshotEnabled  = settings.Prefix + "SNAPSHOT_ENABLED"
	snapshotDir      = settings.Prefix + "SNAPSHOT_DIR"
	snapshotMaxCount = settings.Prefix + "SNAPSHOT_MAX_COUNT"
	snapshotMaxAge   = settings.Prefix + "SNAPSHOT_MAX_AGE"
	snapshotMaxBytes = settings.Prefix + "SNAPSHOT_MAX_BYTES"
	snapshotReserve  = settings.Prefix + "SNAPSHOT_RESERVE"
	snapshotBudget   = settings.Prefix + "SNAPSHOT_BUDGET"
	snapshotDeadline = settings.Prefix + "SNAPSHOT_DEADLINE"
	snapshotCooldown = settings.Prefix + "SNAPSHOT_COOLDOWN"
	snapshotHelper   = settings.Prefix + "SNAPSHOT_HELPER"
	snapshotCollapse = settings.Prefix + "SNAPSHOT_COLLAPSE"
	snapshotHuge     = settings.Prefix + "SNAPSHOT_HUGE_PAGES"
)

// SnapshotSettings is the table of settings that give SnapshotOptions their values: MEMWARDEN_SNAPSHOT_… in the
// environment.
func SnapshotSettings() []settings.Setting {
	const section = "Heap snapshots"
	return []settings.Setting{
		{Name: snapshotEnabled, Section: section, Kind: settings.Bool, Default: "true",
			Help: "Allow heap snapshots of the process."},
		{Name: snapshotDir, Section: section, Kind: settings.String,
			Help: "Directory that snapshots are kept in, of their own. Where none is set, the service has snapshots in its data directory, and other programs, on Linux, those that leak detection may take (LEAK_SNAPSHOTS) in one of their own among temporary files, memwarden-PROGRAM-UID, within the same bounds; elsewhere none are kept."},
		{Name: snapshotMaxCount, Section: section, Kind: settings.Int, Default: "5", Min: 1, Max: 1000,
			Help: "Snapshots that are kept; the oldest go first."},
		{Name: snapshotMaxAge, Section: section, Kind: settings.Duration, Default: "24h", Min: 60, Max: 366 * 86400,
			Help: "Age at which a snapshot is removed."},
		{Name: snapshotMaxBytes, Section: section, Kind: settings.Bytes, Default: "1GiB", Min: 1 << 20, Max: 1 << 50,
			Help: "Bytes of the disk that all snapshots together may take; the oldest go first."},
		{Name: snapshotReserve, Section: section, Kind: settings.Bytes, Default: "64MiB", Min: 1 << 20, Max: 1 << 50,
			Help: "Memory that a snapshot leaves free in the container or the machine: it is refused, or broken off, before it takes that."},
		{Name: snapshotBudget, Section: section, Kind: settings.Bytes, Default: "0", Min: 0, Max: 1 << 50,
			Help: "Memory that the helper process of a snapshot, or of its analysis, may use; 0: what is free, less the reserve."},
		{Name: snapshotDeadline, Section: section, Kind: settings.Duration, Default: "30s", Min: 1, Max: 600,
			Help: "How long the frozen copy of the process may live."},
		{Name: snapshotCooldown, Section: section, Kind: settings.Duration, Default: "10s", Min: 0, Max: 86400,
			Help: "Least time between two snapshots that are kept; 0s: none."},
		{Name: snapshotHelper, Section: section, Kind: settings.String,
			Help: "Program that reads and analyses snapshots, such as memwarden itself; without it the watched program is started anew for that, its main never entered."},
		{Name: snapshotCollapse, Section: section, Kind: settings.Duration, Default: "10s", Min: 0, Max: 600,
			Help: "How long, before a process of 256 MiB or more halts for a snapshot, its memory may be moved to huge pages, which makes the halt a third as long or less and takes a processor for that time at most; 0s: not at all. On Linux from 6.1 on; not for the snapshots of incident bundles."},
		{Name: snapshotHuge, Section: section, Kind: settings.Bytes, Default: "0", Min: 0, Max: 1 << 50,
			Help: "Heap for which the kernel is asked to use huge pages from the start, as much as it will have: snapshots halt the process for a third of the time or less, but memory is taken by 2 MiB. For Linux whose transparent huge pages are set to madvise; 0: not asked."},
	}
}

// SnapshotOptionsFrom builds SnapshotOptions from resolved settings.
func SnapshotOptionsFrom(values settings.Values) SnapshotOptions {
	o := SnapshotOptions{
		Disabled: !values.Bool(snapshotEnabled), Helper: values.String(snapshotHelper),
		ReserveBytes: values.Int(snapshotReserve), BudgetBytes: values.Int(snapshotBudget), Deadline: values.Duration(snapshotDeadline),
		Dir: values.String(snapshotDir), MaxCount: int(values.Int(snapshotMaxCount)), MaxAge: values.Duration(snapshotMaxAge),
		MaxBytes: values.Int(snapshotMaxBytes), Cooldown: values.Duration(snapshotCooldown),
		Collapse: values.Duration(snapshotCollapse), HugePageBytes: values.Int(snapshotHuge),
	}
	for _, duration := range []*time.Duration{&o.Cooldown, &o.Collapse} {
		if *duration == 0 {
			*duration = -1 // the setting's word for none
		}
	}
	return o
}

// DefaultSnapshotOptions returns the options of a warden that was told nothing.
func DefaultSnapshotOptions() SnapshotOptions {
	values, err := settings.Resolve(SnapshotSettings())
	if err != nil {
		panic(err) // a default outside its own range: a defect that every test would meet
	}
	return SnapshotOptionsFrom(values)
}
