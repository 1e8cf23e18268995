package snapshot

import "fmt"

// maxDepth bounds how deeply a value's type is nested in itself by value: structs in arrays in structs. Who walks over
// a value's parts may recurse.
const maxDepth = 1000

// CheckTypes holds a table of types, entry 0 included, against the rules that readers rely on: references are in the
// table, the parts of a value lie within it, a type does not contain itself by value, and parts are not nested more
// than 1,000 deep. It is what Reader.Types checks, exported for those who build such tables.
func CheckTypes(types []Type) error {
	for id := range types {
		if err := checkType(types, &types[id]); err != nil {
			return fmt.Errorf("type %d (%s): %w", id, types[id].Name, err)
		}
	}
	return checkNesting(types)
}

func checkType(types []Type, t *Type) error {
	n := TypeID(len(types))
	if t.Elem >= n || t.Key >= n || t.Group >= n {
		return fmt.Errorf("element %d, key %d, group %d of %d types", t.Elem, t.Key, t.Group, n)
	}
	if t.Size > maxAddress || t.PtrBytes > t.Size {
		return fmt.Errorf("%d bytes with pointers in %d", t.Size, t.PtrBytes)
	}
	for i := range t.Fields {
		f := &t.Fields[i]
		if f.Type >= n {
			return fmt.Errorf("field %s has type %d of %d", f.Name, f.Type, n)
		}
		if size := types[f.Type].Size; f.Offset > t.Size || size > t.Size-f.Offset {
			return fmt.Errorf("field %s of %d bytes at %d does not fit into %d bytes", f.Name, size, f.Offset, t.Size)
		}
	}
	if t.Kind == Array && t.Len > 0 {
		if size := types[t.Elem].Size; size > t.Size/t.Len {
			return fmt.Errorf("%d elements of %d bytes do not fit into %d bytes", t.Len, size, t.Size)
		}
	}
	return nil
}

// parts returns how many types a value of a type contains, and the i-th of them.
func (t *Type) parts() int {
	if t.Kind == Array {
		return int(min(t.Len, 1))
	}
	return len(t.Fields)
}

func (t *Type) part(i int) TypeID {
	if t.Kind == Array {
		return t.Elem
	}
	return t.Fields[i].Type
}

// checkNesting finds types that contain themselves, and those nested too deeply, by a search in depth without
// recursion.
func checkNesting(types []Type) error {
	type place struct {
		id   TypeID
		part int
	}
	depth := make([]uint16, len(types)) // 0: not seen
	const under = ^uint16(0)            // on the stack
	var stack []place
	for start := range types {
		if depth[start] != 0 {
			continue
		}
		stack = append(stack[:0], place{id: TypeID(start)})
		depth[start] = under
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			t := &types[top.id]
			if top.part < t.parts() {
				part := t.part(top.part)
				top.part++
				switch depth[part] {
				case 0:
					depth[part] = under
					stack = append(stack, place{id: part})
				case under:
					return fmt.Errorf("type %d (%s) contains itself", part, types[part].Name)
				}
				continue
			}
			deepest := uint16(0)
			for i := range t.parts() {
				deepest = max(deepest, depth[t.part(i)])
			}
			if deepest >= maxDepth {
				return fmt.Errorf("type %d (%s) is nested more than %d deep", top.id, t.Name, maxDepth)
			}
			depth[top.id] = deepest + 1
			stack = stack[:len(stack)-1]
		}
	}
	return nil
}
