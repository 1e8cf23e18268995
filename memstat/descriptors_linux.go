package memstat

import (
	"encoding/binary"
	"errors"
	"syscall"
)

// maxDescriptors bounds the count by listing, which costs half a microsecond for each. Beyond it the count is absent.
const maxDescriptors = 100_000

var errTooMany = errors.New("has too many entries to be counted")

// descriptors counts the entries of /proc/PID/fd.
type descriptors struct {
	path    string
	fd      int
	open    bool
	procfs  bool // a real one, not a tree that stands in for it
	problem error
}

func newDescriptors(path string) descriptors { return descriptors{path: path} }

// count returns how many descriptors the process has, this one included if it is the caller. Since Linux 6.2 the
// directory's size tells; before, it is listed, without a look at the entries.
func (d *descriptors) count(buffer []byte) Int {
	if d.path == "" {
		return Int{}
	}
	n, err := d.try(buffer)
	d.problem = nil
	if err != nil {
		_ = d.close() // the error that led here tells more
		if !missing(err) {
			d.problem = err
		}
		return Int{}
	}
	return Known(n)
}

func (d *descriptors) try(buffer []byte) (int64, error) {
	if !d.open {
		fd, err := syscall.Open(d.path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		d.fd, d.open = fd, true
		const procSuperMagic = 0x9fa0
		var system syscall.Statfs_t
		if err := syscall.Fstatfs(fd, &system); err != nil {
			return 0, err
		}
		d.procfs = system.Type == procSuperMagic
	}
	if d.procfs {
		var stat syscall.Stat_t
		if err := syscall.Fstat(d.fd, &stat); err != nil {
			return 0, err
		}
		if stat.Size > 0 {
			return stat.Size, nil
		}
	}
	return d.list(buffer, maxDescriptors)
}

// list counts the entries one by one, up to a bound.
func (d *descriptors) list(buffer []byte, most int64) (int64, error) {
	if _, err := syscall.Seek(d.fd, 0, 0); err != nil {
		return 0, err
	}
	var n int64
	for n <= most {
		size, err := syscall.ReadDirent(d.fd, buffer)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case size <= 0:
			return n, nil
		}
		n += countEntries(buffer[:size])
	}
	return 0, errTooMany
}

// countEntries counts the entries in what getdents64(2) returned, "." and ".." left out: each has its length at byte
// 16 and its name, which ends in a zero, from byte 19 on.
func countEntries(entries []byte) int64 {
	const lengthAt, nameAt = 16, 19
	var n int64
	for len(entries) > nameAt {
		length := int(binary.NativeEndian.Uint16(entries[lengthAt:]))
		if length <= nameAt || length > len(entries) {
			break
		}
		name := entries[nameAt:length]
		dot := name[0] == '.' && (len(name) < 2 || name[1] == 0 || name[1] == '.' && (len(name) < 3 || name[2] == 0))
		if !dot {
			n++
		}
		entries = entries[length:]
	}
	return n
}

func (d *descriptors) close() error {
	if !d.open {
		return nil
	}
	d.open = false
	return syscall.Close(d.fd)
}
