package graph

import "github.com/memwarden/memwarden/heap/snapshot"

// pointing is what kind of pointer a word is, which says what it points to.
type pointing uint8

const (
	noPointer     pointing = iota
	toValue                // *T: a value of T, or an element of an array
	toElements             // []T: an element of a backing array
	toString               // a string's bytes
	toMap                  // the header of a map of type T
	toChan                 // a channel of type T
	toClosure              // a closure of func type T
	toAnything             // unsafe.Pointer
	interfaceTab           // an interface's first word, which does not point into the heap as a rule
	interfaceData          // its second: only the first knows
	toDirectory            // a Swiss map's directory, or its only group T
	toTable                // a Swiss map's table of groups T
	toGroups               // the array of groups T of a table, or of buckets of an older map
	toMapExtra             // an older map's overflow buckets
	toChanBuffer           // the elements T of a channel's buffer, or of another array without a length behind the pointer
	toWeakHandle           // what weak pointers to an object share
)

// word tells what a word of a value is.
type word struct {
	kind pointing
	arg  snapshot.TypeID
	// hint is the type that was given to the last object that the word led to.
	hint uint32
}

// maxWordsTotal bounds the words laid out for all types together.
const maxWordsTotal = 4 << 20

// layOut returns the words of a type, up to its last pointer at least; nil if the type is opaque or too large.
func (t *typeTable) layOut(id snapshot.TypeID) []word {
	typ := t.get(id)
	if t.opaque[id] || typ.PtrBytes == 0 || typ.Size/wordBytes > maxTableWords {
		return nil
	}
	words := make([]word, typ.Size/wordBytes)
	t.fill(words, id)
	return words
}

// fill sets the words of a value.
func (t *typeTable) fill(words []word, id snapshot.TypeID) {
	typ := t.get(id)
	if typ.PtrBytes == 0 || t.opaque[id] {
		return
	}
	switch typ.Kind {
	case snapshot.Struct:
		for i := range typ.Fields {
			if f := &typ.Fields[i]; t.types[f.Type].PtrBytes != 0 {
				t.fill(words[f.Offset/wordBytes:], f.Type)
				t.fillSpecial(words[f.Offset/wordBytes:], id, f)
			}
		}
	case snapshot.Array:
		size := t.types[typ.Elem].Size / wordBytes
		t.fill(words, typ.Elem)
		for i := uint64(1); i < typ.Len; i++ {
			copy(words[i*size:(i+1)*size], words[:size])
		}
	case snapshot.Interface:
		words[0] = word{kind: interfaceTab}
		words[1] = word{kind: interfaceData}
	default:
		words[0] = t.leaf(typ, id)
	}
}

// leaf is the word of a pointer of some kind.
func (t *typeTable) leaf(typ *snapshot.Type, id snapshot.TypeID) word {
	switch typ.Kind {
	case snapshot.Pointer:
		return word{kind: toValue, arg: typ.Elem}
	case snapshot.Slice:
		return word{kind: toElements, arg: typ.Elem}
	case snapshot.String:
		return word{kind: toString}
	case snapshot.Map:
		return word{kind: toMap, arg: id}
	case snapshot.Chan:
		return word{kind: toChan, arg: id}
	case snapshot.Func:
		return word{kind: toClosure, arg: id}
	default:
		return word{kind: toAnything}
	}
}

// fillSpecial corrects an unsafe.Pointer of which the struct that it is a field of says more.
func (t *typeTable) fillSpecial(words []word, owner snapshot.TypeID, f *snapshot.Field) {
	if t.types[f.Type].Kind != snapshot.UnsafePointer && t.types[f.Type].Name != "atomic.UnsafePointer" {
		return
	}
	of := &t.types[owner]
	switch {
	case t.weak[owner]:
		words[0] = word{kind: toWeakHandle}
	case t.pairs[owner] != 0:
		words[0] = word{kind: toValue, arg: t.pairs[owner]}
	case of.Name == "sync.Pool" && (f.Name == "local" || f.Name == "victim"):
		if local := t.named["sync.poolLocal"]; local != 0 {
			words[0] = word{kind: toChanBuffer, arg: local}
		}
	case f.Name == "overflow" && of.Name != "" && of.PkgPath == "" && isBucket(of.Name):
		words[0] = word{kind: toGroups, arg: owner}
	}
}

// isBucket reports whether a type's name is that of the buckets of maps before Go 1.24.
func isBucket(name string) bool {
	return len(name) > 11 && (name[:11] == "map.bucket[" || name[:11] == "noalg.map.b")
}

// wordAt finds the word of a type that is too large for a table.
func (t *typeTable) wordAt(id snapshot.TypeID, at uint64) word {
	size := t.get(id).Size
	if size == 0 {
		return word{}
	}
	offset := at * wordBytes % size
	for range nesting + 1 {
		typ := t.get(id)
		if t.opaque[id] || typ.PtrBytes == 0 {
			return word{}
		}
		if typ.Kind != snapshot.Struct && typ.Kind != snapshot.Array {
			if typ.Kind == snapshot.Interface && offset == wordBytes {
				return word{kind: interfaceData}
			}
			if offset != 0 {
				return word{}
			}
			if typ.Kind == snapshot.Interface {
				return word{kind: interfaceTab}
			}
			return t.leaf(typ, id)
		}
		part, rest, field := t.component(id, offset)
		if part == 0 {
			return word{}
		}
		if field != nil && rest == 0 {
			special := [1]word{}
			if t.fillSpecial(special[:], id, field); special[0].kind != noPointer {
				return special[0]
			}
		}
		id, offset = part, rest
	}
	return word{}
}
