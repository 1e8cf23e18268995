package incident

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// WriteTar writes a bundle to w as a tar file, compressed by gzip, in a directory of its id: the manifest first, then the
// parts that it names, which is all that ever gets into it. ErrNotFound, with nothing written, if there is no such bundle.
// A part that is shorter than it was when it was written is an error, and w has then got half of it.
func (s *Store) WriteTar(id string, w io.Writer) error {
	r, err := s.Get(id)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(s.path(id)) // from which no link leads out
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("incident: %w: %q: its directory has gone", ErrNotFound, id)
	}
	if err != nil {
		return fmt.Errorf("incident: %w", err)
	}
	defer func() { _ = root.Close() }() // only read
	compressed, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	for _, name := range append([]string{manifestName}, names(r.Parts)...) {
		if err := addFile(archive, root, id, name, r); err != nil {
			return fmt.Errorf("incident: pack %s of %s: %w", name, id, err)
		}
	}
	return errors.Join(archive.Close(), compressed.Close())
}

func addFile(to *tar.Writer, root *os.Root, id, name string, r Record) error {
	file, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) && r.Damage != "" {
		return nil // which the record says
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return err
	}
	if err := to.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: path.Join(id, name), Size: info.Size(), Mode: 0o600, ModTime: info.ModTime(), Format: tar.FormatPAX,
	}); err != nil {
		return err
	}
	_, err = io.CopyN(to, file, info.Size())
	return err
}
