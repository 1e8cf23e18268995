// Package logfile keeps lines in a file of bounded size, with a bounded number of older ones beside it.
//
// It knows how a file is made room in so that whoever follows it, by its name or by its descriptor, goes on seeing
// lines. It does not know what the lines say. Package start stands above.
package logfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// followersPause is what a follower is given, before the file is emptied and after: tail reads within a few ms.
const followersPause = 20 * time.Millisecond

// Options of a File.
type Options struct {
	Path string // its directory is made if it does not exist
	// MaxBytes bounds the file, and each of the older ones. A line that is longer has the file to itself, and is cut.
	MaxBytes int64
	MaxOlder int // files that are kept beside it: PATH.1 is the newest
}

// File is an open log file. Its methods may be called from several goroutines; the process must be the only one that
// writes to it.
//
// When a line would make the file larger than its bound, the file is copied to PATH.1, whose predecessor has become
// PATH.2, and emptied: the file itself stays where it is, for those who follow its descriptor (tail -f).
type File struct {
	o Options

	mu   sync.Mutex
	file *os.File // nil after Close
	size int64
	lost int64 // bytes that could not be kept since the last note about it
	why  error // the last reason for that
}

// Open opens the file, or makes it; what is in it stays.
func Open(o Options) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o750); err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	f := &File{o: o}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return f, nil
}

func (f *File) open() error {
	file, err := os.OpenFile(f.o.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.size = file, info.Size()
	return nil
}

// WriteLine writes a line, whose end it adds. What cannot be written, as on a full disk, is left out: the next line that
// can be says how much that was, and why. It never fails, and the program whose lines these are goes on.
func (f *File) WriteLine(line []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return
	}
	f.followPath()
	if lost := f.lost; lost > 0 {
		note := fmt.Sprintf("memwarden: %d bytes were not kept in this file: %v", lost, f.why)
		if !f.write([]byte(note)) {
			f.lost += int64(len(line)) + 1
			return
		}
		f.lost -= lost // to make room for the note may have lost others
	}
	if !f.write(line) {
		f.lost += int64(len(line)) + 1
	}
}

// write reports whether the whole line is in the file.
func (f *File) write(line []byte) bool {
	kept := min(int64(len(line)), f.o.MaxBytes-1)
	line = append(line[:kept:kept], '\n') // a copy: the caller's bytes stay as they are
	if f.size > 0 && f.size+int64(len(line)) > f.o.MaxBytes && !f.makeRoom() {
		return false
	}
	n, err := f.file.Write(line)
	f.size += int64(n)
	if err != nil {
		f.why = err
		if n > 0 { // half a line is worse than none
			if os.Truncate(f.o.Path, f.size-int64(n)) == nil {
				f.size -= int64(n)
			}
		}
	}
	return err == nil
}

// followPath opens the file anew if somebody has removed or renamed it.
func (f *File) followPath() {
	ours, err := f.file.Stat()
	if err != nil {
		return
	}
	there, err := os.Stat(f.o.Path)
	if err == nil && os.SameFile(ours, there) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	old := f.file
	if f.open() == nil { // else the old one is written on
		_ = old.Close() // it has all that it was given
	}
}

// makeRoom empties the file, once what is in it was copied. The oldest file goes first, so that the copy has its room on
// the disk. The bound goes before the copy: where there can be none, the file is emptied all the same.
func (f *File) makeRoom() bool {
	err := f.shift()
	if err == nil {
		err = copyFile(f.o.Path, f.older(1))
	}
	if err != nil {
		f.lost, f.why = f.lost+f.size, err
	}
	// Who follows the file reads what is left of it, and then sees that it was emptied, before it has the next line.
	time.Sleep(followersPause)
	defer time.Sleep(followersPause)
	// By its name: on Windows a file that is open for appending cannot be emptied by its descriptor.
	if err := os.Truncate(f.o.Path, 0); err != nil {
		f.why = err
		return false
	}
	f.size = 0
	return true
}

func (f *File) older(n int) string { return f.o.Path + "." + strconv.Itoa(n) }

// shift makes room for the newest of the older files.
func (f *File) shift() error {
	if err := os.Remove(f.older(f.o.MaxOlder)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for n := f.o.MaxOlder - 1; n > 0; n-- {
		if err := os.Rename(f.older(n), f.older(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // only read
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if err = errors.Join(err, target.Close()); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// Close closes the file; lines that come later are dropped.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	return file.Close()
}
