package incident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/heap/archive"
	"github.com/memwarden/memwarden/internal/bounddir"
)

// Options of a Store. MaxCount, MaxAge and MaxBytes must be positive.
type Options struct {
	// Dir is the directory, which is made if it is not there. It belongs to one Store of one process at a time.
	Dir string
	// MaxCount bounds how many bundles are kept; the oldest go first.
	MaxCount int
	// MaxAge is after which time a bundle is removed.
	MaxAge time.Duration
	// MaxBytes bounds the files of all bundles together. A part that is being written comes on top of it, until it is
	// finished and the oldest bundles make room.
	MaxBytes int64
	// SpareBytes stay free on the disk.
	SpareBytes int64
	// Now is the clock.
	Now func() time.Time
	// Free tells what may be written to a directory's disk; nil: archive.FreeBytes.
	Free func(dir string) (int64, error)
}

// Store is a directory of bundles. It is safe for concurrent use, and is a bounded.Owner of bytes on a disk.
type Store struct {
	o       Options
	bundles *bounddir.List[Record]
}

// Open opens a directory and takes over what is there. What a process has left half written when it was killed becomes
// a bundle that says so, or goes if there is nothing in it. What is beyond the bounds is removed. A bundle that cannot be
// read is listed with its damage; an error means that the directory cannot be used.
func Open(o Options) (*Store, error) {
	if o.Dir == "" || o.MaxCount <= 0 || o.MaxAge <= 0 || o.MaxBytes <= 0 || o.SpareBytes < 0 || o.Now == nil {
		return nil, fmt.Errorf("incident: options: directory %q, at most %d bundles of %v and %d bytes, %d bytes to spare: want a directory, a clock and positive bounds",
			o.Dir, o.MaxCount, o.MaxAge, o.MaxBytes, o.SpareBytes)
	}
	if o.Free == nil {
		o.Free = archive.FreeBytes
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("incident: make directory: %w", err)
	}
	s := &Store{o: o}
	found, err := s.read()
	if err != nil {
		return nil, fmt.Errorf("incident: open %s: %w", o.Dir, err)
	}
	s.bundles = bounddir.New(found, bounddir.Options[Record]{
		Evicting: "incident: remove old bundles",
		MaxCount: o.MaxCount, MaxAge: o.MaxAge, MaxBytes: o.MaxBytes, Now: o.Now, Remove: s.remove,
		Entry: func(r *Record) bounddir.Entry { return bounddir.Entry{ID: r.ID, At: r.At, Bytes: r.Bytes} },
	})
	return s, s.bundles.Evict()
}

// read finds what is in the directory.
func (s *Store) read() (found []Record, err error) {
	entries, err := os.ReadDir(s.o.Dir)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, entry := range entries {
		id := entry.Name()
		if inner, ok := strings.CutPrefix(id, "."); ok && strings.HasSuffix(inner, partial) {
			var kept bool
			id = strings.TrimSuffix(inner, partial)
			if kept, err = s.salvage(id); err != nil {
				problems = append(problems, err)
			}
			if !kept {
				continue
			}
		}
		if entry.IsDir() && bounddir.IsID(id) {
			found = append(found, s.load(id))
		}
	}
	return found, errors.Join(problems...)
}

// salvage makes a bundle of what a killed process has left of one, and removes what there is nothing in.
func (s *Store) salvage(id string) (kept bool, err error) {
	left := s.partialPath(id)
	files, err := os.ReadDir(left)
	if err != nil || !bounddir.IsID(id) { // a manifest or a run's file that was being written
		return false, os.RemoveAll(left)
	}
	text, err := readFile(filepath.Join(left, manifestName), maxManifestBytes)
	if err == nil {
		if _, err = parseManifest(text); err == nil { // only the name was lacking
			return true, os.Rename(left, s.path(id))
		}
	}
	m := Manifest{
		Version: manifestVersion, ID: id, Cause: Cause{Rule: "unknown", Reason: "the process died before the manifest was written"},
		Parts: []Part{}, Missing: []Missing{}, Pending: []string{"the rest"},
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil || !info.Mode().IsRegular() || !isPartName(file.Name()) || file.Name() == manifestName || len(m.Parts) == maxParts {
			continue
		}
		m.At = info.ModTime().UTC()
		m.Parts = append(m.Parts, Part{Name: file.Name(), What: "left by a process that died; the last one may be cut short", Bytes: info.Size(), At: m.At})
	}
	if len(m.Parts) == 0 {
		return false, os.RemoveAll(left)
	}
	if err := writeJSON(filepath.Join(left, manifestName), m); err != nil {
		return false, err
	}
	if err := os.Rename(left, s.path(id)); err != nil {
		return false, err
	}
	return true, nil
}

// load reads a bundle. One that is damaged is one, so that it takes part in the bounds.
func (s *Store) load(id string) Record {
	dir := s.path(id)
	r := Record{Manifest: Manifest{ID: id, Parts: []Part{}, Missing: []Missing{}}}
	sizes := map[string]int64{}
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), partial) { // a part that was being written
			_ = os.Remove(filepath.Join(dir, entry.Name())) // if it stays it takes part in the bounds
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			sizes[entry.Name()] = info.Size()
			r.Bytes += info.Size()
		}
	}
	var text []byte
	if err == nil && sizes[manifestName] > maxManifestBytes {
		err = fmt.Errorf("the manifest has %d bytes: want at most %d", sizes[manifestName], maxManifestBytes)
	}
	if err == nil {
		text, err = os.ReadFile(filepath.Join(dir, manifestName))
	}
	var m Manifest
	if err == nil {
		m, err = parseManifest(text)
	}
	if err == nil && m.ID != id {
		err = fmt.Errorf("the manifest is that of %s", m.ID)
	}
	if err != nil {
		r.Damage = line(err.Error())
		r.At, _ = bounddir.TimeOf(id) // what has none is not ours, and old
		return r
	}
	r.Manifest = m
	for _, p := range m.Parts {
		if size, ok := sizes[p.Name]; !ok || size != p.Bytes {
			r.Damage = fmt.Sprintf("%s is not there as it was written", p.Name)
		}
	}
	return r
}

func (s *Store) path(id string) string { return filepath.Join(s.o.Dir, id) }

func (s *Store) partialPath(id string) string { return filepath.Join(s.o.Dir, "."+id+partial) }

// remove takes a bundle's name before its files, so that a crash leaves no half of it.
func (s *Store) remove(id string) error {
	gone := s.partialPath("removed-" + id)
	if err := os.Rename(s.path(id), gone); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return os.RemoveAll(gone)
}

// update has a bundle's record and files changed, and makes the others keep the bounds; ErrNotFound if there is none.
func (s *Store) update(id string, change func(*Record) error) error {
	found, err := s.bundles.Update(id, change)
	if !found {
		return fmt.Errorf("incident: %w: %q", ErrNotFound, id)
	}
	return err
}

// room is how many bytes a new bundle may take: within the bound of all, older ones making room for it, and as many as
// the disk has beyond what stays free.
func (s *Store) room() (int64, error) {
	free, err := s.o.Free(s.o.Dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported): // writing will tell
		return s.o.MaxBytes, nil
	case err != nil:
		return 0, fmt.Errorf("free space of %s: %w", s.o.Dir, err)
	}
	return min(s.o.MaxBytes, free-s.o.SpareBytes), nil
}

// Prune removes the bundles that have become too old and tells how many bytes that freed. They are not listed before
// that either.
func (s *Store) Prune() (freed int64, err error) { return s.bundles.Prune() }

// List returns the bundles, newest first. The records must not be changed.
func (s *Store) List() []Record { return s.bundles.Newest() }

// Get returns a bundle's record; ErrNotFound if there is none.
func (s *Store) Get(id string) (Record, error) {
	r, found := s.bundles.Get(id)
	if !found {
		return Record{}, fmt.Errorf("incident: %w: %q", ErrNotFound, id)
	}
	return r, nil
}

// Delete removes a bundle; ErrNotFound if there is none.
func (s *Store) Delete(id string) error {
	found, err := s.bundles.Delete(id)
	switch {
	case !found:
		return fmt.Errorf("incident: %w: %q", ErrNotFound, id)
	case err != nil:
		return fmt.Errorf("incident: delete bundle: %w", err)
	}
	return nil
}

// Name is the name of a bounded.Owner.
func (*Store) Name() string { return "incident_bundles" }

// OutsideHeap says that the bytes are those of files.
func (*Store) OutsideHeap() {}

// Usage tells how many bundles there are and how many bytes of the disk they take.
func (s *Store) Usage() bounded.Usage { return s.bundles.Usage() }

// Shrink frees nothing: the bytes are a disk's, not the memory's.
func (*Store) Shrink(context.Context, int64) int64 { return 0 }
