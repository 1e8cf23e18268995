package heaptest

import (
	"fmt"

	"github.com/memwarden/memwarden/heap/snapshot"
)

const (
	groupSlots    = 8
	maxTableSlots = 1024
	// maxInSlot is the size above which keys and elements stand behind pointers.
	maxInSlot = 128
)

// runtimeStruct returns a struct type of the runtime, whose unexported name has the full path of its package.
func (b *Builder) runtimeStruct(name string, fields func() []Field) snapshot.TypeID {
	id := b.named(name)
	if b.types[id].Kind == snapshot.Invalid {
		b.Struct(name, fields()...)
	}
	return id
}

// MapHeader is the type that a map variable points to.
func (b *Builder) MapHeader() snapshot.TypeID {
	return b.runtimeStruct("internal/runtime/maps.Map", func() []Field {
		word, byte := b.Basic(snapshot.Uint64), b.Byte()
		return []Field{
			F("used", word), F("seed", b.Basic(snapshot.Uintptr)), F("dirPtr", b.Basic(snapshot.UnsafePointer)),
			F("dirLen", b.Int()), F("globalDepth", byte), F("globalShift", byte), F("writing", byte),
			F("tombstonePossible", b.Basic(snapshot.Bool)), F("clearSeq", word),
		}
	})
}

// mapTable is the type of a part of a large map.
func (b *Builder) mapTable() snapshot.TypeID {
	return b.runtimeStruct("internal/runtime/maps.table", func() []Field {
		half := b.Basic(snapshot.Uint16)
		groups := b.runtimeStruct("internal/runtime/maps.groupsReference", func() []Field {
			return []Field{F("data", b.Basic(snapshot.UnsafePointer)), F("lengthMask", b.Basic(snapshot.Uint64))}
		})
		return []Field{
			F("used", half), F("capacity", half), F("growthLeft", half), F("localDepth", b.Byte()), F("index", b.Int()),
			F("groups", groups),
		}
	})
}

// groupType is the type of eight slots of a map.
func (b *Builder) groupType(key, elem snapshot.TypeID) snapshot.TypeID {
	inSlot := func(t snapshot.TypeID) snapshot.TypeID {
		if b.types[t].Size > maxInSlot {
			return b.PtrTo(t)
		}
		return t
	}
	slots := b.Array(groupSlots, b.Struct("", F("key", inSlot(key)), F("elem", inSlot(elem))))
	t := b.layOut([]Field{F("ctrl", b.Basic(snapshot.Uint64)), F("slots", slots)})
	t.Name = "noalg.map.group[" + b.types[key].Name + "]" + b.types[elem].Name
	return b.intern("noalg.map.group["+b.names[key]+"]"+b.names[elem], t)
}

// Map is a map in the heap.
type Map struct {
	Object // the header, which map variables point to

	// Directory is the object with the pointers to the tables; none for a map of up to eight entries, nor one for a
	// directory of eight bytes.
	Directory Object
	Tables    []Object
	Groups    []Object // one for each table, or the one group of a small map

	typ      *snapshot.Type
	entries  uint64
	perTable uint64
}

// NewMap allocates a map of a map type with a number of entries, as the runtime lays it out: a bare group for up to
// eight entries, else a directory, tables of up to 1,024 slots, and their groups. Every second pointer of the directory
// of a map with more than one table is a duplicate.
func (b *Builder) NewMap(t snapshot.TypeID, entries uint64) *Map {
	typ := b.types[t]
	if typ.Kind != snapshot.Map {
		panic("heaptest: " + typ.Name + " is no map type")
	}
	m := &Map{Object: b.Object(b.MapHeader()), typ: &typ, entries: entries}
	b.Number(m.Object, "used", entries)
	if entries <= groupSlots {
		m.Groups = []Object{b.Object(typ.Group)}
		m.perTable = groupSlots
		b.Field(m.Object, "dirPtr", m.Groups[0])
		return m
	}
	tables, slots := uint64(1), uint64(2*groupSlots)
	for entries > slots*7/8 && slots < maxTableSlots {
		slots *= 2
	}
	for entries > tables*(slots*7/8) {
		tables *= 2
	}
	m.perTable = (entries + tables - 1) / tables
	pointers := tables
	if tables > 1 {
		pointers = 2 * tables
	}
	b.Number(m.Object, "dirLen", pointers)
	m.Directory = b.Values(b.PtrTo(b.mapTable()), pointers)
	b.Field(m.Object, "dirPtr", m.Directory)
	for i := range tables {
		table, groups := b.Object(b.mapTable()), b.Values(typ.Group, slots/groupSlots)
		b.Number(table, "groups.lengthMask", slots/groupSlots-1)
		b.Field(table, "groups.data", groups)
		m.Tables, m.Groups = append(m.Tables, table), append(m.Groups, groups)
		if tables == 1 {
			b.Field(m.Directory, "", table)
			continue
		}
		b.Field(m.Directory, fmt.Sprintf("[%d]", 2*i), table)
		b.Field(m.Directory, fmt.Sprintf("[%d]", 2*i+1), table)
	}
	return m
}

// Key lets the key of entry i, or what stands at a path of it, point to an object.
func (m *Map) Key(i uint64, path string, to Target) { m.set(i, "key", path, to) }

// Elem lets the element of entry i, or what stands at a path of it, point to an object.
func (m *Map) Elem(i uint64, path string, to Target) { m.set(i, "elem", path, to) }

func (m *Map) set(i uint64, part, path string, to Target) {
	if i >= m.entries {
		panic(fmt.Sprintf("heaptest: entry %d of %d", i, m.entries))
	}
	groups, slot := m.Groups[i/m.perTable], i%m.perTable
	at := fmt.Sprintf("slots[%d].%s", slot%groupSlots, part)
	if m.b.objects[groups.n].count > 1 {
		at = fmt.Sprintf("[%d].%s", slot/groupSlots, at)
	}
	if path != "" && path[0] != '[' {
		at += "."
	}
	m.b.Field(groups, at+path, to)
}

// Chan is a channel in the heap.
type Chan struct {
	Object // what channel variables point to

	// Buffer holds the elements, if they have pointers; without, they are in the channel itself.
	Buffer Object
}

// ChanHeader is the type that a channel variable points to.
func (b *Builder) ChanHeader() snapshot.TypeID {
	return b.runtimeStruct("runtime.hchan", func() []Field {
		word, pointer := b.Basic(snapshot.Uint), b.Basic(snapshot.UnsafePointer)
		queue := b.runtimeStruct("runtime.waitq", func() []Field {
			b.runtimeStruct("runtime.sudog", func() []Field {
				return []Field{
					F("g", b.Ptr("runtime.g")), F("next", b.Ptr("runtime.sudog")), F("prev", b.Ptr("runtime.sudog")),
					F("elem", pointer), F("rest", b.Array(7, word)),
				}
			})
			return []Field{F("first", b.Ptr("runtime.sudog")), F("last", b.Ptr("runtime.sudog"))}
		})
		return []Field{
			F("qcount", word), F("dataqsiz", word), F("buf", pointer), F("elemsize", b.Basic(snapshot.Uint16)),
			F("closed", b.Basic(snapshot.Uint32)), F("timer", b.Ptr("runtime.timer")), F("elemtype", b.Ptr("internal/abi.Type")),
			F("sendx", word), F("recvx", word), F("recvq", queue), F("sendq", queue), F("bubble", b.Ptr("runtime.synctestBubble")),
			F("lock", b.Basic(snapshot.Uintptr)),
		}
	})
}

// NewChan allocates a channel of a channel type. Paths into its Buffer are those of Values: "[3].Name".
func (b *Builder) NewChan(t snapshot.TypeID, capacity uint64) *Chan {
	typ := b.types[t]
	if typ.Kind != snapshot.Chan {
		panic("heaptest: " + typ.Name + " is no channel type")
	}
	elem := b.types[typ.Elem]
	header := b.ChanHeader()
	if elem.PtrBytes == 0 || capacity == 0 {
		// One object without pointers: header and elements.
		return &Chan{Object: b.Bytes(b.types[header].Size + capacity*elem.Size)}
	}
	c := &Chan{Object: b.Object(header), Buffer: b.Values(typ.Elem, capacity)}
	b.Number(c.Object, "dataqsiz", capacity)
	b.Field(c.Object, "buf", c.Buffer)
	return c
}
