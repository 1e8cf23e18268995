// Package archive keeps snapshot files in a directory, within bounds of count, age and bytes; the oldest go first.
//
// It knows files, names and what a snapshot's first and last sections say of it. What a snapshot means is the business
// of packages graph and retain: what they found is kept here beside the file as a document that nobody looks into.
// The facade stands above, which takes snapshots, and so does the command line, which writes single files.
package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/snapshot"
	"github.com/memwarden/memwarden/internal/bounddir"
)

// Errors of an Archive.
var (
	// ErrNotFound means that there is no snapshot of an id: there never was, it has become too old, or it had to make
	// room.
	ErrNotFound = errors.New("there is no such snapshot")
	// ErrNoRoom means that a snapshot does not fit: on the disk, or into the bound of bytes.
	ErrNoRoom = errors.New("there is no room for a snapshot")
)

// Options of an Archive. MaxCount, MaxAge and MaxBytes must be positive.
type Options struct {
	// Dir is the directory, which is made if it is not there. It belongs to one Archive: what a crash has left half
	// written is removed from it.
	Dir string
	// MaxCount bounds how many snapshots are kept.
	MaxCount int
	// MaxAge is after which time a snapshot is removed.
	MaxAge time.Duration
	// MaxBytes bounds the files of all snapshots together, what was found in them included.
	MaxBytes int64
	// SpareBytes stay free on the disk.
	SpareBytes int64
	// Now is the clock.
	Now func() time.Time
	// Free tells what may be written to a directory's disk; nil: FreeBytes.
	Free func(dir string) (int64, error)
}

// Record is a snapshot that is kept.
type Record struct {
	ID    string
	At    time.Time // when it was taken
	Bytes int64     // of the snapshot's file
	// Header and Summary are the file's own; zero if it is damaged, which Failure then says.
	Header  snapshot.Header
	Summary snapshot.Summary
	// Analyzed tells that there is an analysis.
	Analyzed bool
	// Failure says why there is none; empty while nobody has tried.
	Failure string
}

// Archive is a directory of snapshots. It is safe for concurrent use, and is a bounded.Owner of bytes on a disk.
type Archive struct {
	o       Options
	entries *bounddir.List[entry]
}

// entry is a record and what its analysis takes.
type entry struct {
	Record

	notesBytes int64
}

const (
	snapshotSuffix = ".snapshot"
	notesSuffix    = ".json"
)

// Open opens a directory: it takes over the snapshots that are there, removes what was left half written, and what is
// beyond the bounds.
func Open(o Options) (*Archive, error) {
	if o.Dir == "" || o.MaxCount <= 0 || o.MaxAge <= 0 || o.MaxBytes <= 0 || o.SpareBytes < 0 || o.Now == nil {
		return nil, fmt.Errorf("archive: options: directory %q, at most %d snapshots of %v and %d bytes, %d bytes to spare: want a directory, a clock and positive bounds",
			o.Dir, o.MaxCount, o.MaxAge, o.MaxBytes, o.SpareBytes)
	}
	if o.Free == nil {
		o.Free = FreeBytes
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("archive: make directory: %w", err)
	}
	a := &Archive{o: o}
	found, err := a.read()
	if err != nil {
		return nil, fmt.Errorf("archive: open %s: %w", o.Dir, err)
	}
	a.entries = bounddir.New(found, bounddir.Options[entry]{
		Evicting: "archive: remove old snapshots",
		MaxCount: o.MaxCount, MaxAge: o.MaxAge, MaxBytes: o.MaxBytes, Now: o.Now, Remove: a.removeFiles,
		Entry: func(e *entry) bounddir.Entry {
			return bounddir.Entry{ID: e.ID, At: e.At, Bytes: e.Bytes + e.notesBytes}
		},
	})
	return a, a.entries.Evict()
}

// read finds what is in the directory.
func (a *Archive) read() (found []entry, err error) {
	files, err := os.ReadDir(a.o.Dir)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, file := range files {
		name := file.Name()
		id := strings.TrimSuffix(name, filepath.Ext(name))
		switch {
		case strings.HasPrefix(name, ".") && strings.HasSuffix(name, temporary):
			problems = append(problems, remove(filepath.Join(a.o.Dir, name)))
		case filepath.Ext(name) == snapshotSuffix && bounddir.IsID(id):
			e, err := a.load(id)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			found = append(found, e)
		case filepath.Ext(name) == notesSuffix && bounddir.IsID(id):
			if _, err := os.Stat(a.path(id)); errors.Is(err, fs.ErrNotExist) { // a crash while it was removed
				problems = append(problems, remove(filepath.Join(a.o.Dir, name)))
			}
		}
	}
	return found, errors.Join(problems...)
}

// load reads a record. A file that is damaged is one, so that it takes part in the bounds.
func (a *Archive) load(id string) (entry, error) {
	file, err := os.Open(a.path(id))
	if err != nil {
		return entry{}, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return entry{}, err
	}
	e := entry{Record: Record{ID: id, Bytes: info.Size()}}
	var known bool
	if e.At, known = bounddir.TimeOf(id); !known {
		e.At = info.ModTime()
	}
	reader, err := snapshot.Open(file, info.Size())
	if err != nil {
		e.Failure = fmt.Sprintf("the file is damaged: %v", err)
		return e, nil
	}
	e.Header, e.Summary = reader.Header(), reader.Summary()
	if e.Header.TakenAt != 0 {
		e.At = time.Unix(0, e.Header.TakenAt).UTC()
	}
	notes, size, err := a.readNotes(id)
	if err == nil {
		e.Analyzed, e.Failure, e.notesBytes = notes.Analysis != nil, notes.Failure, size
	} else if !errors.Is(err, fs.ErrNotExist) {
		e.Failure = fmt.Sprintf("the analysis cannot be read: %v", err)
	}
	return e, nil
}

func (a *Archive) path(id string) string { return filepath.Join(a.o.Dir, id+snapshotSuffix) }

func (a *Archive) notesPath(id string) string { return filepath.Join(a.o.Dir, id+notesSuffix) }

// Draft is a snapshot that is being written: to its File, LimitBytes of them at most.
type Draft struct {
	*File

	LimitBytes int64

	archive *Archive
	id      string
}

// Create begins a snapshot. It costs nothing to speak of: if the disk or the bound of bytes have no room for a file of
// so many bytes, the error says so with the figures and wraps ErrNoRoom.
func (a *Archive) Create(expectedBytes int64) (*Draft, error) {
	limit := a.o.MaxBytes
	if expectedBytes > limit {
		return nil, fmt.Errorf("archive: %w: it takes about %s, and all of them may take %s", ErrNoRoom, bytesize.Format(expectedBytes), bytesize.Format(limit))
	}
	free, err := a.o.Free(a.o.Dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported): // writing will tell
	case err != nil:
		return nil, fmt.Errorf("archive: free space of %s: %w", a.o.Dir, err)
	case free-a.o.SpareBytes < expectedBytes:
		return nil, fmt.Errorf("archive: %w: it takes about %s, and the disk of %s has %s free, of which %s stay so", ErrNoRoom,
			bytesize.Format(expectedBytes), a.o.Dir, bytesize.Format(free), bytesize.Format(a.o.SpareBytes))
	default:
		limit = min(limit, free-a.o.SpareBytes)
	}
	id := bounddir.NewID(a.o.Now())
	file, err := CreateFile(a.path(id))
	if err != nil {
		return nil, err
	}
	return &Draft{File: file, LimitBytes: limit, archive: a, id: id}, nil
}

// Keep makes the snapshot one of the archive's, durably, and removes the oldest as far as it takes to stay within the
// bounds. After an error nothing is left of it.
func (d *Draft) Keep() (Record, error) {
	a := d.archive
	info, err := d.Stat()
	if err == nil && info.Size() > a.o.MaxBytes {
		err = fmt.Errorf("%w: it has %s, and all of them may have %s", ErrNoRoom, bytesize.Format(info.Size()), bytesize.Format(a.o.MaxBytes))
	}
	if err != nil {
		return Record{}, errors.Join(fmt.Errorf("archive: keep snapshot: %w", err), d.Discard())
	}
	e, err := a.entries.Add(info.Size(), func() (entry, error) {
		if err := d.Commit(); err != nil {
			return entry{}, err
		}
		e, err := a.load(d.id)
		if err != nil {
			return entry{}, fmt.Errorf("archive: keep snapshot: %w", err)
		}
		return e, nil
	})
	if err != nil {
		return Record{}, errors.Join(err, d.Discard())
	}
	return e.Record, nil
}

// removeFiles removes the snapshot before what was found in it: what is left after a crash is then no snapshot.
func (a *Archive) removeFiles(id string) error {
	return errors.Join(remove(a.path(id)), remove(a.notesPath(id)))
}

// Prune removes the snapshots that have become too old and tells how many bytes that freed. They are not listed before
// that either.
func (a *Archive) Prune() (freed int64, err error) { return a.entries.Prune() }

// List returns the snapshots, newest first.
func (a *Archive) List() []Record {
	list := []Record{}
	for _, e := range a.entries.Newest() {
		list = append(list, e.Record)
	}
	return list
}

// Get returns a snapshot's record; ErrNotFound if there is none.
func (a *Archive) Get(id string) (Record, error) {
	e, found := a.entries.Get(id)
	if !found {
		return Record{}, fmt.Errorf("archive: %w: %q", ErrNotFound, id)
	}
	return e.Record, nil
}

// OpenFile opens a snapshot's file for reading; ErrNotFound if there is none. It can be read to its end even if it is
// removed meanwhile. The caller closes it.
func (a *Archive) OpenFile(id string) (*os.File, error) {
	if _, err := a.Get(id); err != nil {
		return nil, err
	}
	file, err := os.Open(a.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("archive: %w: %q: its file has gone", ErrNotFound, id)
	}
	return file, err
}

// Delete removes a snapshot; ErrNotFound if there is none.
func (a *Archive) Delete(id string) error {
	found, err := a.entries.Delete(id)
	switch {
	case !found:
		return fmt.Errorf("archive: %w: %q", ErrNotFound, id)
	case err != nil:
		return fmt.Errorf("archive: delete snapshot: %w", err)
	}
	return syncDirectory(a.o.Dir)
}

// notes are what is kept beside a snapshot.
type notes struct {
	Failure  string          `json:"failure,omitzero"`
	Analysis json.RawMessage `json:"analysis,omitzero"`
}

// maxNotesBytes bounds what is kept of an analysis.
const maxNotesBytes = 64 << 20

// Note keeps what an analysis has found in a snapshot, a JSON document, or why there is none. It returns the record as it
// is then.
func (a *Archive) Note(id string, analysis json.RawMessage, failure string) (Record, error) {
	body, err := json.Marshal(notes{failure, analysis})
	if err != nil {
		return Record{}, fmt.Errorf("archive: encode analysis: %w", err)
	}
	if len(body) > maxNotesBytes {
		return Record{}, fmt.Errorf("archive: an analysis of %s: want at most %s", bytesize.Format(int64(len(body))), bytesize.Format(maxNotesBytes))
	}
	e, found, err := a.entries.Change(id, func(e *entry) error {
		file, err := CreateFile(a.notesPath(id))
		if err != nil {
			return err
		}
		if _, err := file.Write(body); err != nil {
			return errors.Join(fmt.Errorf("archive: write analysis: %w", err), file.Discard())
		}
		if err := file.Commit(); err != nil {
			return err
		}
		e.Analyzed, e.Failure, e.notesBytes = analysis != nil, failure, int64(len(body))
		return nil
	})
	if !found {
		return Record{}, fmt.Errorf("archive: %w: %q", ErrNotFound, id)
	}
	return e.Record, err
}

// Analysis returns the document that Note has kept, nil if there is none; ErrNotFound if there is no such snapshot.
func (a *Archive) Analysis(id string) (json.RawMessage, error) {
	record, err := a.Get(id)
	if err != nil || !record.Analyzed {
		return nil, err
	}
	kept, _, err := a.readNotes(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("archive: %w: %q: its files have gone", ErrNotFound, id)
	}
	return kept.Analysis, err
}

func (a *Archive) readNotes(id string) (kept notes, size int64, err error) {
	info, err := os.Stat(a.notesPath(id))
	if err != nil {
		return kept, 0, err
	}
	if info.Size() > maxNotesBytes {
		return kept, info.Size(), fmt.Errorf("archive: %s has %s: want at most %s", a.notesPath(id), bytesize.Format(info.Size()), bytesize.Format(maxNotesBytes))
	}
	body, err := os.ReadFile(a.notesPath(id))
	if err != nil {
		return kept, 0, err
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&kept); err != nil {
		return kept, int64(len(body)), fmt.Errorf("archive: %s: %w", a.notesPath(id), err)
	}
	return kept, int64(len(body)), nil
}

// Name is the name of a bounded.Owner.
func (*Archive) Name() string { return "heap_snapshots" }

// OutsideHeap says that the bytes are those of files.
func (a *Archive) OutsideHeap() {}

// Usage tells how many snapshots there are and how many bytes of the disk they take.
func (a *Archive) Usage() bounded.Usage {
	return a.entries.Usage()
}

// Shrink frees nothing: the bytes are a disk's, not the memory's.
func (*Archive) Shrink(context.Context, int64) int64 { return 0 }
