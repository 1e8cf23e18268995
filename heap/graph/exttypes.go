package graph

import (
	"strings"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// objectKind is what an object is that is not just a value of one of the program's types.
type objectKind uint8

const (
	value       objectKind = iota // of the type base
	array                         // of several values of the type base, or a slice's backing
	stringBytes                   // the bytes of a string
	mapHeader                     // of a map of type arg
	oldHeader                     // the same before Go 1.24, or without Swiss maps
	directory                     // of tables of groups of type arg
	mapTable                      // of groups of type arg
	channel                       // of type arg
	closure                       // of the function arg
	funcValue                     // of func type arg, the function unknown
	mapExtra                      // overflow buckets of an older map
	weakHandle                    // what weak pointers to an object share
)

// objectType is a type that an object may have: first those of the snapshot's table, then what was made from them.
type objectType struct {
	kind objectKind
	laid bool            // words have been laid out
	base snapshot.TypeID // what the words are of, and repeats; 0: nothing is known of them
	arg  uint32          // TypeID or FuncID
	// guessed tells that base is inferred where the type itself is exact: a closure's captured variables.
	guessed bool
	words   []word
}

// objectTypes numbers them.
type objectTypes struct {
	table *typeTable
	list  []objectType
	ids   map[typeKey]uint32
	laid  int // words laid out so far
	// groups are the types of groups and buckets of maps.
	groups map[snapshot.TypeID]bool
}

type typeKey struct {
	kind objectKind
	arg  uint32
}

func newObjectTypes(table *typeTable) *objectTypes {
	o := &objectTypes{
		table: table, list: make([]objectType, len(table.types)), ids: make(map[typeKey]uint32), groups: make(map[snapshot.TypeID]bool),
	}
	for id := range o.list {
		o.list[id].base = snapshot.TypeID(id)
		if t := &table.types[id]; t.Kind == snapshot.Map && t.Group != 0 {
			o.groups[t.Group] = true
		}
	}
	return o
}

// id returns the number of a made type.
func (o *objectTypes) id(kind objectKind, arg uint32) uint32 {
	key := typeKey{kind, arg}
	if id, ok := o.ids[key]; ok {
		return id
	}
	made := objectType{kind: kind, arg: arg}
	switch kind {
	case array:
		made.base = snapshot.TypeID(arg)
	case mapHeader, oldHeader, directory, mapTable, channel, mapExtra:
		made.words, made.laid = o.runtimeWords(kind, arg), true
	case stringBytes, closure, funcValue, weakHandle, value:
		made.laid = true
	}
	id := uint32(len(o.list))
	o.list = append(o.list, made)
	o.ids[key] = id
	return id
}

// runtimeWords are the words of what the runtime allocates.
func (o *objectTypes) runtimeWords(kind objectKind, arg uint32) []word {
	table := o.table
	of := table.get(snapshot.TypeID(arg))
	switch kind {
	case mapHeader:
		words := make([]word, 6)
		words[2] = word{kind: toDirectory, arg: of.Group}
		return words
	case oldHeader:
		words := make([]word, 8)
		words[2] = word{kind: toGroups, arg: of.Group}
		words[3] = words[2]
		words[6] = word{kind: toMapExtra, arg: of.Group}
		return words
	case directory:
		return []word{{kind: toTable, arg: snapshot.TypeID(arg)}}
	case mapTable:
		words := make([]word, 4)
		words[2] = word{kind: toGroups, arg: snapshot.TypeID(arg)}
		return words
	case mapExtra:
		// Slices of overflow buckets, behind a pointer to the slice header; and the next free bucket.
		return []word{{kind: toAnything}, {kind: toAnything}, {kind: toGroups, arg: snapshot.TypeID(arg)}}
	default:
		return o.channelWords(of.Elem)
	}
}

// channelWords are those of runtime.hchan: its type if the file has it, else what all versions have in common.
func (o *objectTypes) channelWords(elem snapshot.TypeID) []word {
	table := o.table
	words := table.layOut(table.named["runtime.hchan"])
	if len(words) < 12 {
		words = make([]word, 14)
		words[4] = word{kind: toValue, arg: table.named["runtime.timer"]}
		words[5] = word{kind: toAnything}
		for i := 8; i < 12; i++ {
			words[i] = word{kind: toValue, arg: table.named["runtime.sudog"]}
		}
		words[12] = word{kind: toAnything}
	}
	words[2] = word{kind: toChanBuffer, arg: elem}
	return words
}

// words returns the words of a type, which repeat; nil if they are not known or too many for a table.
func (o *objectTypes) words(id uint32) []word {
	t := &o.list[id]
	if !t.laid {
		t.laid = true
		if o.laid < maxWordsTotal {
			t.words = o.table.layOut(o.table.repeats(t.base))
			o.laid += len(t.words)
		}
	}
	return t.words
}

// setBase gives a closure's captured variables a struct type, which may be a guess.
func (o *objectTypes) setBase(id uint32, base snapshot.TypeID, guessed bool) {
	t := &o.list[id]
	t.base, t.guessed, t.laid, t.words = base, guessed, false, nil
}

// name is what a type is called.
func (o *objectTypes) name(id uint32, functions []snapshot.Function) string {
	t := &o.list[id]
	of := func() string { return strings.TrimPrefix(o.table.get(snapshot.TypeID(t.arg)).Name, "noalg.") }
	switch t.kind {
	case array:
		return "[]" + of()
	case stringBytes:
		return "string"
	case directory:
		return "[]*internal/runtime/maps.table"
	case mapTable:
		return "internal/runtime/maps.table"
	case mapExtra:
		return "runtime.mapextra"
	case weakHandle:
		return "weak.handle"
	case closure:
		if int(t.arg) < len(functions) && functions[t.arg].Name != "" {
			return "func " + functions[t.arg].Name
		}
		return "func"
	default:
		if id == 0 {
			return ""
		}
		if t.kind == value {
			name := strings.TrimPrefix(o.table.get(t.base).Name, "noalg.")
			if t.base == o.table.named["maps.table"] || t.base == o.table.named["maps.Map"] {
				return "internal/runtime/" + name
			}
			return name
		}
		return of()
	}
}
