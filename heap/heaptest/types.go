package heaptest

import (
	"fmt"
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// Field is a field of a struct, made by F.
type Field struct {
	Name     string
	Type     snapshot.TypeID
	Embedded bool
}

// F is a field of a struct.
func F(name string, t snapshot.TypeID) Field { return Field{Name: name, Type: t} }

// Embed is an embedded field of a struct.
func Embed(name string, t snapshot.TypeID) Field { return Field{Name: name, Type: t, Embedded: true} }

// basic says what a type without parts is like.
type basic struct {
	name           string
	size, ptrBytes uint64
}

var basics = map[snapshot.Kind]basic{
	snapshot.Bool: {"bool", 1, 0}, snapshot.Int: {"int", 8, 0}, snapshot.Int8: {"int8", 1, 0},
	snapshot.Int16: {"int16", 2, 0}, snapshot.Int32: {"int32", 4, 0}, snapshot.Int64: {"int64", 8, 0},
	snapshot.Uint: {"uint", 8, 0}, snapshot.Uint8: {"uint8", 1, 0}, snapshot.Uint16: {"uint16", 2, 0},
	snapshot.Uint32: {"uint32", 4, 0}, snapshot.Uint64: {"uint64", 8, 0}, snapshot.Uintptr: {"uintptr", 8, 0},
	snapshot.Float32: {"float32", 4, 0}, snapshot.Float64: {"float64", 8, 0},
	snapshot.Complex64: {"complex64", 8, 0}, snapshot.Complex128: {"complex128", 16, 0},
	snapshot.String: {"string", 16, 8}, snapshot.UnsafePointer: {"unsafe.Pointer", 8, 8},
}

// Basic is a type without parts, such as snapshot.Int or snapshot.UnsafePointer.
func (b *Builder) Basic(kind snapshot.Kind) snapshot.TypeID {
	t, ok := basics[kind]
	if !ok {
		panic(fmt.Sprintf("heaptest: kind %d is not basic", kind))
	}
	return b.intern(t.name, snapshot.Type{Kind: kind, Size: t.size, PtrBytes: t.ptrBytes})
}

// Int is the type int.
func (b *Builder) Int() snapshot.TypeID { return b.Basic(snapshot.Int) }

// Byte is the type uint8.
func (b *Builder) Byte() snapshot.TypeID { return b.Basic(snapshot.Uint8) }

// String is the type string.
func (b *Builder) String() snapshot.TypeID { return b.Basic(snapshot.String) }

// Struct defines a struct type with a name such as "main.User", or the struct that Ptr has named before. Offsets and
// sizes are those of the compiler. An empty name gives an unnamed type.
func (b *Builder) Struct(name string, fields ...Field) snapshot.TypeID {
	t := b.layOut(fields)
	if name == "" {
		short, full := b.structNames(t.Fields)
		t.Name = short
		return b.intern(full, t)
	}
	t.Name, t.PkgPath = split(name)
	id := b.named(name)
	if b.types[id].Kind != snapshot.Invalid {
		panic("heaptest: " + name + " is defined twice")
	}
	b.types[id] = t
	return id
}

// layOut returns a struct type without a name.
func (b *Builder) layOut(fields []Field) snapshot.Type {
	t := snapshot.Type{Kind: snapshot.Struct}
	align, last := uint64(1), uint64(1)
	for _, f := range fields {
		ft := &b.types[f.Type]
		if ft.Kind == snapshot.Invalid {
			panic(fmt.Sprintf("heaptest: field %s has type %s, which is not defined yet", f.Name, ft.Name))
		}
		a := b.align(f.Type)
		align = max(align, a)
		t.Size = (t.Size + a - 1) &^ (a - 1)
		if ft.PtrBytes > 0 {
			t.PtrBytes = t.Size + ft.PtrBytes
		}
		t.Fields = append(t.Fields, snapshot.Field{Name: f.Name, Type: f.Type, Offset: t.Size, Embedded: f.Embedded})
		t.Size += ft.Size
		last = ft.Size
	}
	if last == 0 && t.Size > 0 {
		t.Size++ // a pointer to the last field must not point behind the struct
	}
	t.Size = (t.Size + align - 1) &^ (align - 1)
	if len(fields) == 1 {
		t.DirectIface = b.types[fields[0].Type].DirectIface
	}
	return t
}

// split parts the full name of a type, as "example.com/store.User", into that of reflect and the import path.
func split(name string) (short, path string) {
	plain, _, _ := strings.Cut(name, "[")
	dot := strings.LastIndexByte(plain, '.')
	if dot <= 0 || strings.ContainsAny(plain, "*{ ") {
		return name, ""
	}
	slash := strings.LastIndexByte(plain[:dot], '/')
	return name[slash+1:], name[:dot]
}

// structNames returns what reflect calls a struct without a name, and the same with the full names of its parts.
func (b *Builder) structNames(fields []snapshot.Field) (short, full string) {
	var shorts, fulls []string
	for _, f := range fields {
		shorts = append(shorts, f.Name+" "+b.types[f.Type].Name)
		fulls = append(fulls, f.Name+" "+b.names[f.Type])
	}
	if len(fields) == 0 {
		return "struct {}", "struct {}"
	}
	return "struct { " + strings.Join(shorts, "; ") + " }", "struct { " + strings.Join(fulls, "; ") + " }"
}

// named returns a type by its full name, for which a place is kept if it is not defined yet.
func (b *Builder) named(name string) snapshot.TypeID {
	id, known := b.byName[name]
	if !known {
		id = snapshot.TypeID(len(b.types))
		short, _ := split(name)
		b.types = append(b.types, snapshot.Type{Name: short})
		b.names = append(b.names, name)
		b.byName[name] = id
	}
	return id
}

// intern returns the one type that has this full name.
func (b *Builder) intern(name string, t snapshot.Type) snapshot.TypeID {
	id := b.named(name)
	if b.types[id].Kind == snapshot.Invalid {
		if t.Name == "" {
			t.Name = b.types[id].Name
		}
		b.types[id] = t
	}
	return id
}

// made returns the type that is made of another one: "*" and "main.User".
func (b *Builder) made(prefix string, elem snapshot.TypeID, t snapshot.Type) snapshot.TypeID {
	t.Name, t.Elem = prefix+b.types[elem].Name, elem
	return b.intern(prefix+b.names[elem], t)
}

// Named returns a type by its name: one that is defined, or one that Struct will define.
func (b *Builder) Named(name string) snapshot.TypeID { return b.named(name) }

// Ptr is the type of pointers to a type by its name, which may be defined later.
func (b *Builder) Ptr(name string) snapshot.TypeID { return b.PtrTo(b.named(name)) }

// PtrTo is the type of pointers to a type.
func (b *Builder) PtrTo(elem snapshot.TypeID) snapshot.TypeID {
	return b.made("*", elem, snapshot.Type{Kind: snapshot.Pointer, Size: 8, PtrBytes: 8, DirectIface: true})
}

// Slice is the type of slices of a type.
func (b *Builder) Slice(elem snapshot.TypeID) snapshot.TypeID {
	return b.made("[]", elem, snapshot.Type{Kind: snapshot.Slice, Size: 24, PtrBytes: 8})
}

// Array is the type of arrays of n elements.
func (b *Builder) Array(n uint64, elem snapshot.TypeID) snapshot.TypeID {
	e := &b.types[elem]
	t := snapshot.Type{Kind: snapshot.Array, Size: n * e.Size, Len: n, DirectIface: n == 1 && e.DirectIface}
	if n > 0 && e.PtrBytes > 0 {
		t.PtrBytes = (n-1)*e.Size + e.PtrBytes
	}
	return b.made(fmt.Sprintf("[%d]", n), elem, t)
}

// Chan is the type of channels of a type.
func (b *Builder) Chan(elem snapshot.TypeID) snapshot.TypeID {
	return b.made("chan ", elem, snapshot.Type{Kind: snapshot.Chan, Size: 8, PtrBytes: 8, DirectIface: true})
}

// Func is a type of functions, by its signature: "func(int) error".
func (b *Builder) Func(signature string) snapshot.TypeID {
	return b.intern(signature, snapshot.Type{Kind: snapshot.Func, Size: 8, PtrBytes: 8, DirectIface: true})
}

// Interface is an interface type, by its name: "interface {}" or "io.Reader".
func (b *Builder) Interface(name string) snapshot.TypeID {
	return b.intern(name, snapshot.Type{Kind: snapshot.Interface, Size: 16, PtrBytes: 16})
}

// Map is the type of maps. Its Group is that of Swiss maps; keys and elements above 128 bytes stand behind pointers.
func (b *Builder) Map(key, elem snapshot.TypeID) snapshot.TypeID {
	name := "map[" + b.types[key].Name + "]" + b.types[elem].Name
	full := "map[" + b.names[key] + "]" + b.names[elem]
	if id, known := b.byName[full]; known {
		return id
	}
	group := b.groupType(key, elem)
	return b.intern(full, snapshot.Type{
		Name: name, Kind: snapshot.Map, Size: 8, PtrBytes: 8, Key: key, Elem: elem, DirectIface: true, Group: group,
	})
}

// align returns how the compiler aligns values of a type.
func (b *Builder) align(id snapshot.TypeID) uint64 {
	t := &b.types[id]
	switch t.Kind {
	case snapshot.Struct:
		align := uint64(1)
		for _, f := range t.Fields {
			align = max(align, b.align(f.Type))
		}
		return align
	case snapshot.Array:
		return b.align(t.Elem)
	case snapshot.Complex64:
		return 4
	}
	return min(max(t.Size, 1), wordBytes)
}

// pointers appends the words of a value at a byte offset that hold pointers, as the runtime's bitmaps have them.
func (b *Builder) pointers(words []uint64, id snapshot.TypeID, offset uint64) []uint64 {
	t := &b.types[id]
	if t.PtrBytes == 0 {
		return words
	}
	switch t.Kind {
	case snapshot.Struct:
		for _, f := range t.Fields {
			words = b.pointers(words, f.Type, offset+f.Offset)
		}
	case snapshot.Array:
		for i := range t.Len {
			words = b.pointers(words, t.Elem, offset+i*b.types[t.Elem].Size)
		}
	case snapshot.Interface:
		words = append(words, offset/wordBytes+1)
	default:
		words = append(words, offset/wordBytes)
	}
	return words
}
