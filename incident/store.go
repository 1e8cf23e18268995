package incident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memwarden/memwarden/bounded"
	"github.com/memwarden/memwarden/heap/archive"
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
	o Options

	mu      sync.Mutex
	records []Record // oldest first

	// For Usage, which must not wait for the disk.
	count, bytes, peakCount, peakBytes atomic.Int64
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
	if err := s.read(); err != nil {
		return nil, fmt.Errorf("incident: open %s: %w", o.Dir, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s, s.evict("")
}

// read takes over what is in the directory.
func (s *Store) read() error {
	entries, err := os.ReadDir(s.o.Dir)
	if err != nil {
		return err
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
		if entry.IsDir() && idForm.MatchString(id) {
			s.records = append(s.records, s.load(id))
		}
	}
	slices.SortFunc(s.records, func(x, y Record) int { return cmp.Or(x.At.Compare(y.At), strings.Compare(x.ID, y.ID)) })
	s.account()
	return errors.Join(problems...)
}

// salvage makes a bundle of what a killed process has left of one, and removes what there is nothing in.
func (s *Store) salvage(id string) (kept bool, err error) {
	left := s.partialPath(id)
	files, err := os.ReadDir(left)
	if err != nil || !idForm.MatchString(id) { // a manifest or a run's file that was being written
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
		if err != nil || !info.Mode().IsRegular() || !partForm.MatchString(file.Name()) || file.Name() == manifestName || len(m.Parts) == maxParts {
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
		if at, err := time.Parse(idTime, id[:len(idTime)]); err == nil { // else such as month 13: not our name, and old
			r.At = at
		}
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

// evict removes what is too old, and the oldest until the bounds are kept, but never the one of an id. The caller holds
// mu.
func (s *Store) evict(but string) error {
	var problems []error
	count, total := len(s.records), s.total()
	stale := s.o.Now().Add(-s.o.MaxAge)
	kept := s.records[:0]
	for _, r := range s.records {
		if r.ID == but || !r.At.Before(stale) && count <= s.o.MaxCount && total <= s.o.MaxBytes {
			kept = append(kept, r)
			continue
		}
		if err := s.remove(r.ID); err != nil {
			problems = append(problems, err)
			kept = append(kept, r) // it still takes its room
			continue
		}
		count--
		total -= r.Bytes
	}
	clear(s.records[len(kept):])
	s.records = kept
	s.account()
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("incident: remove old bundles: %w", err)
	}
	return nil
}

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

func (s *Store) total() (bytes int64) {
	for i := range s.records {
		bytes += s.records[i].Bytes
	}
	return bytes
}

// account publishes the figures of Usage. The caller holds mu, or nobody else has the store yet.
func (s *Store) account() {
	count, total := int64(len(s.records)), s.total()
	s.count.Store(count)
	s.bytes.Store(total)
	s.peakCount.Store(max(s.peakCount.Load(), count))
	s.peakBytes.Store(max(s.peakBytes.Load(), total))
}

// put adds a bundle, or replaces what is known of it, and makes the others keep the bounds.
func (s *Store) put(r Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.find(r.ID); at >= 0 {
		s.records[at] = r
	} else {
		s.records = append(s.records, r)
	}
	return s.evict(r.ID)
}

// find is the place of a bundle; -1: there is none. The caller holds mu.
func (s *Store) find(id string) int {
	return slices.IndexFunc(s.records, func(r Record) bool { return r.ID == id })
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
func (s *Store) Prune() (freed int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.total()
	err = s.evict("")
	return before - s.total(), err
}

// List returns the bundles, newest first. The records must not be changed.
func (s *Store) List() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Record{}
	stale := s.o.Now().Add(-s.o.MaxAge)
	for _, r := range slices.Backward(s.records) {
		if !r.At.Before(stale) {
			list = append(list, r)
		}
	}
	return list
}

// Get returns a bundle's record; ErrNotFound if there is none.
func (s *Store) Get(id string) (Record, error) {
	for _, r := range s.List() {
		if r.ID == id {
			return r, nil
		}
	}
	return Record{}, fmt.Errorf("incident: %w: %q", ErrNotFound, id)
}

// Delete removes a bundle; ErrNotFound if there is none.
func (s *Store) Delete(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.find(id)
	if at < 0 {
		return fmt.Errorf("incident: %w: %q", ErrNotFound, id)
	}
	if err := s.remove(id); err != nil {
		return fmt.Errorf("incident: delete bundle: %w", err)
	}
	s.records = slices.Delete(s.records, at, at+1)
	s.account()
	return nil
}

// Name is the name of a bounded.Owner.
func (*Store) Name() string { return "incident_bundles" }

// OutsideHeap says that the bytes are those of files.
func (*Store) OutsideHeap() {}

// Usage tells how many bundles there are and how many bytes of the disk they take.
func (s *Store) Usage() bounded.Usage {
	return bounded.Usage{
		Entries: s.count.Load(), MaxEntries: int64(s.o.MaxCount), PeakEntries: s.peakCount.Load(),
		Bytes: s.bytes.Load(), MaxBytes: s.o.MaxBytes, PeakBytes: s.peakBytes.Load(),
	}
}

// Shrink frees nothing: the bytes are a disk's, not the memory's.
func (*Store) Shrink(context.Context, int64) int64 { return 0 }
