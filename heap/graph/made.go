package graph

import (
	"context"
	"math/bits"

	"github.com/memwarden/memwarden/heap/snapshot"
)

// part is what an object may be that the runtime made for a map or a channel, by its form alone.
type part uint8

const (
	noPart part = iota
	tablePart
	directoryPart
	headerPart
	channelPart
	manyParts
)

// partOf tells what objects of a form may be.
func (x *inference) partOf(f *form) part {
	table := x.types.table
	switch small := f.small(); {
	case small && f.size == swissTableBytes && f.mask == swissTableMask:
		return tablePart
	case small && f.size == swissHeaderBytes && f.mask == swissHeaderMask:
		return headerPart
	case table.isTablePointer(f.typ), small && f.mask != 0 && f.mask&(f.mask+1) == 0:
		return directoryPart
	case small && table.named["runtime.hchan"] != 0 && table.fits(table.named["runtime.hchan"], f) == oneFit:
		return channelPart
	}
	return noPart
}

// runtimeParts gives types to what the runtime made for maps and channels, from the groups of the maps and the buffers
// of the channels on: tables, then directories, then headers. What they look like, much else does, until it is known
// what they point to.
func (x *inference) runtimeParts(ctx context.Context) (found uint64, err error) {
	parts := make([]part, len(x.g.forms))
	for i := range parts {
		parts[i] = x.partOf(&x.g.forms[i])
	}
	for part := tablePart; part < manyParts; part++ {
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		for i, w := range x.holders.unknown {
			for ; w != 0; w &= w - 1 {
				object := uint32(i*64 + bits.TrailingZeros64(w))
				if parts[x.g.formOf[object]] != part || x.g.typing[object] != 0 {
					continue
				}
				if id := x.certainPart(object, x.holders.of(object)); id != 0 {
					x.assign(object, newTyping(id, Inferred, rankInside))
					found++
				}
			}
		}
	}
	return found, nil
}

// certainPart returns what the runtime made an object for, if what it points to and what points to it leave one answer;
// 0 otherwise. Nothing else points to what the runtime makes for maps.
func (x *inference) certainPart(object uint32, holders []holder) uint32 {
	made := x.runtimeTypes(object)
	if len(made) != 1 || x.fitsEdges(object, made[0]) != agrees || x.fitsHolders(made[0], x.g.formOf[object], holders) == against {
		return 0
	}
	return made[0]
}

// mayBePart reports whether an object may be a part of a map of which the type cannot be told, because it points to what
// may be another part and has no type: then nothing is inferred from its looks.
func (x *inference) mayBePart(object uint32) bool {
	g := x.g
	kind := x.partOf(&g.forms[g.formOf[object]])
	if kind == noPart || kind == channelPart || g.Starts[object] == g.Starts[object+1] {
		return false
	}
	target := g.Targets[g.Starts[object]]
	if offset, _ := g.offsets.get(g.Starts[object]); g.typing[target] != 0 || offset != 0 {
		return false
	}
	form := g.formOf[target]
	of := x.partOf(&g.forms[form])
	switch kind {
	case directoryPart:
		return of == tablePart && x.mayBePart(target)
	case headerPart:
		return of == directoryPart && x.mayBePart(target) || x.mayBeGroups(form)
	}
	return x.mayBeGroups(form)
}

// mayBeGroups reports whether objects of a form may be groups of a map.
func (x *inference) mayBeGroups(form uint16) bool {
	may, known := x.groupForms[form]
	if !known {
		for id := range x.types.groups {
			if x.types.table.fits(id, &x.g.forms[form]) != noFit {
				may = true
				break
			}
		}
		x.groupForms[form] = may
	}
	return may
}

// runtimeTypes returns what the runtime may have made an object for, by what it points to.
func (x *inference) runtimeTypes(object uint32) []uint32 {
	g := x.g
	f := &g.forms[g.formOf[object]]
	from, to := g.Starts[object], g.Starts[object+1]
	tables := x.types.table.isTablePointer(f.typ)
	x.scratch = x.scratch[:0]
	if !f.small() && !tables || from == to {
		return nil
	}
	of := &x.types.list[g.typing[g.Targets[from]].id()]
	groups := snapshot.TypeID(of.arg)
	if of.kind <= array {
		groups = of.base
	}
	switch maps := x.candidates.maps[groups]; {
	case x.isChannel(object, f):
		if ch := x.candidates.chans[of.base]; ch != 0 {
			x.scratch = append(x.scratch, x.types.id(channel, uint32(ch)))
		}
	case len(maps) == 0:
	case of.kind == mapTable && (tables || f.mask&1 != 0):
		x.scratch = append(x.scratch, x.types.id(directory, uint32(groups)))
	case of.kind > array && of.kind != directory:
	case f.size == swissHeaderBytes && f.mask == swissHeaderMask:
		for _, m := range maps {
			x.scratch = append(x.scratch, x.types.id(mapHeader, uint32(m)))
		}
	case f.size == swissTableBytes && f.mask == swissTableMask && of.kind == array:
		x.scratch = append(x.scratch, x.types.id(mapTable, uint32(groups)))
	}
	return x.scratch
}

// isChannel reports whether an object looks like a channel whose elements have pointers: its words are those of
// runtime.hchan, and its first pointer leads to the beginning of the buffer, an array of one type.
func (x *inference) isChannel(object uint32, f *form) bool {
	hchan := x.types.table.named["runtime.hchan"]
	if hchan == 0 || !f.small() || x.types.table.fits(hchan, f) != oneFit {
		return false
	}
	g, e := x.g, x.g.Starts[object]
	offset, _ := g.offsets.get(e)
	of := &x.types.list[g.typing[g.Targets[e]].id()]
	return offset == 0 && g.slot(object, e) == chanBufferSlot && of.base != 0 && of.kind <= array
}
