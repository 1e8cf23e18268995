package layout

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// absent is the offset of a field that a version does not have.
const absent = math.MaxUint32

// offsets are where fields lie in the runtime's structures: bytes from the structure's start.
type offsets struct {
	module struct {
		size, pcHeader, funcnametab, cutab, filetab, pctab, pclntable, ftab, findfunctab, minpc, maxpc,
		text, etext, noptrdata, enoptrdata, data, edata, bss, ebss, noptrbss, enoptrbss,
		types, typedesclen, etypes, itaboffset, itabsize, rodata, gofunc, textsectmap, typelinks, itablinks,
		pluginpath, gcdatamask, gcbssmask, next uint64
	}
	heap struct{ allspans, sweepgen uint64 }
	span struct {
		size, startAddr, npages, freeindex, nelems, freeIndexForScan, allocBits, gcmarkBits, sweepgen, divMul,
		allocCount, spanclass, state, isUserArenaChunk, elemsize, limit, specials, largeType uint64
	}
	g struct {
		size, stackLo, stackHi, panics, defers, m, sp, pc, ctxt, bp, syscallsp, syscallpc, atomicstatus, goid,
		waitreason, asyncSafePoint, gopc, startpc uint64
	}
	special    struct{ next, offset, kind uint64 }
	finalizing struct{ fn uint64 }
	cleaning   struct{ call, fn, arg uint64 }
	weak       struct{ handle uint64 }
	profiled   struct{ bucket uint64 }
	bucket     struct{ size, typ, nstk uint64 }
	finBlock   struct{ size, alllink, cnt, fin uint64 }
	finalizer  struct{ size, fn, arg, fint, ot uint64 }
	cleanBlock struct{ size, alllink, n, cleanups uint64 }
	cleanFn    struct{ size, call, fn, arg uint64 }
	cleanQueue struct{ all uint64 }
	controller struct{ heapMarked uint64 }
	stats      struct{ numgc uint64 }
	deferred   struct{ fn, link uint64 }
}

// field binds a field of the runtime to its offset.
type field struct {
	// name is "runtime.mspan.startAddr", or "runtime.mspan" for the structure's size. Names that other versions have
	// for it follow after bars.
	name string
	at   *uint64
}

// fields lists what the package reads.
func (o *offsets) fields() []field {
	return slices.Concat(o.moduleFields(), o.heapFields(), o.goroutineFields(), o.specialFields(), o.queueFields())
}

func (o *offsets) moduleFields() []field {
	m := &o.module
	return []field{
		{"runtime.moduledata", &m.size}, {"runtime.moduledata.pcHeader", &m.pcHeader},
		{"runtime.moduledata.funcnametab", &m.funcnametab}, {"runtime.moduledata.cutab", &m.cutab},
		{"runtime.moduledata.filetab", &m.filetab}, {"runtime.moduledata.pctab", &m.pctab},
		{"runtime.moduledata.pclntable", &m.pclntable}, {"runtime.moduledata.ftab", &m.ftab},
		{"runtime.moduledata.findfunctab", &m.findfunctab},
		{"runtime.moduledata.minpc", &m.minpc}, {"runtime.moduledata.maxpc", &m.maxpc},
		{"runtime.moduledata.text", &m.text}, {"runtime.moduledata.etext", &m.etext},
		{"runtime.moduledata.noptrdata", &m.noptrdata}, {"runtime.moduledata.enoptrdata", &m.enoptrdata},
		{"runtime.moduledata.data", &m.data}, {"runtime.moduledata.edata", &m.edata},
		{"runtime.moduledata.bss", &m.bss}, {"runtime.moduledata.ebss", &m.ebss},
		{"runtime.moduledata.noptrbss", &m.noptrbss}, {"runtime.moduledata.enoptrbss", &m.enoptrbss},
		{"runtime.moduledata.types", &m.types}, {"runtime.moduledata.typedesclen", &m.typedesclen},
		{"runtime.moduledata.etypes", &m.etypes}, {"runtime.moduledata.itaboffset", &m.itaboffset},
		{"runtime.moduledata.itabsize", &m.itabsize}, {"runtime.moduledata.rodata", &m.rodata},
		{"runtime.moduledata.gofunc", &m.gofunc},
		{"runtime.moduledata.textsectmap", &m.textsectmap}, {"runtime.moduledata.typelinks", &m.typelinks},
		{"runtime.moduledata.itablinks", &m.itablinks}, {"runtime.moduledata.pluginpath", &m.pluginpath},
		{"runtime.moduledata.gcdatamask", &m.gcdatamask},
		{"runtime.moduledata.gcbssmask", &m.gcbssmask}, {"runtime.moduledata.next", &m.next},
	}
}

func (o *offsets) heapFields() []field {
	s := &o.span
	return []field{
		{"runtime.mheap.allspans", &o.heap.allspans}, {"runtime.mheap.sweepgen", &o.heap.sweepgen},
		{"runtime.gcControllerState.heapMarked", &o.controller.heapMarked}, {"runtime.mstats.numgc", &o.stats.numgc},
		{"runtime.mspan", &s.size}, {"runtime.mspan.startAddr", &s.startAddr}, {"runtime.mspan.npages", &s.npages},
		{"runtime.mspan.freeindex", &s.freeindex}, {"runtime.mspan.nelems", &s.nelems},
		{"runtime.mspan.freeIndexForScan", &s.freeIndexForScan}, {"runtime.mspan.allocBits", &s.allocBits},
		{"runtime.mspan.gcmarkBits", &s.gcmarkBits}, {"runtime.mspan.sweepgen", &s.sweepgen},
		{"runtime.mspan.divMul", &s.divMul}, {"runtime.mspan.allocCount", &s.allocCount},
		{"runtime.mspan.spanclass", &s.spanclass}, {"runtime.mspan.state", &s.state},
		{"runtime.mspan.isUserArenaChunk", &s.isUserArenaChunk}, {"runtime.mspan.elemsize", &s.elemsize},
		{"runtime.mspan.limit", &s.limit}, {"runtime.mspan.specials", &s.specials},
		{"runtime.mspan.largeType", &s.largeType},
	}
}

func (o *offsets) goroutineFields() []field {
	g := &o.g
	return []field{
		{"runtime.g", &g.size}, {"runtime.g.stack.lo", &g.stackLo}, {"runtime.g.stack.hi", &g.stackHi},
		{"runtime.g._panic", &g.panics}, {"runtime.g._defer", &g.defers}, {"runtime.g.m", &g.m},
		{"runtime.g.sched.sp", &g.sp}, {"runtime.g.sched.pc", &g.pc}, {"runtime.g.sched.ctxt", &g.ctxt},
		{"runtime.g.sched.bp", &g.bp}, {"runtime.g.syscallsp", &g.syscallsp}, {"runtime.g.syscallpc", &g.syscallpc},
		{"runtime.g.atomicstatus", &g.atomicstatus}, {"runtime.g.goid", &g.goid},
		{"runtime.g.waitreason", &g.waitreason}, {"runtime.g.asyncSafePoint", &g.asyncSafePoint},
		{"runtime.g.gopc", &g.gopc}, {"runtime.g.startpc", &g.startpc},
		{"runtime._defer.fn", &o.deferred.fn}, {"runtime._defer.link", &o.deferred.link},
	}
}

func (o *offsets) specialFields() []field {
	return []field{
		{"runtime.special.next", &o.special.next}, {"runtime.special.offset", &o.special.offset},
		{"runtime.special.kind", &o.special.kind},
		{"runtime.specialfinalizer.fn", &o.finalizing.fn},
		{"runtime.specialCleanup.cleanup.fn|runtime.specialCleanup.fn", &o.cleaning.fn},
		{"runtime.specialCleanup.cleanup.call", &o.cleaning.call}, {"runtime.specialCleanup.cleanup.arg", &o.cleaning.arg},
		{"runtime.specialWeakHandle.handle", &o.weak.handle}, {"runtime.specialprofile.b", &o.profiled.bucket},
		{"runtime.bucket", &o.bucket.size}, {"runtime.bucket.typ", &o.bucket.typ}, {"runtime.bucket.nstk", &o.bucket.nstk},
	}
}

func (o *offsets) queueFields() []field {
	b, f, c := &o.finBlock, &o.finalizer, &o.cleanBlock
	return []field{
		{"runtime.finBlock|runtime.finblock", &b.size},
		{"runtime.finBlock.alllink|runtime.finblock.alllink", &b.alllink},
		{"runtime.finBlock.cnt|runtime.finblock.cnt", &b.cnt}, {"runtime.finBlock.fin|runtime.finblock.fin", &b.fin},
		{"runtime.finalizer", &f.size}, {"runtime.finalizer.fn", &f.fn}, {"runtime.finalizer.arg", &f.arg},
		{"runtime.finalizer.fint", &f.fint}, {"runtime.finalizer.ot", &f.ot},
		{"runtime.cleanupBlock", &c.size}, {"runtime.cleanupBlock.cleanupBlockHeader.alllink", &c.alllink},
		{"runtime.cleanupBlock.cleanupBlockHeader.n", &c.n}, {"runtime.cleanupBlock.cleanups", &c.cleanups},
		{"runtime.cleanupFn", &o.cleanFn.size}, {"runtime.cleanupFn.call", &o.cleanFn.call},
		{"runtime.cleanupFn.fn", &o.cleanFn.fn}, {"runtime.cleanupFn.arg", &o.cleanFn.arg},
		{"runtime.cleanupQueue.all", &o.cleanQueue.all},
	}
}

// table is what a minor version of Go has.
type table struct {
	// offsets are by the first name of a field; one that the version lacks is left out.
	offsets map[string]uint32
	// arm64 are those that this architecture has elsewhere.
	arm64 map[string]uint32
	// waitReasons are the texts of runtime.waitReason.
	waitReasons []string
	// kinds are the numbers of the kinds of specials.
	kinds map[uint8]SpecialKind
}

// load sets the offsets from a table.
func (o *offsets) load(t *table, arch string) {
	for _, f := range o.fields() {
		*f.at = absent
		if at, ok := t.offsets[firstName(f.name)]; ok {
			*f.at = uint64(at)
		}
		if at, ok := t.arm64[firstName(f.name)]; ok && arch == "arm64" {
			*f.at = uint64(at)
		}
	}
}

// verify holds the offsets, some of them from debug information, against what reading relies on: what the table has is
// there, and sizes hold their fields.
func (o *offsets) verify(t *table) error {
	sizes := make(map[string]uint64)
	for _, f := range o.fields() {
		name := firstName(f.name)
		if _, known := t.offsets[name]; known && *f.at == absent {
			return fmt.Errorf("%s is missing", name)
		}
		if strings.Count(name, ".") == 1 && *f.at != absent {
			sizes[name] = *f.at
		}
	}
	for _, f := range o.fields() {
		parts := strings.SplitN(firstName(f.name), ".", 3)
		size, sized := sizes[parts[0]+"."+parts[1]]
		switch {
		case *f.at == absent || !sized:
		case len(parts) == 2 && (size < wordSize || size%4 != 0):
			return fmt.Errorf("%s has %d bytes", f.name, size)
		case len(parts) == 3 && *f.at >= size:
			return fmt.Errorf("%s is at %d of %d bytes", f.name, *f.at, size)
		}
	}
	return nil
}

func firstName(names string) string {
	first, _, _ := strings.Cut(names, "|")
	return first
}

// supported lists the versions: "1.24, 1.25 and 1.26".
func supported() string {
	var b strings.Builder
	for i, minor := range minors {
		switch {
		case i > 0 && i == len(minors)-1:
			b.WriteString(" and ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "1.%d", minor)
	}
	return b.String()
}
