package gotype

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// Types that package reflect makes at run time have descriptors on the heap. Their names are kept in a map of the
// runtime's; but none of them was given a name, so that the name follows from the parts.

// signature is what the name of a function type is made of.
type signature struct {
	in, out  []snapshot.TypeID
	variadic bool
}

const variadic = 1 << 15 // of abi.FuncType.OutCount

// describeMade notes what the name of a type outside the modules is made of.
func (b *batch) describeMade(typ *snapshot.Type, h header, addr uint64) error {
	if h.flags&flagNamed != 0 || fixed[h.kind].size != 0 && h.kind <= snapshot.Complex128 ||
		slices.Contains([]snapshot.Kind{snapshot.String, snapshot.UnsafePointer, snapshot.Interface}, h.kind) {
		return fmt.Errorf("%w: made at run time, with kind %d", errHeader, h.kind)
	}
	if b.tags == nil {
		return fmt.Errorf("%w: a type of the program refers to %#x", errHeader, addr)
	}
	if typ.Kind != snapshot.Func {
		return nil
	}
	at := addr + descriptorSizes[snapshot.Func]
	if h.flags&flagUncommon != 0 {
		at += uncommonSize
	}
	p, err := b.t.mem.bytes(addr+partsAt, 4)
	if err != nil {
		return err
	}
	in, out := binary.LittleEndian.Uint16(p), binary.LittleEndian.Uint16(p[2:])
	s := signature{variadic: out&variadic != 0}
	for i := range int(in) + int(out&^variadic) {
		param, err := b.t.mem.word(at + wordSize*uint64(i))
		if err != nil {
			return err
		}
		id, err := b.ref(param)
		if err != nil {
			return err
		}
		if i < int(in) {
			s.in = append(s.in, id)
		} else {
			s.out = append(s.out, id)
		}
	}
	b.funcs[b.begun[addr]] = s
	return nil
}

const uncommonSize = 16 // abi.UncommonType

// nameMade names the types of a batch that were made at run time.
func (b *batch) nameMade() error {
	if b.tags == nil {
		return nil
	}
	for _, id := range b.begun {
		if _, err := b.nameOf(id, 0); err != nil {
			return err
		}
	}
	return nil
}

// maxNesting bounds the depth of types made at run time: reflect cannot make recursive ones.
const maxNesting = 100

// nameOf returns the name of a type, and makes it up if it has none.
func (b *batch) nameOf(id snapshot.TypeID, depth int) (string, error) {
	typ := &b.t.types[id]
	if typ.Name != "" {
		return typ.Name, nil
	}
	if depth > maxNesting {
		return "", fmt.Errorf("%w: it contains itself", errHeader)
	}
	var failed error
	of := func(id snapshot.TypeID) string {
		name, err := b.nameOf(id, depth+1)
		if err != nil {
			failed = err
		}
		return name
	}
	var name string
	switch typ.Kind {
	case snapshot.Pointer:
		name = "*" + of(typ.Elem)
	case snapshot.Slice:
		name = "[]" + of(typ.Elem)
	case snapshot.Array:
		name = "[" + strconv.FormatUint(typ.Len, 10) + "]" + of(typ.Elem)
	case snapshot.Chan:
		name = "chan " + of(typ.Elem)
	case snapshot.Map:
		name = "map[" + of(typ.Key) + "]" + of(typ.Elem)
	case snapshot.Func:
		name = b.funcs[id].name(of)
	default:
		name = structName(typ.Fields, b.tags[id], of)
	}
	if failed != nil {
		return "", failed
	}
	if len(name) > maxNameLen {
		return "", fmt.Errorf("%w: length %d", errName, len(name))
	}
	if err := b.t.spent.take(&b.t.spent.nameBytes, len(name), "names"); err != nil {
		return "", err
	}
	typ.Name = name
	return name, nil
}

func (s signature) name(of func(snapshot.TypeID) string) string {
	list := func(ids []snapshot.TypeID, variadic bool) string {
		var names []string
		for i, id := range ids {
			name := of(id)
			if rest, ok := strings.CutPrefix(name, "[]"); ok && variadic && i == len(ids)-1 {
				name = "..." + rest
			}
			names = append(names, name)
		}
		return strings.Join(names, ", ")
	}
	name := "func(" + list(s.in, s.variadic) + ")"
	switch len(s.out) {
	case 0:
		return name
	case 1:
		return name + " " + of(s.out[0])
	}
	return name + " (" + list(s.out, false) + ")"
}

func structName(fields []snapshot.Field, tags []string, of func(snapshot.TypeID) string) string {
	if len(fields) == 0 {
		return "struct {}"
	}
	var name strings.Builder
	name.WriteString("struct {")
	for i, f := range fields {
		if i > 0 {
			name.WriteByte(';')
		}
		name.WriteByte(' ')
		if !f.Embedded {
			name.WriteString(f.Name + " ")
		}
		name.WriteString(of(f.Type))
		if i < len(tags) && tags[i] != "" {
			name.WriteString(" " + strconv.Quote(tags[i]))
		}
	}
	name.WriteString(" }")
	return name.String()
}
