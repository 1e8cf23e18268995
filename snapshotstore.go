package memwarden

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/memwarden/memwarden/cleanup"
	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/heap/retain"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/snaphelper"
)

// Errors of snapshots that are kept.
var (
	// ErrNoSnapshotDir means that no snapshots are kept.
	ErrNoSnapshotDir = errors.New("no heap snapshots are kept: no directory is set for them (MEMWARDEN_SNAPSHOT_DIR), and leak detection may take none (MEMWARDEN_LEAK_SNAPSHOTS)")
	// ErrSnapshotDir means that the directory cannot be used.
	ErrSnapshotDir = errors.New("the directory of heap snapshots cannot be used (MEMWARDEN_SNAPSHOT_DIR)")
)

// SnapshotCooldownError refuses a snapshot that comes too soon after another.
type SnapshotCooldownError struct {
	RetryAfter time.Duration
}

func (e *SnapshotCooldownError) Error() string {
	return fmt.Sprintf("the last heap snapshot was taken a moment ago (MEMWARDEN_SNAPSHOT_COOLDOWN): the next may be in %v", e.RetryAfter.Round(time.Second/10))
}

const (
	// fileShare is the part of the heap's bytes that the file of a snapshot has at most, by experience.
	fileShare     = 4
	leastFileSize = 4 << 20
	// spareDisk stays free on the disk of the snapshots.
	spareDisk = 64 << 20
	// pruneInterval is how often snapshots that have become too old are removed; they are not listed before that either.
	pruneInterval = 10 * time.Minute
)

// buildSnapshots opens the directory of snapshots, if one is set.
func (w *Warden) buildSnapshots() (err error) {
	o := w.o.Snapshot
	if o.Disabled || w.Remote() {
		return nil
	}
	if o.HugePageBytes > 0 {
		w.preferHugePages(o.HugePageBytes)
	}
	if o.Dir != "" {
		w.snapshots, err = w.openSnapshots(o.Dir)
	}
	return err
}

// openSnapshots opens a directory of snapshots, shows it among the limits, and has it kept in order.
func (w *Warden) openSnapshots(dir string) (*archive.Archive, error) {
	o := w.o.Snapshot
	kept, err := archive.Open(archive.Options{
		Dir: dir, MaxCount: o.MaxCount, MaxAge: o.MaxAge, MaxBytes: o.MaxBytes, SpareBytes: spareDisk, Now: w.o.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotDir, err)
	}
	unregister, err := w.owners.register(kept)
	if err != nil {
		return nil, err
	}
	if _, err := w.cleanup.Add(cleanup.Task{
		Name: kept.Name(), Interval: pruneInterval,
		Run: func(context.Context, cleanup.Trigger) (int64, error) { return kept.Prune() },
	}); err != nil {
		unregister()
		return nil, err
	}
	return kept, nil
}

// Snapshots are those that are kept; ErrNoSnapshotDir where none are, ErrSnapshotDir where there should be a directory and
// cannot, ErrRemote where another process is watched.
func (w *Warden) Snapshots() (*archive.Archive, error) {
	switch {
	case w.Remote():
		return nil, ErrRemote
	case w.o.Snapshot.Disabled:
		return nil, ErrSnapshotDisabled
	case w.snapshots == nil:
		return w.ownSnapshots()
	}
	return w.snapshots, nil
}

// StoreSnapshot takes a snapshot as Snapshot does and keeps it among Snapshots. It is refused before anything is done if
// another was taken a moment ago (*SnapshotCooldownError), or if there is no room for the file (archive.ErrNoRoom).
func (w *Warden) StoreSnapshot(ctx context.Context) (archive.Record, error) {
	kept, err := w.Snapshots()
	if err != nil {
		return archive.Record{}, err
	}
	release, err := w.beginSnapshot()
	if err != nil {
		return archive.Record{}, err
	}
	defer release()
	now := w.o.Now()
	since := now.Sub(w.lastSnapshot) // below 0 where the clock was set back
	if wait := w.o.Snapshot.Cooldown - since; !w.lastSnapshot.IsZero() && since >= 0 && wait > 0 {
		return archive.Record{}, &SnapshotCooldownError{RetryAfter: wait}
	}
	heap := w.State().Sample.Go.HeapObjectsBytes.Or(0)
	draft, err := kept.Create(max(leastFileSize, heap/fileShare))
	if err != nil {
		return archive.Record{}, fmt.Errorf("memwarden: heap snapshot: %w", err)
	}
	defer func() { _ = draft.Discard() }() // of a file that is kept it is nothing
	w.lastSnapshot = now
	if _, err := w.takeSnapshot(ctx, draft.File.File, taking{maxBytes: draft.LimitBytes}); err != nil {
		return archive.Record{}, err
	}
	record, err := draft.Keep()
	if err != nil {
		return archive.Record{}, fmt.Errorf("memwarden: heap snapshot: %w", err)
	}
	return record, nil
}

// AnalyzeSnapshot says what holds the memory in a snapshot that is kept. The first call does the work, in a helper
// process within what memory is free (ErrSnapshotRoom); later ones read what it has found. What went wrong in the
// snapshot itself is kept too. archive.ErrNotFound: there is no such snapshot; ErrSnapshotBusy: ask again.
func (w *Warden) AnalyzeSnapshot(ctx context.Context, id string) (*retain.Analysis, error) {
	kept, err := w.Snapshots()
	if err != nil {
		return nil, err
	}
	record, err := kept.Get(id)
	if err != nil {
		return nil, err
	}
	if record.Failure != "" {
		return nil, errors.New(record.Failure)
	}
	if !record.Analyzed {
		a, _, err := w.analyzeNow(ctx, kept, record, nil)
		return a, err
	}
	text, err := kept.Analysis(id)
	if err != nil {
		return nil, err
	}
	a := new(retain.Analysis)
	if err := json.Unmarshal(text, a); err != nil {
		return nil, fmt.Errorf("memwarden: read the analysis of snapshot %s: %w", id, err)
	}
	return a, nil
}

// analyzeNow has a helper analyse a snapshot and keeps what comes of it, but not how the objects at some addresses are
// held. What only time or memory were lacking for is not kept either.
func (w *Warden) analyzeNow(ctx context.Context, kept *archive.Archive, record archive.Record, addresses [][]uint64) (*retain.Analysis, []retain.Held, error) {
	release, err := w.beginSnapshot()
	if err != nil {
		return nil, nil, err
	}
	defer release()
	a, held, err := w.analyze(ctx, kept, record, addresses)
	switch {
	case err == nil:
		text, err := json.Marshal(a)
		if err == nil {
			_, err = kept.Note(record.ID, text, "")
		}
		if err != nil && !errors.Is(err, archive.ErrNotFound) { // it may have been removed meanwhile
			w.o.Logger.Error("memory heap snapshot: the analysis cannot be kept", "id", record.ID, "error", err)
		}
		return a, held, nil
	case ctx.Err() == nil && !errors.Is(err, ErrSnapshotRoom) && !errors.Is(err, fs.ErrNotExist) && !w.stopped():
		if _, noted := kept.Note(record.ID, nil, err.Error()); noted != nil && !errors.Is(noted, archive.ErrNotFound) {
			w.o.Logger.Error("memory heap snapshot: the failed analysis cannot be noted", "id", record.ID, "error", noted)
		}
	}
	w.o.Logger.Warn("memory heap snapshot was not analysed", "id", record.ID, "error", err)
	return nil, nil, err
}

// analyze runs the helper.
func (w *Warden) analyze(ctx context.Context, kept *archive.Archive, record archive.Record, addresses [][]uint64) (*retain.Analysis, []retain.Held, error) {
	ctx, cancel := w.untilClosed(ctx)
	defer cancel()
	meter, err := newRoomMeter(w.o.Root)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = meter.Close() }() // only read
	need := retain.MemoryBytes(snapshot.Totals{Objects: record.Summary.Objects, Edges: record.Summary.Edges})
	budget, err := w.afford(meter.read(w.o.Now()), "an analysis", need, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: download the file and analyse it elsewhere (memwarden analyze)", err)
	}
	file, err := kept.OpenFile(record.ID)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }() // only read
	guarded, stop := meter.guard(ctx, "the analysis", w.o.Snapshot.ReserveBytes, w.o.Now)
	defer stop()
	return snaphelper.AnalyzeHeld(guarded, snaphelper.Options{Executable: w.o.Snapshot.Helper, BudgetBytes: budget}, file, addresses)
}

// stopped reports whether the warden has stopped.
func (w *Warden) stopped() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}
