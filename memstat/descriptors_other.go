//go:build !linux

package memstat

import (
	"errors"
	"io/fs"
	"os"
)

// descriptors counts the entries of a directory of descriptors.
type descriptors struct {
	path    string
	problem error
}

func newDescriptors(path string) descriptors { return descriptors{path: path} }

// count returns how many entries there are, the one for the directory itself included.
func (d *descriptors) count([]byte) Int {
	d.problem = nil
	if d.path == "" {
		return Int{}
	}
	names, err := d.list()
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.problem = cause(err)
		}
		return Int{}
	}
	return Known(int64(len(names)))
}

func (d *descriptors) list() ([]string, error) {
	dir, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	return names, errors.Join(err, dir.Close())
}

func (d *descriptors) close() error { return nil }
