package incident

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/memwarden/memwarden/bytesize"
	"github.com/memwarden/memwarden/internal/bounddir"
)

// Draft is a bundle that is being written. It stands under a temporary name until Publish; what is added after that comes
// whole or not at all, and the manifest is replaced with each. It is not safe for concurrent use.
type Draft struct {
	store     *Store
	manifest  Manifest
	dir       string
	bytes     int64 // of its parts
	limit     int64 // of them
	published bool
}

// leastRoom is what a bundle needs to be begun: profile, goroutines and figures of a large program.
const leastRoom = 4 << 20

// Begin begins a bundle. ErrNoRoom, with the figures, if there is none on the disk for the smallest one. A directory that
// was removed meanwhile is made anew.
func (s *Store) Begin(c Cause, p Program) (*Draft, error) {
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("incident: make directory: %w", err)
	}
	room, err := s.room()
	if err != nil {
		return nil, fmt.Errorf("incident: %w", err)
	}
	if room < leastRoom {
		return nil, fmt.Errorf("incident: %w: there is room for %s beside what stays free, and it takes up to %s", ErrNoRoom,
			bytesize.Format(max(0, room)), bytesize.Format(leastRoom))
	}
	at := s.o.Now().UTC()
	c.Reason = line(c.Reason)
	d := &Draft{store: s, limit: room, manifest: Manifest{
		Version: manifestVersion, ID: bounddir.NewID(at), At: at,
		Cause: c, Program: p, Parts: []Part{}, Missing: []Missing{},
	}}
	d.dir = s.partialPath(d.manifest.ID)
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("incident: begin bundle: %w", err)
	}
	return d, nil
}

// ID is that of the bundle.
func (d *Draft) ID() string { return d.manifest.ID }

// NoteGrowing has the manifest that Publish writes say what has grown most, a line each; after Publish it is too late.
func (d *Draft) NoteGrowing(lines []string) { d.manifest.Cause.Growing = lines }

// Expect names parts that may come after Publish. A bundle whose process dies before says so.
func (d *Draft) Expect(names ...string) {
	d.manifest.Pending = append(d.manifest.Pending, names...)
}

// Expects reports whether a part may yet come.
func (d *Draft) Expects(name string) bool { return slices.Contains(d.manifest.Pending, name) }

// Room is how many bytes the parts that come may have together.
func (d *Draft) Room() int64 { return max(0, d.limit-d.bytes) }

// Add writes a part. A part that fails leaves no file; the manifest says why it is missing, and so does the error. The
// writer is good until write returns; what is beyond Room it refuses with ErrNoRoom. ErrNotFound, besides, if the bundle was
// removed after Publish: nothing more can be added then.
func (d *Draft) Add(name, what string, write func(io.Writer) error) error {
	if !isPartName(name) || name == manifestName || len(d.manifest.Parts) == maxParts {
		return fmt.Errorf("incident: %d parts and %q: want at most %d, with other names", len(d.manifest.Parts), name, maxParts)
	}
	began := d.store.o.Now()
	bytes, err := d.writePart(name, write)
	if err != nil {
		d.Miss(name, err.Error())
		if d.published {
			err = errors.Join(err, d.update())
		}
		return fmt.Errorf("incident: %s: %w", name, err)
	}
	now := d.store.o.Now()
	d.bytes += bytes
	d.manifest.Parts = append(d.manifest.Parts, Part{
		Name: name, What: what, Bytes: bytes, At: now.UTC(), TookSeconds: took(began, now),
	})
	d.settle(name)
	if d.published {
		return d.update()
	}
	return nil
}

// writePart writes a file under its name, or after Publish under a temporary one first.
func (d *Draft) writePart(name string, write func(io.Writer) error) (bytes int64, err error) {
	path := filepath.Join(d.dir, name)
	temporary := path
	if d.published {
		temporary += partial
	}
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return 0, err
	}
	// The file itself is handed on where it may be: a helper process writes to it directly.
	bounded := &boundedFile{File: file, left: d.Room()}
	err = write(bounded)
	if err == nil && d.published {
		err = file.Sync()
	}
	info, statErr := file.Stat()
	err = errors.Join(err, statErr, file.Close())
	if err == nil && temporary != path {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return 0, errors.Join(err, removeFile(temporary))
	}
	return info.Size(), nil
}

// boundedFile refuses what is beyond a number of bytes.
type boundedFile struct {
	*os.File

	left int64
}

func (f *boundedFile) Write(p []byte) (int, error) {
	if int64(len(p)) > f.left {
		return 0, fmt.Errorf("%w: %s are left, and it takes more", ErrNoRoom, bytesize.Format(f.left))
	}
	n, err := f.File.Write(p)
	f.left -= int64(n)
	return n, err
}

// ReadFrom is not that of the file, which would go past the bound.
func (f *boundedFile) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{f}, r)
}

// WriteString is not that of the file, which would go past the bound.
func (f *boundedFile) WriteString(text string) (int, error) { return f.Write([]byte(text)) }

// Underlying is the file that a part is written to, where its writer keeps to Room by itself; nil if it is no part's.
func Underlying(w io.Writer) *os.File {
	if f, ok := w.(*boundedFile); ok {
		return f.File
	}
	return nil
}

// Buffered wraps what writes in small pieces.
func Buffered(write func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 64<<10)
		if err := write(b); err != nil {
			return err
		}
		return b.Flush()
	}
}

// Miss notes that a part is not taken, and why.
func (d *Draft) Miss(name, reason string) {
	d.settle(name)
	if len(d.manifest.Missing) < maxParts {
		d.manifest.Missing = append(d.manifest.Missing, Missing{Name: name, Reason: line(reason)})
	}
}

func (d *Draft) settle(name string) {
	d.manifest.Pending = slices.DeleteFunc(d.manifest.Pending, func(pending string) bool { return pending == name })
}

// Publish gives the bundle its name, with what it has so far; the oldest others make room for it. From then on it outlives
// the process. Only after that is it made durable against a loss of power too, which takes a disk its time: the kill that
// it is about would not wait for that. The sizes in the manifest tell whether the disk has kept it all.
//
// After an error nothing is left of it.
func (d *Draft) Publish() (Record, error) {
	d.manifest.Complete = len(d.manifest.Pending) == 0
	err := writeJSON(filepath.Join(d.dir, manifestName), d.manifest)
	if err == nil {
		err = os.Rename(d.dir, d.store.path(d.manifest.ID))
	}
	if err != nil {
		return Record{}, errors.Join(fmt.Errorf("incident: publish bundle: %w", err), d.Discard())
	}
	d.dir, d.published = d.store.path(d.manifest.ID), true
	r := d.Record()
	return r, d.store.bundles.Put(r)
}

// Sync makes what was published durable.
func (d *Draft) Sync() error {
	var problems []error
	for _, name := range append([]string{manifestName, "."}, names(d.manifest.Parts)...) {
		problems = append(problems, syncFile(filepath.Join(d.dir, name)))
	}
	if err := errors.Join(append(problems, syncFile(d.store.o.Dir))...); err != nil {
		return fmt.Errorf("incident: make bundle durable: %w", err)
	}
	return nil
}

func names(parts []Part) (list []string) {
	for _, p := range parts {
		list = append(list, p.Name)
	}
	return list
}

// Record is what is known of the bundle now.
func (d *Draft) Record() Record {
	m := d.manifest
	m.Parts, m.Missing, m.Pending = slices.Clone(m.Parts), slices.Clone(m.Missing), slices.Clone(m.Pending)
	r := Record{Manifest: m, Bytes: d.bytes}
	if info, err := os.Stat(filepath.Join(d.dir, manifestName)); err == nil {
		r.Bytes += info.Size()
	}
	return r
}

// update replaces the manifest of a bundle that is published; ErrNotFound if it was removed meanwhile.
func (d *Draft) update() error {
	return d.store.update(d.manifest.ID, func(r *Record) error {
		if err := writeJSON(filepath.Join(d.dir, manifestName), d.manifest); err != nil {
			return fmt.Errorf("incident: write manifest: %w", err)
		}
		*r = d.Record()
		return nil
	})
}

// Finish notes that nothing more comes. What was expected and did not come is missing. ErrNotFound if the bundle was removed.
func (d *Draft) Finish() error {
	for _, name := range slices.Clone(d.manifest.Pending) {
		d.Miss(name, "it was not taken")
	}
	d.manifest.Complete, d.manifest.Pending = true, nil
	return d.update()
}

// Discard removes a bundle that was not published. Of one that was it leaves everything.
func (d *Draft) Discard() error {
	if d.published {
		return nil
	}
	return os.RemoveAll(d.dir)
}

// writeJSON writes a document beside its place and puts it there, in one.
func writeJSON(path string, document any) error {
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+partial)
	err = os.WriteFile(temporary, append(text, '\n'), 0o600)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, removeFile(temporary))
	}
	return nil
}

// removeFile removes a file; that it has gone already is no error.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// took is how long something took by a clock that may jump.
func took(began, ended time.Time) float64 { return max(0, ended.Sub(began).Seconds()) }
