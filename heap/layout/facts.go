package layout

import "fmt"

// readFacts reads what the collector says about itself. The number of its cycles is half the sweep generation in every
// supported version; memstats, which counts them too, is behind by one for a moment at the end of a cycle.
func (r *Runtime) readFacts() error {
	r.Cycles = uint64(r.sweepgen) / 2
	if addr, ok := r.symbols["runtime.memstats"]; ok {
		n, err := r.Uint32(addr + r.at.stats.numgc)
		if err == nil && (uint32(r.Cycles)-n)&(1<<31-1) > 1 {
			err = fmt.Errorf("%d cycles beside a sweep generation of %d", n, r.sweepgen)
		}
		if err != nil {
			return &LayoutError{"runtime.memstats.numgc", err}
		}
	}
	if addr, ok := r.symbols["runtime.gcController"]; ok {
		marked, err := r.Uint64(addr + r.at.controller.heapMarked)
		if err != nil {
			return &LayoutError{"runtime.gcController", err}
		}
		r.HeapMarked, r.KnownMarked = marked, true
	}
	return nil
}

// DeferFields returns the offsets of the fields fn, a func value, and link, the next record, in runtime._defer.
func (r *Runtime) DeferFields() (fn, link uint64) { return r.at.deferred.fn, r.at.deferred.link }
