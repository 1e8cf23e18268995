package memstat

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

var (
	errEmpty    = errors.New("is empty")
	errTooLarge = errors.New("is larger than expected")
)

// file is one small file of /proc or /sys that is kept open and read from its start again and again: its reading
// costs a tenth of what opening it would.
type file struct {
	path     string
	required bool // the kernel always has it: that it is missing is a problem
	handle   *os.File
	resting  bool // could not be read: not tried again before wake
	served   bool // was read since it was opened
	lost     bool // could no longer be read after it had been: what it belonged to has gone
	problem  error
}

// read returns the file's content, which is good until buffer is used again, or nil where there is none.
func (f *file) read(buffer []byte) []byte {
	if f.resting || f.path == "" {
		return nil
	}
	if f.handle == nil {
		handle, err := openFile(f.path)
		if err != nil {
			f.fail(err)
			return nil
		}
		f.handle = handle
	}
	n, err := f.handle.ReadAt(buffer, 0)
	switch {
	case err == nil:
		f.problem = errTooLarge
		return nil
	case err != io.EOF:
		f.lost = f.served
		f.fail(err)
		return nil
	case n == 0:
		f.problem = errEmpty
		return nil
	}
	f.served = true
	f.problem = nil
	return buffer[:n]
}

// fail closes the file until wake. That a file does not exist, or no longer its process, is a problem only of a
// required one.
func (f *file) fail(err error) {
	_ = f.close() // the error that led here tells more
	f.resting = true
	f.problem = nil
	if f.required || !missing(err) {
		f.problem = cause(err)
	}
}

// missing reports whether an error says that a file does not exist, or no longer the process that it tells of.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// close closes the file; reading opens it again.
func (f *file) close() error {
	if f.handle == nil {
		return nil
	}
	err := f.handle.Close()
	f.handle, f.served = nil, false
	return err
}

// cause is the error without the path, which a Problem names anyway.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// files is a set of files that are read together.
type files []file

// newFiles are the files of a directory that have the given names.
func newFiles(dir string, names ...string) files {
	set := make(files, len(names))
	for i, name := range names {
		set[i].path = filepath.Join(dir, name)
	}
	return set
}

// require marks files whose absence is a problem.
func (set files) require(indices ...int) files {
	for _, i := range indices {
		set[i].required = true
	}
	return set
}

// wake lets files that could not be read be tried again.
func (set files) wake() {
	for i := range set {
		set[i].resting = false
	}
}

func (set files) lost() bool {
	for i := range set {
		if set[i].lost {
			return true
		}
	}
	return false
}

func (set files) close() error {
	var failed []error
	for i := range set {
		failed = append(failed, set[i].close())
	}
	return errors.Join(failed...)
}

// appendProblems adds the problems of the set to list.
func (set files) appendProblems(list []Problem) []Problem {
	for i := range set {
		if set[i].problem != nil {
			list = append(list, Problem{Path: set[i].path, Reason: set[i].problem.Error()})
		}
	}
	return list
}

// readWhole reads a file of up to limit bytes once.
func readWhole(path string, limit int64) ([]byte, error) {
	handle, err := openFile(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(handle, limit+1))
	err = errors.Join(err, handle.Close())
	if err == nil && int64(len(text)) > limit {
		err = &fs.PathError{Op: "read", Path: path, Err: errTooLarge}
	}
	return text, err
}

// exists reports whether there is something at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
