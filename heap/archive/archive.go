// Package archive keeps snapshot files in a directory, within bounds of count, age and bytes; the oldest go first.
//
// It knows files, names and what a snapshot's first and last sections say of it. What a snapshot means is the business
// of packages graph and retain: what they found is kept here beside the file as a document that nobody looks into.
// The facade stands above, which takes snapshots, and so does the command line, which writes single files.
package archive

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/heap/snapshot"
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
	o Options

	mu      sync.Mutex
	records []entry // oldest first

	// For Usage, which must not wait for the disk.
	count, bytes, peakCount, peakBytes atomic.Int64
}

// entry is a record and what its analysis takes.
type entry struct {
	Record

	notesBytes int64
}

const (
	snapshotSuffix = ".snapshot"
	notesSuffix    = ".json"
	idTime         = "20060102T150405Z"
)

// idForm is what an id looks like: a time and a random number. Nothing else ever becomes part of a path.
var idForm = regexp.MustCompile(`^\d{8}T\d{6}Z-[0-9a-f]{8}$`)

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
	if err := a.read(); err != nil {
		return nil, fmt.Errorf("archive: open %s: %w", o.Dir, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a, a.evict(0, 0)
}

// read takes over what is in the directory.
func (a *Archive) read() error {
	files, err := os.ReadDir(a.o.Dir)
	if err != nil {
		return err
	}
	var problems []error
	for _, file := range files {
		name := file.Name()
		id := strings.TrimSuffix(name, filepath.Ext(name))
		switch {
		case strings.HasPrefix(name, ".") && strings.HasSuffix(name, temporary):
			problems = append(problems, remove(filepath.Join(a.o.Dir, name)))
		case filepath.Ext(name) == snapshotSuffix && idForm.MatchString(id):
			e, err := a.load(id)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			a.records = append(a.records, e)
		case filepath.Ext(name) == notesSuffix && idForm.MatchString(id):
			if _, err := os.Stat(a.path(id)); errors.Is(err, fs.ErrNotExist) { // a crash while it was removed
				problems = append(problems, remove(filepath.Join(a.o.Dir, name)))
			}
		}
	}
	slices.SortFunc(a.records, func(x, y entry) int {
		return cmp.Or(x.At.Compare(y.At), strings.Compare(x.ID, y.ID))
	})
	a.account()
	return errors.Join(problems...)
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
	if e.At, err = time.Parse(idTime, id[:len(idTime)]); err != nil {
		e.At = info.ModTime() // such as month 13: not our name
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
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	id := a.o.Now().UTC().Format(idTime) + "-" + hex.EncodeToString(random[:])
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
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.evict(1, info.Size()); err != nil {
		return Record{}, errors.Join(err, d.Discard())
	}
	if err := d.Commit(); err != nil {
		return Record{}, err
	}
	e, err := a.load(d.id)
	if err != nil {
		return Record{}, fmt.Errorf("archive: keep snapshot: %w", err)
	}
	a.records = append(a.records, e)
	a.account()
	return e.Record, nil
}

// evict removes what is too old, and the oldest until there is room for so many more. The caller holds mu.
func (a *Archive) evict(more int, moreBytes int64) error {
	var problems []error
	count, total := len(a.records), a.total()
	stale := a.o.Now().Add(-a.o.MaxAge)
	kept := a.records[:0]
	for _, e := range a.records {
		if e.At.Before(stale) || count+more > a.o.MaxCount || total+moreBytes > a.o.MaxBytes {
			if err := a.removeFiles(e.ID); err != nil {
				problems = append(problems, err)
				kept = append(kept, e) // it still takes its room
				continue
			}
			count--
			total -= e.Bytes + e.notesBytes
			continue
		}
		kept = append(kept, e)
	}
	clear(a.records[len(kept):])
	a.records = kept
	a.account()
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("archive: remove old snapshots: %w", err)
	}
	return nil
}

// removeFiles removes the snapshot before what was found in it: what is left after a crash is then no snapshot.
func (a *Archive) removeFiles(id string) error {
	return errors.Join(remove(a.path(id)), remove(a.notesPath(id)))
}

func (a *Archive) total() (bytes int64) {
	for _, e := range a.records {
		bytes += e.Bytes + e.notesBytes
	}
	return bytes
}

// account publishes the figures of Usage. The caller holds mu, or nobody else has the archive yet.
func (a *Archive) account() {
	count, total := int64(len(a.records)), a.total()
	a.count.Store(count)
	a.bytes.Store(total)
	a.peakCount.Store(max(a.peakCount.Load(), count))
	a.peakBytes.Store(max(a.peakBytes.Load(), total))
}

// Prune removes the snapshots that have become too old and tells how many bytes that freed. They are not listed before
// that either.
func (a *Archive) Prune() (freed int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.total()
	err = a.evict(0, 0)
	return before - a.total(), err
}

// List returns the snapshots, newest first.
func (a *Archive) List() []Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := []Record{}
	stale := a.o.Now().Add(-a.o.MaxAge)
	for _, e := range slices.Backward(a.records) {
		if !e.At.Before(stale) {
			list = append(list, e.Record)
		}
	}
	return list
}

// Get returns a snapshot's record; ErrNotFound if there is none.
func (a *Archive) Get(id string) (Record, error) {
	for _, r := range a.List() {
		if r.ID == id {
			return r, nil
		}
	}
	return Record{}, fmt.Errorf("archive: %w: %q", ErrNotFound, id)
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
	a.mu.Lock()
	defer a.mu.Unlock()
	at := slices.IndexFunc(a.records, func(e entry) bool { return e.ID == id })
	if at < 0 {
		return fmt.Errorf("archive: %w: %q", ErrNotFound, id)
	}
	if err := a.removeFiles(id); err != nil {
		return fmt.Errorf("archive: delete snapshot: %w", err)
	}
	a.records = slices.Delete(a.records, at, at+1)
	a.account()
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
	a.mu.Lock()
	defer a.mu.Unlock()
	at := slices.IndexFunc(a.records, func(e entry) bool { return e.ID == id })
	if at < 0 {
		return Record{}, fmt.Errorf("archive: %w: %q", ErrNotFound, id)
	}
	file, err := CreateFile(a.notesPath(id))
	if err != nil {
		return Record{}, err
	}
	if _, err := file.Write(body); err != nil {
		return Record{}, errors.Join(fmt.Errorf("archive: write analysis: %w", err), file.Discard())
	}
	if err := file.Commit(); err != nil {
		return Record{}, err
	}
	e := &a.records[at]
	e.Analyzed, e.Failure, e.notesBytes = analysis != nil, failure, int64(len(body))
	a.account()
	return e.Record, nil
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
	return bounded.Usage{
		Entries: a.count.Load(), MaxEntries: int64(a.o.MaxCount), PeakEntries: a.peakCount.Load(),
		Bytes: a.bytes.Load(), MaxBytes: a.o.MaxBytes, PeakBytes: a.peakBytes.Load(),
	}
}

// Shrink frees nothing: the bytes are a disk's, not the memory's.
func (*Archive) Shrink(context.Context, int64) int64 { return 0 }
