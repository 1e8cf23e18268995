package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/memwarden/memwarden/heap/layout"
)

// Bounds of ParseMaps: the kernel's default is 65,530 mappings (vm.max_map_count), and a path has at most 4,096 bytes, of
// which each may be escaped as four.
const (
	maxMappings = 1 << 22
	maxMapsLine = 32 << 10
)

// ParseMaps reads text in the form of /proc/PID/maps. The mappings are those of the text, in its order, which must be that
// of their addresses. It fails on lines that are none, and on more than 4 M of them.
func ParseMaps(r io.Reader) ([]layout.Mapping, error) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, 4<<10), maxMapsLine)
	var mappings []layout.Mapping
	var end uint64
	for scanner.Scan() {
		m, err := parseMapping(scanner.Text())
		if err != nil {
			return nil, fmt.Errorf("maps line %d: %w", len(mappings)+1, err)
		}
		if m.Start < end {
			return nil, fmt.Errorf("maps line %d: %#x lies below the end of the mapping before it", len(mappings)+1, m.Start)
		}
		if len(mappings) == maxMappings {
			return nil, fmt.Errorf("maps: more than %d mappings", maxMappings)
		}
		end = m.End
		mappings = append(mappings, m)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("maps line %d: %w", len(mappings)+1, err)
	}
	return mappings, nil
}

// parseMapping reads a line such as
//
//	7f1b2c000000-7f1b2c021000 r-xp 00001000 fe:01 1835042    /usr/lib/libc.so.6
func parseMapping(line string) (layout.Mapping, error) {
	var m layout.Mapping
	addresses, rest, _ := strings.Cut(line, " ")
	permissions, rest, _ := strings.Cut(rest, " ")
	offset, rest, _ := strings.Cut(rest, " ")
	_, rest, _ = strings.Cut(rest, " ") // the device
	inode, path, _ := strings.Cut(rest, " ")
	start, end, _ := strings.Cut(addresses, "-")

	var errs [4]error
	m.Start, errs[0] = strconv.ParseUint(start, 16, 64)
	m.End, errs[1] = strconv.ParseUint(end, 16, 64)
	m.Offset, errs[2] = strconv.ParseUint(offset, 16, 64)
	m.Inode, errs[3] = strconv.ParseUint(inode, 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return m, fmt.Errorf("not a mapping: %.100q", line)
	}
	if m.Start >= m.End || len(permissions) != 4 {
		return m, fmt.Errorf("not a mapping: %.100q", line)
	}
	m.Readable, m.Writable, m.Execute = permissions[0] == 'r', permissions[1] == 'w', permissions[2] == 'x'
	m.Path = strings.TrimLeft(path, " ")
	return m, nil
}

// FromFiles describes a process by files that are open already, as a helper gets them: its memory (/proc/PID/mem), its
// executable and the text of its mappings, which is read here. The result is good for as long as memory and binary are
// open; a read of the memory of a process that is gone fails with ErrGone.
func FromFiles(memory, binary io.ReaderAt, maps io.Reader, threads []layout.Thread) (layout.Process, error) {
	mappings, err := ParseMaps(maps)
	if err != nil {
		return layout.Process{}, err
	}
	if len(mappings) == 0 {
		return layout.Process{}, fmt.Errorf("no mappings: %w", ErrGone)
	}
	return layout.Process{
		Memory:   memoryReader{memory},
		Mappings: mappings,
		Binary:   binary,
		Threads:  threads,
	}, nil
}

// memoryReader reads /proc/PID/mem, which answers with the end of the file when the process is gone.
type memoryReader struct{ io.ReaderAt }

func (m memoryReader) ReadAt(p []byte, off int64) (int, error) { return readMemory(m.ReaderAt, p, off) }

func readMemory(memory io.ReaderAt, p []byte, off int64) (int, error) {
	n, err := memory.ReadAt(p, off)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, fmt.Errorf("read memory at %#x: %w", off, ErrGone)
	default:
		return n, fmt.Errorf("read %d bytes of memory at %#x: %w", len(p), off, err)
	}
}

// files are what describes a process.
type files struct{ memory, maps, binary *os.File }

func (f *files) close() {
	for _, file := range []*os.File{f.memory, f.maps, f.binary} {
		if file != nil {
			_ = file.Close() // opened for reading
		}
	}
}

// openFiles opens what /proc shows of a process.
func openFiles(pid int) (files, error) {
	var f files
	dir := "/proc/" + strconv.Itoa(pid)
	for _, open := range []struct {
		file **os.File
		name string
	}{
		{&f.memory, "/mem"},
		{&f.maps, "/maps"},
		{&f.binary, "/exe"}, // opens the file even where it was deleted or replaced
	} {
		file, err := os.Open(dir + open.name)
		if err != nil {
			f.close()
			return files{}, err
		}
		*open.file = file
	}
	return f, nil
}
