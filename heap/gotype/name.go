package gotype

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// abiName is a decoded abi.Name.
type abiName struct {
	text, tag string
	embedded  bool
}

// Bits of the first byte of an abi.Name.
const (
	nameTag      = 1 << 1
	nameEmbedded = 1 << 3
	knownName    = 1<<4 - 1
)

var errName = errors.New("no name")

// name decodes the abi.Name at an address: a byte of flags, the length as a varint, the text, and a tag alike. The
// address 0 is the empty name.
func (t *Table) name(addr uint64) (abiName, error) {
	if addr == 0 {
		return abiName{}, nil
	}
	if n, ok := t.names[addr]; ok {
		return n, nil
	}
	b, err := t.mem.bytes(addr, 1)
	if err != nil {
		return abiName{}, err
	}
	flags := b[0]
	if flags&^knownName != 0 {
		return abiName{}, fmt.Errorf("%w: flags %#x", errName, flags)
	}
	n := abiName{embedded: flags&nameEmbedded != 0}
	text, at, err := t.varString(addr + 1)
	if err != nil {
		return abiName{}, err
	}
	n.text = text
	if flags&nameTag != 0 {
		if n.tag, _, err = t.varString(at); err != nil {
			return abiName{}, err
		}
	}
	t.names[addr] = n
	return n, nil
}

// varString reads a string behind its length, and returns the address behind it.
func (t *Table) varString(addr uint64) (string, uint64, error) {
	var length uint64
	for shift := 0; ; shift += 7 {
		b, err := t.mem.bytes(addr, 1)
		if err != nil {
			return "", 0, err
		}
		addr++
		length |= uint64(b[0]&0x7f) << shift
		if length > maxNameLen || shift > 21 {
			return "", 0, fmt.Errorf("%w: length %d", errName, length)
		}
		if b[0] < 0x80 {
			break
		}
	}
	if length == 0 {
		return "", addr, nil
	}
	b, err := t.mem.bytes(addr, int(length))
	if err != nil {
		return "", 0, err
	}
	if !utf8.Valid(b) {
		return "", 0, fmt.Errorf("%w: not UTF-8", errName)
	}
	if err := t.spent.take(&t.spent.nameBytes, len(b), "names"); err != nil {
		return "", 0, err
	}
	return string(b), addr + length, nil
}

// nameFits reports whether a type of a kind can have a name. The name of a type that was given one tells no kind.
func nameFits(name string, kind snapshot.Kind, named bool) bool {
	if named || kind <= snapshot.Complex128 || kind == snapshot.String || kind == snapshot.UnsafePointer {
		return name != "" && (name[0] >= utf8.RuneSelf || name[0] == '_' || name[0]|0x20 >= 'a' && name[0]|0x20 <= 'z')
	}
	name = strings.TrimPrefix(name, "noalg.")
	prefixes := map[snapshot.Kind][]string{
		snapshot.Array:     {"["},
		snapshot.Chan:      {"chan ", "<-chan ", "chan<- "},
		snapshot.Func:      {"func("},
		snapshot.Interface: {"interface {"},
		snapshot.Map:       {"map["},
		snapshot.Pointer:   {"*"},
		snapshot.Slice:     {"[]"},
		snapshot.Struct:    {"struct {", "map.group[", "map.bucket["},
	}[kind]
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
