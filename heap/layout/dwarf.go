package layout

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// openDWARF takes the offsets from the debug information where there is some.
func (r *Runtime) openDWARF() error {
	if r.ELF.Section(".debug_info") == nil {
		return nil
	}
	found, err := readOffsets(r.ELF)
	if err != nil {
		r.warn("debug information cannot be read, names of variables are missing: %v", err)
		return nil
	}
	r.ContainsDWARF = true
	for _, f := range r.at.fields() {
		if at, ok := found[firstName(f.name)]; ok {
			*f.at = uint64(at)
		}
	}
	if err := r.at.verify(r.names); err != nil {
		return &LayoutError{"debug information", err}
	}
	return nil
}

// firstInfo is how much of the debug information is read at first. The runtime's unit lies somewhere in it, behind those
// of some packages, and to decompress all of it keeps a large program's frozen copy for a second.
const firstInfo = 4 << 20

// readOffsets reads as much of the debug information as has the runtime's unit.
func readOffsets(file *elf.File) (map[string]uint32, error) {
	var sections dwarfSections
	if err := sections.read(file); err != nil {
		return nil, err
	}
	section := file.Section(".debug_info")
	in := section.Open()
	var info []byte
	for {
		have := len(info)
		info = slices.Grow(info, max(firstInfo, have))
		n, err := io.ReadFull(in, info[have:cap(info)])
		info = info[:have+n]
		whole := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !whole {
			return nil, fmt.Errorf("section %s: %w", section.Name, err)
		}
		entries, end := completeUnits(info)
		data, err := sections.with(info[:end])
		if err != nil {
			return nil, err
		}
		found, err := dwarfOffsets(data, entries)
		if err != nil || len(found) > 0 || whole {
			return found, err
		}
	}
}

// completeUnits returns the offsets of the first entries of the compile units that are complete in the beginning of a
// .debug_info section, and where the last one ends. A unit begins with its length in four bytes, or in eight behind four
// that are all ones; how much more there is before its first entry depends on its version (DWARF 5, section 7.5.1).
func completeUnits(info []byte) (entries []dwarf.Offset, end int) {
	const (
		longestHeader = 24
		wide          = 1<<32 - 1
	)
	for rest := info; len(rest) >= longestHeader; rest = info[end:] {
		length, header, offsetSize := uint64(binary.LittleEndian.Uint32(rest)), 4, 4
		if length == wide {
			length, header, offsetSize = binary.LittleEndian.Uint64(rest[4:]), 12, 8
		}
		if length > uint64(len(rest)-header) || length < longestHeader-12 {
			break
		}
		first := header + 2 + offsetSize + 1
		if version := binary.LittleEndian.Uint16(rest[header:]); version >= 5 {
			first++ // the kind of unit
		}
		entries = append(entries, dwarf.Offset(end+first))
		end += header + int(length)
	}
	return entries, end
}

// dwarfSections are those that entries of .debug_info refer to for what is asked here.
type dwarfSections struct {
	abbrev, str []byte
	more        map[string][]byte
}

func (d *dwarfSections) read(file *elf.File) error {
	d.more = make(map[string][]byte)
	for _, name := range []string{".debug_abbrev", ".debug_str", ".debug_line_str", ".debug_str_offsets", ".debug_addr"} {
		section := file.Section(name)
		if section == nil {
			continue
		}
		data, err := section.Data()
		if err != nil {
			return fmt.Errorf("section %s: %w", name, err)
		}
		switch name {
		case ".debug_abbrev":
			d.abbrev = data
		case ".debug_str":
			d.str = data
		default:
			d.more[name] = data
		}
	}
	return nil
}

func (d *dwarfSections) with(info []byte) (*dwarf.Data, error) {
	data, err := dwarf.New(d.abbrev, nil, nil, info, nil, nil, nil, d.str)
	if err != nil {
		return nil, err
	}
	for name, contents := range d.more {
		if err := data.AddSection(name, contents); err != nil {
			return nil, fmt.Errorf("section %s: %w", name, err)
		}
	}
	return data, nil
}

// dwarfOffsets returns the offsets of the fields that some units know, by their first names. A structure that the linker
// left out is missing.
func dwarfOffsets(data *dwarf.Data, units []dwarf.Offset) (map[string]uint32, error) {
	structs, err := runtimeStructs(data, units)
	if err != nil {
		return nil, err
	}
	found := make(map[string]uint32)
	for _, f := range new(offsets).fields() {
		for name := range strings.SplitSeq(f.name, "|") {
			pkg, rest, _ := strings.Cut(name, ".")
			typ, path, _ := strings.Cut(rest, ".")
			at, ok := structs[pkg+"."+typ]
			if !ok {
				continue
			}
			offset, err := fieldOffset(data, at, path)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if offset != absent {
				found[firstName(f.name)] = offset
				break
			}
		}
	}
	return found, nil
}

// runtimeStructs returns where the structures are described that fields names. The runtime has a unit for each of its
// files in assembly, one for all in Go, and then one for their types, which has them all.
func runtimeStructs(data *dwarf.Data, units []dwarf.Offset) (map[string]dwarf.Offset, error) {
	wanted := make(map[string]bool)
	for _, f := range new(offsets).fields() {
		for name := range strings.SplitSeq(f.name, "|") {
			parts := strings.SplitN(name, ".", 3)
			wanted[parts[0]+"."+parts[1]] = true
		}
	}
	found := make(map[string]dwarf.Offset)
	reader := data.Reader()
	for _, at := range slices.Backward(units) {
		if len(found) > 0 {
			break
		}
		reader.Seek(at)
		unit, err := reader.Next()
		if err != nil {
			return nil, err
		}
		if unit == nil || unit.Tag != dwarf.TagCompileUnit || unit.Val(dwarf.AttrName) != "runtime" || !unit.Children {
			continue
		}
		for {
			entry, err := reader.Next()
			if err != nil {
				return nil, err
			}
			if entry == nil || entry.Tag == 0 { // the end of the unit
				break
			}
			if name, _ := entry.Val(dwarf.AttrName).(string); entry.Tag == dwarf.TagStructType && wanted[name] {
				found[name] = entry.Offset
			}
			reader.SkipChildren()
		}
	}
	return found, nil
}

// fieldOffset returns the offset of the field at a path such as "sched.sp" in the structure described at an offset, the
// structure's size for the empty path, absent if there is no such field.
func fieldOffset(data *dwarf.Data, at dwarf.Offset, path string) (uint32, error) {
	reader := data.Reader()
	reader.Seek(at)
	entry, err := reader.Next()
	if err != nil {
		return 0, err
	}
	if entry == nil || entry.Tag != dwarf.TagStructType {
		return absent, nil
	}
	if path == "" {
		return plausible(entry.Val(dwarf.AttrByteSize))
	}
	name, rest, nested := strings.Cut(path, ".")
	for entry.Children {
		member, err := reader.Next()
		if err != nil {
			return 0, err
		}
		if member == nil || member.Tag == 0 {
			break
		}
		if label, _ := member.Val(dwarf.AttrName).(string); member.Tag != dwarf.TagMember || label != name {
			reader.SkipChildren()
			continue
		}
		offset, err := plausible(member.Val(dwarf.AttrDataMemberLoc))
		if err != nil || !nested {
			return offset, err
		}
		typ, ok := member.Val(dwarf.AttrType).(dwarf.Offset)
		if !ok {
			return 0, errors.New("a field has no type")
		}
		inner, err := structOffset(data, typ, rest)
		if err != nil || inner == absent {
			return inner, err
		}
		return offset + inner, nil
	}
	return absent, nil
}

// structOffset is fieldOffset behind the names that a type may have.
func structOffset(data *dwarf.Data, typ dwarf.Offset, path string) (uint32, error) {
	const maxNames = 8
	for range maxNames {
		reader := data.Reader()
		reader.Seek(typ)
		entry, err := reader.Next()
		if err != nil {
			return 0, err
		}
		if entry == nil || entry.Tag != dwarf.TagTypedef {
			break
		}
		next, ok := entry.Val(dwarf.AttrType).(dwarf.Offset)
		if !ok {
			break
		}
		typ = next
	}
	return fieldOffset(data, typ, path)
}

// maxStruct bounds offsets and sizes, and with them what is read at once: runtime.mheap, the largest structure, has some
// dozens of KiB.
const maxStruct = 1 << 20

func plausible(value any) (uint32, error) {
	n, ok := value.(int64)
	if !ok || n < 0 || n > maxStruct {
		return 0, fmt.Errorf("offset %v is implausible", value)
	}
	return uint32(n), nil
}
