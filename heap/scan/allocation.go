package scan

import (
	"strings"

	"github.com/memwarden/memwarden/heap/functab"
	"github.com/memwarden/memwarden/heap/gotype"
	"github.com/memwarden/memwarden/heap/layout"
	"github.com/memwarden/memwarden/heap/snapshot"
)

// typeArgument returns the argument in which a function of the runtime that compiled code, or the runtime itself, asks for
// memory takes a type: that of the object, of the elements of an array, of a channel or of a map. Since Go 1.27 compiled
// code calls variants of mallocgc for size classes, such as mallocgcSmallScanNoHeaderSC3.
func typeArgument(name string) (register, bool) {
	switch name {
	case "runtime.newobject", "internal/runtime/maps.newobject", "runtime.newarray", "internal/runtime/maps.newarray",
		"runtime.makeslice", "runtime.makeslice64", "runtime.makeslicecopy", "runtime.makechan", "runtime.makechan64",
		"runtime.makemap", "runtime.makemap64", "runtime.mapassign", "runtime.mapassign_fast32",
		"runtime.mapassign_fast32ptr", "runtime.mapassign_fast64", "runtime.mapassign_fast64ptr", "runtime.mapassign_faststr",
		"runtime.convT", "runtime.convTnoptr":
		return firstArgument, true
	case "runtime.mallocgc":
		return secondArgument, true
	case "runtime.growslice", "runtime.growsliceNoAlias", "runtime.growsliceBuf", "runtime.growsliceBufNoAlias":
		return fifthArgument, true
	}
	if rest, ok := strings.CutPrefix(name, "runtime.mallocgc"); ok {
		return secondArgument, strings.Contains(rest, "SC")
	}
	return 0, false
}

// allocations tells what types the code asked for at the call sites of allocators, from the machine code alone: it holds
// in stripped programs too. It is not safe for concurrent use.
type allocations struct {
	rt        *layout.Runtime
	types     *gotype.Table
	functions *functab.Table
	byPC      map[uint64]allocation
}

// allocation is what is known of a return address.
type allocation struct {
	id      snapshot.TypeID // 0: its call is none to an allocator, or takes a type that is computed
	runtime bool            // the caller is the runtime itself
}

func newAllocations(rt *layout.Runtime, types *gotype.Table, functions *functab.Table) *allocations {
	return &allocations{rt: rt, types: types, functions: functions, byPC: make(map[uint64]allocation)}
}

// typeOf returns the type that was asked for at the end of a stack of return addresses, innermost first: in the call of
// the program into the runtime, or if that tells none, in the calls of the runtime that followed.
func (a *allocations) typeOf(pcs []uint64) snapshot.TypeID {
	id := snapshot.TypeID(0)
	for _, pc := range pcs {
		at, known := a.byPC[pc]
		if !known {
			at = a.look(pc)
			a.byPC[pc] = at
		}
		if at.id != 0 {
			id = at.id
		}
		if !at.runtime {
			break
		}
	}
	return id
}

// look decodes the call before a return address.
func (a *allocations) look(pc uint64) allocation {
	caller, ok := a.functions.Find(pc - 1)
	if !ok {
		return allocation{}
	}
	found := allocation{
		runtime: strings.HasPrefix(caller.Name, "runtime.") || strings.HasPrefix(caller.Name, "internal/runtime/"),
	}
	var code [siteBytes]byte
	n := min(pc-caller.Entry, siteBytes)
	if a.rt.Read(pc-n, code[:n]) != nil {
		return found
	}
	site, ok := decodeCall(a.rt.Arch, code[:n], pc)
	if !ok {
		return found
	}
	callee, ok := a.functions.Find(site.callee)
	if !ok || callee.Entry != site.callee {
		return found
	}
	if r, ok := typeArgument(callee.Name); ok && a.types.IsTypeWord(site.loaded[r]) {
		if id, err := a.types.ByAddress(site.loaded[r]); err == nil {
			found.id = id
		}
	}
	return found
}

// fits reports whether a type may be that of an object, or of its elements, in a slot of a span.
func (a *allocations) fits(id snapshot.TypeID, span *layout.Span) bool {
	return id != 0 && mayHold(&a.types.Types()[id], span)
}

// tinyBytes is the size of the blocks that values without pointers share.
const tinyBytes = 16

// mayHold is fits for a type. Blocks that several small values share have none. What channels and maps are made of is
// not looked at here.
func mayHold(t *snapshot.Type, span *layout.Span) bool {
	tiny := span.NoScan && span.ElemSize == tinyBytes
	switch {
	case t.Kind == snapshot.Chan, t.Kind == snapshot.Map:
		return !tiny
	case tiny && t.Size < tinyBytes:
		return false
	}
	return t.Size > 0 && t.Size <= span.ElemSize && span.NoScan == (t.PtrBytes == 0)
}
