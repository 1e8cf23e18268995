package layout

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"strings"
)

// openDWARF reads the debug information where there is some, and takes the offsets from it.
func (r *Runtime) openDWARF() error {
	if r.ELF.Section(".debug_info") == nil && r.ELF.Section(".zdebug_info") == nil {
		return nil
	}
	data, err := r.ELF.DWARF()
	if err != nil {
		r.warn("debug information cannot be read, names of variables are missing: %v", err)
		return nil
	}
	found, err := dwarfOffsets(data)
	if err != nil {
		r.warn("debug information cannot be read, names of variables are missing: %v", err)
		return nil
	}
	r.DWARF = data
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

// dwarfOffsets returns the offsets of the fields that the debug information knows, by their first names. A structure
// that the linker left out is missing.
func dwarfOffsets(data *dwarf.Data) (map[string]uint32, error) {
	structs, err := runtimeStructs(data)
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

// runtimeStructs returns where the structures are described that fields names. One unit, the runtime's own, has
// them all.
func runtimeStructs(data *dwarf.Data) (map[string]dwarf.Offset, error) {
	wanted := make(map[string]bool)
	for _, f := range new(offsets).fields() {
		for name := range strings.SplitSeq(f.name, "|") {
			parts := strings.SplitN(name, ".", 3)
			wanted[parts[0]+"."+parts[1]] = true
		}
	}
	found := make(map[string]dwarf.Offset)
	for reader := data.Reader(); ; {
		entry, err := reader.Next()
		if err != nil {
			return nil, err
		}
		if entry == nil {
			return found, nil
		}
		switch entry.Tag {
		case dwarf.TagCompileUnit:
			if len(found) > 0 {
				return found, nil
			}
			continue // into it
		case dwarf.TagStructType:
			if name, _ := entry.Val(dwarf.AttrName).(string); wanted[name] {
				found[name] = entry.Offset
			}
		}
		if entry.Children {
			reader.SkipChildren()
		}
	}
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
