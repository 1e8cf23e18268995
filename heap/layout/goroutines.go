package layout

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// G is a goroutine that is not dead.
type G struct {
	Address uint64 // of the runtime.g
	ID      uint64
	// Status is runtime.g's, without the scan bit.
	Status uint32
	// State is "running", "runnable", "syscall", "preempted" ..., or why it waits: "chan receive", "select".
	State            string
	StackLo, StackHi uint64
	// SP, PC, FP and Context are what was saved when it was last descheduled. FP is the frame pointer, Context a closure.
	// While it runs they are stale, or SP is 0.
	SP, PC, FP, Context uint64
	// SyscallSP and SyscallPC say where it entered a system call or C code; SyscallSP is 0 otherwise.
	SyscallSP, SyscallPC uint64
	// AsyncSafePoint tells that it was preempted at an instruction without a stack map.
	AsyncSafePoint bool
	Defer, Panic   uint64 // addresses of the innermost runtime._defer and runtime._panic, or 0
	M              uint64 // address of the runtime.m that runs it, or 0
	GoPC           uint64 // of the go statement
	StartPC        uint64 // entry of its function
	// System tells that the runtime started it for itself.
	System bool
}

// The states of goroutines, as runtime.g.atomicstatus has them.
const (
	Idle      = 0
	Runnable  = 1
	Running   = 2
	Syscall   = 3
	Waiting   = 4
	Dead      = 6
	CopyStack = 8
	Preempted = 9
	Leaked    = 10
	DeadExtra = 11 // of a thread that C code may call Go from

	scanBit = 0x1000
	// maxGoroutines bounds allgs.
	maxGoroutines = 1 << 28
)

// statusNames are by status; empty where there is no such status.
var statusNames = [...]string{
	Idle: "idle", Runnable: "runnable", Running: "running", Syscall: "syscall", Waiting: "waiting", Dead: "dead",
	CopyStack: "copystack", Preempted: "preempted", Leaked: "leaked", DeadExtra: "dead",
}

// findGoroutines finds allgs: by symbol, or by its shape among the executable's variables.
func (r *Runtime) findGoroutines() error {
	const what = "runtime.allgs"
	if addr, ok := r.symbols["runtime.allgs"]; ok {
		s, err := r.sliceAt(addr)
		if s = r.recorded(s); err == nil {
			err = r.acceptGoroutines(s)
		}
		if err != nil {
			return &LayoutError{what, err}
		}
		r.allgs = s
		return nil
	}
	candidates, err := r.searchSlices(maxGoroutines, func(s Slice) bool {
		g, err := r.Uint64(s.Data)
		if err == nil {
			_, err = r.readG(g)
		}
		return err == nil
	})
	if err != nil {
		return &LayoutError{what, err}
	}
	// While a collection runs, its snapshot of allgs is the same array, shorter.
	found := make(map[uint64]uint64) // lengths by array
	for _, c := range candidates {
		if s := r.recorded(c.Slice); s.Len > found[s.Data] && r.acceptGoroutines(s) == nil {
			found[s.Data] = s.Len
		}
	}
	for data, n := range found {
		if n > r.allgs.Len {
			r.allgs = Slice{data, n}
		}
	}
	if err := r.allAmong(found); err != nil {
		return &LayoutError{what, err}
	}
	return nil
}

// allAmong reports an error if a goroutine of the lists that were found is not in the longest, which is kept. What
// begins with a pointer to a goroutine, such as one that waits, looks like a list of one.
func (r *Runtime) allAmong(found map[uint64]uint64) error {
	if len(found) == 0 {
		return errors.New("0 places look like it")
	}
	if len(found) == 1 {
		return nil
	}
	all := make(map[uint64]bool, r.allgs.Len)
	if err := r.eachWord(r.allgs, func(addr uint64) error { all[addr] = true; return nil }); err != nil {
		return err
	}
	for data, n := range found {
		err := r.eachWord(Slice{data, n}, func(addr uint64) error {
			if !all[addr] {
				return fmt.Errorf("%d places look like it", len(found))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// acceptGoroutines verifies all goroutines of a candidate; some goroutine must be alive.
func (r *Runtime) acceptGoroutines(all Slice) error {
	if all.Len == 0 || all.Len > maxGoroutines || !r.Mapped(all.Data, all.Len*wordSize) {
		return fmt.Errorf("%d goroutines at %#x", all.Len, all.Data)
	}
	ids := make(map[uint64]bool)
	err := r.eachWord(all, func(addr uint64) error {
		g, err := r.readG(addr)
		if err != nil {
			return fmt.Errorf("goroutine at %#x: %w", addr, err)
		}
		if !g.alive() {
			return nil
		}
		if ids[g.ID] {
			return fmt.Errorf("two goroutines have the number %d", g.ID)
		}
		ids[g.ID] = true
		return nil
	})
	if err == nil && len(ids) == 0 {
		err = errors.New("no goroutine is alive")
	}
	return err
}

func (g *G) alive() bool { return g.Status != Idle && g.Status != Dead && g.Status != DeadExtra }

// readG decodes a runtime.g and verifies it.
func (r *Runtime) readG(addr uint64) (G, error) {
	at := &r.at.g
	if addr == 0 || addr%wordSize != 0 {
		return G{}, errors.New("no address")
	}
	p, err := r.memory.bytes(addr, at.size)
	if err != nil {
		return G{}, err
	}
	b := record(p)
	g := G{
		Address: addr, ID: b.uint64(at.goid), Status: b.uint32(at.atomicstatus) &^ scanBit,
		StackLo: b.uint64(at.stackLo), StackHi: b.uint64(at.stackHi),
		SP: b.uint64(at.sp), PC: b.uint64(at.pc), FP: b.uint64(at.bp), Context: b.uint64(at.ctxt),
		SyscallSP: b.uint64(at.syscallsp), SyscallPC: b.uint64(at.syscallpc),
		AsyncSafePoint: b.uint8(at.asyncSafePoint) != 0,
		Defer:          b.uint64(at.defers), Panic: b.uint64(at.panics), M: b.uint64(at.m),
		GoPC: b.uint64(at.gopc), StartPC: b.uint64(at.startpc),
	}
	reason := b.uint8(at.waitreason)
	if uint64(g.Status) < uint64(len(statusNames)) {
		g.State = statusNames[g.Status]
	}
	if g.State == "" {
		return G{}, fmt.Errorf("status %d", g.Status)
	}
	if g.Status == Waiting {
		if int(reason) >= len(r.names.waitReasons) {
			return G{}, fmt.Errorf("wait reason %d", reason)
		}
		if text := r.names.waitReasons[reason]; text != "" {
			g.State = text
		}
	}
	return g, r.verifyG(&g)
}

func (r *Runtime) verifyG(g *G) error {
	if !g.alive() {
		if g.StackLo > g.StackHi {
			return fmt.Errorf("stack from %#x to %#x", g.StackLo, g.StackHi)
		}
		return nil
	}
	if g.StackLo >= g.StackHi || g.StackLo%wordSize != 0 || !r.Mapped(g.StackLo, g.StackHi-g.StackLo) {
		return fmt.Errorf("its stack, %#x to %#x, is not mapped", g.StackLo, g.StackHi)
	}
	if g.ID == 0 {
		return errors.New("it has no number")
	}
	// SP is cleared while a thread is about to leave the goroutine, or just has come to it.
	if g.SP != 0 && (g.Status == Waiting || g.Status == Runnable || g.Status == Preempted) {
		if g.SP < g.StackLo || g.SP > g.StackHi {
			return fmt.Errorf("its stack pointer %#x is outside its stack, %#x to %#x", g.SP, g.StackLo, g.StackHi)
		}
		if !r.isText(g.PC) {
			return fmt.Errorf("its PC %#x is in no module", g.PC)
		}
	}
	return nil
}

func (r *Runtime) isText(pc uint64) bool {
	for i := range r.Modules {
		if r.Modules[i].Text.Contains(pc) {
			return true
		}
	}
	return false
}

// Goroutines returns the goroutines that are not dead, in the runtime's order.
func (r *Runtime) Goroutines(ctx context.Context) ([]G, error) {
	gs := make([]G, 0, min(r.allgs.Len, 1<<20))
	system := make(map[uint64]bool) // by StartPC
	n := 0
	err := r.eachWord(r.allgs, func(addr uint64) error {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		g, err := r.readG(addr)
		if err != nil {
			return fmt.Errorf("goroutine at %#x: %w", addr, err)
		}
		if !g.alive() {
			return nil
		}
		is, known := system[g.StartPC]
		if !known {
			is = systemFunction(r.functionName(g.StartPC))
			system[g.StartPC] = is
		}
		g.System = is
		gs = append(gs, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gs, nil
}

// systemFunction tells whether goroutines that start with a function are the runtime's own, as
// runtime.isSystemGoroutine has it; those that run finalizers and cleanups count as its own at all times.
func systemFunction(name string) bool {
	switch name {
	case "runtime.main", "runtime.corostart", "runtime.handleAsyncEvent":
		return false
	}
	return strings.HasPrefix(name, "runtime.")
}

// functionName returns the name of the function that begins at a PC; empty if none does.
func (r *Runtime) functionName(entry uint64) string {
	const entrySize, maxName = 8, 1 << 10
	for i := range r.Modules {
		m := &r.Modules[i]
		if !m.Text.Contains(entry) {
			continue
		}
		// ftab is sorted by the offset of the function's entry in the text; the last element is an end mark.
		offset, low, high := entry-m.Text.Start, uint64(0), m.FTab.Len
		for low < high {
			mid := (low + high) / 2
			at, err := r.Uint32(m.FTab.Data + mid*entrySize)
			if err != nil {
				return ""
			}
			if uint64(at) < offset {
				low = mid + 1
			} else {
				high = mid
			}
		}
		at, err := r.Uint32(m.FTab.Data + low*entrySize)
		if low == m.FTab.Len || err != nil || uint64(at) != offset {
			return ""
		}
		fn, err := r.Uint32(m.FTab.Data + low*entrySize + 4)
		if err != nil || uint64(fn) >= m.PCLNTable.Len {
			return ""
		}
		name, err := r.Uint32(m.PCLNTable.Data + uint64(fn) + 4) // runtime._func.nameOff
		if err != nil || uint64(name) >= m.FuncNameTab.Len {
			return ""
		}
		p, err := r.Bytes(m.FuncNameTab.Data+uint64(name), min(maxName, m.FuncNameTab.Len-uint64(name)))
		if err != nil {
			return ""
		}
		text, _, _ := strings.Cut(string(p), "\x00")
		return text
	}
	return ""
}
